"""What a scrape is told: the numbers of this process, or of all workers of the service."""

import threading
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from typing import TYPE_CHECKING

from ._families import Family, Source, dumped, exposed, foreign, loaded, merged
from ._seats import Seat

if TYPE_CHECKING:
    from wsgiref.simple_server import WSGIServer

    from prometheus_client import Metric


def prometheus_installed() -> bool:
    """Whether metrics can be written out; does not import anything."""
    return find_spec("prometheus_client") is not None


class Exposition:
    """Gathers the metrics of a service.

    A worker among others writes its numbers down at its seat, and whichever worker is scraped adds up what it finds. A
    worker that has ended leaves its counters behind: who takes the seat next goes on counting from there, and until then
    they are added as they are; its gauges end with it. Since a worker writes its numbers down before it answers a scrape
    with them, no counter that was ever told can fall, even when a worker is killed.

    Args:
        sources: Where the numbers are read.
    """

    def __init__(self, sources: Iterable[Source]) -> None:
        self._sources = tuple(sources)
        self._seat: Seat | None = None
        self._inherited: list[Family] = []
        self._publishing = threading.Lock()

    def join(self, seat: Seat) -> None:
        """Become one of several workers."""
        self._inherited = [family for family in loaded(seat.read()) if family.grows]
        # At once, so that nobody takes the gauges of the last one on the seat for ours.
        seat.write(dumped(self._inherited))
        self._seat = seat

    def publish(self) -> list[Family]:
        """Write this worker's numbers down for the others; returns them."""
        with self._publishing:
            assert self._seat is not None
            families = merged([self._own(), foreign(str(self._seat.number)), self._inherited])
            self._seat.write(dumped(families))
            return families

    def collect(self) -> Iterator["Metric"]:
        """Every metric; `prometheus_client` calls it. It reads files, so it belongs into a thread."""
        if self._seat is None:
            from prometheus_client import REGISTRY  # noqa: PLC0415 -- 50 ms, for scrapes only

            yield from map(exposed, self._own())
            yield from REGISTRY.collect()
            return
        others = [_still_true(loaded(note.content), alive=note.alive) for note in self._seat.others()]
        yield from map(exposed, merged([self.publish(), *others]))

    def render(self, accept: str) -> tuple[bytes, str]:
        """The answer to a scrape and its content type: OpenMetrics for those who ask for it, Prometheus' own text
        otherwise.
        """
        from prometheus_client.exposition import choose_encoder  # noqa: PLC0415 -- as above

        write, content_type = choose_encoder(accept)
        return write(self), content_type

    def serve(self, host: str, port: int) -> "WSGIServer":
        """Answer scrapes on a port of its own, from a thread: also while the event loop is stuck.

        Raises:
            OSError: The port cannot be had.
        """
        from prometheus_client import CollectorRegistry, start_http_server  # noqa: PLC0415 -- as above

        registry = CollectorRegistry()
        registry.register(self)
        server, _ = start_http_server(port, host, registry)
        return server

    def leave(self) -> None:
        """Write the numbers down for the last time."""
        if self._seat is not None:
            self.publish()
            self._seat = None

    def _own(self) -> Iterator[Family]:
        for source in self._sources:
            yield from source()


def _still_true(families: Iterable[Family], *, alive: bool) -> list[Family]:
    return [family for family in families if alive or family.grows]
