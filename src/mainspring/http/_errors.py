"""The one seam where errors become answers.

Everything that goes wrong is first made a `MainspringError`, whoever raised it (the router's 404, a failed validation, a
full body, a defect), and then rendered in the service's one format.
"""

import json
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Literal

import orjson
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.routing import iter_route_contexts
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, HTTPConnection
from starlette.responses import Response
from starlette.websockets import WebSocket

from mainspring.errors import (
    BadRequest,
    ConcurrentUpdate,
    Conflict,
    ContentTooLarge,
    DeadlineExceeded,
    FieldError,
    MainspringError,
    MethodNotAllowed,
    NotAuthenticated,
    NotFound,
    PermissionDenied,
    PreconditionFailed,
    PreconditionRequired,
    RateLimited,
    ServiceUnavailable,
    UnsupportedMediaType,
    UpstreamFailed,
    ValidationFailed,
)
from mainspring.kernel import Clock, SystemClock

from ._exchange import ACCEPTED, Exchange, Reply, exchange_of

type ErrorFormat = Literal["problem", "envelope"]

_PROBLEM_TYPE = b"application/problem+json"
_BY_STATUS: Mapping[int, type[MainspringError]] = {
    cls.status: cls
    for cls in (
        MainspringError,
        BadRequest,
        NotAuthenticated,
        PermissionDenied,
        NotFound,
        MethodNotAllowed,
        Conflict,
        PreconditionFailed,
        ContentTooLarge,
        UnsupportedMediaType,
        ValidationFailed,
        PreconditionRequired,
        RateLimited,
        UpstreamFailed,
        ServiceUnavailable,
        DeadlineExceeded,
    )
}
# Answers that have no content (RFC 9110 sections 15.3.5, 15.3.6 and 15.4.5); a server refuses to send one with it.
_WITHOUT_CONTENT = frozenset({204, 205, 304})
# RFC 6455 section 7.4.1.
_POLICY_VIOLATION, _INTERNAL_ERROR = 1008, 1011


class ErrorSeam:
    """Renders every error of a service in one format.

    Args:
        form: `problem` is RFC 9457 `application/problem+json` with the members `code`, `request_id` and `errors`;
            `envelope` is `{"success": false, "error": {"code", "message", "details"}, "timestamp", "path"}`.
        clock: Stamps the envelope.
    """

    def __init__(self, form: ErrorFormat = "problem", *, clock: Clock | None = None) -> None:
        self._form = form
        self._clock = clock or SystemClock()

    def install(self, app: FastAPI) -> None:
        """Make `app` answer every error through this seam."""
        for kind in (MainspringError, HTTPException, RequestValidationError, Exception):
            app.add_exception_handler(kind, self._handle)
        app.add_exception_handler(ClientDisconnect, _leave_unanswered)

    def render(self, error: MainspringError, exchange: Exchange) -> Reply:
        """The answer to an error, within the pipeline."""
        exchange.problem = error
        return self._reply(error, exchange.scope["path"], exchange.log.request_id)

    # Starlette takes a Response for a request and None for a WebSocket; its types know no handler of both.
    async def _handle(self, request: HTTPConnection, error: Exception) -> Any:
        exchange = exchange_of(request.scope)
        if isinstance(request, WebSocket) and exchange is not None and exchange.status == ACCEPTED:
            await _close(request, problem_of(error))
            return None
        request_id = exchange.log.request_id if exchange else ""
        problem = problem_of(error)
        if exchange is not None:
            exchange.problem = problem
        if isinstance(problem, ConcurrentUpdate) and "if-match" in request.headers:
            # The client has said on which version its change rests; that this was noticed at the write is our affair.
            problem = PreconditionFailed("It has changed since you read it. Read it again, and decide anew.")
        reply = self._reply(problem, request.scope["path"], request_id)
        headers = {name.decode(): value.decode("latin-1") for name, value in reply.headers}
        if isinstance(error, HTTPException) and error.headers:
            headers |= {name.lower(): value for name, value in error.headers.items()}
        if reply.status in _WITHOUT_CONTENT:
            del headers["content-type"]
            return Response(status_code=reply.status, headers=headers)
        if reply.status == MethodNotAllowed.status:
            headers["allow"] = _allowed_methods(request) or headers.get("allow", "")
        return Response(reply.body, status_code=reply.status, headers=headers)

    def _reply(self, error: MainspringError, path: str, request_id: str) -> Reply:
        details = [{"loc": e.loc, "msg": e.msg, "type": e.type} for e in error.errors]
        body: dict[str, Any]
        if self._form == "problem":
            content_type = _PROBLEM_TYPE
            body = {
                "type": f"/errors#{error.code}",
                "title": error.title,
                "status": error.status,
                "detail": error.message,
                "instance": path,
                "code": error.code,
                "request_id": request_id,
                "errors": details,
            }
        else:
            content_type = b"application/json"
            body = {
                "success": False,
                "error": {"code": error.code, "message": error.message, "details": details},
                "timestamp": self._clock.now().isoformat(),
                "path": path,
                "request_id": request_id,
            }
        headers = tuple((name.encode(), value.encode("latin-1")) for name, value in error.headers.items())
        return Reply(error.status, ((b"content-type", content_type), *headers), _dumped(body))


