"""What clients did and what they were told, and what has to be stored if the promises hold."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from .ledger import Findings
from .wire import Answer


@dataclass(frozen=True, slots=True)
class Violation:
    """A promise that was broken.

    Attributes:
        promise: Its number.
        what: Happened.
    """

    promise: int
    what: str


@dataclass(slots=True)
class Effect:
    """One transfer that a client wanted, however often it asked.

    Attributes:
        ref: Its name.
        doomed: It must never be stored.
        keyed: Asked for with an idempotency key.
        told: The answers that came, oldest first; None for each that did not.
        ambiguous: An error may be the loss of the answer to a COMMIT, after which nobody can know.
    """

    ref: str
    doomed: bool = False
    keyed: bool = False
    ambiguous: bool = False
    told: list[Answer | None] = field(default_factory=list)

    @property
    def promised(self) -> list[Answer]:
        """The answers that say it has happened."""
        return [answer for answer in self.told if answer is not None and answer.ok]

    @property
    def unknown(self) -> bool:
        """Whether a client cannot know what has happened."""
        return any(answer is None or (self.ambiguous and answer.status >= 500) for answer in self.told)

    def was_unheard(self, stored: list[str]) -> bool:
        """Whether it happened, and whoever asked first was not told."""
        if not stored or not self.told or (self.told[0] is not None and self.told[0].ok):
            return False
        return not self.promised or all(answer.replayed for answer in self.promised)

    def violations(self, stored: list[str]) -> Iterator[Violation]:
        """Compare with the transfers that are stored under its name."""
        said = [answer and answer.status for answer in self.told]
        if self.promised and self.doomed:
            yield Violation(1, f"{self.ref} cannot be stored, and clients were told {said}")
        if self.promised and not stored:
            yield Violation(1, f"{self.ref} is not stored, and clients were told {said}")
        if len(stored) > 1:
            yield Violation(4 if self.keyed else 2, f"{self.ref} is stored {len(stored)} times; told {said}")
        if stored and not self.promised and not self.unknown:
            yield Violation(2, f"{self.ref} is stored, and clients were told {said}")
        if stored and self.doomed:
            yield Violation(2, f"{self.ref} is stored and must not be; told {said}")
        fresh = [answer for answer in self.promised if not answer.replayed]
        if len(fresh) > 1:
            yield Violation(4, f"{self.ref}: {len(fresh)} answers say that they are the first one")
        bodies = {answer.body for answer in self.promised}
        if len(bodies) > 1:
            yield Violation(4, f"{self.ref}: clients got {len(bodies)} different answers")
        for answer in self.promised[:1]:
            if stored and answer.json()["id"] not in stored:
                yield Violation(1, f"{self.ref}: a client was told of {answer.body!r}, stored is {stored}")


@dataclass(slots=True)
class Journal:
    """What happened in one round.

    Attributes:
        effects: By name.
        raised: How often clients were told that a counter was raised, by its name.
        broken: What was found while the round went on.
        statuses: How often each came; 0 is no answer.
        kills: Processes killed.
        cuts: Connections to the database that were cut.
    """

    effects: dict[str, Effect] = field(default_factory=dict)
    raised: Counter[str] = field(default_factory=Counter)
    broken: list[Violation] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    kills: int = 0
    cuts: int = 0

    def effect(self, ref: str, *, doomed: bool = False, keyed: bool = False, ambiguous: bool = False) -> Effect:
        """Begin to watch one."""
        self.effects[ref] = Effect(ref, doomed=doomed, keyed=keyed, ambiguous=ambiguous)
        return self.effects[ref]

    def count(self, answer: Answer | None) -> None:
        """Note an answer, or that there was none."""
        self.statuses[answer.status if answer else 0] += 1

    def violations(self, found: Findings) -> Iterator[Violation]:
        """Everything in the database that contradicts what clients were told."""
        yield from self.broken
        yield from (Violation(2, broken) for broken in found.broken)
        for effect in self.effects.values():
            yield from effect.violations(found.stored.get(effect.ref, []))
        for ref in found.stored.keys() - self.effects.keys():
            yield Violation(2, f"nobody asked for {ref}, which is stored")
        for counter, value in found.counters.items():
            if value != self.raised[counter]:
                yield Violation(
                    5, f"{counter} is {value}; clients were told {self.raised[counter]} times that it was raised"
                )

    def lines(self) -> Iterator[str]:
        """The journal for people."""
        for effect in self.effects.values():
            told = " ".join(f"{a.status}:{a.body.decode(errors='replace')}" if a else "nothing" for a in effect.told)
            yield f"{effect.ref}{' doomed' * effect.doomed}{' keyed' * effect.keyed}: {told}"
