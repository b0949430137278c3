"""`make bench`, or `python -m bench [TABLE …] [--rounds N] [--seconds N]`; `python -m bench soak [--requests N]`; or
`python -m bench bulk|listing [--rounds N] [--quick]`.
"""

import argparse
import sys

from bench import audit_trail, bulk, listing, pipeline, reads, soak, stages, startup, tracing

TABLES = {
    "pipeline": pipeline.main,
    "reads": reads.main,
    "stages": stages.main,
    "startup": startup.main,
    "tracing": tracing.main,
    "audit_trail": audit_trail.main,
}

APART = {"bulk": bulk.main, "listing": listing.main}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench")
    parser.add_argument(
        "tables", nargs="*", help=f"which: {', '.join(TABLES)} (all by default), or one of soak, bulk, listing"
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--requests", type=int, default=1_000_000, help="of the soak")
    parser.add_argument("--quick", action="store_true", help="bulk and listing: a few rows, printed and not written")
    options = parser.parse_args()
    if options.tables == ["soak"]:
        # Not among the others: it takes minutes.
        sys.exit(0 if soak.main(requests=options.requests) else 1)
    if options.tables in (["bulk"], ["listing"]):
        # Nor these: they need a PostgreSQL server, and minutes.
        APART[options.tables[0]](rounds=options.rounds, quick=options.quick)
        return
    unknown = set(options.tables) - set(TABLES)
    if unknown:
        parser.error(f"no table {', '.join(sorted(unknown))}; there are: {', '.join(TABLES)}")
    for name in options.tables or TABLES:
        TABLES[name](rounds=options.rounds, seconds=options.seconds)


if __name__ == "__main__":
    main()