def _dumped(body: dict[str, Any]) -> bytes:
    try:
        return orjson.dumps(body)
    except TypeError:
        # A path or a message may hold what is no Unicode (a lone surrogate); escaped, it can be told all the same.
        return json.dumps(body, default=str).encode()


async def _leave_unanswered(_: HTTPConnection, __: Exception) -> None:
    """The client has gone; an answer would only make the log say that one was given."""


async def _close(socket: WebSocket, error: MainspringError) -> None:
    # The conversation is under way: there is no response any more, only a close frame.
    code = _INTERNAL_ERROR if error.status >= 500 else _POLICY_VIOLATION
    await socket.close(code, error.code)


def _allowed_methods(request: HTTPConnection) -> str:
    """Every method of the path. The router names those of one route only, and a path often has a route per method."""
    path = request.scope["path"].removeprefix(request.scope.get("root_path", ""))
    methods: set[str] = set()
    for route in iter_route_contexts(request.app.routes):
        pattern = getattr(route, "path_regex", None)
        if route.methods and pattern is not None and pattern.match(path):
            methods |= route.methods
    return ", ".join(sorted(methods))


def problem_of(error: Exception) -> MainspringError:
    """The `MainspringError` that tells a client about any exception; a defect becomes a bare 500 without internals."""
    if isinstance(error, MainspringError):
        return error
    if isinstance(error, RequestValidationError):
        return _validation_failed(error.errors())
    if isinstance(error, HTTPException):
        return _from_status(error.status_code, str(error.detail))
    return MainspringError("Something went wrong on our side. The request id finds it in our logs.")


def _validation_failed(details: Sequence[Mapping[str, Any]]) -> MainspringError:
    """Says what is wrong and where, and never repeats the input: it may be a password."""
    errors = tuple(FieldError(tuple(d["loc"]), _clean(d), d["type"]) for d in details)
    if errors and all(map(_is_broken_body, details)):
        return BadRequest("The body is not valid JSON.", errors=errors)
    count = "1 value is" if len(errors) == 1 else f"{len(errors)} values are"
    return ValidationFailed(f"{count} not valid; `errors` says which and why.", errors=errors)


def _is_broken_body(detail: Mapping[str, Any]) -> bool:
    # FastAPI says at which character; Pydantic's error of the same type says which field of type `Json` is broken.
    match detail["type"], detail["loc"]:
        case "json_invalid", ("body", int()):
            return True
    return False


def _clean(detail: Mapping[str, Any]) -> str:
    context = detail.get("ctx", {})
    if _is_broken_body(detail):
        return f"{detail['msg']}: {context.get('error', '')}"
    if detail["type"] == "union_tag_invalid":
        # The one message of Pydantic that repeats what was sent.
        return f"{context['discriminator']} is none of {context['expected_tags']}"
    # Pydantic prefixes the message of a ValueError raised by a validator.
    return str(detail["msg"]).removeprefix("Value error, ")


def _from_status(status: int, detail: str) -> MainspringError:
    """An error of the tree for a bare status; one the tree does not know gets its own code from the status' name."""
    known = _BY_STATUS.get(status)
    phrase = HTTPStatus(status).phrase if status in HTTPStatus else "Error"
    if known is not None:
        return known("" if detail == phrase else detail)
    code = phrase.upper().replace(" ", "_").replace("-", "_").replace("'", "")
    kind: type[MainspringError] = type(
        "HTTPError", (MainspringError,), {"code": code, "status": status, "title": phrase}
    )
    return kind(detail)
