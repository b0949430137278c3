"""The ways in which promises are attacked, a coroutine each. What they have done is judged afterwards, by the journal."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from .journal import Violation
from .ledger import stored
from .rounds import Round
from .service import LIMIT
from .wire import Answer, Leaving, ask, request

type Scenario = Callable[[Round], Awaitable[None]]

_CLIENTS = 16
_DUPLICATES = 50
_SETTLE_SECONDS = 30
_BUSY = 503
"""What a service may always answer instead; it promises nothing."""


async def kill(round_: Round) -> None:
    """One process or both are killed at any instant, or as soon as an effect can be seen, which is before its answer; and
    started again. Whoever has a key asks until there is an answer.
    """
    effects = [round_.effect(keyed=number % 3 != 0) for number in range(_CLIENTS)]
    victims = round_.members if round_.chance.random() < 0.25 else [round_.chance.choice(round_.members)]
    chosen = [round_.chance.choice([*victims, round_.chance.choice(round_.members)]) for _ in effects]
    sent = [
        asyncio.create_task(round_.send(effect, round_.message(effect), member=member))
        for effect, member in zip(effects, chosen, strict=True)
    ]
    if round_.chance.random() < 0.5:
        await asyncio.sleep(round_.chance.uniform(0.001, 0.06))
    else:
        await _seen(round_, round_.chance.randint(1, _CLIENTS // 2), sent)
    for victim in victims:
        victim.kill()
    round_.journal.kills += len(victims)
    await asyncio.gather(*sent, *(victim.ended() for victim in victims))
    restarted = [asyncio.create_task(victim.start()) for victim in victims]
    # All of them, also those that were answered: the answer has to be the same.
    await asyncio.gather(*(round_.insist(effect, round_.message(effect)) for effect in effects if effect.keyed))
    await asyncio.gather(*restarted)


async def _seen(round_: Round, times: int, sent: Sequence[asyncio.Task[Any]]) -> None:
    """Until so many effects of the round are in the database, or nobody waits for one."""
    while not all(task.done() for task in sent):
        if await stored(round_.ledger, f"{round_.name}.") >= times:
            return


async def cancel(round_: Round) -> None:
    """Clients go away while they send, while they wait, with and without a word; those with a key come back."""

    async def hurried(number: int) -> None:
        effect = round_.effect(keyed=number % 2 == 0)
        message = round_.message(effect)
        part = 1.0 if round_.chance.random() < 0.8 else round_.chance.random()
        leaving = Leaving(part, round_.chance.uniform(0, 0.04), reset=round_.chance.random() < 0.5)
        await round_.send(effect, message, leaving=leaving)
        if effect.keyed:
            await round_.insist(effect, message)

    async def patient() -> None:
        effect = round_.effect(keyed=False)
        await round_.send(effect, round_.message(effect))

    await asyncio.gather(*(hurried(number) for number in range(_CLIENTS)), *(patient() for _ in range(4)))


async def refused(round_: Round) -> None:
    """Transfers that fail at the commit, by a deferred constraint, or half way, by a rule, among good ones."""

    async def at_the_commit(number: int) -> None:
        effect = round_.effect(keyed=number % 2 == 0, doomed=True)
        message = round_.message(effect, target=f"{round_.name}.nobody")
        for _ in range(2):
            await round_.send(effect, message)

    async def half_way(number: int) -> None:
        effect = round_.effect(keyed=number % 2 == 0, doomed=True)
        await round_.send(effect, round_.message(effect, amount=LIMIT + 1))

    async def good(number: int) -> None:
        effect = round_.effect(keyed=number % 2 == 0)
        await round_.send(effect, round_.message(effect))

    await asyncio.gather(*(task(number) for number in range(6) for task in (at_the_commit, half_way, good)))


async def drop(round_: Round) -> None:
    """Connections to PostgreSQL are lost: ended by the server, cut on the way, before a COMMIT arrives or after it has
    been carried out. Clients with a key ask until they are answered.
    """
    proxy = round_.proxy
    assert proxy is not None
    cuts = proxy.cuts
    proxy.chance, proxy.loss = round_.chance, round_.chance.uniform(0.1, 0.6)
    effects = [round_.effect(keyed=number % 2 == 0, ambiguous=True) for number in range(_CLIENTS)]
    sent = [asyncio.create_task(round_.send(effect, round_.message(effect))) for effect in effects]
    for _ in range(round_.chance.randint(1, 3)):
        await asyncio.sleep(round_.chance.uniform(0.001, 0.03))
        if round_.chance.random() < 0.5:
            proxy.cut(0.5)
        else:
            await _end_backends(round_)
    await asyncio.gather(*sent)
    proxy.loss = round_.chance.uniform(0, 0.3)
    asking = [asyncio.create_task(round_.insist(e, round_.message(e))) for e in effects if e.keyed]
    await asyncio.sleep(0.1)
    proxy.loss = 0.0
    await asyncio.gather(*asking)
    await _settle(round_)
    round_.journal.cuts += proxy.cuts - cuts


async def _settle(round_: Round) -> None:
    """Until no process has a connection left that it does not know to be dead."""
    async with asyncio.timeout(_SETTLE_SECONDS):
        for member in round_.members:
            while True:
                effects = [round_.effect(keyed=False, ambiguous=True) for _ in range(_CLIENTS)]
                sent = [round_.send(effect, round_.message(effect), member=member) for effect in effects]
                answers = await asyncio.gather(*sent)
                if all(answer is not None and answer.ok for answer in answers):
                    break


async def _end_backends(round_: Round) -> None:
    """`pg_terminate_backend` for a half of the service's connections."""
    found = await round_.ledger.read(["SELECT pid FROM pg_stat_activity WHERE application_name = 'chaos'"])
    victims = [pid for (pid,) in found[0] if round_.chance.random() < 0.5]
    ends = [f"SELECT pg_terminate_backend({pid})" for pid in victims]
    await round_.ledger.read(ends)
    round_.journal.cuts += len(victims)


