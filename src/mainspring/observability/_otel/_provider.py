"""What makes spans, and where they go."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import Token
from typing import Any, override

from opentelemetry import trace
from opentelemetry.context import Context, attach, detach
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import SpanProcessor, SynchronousMultiSpanProcessor
from opentelemetry.sdk.trace import TracerProvider as SdkProvider
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import (
    NonRecordingSpan,
    ProxyTracerProvider,
    SpanContext,
    SpanKind,
    TraceFlags,
    Tracer,
    TracerProvider,
    TraceState,
    set_span_in_context,
)

from mainspring.observability._logger import get_logger
from mainspring.observability._traceparent import TraceParent, new_span_id

from ._export import Batches, Exporter
from ._span import ServerSpan, UnsampledSpan, fail

_log = get_logger(__name__)

_SCHEMA = "https://opentelemetry.io/schemas/1.37.0"
_EMPTY = Context()
_UNSAMPLED = set_span_in_context(UnsampledSpan(), _EMPTY)
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)

type Begun = tuple[Spans, ServerSpan | None, Token[Context]]
"""Whose span, the span of a request (None for one that is not sampled), and what ends its time as the current one."""


class Spans:
    """The spans of one application: of its requests, and of the libraries that ask OpenTelemetry for a tracer.

    Args:
        endpoint: Where traces are posted to.
        headers: Sent along.
        ratio: Share of the traces begun here that are sampled.
        resource: Attributes of the service; `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` add to them and win.
        version: Of Mainspring.
    """

    def __init__(
        self, endpoint: str, headers: Mapping[str, str], *, ratio: float, resource: Mapping[str, str], version: str
    ) -> None:
        self._resource = Resource.create(dict(resource)).merge(OTELResourceDetector().detect())
        self._scope = InstrumentationScope("mainspring", version, _SCHEMA)
        # The specification's comparison, of the id's lower half, so that every service decides alike.
        self._bound = TraceIdRatioBased.get_bound_for_rate(ratio)
        self._exporter: Any = Exporter(endpoint, headers)
        self._batches = Batches(self._exporter)
        # Ours to call for the spans of requests, which the SDK does not make.
        self._processors = _untyped(_Processors)()
        self._provider: Any = SdkProvider(
            sampler=ParentBased(TraceIdRatioBased(ratio)),
            resource=self._resource,
            shutdown_on_exit=False,
            active_span_processor=self._processors,
        )
        self._provider.add_span_processor(self._batches)
        self.tracer = self._provider.get_tracer("mainspring", version, _SCHEMA)
        _door.open(self._provider)

    def begin(self, trace_id: str) -> Begun:
        """Begin the span of a request that begins a trace, and make it the current one."""
        number = int(trace_id, 16)
        if number & TraceIdRatioBased.TRACE_ID_LIMIT < self._bound:
            return self._begin(SpanContext(number, new_span_id(), is_remote=False, trace_flags=_SAMPLED), None)
        return self.pass_over()

    def join(self, caller: TraceParent, state: bytes | None) -> Begun:
        """Begin the span of a request that is part of a trace; the caller has decided whether it is sampled."""
        if not caller.sampled:
            return self.pass_over()
        number = int(caller.trace_id, 16)
        states = TraceState.from_header([state.decode("latin-1")]) if state else None
        parent = SpanContext(number, int(caller.span_id, 16), is_remote=True, trace_flags=_SAMPLED, trace_state=states)
        context = SpanContext(number, new_span_id(), is_remote=False, trace_flags=_SAMPLED, trace_state=states)
        return self._begin(context, parent)

    def pass_over(self) -> Begun:
        """Begin a request that is not sampled: nothing below it is, either."""
        return self, None, attach(_UNSAMPLED)

    def end(self, span: ServerSpan | None, token: Token[Context]) -> None:
        """Hand over the span of a request, if it has one; it is the current one no more."""
        if span is not None:
            if span.enriched or self._processors.others or not self._exporter.takes_encoded:
                self._processors.on_end(span)
            else:
                self._batches.on_end(self._exporter.encoder.encode_request(span))
        detach(token)

    def _begin(self, context: SpanContext, parent: SpanContext | None) -> Begun:
        span = ServerSpan(context, parent, resource=self._resource, scope=self._scope)
        if self._processors.others:
            self._processors.on_start(span, _EMPTY)
        return self, span, attach(set_span_in_context(span, _EMPTY))

    @contextmanager
    def continued(self, caller: TraceParent | None, name: str, attributes: Mapping[str, Any]) -> Iterator[str]:
        """A span of work that a message has asked for; gives the trace's id."""
        context = _EMPTY
        if caller is not None:
            flags = _SAMPLED if caller.sampled else TraceFlags()
            remote = SpanContext(int(caller.trace_id, 16), int(caller.span_id, 16), is_remote=True, trace_flags=flags)
            context = set_span_in_context(NonRecordingSpan(remote), _EMPTY)
        with self._within(name, SpanKind.CONSUMER, attributes, context) as span:
            yield f"{span.get_span_context().trace_id:032x}"

    @contextmanager
    def within(self, name: str, attributes: Mapping[str, Any]) -> Iterator[None]:
        """A span of a part of the work."""
        with self._within(name, SpanKind.INTERNAL, attributes, None):
            yield

    @contextmanager
    def _within(
        self, name: str, kind: SpanKind, attributes: Mapping[str, Any], context: Context | None
    ) -> Iterator[trace.Span]:
        with self.tracer.start_as_current_span(
            name, context, kind, attributes, record_exception=False, set_status_on_exception=False
        ) as span:
            try:
                yield span
            except Exception as error:
                fail(span, error)
                raise

    @staticmethod
    def is_recording() -> bool:
        """Whether the current span is sampled, and not over."""
        return trace.get_current_span().is_recording()

    def call(self, name: str, attributes: Mapping[str, Any]) -> trace.Span | None:
        """A span of a call to another service, not made the current one; None where the work is not sampled."""
        if not self.is_recording():
            return None
        return self.tracer.start_span(name, None, SpanKind.CLIENT, attributes)

    def stop(self, seconds: float) -> None:
        """Hand over what is waiting; what the collector has not taken by then is lost. Blocks."""
        _door.close(self._provider)
        ending = threading.Thread(target=self._provider.shutdown, name="last spans", daemon=True)
        ending.start()
        ending.join(seconds)
        if ending.is_alive():
            # Interrupts its retries; what is left in the queue is then refused, and counted.
            self._exporter.shutdown()
        self._batches.tell()


