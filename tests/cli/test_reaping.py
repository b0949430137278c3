"""Processes whose parents are gone do not stay behind as zombies."""

import os
import subprocess
import sys

SCRIPT = """
import os, subprocess, sys, time
from mainspring.cli._reaping import reap, reap_in_background

def zombies():
    return sum(
        state == "Z" and int(parent) == os.getpid()
        for pid in os.listdir("/proc")
        if pid.isdigit() and os.path.exists(f"/proc/{pid}/stat")
        for state, parent in [open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()[:2]]
    )

def until(done):
    end = time.monotonic() + 15
    while not done():
        assert time.monotonic() < end
        time.sleep(0.02)

left = os.posix_spawn(sys.executable, [sys.executable, "-c", ""], os.environ)
until(lambda: zombies() == 1)
"""


def run(script):
    code = f"import os\n{SCRIPT}\n{script}"
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True, timeout=40, env=os.environ)


def test_a_supervisor_reaps_what_it_does_not_know_and_leaves_its_own_to_those_who_wait():
    run("reap({left}); assert zombies() == 1; reap(set()); assert zombies() == 0; reap(set())")


def test_a_single_process_reaps_what_nobody_has_waited_for_in_a_while():
    run("reap_in_background(period=0.05); until(lambda: zombies() == 0)")


def test_a_process_that_is_waited_for_keeps_its_exit_code():
    run(
        """
reap_in_background(period=0.2)
mine = subprocess.Popen([sys.executable, "-c", "raise SystemExit(7)"])
assert mine.wait() == 7
until(lambda: zombies() == 0)
"""
    )
