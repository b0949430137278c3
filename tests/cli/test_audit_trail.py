"""`audit-trail`: on the database of a small service, before and after somebody has tampered with it."""

import json
import sqlite3
import subprocess
import sys

import pytest

APP = """
    from sqlalchemy.orm import Mapped
    from mainspring.app import create_app
    from mainspring.data import Audited, AuditTrailSettings, Base, Identified, audit_trail_module

    class Shelf(Audited, Identified, Base):
        __tablename__ = "shelf"
        label: Mapped[str]
        api_key: Mapped[str | None]

    def build():
        settings = AuditTrailSettings()
        return create_app("shop", settings=settings, modules=[audit_trail_module(settings)])
"""
SEED = """
    import asyncio, sys
    sys.path.insert(0, "src")
    from mainspring.data import Actor, AuditTrail, Database, Migrator, Store, acting_as, create_tables
    from shop.app import Shelf, build

    async def main():
        app = build()
        await Migrator.configured(app.settings, app.modules).upgrade()
        await create_tables(app.settings.database_url)
        await app.registry.start()
        database = app.registry.get(Database)
        with acting_as(Actor("user", "ann")):
            async with database.write() as session:
                shelf = await Store(Shelf, session).add(Shelf(label="new", api_key="hunter2"))
            for label in ("left", "right"):
                async with database.write() as session:
                    store = Store(Shelf, session)
                    await store.update(await store.get(shelf.id), {"label": label})
        await app.registry.close()
        print(shelf.id, end="")

    asyncio.run(main())
"""
ENVIRONMENT = {"DATABASE_URL": "sqlite:///shop.db", "SECRET_KEY": "a secret key of this test, long enough to be one"}


@pytest.fixture
def shelf(project) -> str:
    """The id of a row that has been made and changed twice."""
    project.write("src/shop/app.py", APP)
    seed = project.write("seed.py", SEED)
    environment = {"PATH": "", **ENVIRONMENT}
    done = subprocess.run(
        [sys.executable, seed], cwd=project.folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def run(project, shelf):
    """`run("verify", "list --json")`."""

    def run(*commands: str, **environment: str):
        return project.run_each(*(f"audit-trail {one}" for one in commands), **ENVIRONMENT | environment)

    return run


@pytest.fixture
def tamper(project, shelf):
    def execute(sql: str) -> None:
        with sqlite3.connect(project.folder / "shop.db") as connection:
            connection.execute(sql)
        connection.close()

    return execute


def test_a_trail_that_nobody_touched_is_intact(run):
    plain, machine = run("verify", "verify --json")

    assert (plain.code, machine.code) == (0, 0)
    assert plain.out == (
        "3 entries of 1 rows and 0 seals were read.\n"
        "3 entries are not sealed yet: `mainspring audit-trail seal` seals them.\n"
        "Everything is as it was written. Anchor: none yet.\n"
    )
    found = json.loads(machine.out)
    assert (found["intact"], found["entries"], found["discrepancies"]) == (True, 3, [])


def test_one_row_that_was_tampered_with_is_named_in_a_process_of_its_own(project, run, tamper, shelf):
    tamper("UPDATE audit_entries SET actor_id = 'mallory' WHERE sequence = 2")

    ended = project.run("audit-trail", "verify", **ENVIRONMENT)
    (machine,) = run("verify --json")

    assert (ended.code, machine.code) == (1, 1)
    assert ended.out.startswith(f"shelf {shelf} entry 2: its content is not what was written\n")
    assert ended.out.endswith("The audit trail is not as it was written.\n")
    assert json.loads(machine.out)["discrepancies"] == [
        {"where": f"shelf {shelf} entry 2", "problem": "its content is not what was written"}
    ]


def test_a_trail_that_lost_its_end_is_told_by_its_seal_and_one_turned_back_by_its_anchor(run, tamper):
    (sealed,) = run("seal")
    anchor = sealed.out.strip()
    tamper("DELETE FROM audit_entries WHERE sequence = 3")
    (lost,) = run("verify")
    tamper("DELETE FROM audit_seals")
    turned, anchored = run("verify", f"verify --anchor {anchor}")

    assert (sealed.code, lost.code, turned.code, anchored.code) == (0, 1, 0, 1)
    assert lost.out.startswith("seal 2: it vouches for 3 entries: 1 are gone\n")
    assert anchored.out.startswith("seal 2: it is gone, and what was written since: the trail was turned back\n")


def test_another_secret_key_is_no_tampering_once_the_former_one_is_named(run):
    new = {"SECRET_KEY": "another secret key, quite as long as the other"}
    (without,) = run("verify", **new)
    (named,) = run("verify", FORMER_SECRET_KEYS=json.dumps(["x", ENVIRONMENT["SECRET_KEY"]]), **new)

    assert (without.code, named.code) == (1, 0), named.out + named.err
    assert "is a former secret key missing?" in without.out


def test_entries_are_listed_without_secrets(run, shelf):
    everything, some, machine = run("list", "list --entity other", f"list --entity shelf:{shelf} --limit 2 --json")

    assert everything.out.count(f"shelf:{shelf}") == 3
    assert "user ann" in everything.out
    assert shelf not in some.out
    newest, _ = json.loads(machine.out)
    assert (newest["action"], newest["before"], newest["after"]) == ("update", {"label": "left"}, {"label": "right"})
    assert "hunter2" not in run("list --json")[0].out


def test_what_is_asked_wrongly_is_told(project, run):
    moment, anchor = run("verify --since yesterday", "verify --anchor 12")

    assert (moment.code, anchor.code) == (2, 2)
    assert "'yesterday' is no moment" in moment.err
    assert "'12' is no anchor" in anchor.err


def test_a_database_without_its_tables_says_what_to_do(run):
    (ended,) = run("verify", DATABASE_URL="sqlite:///empty.db")

    assert (ended.code, ended.out) == (1, "")
    assert "Run `mainspring db upgrade` first." in ended.err


def test_a_service_without_a_trail_says_so(project):
    (ended,) = project.run_each("audit-trail verify", DATABASE_URL="sqlite:///shop.db")

    assert (ended.code, ended.out) == (2, "")
    assert "List audit_trail_module(settings)" in ended.err
