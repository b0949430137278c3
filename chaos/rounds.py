"""One round: its accounts, its clients, its chance."""

import asyncio
from random import Random

from .journal import Effect, Journal, Violation
from .ledger import Ledger
from .processes import Cluster, Member
from .proxy import Proxy
from .wire import Answer, Leaving, ask, request

_RETRY_SECONDS = 20.0
_IN_FLIGHT = frozenset({409, 500, 502, 503, 504})


class Round:
    """What a scenario works with.

    Args:
        scenario: What it attacks with.
        number: Of the round.
        chance: Decides everything that is random.
        cluster: The service.
        ledger: The database.
        proxy: Between the two, if there is one.
        keys: Whether clients send idempotency keys.

    Attributes:
        name: What the round stores has it in front, so that rounds do not meet.
        journal: What the clients did and heard.
        accounts: Those of this round.
        counter: That of this round.
    """

    def __init__(
        self,
        scenario: str,
        number: int,
        chance: Random,
        *,
        cluster: Cluster,
        ledger: Ledger,
        proxy: Proxy | None = None,
        keys: bool = True,
    ) -> None:
        self.scenario = scenario
        self.number = number
        self.name = f"{scenario}-{number}"
        self.chance = chance
        self.cluster = cluster
        self.ledger = ledger
        self.proxy = proxy
        self._keys = keys
        self.journal = Journal()
        self.accounts = [f"{self.name}.{letter}" for letter in "abcdef"]
        self.counter = f"{self.name}.counter"
        self._effects = 0

    @property
    def members(self) -> list[Member]:
        """The processes of the service."""
        return self.cluster.members

    def effect(self, *, keyed: bool, doomed: bool = False, ambiguous: bool = False) -> Effect:
        """A transfer that somebody will ask for."""
        self._effects += 1
        ref = f"{self.name}.{self._effects}"
        return self.journal.effect(ref, keyed=keyed and self._keys, doomed=doomed, ambiguous=ambiguous)

    def message(self, effect: Effect, **changes: object) -> bytes:
        """The request for an effect; the same one whenever it is sent again.

        Args:
            effect: Which.
            changes: Of the body.
        """
        chance = Random(effect.ref)
        source, target = chance.sample(self.accounts, 2)
        body = {"ref": effect.ref, "source": source, "target": target, "amount": chance.randint(1, 100), **changes}
        key = {"Idempotency_Key": effect.ref} if effect.keyed else {}
        return request("POST", "/transfers", body, **key)

    async def send(
        self, effect: Effect, message: bytes, *, member: Member | None = None, leaving: Leaving | None = None
    ) -> Answer | None:
        """Ask for an effect once, and note what was told."""
        answer = await ask((member or self.chance.choice(self.members)).port, message, leaving)
        effect.told.append(answer)
        self.journal.count(answer)
        return answer

    async def insist(self, effect: Effect, message: bytes, *, member: Member | None = None) -> Answer | None:
        """Ask with the same key until there is an answer that is not 'still running' or 'not now'.

        None if there is none in time; the journal has it as a promise broken then.
        """
        try:
            async with asyncio.timeout(_RETRY_SECONDS):
                while True:
                    answer = await self.send(effect, message, member=member)
                    if answer is not None and answer.status not in _IN_FLIGHT:
                        return answer
                    await asyncio.sleep(self.chance.uniform(0.005, 0.05))
        except TimeoutError:
            self.journal.broken.append(Violation(4, f"{effect.ref} had no answer in {_RETRY_SECONDS} s"))
            return None
