"""`db`: in processes of their own, because models stay in the metadata of the one that imported them."""

import json
import re
import sqlite3
from pathlib import Path

import pytest

MODELS = """
    from sqlalchemy.orm import Mapped, mapped_column
    from mainspring.data import Base, Identified

    class Shelf(Identified, Base):
        __tablename__ = "shelf"
        label: Mapped[str] = mapped_column(unique=True)
"""
MORE = "    colour: Mapped[str | None]\n"
APP = """
    from mainspring.app import create_app
    from mainspring.kernel import Migrations, Module
    from shop import models
    from shop.settings import Settings

    shelves = Module(name="shelves", migrations=Migrations(package="shop.migrations", models="shop"))
    other = Module(name="other", migrations=Migrations(package="shop.more", models="shop_other"))

    def build():
        return create_app("shop", settings=Settings(), modules=[shelves])

    def build_two():
        return create_app("shop", settings=Settings(), modules=[shelves, other])
"""
SQLITE = "sqlite:///shop.db"


@pytest.fixture
def shelves(project):
    """A service with one table and no history yet."""
    project.write("src/shop/models.py", MODELS)
    project.write("src/shop/app.py", APP)
    for package in ("migrations", "more"):
        project.write(f"src/shop/{package}/__init__.py", "")
    return project


@pytest.fixture(scope="module")
def written() -> dict[str, str]:
    """Revisions, once some test has had them written."""
    return {}


@pytest.fixture
def history(shelves, written) -> Path:
    """Two revisions, neither applied; returns their folder."""
    folder = shelves.folder / "src/shop/migrations"
    models = shelves.folder / "src/shop/models.py"
    if not written:
        for message in ("shelves", "colours"):
            wrote, _ = shelves.run_each(f"db revision -m {message}", "db upgrade", DATABASE_URL="sqlite:///scratch.db")
            assert wrote.code == 0, wrote.err
            models.write_text(models.read_text() + MORE)
        written |= {file.name: file.read_text() for file in folder.glob("shelves_*.py")}
    shelves.write("src/shop/models.py", MODELS)
    models.write_text(models.read_text() + MORE)
    for name, text in written.items():
        (folder / name).write_text(text)
    return folder


@pytest.fixture
def db(shelves):
    """`db("upgrade", "check")`: those commands in one process."""

    def run(*commands, **environment):
        return shelves.run_each(*(f"db {c}" for c in commands), **({"DATABASE_URL": SQLITE} | environment))

    return run


def columns(project) -> list[str]:
    connection = sqlite3.connect(project.folder / "shop.db")
    names = [row[1] for row in connection.execute("PRAGMA table_info(shelf)")]
    connection.close()
    return names


class TestRevision:
    def test_writes_what_the_models_have_into_the_services_own_module(self, db, project):
        (ended,) = db("revision -m 'Make shelves'")

        (file,) = (project.folder / "src/shop/migrations").glob("shelves_*.py")
        assert (ended.code, ended.err) == (0, "")
        assert ended.out.startswith(f"Wrote {file}. Read it before you apply it")
        assert "create_table" in file.read_text()

    def test_is_not_written_when_nothing_differs(self, db, history):
        _, ended = db("upgrade", "revision -m nothing")

        assert (ended.code, ended.out) == (1, "")
        assert "nothing to write" in ended.err
        assert len([*history.glob("shelves_*.py")]) == 2

    def test_can_be_empty_and_is_then_to_be_filled_in(self, db, project):
        (ended,) = db("revision -m 'by hand' --empty")

        (file,) = (project.folder / "src/shop/migrations").glob("shelves_*.py")
        assert (ended.code, ended.out) == (0, f"Wrote {file}. Fill it in.\n")
        assert "create_table" not in file.read_text()

    def test_is_refused_while_migrations_are_pending(self, db, history):
        (ended,) = db("revision -m more")

        assert ended.code == 1
        assert "lacks shelves_0001, shelves_0002" in ended.err
        assert "mainspring db upgrade" in ended.err

    def test_needs_the_modules_name_where_there_are_several(self, shelves):
        command = "--app shop.app:build_two db revision -m x --empty"

        open_, wrong, named = shelves.run_each(command, f"{command} --module none", f"{command} --module other")

        assert (open_.code, wrong.code, named.code) == (2, 2, 0)
        assert "--module" in open_.err
        assert "shelves, other" in open_.err
        assert "'none'" in wrong.err
        assert len([*(shelves.folder / "src/shop/more").glob("other_*.py")]) == 1


