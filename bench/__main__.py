"""`make bench`, or `python -m bench [TABLE …] [--rounds N] [--seconds N]`."""

import argparse

from bench import pipeline, stages, startup, tracing

TABLES = {"pipeline": pipeline.main, "stages": stages.main, "startup": startup.main, "tracing": tracing.main}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench")
    parser.add_argument("tables", nargs="*", help=f"which: {', '.join(TABLES)}; all by default")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=4)
    options = parser.parse_args()
    unknown = set(options.tables) - set(TABLES)
    if unknown:
        parser.error(f"no table {', '.join(sorted(unknown))}; there are: {', '.join(TABLES)}")
    for name in options.tables or TABLES:
        TABLES[name](rounds=options.rounds, seconds=options.seconds)


if __name__ == "__main__":
    main()
