"""Reports defects to Sentry: once each, and without what they are about."""

import time
from collections.abc import Iterator
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

from ._context import LogContext
from ._logger import get_logger
from ._redaction import redact, redact_error

if TYPE_CHECKING:
    from sentry_sdk.types import Event

_log = get_logger(__name__)

_FLUSH_SECONDS = 2.0
# A report costs the event loop a millisecond or more, and the thousandth of one second says nothing new.
_MOST_PER_SECOND = 10
# Parts of an event that hold what the defect was about. Nothing of ours fills them; a service's own code may.
_LEFT_OUT = ("request", "user", "breadcrumbs", "modules", "extra")


class ErrorReports:
    """Sends defects to Sentry, or to what speaks its protocol.

    The SDK's integrations are all off: they would report the same defect again from the log line, wrap the pipeline and
    patch the standard library. What is sent is the exception with its frames, no local variables, no request, and its
    message as the log line has it.

    Args:
        dsn: The project's address, key included.
        release: Name and version of the service.
        environment: Where it runs.

    Raises:
        ValueError: The DSN is none.
        ModuleNotFoundError: The extra is not installed; the message names it.
    """

    def __init__(self, dsn: str, *, release: str, environment: str) -> None:
        parts = urlsplit(dsn)
        if parts.scheme not in {"http", "https"} or not parts.username or not parts.hostname or len(parts.path) < 2:
            raise ValueError("It is no DSN. Copy it from the project's settings: https://<key>@<host>/<project>.")
        if find_spec("sentry_sdk") is None:
            raise ModuleNotFoundError(
                "Error reports need Sentry's SDK. Install it: uv add 'mainspring[sentry]'.", name="sentry_sdk"
            )
        self._options: dict[str, Any] = {"dsn": dsn, "release": release, "environment": environment}
        self._client: Any = None
        self._second, self._count = 0, 0
        self.passed_over = 0

    def start(self) -> None:
        """Report from now on."""
        import sentry_sdk  # noqa: PLC0415 -- an optional extra

        sentry_sdk.init(
            **self._options,
            default_integrations=False,
            auto_enabling_integrations=False,
            include_local_variables=False,
            max_request_body_size="never",
            max_breadcrumbs=0,
            traces_sample_rate=None,
            send_client_reports=False,
            auto_session_tracking=False,
            shutdown_timeout=_FLUSH_SECONDS,
            before_send=_scrubbed,
        )
        self._client = sentry_sdk.get_client()

    def report(self, error: BaseException, *, context: LogContext, transaction: str) -> None:
        """Report a defect.

        Args:
            error: What was raised.
            context: Of the request or the job it was raised in.
            transaction: The route's template or the job's name: what Sentry groups by.
        """
        if self._client is None or not self._may_report():
            return
        import sentry_sdk  # noqa: PLC0415 -- an optional extra

        with sentry_sdk.new_scope() as scope:
            scope.set_transaction_name(transaction)
            for name, value in context.fields().items():
                scope.set_tag(name, value)
            sentry_sdk.capture_exception(error, scope=scope)

    def stop(self, seconds: float = _FLUSH_SECONDS) -> None:
        """Hand over what is waiting; blocks at most about so many seconds."""
        client, self._client = self._client, None
        if client is not None:
            client.close(timeout=seconds)
        if self.passed_over:
            _log.warning("Defects were not reported: there were too many at once", defects=self.passed_over)

    def _may_report(self) -> bool:
        second = int(time.monotonic())
        if second != self._second:
            self._second, self._count = second, 0
        self._count += 1
        if self._count <= _MOST_PER_SECOND:
            return True
        self.passed_over += 1
        return False


def _scrubbed(event: "Event", _: dict[str, Any]) -> "Event":
    _scrub(cast("dict[str, Any]", event))
    return event


def _scrub(event: dict[str, Any]) -> None:
    for name in _LEFT_OUT:
        event.pop(name, None)
    for value in _values(event):
        value["value"] = redact_error(value.get("value") or "")
        for frame in (value.get("stacktrace") or {}).get("frames") or ():
            frame.pop("vars", None)
    if isinstance(said := event.get("logentry"), dict):
        event["logentry"] = {"message": redact_error(str(said.get("formatted") or said.get("message") or ""))}
    if isinstance(message := event.get("message"), str):
        event["message"] = redact_error(message)
    for name in ("contexts", "tags"):
        if name in event:
            event[name] = redact(event[name])


def _values(event: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for part in ("exception", "threads"):
        yield from (event.get(part) or {}).get("values") or ()
