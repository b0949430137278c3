"""What tracing costs: Mainspring's, FastAPI's own and OpenTelemetry's instrumentation, all sent to a local collector."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from bench.harness import ROOT, Case, measure, peers, publish, table

SDK = ("fastapi", "uvicorn[standard]", "opentelemetry-sdk", "opentelemetry-exporter-otlp-proto-http")
CONTRIB = (*SDK, "opentelemetry-instrumentation-fastapi")


def main(*, rounds: int, seconds: int) -> None:
    native, contrib = peers("native-otel", *SDK), peers("contrib-otel", *CONTRIB)
    with collector() as endpoint:
        traced = {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint}
        some = traced | {"OTEL_TRACES_SAMPLER_ARG": "0.01"}
        own = traced | {"FASTAPI_OTEL_AUTO_CONFIGURE": "true"}
        cases = [
            Case("bare FastAPI", "bench.apps.bare:build", "/hello"),
            Case("Mainspring, all stages", "bench.apps.chassis:build", "/hello"),
            Case("Mainspring, traced 100 %", "bench.apps.chassis:build", "/hello", environment=traced),
            Case("Mainspring, traced 1 %", "bench.apps.chassis:build", "/hello", environment=some),
            Case("FastAPI's own, 100 %", "bench.apps.native:build", "/hello", native, own),
            Case("OpenTelemetry contrib, 100 %", "bench.apps.contrib:build", "/hello", contrib, traced),
        ]
        samples = measure(cases, rounds=rounds, seconds=seconds)
    publish("tracing", table("Tracing", cases, samples, base=cases[0].name))


@contextmanager
def collector() -> Iterator[str]:
    command = [sys.executable, "-m", "bench.collector"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
        finally:
            process.terminate()
