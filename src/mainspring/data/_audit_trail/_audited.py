"""Which models are audited, and which of their attributes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar
from weakref import WeakKeyDictionary

from sqlalchemy import Table, event
from sqlalchemy.orm import Mapper

from mainspring.data._base import Base, SoftDeleted
from mainspring.observability import REDACTED

from ._models import Action
from ._values import is_hidden, shown, table_name

_DELETED_AT = "deleted_at"


class Audited:
    """Every change of the model's rows through the ORM leaves an entry in the audit trail, in the same transaction.

        class Invoice(Audited, Identified, Timestamped, Base):
            __tablename__ = "invoices"
            __audit_exclude__ = ("search_text",)

    A database on which such a model is stored must have an audit trail (`audit_trail_module`); without one the flush is
    refused, since nobody would notice the entries that are missing.

    What is not recorded: rows that the database itself removes or changes (`ON DELETE CASCADE`, triggers), SQL as text, and
    statements on a connection.
    """

    __audit_exclude__: ClassVar[Sequence[str]] = ()
    """Attributes whose changes are not worth an entry. What must not be shown needs no mention: confidential columns and
    those of secret names are recorded as changed, without their values."""


@dataclass(frozen=True, slots=True)
class Watched:
    """What is recorded of a model.

    Attributes:
        entity_type: Its name in entries.
        names: The attributes.
        hidden: Those of them whose values are not shown.
        marks: Whether rows are marked as deleted.
    """

    entity_type: str
    names: tuple[str, ...]
    hidden: frozenset[str]
    marks: bool

    def shown(self, values: Mapping[str, Any] | None) -> dict[str, Any] | None:
        """Values as an entry may hold them."""
        if values is None:
            return None
        return {name: REDACTED if name in self.hidden else shown(value) for name, value in values.items()}

    def action(self, before: Mapping[str, Any], after: Mapping[str, Any]) -> Action:
        """What a change of these values is called."""
        if not self.marks or _DELETED_AT not in after:
            return "update"
        if after[_DELETED_AT] is None:
            return "restore"
        return "soft_delete" if before.get(_DELETED_AT) is None else "update"


_watched: WeakKeyDictionary[type[Any], Watched] = WeakKeyDictionary()
_tables: WeakKeyDictionary[Any, type[Any]] = WeakKeyDictionary()


def watched(model: type[Any]) -> Watched | None:
    """What is recorded of a model; None if nothing is."""
    return _watched.get(model)


def model_of(table: Any) -> type[Any] | None:
    """The audited model behind a table, if there is one."""
    return _tables.get(table)


def watch(mapper: Mapper[Any]) -> None:
    """Note what is to be recorded of a model.

    Raises:
        TypeError: It excludes an attribute that it does not have, or its rows are spread over several tables, whose
            writers do not wait for each other.
    """
    model = mapper.class_
    if len(mapper.tables) != 1:
        raise TypeError(
            f"{model.__name__} is stored in {len(mapper.tables)} tables; the audit trail takes one per model."
        )
    excluded = set(getattr(model, "__audit_exclude__", ()))
    unknown = excluded - set(mapper.column_attrs.keys())
    if unknown:
        raise TypeError(
            f"{model.__name__}.__audit_exclude__ names {', '.join(sorted(unknown))}, which it does not have."
        )
    columns = {attribute.key: attribute.columns[0] for attribute in mapper.column_attrs}
    # Stamps of every change: `updated_at` and `version` say nothing that the entry does not.
    stamps = {
        name for name, column in columns.items() if column is mapper.version_id_col or column.onupdate is not None
    }
    names = tuple(name for name in columns if name not in excluded | stamps)
    hidden = frozenset(name for name in names if is_hidden(name, columns[name]))
    _watched[model] = Watched(table_name(mapper), names, hidden, marks=issubclass(model, SoftDeleted))
    if isinstance(mapper.local_table, Table):
        _tables[mapper.local_table] = model


@event.listens_for(Base, "mapper_configured", propagate=True)
def _watch_audited(mapper: Mapper[Any], cls: type[Any]) -> None:
    if issubclass(cls, Audited):
        watch(mapper)
