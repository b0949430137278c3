"""The error tree.

    MainspringError            INTERNAL_ERROR          500
    ├── BadRequest             BAD_REQUEST             400
    │   ├── InvalidCursor      INVALID_CURSOR          400
    │   └── IdempotencyKeyMissing IDEMPOTENCY_KEY_MISSING 400
    ├── NotAuthenticated       NOT_AUTHENTICATED       401
    │   ├── InvalidCredentials INVALID_CREDENTIALS     401
    │   ├── InvalidToken       INVALID_TOKEN           401
    │   └── InvalidRefreshToken INVALID_REFRESH_TOKEN  401
    ├── PermissionDenied       PERMISSION_DENIED       403
    ├── NotFound               RESOURCE_NOT_FOUND      404
    ├── MethodNotAllowed       METHOD_NOT_ALLOWED      405
    ├── Conflict               CONFLICT                409
    │   ├── AlreadyExists      ALREADY_EXISTS          409
    │   ├── ConstraintViolated CONSTRAINT_VIOLATED     409
    │   ├── ConcurrentUpdate   CONCURRENT_UPDATE       409
    │   └── IdempotencyKeyInUse IDEMPOTENCY_KEY_IN_USE 409
    ├── PreconditionFailed     PRECONDITION_FAILED     412
    ├── ContentTooLarge        CONTENT_TOO_LARGE       413
    ├── UnsupportedMediaType   UNSUPPORTED_MEDIA_TYPE  415
    ├── ValidationFailed       VALIDATION_ERROR        422
    ├── IdempotencyKeyReused   IDEMPOTENCY_KEY_REUSED  422
    ├── PreconditionRequired   PRECONDITION_REQUIRED   428
    ├── RateLimited            RATE_LIMITED            429
    ├── UpstreamFailed         UPSTREAM_FAILED         502
    ├── ServiceUnavailable     SERVICE_UNAVAILABLE     503
    │   └── DatabaseUnavailable DATABASE_UNAVAILABLE   503
    └── DeadlineExceeded       DEADLINE_EXCEEDED       504

A service adds its own by subclassing the nearest one and giving it a `code`. The message is shown to the client: it
says what failed and what to do, and never what only operators may know.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from math import ceil
from typing import ClassVar, override


@dataclass(frozen=True, slots=True)
class FieldError:
    """One thing wrong with one part of the input.

    Attributes:
        loc: Where, outermost first: `("body", "email")`.
        msg: What is wrong, for a person.
        type: What is wrong, for a program; stable.
    """

    loc: tuple[str | int, ...]
    msg: str
    type: str


class MainspringError(Exception):
    """The root: anything a service can answer with that is not a success.

    Attributes:
        code: Stable, upper snake case; clients branch on it. Unique over the tree.
        status: The HTTP status of the answer.
        title: A few words that do not change from one occurrence to the next (RFC 9457 section 3.1.3).
        retryable: Whether the same request may succeed later without being changed.
        message: What happened this time, for the client.
        errors: The parts of the input at fault, if any.
        retry_after: Seconds the client should wait (RFC 9110 section 10.2.3), if known.
    """

    code: ClassVar[str] = "INTERNAL_ERROR"
    status: ClassVar[int] = 500
    title: ClassVar[str] = "Internal error"
    retryable: ClassVar[bool] = False

    def __init__(
        self, message: str = "", *, errors: Iterable[FieldError] = (), retry_after: float | None = None
    ) -> None:
        self.message = message or f"{self.title}."
        self.errors = tuple(errors)
        self.retry_after = retry_after
        super().__init__(self.message)

    @property
    def headers(self) -> dict[str, str]:
        """Response headers that belong to the error: `Retry-After`, `WWW-Authenticate`.

        Seconds are whole ones, rounded up: a client told less than the truth comes back too early.
        """
        return {} if self.retry_after is None else {"retry-after": str(max(1, ceil(self.retry_after)))}


class BadRequest(MainspringError):
    """The request cannot be understood."""

    code = "BAD_REQUEST"
    status = 400
    title = "Bad request"


class InvalidCursor(BadRequest):
    """A cursor was not made for this list, its order and its filters, or not by this service."""

    code = "INVALID_CURSOR"
    title = "Invalid cursor"


class IdempotencyKeyMissing(BadRequest):
    """The route has an effect that must not happen twice, and the request has no `Idempotency-Key`."""

    code = "IDEMPOTENCY_KEY_MISSING"
    title = "Idempotency-Key missing"


class NotAuthenticated(MainspringError):
    """Nobody is signed in, and the resource asks for somebody."""

    code = "NOT_AUTHENTICATED"
    status = 401
    title = "Not authenticated"

    @property
    @override
    def headers(self) -> dict[str, str]:
        """The challenge that RFC 9110 section 15.5.2 demands of every 401."""
        return {"www-authenticate": "Bearer", **super().headers}


class InvalidCredentials(NotAuthenticated):
    """E-mail and password do not belong together; says no more, so that nobody learns which accounts exist."""

    code = "INVALID_CREDENTIALS"
    title = "Invalid credentials"


class InvalidToken(NotAuthenticated):
    """The access token is malformed, expired, of another kind or of another issuer."""

    code = "INVALID_TOKEN"
    title = "Invalid token"

    @property
    @override
    def headers(self) -> dict[str, str]:
        """The challenge with the error code of RFC 6750 section 3.1."""
        return {**super().headers, "www-authenticate": 'Bearer error="invalid_token"'}


class InvalidRefreshToken(NotAuthenticated):
    """The refresh token is unknown, expired, revoked or was used before."""

    code = "INVALID_REFRESH_TOKEN"
    title = "Invalid refresh token"


class PermissionDenied(MainspringError):
    """Somebody is signed in who may not do this."""

    code = "PERMISSION_DENIED"
    status = 403
    title = "Permission denied"


class NotFound(MainspringError):
    """It does not exist, or the caller may not know that it does."""

    code = "RESOURCE_NOT_FOUND"
    status = 404
    title = "Resource not found"


class MethodNotAllowed(MainspringError):
    """The resource exists and does not do this."""

    code = "METHOD_NOT_ALLOWED"
    status = 405
    title = "Method not allowed"


class Conflict(MainspringError):
    """The request is sound and contradicts the present state."""

    code = "CONFLICT"
    status = 409
    title = "Conflict"


class AlreadyExists(Conflict):
    """Something with this unique value is already there."""

    code = "ALREADY_EXISTS"
    title = "Already exists"


class ConstraintViolated(Conflict):
    """The database refused the change: a reference, a check or a required value does not hold."""

    code = "CONSTRAINT_VIOLATED"
    title = "Constraint violated"


class ConcurrentUpdate(Conflict):
    """Another transaction won; the same request may succeed when repeated."""

    code = "CONCURRENT_UPDATE"
    title = "Concurrent update"
    retryable = True


class IdempotencyKeyInUse(Conflict):
    """The first request with this `Idempotency-Key` is still running."""

    code = "IDEMPOTENCY_KEY_IN_USE"
    title = "Idempotency-Key in use"
    retryable = True


class PreconditionFailed(MainspringError):
    """The resource has changed since the client read it (`If-Match` does not hold)."""

    code = "PRECONDITION_FAILED"
    status = 412
    title = "Precondition failed"


class ContentTooLarge(MainspringError):
    """The request body is larger than the service takes."""

    code = "CONTENT_TOO_LARGE"
    status = 413
    title = "Content too large"


class UnsupportedMediaType(MainspringError):
    """The request body is of a type that the resource does not take."""

    code = "UNSUPPORTED_MEDIA_TYPE"
    status = 415
    title = "Unsupported media type"


class ValidationFailed(MainspringError):
    """The input has the wrong shape or values; `errors` says where."""

    code = "VALIDATION_ERROR"
    status = 422
    title = "Validation failed"


class IdempotencyKeyReused(MainspringError):
    """The `Idempotency-Key` was used for another request, or for one whose answer cannot be repeated."""

    code = "IDEMPOTENCY_KEY_REUSED"
    status = 422
    title = "Idempotency-Key reused"


class PreconditionRequired(MainspringError):
    """The resource is changed only under `If-Match` (RFC 6585 section 3)."""

    code = "PRECONDITION_REQUIRED"
    status = 428
    title = "Precondition required"


class RateLimited(MainspringError):
    """The caller has used up its allowance for now."""

    code = "RATE_LIMITED"
    status = 429
    title = "Rate limited"
    retryable = True


class UpstreamFailed(MainspringError):
    """A service this one depends on answered badly or not at all."""

    code = "UPSTREAM_FAILED"
    status = 502
    title = "Upstream failed"
    retryable = True


class ServiceUnavailable(MainspringError):
    """The service cannot answer just now."""

    code = "SERVICE_UNAVAILABLE"
    status = 503
    title = "Service unavailable"
    retryable = True

    def __init__(
        self, message: str = "", *, errors: Iterable[FieldError] = (), retry_after: float | None = 5.0
    ) -> None:
        super().__init__(message, errors=errors, retry_after=retry_after)


class DatabaseUnavailable(ServiceUnavailable):
    """The database is out of reach or has no connection to spare."""

    code = "DATABASE_UNAVAILABLE"
    title = "Database unavailable"


class DeadlineExceeded(MainspringError):
    """The work took longer than the request may."""

    code = "DEADLINE_EXCEEDED"
    status = 504
    title = "Deadline exceeded"
    retryable = True
