"""Every rule refuses one bad migration, and its own recipe passes the check and works on PostgreSQL."""

import json
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from mainspring.data.migrations_check import RULES

SQUAWK = str(Path(sys.executable).parent / "squawk")


@dataclass(frozen=True)
class Bad:
    """A migration that a rule refuses; `before` is what was applied in an earlier revision."""

    rule: str
    upgrade: str
    before: str = ""
    server: int | None = None
    applicable: bool = True
    also: frozenset[str] = frozenset()
    enabled: tuple[str, ...] = field(default=())

    @property
    def name(self) -> str:
        return self.rule


LINK = "op.create_foreign_key('fk_book_author', 'book', 'author', ['author_id'], ['id']{})"
PARTITIONED = """
    op.execute("CREATE TABLE visit (id bigint NOT NULL, day date NOT NULL) PARTITION BY RANGE (day)")
    op.execute("CREATE TABLE visit_1 PARTITION OF visit FOR VALUES FROM ('2026-01-01') TO ('2026-07-01')")
    op.execute("CREATE TABLE visit_2 PARTITION OF visit FOR VALUES FROM ('2026-07-01') TO ('2027-01-01')")
"""
VIEW = """
    op.execute("CREATE MATERIALIZED VIEW counts AS SELECT author_id, count(*) AS n FROM book GROUP BY author_id")
    op.execute("CREATE UNIQUE INDEX counts_key ON counts (author_id)")
"""
DOMAIN = """
    op.execute("CREATE DOMAIN percent AS integer")
    op.execute("CREATE TABLE discount (id bigint PRIMARY KEY, share percent)")
"""
BAD = [
    Bad("index-not-concurrent", "op.create_index('ix_book_isbn', 'book', ['isbn'])"),
    Bad("drop-index-not-concurrent", "op.drop_index('ix_book_title', table_name='book')"),
    Bad("concurrent-in-transaction", "op.create_index('ix_book_isbn', 'book', ['isbn'], postgresql_concurrently=True)"),
    Bad("reindex-not-concurrent", "op.execute('REINDEX TABLE book')"),
    Bad("refresh-not-concurrent", "op.execute('REFRESH MATERIALIZED VIEW counts')", before=VIEW),
    Bad("detach-partition-not-concurrent", "op.execute('ALTER TABLE visit DETACH PARTITION visit_1')", before=PARTITIONED),
    Bad("index-on-partitioned", "op.create_index('ix_visit_id', 'visit', ['id'])", before=PARTITIONED),
    Bad(
        "index-corruption",
        """
        with op.get_context().autocommit_block():
            op.create_index('ix_book_isbn', 'book', ['isbn'], postgresql_concurrently=True, if_not_exists=True)
        """,
        server=140002,
    ),
    Bad(
        "index-many-columns",
        """
        with op.get_context().autocommit_block():
            op.create_index(
                'ix_many', 'book', ['isbn', 'pages', 'price', 'title'], postgresql_concurrently=True, if_not_exists=True
            )
        """,
    ),
    Bad("table-rewrite-command", "op.execute('CLUSTER book USING ix_book_title')"),
    Bad(
        "table-copy",
        """
        with op.batch_alter_table('book', recreate='always') as batch:
            batch.add_column(sa.Column('blurb', sa.Text()))
        """,
    ),
    Bad(
        "add-column-volatile-default",
        "op.add_column('book', sa.Column('key', sa.Uuid(), server_default=sa.text('gen_random_uuid()'), nullable=False))",
    ),
    Bad("add-column-generated", "op.add_column('book', sa.Column('gross', sa.Numeric(10, 2), sa.Computed('price * 1.2', persisted=True)))"),
    Bad("add-column-serial", "op.add_column('book', sa.Column('number', sa.BigInteger(), sa.Identity(), nullable=False))"),
    Bad("add-column-required", "op.add_column('book', sa.Column('shelf', sa.Integer(), nullable=False))"),
    Bad(
        "add-column-reference",
        "op.execute('ALTER TABLE book ADD COLUMN editor_id bigint CONSTRAINT fk_editor REFERENCES author (id)')",
    ),
    Bad("add-column-unique", "op.execute('ALTER TABLE book ADD COLUMN code text UNIQUE')"),
    Bad("column-json", "op.add_column('book', sa.Column('extra', sa.JSON()))"),
    Bad("drop-column", "op.drop_column('book', 'isbn')"),
    Bad("drop-table", "op.drop_table('author')"),
    Bad("drop-database", "op.execute('DROP SCHEMA old CASCADE')", before="op.execute('CREATE SCHEMA old')"),
    Bad("drop-and-create", "op.drop_table('author')\nop.create_table('author', sa.Column('id', sa.BigInteger(), primary_key=True))"),
    Bad("rename-column", "op.alter_column('book', 'isbn', new_column_name='code')"),
    Bad("rename-table", "op.rename_table('author', 'writer')"),
    Bad(
        "rename-schema",
        "op.execute('ALTER SCHEMA old RENAME TO new')",
        before="op.execute('CREATE SCHEMA old')\nop.create_table('thing', sa.Column('id', sa.BigInteger(), primary_key=True), schema='old')",
    ),
    Bad("rename-enum-value", "op.execute(\"ALTER TYPE mood RENAME VALUE 'sad' TO 'blue'\")"),
    Bad("change-column-type", "op.alter_column('book', 'pages', type_=sa.BigInteger(), existing_type=sa.Integer())"),
    Bad("change-type-constrained", "op.alter_column('book', 'price', type_=sa.Numeric(12, 2))"),
    Bad("change-type-and-not-null", "op.alter_column('book', 'isbn', type_=sa.String(), nullable=False)"),
    Bad("set-not-null", "op.alter_column('book', 'isbn', nullable=False)"),
    Bad("drop-not-null", "op.alter_column('book', 'title', nullable=True)"),
    Bad("drop-default", "op.alter_column('book', 'pages', server_default=None)"),
    Bad("foreign-key-validating", LINK.format("")),
    Bad("check-validating", "op.create_check_constraint('ck_pages', 'book', 'pages > 0')"),
    Bad("validate-under-lock", LINK.format(", postgresql_not_valid=True") + "\nop.execute('ALTER TABLE book VALIDATE CONSTRAINT fk_book_author')"),
    Bad("unique-builds-index", "op.create_unique_constraint('uq_book_isbn', 'book', ['isbn'])"),
    Bad("exclusion-constraint", "op.execute('ALTER TABLE book ADD CONSTRAINT ex_book EXCLUDE USING btree (isbn WITH =)')"),
    Bad("never-validated", LINK.format(", postgresql_not_valid=True"), also=frozenset({"foreign-key-without-index"})),
    Bad("foreign-key-without-index", LINK.format(", postgresql_not_valid=True"), also=frozenset({"never-validated"})),
    Bad("domain-constraint", "op.execute('ALTER DOMAIN percent ADD CONSTRAINT small CHECK (VALUE <= 100)')", before=DOMAIN),
    Bad("domain-with-constraint", "op.execute('CREATE DOMAIN share AS integer CHECK (VALUE <= 100)')"),
    Bad(
        "enum-value-used",
        "op.execute(\"ALTER TYPE mood ADD VALUE 'calm' BEFORE 'glad'\")\nop.execute(\"UPDATE book SET state = 'calm' WHERE id = 1\")",
    ),
    Bad("enum-value-order", "op.execute(\"ALTER TYPE mood ADD VALUE 'calm'\")", applicable=False),
    Bad(
        "backfill-under-lock",
        "op.add_column('book', sa.Column('blurb', sa.Text()))\nop.execute(\"UPDATE book SET blurb = title\")",
    ),
    Bad("backfill-unbatched", 'op.execute("UPDATE book SET isbn = upper(isbn) WHERE isbn <> upper(isbn)")'),
    Bad("truncate", "op.execute('TRUNCATE book')"),
    Bad("truncate-cascade", "op.execute('TRUNCATE author CASCADE')"),
    Bad("lock-table", "op.execute('LOCK TABLE book')"),
    Bad("duplicate-assignment", "op.execute('UPDATE book SET pages = 1, pages = 2 WHERE id = 1')"),
    Bad("transaction-nesting", "op.execute('BEGIN')\nop.execute('COMMIT')"),
    Bad("transaction-uncommitted", "op.execute('BEGIN')"),
    Bad("timeout-off", "op.execute('SET lock_timeout = 0')"),
    Bad(
        "not-rerunnable",
        """
        with op.get_context().autocommit_block():
            op.create_index('ix_book_isbn', 'book', ['isbn'], postgresql_concurrently=True)
        """,
    ),
    Bad("name-too-long", f"op.execute('CREATE TABLE {'long_' * 14} (id bigint PRIMARY KEY)')"),
    Bad("several-statements", "op.execute('CREATE TABLE a (id bigint); CREATE TABLE b (id bigint)')", applicable=False),
    Bad("unparsable-sql", "op.execute('ALTER TABEL book')", applicable=False),
    Bad("opaque-sql", "op.execute(\"DO $$ BEGIN EXECUTE 'SELECT ' || 1; END $$\")"),
    Bad("not-followed", "rows = {}\nrows['nothing']", applicable=False),
    Bad("not-reached", "if op.get_bind().execute(sa.text('SELECT 1')).rowcount > 5:\n    op.drop_table('book')", applicable=False),
    Bad("primary-key-32-bits", "op.create_table('tag', sa.Column('id', sa.Integer(), sa.Identity(), primary_key=True))", applicable=False),
    Bad("serial", "op.execute('CREATE TABLE tag (id bigserial PRIMARY KEY)')", applicable=False),
    Bad("char-type", "op.create_table('tag', sa.Column('id', sa.BigInteger()), sa.Column('code', sa.CHAR(3)))", applicable=False),
    Bad("timestamp-without-zone", "op.create_table('tag', sa.Column('id', sa.BigInteger()), sa.Column('at', sa.DateTime()))", applicable=False),
    Bad("varchar-limit", "op.create_table('tag', sa.Column('name', sa.String(5)))", applicable=False, enabled=("varchar-limit",)),
    Bad("table-without-schema", "op.create_table('tag', sa.Column('name', sa.Text()))", applicable=False, enabled=("table-without-schema",)),
]  # fmt: skip
ELSEWHERE = {
    "still-mapped",
    "several-heads",
    "edited-after-applying",
    "invalid-index",
    "downgrade-missing",
    "downgrade-loses-data",
}


