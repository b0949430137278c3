"""Bulk: rows by the thousand or the million in one unit of work, and rows with what belongs to them in one statement."""

from ._copy import copy_rows
from ._guards import BulkChange, guard_everywhere
from ._merge import update_rows, upsert_rows
from ._nested import nested

__all__ = ["BulkChange", "copy_rows", "guard_everywhere", "nested", "update_rows", "upsert_rows"]
