"""What is looked at, from where, and what is waived."""

import subprocess
import sys

import pytest
import sqlalchemy as sa

from mainspring.data import Base, assured
from mainspring.data._schema import schema
from mainspring.data.migrations_check import RULES, annotations, as_data, lines, summary

INDEX = "op.create_index('ix_isbn', 'book', ['isbn'])"


def rules(report) -> list[str]:
    return [finding.rule for finding in report.refused]


@pytest.fixture
def models():
    """`models("book", "isbn")`: the models of the service have that."""
    made = []

    def have(table: str, *columns: str) -> None:
        made.append(sa.Table(table, Base.metadata, *(sa.Column(c, sa.Text()) for c in columns)))

    yield have
    for table in made:
        Base.metadata.remove(table)


def test_every_check_of_strong_migrations_and_squawk_is_answered():
    """Their names, as of strong_migrations 2.8 and Squawk 2.63; those for MySQL do not concern us."""
    strong = """
        remove_column change_column change_column_with_not_null change_column_constraint rename_column rename_table
        create_table add_column_auto_incrementing add_column_generated_stored add_foreign_key validate_foreign_key
        add_check_constraint validate_check_constraint change_table execute change_column_default change_column_null
        backfill add_index remove_index add_reference add_unique_constraint add_exclusion_constraint add_column_json
        add_column_default add_column_default_callable change_column_null_postgresql rename_enum_value rename_schema
        add_index_corruption add_index_columns
    """.split()  # noqa: SIM905 -- reads better than a list of strings
    squawk = """
        adding-required-field adding-serial-primary-key-field ban-alter-domain-with-add-constraint ban-char-field
        ban-concurrent-index-creation-in-transaction ban-create-domain-with-constraint ban-drop-database
        ban-drop-not-null ban-drop-table ban-duplicate-column-assignments ban-truncate-cascade
        ban-uncommitted-transaction constraint-missing-not-valid disallowed-unique-constraint identifier-too-long
        prefer-bigint-over-int prefer-bigint-over-smallint prefer-identity prefer-repack prefer-robust-stmts
        prefer-text-field prefer-timestamptz require-concurrent-index-deletion require-concurrent-partition-detach
        require-concurrent-reindex require-enum-value-ordering require-lock-timeout require-statement-timeout
        require-table-schema transaction-nesting
    """.split()  # noqa: SIM905 -- reads better than a list of strings
    answered = {name for rule in RULES.values() for name in rule.answers}

    assert {f"sm:{key}" for key in strong} <= answered
    assert {f"squawk:{name}" for name in squawk} <= answered


class TestWhatIsChecked:
    async def test_only_what_comes_after_a_revision(self, stock):
        stock.revision(2, INDEX)
        stock.revision(3, "op.drop_column('book', 'isbn')")

        assert rules(await stock.check(since="base")) == ["index-not-concurrent", "drop-column"]
        assert rules(await stock.check(since="stock_0002")) == ["drop-column"]
        with pytest.raises(ValueError, match="no revision 'stock_0009'"):
            await stock.check(since="stock_0009")

    async def test_what_the_database_lacks(self, stock, url):
        migrator = stock.migrator(url)
        stock.revision(
            1,
            "op.create_table('book', sa.Column('id', sa.BigInteger(), primary_key=True), sa.Column('isbn', sa.Text()))",
        )
        await migrator.upgrade()
        stock.revision(2, INDEX)

        report = await migrator.safety()

        assert (report.checked, rules(report)) == (("stock_0002",), ["index-not-concurrent"])

    async def test_nothing_of_it_touches_a_database(self, stock, tmp_path):
        stock.revision(2, INDEX)

        await stock.migrator(f"sqlite:///{tmp_path}/never.db").safety(since="base")

        assert not (tmp_path / "never.db").exists()

    async def test_a_table_of_an_earlier_revision_is_in_use(self, stock):
        """Also when both are pending: elsewhere they may be applied a week apart."""
        stock.revision(2, "op.create_table('tag', sa.Column('id', sa.BigInteger()))")
        stock.revision(3, "op.create_index('ix_tag', 'tag', ['id'])")

        assert rules(await stock.check()) == ["index-not-concurrent"]

    async def test_a_module_with_two_ends_is_refused(self, stock):
        stock.revision(2, "pass")
        stock.revision(3, "pass", down=1)

        assert rules(await stock.check(since="base")) == ["several-heads"]


