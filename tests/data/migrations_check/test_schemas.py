"""Tables outside of the usual schema, renames and indexes without names: followed, and told as Python that runs."""

import ast
import re

import pytest

LEDGER = """
    op.execute("CREATE SCHEMA s")
    op.create_table(
        "ledger",
        sa.Column("id", sa.BigInteger(), primary_key=True),
        sa.Column("title", sa.String(50), server_default="x", nullable=False),
        sa.Column("other", sa.BigInteger()),
        sa.CheckConstraint("title <> ''", name="titled"),
        schema="s",
    )
"""


@pytest.mark.parametrize(
    "upgrade",
    [
        "op.alter_column('ledger', 'title', nullable=True, schema='s')",
        "op.alter_column('ledger', 'title', server_default=None, schema='s')",
        "op.alter_column('ledger', 'title', type_=sa.Text(), schema='s')",
        "op.alter_column('ledger', 'other', nullable=False, schema='s')",
        "op.alter_column('ledger', 'other', new_column_name='more', schema='s')",
        "op.execute('ALTER TABLE s.ledger ALTER title TYPE varchar(9), ALTER title SET NOT NULL')",
        "op.execute('ALTER TABLE s.ledger ADD at timestamptz NOT NULL DEFAULT clock_timestamp()')",
        "op.execute('ALTER TABLE s.ledger ADD number serial')",
        "op.execute('ALTER TABLE s.ledger ADD parent bigint REFERENCES s.ledger')",
        "op.execute('ALTER TABLE s.ledger ADD CONSTRAINT own FOREIGN KEY (other) REFERENCES s.ledger')",
        "op.execute('CREATE INDEX ON s.ledger (title)')",
        "op.drop_table('ledger', schema='s')",
    ],
)
async def test_the_safe_way_names_the_schema_and_is_python(empty, upgrade):
    empty.revision(1, LEDGER)
    empty.revision(2, upgrade)

    steps = [step for finding in (await empty.check()).findings for step in finding.recipe if step.code]

    assert any(step.kind == "revision" for step in steps)
    for step in steps:
        if step.kind == "revision":
            assert [call for call in calls(step.code) if not names_schema(call)] == []


def calls(code):
    """The operations on a table, as text."""
    found = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Call)]
    return [ast.unparse(node) for node in found if ast.unparse(node.func).startswith(("op.", "backfill"))]


def names_schema(call):
    return re.search(r"schema='s'|\bs\.ledger", call) or call.startswith(("op.get_context", "op.f("))


async def test_an_index_without_a_name_built_concurrently_in_a_transaction_is_told(stock):
    stock.revision(2, "op.execute('CREATE INDEX CONCURRENTLY ON book (title)')")

    (finding,) = (await stock.check()).refused

    assert '"ix_book_title"' in finding.recipe[0].code


async def test_a_renamed_table_stays_in_its_schema(empty):
    empty.revision(1, LEDGER)
    empty.revision(2, "op.rename_table('ledger', 'journal', schema='s')")
    empty.revision(3, "op.alter_column('journal', 'title', type_=sa.BigInteger(), schema='s', postgresql_using='1')")

    renamed, changed = (await empty.check()).refused[:2]

    assert "SELECT * FROM s.journal" in "".join(step.code for step in renamed.recipe)
    assert "varchar(50)" in changed.detail


async def test_what_a_constraint_proves_of_a_column_it_proves_under_its_new_name(stock):
    stock.revision(2, "op.execute('ALTER TABLE book ADD CONSTRAINT known CHECK (isbn IS NOT NULL) NOT VALID')")
    stock.revision(3, "op.alter_column('book', 'isbn', new_column_name='code')")
    stock.revision(
        4,
        """
        with op.get_context().autocommit_block():
            op.execute("ALTER TABLE book VALIDATE CONSTRAINT known")
        op.alter_column('book', 'code', nullable=False)
        """,
    )

    assert [finding.rule for finding in (await stock.check(since="stock_0003")).refused] == []
