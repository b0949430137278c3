"""Encodes spans as OTLP: what recurs is encoded once.

The SDK's own encoder builds a message per attribute and takes 40 to 60 µs for a request's span, several times what the
whole pipeline costs. Nearly all attributes of a service's spans recur, and protobuf's encoding of a message is the
encodings of its fields in a row; so their bytes are kept, and a span is a few of its own bytes followed by those. What
has more to it than scalars (events, links, a trace state) goes through the SDK's encoder.
"""

from collections.abc import Iterable, Mapping
from struct import Struct
from typing import Any, cast

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope as ScopeMessage
from opentelemetry.proto.resource.v1.resource_pb2 import Resource as ResourceMessage
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span
from opentelemetry.proto.trace.v1.trace_pb2 import Status as StatusMessage
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, StatusCode, TraceFlags

from ._clean import clean_attribute, clean_span
from ._span import ServerSpan

type _Scalar = str | bool | int | float

# Tags of the wire format, from the field numbers in opentelemetry/proto/trace/v1: `resource_spans` of a request,
# `scope_spans` and `spans` within; then fields of a span that never recur, with their lengths where they have one.
_RESOURCE_SPANS = b"\x0a"
_SCOPE_SPANS = b"\x12"
_SPANS = b"\x12"
_TRACE_ID, _SPAN_ID, _PARENT_ID = b"\x0a\x10", b"\x12\x08", b"\x22\x08"
_START, _END = b"\x39", b"\x41"
_IDS = Struct("<2s16s2s8s").pack
_TIMES = Struct("<sQsQ").pack
_SCALARS = frozenset({str, bool, int, float})
_MOST_KEPT = 8192
_LONGEST_KEPT = 256
# SpanFlags of opentelemetry/proto: whether the parent is remote is known; it is.
_HAS_IS_REMOTE, _IS_REMOTE = 0x100, 0x200


class EncodedSpan(bytes):
    """The span of a request on its way to the collector, as a field of `ScopeSpans`.

    What waits in the queue outlives the request. Waiting as a span, it is a dozen objects that the garbage collector
    takes for long-lived, so that it looks through everything there is all the more often; this is one.
    """

    __slots__ = ()
    context = SpanContext(1, 1, is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED))
    """For the queue, which asks whether a span is sampled; not this one's ids."""


