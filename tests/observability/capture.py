"""Logging as a service configures it, for the time of a test."""

import io
import json
import logging
from contextlib import contextmanager

import structlog

from mainspring.observability import configure_logging
from mainspring.observability._access import straight_to

_TAMED = (
    "uvicorn",
    "uvicorn.error",
    "uvicorn.asgi",
    "uvicorn.access",
    "watchfiles.main",
    "httpx2",
    "aiosqlite",
    "alembic",
)


class Lines:
    """What was written so far."""

    def __init__(self):
        self.stream = io.StringIO()

    @property
    def text(self):
        return self.stream.getvalue()

    def __call__(self, **wanted):
        """Every line, parsed; only those that have these values."""
        parsed = [json.loads(line, parse_constant=self._refuse) for line in self.text.split("\n")[:-1]]
        return [line for line in parsed if wanted.items() <= line.items()]

    @staticmethod
    def _refuse(name):
        raise AssertionError(f"{name} is not JSON")


@contextmanager
def restored_logging():
    """Everything that `configure_logging` changes is afterwards as it was."""
    loggers = [logging.getLogger(name) for name in ("", *_TAMED)]
    kept = [(logger, logger.handlers[:], logger.level, logger.propagate) for logger in loggers]
    try:
        yield
    finally:
        straight_to(None)
        for logger, handlers, level, propagate in kept:
            logger.handlers[:] = handlers
            logger.setLevel(level)
            logger.propagate = propagate
        logging.captureWarnings(capture=False)
        structlog.reset_defaults()


@contextmanager
def json_lines(level="DEBUG"):
    """Configures JSON lines and gives what is written."""
    with restored_logging():
        lines = Lines()
        configure_logging(level=level, form="json", stream=lines.stream)
        yield lines
