"""Access tokens hold only if all of them holds."""

import base64
import json
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainspring.errors import InvalidToken
from mainspring.kernel import FrozenClock
from mainspring.security import AccessTokens, digest_of, new_token

KEY = "q8s7dJ2kLp0VbX4nT6yR1wZ3mC5hF9aEuGiKoNqS"
NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)


@pytest.fixture
def clock():
    return FrozenClock(NOON)


@pytest.fixture
def tokens(clock):
    return AccessTokens(KEY, issuer="shop", clock=clock, lifetime=timedelta(minutes=30))


def claims(**changes):
    good = {
        "sub": str(uuid4()),
        "jti": str(uuid4()),
        "sid": str(uuid4()),
        "iss": "shop",
        "aud": "shop",
        "iat": NOON,
        "exp": NOON + timedelta(minutes=5),
    }
    return {name: value for name, value in (good | changes).items() if value is not None}


def signed(payload, *, key=KEY, algorithm="HS256", typ="at+jwt"):
    return jwt.encode(payload, key, algorithm=algorithm, headers={"typ": typ})


def test_what_was_issued_is_what_is_verified(tokens):
    user, session = uuid4(), uuid4()

    found = tokens.verify(tokens.issue(user, session_id=session))

    assert (found.subject, found.session_id, found.expires_at) == (user, session, NOON + timedelta(minutes=30))


def test_two_tokens_of_one_moment_differ(tokens):
    user, session = uuid4(), uuid4()

    assert tokens.issue(user, session_id=session) != tokens.issue(user, session_id=session)


def test_a_token_made_by_the_rules_of_the_tests_is_good(tokens):
    tokens.verify(signed(claims()))


@pytest.mark.parametrize(("minutes", "good"), [(29, True), (30, True), (31, False)])
def test_a_token_ends_with_its_lifetime_and_a_few_seconds_of_grace(tokens, clock, minutes, good):
    token = tokens.issue(uuid4(), session_id=uuid4())
    clock.advance(timedelta(minutes=minutes))

    if good:
        tokens.verify(token)
    else:
        with pytest.raises(InvalidToken):
            tokens.verify(token)


@pytest.mark.parametrize(
    "token",
    [
        signed(claims(iss="other")),
        signed(claims(aud="other")),
        signed(claims(aud=["other"])),
        signed(claims(iat=NOON + timedelta(minutes=1))),
        signed(claims(sub="ada")),
        signed(claims(exp=2**62)),
        signed(claims(exp="soon")),
        signed(claims(), key="x" * 40),
        signed(claims(), key=KEY * 2, algorithm="HS512"),
        signed(claims(), typ="JWT"),
        signed(claims(), typ="refresh+jwt"),
        *[signed(claims(**{name: None})) for name in ("sub", "jti", "sid", "iss", "aud", "iat", "exp")],
        "",
        "a.b.c",
        "not a token",
        "é.é.é",
    ],
)
def test_anything_less_is_refused_without_saying_why(tokens, token):
    with pytest.raises(InvalidToken) as refused:
        tokens.verify(token)

    assert refused.value.message == "The access token is not valid. Sign in again."


def part(value):
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


@pytest.mark.parametrize("algorithm", ["none", "None", "RS256", "ES256", "EdDSA", "HS384", None, 7])
@pytest.mark.parametrize("signature", ["", "c2lnbmF0dXJl"])
def test_the_tokens_own_word_on_the_algorithm_does_not_count(tokens, algorithm, signature):
    payload = claims(iat=int(NOON.timestamp()), exp=int(NOON.timestamp()) + 300)
    header = {"typ": "at+jwt"} | ({} if algorithm is None else {"alg": algorithm})

    with pytest.raises(InvalidToken):
        tokens.verify(f"{part(header)}.{part(payload)}.{signature}")


@given(st.data())
def test_no_changed_character_survives(data):
    tokens = AccessTokens(KEY, issuer="shop", clock=FrozenClock(NOON))
    token = tokens.issue(uuid4(), session_id=uuid4())
    # The last character of a base64 part carries bits that decode to nothing.
    ends = {index - 1 for index, character in enumerate(token + ".") if character == "."}
    position = data.draw(st.sampled_from([i for i, c in enumerate(token) if c != "." and i not in ends]))
    other = data.draw(st.sampled_from("ABCxyz019-_").filter(lambda c: c != token[position]))

    with pytest.raises(InvalidToken):
        tokens.verify(token[:position] + other + token[position + 1 :])


def test_opaque_tokens_are_long_random_and_stored_as_digests():
    made = {new_token() for _ in range(1000)}

    assert len(made) == 1000
    assert all(len(token) == 43 for token in made)
    assert len(digest_of("a")) == 32
    assert digest_of("a") != digest_of("b")