class _Processors(SynchronousMultiSpanProcessor):
    """The processors of a provider.

    Attributes:
        others: How many there are beside ours, which is the first.
    """

    others = -1

    @override
    def add_span_processor(self, span_processor: SpanProcessor) -> None:
        super().add_span_processor(span_processor)
        self.others += 1


def _untyped(made: Any) -> Any:
    """Not all of the SDK has types."""
    return made


class _Door(TracerProvider):
    """The process-wide provider: whichever application runs is behind it.

    OpenTelemetry lets a process set its provider once. Applications come and go, in tests many of them; and a library's
    spans are none of an application's that has ended.
    """

    def __init__(self) -> None:
        self._behind: SdkProvider | None = None

    def open(self, provider: SdkProvider) -> None:
        present = trace.get_tracer_provider()
        if isinstance(present, ProxyTracerProvider):
            trace.set_tracer_provider(self)
        elif present is not self:
            _log.warning("Somebody else has set OpenTelemetry's provider; libraries' spans go there")
        self._behind = provider

    def close(self, provider: SdkProvider) -> None:
        if self._behind is provider:
            self._behind = None

    @property
    def behind(self) -> TracerProvider:
        return self._behind or _NOBODY

    def add_span_processor(self, processor: Any) -> None:
        """As the SDK's provider has it, for what looks for it."""
        if self._behind is not None:
            self._behind.add_span_processor(processor)

    @override
    def get_tracer(self, *args: Any, **options: Any) -> Tracer:
        return _DoorTracer(args, options)


_NOBODY = trace.NoOpTracerProvider()


class _DoorTracer(Tracer):
    """A library keeps its tracer; this one asks anew which application is running."""

    def __init__(self, args: tuple[Any, ...], options: dict[str, Any]) -> None:
        self._args, self._options = args, options
        self._of: TracerProvider | None = None
        self._tracer: Tracer = trace.NoOpTracer()

    def _current(self) -> Tracer:
        behind = _door.behind
        if behind is not self._of:
            self._tracer = behind.get_tracer(*self._args, **self._options)
            self._of = behind
        return self._tracer

    @override
    def start_span(self, *args: Any, **options: Any) -> trace.Span:
        return self._current().start_span(*args, **options)

    @override
    def start_as_current_span(self, *args: Any, **options: Any) -> Any:
        return self._current().start_as_current_span(*args, **options)


_door = _Door()
