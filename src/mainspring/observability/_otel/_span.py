"""The span of a request: OpenTelemetry's interface at a fifth of the SDK's price."""

import traceback
from collections.abc import Mapping
from time import time_ns
from typing import override

from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util import BoundedList
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import INVALID_SPAN, Link, NonRecordingSpan, Span, SpanContext, SpanKind, Status, StatusCode
from opentelemetry.util.types import Attributes, AttributeValue

from mainspring.observability._context import current_context
from mainspring.observability._redaction import type_of
from mainspring.observability._traceparent import new_span_id

_UNNAMED = "HTTP"
_UNSET, _ERROR = Status(StatusCode.UNSET), Status(StatusCode.ERROR)
# The SDK's own limit for attributes, events and links alike.
_MOST = 128


class ServerSpan(ReadableSpan, Span):
    """What `trace.get_current_span()` gives in a handler. The pipeline names, ends and exports it.

    The SDK's spans take 20 µs from start to queue: a lock around every call, a sampler that is asked again, limits that
    are looked after one attribute at a time, a copy at the end. This one takes 4, because what the pipeline says about
    a request it says once, at the end.
    """

    def __init__(
        self, context: SpanContext, parent: SpanContext | None, *, resource: Resource, scope: InstrumentationScope
    ) -> None:
        super().__init__(
            name=_UNNAMED,
            context=context,
            parent=parent,
            resource=resource,
            kind=SpanKind.SERVER,
            status=_UNSET,
            start_time=time_ns(),
            instrumentation_scope=scope,
        )
        # Whether it has more to it than what the pipeline says of every request.
        self.enriched = bool(context.trace_state)

    def close(self, name: str, attributes: dict[str, AttributeValue], *, failed: bool) -> None:
        """End it with what the pipeline knows of the request; what the handler has said wins."""
        if self._name is _UNNAMED:
            self._name = name
        if self._attributes:
            attributes.update(self._attributes)
        self._attributes = attributes
        if failed and self._status is _UNSET:
            self._status = _ERROR
        self._end_time = time_ns()

    @override
    def get_span_context(self) -> SpanContext:
        assert self._context is not None
        return self._context

    @override
    def is_recording(self) -> bool:
        return self._end_time is None

    @override
    def set_attribute(self, key: str, value: AttributeValue) -> None:
        if self._end_time is not None:
            return
        if not isinstance(self._attributes, BoundedAttributes):
            self._attributes = BoundedAttributes(_MOST, immutable=False)
            self.enriched = True
        self._attributes[key] = value

    @override
    def set_attributes(self, attributes: Mapping[str, AttributeValue]) -> None:
        for key, value in attributes.items():
            self.set_attribute(key, value)

    @override
    def add_event(self, name: str, attributes: Attributes = None, timestamp: int | None = None) -> None:
        if self._end_time is not None:
            return
        if not isinstance(self._events, BoundedList):
            self._events = BoundedList(_MOST)
            self.enriched = True
        self._events.append(Event(name, BoundedAttributes(_MOST, attributes), timestamp))

    @override
    def add_link(self, context: SpanContext, attributes: Attributes = None) -> None:
        if self._end_time is None and context.is_valid:
            if not isinstance(self._links, BoundedList):
                self._links = BoundedList(_MOST)
                self.enriched = True
            self._links.append(Link(context, BoundedAttributes(_MOST, attributes)))

    @override
    def update_name(self, name: str) -> None:
        self._name = name

    @override
    def set_status(self, status: Status | StatusCode, description: str | None = None) -> None:
        new = status if isinstance(status, Status) else Status(status, description)
        # OK is the last word, and UNSET none (specification of the API, "Set Status").
        if self._end_time is None and self._status.status_code is not StatusCode.OK and not new.is_unset:
            self._status = new
            self.enriched = True

    @override
    def record_exception(
        self,
        exception: BaseException,
        attributes: Attributes = None,
        timestamp: int | None = None,
        escaped: bool = False,
    ) -> None:
        said = {
            "exception.type": type_of(exception),
            "exception.message": str(exception),
            "exception.stacktrace": "".join(traceback.format_exception(exception)),
        }
        self.add_event("exception", {**said, **(attributes or {})}, timestamp)

    @override
    def end(self, end_time: int | None = None) -> None:
        """Nothing: the request is not over, and the pipeline ends it."""


class UnsampledSpan(NonRecordingSpan):
    """Stands for every request that is not sampled, so that such a request costs no object.

    Who asks for its context, to call another service, gets one of the running request's trace.
    """

    def __init__(self) -> None:
        super().__init__(INVALID_SPAN.get_span_context())

    @override
    def get_span_context(self) -> SpanContext:
        log = current_context()
        if log is None or log.trace_id is None:
            return super().get_span_context()
        return SpanContext(int(log.trace_id, 16), new_span_id(), is_remote=False)


def fail(span: Span, error: BaseException | str) -> None:
    """Mark a span as failed, by the kind of the error: the log line of its trace has message and traceback."""
    span.set_attribute("error.type", error if isinstance(error, str) else type_of(error))
    span.set_status(StatusCode.ERROR)
