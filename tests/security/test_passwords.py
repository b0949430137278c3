"""Passwords are hashed well, and beside the event loop."""

import asyncio
import time
from statistics import median

import pytest

from mainspring.security import PasswordHasher

CHEAP = {"time_cost": 1, "memory_mib": 1, "parallelism": 1}


@pytest.fixture
def hasher():
    return PasswordHasher(**CHEAP)


async def test_the_right_password_is_told_from_a_wrong_one(hasher):
    stored = await hasher.hash("correct horse")

    assert await hasher.verify("correct horse", stored) == (True, None)
    assert await hasher.verify("wrong horse", stored) == (False, None)


async def test_the_same_password_never_has_the_same_hash(hasher):
    assert await hasher.hash("correct horse") != await hasher.hash("correct horse")


async def test_the_default_is_argon2id_with_64_mib_and_three_passes():
    assert (await PasswordHasher().hash("correct horse")).startswith("$argon2id$v=19$m=65536,t=3,p=4$")


async def test_a_hash_with_dated_parameters_comes_with_a_better_one(hasher):
    stored = await hasher.hash("correct horse")
    stronger = PasswordHasher(time_cost=2, memory_mib=2, parallelism=1)

    valid, better = await stronger.verify("correct horse", stored)

    assert valid
    assert await stronger.verify("correct horse", better) == (True, None)
    assert await stronger.verify("wrong horse", stored) == (False, None)


@pytest.mark.parametrize("stored", ["", "plain", "$2b$12$abcdefghijklmnopqrstuv", "$argon2id$broken"])
async def test_what_is_no_hash_of_ours_lets_nobody_in(hasher, stored):
    assert await hasher.verify("correct horse", stored) == (False, None)


async def test_an_unknown_user_is_refused_even_with_the_decoys_password(hasher):
    assert await hasher.verify("nobody has this password", None) == (False, None)


async def test_an_unknown_user_takes_as_long_as_a_known_one():
    hasher = PasswordHasher(time_cost=2, memory_mib=16, parallelism=1)
    stored = await hasher.hash("correct horse")
    await hasher.verify("warm", None)
    took: dict[bool, list[float]] = {True: [], False: []}

    for _ in range(9):
        for known in (True, False):
            began = time.perf_counter()
            await hasher.verify("wrong horse", stored if known else None)
            took[known].append(time.perf_counter() - began)

    assert 0.5 < median(took[True]) / median(took[False]) < 2


async def test_the_event_loop_goes_on_while_passwords_are_hashed():
    hasher = PasswordHasher()
    beats = 0

    async def beat():
        nonlocal beats
        while True:
            beats += 1
            await asyncio.sleep(0.001)

    beating = asyncio.create_task(beat())
    await asyncio.gather(*(hasher.hash("correct horse") for _ in range(4)))
    beating.cancel()

    assert beats > 10
