"""What process 1 of a container owes the others: to take note of the end of those whose parents are gone."""

import os
import threading
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path

_PERIOD_SECONDS = 10.0
# Looks at a process that has ended and that nobody waits for. Who starts a process waits for it much sooner, or gets
# along without its exit code.
_LOOKS = 6


def reap(known: Collection[int]) -> None:
    """Reap what has ended, but for processes that are waited for by somebody here."""
    with suppress(ChildProcessError):
        while found := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            if found.si_pid in known:
                return
            os.waitpid(found.si_pid, os.WNOHANG)


def reap_in_background(*, period: float = _PERIOD_SECONDS) -> None:
    """Reap what has ended long ago, in a thread.

    For a process that does other things as well, and whose code and libraries may start processes that nobody can list.

    Args:
        period: Seconds between two looks; what is found at six of them is nobody's.
    """

    def work() -> None:
        found: Counter[int] = Counter()
        pause = threading.Event()
        while True:
            pause.wait(period)
            ended = set(_ended_children())
            found = Counter({pid: found[pid] + 1 for pid in ended})
            for pid in [pid for pid, looks in found.items() if looks >= _LOOKS]:
                with suppress(ChildProcessError):
                    os.waitpid(pid, os.WNOHANG)

    threading.Thread(target=work, name="reaper", daemon=True).start()


def _ended_children() -> Iterator[int]:
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            # The command, in parentheses, may hold anything.
            state, parent, *_ = (
                (folder / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
            )
            if state == "Z" and int(parent) == os.getpid():
                yield int(folder.name)
