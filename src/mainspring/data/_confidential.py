"""Columns whose values are for the service alone: never in logs, lists, filters, cursors or the audit trail."""

from typing import Any

from sqlalchemy.sql.visitors import iterate

CONFIDENTIAL = "confidential"
"""The name under which a column says so: `mapped_column(info={CONFIDENTIAL: True})`, or an attribute of its type."""


def is_confidential(column: Any) -> bool:
    """Whether a column, or the column behind a model's attribute, is confidential; or one that it is computed from."""
    expression: Any = getattr(column, "expression", column)
    return any(_says_so(part) for part in iterate(expression))


def _says_so(part: Any) -> bool:
    info: Any = getattr(part, "info", None) or {}
    return bool(info.get(CONFIDENTIAL) or getattr(getattr(part, "type", None), CONFIDENTIAL, False))
