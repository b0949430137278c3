"""Migrations that keep the service up are not refused: no false alarms."""

import pytest

from mainspring.data import Migrator
from mainspring.kernel import Migrations, Module

GOOD = {
    "a new table with keys, checks and indexes": """
        op.create_table(
            "loan",
            sa.Column("id", sa.BigInteger(), sa.Identity(), primary_key=True),
            sa.Column("book_id", sa.BigInteger(), sa.ForeignKey("book.id"), nullable=False),
            sa.Column("days", sa.Integer(), sa.CheckConstraint("days > 0", name="days"), nullable=False),
            sa.Column("code", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), unique=True),
        )
        op.create_index("ix_loan_book_id", "loan", ["book_id"])
    """,
    "everything with a table of this revision": """
        op.create_table("tag", sa.Column("id", sa.BigInteger(), primary_key=True), sa.Column("name", sa.Text()))
        op.add_column("tag", sa.Column("key", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False))
        op.alter_column("tag", "name", nullable=False)
        op.alter_column("tag", "name", type_=sa.String(5))
        op.create_unique_constraint("uq_tag_name", "tag", ["name"])
        op.create_check_constraint("ck_tag_name", "tag", "name <> ''")
        op.execute("INSERT INTO tag (id, name) SELECT id, left(name, 1) || id FROM author WHERE id < 10")
        op.execute("UPDATE tag SET name = upper(name)")
        op.drop_column("tag", "key")
    """,
    "row-level security, and its end": """
        from mainspring.data import disable_row_level_security, enable_row_level_security
        op.add_column("book", sa.Column("tenant_id", sa.Uuid()))
        enable_row_level_security("book")
        disable_row_level_security("book")
    """,
    "a column that may be NULL": "op.add_column('book', sa.Column('blurb', sa.Text()))",
    "a required column with a constant default": """
        op.add_column("book", sa.Column("copies", sa.Integer(), server_default="0", nullable=False))
    """,
    "a default of this moment": """
        op.add_column("book", sa.Column("at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False))
    """,
    "a default made by functions that are the same for every row": """
        op.execute("ALTER TABLE book ADD COLUMN extra jsonb NOT NULL DEFAULT jsonb_build_object('at', lower('X'))")
    """,
    "columns in a batch": """
        with op.batch_alter_table("book") as batch:
            batch.add_column(sa.Column("blurb", sa.Text()))
            batch.add_column(sa.Column("shelf", sa.Integer()))
    """,
    "an index built concurrently": """
        with op.get_context().autocommit_block():
            op.create_index("ix_isbn", "book", ["isbn"], postgresql_concurrently=True, if_not_exists=True)
    """,
    "an index of an expression with a condition, in SQL": """
        with op.get_context().autocommit_block():
            op.execute("CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_low ON book (lower(title) text_pattern_ops) WHERE pages > 5")
    """,
    "an index dropped concurrently": """
        with op.get_context().autocommit_block():
            op.drop_index("ix_book_title", table_name="book", postgresql_concurrently=True, if_exists=True)
    """,
    "an index rebuilt concurrently": """
        with op.get_context().autocommit_block():
            op.execute("REINDEX INDEX CONCURRENTLY ix_book_title")
    """,
    "an index renamed": "op.execute('ALTER INDEX ix_book_title RENAME TO ix_title')",
    "a foreign key for new rows": """
        op.create_foreign_key("fk_author", "book", "author", ["author_id"], ["id"], postgresql_not_valid=True)
    """,
    "a check for new rows": """
        op.create_check_constraint("ck_pages", "book", "pages > 0", postgresql_not_valid=True)
    """,
    "a unique constraint from an index": """
        with op.get_context().autocommit_block():
            op.create_index("uq_isbn", "book", ["isbn"], unique=True, postgresql_concurrently=True, if_not_exists=True)
        op.execute("ALTER TABLE book ADD CONSTRAINT uq_isbn UNIQUE USING INDEX uq_isbn")
    """,
    "a constraint dropped": "op.drop_constraint(op.f('ck_book_ck_book_price'), 'book', type_='check')",
    "a text made longer": "op.alter_column('book', 'title', type_=sa.String(80), existing_type=sa.String(50))",
    "a text without limit": "op.alter_column('author', 'name', type_=sa.Text(), existing_type=sa.String(50))",
    "a timestamp that gets a zone, in UTC": """
        op.alter_column("book", "printed", type_=sa.DateTime(timezone=True), existing_type=sa.DateTime())
    """,
    "a default for new rows": "op.alter_column('book', 'isbn', server_default='none')",
    "a volatile default for new rows": "op.execute('ALTER TABLE book ALTER COLUMN isbn SET DEFAULT gen_random_uuid()')",
    "the default of a column that may be NULL dropped": "op.alter_column('book', 'isbn', server_default=None)",
    "a value of an enum": """
        with op.get_context().autocommit_block():
            op.execute("ALTER TYPE mood ADD VALUE IF NOT EXISTS 'calm' BEFORE 'glad'")
    """,
    "an enum made and used": """
        op.execute("CREATE TYPE size AS ENUM ('small')")
        op.execute("CREATE TABLE box (id bigint, size size DEFAULT 'small')")
    """,
    "rows of the service's own": """
        op.execute("INSERT INTO author (name) VALUES ('Nobody') ON CONFLICT DO NOTHING")
        op.execute("UPDATE author SET note = 'none' WHERE name = 'Nobody'")
        op.execute("DELETE FROM author WHERE id IN (1000, 1001)")
    """,
    "rows by Alembic": """
        author = sa.table("author", sa.column("name", sa.String()))
        op.bulk_insert(author, [{"name": "Ann"}, {"name": "Bob's"}])
        op.execute(author.update().where(author.c.name == "Ann").values(name="Anne"))
    """,
    "a backfill in batches": """
        with op.get_context().autocommit_block():
            backfill("book", {"isbn": "title || '; none'"}, where="isbn IS NULL")
    """,
    "a loop over rows that finds few": """
        bind = op.get_bind()
        for row in bind.execute(sa.text("SELECT id, name FROM author WHERE note LIKE :pattern"), {"pattern": "%x%"}):
            bind.execute(sa.text("UPDATE author SET note = :note WHERE id = :id"), {"note": row.name.upper(), "id": row.id})
    """,
    "a look before": """
        if "blurb" not in {column["name"] for column in sa.inspect(op.get_bind()).get_columns("book")}:
            op.add_column("book", sa.Column("blurb", sa.Text()))
    """,
    "a branch for SQLite": """
        if op.get_bind().dialect.name == "sqlite":
            op.execute("PRAGMA foreign_keys = OFF")
            op.drop_table("book")
        else:
            op.execute("ALTER TABLE book SET (autovacuum_vacuum_scale_factor = 0.01)")
    """,
    "a view, a function and a trigger": """
        op.execute("CREATE VIEW title AS SELECT title FROM book")
        op.execute("CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.isbn := 'x:y'; RETURN NEW; END $$")
        op.execute("CREATE TRIGGER stamp BEFORE UPDATE ON book FOR EACH ROW EXECUTE FUNCTION stamp()")
    """,
    "comments, statistics and storage": """
        op.create_table_comment("book", "What is on the shelves")
        op.execute("ALTER TABLE book ALTER COLUMN title SET STATISTICS 500")
        op.execute("CREATE STATISTICS book_stats ON author_id, pages FROM book")
    """,
    "an extension and a schema": """
        op.execute("CREATE SCHEMA IF NOT EXISTS reports")
        op.execute("CREATE TABLE reports.daily (day date PRIMARY KEY, loans bigint NOT NULL)")
        op.execute("CREATE INDEX ON reports.daily (loans)")
    """,
    "a partition": """
        op.execute("CREATE TABLE visit (id bigint NOT NULL, day date NOT NULL) PARTITION BY RANGE (day)")
        op.execute("CREATE TABLE visit_1 PARTITION OF visit FOR VALUES FROM ('2026-01-01') TO ('2027-01-01')")
        op.execute("CREATE INDEX ON visit (day)")
    """,
    "limits of its own": "op.execute(\"SET LOCAL lock_timeout = '1s'\")\nop.execute(\"SET LOCAL statement_timeout = '10min'\")",
    "a DO block without surprises": """
        op.execute("DO $$ BEGIN IF EXISTS (SELECT 1 FROM author WHERE id = 1) THEN PERFORM 1; END IF; END $$")
    """,
    "a function in the revision": """
        def column(name):
            op.add_column("book", sa.Column(name, sa.Text()))

        for name in ("subtitle", "series"):
            column(name)
    """,
    "a materialized view refreshed beside its readers": """
        op.execute("CREATE MATERIALIZED VIEW counts AS SELECT author_id, count(*) AS n FROM book GROUP BY author_id")
        op.execute("REFRESH MATERIALIZED VIEW counts")
    """,
    "permissions and policies": """
        op.execute("ALTER TABLE book ENABLE ROW LEVEL SECURITY")
        op.execute("CREATE POLICY all_books ON book USING (true)")
        op.execute("GRANT SELECT ON book TO PUBLIC")
    """,
}  # fmt: skip


