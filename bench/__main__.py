"""`make bench`, or `python -m bench [TABLE …] [--rounds N] [--seconds N]`, or `python -m bench soak [--requests N]`."""

import argparse
import sys

from bench import audit_trail, pipeline, reads, soak, stages, startup, tracing

TABLES = {
    "pipeline": pipeline.main,
    "reads": reads.main,
    "stages": stages.main,
    "startup": startup.main,
    "tracing": tracing.main,
    "audit_trail": audit_trail.main,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench")
    parser.add_argument("tables", nargs="*", help=f"which: {', '.join(TABLES)} (all by default), or soak")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--requests", type=int, default=1_000_000, help="of the soak")
    options = parser.parse_args()
    if options.tables == ["soak"]:
        # Not among the others: it takes minutes.
        sys.exit(0 if soak.main(requests=options.requests) else 1)
    unknown = set(options.tables) - set(TABLES)
    if unknown:
        parser.error(f"no table {', '.join(sorted(unknown))}; there are: {', '.join(TABLES)}")
    for name in options.tables or TABLES:
        TABLES[name](rounds=options.rounds, seconds=options.seconds)


if __name__ == "__main__":
    main()
