"""The command line. Everything heavy is imported inside the commands, so that `--help` answers at once."""

from ._root import main

__all__ = ["main"]