def test_there_are_enough_of_them():
    assert len(GOOD) >= 30


@pytest.mark.parametrize("upgrade", GOOD.values(), ids=GOOD.keys())
async def test_it_is_not_refused(stock, upgrade):
    stock.revision(2, upgrade)

    report = await stock.check()

    assert report.findings == [f for f in report.findings if f.level == "advice"]
    assert {f.rule for f in report.findings} <= {"never-validated", "foreign-key-without-index", "serial"}
    assert report.passes()


@pytest.mark.databases("postgresql")
@pytest.mark.parametrize("upgrade", GOOD.values(), ids=GOOD.keys())
async def test_it_works(stock, upgrade, url):
    stock.revision(2, upgrade)

    assert [one.id for one in await stock.migrator(url).upgrade()] == ["stock_0001", "stock_0002"]


@pytest.mark.parametrize(
    ("package", "models"),
    [
        ("mainspring.accounts.migrations", "mainspring.accounts"),
        ("mainspring.data._audit_trail.migrations", "mainspring.data._audit_trail"),
        ("deepagents.migrations", "deepagents"),
    ],
    ids=["accounts", "audit_trail", "deepagents"],
)
async def test_the_projects_own_migrations_are_not_refused(package, models):
    accounts = Module(name="accounts", migrations=Migrations("mainspring.accounts.migrations", "mainspring.accounts"))
    module = Module(
        name=models.rpartition(".")[2].removeprefix("_"), migrations=Migrations(package=package, models=models)
    )
    modules = [accounts] if module.name == "accounts" else [accounts, module]

    report = await Migrator("sqlite:///unused.db", modules).safety(since="base")

    assert report.checked
    assert report.findings == []