class TestWhere:
    async def test_an_operation_of_a_batch_has_its_own_line(self, stock):
        file = stock.revision(
            2,
            """
            with op.batch_alter_table("book") as batch:
                batch.add_column(sa.Column("blurb", sa.Text()))
                batch.create_index(
                    "ix_isbn",
                    ["isbn"],
                )
            """,
        )

        (found,) = (await stock.check()).refused

        assert file.read_text().splitlines()[found.line - 1].strip() == "batch.create_index("
        assert found.operation == "batch.create_index"
        assert found.sql == "CREATE INDEX ix_isbn ON book (isbn)"

    @pytest.mark.parametrize(
        "code",
        [
            "op.execute('CREATE INDEX i ON book (isbn)')",
            "op.execute(sa.text('CREATE INDEX i ON book (isbn)'))",
            "op.execute(sa.DDL('CREATE INDEX i ON book (isbn)'))",
            "op.get_bind().execute(sa.text('CREATE INDEX i ON book (isbn)'))",
            "op.get_bind().exec_driver_sql('CREATE INDEX i ON book (isbn)')",
            "op.execute('DO $$ BEGIN CREATE INDEX i ON book (isbn); END $$')",
            "sa.Index('i', sa.table('book', sa.column('isbn')).c.isbn)\nop.create_index('i', 'book', ['isbn'])",
            "for name in ('isbn',):\n    op.create_index(f'ix_{name}', 'book', [name])",
            "from pathlib import Path\nfile = Path(__file__).with_suffix('.sql')\nfile.write_text('CREATE INDEX i ON book (isbn)')\nop.execute(file.read_text())",
        ],
        ids=["string", "text", "ddl", "bind", "driver", "do", "index", "loop", "file"],
    )  # fmt: skip
    async def test_sql_is_read_however_it_is_sent(self, stock, code):
        stock.revision(2, code)

        assert rules(await stock.check()) == ["index-not-concurrent"]


async def test_what_stands_in_for_a_database_is_gone_afterwards(stock, url):
    """Alembic keeps what runs in globals of its modules."""
    stock.revision(
        2, "with op.batch_alter_table('book') as batch:\n    batch.add_column(sa.Column('blurb', sa.Text()))"
    )
    stock.revision(1, "op.create_table('book', sa.Column('id', sa.BigInteger(), primary_key=True))")
    migrator = stock.migrator(url)

    assert await stock.check() == await migrator.safety(since="stock_0001")
    await migrator.upgrade()

    assert (await migrator.safety()).checked == ()
    assert any("column book.blurb" in line for line in await migrator._connected(schema))


class TestWaivers:
    async def test_waive_what_stands_inside_and_say_why(self, stock):
        stock.revision(2, f"with assured('forty rows'):\n    {INDEX}")

        report = await stock.check()

        assert report.passes(strict=True)
        assert [(f.rule, f.waived) for f in report.waived] == [("index-not-concurrent", "forty rows")]
        assert "waived: " in "\n".join(text for _, text in lines(report, advice=False))

    async def test_waive_only_the_rules_they_name(self, stock):
        stock.revision(
            2, f"with assured('forty rows', 'index-not-concurrent'):\n    {INDEX}\n    op.drop_column('book', 'isbn')"
        )

        assert rules(await stock.check()) == ["drop-column"]

    async def test_reach_into_batches(self, stock):
        stock.revision(
            2,
            """
            with op.batch_alter_table("book") as batch:
                with assured("forty rows"):
                    batch.create_index("ix_isbn", ["isbn"])
                batch.drop_column("isbn")
            """,
        )

        assert rules(await stock.check()) == ["drop-column"]

    async def test_that_waive_nothing_are_named(self, stock):
        stock.revision(2, "with assured('once needed'):\n    op.add_column('book', sa.Column('blurb', sa.Text()))")

        report = await stock.check()

        assert [(one.revision, one.reason) for one in report.unused] == [("stock_0002", "once needed")]
        assert (report.passes(), report.passes(strict=True)) == (True, False)

    def test_want_a_reason(self):
        with pytest.raises(ValueError, match="wants the reason"), assured(" "):
            pass

    async def test_cover_what_could_not_be_reached(self, stock):
        branch = "if op.get_bind().execute(sa.text('SELECT 1')).rowcount > 5:\n    with assured('never so many'):\n        op.drop_table('book')"
        stock.revision(2, branch)

        assert (await stock.check()).passes()


class TestModels:
    async def test_what_they_have_is_not_dropped(self, stock, models):
        models("book", "isbn")
        stock.revision(2, "op.drop_column('book', 'isbn')")
        stock.revision(3, "op.drop_table('book')")

        assert rules(await stock.check()) == ["still-mapped", "still-mapped"]


