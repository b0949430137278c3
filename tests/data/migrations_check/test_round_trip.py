"""Up, down and up again: the schema is the same, or the difference is named."""

import pytest

from mainspring.data import Migrator
from mainspring.kernel import Migrations, Module

TABLE = "op.create_table('shelf', sa.Column('id', sa.Integer, primary_key=True), sa.Column('label', sa.Text()))"
COLUMN = (
    "op.add_column('shelf', sa.Column('colour', sa.Text()))\nop.create_index('ix_shelf_colour', 'shelf', ['colour'])"
)
GONE = "op.drop_index('ix_shelf_colour', table_name='shelf')\nop.drop_column('shelf', 'colour')"


async def test_a_history_that_undoes_what_it_does_is_the_same_afterwards(empty, url):
    empty.revision(1, TABLE, "op.drop_table('shelf')")
    empty.revision(2, COLUMN, GONE)
    migrator = empty.migrator(url)

    assert await migrator.round_trip() == []
    assert await migrator.pending() == []


async def test_what_a_downgrade_forgets_is_named(empty, url):
    empty.revision(1, TABLE, "op.drop_table('shelf')")
    empty.revision(2, "op.create_index('ix_shelf_label', 'shelf', ['label'])", "pass")
    migrator = empty.migrator(url)

    (found,) = await migrator.round_trip()

    assert found.startswith("stock_0002, undone: + ")
    assert "ix_shelf_label" in found


async def test_what_is_other_after_the_downgrade_is_named(empty, url):
    empty.revision(1, TABLE, "op.drop_table('shelf')")
    empty.revision(
        2, "op.create_table('box', sa.Column('id', sa.Integer, primary_key=True))", "op.rename_table('box', 'bin')"
    )
    migrator = empty.migrator(url)

    found = await migrator.round_trip()

    assert any(line.startswith("stock_0002, undone: + ") and "bin" in line for line in found)


@pytest.mark.databases("postgresql")
async def test_what_the_models_do_not_know_is_compared_too(empty, url):
    empty.revision(1, "op.execute(\"CREATE TYPE mood AS ENUM ('sad')\")", 'op.execute("DROP TYPE IF EXISTS nothing")')

    assert await empty.migrator(url).round_trip() == ["stock_0001, undone: + enum mood sad"]


async def test_a_downgrade_that_says_there_is_no_way_back_is_believed(empty, url):
    empty.revision(1, TABLE)

    assert await empty.migrator(url).round_trip() == []


async def test_a_database_with_tables_is_refused(empty, url):
    empty.revision(1, TABLE, "op.drop_table('shelf')")
    migrator = empty.migrator(url)
    await migrator.upgrade()

    with pytest.raises(ValueError, match="has tables already"):
        await migrator.round_trip()


@pytest.mark.parametrize("models", ["mainspring.accounts", "mainspring.data._audit_trail", "mainspring.data._outbox"])
async def test_the_chassis_own_history_goes_there_and_back(url, models):
    module = Module(name=models.rpartition(".")[2].strip("_"), migrations=Migrations(f"{models}.migrations", models))

    assert await Migrator(url, [module]).round_trip() == []