def test_each_rule_has_a_bad_migration():
    assert {bad.rule for bad in BAD} | ELSEWHERE == RULES.keys()


def prepared(stock, bad) -> int:
    """Number of the bad revision."""
    if bad.before:
        stock.revision(2, bad.before)
    return 3 if bad.before else 2


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: bad.name)
async def test_a_bad_migration_is_found_with_its_rule_and_a_way_out(stock, bad):
    number = prepared(stock, bad)
    file = stock.revision(number, bad.upgrade)

    report = await stock.check(since=f"stock_{number - 1:04d}", server=bad.server, enabled=bad.enabled)

    assert bad.rule in {finding.rule for finding in report.findings}, report.findings
    found = next(finding for finding in report.findings if finding.rule == bad.rule)
    assert not report.passes(strict=True)
    assert report.passes() == (RULES[bad.rule].level != "refused" and not report.refused)
    assert (found.path, found.revision) == (str(file), f"stock_{number:04d}")
    assert found.why
    assert found.detail
    assert found.recipe
    if bad.rule not in {"never-validated", "foreign-key-without-index"}:
        assert file.read_text().splitlines()[found.line - 1].strip(), "the line of the operation"


def without(found) -> None:
    """Take the operation out of its revision."""
    file = Path(found.path)
    text = file.read_text().splitlines(keepends=True)
    file.write_text("".join(text[: found.line - 1] + text[found.line :]))