class TestProofsOfEarlierRevisions:
    async def test_not_null_is_believed_to_a_validated_check(self, stock):
        stock.revision(
            2, "op.create_check_constraint(op.f('c'), 'book', 'isbn IS NOT NULL', postgresql_not_valid=True)"
        )
        stock.revision(3, "op.execute('ALTER TABLE book VALIDATE CONSTRAINT c')")
        stock.revision(4, "op.alter_column('book', 'isbn', nullable=False)")

        assert rules(await stock.check()) == []

    async def test_not_null_is_not_believed_to_one_that_is_not(self, stock):
        stock.revision(
            2, "op.create_check_constraint(op.f('c'), 'book', 'isbn IS NOT NULL', postgresql_not_valid=True)"
        )
        stock.revision(3, "op.alter_column('book', 'isbn', nullable=False)")

        assert rules(await stock.check()) == ["set-not-null"]

    @pytest.mark.parametrize(
        ("old", "new", "safe"),
        [
            ("sa.String(50)", "sa.String(60)", True),
            ("sa.String(50)", "sa.String(40)", False),
            ("sa.String(50)", "sa.Text()", True),
            ("sa.Text()", "sa.String(40)", False),
            ("sa.Text()", "sa.String()", True),
            ("sa.Numeric(10, 2)", "sa.Numeric(12, 2)", True),
            ("sa.Numeric(10, 2)", "sa.Numeric()", True),
            ("sa.Numeric(10, 2)", "sa.Numeric(12, 3)", False),
            ("sa.Integer()", "sa.BigInteger()", False),
            ("sa.DateTime()", "sa.DateTime(timezone=True)", True),
            ("postgresql.TIMESTAMP(precision=3)", "postgresql.TIMESTAMP(precision=6)", True),
            ("postgresql.TIMESTAMP(precision=6)", "postgresql.TIMESTAMP(precision=3)", False),
            ("postgresql.CIDR()", "postgresql.INET()", True),
            ("postgresql.JSONB()", "sa.Text()", False),
        ],
        ids=str,
    )
    @pytest.mark.databases("postgresql")
    async def test_a_type_is_said_to_need_no_rewrite_where_postgresql_makes_none(self, stock, url, ask, old, new, safe):
        """Whether the table's file is another one afterwards."""
        stock.revision(2, f"op.create_table('thing', sa.Column('value', {old}))")
        stock.revision(3, f"op.alter_column('thing', 'value', type_={new})")
        migrator = stock.migrator(url)
        await migrator.upgrade("stock_0002")
        ((before,),) = await ask("SELECT pg_relation_filenode('thing')")
        report = await migrator.safety()
        if not safe:
            await ask("SELECT 1")
            assert rules(report) == ["change-column-type"]
            return
        await migrator.upgrade()
        ((after,),) = await ask("SELECT pg_relation_filenode('thing')")

        assert rules(report) == []
        assert before == after


class TestDowngrades:
    async def test_that_do_nothing_are_pointed_out(self, stock):
        stock.revision(2, "op.add_column('book', sa.Column('blurb', sa.Text()))", "pass")

        report = await stock.check()

        assert [f.rule for f in report.advice] == ["downgrade-missing"]

    async def test_that_lose_rows_are_refused(self, stock):
        stock.revision(2, "op.add_column('book', sa.Column('blurb', sa.Text()))", "op.drop_table('book')")

        assert rules(await stock.check()) == ["downgrade-loses-data"]

    async def test_that_take_away_what_the_upgrade_brought_pass(self, stock):
        stock.revision(2, "op.add_column('book', sa.Column('blurb', sa.Text()))", "op.drop_column('book', 'blurb')")

        assert (await stock.check()).findings == []


class TestReports:
    async def test_for_a_terminal_name_place_rule_reason_lock_and_the_way_out(self, stock):
        file = stock.revision(2, INDEX)
        report = await stock.check()

        text = "\n".join(text for _, text in lines(report, advice=False))

        for said in (
            f"{file}:", "op.create_index", "refused: index-not-concurrent", "CREATE INDEX ix_isbn ON book (isbn)",
            "Lock: SHARE (nobody writes), until every row is read or written.", "postgresql_concurrently=True",
        ):  # fmt: skip
            assert said in text
        assert summary(report, strict=False) == "1 revision checked: 1 refused."

    async def test_for_github_are_one_line_each(self, stock):
        stock.revision(2, INDEX)

        (line,) = annotations(await stock.check())

        assert line.startswith("::error file=")
        assert "title=index-not-concurrent::" in line
        assert "\n" not in line

    async def test_for_machines_have_everything(self, stock):
        stock.revision(2, INDEX)

        (found,) = as_data(await stock.check())["refused"]

        assert found["rule"] == "index-not-concurrent"
        assert found["recipe"][0]["kind"] == "revision"
        compile(found["recipe"][0]["code"], "recipe", "exec")


def test_a_missing_parser_is_told_with_the_extra():
    script = (
        "import sys; sys.modules['postgast'] = None\n"
        "from mainspring.data.migrations_check._sql import parse\n"
        "try:\n    parse('SELECT 1')\nexcept ModuleNotFoundError as error:\n    print(error)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert "uv add 'mainspring[migrations]'" in done.stdout


def test_a_service_that_runs_imports_nothing_of_it():
    script = "import sys, mainspring.app, mainspring.data; print([m for m in sys.modules if 'migrations_check' in m or m == 'postgast'])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert done.stdout == "[]\n"
