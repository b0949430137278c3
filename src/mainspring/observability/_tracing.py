"""Tracing, as the rest of Mainspring and a service's own code see it: nothing, until an endpoint is set."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from mainspring import __version__

from ._context import LogContext, current_context, use_context
from ._traceparent import new_span_id, new_trace_id, parse_traceparent

if TYPE_CHECKING:
    from ._otel import Spans

_PATH = "/v1/traces"
_HEADER = re.compile(r"\s*([!#$%&'*+.^_`|~0-9A-Za-z-]+)\s*=\s*(.*?)\s*")
_FLUSH_SECONDS = 5.0


class Tracing:
    """Sends the spans of an application to a collector, by OTLP over HTTP.

    Nothing is imported or started before `start`.

    Args:
        endpoint: Base address of the collector (`http://localhost:4318`).
        headers: As in `OTEL_EXPORTER_OTLP_HEADERS`: `name=value,name=value`.
        ratio: Share of the traces begun here that are sampled, 0 to 1. A caller's decision is followed.
        service: Name, version and environment of the service, for the attributes of every span.

    Raises:
        ValueError: The endpoint is no HTTP address, or the headers are malformed.
        ModuleNotFoundError: The extra is not installed; the message names it.

    Attributes:
        spans: What makes them; None while it is not started.
    """

    def __init__(self, endpoint: str, *, headers: str = "", ratio: float = 1.0, service: tuple[str, str, str]) -> None:
        if not endpoint.startswith(("http://", "https://")):
            raise ValueError("It is no HTTP address. Write http://collector:4318; OTLP over gRPC is not spoken.")
        if find_spec("opentelemetry.sdk") is None or find_spec("opentelemetry.exporter") is None:
            raise ModuleNotFoundError(
                "Tracing needs OpenTelemetry's SDK. Install it: uv add 'mainspring[otel]'.", name="opentelemetry.sdk"
            )
        self._endpoint = endpoint.rstrip("/").removesuffix(_PATH) + _PATH
        self._headers = _parsed(headers)
        self._ratio = ratio
        self._service = service
        self.spans: Spans | None = None

    def start(self) -> None:
        """Make spans from now on."""
        from ._otel import Spans  # noqa: PLC0415 -- an optional extra

        name, version, environment = self._service
        resource = {"service.name": name, "service.version": version, "deployment.environment.name": environment}
        self.spans = _Running.spans = Spans(
            self._endpoint, self._headers, ratio=self._ratio, resource=resource, version=__version__
        )

    def stop(self, seconds: float = _FLUSH_SECONDS) -> None:
        """Make no more of them, and hand over those that wait; blocks at most about so many seconds."""
        spans, self.spans = self.spans, None
        if spans is None:
            return
        if _Running.spans is spans:
            _Running.spans = None
        spans.stop(seconds)


class _Running:
    """The spans of the running application; None while nothing is traced."""

    spans: "Spans | None" = None


@contextmanager
def span(name: str, **attributes: Any) -> Iterator[None]:
    """Show a block of the work as a span below the current one.

    `with span("price.order", lines=3): …`

    Costs about 1 µs while nothing is traced. An exception marks it as failed, by its type only: messages hold values.

    Args:
        name: Of the operation, never of the thing it is done to: there are as many as kinds of work.
        attributes: Text, numbers, truth values, or sequences of them. Underscores stay underscores.
    """
    spans = _Running.spans
    if spans is None:
        yield
    else:
        with spans.within(name, attributes):
            yield


class Call:
    """A call to another service that is under way, as a span below the current one."""

    __slots__ = ("_span",)

    def __init__(self, span: Any) -> None:
        self._span = span

    @property
    def traceparent(self) -> str:
        """What to hand to that service, so that its spans are below this one."""
        return _traceparent_of(self._span.get_span_context())

    def end(self, error: BaseException | str | None = None, attributes: Mapping[str, Any] | None = None) -> None:
        """It is over.

        Args:
            error: What it failed with, an exception or a status; only the name of its kind is recorded.
            attributes: What is known by now.
        """
        from ._otel import fail  # noqa: PLC0415 -- an optional extra

        self._span.set_attributes(attributes or {})
        if error is not None:
            fail(self._span, error)
        self._span.end()


def is_traced() -> bool:
    """Whether the running work is being traced: whether attributes for `begin_call` are worth collecting."""
    return _Running.spans is not None and _Running.spans.is_recording()


def begin_call(name: str, attributes: Mapping[str, Any]) -> Call | None:
    """Begin a call to another service; None, at next to no cost, where the running work is not traced.

    Args:
        name: Of the operation: `SELECT agents`, `POST`.
        attributes: By OpenTelemetry's conventions. No parameters, no query strings.
    """
    spans = _Running.spans
    begun = spans.call(name, attributes) if spans is not None else None
    return Call(begun) if begun is not None else None


def current_traceparent() -> str | None:
    """The W3C `traceparent` to put into a job or a message, so that whoever does the work joins the trace.

    Also where nothing is traced: the log lines of the work then still have the trace id. None outside of requests and
    jobs.
    """
    if _Running.spans is not None:
        from opentelemetry import trace  # noqa: PLC0415 -- an optional extra

        context = trace.get_current_span().get_span_context()
        if context.is_valid:
            return _traceparent_of(context)
    log = current_context()
    if log is None or log.trace_id is None:
        return None
    return f"00-{log.trace_id}-{new_span_id():016x}-00"


@contextmanager
def continue_trace(
    traceparent: str | None, name: str, *, request_id: str = "", **attributes: Any
) -> Iterator[LogContext]:
    """Do the work that a job or a message asks for, as part of the trace that has asked for it.

    The block's log lines have the trace id, and where tracing is on there is a span of it, with its children below.

    Args:
        traceparent: What `current_traceparent` gave; one that is malformed begins a new trace.
        name: Of the operation: `job send_mail`.
        request_id: Names the work in log lines; the trace id by default.
        attributes: As for `span`.
    """
    parent = parse_traceparent(traceparent or "")
    spans = _Running.spans
    if spans is None:
        trace_id = parent.trace_id if parent else new_trace_id()
        with use_context(LogContext(request_id or trace_id, trace_id)) as context:
            yield context
        return
    with (
        spans.continued(parent, name, attributes) as trace_id,
        use_context(LogContext(request_id or trace_id, trace_id)) as context,
    ):
        yield context


def _traceparent_of(context: Any) -> str:
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags & 1:02x}"


def _parsed(headers: str) -> dict[str, str]:
    parsed: dict[str, str] = {}
    for item in filter(str.strip, headers.split(",")):
        match = _HEADER.fullmatch(item)
        if match is None:
            raise ValueError("The headers are malformed. Write name=value,name=value.")
        parsed[match[1].lower()] = unquote(match[2])
    return parsed