@pytest.mark.databases("postgresql")
@pytest.mark.parametrize("bad", [b for b in BAD if b.applicable], ids=lambda bad: bad.name)
async def test_its_recipe_passes_the_check_and_works(stock, bad, url, ask):
    number = prepared(stock, bad)
    stock.revision(number, bad.upgrade)
    report = await stock.check(since=f"stock_{number - 1:04d}", server=bad.server)
    found = next(finding for finding in report.findings if finding.rule == bad.rule)
    steps = [step.code for step in found.recipe if step.kind == "revision"]
    keeps = found.recipe[0].kind == "rest" or bad.rule in {"never-validated", "foreign-key-without-index"}
    if found.recipe[0].kind == "rest":
        without(found)
    for offset, code in enumerate(steps, start=1 if keeps else 0):
        stock.revision(number + offset, code)
    stock.forget()

    rewritten = await stock.check(since=f"stock_{number - 1:04d}", server=bad.server)
    applied = await stock.migrator(url).upgrade()

    assert rewritten.refused == []
    assert bad.rule not in {f.rule for f in rewritten.advice}
    assert rewritten.unused == []
    assert len(applied) == number - 1 + len(steps) + keeps
    assert await ask("SELECT 1 FROM pg_index WHERE NOT indisvalid") == []
    if not bad.rule.startswith(("never", "foreign-key-without")):
        assert await ask("SELECT conname FROM pg_constraint WHERE NOT convalidated") == []


UNLIKE = {
    "table-rewrite-command": "Squawk 2.70 has the rule, and says nothing to CLUSTER and VACUUM FULL",
    "timeout-off": "Squawk misses a limit where one is needed; the runner sets it, so ours is about lifting it",
    "transaction-uncommitted": "Alembic ends the transaction in the SQL that Squawk gets",
}


@pytest.mark.parametrize(
    "bad",
    [b for b in BAD if b.rule not in UNLIKE and any(a.startswith("squawk:") for a in RULES[b.rule].answers)],
    ids=lambda bad: bad.name,
)
def test_squawk_objects_to_it_too(stock, bad, tmp_path):
    """So that a rule that says it answers to one of Squawk's does."""
    number = prepared(stock, bad)
    stock.revision(number, bad.upgrade)
    migrator = stock.migrator("postgresql://nobody@127.0.0.1:1/none")
    written = tmp_path / "revision.sql"
    written.write_text(migrator.sql(f"stock_{number - 1:04d}:stock_{number:04d}"))

    done = subprocess.run(
        [SQUAWK, "--reporter", "json", "--include", "require-table-schema", str(written)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    objections = {one["rule_name"] for one in json.loads(done.stdout)}
    named = {a.removeprefix("squawk:") for a in RULES[bad.rule].answers if a.startswith("squawk:")}
    assert objections & named, objections