class Encoder:
    """Turns batches of spans into the body of an OTLP export, cleaned of what may not leave the process."""

    def __init__(self) -> None:
        # Of the encoded spans, which are all one service's and the pipeline's.
        self._resource: Resource | None = None
        self._scope: InstrumentationScope | None = None
        self._kept: dict[tuple[str, _Scalar, type[_Scalar]], bytes] = {}
        self._kinds: dict[tuple[str, SpanKind, StatusCode, bool], bytes] = {}

    def encode(self, spans: Iterable[ReadableSpan | EncodedSpan]) -> bytes:
        """The body of an `ExportTraceServiceRequest`."""
        encoded: list[bytes] = []
        simple: dict[tuple[int, int], list[ReadableSpan]] = {}
        others: list[ReadableSpan] = []
        for span in spans:
            if isinstance(span, EncodedSpan):
                encoded.append(span)
            elif _is_simple(span):
                simple.setdefault((id(span.resource), id(span.instrumentation_scope)), []).append(span)
            else:
                others.append(clean_span(span))
        parts = [
            self._group(group[0].resource, group[0].instrumentation_scope, map(self._field, group))
            for group in simple.values()
        ]
        if encoded and self._resource is not None:
            parts.append(self._group(self._resource, self._scope, encoded))
        if others:
            parts.append(encode_spans(others).SerializeToString())
        return b"".join(parts)

    def encode_request(self, span: ServerSpan) -> EncodedSpan:
        """The span of a request ahead of its batch; of one that is not enriched, and of one service only."""
        self._resource, self._scope = span.resource, span.instrumentation_scope
        return EncodedSpan(self._field(span))

    def _field(self, span: ReadableSpan) -> bytes:
        encoded = self._span(span)
        return b"".join((_SPANS, _varint(len(encoded)), encoded))

    def _group(self, resource: Resource, scope: InstrumentationScope | None, fields: Iterable[bytes]) -> bytes:
        """Spans of one resource and scope, as one `ResourceSpans`."""
        head = ScopeSpans(
            scope=ScopeMessage(name=scope.name, version=scope.version or "") if scope else None,
            schema_url=(scope.schema_url if scope else None) or "",
        ).SerializeToString()
        outer = ResourceSpans(
            resource=ResourceMessage(attributes=[_key_value(key, value) for key, value in resource.attributes.items()]),
            schema_url=resource.schema_url,
        ).SerializeToString()
        body = b"".join((head, *fields))
        body = b"".join((outer, _SCOPE_SPANS, _varint(len(body)), body))
        return b"".join((_RESOURCE_SPANS, _varint(len(body)), body))

    def _span(self, span: ReadableSpan) -> bytes:
        context, parent, kept = span.context, span.parent, self._kept
        ids = _IDS(_TRACE_ID, context.trace_id.to_bytes(16), _SPAN_ID, context.span_id.to_bytes(8))
        times = _TIMES(_START, span.start_time, _END, span.end_time)
        parts = [ids, times, self._kind(span)]
        if parent is not None:
            parts += (_PARENT_ID, parent.span_id.to_bytes(8))
        for key, value in cast("Mapping[str, _Scalar]", span.attributes).items():
            # True and 1 and 1.0 are equal, and different attributes.
            fragment = kept.get((key, value, value.__class__))
            parts.append(fragment if fragment is not None else self._fragment(key, value))
        return b"".join(parts)

    def _kind(self, span: ReadableSpan) -> bytes:
        """What a span has in common with others of its kind, as fields of a span."""
        status = span.status.status_code
        remote = span.parent is not None and span.parent.is_remote
        key = (span.name, span.kind, status, remote)
        known = self._kinds.get(key)
        if known is None:
            known = self._kinds[key] = Span(
                name=_text(span.name),
                # The message's numbers begin at one, with 0 for unspecified.
                kind=cast("Any", span.kind.value + 1),
                status=StatusMessage(code=cast("Any", status.value)),
                flags=_HAS_IS_REMOTE | _IS_REMOTE if remote else _HAS_IS_REMOTE,
            ).SerializeToString()
            if len(self._kinds) > _MOST_KEPT:
                self._kinds = {key: known}
        return known

    def _fragment(self, key: str, value: _Scalar) -> bytes:
        """One attribute as a field of a span."""
        fragment: bytes = Span(attributes=[_key_value(key, clean_attribute(key, value))]).SerializeToString()
        if len(fragment) <= _LONGEST_KEPT:
            if len(self._kept) >= _MOST_KEPT:
                # Paths with ids in them, mostly; what recurs is back within a batch.
                self._kept.clear()
            self._kept[key, value, value.__class__] = fragment
        return fragment


def _is_simple(span: ReadableSpan) -> bool:
    if isinstance(span, ServerSpan):
        # What the pipeline says of a request is simple; the handler may have said more.
        return not span.enriched
    scope, context = span.instrumentation_scope, span.context
    return (
        not span.events
        and not span.links
        and not span.status.description
        and not context.trace_state
        and not (scope is not None and scope.attributes)
        and not span.dropped_attributes
        and all(value.__class__ in _SCALARS for value in (span.attributes or {}).values())
    )


def _key_value(key: str, value: Any) -> KeyValue:
    match value:
        case bool():
            return KeyValue(key=key, value=AnyValue(bool_value=value))
        case int():
            return KeyValue(key=key, value=AnyValue(int_value=value))
        case float():
            return KeyValue(key=key, value=AnyValue(double_value=value))
        case _:
            return KeyValue(key=key, value=AnyValue(string_value=_text(str(value))))


def _text(value: str) -> str:
    # A header or a path may hold half a surrogate pair, which protobuf refuses.
    return value if value.isascii() else value.encode("utf-8", "replace").decode()


def _varint(number: int) -> bytes:
    groups = bytearray()
    while number > 0x7F:
        groups.append(number & 0x7F | 0x80)
        number >>= 7
    groups.append(number)
    return bytes(groups)
