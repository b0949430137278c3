"""Runs migrations on the connection that the Migrator hands over, or writes them as SQL.

Alembic executes this file by path; it is configured through `config.attributes` and nothing else.
"""

from itertools import chain
from pathlib import Path
from typing import Any, Literal

from alembic import context
from alembic.runtime.migration import MigrationInfo
from alembic.script import Script
from sqlalchemy import Connection, Table, TypeDecorator, text
from sqlalchemy.orm import Mapper

from mainspring.data import Base, UtcDateTime, utc_now
from mainspring.data._confidential import CONFIDENTIAL


def _tables_of(package: str) -> set[str]:
    mappers: list[Mapper[Any]] = list(Base.registry.mappers)
    owned = {m for m in mappers if m.class_.__module__ == package or m.class_.__module__.startswith(f"{package}.")}
    # A table that only links two others has no class; it belongs to the side that names it.
    links = (relation.secondary for mapper in owned for relation in mapper.relationships)
    tables = chain(links, *(mapper.tables for mapper in owned))
    return {table.name for table in tables if isinstance(table, Table)}


def _include(owner: str | None) -> Any:
    owned = _tables_of(owner) if owner else None

    def include(item: Any, name: str | None, kind: str, *_: Any) -> bool:
        if owned is None:
            return True
        table = name if kind == "table" else getattr(getattr(item, "table", None), "name", None)
        return table in owned

    return include


def _render(kind: str, item: Any, autogenerate: Any) -> str | Literal[False]:
    if kind == "type" and isinstance(item, UtcDateTime):
        autogenerate.imports.add("from mainspring.data import UtcDateTime")
        return "UtcDateTime()"
    if kind == "type" and isinstance(item, TypeDecorator) and getattr(item, CONFIDENTIAL, False):
        # A revision outlives the models: it says what stands in the database, and not what it means to the service.
        return f"sa.{item.impl!r}"
    if kind == "server_default" and isinstance(getattr(item, "arg", None), utc_now):
        # Its SQL is another one on each database; a migration is written on one and run on all.
        autogenerate.imports.add("from mainspring.data import utc_now")
        return "utc_now()"
    return False


def _note(ctx: Any, step: MigrationInfo, heads: Any, run_args: Any) -> None:
    if step.up_revision_id is None:
        return
    context.config.attributes["made"].add(step.up_revision_id)
    applied = step.up_revision if step.is_upgrade else None
    path = Path(applied.path) if isinstance(applied, Script) else None
    context.config.attributes["remember"](ctx.connection, step.up_revision_id, path)


def _check_references(connection: Connection) -> None:
    broken = connection.execute(text("PRAGMA foreign_key_check")).all()
    if broken:
        tables = ", ".join(sorted({row[0] for row in broken}))
        raise RuntimeError(
            f"The migration would leave {len(broken)} rows pointing nowhere, in: {tables}. Nothing is changed."
        )


def _online(connection: Connection) -> None:
    sqlite = connection.dialect.name == "sqlite"
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        include_object=_include(context.config.attributes.get("only")),
        compare_type=True,
        render_as_batch=True,
        # SQLite's DDL is transactional; Alembic assumes the driver's, which is not.
        transactional_ddl=True,
        transaction_per_migration=not sqlite,
        render_item=_render,
        on_version_apply=_note,
    )
    with context.begin_transaction():
        context.run_migrations()
        if sqlite:
            _check_references(connection)


def _offline() -> None:
    context.configure(
        dialect_name=context.config.attributes["dialect"], target_metadata=Base.metadata, literal_binds=True
    )
    with context.begin_transaction():
        context.run_migrations()


if context.is_offline_mode():
    _offline()
else:
    _online(context.config.attributes["connection"])
