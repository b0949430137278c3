"""The pytest plugin: a service under test, in process or on a socket, with a database, a clock and a mailer of its own.

A project says once what builds its service, in pyproject.toml (`[tool.mainspring] app = "shop.app:build"`) or by a
fixture `build_app`. The function takes what tests replace and hands it on:

    def build(settings: Settings | None = None, **overrides: Any) -> Application:
        return create_app("shop", settings=settings or Settings(), modules=[...], **overrides)

Then `client` is the service, `database` is what it stores, and everything a test stored is gone afterwards. The fixtures
are asynchronous: pytest-asyncio must be in auto mode. Nothing is imported or started before a test asks for it.

    client, unhandled_errors           the service in process, and the exceptions behind its 500s
    live_server, socket_client         the service on a real socket
    database, fresh_database           rolled back after the test, or real and dropped after it; database_url names it
    frozen_clock, caught_mail          take the place of the service's own when a test asks for them
    build_app, settings, resources, database_schema        override these to change what is tested

Tests that use a database run on SQLite and on PostgreSQL; `@pytest.mark.databases("sqlite")` and the option
`mainspring_databases` narrow that. PostgreSQL is the server that `TEST_DATABASE_URL` names, or the one on this machine, or
an embedded one; without any, its tests are skipped and the summary says why.
"""

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Sequence

    from httpx2 import AsyncClient

    from mainspring.app import Application
    from mainspring.data import Database
    from mainspring.kernel import FrozenClock, Resource
    from mainspring.mail import CaughtMailer
    from mainspring.settings import Settings

    from ._databases import Databases, Schema
    from ._server import LiveServer