async def duplicates(round_: Round) -> None:
    """Fifty requests with one key at the same moment on all processes; then one with another body."""
    effect = round_.effect(keyed=True)
    message = round_.message(effect)

    async def ask_once_or_until_answered(number: int) -> None:
        member = round_.members[number % len(round_.members)]
        if number % 5:
            await round_.send(effect, message, member=member)
        else:
            await round_.insist(effect, message, member=member)

    await asyncio.gather(*(ask_once_or_until_answered(number) for number in range(_DUPLICATES)))
    for answer in effect.told:
        if answer is not None and answer.status not in {201, 409, _BUSY}:
            round_.journal.broken.append(Violation(4, f"{effect.ref}: a duplicate was answered with {answer.status}"))
    other = await ask(round_.chance.choice(round_.members).port, round_.message(effect, amount=777))
    round_.journal.count(other)
    if other is not None and other.status not in {422, _BUSY}:
        what = f"{effect.ref}: the key with another body was answered with {other.status}"
        round_.journal.broken.append(Violation(4, what))


async def updates(round_: Round) -> None:
    """Clients read a counter, and write it back raised by one, all at the same time; each 2xx has to count."""
    await asyncio.gather(*(_raise(round_, times=3) for _ in range(8)))
    path = f"/counters/{round_.counter}"
    value = round_.journal.raised[round_.counter]
    for status, headers in ((428, {}), (412, {"If_Match": '"1"'})):
        answer = await _put(round_, request("PUT", path, {"value": value + 1000}, **headers))
        if answer is not None and answer.status not in {status, _BUSY}:
            how = headers or "no If-Match"
            what = f"{round_.counter}: a change with {how} was answered with {answer.status}, not {status}"
            round_.journal.broken.append(Violation(5, what))


async def _raise(round_: Round, *, times: int) -> None:
    path = f"/counters/{round_.counter}"
    for _ in range(times):
        seen = await ask(round_.chance.choice(round_.members).port, request("GET", path))
        if seen is None or seen.status != 200:
            continue
        change = request("PUT", path, {"value": seen.json()["value"] + 1}, If_Match=seen.headers["etag"])
        answer = await _put(round_, change)
        round_.journal.raised[round_.counter] += answer is not None and answer.ok


async def _put(round_: Round, message: bytes) -> Answer | None:
    answer = await ask(round_.chance.choice(round_.members).port, message)
    round_.journal.count(answer)
    return answer


SCENARIOS: dict[str, Scenario] = {
    "kill": kill,
    "cancel": cancel,
    "refused": refused,
    "drop": drop,
    "duplicates": duplicates,
    "updates": updates,
}

ONLY_WITH_CONNECTIONS = frozenset({"drop"})
"""Scenarios of databases that are reached over a network; SQLite's file is not."""
