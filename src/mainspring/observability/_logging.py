"""structlog over the standard library: every record, whoever wrote it, leaves in one form."""

import json
import logging
import sys
from collections.abc import MutableMapping
from math import isfinite
from pathlib import Path
from typing import Any, Literal, TextIO, cast, override

import orjson
import structlog
from structlog.types import Processor

from ._access import straight_to
from ._context import current_context
from ._logger import ACCESS, FIELDS
from ._redaction import redact, redact_error
from ._writer import LineWriter

type _Event = MutableMapping[str, Any]

# Fields of their own on every JSON line; everything else a caller adds goes under `extra`.
_TOP_LEVEL = (
    "timestamp",
    "level",
    "message",
    "logger",
    "module",
    "function",
    "line",
    "request_id",
    "trace_id",
    "principal",
    "exception",
)
# What a field may not be called: the caller's own goes under the name with an underscore.
_RESERVED = frozenset({"event", "level", "message", "logger", "timestamp", "module", "function", "line", "exception"})
_OF_EVERY_RECORD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}
_ACCESS_FOR_PEOPLE = ("timestamp", "level", "event", "duration_ms", "request_id")
_CALLSITE = structlog.processors.CallsiteParameterAdder(
    [
        structlog.processors.CallsiteParameter.MODULE,
        structlog.processors.CallsiteParameter.FUNC_NAME,
        structlog.processors.CallsiteParameter.LINENO,
    ]
)


def configure_logging(
    *,
    level: str = "INFO",
    form: Literal["auto", "console", "json"] = "auto",
    stream: TextIO | None = None,
    turns: Path | None = None,
) -> None:
    """Send every record of this process to one place in one form; replaces what was configured before.

    Args:
        level: Least severe level that is written.
        form: `json` writes a line per record; `console` is for people; `auto` is `console` on a terminal.
        stream: Where to write; standard output by default, where containers expect logs.
        turns: A file by which processes that write JSON lines to the same stream take turns, so that none ends up
            within another.
    """
    out = stream or sys.stdout
    console = form == "console" or (form == "auto" and out.isatty())
    shared: list[Processor] = [
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.PositionalArgumentsFormatter(),
        _take_fields,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _correlate,
        _drop_noise,
        _redact,
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            *([] if console else [_CALLSITE]),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    writer = LineWriter(out, turns=turns)
    handler = logging.StreamHandler(out) if console else _LineHandler(writer)
    straight_to(None if console else writer)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, *([] if console else [_foreign_callsite])],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_rendering(out, console=console)],
        )
    )
    root = logging.getLogger()
    for replaced in root.handlers:
        if isinstance(replaced, _LineHandler):
            replaced.flush()
    root.handlers[:] = [handler]
    root.setLevel(level)
    _tame_others()


def flush_logs() -> None:
    """Write what is waiting in memory, in the calling thread."""
    for handler in logging.getLogger().handlers:
        handler.flush()


def buffer_logs(*, buffer: bool) -> None:
    """Whether lines may wait a moment in memory, as they do by default, or each is written at once.

    The latter is for the end of a process: one that a signal ends, as it ends uvicorn's, runs nothing at exit.
    """
    for handler in logging.getLogger().handlers:
        if isinstance(handler, _LineHandler):
            handler.buffer(buffer=buffer)


class _LineHandler(logging.Handler):
    """Hands formatted records to the line writer."""

    def __init__(self, writer: LineWriter) -> None:
        super().__init__()
        self._writer = writer

    @override
    def emit(self, record: logging.LogRecord) -> None:
        """Format here, where the record's context is; write elsewhere."""
        try:
            self._writer.write(f"{self.format(record)}\n".encode("utf-8", "backslashreplace"))
        except Exception:  # noqa: BLE001 -- as every handler of the standard library
            self.handleError(record)

    def buffer(self, *, buffer: bool) -> None:
        """As `buffer_logs`."""
        self._writer.wait_for_others(wait=buffer)

    @override
    def flush(self) -> None:
        """Write what is waiting."""
        self._writer.flush()


