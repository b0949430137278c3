"""What leaves for the collector: decoded by OpenTelemetry's own classes, bounded, counted, and given up in time."""

import gc
import logging
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan, SpanProcessor
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags, get_tracer_provider

from mainspring.observability import Tracing
from mainspring.observability._otel._encode import EncodedSpan, Encoder
from mainspring.observability._otel._export import Batches, Exporter
from mainspring.observability._otel._span import ServerSpan
from tests.observability.capture import json_lines
from tests.observability.collector import listening

SAMPLED = TraceFlags(TraceFlags.SAMPLED)
RESOURCE = Resource({"service.name": "shop", "service.version": "1"})
SCOPES = (InstrumentationScope("mainspring", "1", "https://example.com/schema"), InstrumentationScope("other"))
scalars = st.text(max_size=300) | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False)
plain = st.dictionaries(st.sampled_from(["a", "b.c", "http.route", "server.port", "ünï"]), scalars)


def context(number, *, remote=False):
    return SpanContext(number, number % (2**64) or 1, is_remote=remote, trace_flags=SAMPLED)


@st.composite
def spans(draw):
    rich = draw(st.booleans())
    return ReadableSpan(
        name=draw(st.text(max_size=20)),
        context=context(draw(st.integers(1, 2**128 - 1))),
        parent=draw(st.none() | st.builds(context, st.integers(1, 2**128 - 1), remote=st.booleans())),
        resource=RESOURCE,
        attributes=draw(plain),
        events=[Event("happened", {"n": 1}, 5)] if rich else (),
        links=[Link(context(7))] if rich and draw(st.booleans()) else (),
        kind=draw(st.sampled_from(SpanKind)),
        status=Status(draw(st.sampled_from(StatusCode))),
        start_time=draw(st.integers(0, 2**63)),
        end_time=draw(st.integers(0, 2**63)),
        instrumentation_scope=draw(st.sampled_from(SCOPES)),
    )


def by_id(payload):
    """Spans with what surrounds them, in an order of their own: groups may be formed differently."""
    found = []
    for resource in ExportTraceServiceRequest.FromString(payload).resource_spans:
        for scope in resource.scope_spans:
            around = (str(resource.resource), resource.schema_url, str(scope.scope), scope.schema_url)
            found += [(span.SerializeToString(deterministic=True), *around) for span in scope.spans]
    return sorted(found)


@given(st.lists(spans(), max_size=6))
def test_the_encoding_means_what_the_sdks_own_means(batch):
    assert by_id(Encoder().encode(batch)) == by_id(encode_spans(batch).SerializeToString())


@given(plain, spans())
def test_a_request_encoded_ahead_of_its_batch_means_the_same(attributes, other):
    def ended():
        span = ServerSpan(context(5), context(6, remote=True), resource=RESOURCE, scope=SCOPES[0])
        span.close("GET /x", dict(attributes), failed=True)
        span._start_time, span._end_time = 1, 2
        return span

    encoder = Encoder()
    ahead = encoder.encode_request(ended())

    assert by_id(encoder.encode([ahead, other])) == by_id(encode_spans([ended(), other]).SerializeToString())


def test_what_waits_to_be_sent_is_one_object_for_the_garbage_collector():
    span = ServerSpan(context(5), None, resource=RESOURCE, scope=SCOPES[0])
    span.close("GET /x", {"http.route": "/x"}, failed=False)

    assert [kind for kind in gc.get_referents(Encoder().encode_request(span)) if kind is not EncodedSpan] == []


def test_what_is_equal_and_of_another_type_is_told_apart():
    encoder = Encoder()
    batch = [sample(number, n=value) for number, value in enumerate([True, 1, 1.0, "1"], 1)]
    kinds = [
        span.attributes[0].value.WhichOneof("value")
        for span in ExportTraceServiceRequest.FromString(encoder.encode(batch)).resource_spans[0].scope_spans[0].spans
    ]
    assert kinds == ["bool_value", "int_value", "double_value", "string_value"]


def test_half_a_surrogate_pair_costs_a_character_and_not_the_batch():
    decoded = ExportTraceServiceRequest.FromString(Encoder().encode([sample(1, path="/\ud800"), sample(2, path="/ä")]))
    assert [s.attributes[0].value.string_value for s in decoded.resource_spans[0].scope_spans[0].spans] == ["/?", "/ä"]


def test_what_is_kept_is_bounded():
    encoder = Encoder()
    for number in range(20_000):
        encoder.encode([sample(1, path=f"/things/{number}", long="x" * 1000)])
    assert len(encoder._kept) <= 8192


