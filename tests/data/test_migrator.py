"""Schema histories: written, applied, undone, and refused when they would break something."""

import asyncio
import re
import sqlite3
import sys
from importlib import import_module
from pathlib import Path
from textwrap import dedent

import pytest
from alembic.util import CommandError
from sqlalchemy import MetaData, inspect, text
from sqlalchemy.ext.asyncio import create_async_engine

from mainspring.data import Base, Migrator, PendingMigrations, database_url
from mainspring.kernel import Migrations, Module, new_id
from mainspring.testing import Schema
from tests.data.revisions import write_revision

SHELF = """
    class Shelf(Identified, Timestamped, Base):
        __tablename__ = "shelf"
        label: Mapped[str] = mapped_column(unique=True)
        filled_at: Mapped[datetime | None]
"""
BOX = """
    class Box(Identified, Base):
        __tablename__ = "box"
        shelf_id: Mapped[UUID] = mapped_column(ForeignKey("shelf.id"), index=True)
"""
TAGS = """
    labels = Table(
        "thing_tag", Base.metadata,
        Column("thing_id", ForeignKey("thing.id"), primary_key=True),
        Column("tag_id", ForeignKey("tag.id"), primary_key=True),
    )

    class Tag(Identified, Base):
        __tablename__ = "tag"

    class Thing(Identified, Base):
        __tablename__ = "thing"
        tags: Mapped[list[Tag]] = relationship(secondary=labels)
"""
_MODELS = """
from datetime import datetime
from uuid import UUID
from sqlalchemy import Column, ForeignKey, Table
from sqlalchemy.orm import Mapped, mapped_column
from mainspring.data import Base, Identified, Timestamped, relationship
"""


