"""Metrics as plain numbers: cheap to count, to write down and to add up over workers.

`prometheus_client` is asked only when somebody scrapes, and once a second by a worker among others. Its objects cost 7.0 µs per request for the two counters and the
histogram that the pipeline keeps, the lists here 0.3 (measured with one label set, minimum of 15 runs).
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import accumulate
from math import isfinite
from typing import TYPE_CHECKING, Any, Literal

import orjson

if TYPE_CHECKING:
    from prometheus_client import Metric

type Key = tuple[str, ...]
type Kind = Literal["counter", "gauge", "histogram", "info"]
type Source = Callable[[], Iterable["Family"]]
"""Reads the present numbers; called from a thread, so it may copy and not iterate over what the event loop changes."""

_GROWING = frozenset({"counter", "histogram", "summary"})
# What `prometheus_client` adds to each series: when it began, which is a worker's affair.
_CREATED = "_created"
WORKER = "worker"


@dataclass(slots=True)
class Family:
    """One metric with all of its series.

    Attributes:
        name: As in Prometheus, without `_total` and the like.
        kind: Its type; `summary` and others come only from `prometheus_client` itself.
        help: One sentence.
        labels: Names of the labels; None for what `prometheus_client` has counted, whose keys carry the names.
        bounds: Upper bounds of a histogram's buckets, without infinity.
        values: By the labels' values: one number, or a histogram's buckets (not cumulative, the last for what is above
            all bounds) and then the sum.
    """

    name: str
    kind: str
    help: str
    labels: tuple[str, ...] | None = ()
    bounds: tuple[float, ...] = ()
    values: dict[Key, list[float]] = field(default_factory=dict)

    @property
    def grows(self) -> bool:
        """Whether it must never fall, so that a worker that ends leaves its numbers behind."""
        return self.kind in _GROWING

    def fits(self, other: "Family") -> bool:
        """Whether the numbers of another can be added; not after an update that changed the metric."""
        return (self.kind, self.labels, self.bounds) == (other.kind, other.labels, other.bounds)

    def add(self, other: "Family") -> None:
        """Add the numbers of another worker. An information is a 1 with labels and stays one."""
        for key, numbers in other.values.items():
            mine = self.values.get(key)
            if mine is None or self.kind == "info":
                self.values[key] = list(numbers)
            else:
                self.values[key] = [a + b for a, b in zip(mine, numbers, strict=True)]


def single(name: str, kind: Kind, explanation: str, value: float) -> Family:
    """A metric without labels."""
    return Family(name, kind, explanation, values={(): [value]})


def merged(groups: Iterable[Iterable[Family]]) -> list[Family]:
    """The families of several workers as one; the first one decides where they differ in form."""
    found: dict[str, Family] = {}
    for family in (family for group in groups for family in group):
        first = found.get(family.name)
        if first is None:
            found[family.name] = Family(
                family.name, family.kind, family.help, family.labels, family.bounds, dict(family.values)
            )
        elif first.fits(family):
            first.add(family)
    return list(found.values())


def foreign(worker: str) -> Iterator[Family]:
    """What was counted with `prometheus_client` itself: the process, the collector, a service's own metrics.

    Their gauges are told apart by worker: which of them may be added up is not known.
    """
    from prometheus_client import REGISTRY  # noqa: PLC0415 -- 50 ms, for scrapes and for workers among others

    for metric in REGISTRY.collect():
        family = Family(metric.name, metric.type, metric.documentation, labels=None)
        own = () if family.grows or metric.type == "info" else (WORKER, worker)
        for sample in metric.samples:
            # JSON has no infinity and no NaN; a gauge that is neither is missing for a while.
            if not sample.name.endswith(_CREATED) and isfinite(sample.value):
                names = sorted(sample.labels.items())
                key = (sample.name, *(text for pair in names for text in pair), *own)
                family.values[key] = [sample.value]
        yield family


def dumped(families: Iterable[Family]) -> bytes:
    """As JSON, for another process."""
    rows = [(f.name, f.kind, f.help, f.labels, f.bounds, list(f.values.items())) for f in families]
    return orjson.dumps(rows)


def loaded(content: bytes) -> list[Family]:
    """The reverse of `dumped`; nothing for what is not of this form, such as an older version's file."""
    try:
        return [_family(row) for row in orjson.loads(content)]
    except (ValueError, TypeError):
        return []


def _family(row: list[Any]) -> Family:
    name, kind, text, labels, bounds, values = row
    series = {tuple(key): numbers for key, numbers in values}
    return Family(name, kind, text, None if labels is None else tuple(labels), tuple(bounds), series)


def exposed(family: Family) -> "Metric":
    """As `prometheus_client` writes it out."""
    from prometheus_client import Metric  # noqa: PLC0415 -- as above

    metric = Metric(family.name, family.help, family.kind)
    for key, numbers in family.values.items():
        if family.labels is None:
            metric.add_sample(key[0], dict(zip(key[1::2], key[2::2], strict=True)), numbers[0])
            continue
        labels = dict(zip(family.labels, key, strict=True))
        if family.kind == "histogram":
            _add_histogram(metric, family.bounds, labels, numbers)
        else:
            suffix = {"counter": "_total", "info": "_info"}.get(family.kind, "")
            metric.add_sample(family.name + suffix, labels, numbers[0])
    return metric


def _add_histogram(metric: "Metric", bounds: tuple[float, ...], labels: dict[str, str], numbers: list[float]) -> None:
    *buckets, total = numbers
    names = [*(str(float(bound)) for bound in bounds), "+Inf"]
    reached = list(accumulate(buckets))
    for name, count in zip(names, reached, strict=True):
        metric.add_sample(f"{metric.name}_bucket", {**labels, "le": name}, count)
    metric.add_sample(f"{metric.name}_count", labels, reached[-1])
    metric.add_sample(f"{metric.name}_sum", labels, total)
