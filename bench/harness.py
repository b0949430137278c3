"""Serves each case in a process of its own and loads it with wrk, round by round, so that noise hits all alike."""

import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from zlib import crc32

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "bench" / "results"
PORT = 8399
CONNECTIONS = 32


@dataclass(frozen=True)
class Case:
    name: str
    app: str
    path: str
    python: str = sys.executable
    environment: dict[str, str] = field(default_factory=dict)
    script: Path | None = None
    """Of wrk, for requests that are no plain GET; `ready` is then what answers one."""
    ready: str = ""


@dataclass
class Sample:
    rps: list[float] = field(default_factory=list)
    cpu_us: list[float] = field(default_factory=list)
    p99_ms: list[float] = field(default_factory=list)
    errors: int = 0


def peers(name: str, *requirements: str) -> str:
    """The interpreter of an environment that holds only these, made once under `.bench/`."""
    # Other requirements, another environment.
    folder = ROOT / ".bench" / f"{name}-{crc32(' '.join(requirements).encode()):08x}"
    python = folder / "bin" / "python"
    if not python.exists():
        uv = str(ROOT / "scripts" / "uv")
        subprocess.run([uv, "venv", "--quiet", str(folder)], check=True)
        subprocess.run([uv, "pip", "install", "--quiet", "--python", str(python), *requirements], check=True)
    return str(python)


def measure(cases: Sequence[Case], *, rounds: int, seconds: int) -> dict[str, Sample]:
    samples = {case.name: Sample() for case in cases}
    for round_number in range(rounds):
        # Every other round backwards: what follows a heavy case is not always the same case.
        for case in cases if round_number % 2 == 0 else reversed(cases):
            run(case, samples[case.name], seconds)
            print(
                f"  round {round_number + 1}/{rounds} {case.name}: {samples[case.name].rps[-1]:,.0f}/s", file=sys.stderr
            )
    return samples


def run(case: Case, sample: Sample, seconds: int) -> None:
    with served(case) as pid:
        load(case, 1)
        before = cpu_seconds(pid)
        rps, p99, requests, errors = load(case, seconds)
        sample.rps.append(rps)
        sample.p99_ms.append(p99)
        sample.cpu_us.append((cpu_seconds(pid) - before) / requests * 1e6)
        sample.errors += errors


@contextmanager
def served(case: Case) -> Iterator[int]:
    with tempfile.TemporaryDirectory() as folder:
        command = [case.python, "-m", "uvicorn", "--factory", case.app, "--port", str(PORT), "--no-access-log"]
        command += ["--log-level", "warning"]
        environment = os.environ | {"PYTHONPATH": str(ROOT), "ENVIRONMENT": "test"} | case.environment
        process = subprocess.Popen(command, cwd=folder, env=environment)
        try:
            wait_until_it_answers(case)
            yield process.pid
        finally:
            process.terminate()
            process.wait(10)


def wait_until_it_answers(case: Case) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{PORT}{case.ready or case.path}") as answer:
                assert answer.status == 200
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)  # noqa: TID251 -- waits for another process
        else:
            return


def wrk(*options: str, path: str) -> str:
    """What wrk prints about a load of one thread."""
    program = shutil.which("wrk")
    if program is None:
        sys.exit("bench needs wrk: apt-get install wrk, or brew install wrk")
    command = [program, "-t1", f"-c{CONNECTIONS}", *options, f"http://127.0.0.1:{PORT}{path}"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def load(case: Case, seconds: int) -> tuple[float, float, int, int]:
    script = ["-s", str(case.script)] if case.script else []
    text = wrk(f"-d{seconds}s", "--latency", *script, path=case.path)
    rps = float(re.search(r"Requests/sec:\s+([\d.]+)", text).group(1))
    amount, unit = re.search(r"99%\s+([\d.]+)(us|ms|s)", text).groups()
    requests = int(re.search(r"(\d+) requests in", text).group(1))
    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    return rps, float(amount) * {"us": 0.001, "ms": 1, "s": 1000}[unit], requests, int(bad.group(1)) if bad else 0


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def table(title: str, cases: Sequence[Case], samples: dict[str, Sample], *, base: str) -> str:
    lines = [
        f"### {title}",
        machine(),
        "",
        f"wrk -c{CONNECTIONS}, {len(samples[base].rps)} interleaved rounds, medians; base: {base}.",
        "",
        "| case | requests/s | ratio | CPU µs/request | added µs | p99 ms | not 2xx |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    base_rps, base_cpu = median(samples[base].rps), median(samples[base].cpu_us)
    for case in cases:
        sample = samples[case.name]
        rps, cpu = median(sample.rps), median(sample.cpu_us)
        lines.append(
            f"| {case.name} | {rps:,.0f} | {rps / base_rps:.2f} | {cpu:.1f} | {cpu - base_cpu:+.1f} "
            f"| {median(sample.p99_ms):.1f} | {sample.errors} |"
        )
    return "\n".join([*lines, ""])


def machine() -> str:
    model = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if "model name" in line), "")
    return f"{os.cpu_count()} cores of {model or platform.machine()}, Python {platform.python_version()}"


def publish(name: str, text: str) -> None:
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / f"{name}.md").write_text(text)
    print(text)