_BACKENDS = ("sqlite", "postgresql")
_REAL = frozenset({"fresh_database", "live_server"})
_used = pytest.StashKey[dict[str, str]]()
_skipped = pytest.StashKey[dict[str, int]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let a project say which databases its tests run on."""
    parser.addini(
        "mainspring_databases",
        "Databases that a test of the service runs on: sqlite, postgresql, or both (the default).",
        type="args",
        default=list(_BACKENDS),
    )


def pytest_configure(config: pytest.Config) -> None:
    """Declare the markers."""
    config.addinivalue_line("markers", "databases(*names): the databases this test runs on: sqlite, postgresql")
    config.addinivalue_line("markers", "settings(**values): settings of the service that this test changes")
    config.stash[_used] = {}
    config.stash[_skipped] = {}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test once per database, if it or its fixtures use one."""
    if "database_backend" not in metafunc.fixturenames:
        return
    marker = metafunc.definition.get_closest_marker("databases")
    names = marker.args if marker else metafunc.config.getini("mainspring_databases")
    unknown = sorted(set(names) - set(_BACKENDS))
    if unknown or not names:
        raise pytest.UsageError(f"databases{tuple(names)!r}: name some of {', '.join(_BACKENDS)}.")
    metafunc.parametrize("database_backend", names)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Where tests run in several processes (pytest-xdist), tell the one that writes the summary."""
    output: dict[str, Any] | None = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["mainspring"] = (session.config.stash[_used], session.config.stash[_skipped])


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take what a process of pytest-xdist tells."""
    used, skipped = getattr(node, "workeroutput", {}).get("mainspring", ({}, {}))
    node.config.stash[_used].update(used)
    for reason, tests in skipped.items():
        kept = node.config.stash[_skipped]
        kept[reason] = kept.get(reason, 0) + tests


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say which databases were used, and which were not and why."""
    if config.stash[_used]:
        terminalreporter.write_line(f"databases: {', '.join(sorted(config.stash[_used].values(), reverse=True))}")
    for reason, tests in config.stash[_skipped].items():
        count = "1 test" if tests == 1 else f"{tests} tests"
        terminalreporter.write_line(f"databases: {count} skipped: {reason}", yellow=True)


@pytest.fixture(scope="session")
def _databases(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> "Iterator[Callable[[str], Databases]]":
    from ._databases import Databases, PostgresServer, SqliteFiles, Unavailable

    found: dict[str, Databases | Unavailable] = {}

    def find(name: str) -> Databases:
        if name not in found:
            try:
                sqlite = name == "sqlite"
                backend = SqliteFiles(tmp_path_factory.mktemp("databases")) if sqlite else PostgresServer.find()
                found[name] = Databases(backend)
                request.config.stash[_used][name] = backend.label
            except Unavailable as error:
                found[name] = error
        databases = found[name]
        if isinstance(databases, Unavailable):
            reason = f"no PostgreSQL: {databases}"
            skipped = request.config.stash[_skipped]
            skipped[reason] = skipped.get(reason, 0) + 1
            pytest.skip(reason)
        return databases

    yield find
    for databases in found.values():
        if isinstance(databases, Databases):
            databases.close()


@pytest.fixture
def build_app(request: pytest.FixtureRequest) -> "Callable[..., Application]":
    """What builds the service; override it, or name the function in pyproject.toml.

    It is called with `settings`, `resources` and `clock`.
    """
    from ._factory import configured_factory

    return configured_factory(request.config.rootpath)


@pytest.fixture
def settings(request: pytest.FixtureRequest, build_app: "Callable[..., Application]") -> "Settings":
    """The service's settings; override it where a service needs values that have no default.

    Made from the class that the factory declares for its parameter `settings`, with `environment="test"` and what
    `@pytest.mark.settings(...)` says. Whatever database they name, the test's own takes its place.
    """
    from ._factory import settings_class

    values: dict[str, Any] = {"environment": "test"}
    for marker in reversed(list(request.node.iter_markers("settings"))):
        values |= marker.kwargs
    return settings_class(build_app)(**values)


@pytest.fixture
def database_schema(build_app: "Callable[..., Application]", settings: "Settings") -> "Schema":
    """The tables of the test databases: by the migrations of the service's modules, or else every imported model."""
    from ._databases import Schema

    return Schema.of(build_app(settings=settings).modules)


@pytest.fixture
def database_backend() -> str:
    """`sqlite` or `postgresql`: a test that depends on it, directly or not, runs on both."""
    raise LookupError("database_backend comes from parametrization; ask for it as an argument, not by getfixturevalue.")


@pytest.fixture
def database_url(
    request: pytest.FixtureRequest,
    database_backend: str,
    database_schema: "Schema",
    _databases: "Callable[[str], Databases]",
) -> "Iterator[str]":
    """The test's database, migrated: shared and rolled back, or a copy of its own for `fresh_database`/`live_server`."""
    databases = _databases(database_backend)
    if _REAL.isdisjoint(request.fixturenames):
        yield databases.shared(database_schema)
        return
    url = databases.fresh(database_schema)
    yield url
    databases.discard(url)


@pytest.fixture
async def database(request: pytest.FixtureRequest, database_url: str) -> "AsyncIterator[Database]":
    """The database of the service under test; what it and the test store is gone afterwards, commits included.

    It is one connection with a savepoint per unit of work: quick, and enough for requests that follow each other. What
    needs several connections or real commits (requests at the same time, constraints checked at the commit, another
    process) takes `fresh_database`.
    """
    from mainspring.data import Database, rolled_back

    if _REAL.isdisjoint(request.fixturenames):
        async with rolled_back(database_url) as database:
            yield database
        return
    database = Database.connect(database_url, application_name="test")
    yield database
    await database.close()


@pytest.fixture
def fresh_database(database: "Database") -> "Database":
    """A real database for this test alone, dropped afterwards; `client` and `live_server` use the same one."""
    return database


@pytest.fixture
def frozen_clock() -> "FrozenClock":
    """The service's clock, standing at noon of 1 July 2026, UTC; a test that takes it moves the time by hand."""
    from datetime import UTC, datetime

    from mainspring.kernel import FrozenClock

    return FrozenClock(datetime(2026, 7, 1, 12, tzinfo=UTC))


@pytest.fixture
def caught_mail() -> "CaughtMailer":
    """The service's mailer: `messages` is what it would have sent, oldest first."""
    from mainspring.mail import CaughtMailer

    return CaughtMailer()


@pytest.fixture
def resources() -> "Sequence[Resource[Any]]":
    """Fakes of the service's infrastructure; override it to hand in some. Each takes the place of what provides its type."""
    return ()


@pytest.fixture
def app(
    request: pytest.FixtureRequest,
    *,
    build_app: "Callable[..., Application]",
    settings: "Settings",
    resources: "Sequence[Resource[Any]]",
    database_url: str,
    database: "Database",
) -> "Application":
    """The service, not started: on the test's database, with the test's fakes, clock and mailer if it takes them."""
    from mainspring.data import Database

    given = [*resources]
    overrides: dict[str, Any] = {"resources": given}
    if _REAL.isdisjoint(request.fixturenames):
        given.append(_handed_over(Database, "database", database, ping=Database.ping))
    if "caught_mail" in request.fixturenames:
        from mainspring.mail import Mailer

        given.append(_handed_over(Mailer, "mail", request.getfixturevalue("caught_mail")))
    if "frozen_clock" in request.fixturenames:
        overrides["clock"] = request.getfixturevalue("frozen_clock")
    return build_app(settings=settings.model_copy(update={"database_url": database_url}), **overrides)


@pytest.fixture
def unhandled_errors() -> list[BaseException]:
    """Exceptions that no handler of the service took, oldest first; its client sees only a 500.

    With `live_server` they arrive a moment after the answer.
    """
    return []


@pytest.fixture
async def client(app: "Application", unhandled_errors: list[BaseException]) -> "AsyncIterator[AsyncClient]":
    """A client of the service in the same process and event loop, without a socket; the service is started."""
    from httpx2 import ASGITransport, AsyncClient

    from ._lifespan import running

    async with (
        running(app, errors=unhandled_errors) as served,
        AsyncClient(transport=ASGITransport(served), base_url="http://testserver") as client,
    ):
        yield client


@pytest.fixture
def live_server(app: "Application", unhandled_errors: list[BaseException]) -> "Iterator[LiveServer]":
    """The service on a real socket, in a thread with an event loop of its own, on a database of this test alone."""
    from ._server import serving

    with serving(app, errors=unhandled_errors) as server:
        yield server


@pytest.fixture
async def socket_client(live_server: "LiveServer") -> "AsyncIterator[AsyncClient]":
    """A client of `live_server`."""
    from httpx2 import AsyncClient

    async with AsyncClient(base_url=live_server.url) as client:
        yield client


def _handed_over(kind: type[Any], name: str, value: object, **options: Any) -> "Resource[Any]":
    from mainspring.kernel import Registry, Resource

    async def make(_: Registry) -> object:
        return value

    return Resource(provides=kind, name=name, make=make, **options)