class Workshop:
    """Makes packages with models and revisions, and takes their tables out of the shared metadata afterwards."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._before = set(Base.metadata.tables)
        self._packages: list[str] = []

    def module(self, name: str, models: str = "") -> Module:
        package = f"{name}_{new_id().hex}"
        self._packages.append(package)
        migrations = self._folder / package / "migrations"
        migrations.mkdir(parents=True)
        (migrations / "__init__.py").touch()
        (self._folder / package / "__init__.py").touch()
        (self._folder / package / "models.py").write_text(_MODELS + dedent(models))
        import_module(f"{package}.models")
        for table in set(Base.metadata.tables) - self._before:
            Base.metadata.tables[table].info["workshop"] = True
        return Module(name=name, migrations=Migrations(package=f"{package}.migrations", models=package))

    def revision(self, module: Module, number: int, upgrade: str, downgrade: str = "pass") -> None:
        write_revision(self.folder(module), module.name, number, upgrade, downgrade)

    def folder(self, module: Module) -> Path:
        assert module.migrations is not None
        return self._folder / module.migrations.models / "migrations"

    def close(self) -> None:
        for name in set(Base.metadata.tables) - self._before:
            Base.metadata.remove(Base.metadata.tables[name])
        for name in [n for n in sys.modules if n.partition(".")[0] in self._packages]:
            del sys.modules[name]


@pytest.fixture
def workshop(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    workshop = Workshop(tmp_path)
    yield workshop
    workshop.close()


@pytest.fixture
def database_schema() -> Schema:
    return Schema(tables=MetaData())


@pytest.fixture
def url(fresh_database, database_url) -> str:
    """An empty database of this test alone."""
    return database_url


async def tables(url: str) -> set[str]:
    engine = create_async_engine(database_url(url))
    async with engine.connect() as connection:
        names = await connection.run_sync(lambda c: inspect(c).get_table_names())
    await engine.dispose()
    return set(names) - {"alembic_version", "alembic_digest"}


async def execute(url: str, *statements: str):
    engine = create_async_engine(database_url(url))
    async with engine.begin() as connection:
        results = [await connection.execute(text(statement)) for statement in statements]
        rows = results[-1].all() if results[-1].returns_rows else []
    await engine.dispose()
    return rows


async def drift(migrator: Migrator) -> list[str]:
    """Differences in the tables made here; the models of other tests share the metadata."""
    own = {name for name, table in Base.metadata.tables.items() if table.info.get("workshop")}
    return [line for line in await migrator.drift() if own & set(re.findall(r"\w+", line))]


async def test_a_generated_revision_applies_matches_the_models_and_reverts(url, workshop):
    module = workshop.module("stock", SHELF)
    migrator = Migrator(url, [module])
    assert any(line.startswith("add_table: shelf") for line in await drift(migrator))
    file = await migrator.revision("Add shelves", module="stock")
    source = file.read_text()
    assert "from mainspring.data import UtcDateTime" in source
    assert "UtcDateTime()" in source
    compile(source, file, "exec")

    applied = await migrator.upgrade()
    assert [(r.id, r.module, r.message, r.applied) for r in applied] == [("stock_0001", "stock", "Add shelves.", True)]
    assert await tables(url) == {"shelf"}
    assert await drift(migrator) == []

    undone = await migrator.downgrade("base")
    assert [r.id for r in undone] == ["stock_0001"]
    assert await tables(url) == set()


async def test_a_changed_model_becomes_the_next_revision_and_keeps_the_rows(url, workshop):
    module = workshop.module("stock", SHELF)
    migrator = Migrator(url, [module])
    await migrator.revision("Add shelves", module="stock")
    await migrator.upgrade()
    identity = new_id().hex
    await execute(url, f"INSERT INTO shelf (id, label) VALUES ('{identity}', 'A')")
    from sqlalchemy import Column, String

    Base.metadata.tables["shelf"].append_column(Column("colour", String))
    file = await migrator.revision("Colour the shelves", module="stock")
    assert file.name == "stock_0002_colour_the_shelves.py"
    assert [r.id for r in await migrator.pending()] == ["stock_0002"]
    await migrator.upgrade()
    assert await drift(migrator) == []
    assert await execute(url, "SELECT label, colour FROM shelf") == [("A", None)]
    await migrator.downgrade("-1")
    assert await execute(url, "SELECT label FROM shelf") == [("A",)]


async def test_pending_revisions_are_named_and_refused(url, workshop):
    module = workshop.module("stock")
    workshop.revision(module, 1, "op.create_table('one', sa.Column('id', sa.Integer, primary_key=True))")
    workshop.revision(module, 2, "op.create_table('two', sa.Column('id', sa.Integer, primary_key=True))")
    migrator = Migrator(url, [module])
    await migrator.upgrade("stock_0001")
    assert [(r.id, r.applied) for r in await migrator.history()] == [("stock_0001", True), ("stock_0002", False)]
    assert [r.id for r in await migrator.pending()] == ["stock_0002"]
    with pytest.raises(PendingMigrations, match=r"lacks 1 migration.*stock_0002 \(Step 2"):
        await migrator.require_current()
    await migrator.upgrade()
    await migrator.require_current()
    assert await migrator.upgrade() == []


async def test_each_module_keeps_its_own_line_in_one_history(url, workshop):
    stock, sales = workshop.module("stock", SHELF), workshop.module("sales", BOX)
    migrator = Migrator(url, [stock, sales])
    await migrator.revision("Add shelves", module="stock")
    await migrator.upgrade()
    file = await migrator.revision("Add boxes", module="sales")
    assert '"shelf"' not in file.read_text().replace('["shelf.id"]', "")
    applied = await migrator.upgrade()
    assert [(r.id, r.module) for r in applied] == [("sales_0001", "sales")]
    assert await tables(url) == {"shelf", "box"}
    assert await drift(migrator) == []
    assert [r.id for r in await migrator.downgrade("sales@base")] == ["sales_0001"]
    assert await tables(url) == {"shelf"}


async def test_one_step_back_must_name_the_module_where_two_stand_side_by_side(url, workshop):
    modules = workshop.module("stock"), workshop.module("sales")
    for module in modules:
        workshop.revision(module, 1, "pass")
    migrator = Migrator(url, modules)
    await migrator.upgrade()
    with pytest.raises(CommandError, match=r"ambiguous: sales_0001, stock_0001|ambiguous: stock_0001, sales_0001"):
        await migrator.downgrade("-1")
    assert [r.id for r in await migrator.downgrade("sales@-1")] == ["sales_0001"]


async def test_a_module_listed_later_is_applied_after_what_it_refers_to(url, workshop):
    stock, sales = workshop.module("stock", SHELF), workshop.module("sales", BOX)
    migrator = Migrator(url, [stock, sales])
    await migrator.revision("Add shelves", module="stock")
    await migrator.upgrade()
    await migrator.revision("Add boxes", module="sales")
    await migrator.downgrade("base")
    assert [r.id for r in await migrator.upgrade()] == ["stock_0001", "sales_0001"]
    assert await tables(url) == {"shelf", "box"}


async def test_a_table_that_only_links_two_others_belongs_to_the_module_that_names_it(url, workshop):
    module = workshop.module("tagging", TAGS)
    migrator = Migrator(url, [module])
    await migrator.revision("Add tags", module="tagging")
    await migrator.upgrade()
    assert await tables(url) == {"tag", "thing", "thing_tag"}
    assert await drift(migrator) == []


async def test_an_empty_revision_looks_at_no_model(url, workshop):
    module = workshop.module("stock", SHELF)
    file = await Migrator(url, [module]).revision("By hand", module="stock", empty=True)
    assert "create_table" not in file.read_text()
    compile(file.read_text(), file, "exec")


async def test_a_revision_is_written_only_for_a_known_module_and_a_current_database(url, workshop):
    module = workshop.module("stock")
    migrator = Migrator(url, [module])
    with pytest.raises(ValueError, match="there are: stock"):
        await migrator.revision("x", module="stocks")
    workshop.revision(module, 1, "pass")
    with pytest.raises(PendingMigrations):
        await migrator.revision("x", module="stock")


async def test_an_unknown_target_changes_nothing(url, workshop):
    module = workshop.module("stock")
    workshop.revision(module, 1, "op.create_table('one', sa.Column('id', sa.Integer, primary_key=True))")
    migrator = Migrator(url, [module])
    with pytest.raises(CommandError, match="nowhere"):
        await migrator.upgrade("nowhere")
    assert await tables(url) == set()


async def test_modules_without_migrations_have_no_history(url):
    migrator = Migrator(url, [Module(name="plain")])
    assert await migrator.history() == []
    assert await migrator.upgrade() == []
    await migrator.require_current()


async def test_a_revision_that_fails_half_way_leaves_nothing_of_itself(url, workshop):
    module = workshop.module("stock")
    workshop.revision(
        module,
        1,
        """
        op.create_table('one', sa.Column('id', sa.Integer, primary_key=True))
        op.execute('INSERT INTO one VALUES (1)')
        raise RuntimeError('half way')
        """,
    )
    migrator = Migrator(url, [module])
    with pytest.raises(RuntimeError, match="half way"):
        await migrator.upgrade()
    assert await tables(url) == set()
    assert [r.applied for r in await migrator.history()] == [False]


def two_steps(workshop) -> Module:
    module = workshop.module("stock")
    workshop.revision(module, 1, "op.create_table('one', sa.Column('id', sa.Integer, primary_key=True))")
    workshop.revision(module, 2, "op.execute('INSERT INTO one VALUES (1)')")
    return module


async def test_two_migrators_in_one_process_apply_each_revision_once(url, workshop):
    module = two_steps(workshop)
    results = await asyncio.gather(*(Migrator(url, [module]).upgrade() for _ in range(3)))
    assert sorted([r.id for r in result] for result in results) == [[], [], ["stock_0001", "stock_0002"]]
    assert await execute(url, "SELECT id FROM one") == [(1,)]


async def test_two_processes_at_the_same_time_apply_each_revision_once(url, workshop, tmp_path):
    module = two_steps(workshop)
    script = (
        "import asyncio, sys; from mainspring.data import Migrator; from mainspring.kernel import Migrations, Module;"
        "module = Module(name='stock', migrations=Migrations(package=sys.argv[2], models=''));"
        "print([r.id for r in asyncio.run(Migrator(sys.argv[1], [module]).upgrade())])"
    )
    arguments = (sys.executable, "-c", script, url, module.migrations.package)
    pipe = asyncio.subprocess.PIPE
    processes = [
        await asyncio.create_subprocess_exec(*arguments, cwd=tmp_path, stdout=pipe, stderr=pipe) for _ in range(2)
    ]
    spoken = [await process.communicate() for process in processes]
    assert [errors.decode() for _, errors in spoken] == ["", ""]
    assert sorted(output.decode().strip() for output, _ in spoken) == ["['stock_0001', 'stock_0002']", "[]"]
    assert await execute(url, "SELECT id FROM one") == [(1,)]


async def test_databases_of_several_tenants_are_migrated_side_by_side(url, workshop, tmp_path):
    module = two_steps(workshop)
    urls = [url, f"sqlite:///{tmp_path}/tenants/other.db"]
    results = await asyncio.gather(*(Migrator(tenant, [module]).upgrade() for tenant in urls))
    assert [[r.id for r in result] for result in results] == [["stock_0001", "stock_0002"]] * 2


async def test_a_running_writer_does_not_keep_others_from_reading_the_history(url, workshop):
    module = workshop.module("stock")
    workshop.revision(module, 1, "op.create_table('one', sa.Column('id', sa.Integer, primary_key=True))")
    migrator = Migrator(url, [module])
    await migrator.upgrade()
    if url.startswith("sqlite"):
        writer = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)
        writer.execute("BEGIN IMMEDIATE")
        async with asyncio.timeout(5):
            assert await migrator.pending() == []
        writer.close()
    assert await migrator.pending() == []


@pytest.mark.databases("sqlite")
async def test_changing_a_table_by_copying_it_keeps_the_rows_that_point_to_it(url, workshop):
    module = workshop.module("stock")
    workshop.revision(module, 1, "pass")
    workshop.revision(
        module,
        2,
        """
        with op.batch_alter_table('parent', recreate='always') as batch:
            batch.add_column(sa.Column('colour', sa.String))
        """,
    )
    await execute(
        url,
        "CREATE TABLE parent (id INTEGER PRIMARY KEY)",
        "CREATE TABLE child (id INTEGER PRIMARY KEY, parent_id INTEGER REFERENCES parent (id) ON DELETE CASCADE)",
        "INSERT INTO parent VALUES (1)",
        "INSERT INTO child VALUES (1, 1)",
    )
    await Migrator(url, [module]).upgrade()
    assert await execute(url, "SELECT * FROM parent") == [(1, None)]
    assert await execute(url, "SELECT * FROM child") == [(1, 1)]


@pytest.mark.databases("sqlite")
async def test_a_migration_that_would_break_references_is_refused_and_changes_nothing(url, workshop):
    module = workshop.module("stock")
    workshop.revision(module, 1, "op.add_column('parent', sa.Column('colour', sa.String))")
    workshop.revision(
        module,
        2,
        """
        with op.batch_alter_table('parent', recreate='always') as batch:
            batch.add_column(sa.Column('size', sa.Integer))
        op.execute('DELETE FROM parent')
        """,
    )
    await execute(
        url,
        "CREATE TABLE parent (id INTEGER PRIMARY KEY)",
        "CREATE TABLE child (id INTEGER PRIMARY KEY, parent_id INTEGER REFERENCES parent (id))",
        "INSERT INTO parent VALUES (1)",
        "INSERT INTO child VALUES (1, 1)",
    )
    with pytest.raises(RuntimeError, match=r"1 row.* child"):
        await Migrator(url, [module]).upgrade()
    assert await execute(url, "SELECT * FROM parent") == [(1,)]
    assert [r.applied for r in await Migrator(url, [module]).history()] == [False, False]


@pytest.mark.parametrize("scheme", ["sqlite:///{}", "postgresql://nobody@127.0.0.1:1/{}"])
def test_the_sql_of_the_whole_history_needs_no_database(scheme, workshop, tmp_path):
    module = workshop.module("stock")
    workshop.revision(module, 1, "op.create_table('one', sa.Column('id', sa.Integer, primary_key=True))")
    sql = Migrator(scheme.format(tmp_path / "never.db"), [module]).sql()
    assert "CREATE TABLE one" in sql
    assert "INSERT INTO alembic_version" in sql
    assert not (tmp_path / "never.db").exists()
