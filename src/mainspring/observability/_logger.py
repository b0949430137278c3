"""The chassis' own loggers: the standard library's, with fields.

They need no configuration to work: a program that sets up logging its own way gets records like any other, with the
fields on `record.fields`. `configure_logging` then gives them, and everybody else's records, their form.
"""

import logging
from typing import Any

FIELDS = "fields"
"""The record's attribute that holds the fields."""


ACCESS = "mainspring.access"
"""The logger of access lines, one per request."""


class Logger:
    """A named logger that takes fields: `log.info("Order placed", order_id=order.id)`.

    Args:
        name: As for `logging.getLogger`; `__name__` of the module.
        bound: Fields of every record.
    """

    __slots__ = ("_bound", "_logger")

    def __init__(self, name: str, /, **bound: Any) -> None:
        self._logger = logging.getLogger(name)
        self._bound = bound

    def bind(self, /, **fields: Any) -> "Logger":
        """A logger of the same name that adds these fields to every record."""
        return Logger(self._logger.name, **{**self._bound, **fields})

    def debug(self, message: str, /, **fields: Any) -> None:
        """Of interest while looking for a defect."""
        self._write(logging.DEBUG, message, fields)

    def info(self, message: str, /, **fields: Any) -> None:
        """Normal and worth knowing."""
        self._write(logging.INFO, message, fields)

    def warning(self, message: str, /, **fields: Any) -> None:
        """Not normal; the service goes on as promised."""
        self._write(logging.WARNING, message, fields)

    def error(self, message: str, /, **fields: Any) -> None:
        """Something promised was not done."""
        self._write(logging.ERROR, message, fields)

    def exception(self, message: str, /, **fields: Any) -> None:
        """An error, with the traceback of the exception being handled."""
        self._write(logging.ERROR, message, fields, traceback=True)

    def _write(self, level: int, message: str, fields: dict[str, Any], *, traceback: bool = False) -> None:
        if self._logger.isEnabledFor(level):
            every = {**self._bound, **fields} if self._bound else fields
            self._logger.log(level, message, exc_info=traceback, extra={FIELDS: every}, stacklevel=3)


def get_logger(name: str) -> Logger:
    """A logger that takes fields."""
    return Logger(name)
