"""Access lines go straight to the writer, and lose nothing on the way."""

import json
import logging
import os
import threading

import pytest

from mainspring.observability import LogContext, write_access
from mainspring.observability._access import straight_to
from mainspring.observability._writer import LineWriter


@pytest.fixture
def pipe():
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as reader, os.fdopen(writing, "w") as writer:
        yield reader, writer


@pytest.fixture
def straight(tmp_path):
    with (tmp_path / "access.log").open("w") as stream:
        writer = LineWriter(stream)
        straight_to(writer)
        logging.getLogger("mainspring.access").setLevel(logging.INFO)
        yield lambda: (writer.flush(), (tmp_path / "access.log").read_text().splitlines())[1]
        straight_to(None)
        logging.getLogger("mainspring.access").setLevel(logging.NOTSET)


def test_a_line_has_the_shape_of_every_other_line(straight):
    context = LogContext("request-one", trace_id="trace", principal="user-7")

    write_access(logging.INFO, "GET / 200", context=context, fields={"status": 200})

    (line,) = map(json.loads, straight())
    assert (line["level"], line["message"], line["logger"]) == ("info", "GET / 200", "mainspring.access")
    assert (line["request_id"], line["trace_id"], line["principal"]) == ("request-one", "trace", "user-7")
    assert line["extra"] == {"status": 200}
    assert line["timestamp"].endswith("Z")


def test_what_is_less_severe_than_the_level_is_not_written(straight):
    write_access(logging.DEBUG, "GET /health 200", context=LogContext("request-one"), fields={})

    assert straight() == []


def test_a_path_that_is_no_unicode_is_written_all_the_same(straight, monkeypatch):
    taken: list[logging.LogRecord] = []
    logger = logging.getLogger("mainspring.access")
    handler = logging.Handler()
    handler.emit = taken.append
    # Not by way of pytest's own capture, which cannot hand such a text from one process to another.
    monkeypatch.setattr(logger, "propagate", False)
    monkeypatch.setattr(logger, "handlers", [handler])

    write_access(logging.INFO, "GET /\ud800 404", context=LogContext("request-one"), fields={"path": "/\ud800"})

    assert straight() == []
    assert [record.levelname for record in taken] == ["INFO"]


def test_without_a_writer_a_line_is_an_ordinary_record(caplog):
    with caplog.at_level(logging.INFO):
        write_access(logging.INFO, "GET / 200", context=LogContext("request-one"), fields={"status": 200})

    (record,) = caplog.records
    assert (record.name, record.fields) == ("mainspring.access", {"status": 200})


def test_lines_of_many_threads_arrive_whole_and_in_each_threads_order(tmp_path):
    with (tmp_path / "log").open("w") as stream:
        writer = LineWriter(stream)

        def work(name):
            for number in range(2000):
                writer.write(f"{name} {number} {'x' * 50}\n".encode())

        threads = [threading.Thread(target=work, args=(name,)) for name in "abcd"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        writer.flush()

    lines = [line.split() for line in (tmp_path / "log").read_text().splitlines()]
    assert len(lines) == 8000
    for name in "abcd":
        assert [int(number) for who, number, _ in lines if who == name] == list(range(2000))


def test_lines_arrive_without_a_flush(pipe):
    reader, stream = pipe
    LineWriter(stream).write(b"hello\n")

    assert reader.readline() == b"hello\n"


def test_a_reader_that_has_gone_does_not_disturb_the_writer(pipe):
    reader, stream = pipe
    writer = LineWriter(stream)
    reader.close()

    writer.write(b"hello\n")
    writer.flush()


def test_when_nobody_reads_lines_are_counted_instead_of_kept(tmp_path, monkeypatch):
    monkeypatch.setattr("mainspring.observability._writer._MOST_WAITING", 3)
    with (tmp_path / "log").open("w") as stream:
        writer = LineWriter(stream)
        writer._thread = threading.current_thread()  # nobody writes meanwhile
        for number in range(5):
            writer.write(b"%d\n" % number)
        writer.flush()

    *kept, told = (tmp_path / "log").read_text().splitlines()
    assert kept == ["0", "1", "2"]
    assert json.loads(told)["extra"] == {"lines": 2}


def test_a_stream_without_a_descriptor_is_written_to_at_once():
    import io

    stream = io.StringIO()
    LineWriter(stream).write(b"hello\n")

    assert stream.getvalue() == "hello\n"
