"""Whether memory stays flat: the full pipeline, one worker, mixed routes, many requests."""

import os
import re
import sys
import tempfile
from pathlib import Path

from bench.harness import CONNECTIONS, Case, machine, publish, served, wrk

# Hello, three dependencies, a 422 and a path that exists only once, in turn: what is kept per path, per error or per
# request would show.
SCRIPT = """
local n = 0
local seed = tostring(os.time())
request = function()
  n = n + 1
  local kind = n % 4
  if kind == 0 then return wrk.format("GET", "/hello") end
  if kind == 1 then return wrk.format("GET", "/deps/" .. n .. "?q=name" .. n .. "&limit=5") end
  if kind == 2 then return wrk.format("GET", "/deps/not-a-number-" .. n) end
  return wrk.format("GET", "/no/such/path/" .. seed .. "/" .. n)
end
"""
WARM_UP = 0.1
SAMPLES = 10
FLAT = 0.05


def main(*, requests: int) -> bool:
    """Print one row of figures; whether resident memory stayed within 5 %."""
    warm_up = max(10_000, int(requests * WARM_UP))
    with served(Case("chassis", "bench.apps.chassis:build", "/hello")) as pid, tempfile.TemporaryDirectory() as folder:
        script = Path(folder, "mixed.lua")
        script.write_text(SCRIPT)
        begun = resident(pid)
        errors = load(script, warm_up)[1]
        sizes, done = [resident(pid)], 0
        while done < requests:
            answered, failed = load(script, min(requests - done, max(requests // SAMPLES, 5_000)))
            done += answered
            errors += failed
            sizes.append(resident(pid))
            print(f"  {done:,} requests: {sizes[-1] / 1024:.1f} MiB", file=sys.stderr)
    growth = sizes[-1] / sizes[0] - 1
    flat = abs(growth) <= FLAT
    figures = (
        f"{done:,} | {begun / 1024:.1f} | {sizes[0] / 1024:.1f} | {max(sizes) / 1024:.1f} | {sizes[-1] / 1024:.1f}"
    )
    rows = [
        "### Soak",
        machine(),
        "",
        f"wrk -c{CONNECTIONS}; hello, three dependencies, 422s and paths that exist once, a quarter each; one process.",
        "",
        "| requests | at start MiB | after warm-up MiB | most MiB | at the end MiB | change | flat within 5 % | errors |",
        "|--:|--:|--:|--:|--:|--:|---|--:|",
        f"| {figures} | {growth:+.1%} | {'yes' if flat else 'NO'} | {errors} |",
        "",
    ]
    publish("soak", "\n".join(rows))
    return flat


def load(script: Path, requests: int) -> tuple[int, int]:
    """Drive about so many requests, two seconds at a time; how many were answered, and how many connections failed."""
    answered = failed = 0
    while answered < requests:
        text = wrk("-d2s", "-s", str(script), path="/")
        answered += int(re.search(r"(\d+) requests in", text).group(1))
        problems = re.search(r"connect (\d+), read (\d+), write (\d+), timeout (\d+)", text)
        failed += sum(map(int, problems.groups())) if problems else 0
    return answered, failed


def resident(pid: int) -> float:
    """Kilobytes of resident memory."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1024