class TestUpgradeAndDowngrade:
    def test_say_what_they_did_or_that_there_was_nothing_to_do(self, db, history, project):
        applied, again = db("upgrade", "upgrade")
        assert (applied.code, again.code) == (0, 0)
        assert applied.out == "Applied 2 migrations:\n  shelves_0001  shelves.\n  shelves_0002  colours.\n"
        assert again.out == "Nothing to do: the schema is current.\n"
        assert columns(project) == ["id", "label", "colour"]

        one, rest, nothing = db("downgrade -1", "downgrade base", "downgrade base")
        assert one.out == "Reverted 1 migration:\n  shelves_0002  colours.\n"
        assert rest.out == "Reverted 1 migration:\n  shelves_0001  shelves.\n"
        assert (nothing.code, nothing.out) == (0, "Nothing to do: nothing after base is applied.\n")
        assert columns(project) == []

    def test_stop_at_a_revision(self, db, history, project):
        ended, again = db("upgrade shelves_0001", "upgrade shelves_0001")

        assert ended.out == "Applied 1 migration:\n  shelves_0001  shelves.\n"
        assert again.out == "Nothing to do up to shelves_0001.\n"
        assert columns(project) == ["id", "label"]

    def test_name_a_revision_that_nobody_knows_in_one_line(self, db, history):
        for ended in db("upgrade nope", "downgrade nope", "upgrade nope --sql"):
            assert (ended.code, ended.out) == (1, "")
            assert re.fullmatch(r".*'nope'.*\n", ended.err)

    def test_print_the_sql_without_touching_a_database(self, db, history, project):
        (ended,) = db("upgrade --sql")

        assert ended.code == 0
        assert "CREATE TABLE shelf" in ended.out
        assert not (project.folder / "shop.db").exists()


class TestLooking:
    def test_the_history_says_what_is_applied_and_what_is_pending(self, db, history):
        _, plain, machine = db("upgrade shelves_0001", "history", "history --json")

        assert [line.split() for line in plain.out.splitlines()[1:]] == [
            ["shelves", "shelves_0001", "applied", "shelves."],
            ["shelves", "shelves_0002", "pending", "colours."],
        ]
        found = json.loads(machine.out)
        assert [(one["id"], one["applied"]) for one in found] == [("shelves_0001", True), ("shelves_0002", False)]

    def test_the_current_state_is_the_last_applied_revision_of_each_module(self, db, history):
        nothing, _, plain, machine = db("current", "upgrade", "current", "current --json")

        assert nothing.out == "Nothing is applied.\n"
        assert plain.out.splitlines()[1].split() == ["shelves", "shelves_0002", "colours."]
        assert [one["id"] for one in json.loads(machine.out)] == ["shelves_0002"]

    def test_a_service_without_tables_has_no_history(self, project):
        history, upgrade, current = project.run_each("db history", "db upgrade", "db current")

        assert history.out == "No module has migrations.\n"
        assert upgrade.out == "Nothing to do: the schema is current.\n"
        assert current.out == "Nothing is applied.\n"


class TestCheck:
    def test_fails_while_migrations_are_pending_and_names_them(self, db, history):
        plain, machine = db("check", "check --json")

        assert (plain.code, machine.code) == (1, 1)
        assert "pending: shelves_0001 (shelves.)\npending: shelves_0002 (colours.)\n" in plain.out
        found = json.loads(machine.out)
        assert ([one["id"] for one in found["pending"]], found["differences"]) == (["shelves_0001", "shelves_0002"], [])

    def test_fails_when_models_and_database_differ_and_says_where(self, db, history, project):
        project.write("src/shop/models.py", MODELS)

        _, plain, machine = db("upgrade", "check", "check --json")

        assert (plain.code, machine.code) == (1, 1)
        assert re.search(r"^different: .*colour", plain.out, re.MULTILINE)
        assert "colour" in json.loads(machine.out)["differences"][0]

    def test_passes_when_all_agrees(self, db, history):
        _, plain, machine = db("upgrade", "check", "check --json")

        assert (plain.code, machine.code) == (0, 0)
        assert plain.out == "The schema is current and agrees with the models.\n"
        found = json.loads(machine.out)
        assert (found["pending"], found["differences"], found["safety"]["refused"]) == ([], [], [])


UNSAFE = '''"""An index."""

from alembic import op

revision = "shelves_0003"
down_revision = "shelves_0002"
branch_labels = None
depends_on = None


def upgrade():
    op.create_index("ix_shelf_label", "shelf", ["label"])


def downgrade():
    op.drop_index("ix_shelf_label", table_name="shelf")
'''
SAFE = UNSAFE.replace(
    '    op.create_index("ix_shelf_label", "shelf", ["label"])',
    """    with op.get_context().autocommit_block():
        op.create_index("ix_shelf_label", "shelf", ["label"], postgresql_concurrently=True, if_not_exists=True)""",
)


