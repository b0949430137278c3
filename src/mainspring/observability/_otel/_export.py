"""Hands spans to the collector, and gives up before the service has to suffer."""

import logging
import os
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import count
from typing import cast, override

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExportResult

from mainspring.observability._logger import get_logger

from ._clean import clean_span
from ._encode import EncodedSpan, Encoder

_log = get_logger(__name__)

# A few seconds of an ordinary service, a second of a busy one; at 2 kB a span about 16 MB. The SDK's own 2048 are a
# third of a second of a busy one, and a collector's pause is longer than that.
_MOST_WAITING = 8192
_SECONDS_BETWEEN_COMPLAINTS = 60.0


class Exporter(OTLPSpanExporter):
    """The SDK's exporter, with its retries, its compression and its TLS, and our encoder.

    Attributes:
        received: Spans that it was handed.
        failed: Of those, the ones that the collector has not taken.
        on_failure: Called after each failure.
        encoder: What encodes for it, also ahead of a batch.
    """

    def __init__(self, endpoint: str, headers: Mapping[str, str]) -> None:
        super().__init__(endpoint=endpoint, headers=headers or None)
        self.received = self.failed = 0
        self.on_failure: Callable[[], None] = _nothing
        self.encoder = Encoder()

    @property
    def takes_encoded(self) -> bool:
        """Whether the SDK is built as expected, so that bytes can be sent; else its own way takes longer."""
        return getattr(self, "_client", None) is not None

    @override
    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.received += len(spans)
        sent = self._sent(spans)
        if not sent:
            self.failed += len(spans)
            self.on_failure()
        return SpanExportResult.SUCCESS if sent else SpanExportResult.FAILURE

    def _sent(self, spans: Sequence[ReadableSpan]) -> bool:
        if not self.takes_encoded:
            return super().export([clean_span(span) for span in spans]) is SpanExportResult.SUCCESS
        if self._shutdown:
            return False
        return bool(self._client.export(self.encoder.encode(spans)).success)


def _nothing() -> None: ...


class Batches(BatchSpanProcessor):
    """The SDK's queue, which drops the oldest spans when it is full, with a count of what is lost.

    Attributes:
        dropped: Spans that the queue had no room for.
    """

    def __init__(self, exporter: Exporter) -> None:
        self._most = _most_waiting()
        self._exporter = exporter
        self._ended = count(1)
        self._told = 0
        self._quiet_until = 0.0
        self.dropped = 0
        _quieten()
        exporter.on_failure = self.complain
        super().__init__(exporter, max_queue_size=self._most)

    @override
    def on_end(self, span: ReadableSpan | EncodedSpan) -> None:
        context = span.context
        if context is None or not context.trace_flags.sampled:
            return
        super().on_end(cast("ReadableSpan", span))
        # Each span was received by the exporter, waits, or was dropped; and at the moment of a drop the queue is full.
        dropped = next(self._ended) - self._exporter.received - self._most
        if dropped > self.dropped:
            self.dropped = dropped
            self.complain()

    @property
    def lost(self) -> int:
        """Spans that were dropped, or that the collector has not taken."""
        return self.dropped + self._exporter.failed

    def complain(self) -> None:
        """Log what has been lost, unless that was done a moment ago."""
        if time.monotonic() >= self._quiet_until:
            self.tell()

    def tell(self) -> None:
        """Log what has been lost since it was said last."""
        lost = self.lost
        if lost > self._told:
            _log.warning("Spans were lost: the collector does not take them", spans=lost - self._told, in_all=lost)
            self._told = lost
            self._quiet_until = time.monotonic() + _SECONDS_BETWEEN_COMPLAINTS


def _most_waiting() -> int:
    try:
        return int(os.environ.get("OTEL_BSP_MAX_QUEUE_SIZE") or _MOST_WAITING)
    except ValueError:
        # As the SDK does with its variables.
        _log.warning("OTEL_BSP_MAX_QUEUE_SIZE is no number; the default holds", spans=_MOST_WAITING)
        return _MOST_WAITING


class _Seldom(logging.Filter):
    """Lets one record a minute through."""

    def __init__(self) -> None:
        super().__init__()
        self._quiet_until = 0.0

    @override
    def filter(self, record: logging.LogRecord) -> bool:
        now = time.monotonic()
        if now < self._quiet_until:
            return False
        self._quiet_until = now + _SECONDS_BETWEEN_COMPLAINTS
        return True


_seldom = _Seldom()


def _quieten() -> None:
    """The SDK complains about each span that it drops, and of each batch up to six times."""
    logging.getLogger("opentelemetry.sdk._shared_internal").setLevel(logging.ERROR)
    logging.getLogger(OTLPSpanExporter.__module__).addFilter(_seldom)