def sample(number=1, **attributes):
    return ReadableSpan(
        name="GET /x",
        context=context(number),
        resource=RESOURCE,
        attributes=attributes,
        start_time=1,
        end_time=2,
        instrumentation_scope=SCOPES[0],
    )


def tracing(url, **options):
    return Tracing(url, service=("shop", "1", "test"), **options)


@pytest.fixture(autouse=True)
def _the_sdks_loggers_are_put_back():
    names = ("opentelemetry.sdk._shared_internal", "opentelemetry.exporter.otlp.proto.http.trace_exporter")
    loggers = [logging.getLogger(name) for name in names]
    kept = [(logger, logger.level, logger.filters[:]) for logger in loggers]
    yield
    for logger, level, filters in kept:
        logger.setLevel(level)
        logger.filters[:] = filters


class TestTheQueue:
    def test_it_is_bounded_and_what_it_drops_is_counted_and_said_once(self, monkeypatch):
        monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "100")
        monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "10")
        with listening() as collector, json_lines() as lines:
            collector.held.clear()
            exporter = Exporter(f"{collector.url}/v1/traces", {})
            batches = Batches(exporter)
            for number in range(1, 1001):
                batches.on_end(sample(number))
            until(lambda: exporter.received == 10)
            assert len(batches._batch_processor._queue) <= 100
            assert 880 <= batches.dropped <= 900
            collector.held.set()
            batches.shutdown()
            assert len(collector.spans) + batches.dropped == 1000
            batches.tell()
            said = [line for line in lines() if "Spans were lost" in line["message"]]
        assert len(said) == 2
        assert said[-1]["extra"]["in_all"] == batches.lost

    def test_what_is_not_sampled_is_not_queued(self):
        with listening() as collector:
            batches = Batches(Exporter(f"{collector.url}/v1/traces", {}))
            batches.on_end(ReadableSpan("x", SpanContext(1, 1, is_remote=False), resource=RESOURCE))
            batches.shutdown()
        assert collector.bodies == []
        assert batches.dropped == 0


class TestTheExporter:
    def test_a_refusal_is_counted_and_said(self):
        with listening() as collector, json_lines() as lines:
            collector.status = 401
            sender = tracing(collector.url)
            sender.start()
            end_one(sender)
            sender.stop()
            assert [
                line["extra"]["spans"] for line in lines(message="Spans were lost: the collector does not take them")
            ] == [1]

    def test_a_collector_that_is_busy_is_asked_again(self):
        with listening() as collector:
            collector.status = 503
            sender = tracing(collector.url)
            sender.start()
            end_one(sender)
            stopping = threading.Thread(target=sender.stop)
            stopping.start()
            until(lambda: collector.bodies)
            collector.status = 200
            stopping.join(10)
            assert len(collector.bodies) == 2
            assert collector.bodies[0] == collector.bodies[1]

    def test_the_sdks_way_is_taken_where_it_is_built_otherwise(self, monkeypatch):
        with listening() as collector:
            exporter = Exporter(f"{collector.url}/v1/traces", {})
            ours, sent = exporter._client, []
            del exporter._client
            monkeypatch.setattr(
                "opentelemetry.exporter.otlp.proto.http.trace_exporter.OTLPSpanExporter.export",
                lambda _, spans: sent.extend(spans),
            )
            exporter.export([sample(1, password="hunter2")])
            exporter._client = ours
            exporter.shutdown()
        assert sent[0].attributes["password"] == "[redacted]"

    def test_stopping_ends_in_time_when_nobody_answers(self):
        with listening() as collector:
            collector.held.clear()
            sender = tracing(collector.url)
            sender.start()
            end_one(sender)
            began = time.monotonic()
            sender.stop(0.3)
            assert time.monotonic() - began < 5
            collector.held.set()


class TestOthersProcessors:
    def test_they_see_the_spans_of_requests_too(self):
        seen = []

        class Watcher(SpanProcessor):
            def on_start(self, span, parent_context=None):
                span.set_attribute("added", "at the start")
                seen.append(("start", span.get_span_context().trace_id))

            def on_end(self, span):
                seen.append(("end", span.name, span.attributes["added"], span.status.is_unset))

        with listening() as collector:
            sender = tracing(collector.url)
            sender.start()
            get_tracer_provider().add_span_processor(Watcher())
            end_one(sender)
            sender.stop()
        assert seen == [("start", 1), ("end", "GET /x", "at the start", True)]


def end_one(sender):
    """The span of a request, from its beginning to its end."""
    spans, span, token = sender.spans.begin(f"{1:032x}")
    span.close("GET /x", {"http.route": "/x"}, failed=False)
    spans.end(span, token)


def until(condition, seconds=10.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        threading.Event().wait(0.01)
