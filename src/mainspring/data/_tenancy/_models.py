"""Models whose rows belong to one tenant each."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID

from sqlalchemy import Column, MetaData, Table, UniqueConstraint, event
from sqlalchemy.orm import Mapped, Mapper, mapped_column

from mainspring.data._base import Base

WAIVER = "across_tenants"
"""In the `info` of a unique constraint or index that is meant to hold over all tenants: the reason."""


class TenantScoped:
    """Rows that belong to one tenant each. A session sees those of the tenant that `for_tenant` has told it, in every
    ORM statement, and without one such a statement raises `TenantMissing`.

    `tenant_id` has no foreign key: what a tenant is, and in which database, is the service's decision. Uniqueness has to
    be declared within a tenant, `UniqueConstraint("tenant_id", "slug")`, or an `AlreadyExists` tells one what another
    has; one that is meant to hold over all of them says why: `info={"across_tenants": "a domain has one owner"}`.

    The trap: statements on `Model.__table__`, `text()` and the old `session.bulk_…` methods know no models, so nothing
    narrows them; on PostgreSQL `enable_row_level_security` stands behind them.
    """

    tenant_id: Mapped[UUID] = mapped_column(index=True, sort_order=-99)


def tenant_models(metadata: MetaData) -> list[type[Base]]:
    """The models of a metadata whose rows belong to tenants, by name."""
    mapped: list[type[Base]] = [mapper.class_ for mapper in Base.registry.mappers]
    found = [one for one in mapped if issubclass(one, TenantScoped) and one.metadata is metadata]
    return sorted(found, key=lambda model: model.__name__)


@event.listens_for(TenantScoped, "mapper_configured", propagate=True)
def _refuse_uniqueness_across_tenants(mapper: Mapper[Any], cls: type) -> None:
    table = mapper.local_table
    if not isinstance(table, Table):
        return
    for name, columns in _unique_over(table):
        if "tenant_id" not in columns:
            raise TypeError(
                f"{cls.__name__}: {name} is unique over all tenants, so one could find out what another has. Add "
                f'tenant_id to it, or say why it is meant: info={{"{WAIVER}": "…"}}.'
            )


def _unique_over(table: Table) -> Iterator[tuple[str, set[str]]]:
    for constraint in table.constraints:
        if isinstance(constraint, UniqueConstraint) and not constraint.info.get(WAIVER):
            yield str(constraint.name), {column.name for column in constraint.columns}
    for index in table.indexes:
        if index.unique and not index.info.get(WAIVER):
            # An index over an expression has no column of its own, and is unique over everybody.
            yield str(index.name), {one.name for one in index.expressions if isinstance(one, Column)}