def _rendering(out: TextIO, *, console: bool) -> list[Processor]:
    if console:
        # Plain tracebacks: the library's own show local variables, passwords among them, and take seconds to draw.
        renderer = structlog.dev.ConsoleRenderer(
            colors=out.isatty(),
            pad_event_to=36,
            pad_level=False,
            exception_formatter=structlog.dev.plain_traceback,
        )
        return [_for_people, renderer]
    return [
        structlog.processors.format_exc_info,
        _redact_exception,
        _one_shape,
        structlog.processors.JSONRenderer(serializer=_dumps),
    ]


def _tame_others() -> None:
    """Route the loggers that bring their own handlers through ours, and silence what the access line already says."""
    for name in ("uvicorn", "uvicorn.error", "uvicorn.asgi"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
    access = logging.getLogger("uvicorn.access")
    access.handlers.clear()
    access.propagate = False
    # The watcher reports every file event at INFO, and each client request is reported by httpx2.
    for name in ("watchfiles.main", "httpx2", "aiosqlite", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.captureWarnings(capture=True)


def _take_fields(_: Any, __: str, event: _Event) -> _Event:
    record = event.get("_record")
    if not isinstance(record, logging.LogRecord):
        return event
    given = {name: value for name, value in vars(record).items() if name not in _OF_EVERY_RECORD}
    if isinstance(own := given.get(FIELDS), dict):
        del given[FIELDS]
        given |= own
    for name, value in given.items():
        event[f"{name}_" if name in _RESERVED else name] = value
    return event


def _correlate(_: Any, __: str, event: _Event) -> _Event:
    context = current_context()
    if context is not None:
        for name, value in context.fields().items():
            event.setdefault(name, value)
    return event


def _drop_noise(_: Any, __: str, event: _Event) -> _Event:
    # uvicorn repeats its message with colour codes in a field of its own.
    event.pop("color_message", None)
    return event


def _redact(_: Any, __: str, event: _Event) -> _Event:
    clean = cast("_Event", redact(event))
    if "exc_info" in event:
        # Not a value but the exception itself, which has not been made a text yet.
        clean["exc_info"] = event["exc_info"]
    return clean


def _redact_exception(_: Any, __: str, event: _Event) -> _Event:
    if "exception" in event:
        event["exception"] = redact_error(event["exception"])
    return event


def _foreign_callsite(_: Any, __: str, event: _Event) -> _Event:
    record = event.get("_record")
    if isinstance(record, logging.LogRecord):
        event.update(module=record.module, func_name=record.funcName, lineno=record.lineno)
    return event


def _for_people(_: Any, __: str, event: _Event) -> _Event:
    event["timestamp"] = str(event["timestamp"])[11:19]
    request_id = event.get("request_id")
    if isinstance(request_id, str):
        event["request_id"] = request_id[-8:]
    if event.pop("logger", None) == ACCESS:
        # The message says the rest; a machine wants each in a field of its own, an eye does not.
        return {name: event[name] for name in _ACCESS_FOR_PEOPLE if name in event}
    return event


def _one_shape(_: Any, __: str, event: _Event) -> _Event:
    event["message"] = event.pop("event", "")
    event["function"] = event.pop("func_name", None)
    event["line"] = event.pop("lineno", None)
    shaped: _Event = {name: event[name] for name in _TOP_LEVEL if event.get(name) is not None}
    extra = {name: value for name, value in event.items() if name not in _TOP_LEVEL}
    if extra:
        shaped["extra"] = extra
    return shaped


def _dumps(value: dict[str, Any], **_: Any) -> str:
    try:
        return orjson.dumps(value, default=_shown, option=orjson.OPT_NON_STR_KEYS).decode()
    except TypeError:
        # Integers beyond 64 bits, lone surrogates, odd keys: rare, and no reason to lose the line.
        return json.dumps(_plain(value))


def _plain(value: Any) -> Any:
    """What the standard library's encoder takes. It ends because redaction has cut off what is deep or circular."""
    if isinstance(value, dict):
        return {name if isinstance(name, str) else _shown(name): _plain(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not isfinite(value):
        return None
    return value if value is None or isinstance(value, str | int | float) else _shown(value)


def _shown(value: object) -> str:
    try:
        return str(redact(repr(value)))
    except Exception as error:  # noqa: BLE001 -- a value that cannot even be shown must not take the line with it
        return f"<{type(value).__name__} that cannot be shown: {type(error).__name__}>"