class TestSafety:
    def test_an_unsafe_migration_is_refused_with_its_line_and_a_way_out(self, db, history):
        file = history / "shelves_0003.py"
        file.write_text(UNSAFE)

        plain, github, machine = db(*(f"check --since shelves_0002 --format {f}" for f in ("text", "github", "json")))

        assert (plain.code, github.code, machine.code) == (1, 1, 1)
        assert "src/shop/migrations/shelves_0003.py:12  op.create_index\n    refused: index-not-concurrent" in plain.out
        assert "postgresql_concurrently=True" in plain.out
        assert plain.out.endswith("1 revision checked: 1 refused.\n")
        assert github.out.startswith(
            "::error file=src/shop/migrations/shelves_0003.py,line=12,title=index-not-concurrent"
        )
        (found,) = json.loads(machine.out)["safety"]["refused"]
        assert (found["rule"], found["line"]) == ("index-not-concurrent", 12)

    def test_a_safe_one_passes_without_a_database(self, db, history, project):
        (history / "shelves_0003.py").write_text(SAFE)

        (ended,) = db("check --since shelves_0002")

        assert (ended.code, ended.out) == (0, "1 revision checked: nothing refused.\n")
        assert not (project.folder / "shop.db").exists()

    def test_pending_ones_that_are_safe_pass_where_that_is_asked_for(self, db, history):
        _, safe = db("upgrade shelves_0001", "check --allow-pending")
        (history / "shelves_0003.py").write_text(UNSAFE)
        (unsafe,) = db("check --allow-pending")

        assert (safe.code, unsafe.code) == (0, 1)
        assert "pending: shelves_0002" in safe.out

    def test_what_does_not_exist_is_a_wrong_usage(self, db, history):
        revision, version = db("check --since nope", "check --server newest")

        assert (revision.code, version.code) == (2, 2)
        assert "no revision 'nope'" in revision.err
        assert "no version of PostgreSQL" in version.err

    def test_a_round_trip_wants_an_empty_database(self, db, history):
        fresh, again = db("check --round-trip", "check --round-trip")

        assert (fresh.code, fresh.out) == (0, "Up, down and up again leave the same schema.\n")
        assert (again.code, "has tables already" in again.err) == (2, True)

    def test_an_edited_revision_is_refused_until_it_is_accepted(self, db, history):
        (history / "shelves_0003.py").write_text(SAFE)
        db("upgrade")
        (history / "shelves_0003.py").write_text(UNSAFE)

        refused, accepted, again = db("check", "check --accept-edits", "check")

        assert (refused.code, accepted.code) == (1, 0)
        assert ["edited-after-applying" in one.out for one in (refused, again)] == [True, False]
        assert accepted.out == "Accepted: shelves_0003.\n"

    def test_a_terminal_gets_colours_and_code_that_can_be_copied(self, history, project):
        (history / "shelves_0003.py").write_text(UNSAFE)

        ended = project.run_on_a_terminal("db", "check", "--since", "shelves_0002", DATABASE_URL=SQLITE)

        assert ended.code == 1
        assert "\x1b[1;31m" in ended.out
        assert "with op.get_context().autocommit_block():" in re.sub(r"\x1b\[[0-9;]*m", "", ended.out)


class TestADatabaseOutOfReach:
    def test_is_told_in_a_line_without_its_password(self, db, history):
        (ended,) = db("current", DATABASE_URL="postgresql://shop:hunter2@127.0.0.1:1/shop")

        assert (ended.code, ended.out) == (1, "")
        assert "cannot be reached at postgresql://shop:********@127.0.0.1:1/shop" in ended.err
        assert "Check DATABASE_URL." in ended.err

    def test_is_told_when_the_file_cannot_be_opened(self, db, history, project):
        (project.folder / "folder.db").mkdir()

        (ended,) = db("upgrade", DATABASE_URL="sqlite:///folder.db")

        assert (ended.code, ended.out) == (1, "")
        assert "cannot be reached at sqlite:///folder.db: unable to open database file" in ended.err

    @pytest.mark.databases("postgresql")
    def test_is_told_when_the_server_does_not_have_it(self, db, history, fresh_database, database_url):
        (ended,) = db("current", DATABASE_URL=f"{database_url}_that_is_not_there")

        assert (ended.code, ended.out) == (1, "")
        assert "does not exist" in ended.err
