"""Lines reach the file whole, in order and once, also from children, at the end of a process and through full pipes."""

import json
import os
import subprocess
import sys
import threading

import pytest

from mainspring.observability._writer import LineWriter


def printed(script):
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script], capture_output=True, text=True, check=True, timeout=30
    )
    assert done.stderr == ""
    return [json.loads(line)["message"] for line in done.stdout.splitlines()]


CONFIGURED = """
import logging, os, sys
from mainspring.observability import configure_logging
configure_logging(form="json")
log = logging.getLogger("shop")
"""


def test_what_is_waiting_when_a_process_ends_is_written():
    assert printed(f"{CONFIGURED}\nfor n in range(3000): log.info('line %d', n)") == [f"line {n}" for n in range(3000)]


def test_what_is_waiting_when_a_process_fails_is_written():
    done = subprocess.run(
        [sys.executable, "-c", f"{CONFIGURED}\nlog.info('last words')\nsys.exit('failed')"],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )

    assert done.returncode == 1
    assert "last words" in done.stdout


def test_a_child_writes_its_own_lines_and_not_its_parents_again():
    script = f"""{CONFIGURED}
log.info("parent before")
child = os.fork()
if child == 0:
    log.info("child")
    logging.shutdown()
    os._exit(0)
os.waitpid(child, 0)
log.info("parent after")
"""

    assert sorted(printed(script)) == ["child", "parent after", "parent before"]


def test_a_child_has_a_writing_thread_of_its_own():
    script = """
import logging, os, signal
from mainspring.observability import configure_logging
reading, writing = os.pipe()
configure_logging(form="json", stream=os.fdopen(writing, "w"))
logging.getLogger("shop").info("parent")
logging.getLogger().handlers[0].flush()
child = os.fork()
if child == 0:
    logging.getLogger("shop").info("child")
    signal.pause()
reader = os.fdopen(reading)
print(reader.readline() + reader.readline(), end="")
os.kill(child, signal.SIGKILL)
os.waitpid(child, 0)
"""

    assert printed(script) == ["parent", "child"]


@pytest.mark.parametrize("blocking", [True, False])
def test_a_full_pipe_is_waited_for_and_nothing_is_lost(blocking):
    reading, writing = os.pipe()
    os.set_blocking(writing, blocking)
    with os.fdopen(reading, "rb") as reader, os.fdopen(writing, "w") as stream:
        writer = LineWriter(stream)
        expected = [b"%05d %s\n" % (number, b"x" * 100) for number in range(3000)]
        for line in expected:
            writer.write(line)
        flushing = threading.Thread(target=writer.flush)
        flushing.start()
        got = [reader.readline() for _ in expected]
        flushing.join(10)

    assert got == expected


def test_who_logs_does_not_wait_for_a_reader_that_has_stopped():
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as reader, os.fdopen(writing, "w") as stream:
        writer = LineWriter(stream)

        def log():
            for _ in range(5000):
                writer.write(b"x" * 100 + b"\n")

        logging = threading.Thread(target=log)
        logging.start()
        logging.join(10)

        assert not logging.is_alive()
        for _ in range(5000):
            reader.readline()


def test_a_reader_that_leaves_while_a_full_pipe_is_waited_for_ends_the_waiting():
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with os.fdopen(writing, "w") as stream:
        writer = LineWriter(stream)
        writer.write(b"x" * 1_000_000 + b"\n")
        flushing = threading.Thread(target=writer.flush)
        flushing.start()
        os.read(reading, 10)
        os.close(reading)
        flushing.join(10)

        assert not flushing.is_alive()


def test_bytes_go_out_as_they_are_whatever_the_streams_encoding(tmp_path):
    with (tmp_path / "log").open("w", encoding="ascii") as stream:
        stream.write("before\n")
        writer = LineWriter(stream)
        writer.write("grüße\n".encode())
        writer.flush()

    assert (tmp_path / "log").read_bytes() == "before\ngrüße\n".encode()


WRITES_A_LOT = """
import sys
from pathlib import Path
from mainspring.observability._writer import LineWriter

writer = LineWriter(sys.stdout, turns=Path(sys.argv[2]) if sys.argv[2:] else None)
for _ in range(1000):
    writer.write(sys.argv[1].encode() * 999 + b"\\n")
"""


def test_the_lines_of_several_processes_on_one_pipe_are_whole_when_they_take_turns(tmp_path):
    ours, theirs = os.pipe()
    command = [sys.executable, "-c", WRITES_A_LOT]
    writing = [subprocess.Popen([*command, letter, str(tmp_path / "turns")], stdout=theirs) for letter in "abc"]
    os.close(theirs)
    with os.fdopen(ours, "rb") as reader:
        lines = reader.read().splitlines()

    assert [process.wait(20) for process in writing] == [0, 0, 0]
    assert sorted(lines) == [letter * 999 for letter in (b"a", b"b", b"c") for _ in range(1000)]
