"""What the pipeline costs: bare FastAPI, the same on Mainspring, and what people usually mount."""

from bench.harness import Case, measure, peers, publish, table

TYPICAL = ("fastapi", "uvicorn[standard]", "slowapi", "structlog", "prometheus-fastapi-instrumentator")


def main(*, rounds: int, seconds: int) -> None:
    typical = peers("typical", *TYPICAL)
    for route, path in (("hello", "/hello"), ("three dependencies", "/deps/7?q=name&limit=5")):
        cases = [
            Case("bare FastAPI", "bench.apps.bare:build", path),
            Case("Mainspring, all stages", "bench.apps.chassis:build", path),
            Case("typical stack", "bench.apps.typical:build", path, typical),
        ]
        samples = measure(cases, rounds=rounds, seconds=seconds)
        publish(f"pipeline_{path.split('/')[1]}", table(f"Pipeline: {route}", cases, samples, base=cases[0].name))
