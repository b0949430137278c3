"""What models are made of."""

from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import MetaData, Uuid, event
from sqlalchemy.orm import DeclarativeBase, Mapped, Mapper, declared_attr, mapped_column
from sqlalchemy.orm import relationship as _relationship

from mainspring.kernel import new_id

from ._lazy_loads import explain_lazy_loads
from ._moments import UtcDateTime, utc_now

# Names decided here, not by each database, so that migrations can drop and errors can name a constraint.
_NAMING = {
    "ix": "ix_%(column_0_N_label)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class Base(DeclarativeBase):
    """The base of every model: one metadata with named constraints, UUIDs and UTC moments by annotation."""

    metadata = MetaData(naming_convention=_NAMING)
    type_annotation_map: ClassVar[dict[Any, Any]] = {datetime: UtcDateTime(), UUID: Uuid()}


class Identified:
    """A UUID version 7 as primary key: made in Python, so that an object has its id before it is stored."""

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id, sort_order=-100)


class Timestamped:
    """When the row was made and last changed, by the database's clock, so that all processes agree."""

    created_at: Mapped[datetime] = mapped_column(server_default=utc_now(), sort_order=900)
    updated_at: Mapped[datetime] = mapped_column(server_default=utc_now(), onupdate=utc_now(), sort_order=901)


class SoftDeleted:
    """Marked instead of removed. Every ORM statement leaves marked rows out, unless it is run with
    `including_deleted()`; statements on `Model.__table__` see them.

    Uniqueness has to be declared for what is not deleted, or a name is never free again: a unique `Index` with
    `postgresql_where` and `sqlite_where` of `deleted_at IS NULL`.
    """

    deleted_at: Mapped[datetime | None] = mapped_column(default=None, sort_order=902)


class Versioned:
    """Counts the changes of a row, so that none is lost: an UPDATE or DELETE that was decided on an older version
    changes nothing and raises `ConcurrentUpdate`. `Preconditions` of `mainspring.http` makes an ETag of it.
    """

    version: Mapped[int] = mapped_column(default=1, sort_order=903)

    @declared_attr.directive
    def __mapper_args__(cls) -> dict[str, Any]:  # noqa: N805 -- SQLAlchemy calls it with the class
        """Let the mapper compare and raise the version with every change."""
        return {"version_id_col": cls.version}


def relationship(*args: Any, lazy: Any = "raise", **options: Any) -> Any:
    """SQLAlchemy's `relationship` that never loads by being looked at.

    Say in the statement what to load (`selectinload(Order.lines)`). Lazy loading is an extra query per row that nobody
    sees, and under asyncio it fails at the moment of the attribute access. What was not loaded raises `LazyLoad`, with the
    line that looked at it.
    """
    return _relationship(*args, lazy=lazy, **options)


@event.listens_for(Base, "mapper_configured", propagate=True)
def _load_nothing_by_attribute(mapper: Mapper[Any], cls: type) -> None:
    # What the database computes in an UPDATE (`updated_at`) comes back with it; fetched at the first look instead, it
    # would fail under asyncio like a lazy relationship.
    if mapper.eager_defaults == "auto":
        mapper.eager_defaults = True
    for name, prop in mapper.relationships.items():
        if prop.lazy in {"select", True}:
            raise TypeError(
                f"{cls.__name__}.{name} would load lazily, one query per row. Declare it with "
                "mainspring.data.relationship, or pass lazy='raise' or 'selectin'."
            )
    explain_lazy_loads(mapper)
