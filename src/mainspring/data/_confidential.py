"""Columns whose values are for the service alone: never in logs, lists, filters, cursors or the audit trail."""

from typing import Any

CONFIDENTIAL = "confidential"
"""The name under which a column says so: `mapped_column(info={CONFIDENTIAL: True})`, or an attribute of its type."""


def is_confidential(column: Any) -> bool:
    """Whether a column, or the column behind a model's attribute, is confidential."""
    return bool(column.info.get(CONFIDENTIAL) or getattr(column.type, CONFIDENTIAL, False))
