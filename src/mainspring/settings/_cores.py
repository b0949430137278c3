"""How many processor cores this process may use."""

import os
from pathlib import Path

_MOUNT = Path("/sys/fs/cgroup")


def usable_cores(mount: Path = _MOUNT, groups: Path = Path("/proc/self/cgroup")) -> tuple[int, str]:
    """The cores that one may plan with, and what says so.

    A container's limit (the CPU quota of its control group, version 2 or 1) does not change what the operating system
    reports, and workers beyond it would only be throttled. A part of a core counts as one from half upwards.

    Args:
        mount: Where control groups are mounted.
        groups: The file that names this process's groups.
    """
    found = os.process_cpu_count() or 1
    quotas = [quota for folder in _folders(mount, groups) if (quota := _quota(folder))]
    least = min(quotas, default=float(found))
    if least >= found:
        return found, "usable cores"
    return max(1, int(least + 0.5)), f"CPU quota of the container: {least:g} cores"


def _folders(mount: Path, groups: Path) -> list[Path]:
    """The process's own group and those above it, whose limits hold as well. Within a container its own is the root."""
    folders = [mount, mount / "cpu"]
    try:
        lines = groups.read_text(encoding="utf-8").splitlines()
    except OSError:
        return folders
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        root = mount / "cpu" if controllers else mount
        folder = root / path.lstrip("/")
        while folder not in {root, mount} and root in folder.parents:
            folders.append(folder)
            folder = folder.parent
    return folders


def _quota(folder: Path) -> float | None:
    unified = _words(folder / "cpu.max")
    if len(unified) == 2 and unified[0] != "max":
        return int(unified[0]) / int(unified[1])
    quota, period = _words(folder / "cpu.cfs_quota_us"), _words(folder / "cpu.cfs_period_us")
    if quota and period and int(quota[0]) > 0:
        return int(quota[0]) / int(period[0])
    return None


def _words(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="ascii").split()
    except OSError:
        return []
