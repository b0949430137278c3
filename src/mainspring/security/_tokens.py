"""Access tokens: short-lived JWTs whose every claim is checked (RFC 7519, RFC 8725, RFC 9068)."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

import jwt

from mainspring.errors import InvalidToken
from mainspring.kernel import Clock, new_id

_ALGORITHM = "HS256"
_TYPE = "at+jwt"
_REQUIRED = ["sub", "jti", "iss", "aud", "iat", "exp"]
# Clocks of two machines agree to within a few seconds.
_LEEWAY = timedelta(seconds=10)


@dataclass(frozen=True, slots=True)
class AccessClaims:
    """What an access token says.

    Attributes:
        subject: Id of the user.
        token_id: Id of this token (`jti`); two tokens never share one.
        session_id: Id of the sign-in that it belongs to (`sid`).
        expires_at: From when on it is refused.
    """

    subject: UUID
    token_id: UUID
    session_id: UUID
    expires_at: datetime


class AccessTokens:
    """Issues and verifies access tokens.

    The algorithm is fixed here and never read from the token; the type in the header (`typ: at+jwt`) keeps any other
    JWT signed with the same key from passing as an access token.

    Args:
        key: The secret; at least 32 bytes for HS256 (RFC 7518 section 3.2).
        issuer: Who issues (`iss`); tokens of another service are refused.
        clock: The time.
        lifetime: How long a token is good for. 30 minutes by default: revocation takes effect with the next one.
    """

    def __init__(self, key: str, *, issuer: str, clock: Clock, lifetime: timedelta = timedelta(minutes=30)) -> None:
        self._key = key
        self._issuer = issuer
        self._clock = clock
        self.lifetime = lifetime

    def issue(self, subject: UUID, *, session_id: UUID) -> str:
        """A token for a user's sign-in."""
        now = self._clock.now()
        claims = {
            "sub": str(subject),
            "jti": str(new_id()),
            "sid": str(session_id),
            "iss": self._issuer,
            "aud": self._issuer,
            "iat": now,
            "exp": now + self.lifetime,
        }
        return jwt.encode(claims, self._key, algorithm=_ALGORITHM, headers={"typ": _TYPE})

    def verify(self, token: str) -> AccessClaims:
        """What the token says, if all of it holds.

        Raises:
            InvalidToken: It is malformed, not signed by us, of another type, issuer or audience, expired, or from the
                future. The message does not say which.
        """
        try:
            complete = jwt.decode_complete(
                token,
                self._key,
                algorithms=[_ALGORITHM],
                issuer=self._issuer,
                audience=self._issuer,
                # The library asks the machine for the time; we ask our clock, below.
                options={"require": _REQUIRED, "verify_exp": False, "verify_iat": False, "verify_nbf": False},
            )
            claims = complete["payload"]
            expires_at = datetime.fromtimestamp(claims["exp"], UTC)
            issued_at = datetime.fromtimestamp(claims["iat"], UTC)
            found = AccessClaims(UUID(claims["sub"]), UUID(claims["jti"]), UUID(claims["sid"]), expires_at)
        except (jwt.PyJWTError, ValueError, KeyError, TypeError, AttributeError, OverflowError, OSError) as error:
            raise InvalidToken("The access token is not valid. Sign in again.") from error
        now = self._clock.now()
        if complete["header"].get("typ") != _TYPE or now >= expires_at + _LEEWAY or issued_at > now + _LEEWAY:
            raise InvalidToken("The access token is not valid. Sign in again.")
        return found
