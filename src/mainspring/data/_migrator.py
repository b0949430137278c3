"""Schema histories of all modules, applied as one."""

import asyncio
import threading
from argparse import Namespace
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from collections.abc import Set as AbstractSet
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.resources import files
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import Script, ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, NullPool
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from mainspring.kernel import Module
from mainspring.settings import Settings

from ._base import Base
from ._digests import DIGESTS, edited, remember
from ._engine import listen
from ._migrating import MigrationLimits, alone, invalid_indexes, patiently, watch
from ._schema import changes, schema
from ._url import database_url

if TYPE_CHECKING:
    from .migrations_check import SafetyReport

_running = threading.Lock()


class PendingMigrations(Exception):
    """The database's schema is older than the code; names the revisions that are missing."""

    def __init__(self, revisions: Sequence["Revision"]) -> None:
        self.revisions = tuple(revisions)
        names = ", ".join(f"{r.id} ({r.message})" for r in self.revisions)
        super().__init__(f"The database lacks {len(self.revisions)} migrations: {names}.")


@dataclass(frozen=True, slots=True)
class Revision:
    """One step of the schema's history.

    Attributes:
        id: Its identifier.
        module: The module it belongs to.
        message: What it does.
        applied: Whether the database has it.
    """

    id: str
    module: str
    message: str
    applied: bool


class Migrator:
    """Brings a database to the schema that the modules' code expects.

    Each module keeps its own line of revisions, labelled with its name; one table, `alembic_version`, records where all
    of them stand. So a module that comes with a library can gain revisions without touching those of the service.

    Args:
        url: As in `database_url`.
        modules: Those with `migrations` count.
        limits: How long others may be kept waiting; on PostgreSQL only.
    """

    def __init__(self, url: str, modules: Iterable[Module], *, limits: MigrationLimits | None = None) -> None:
        self._limits = limits or MigrationLimits()
        self._url = database_url(url)
        self._modules = tuple(module for module in modules if module.migrations is not None)
        self._folders = {module.name: _folder(module) for module in self._modules}

    @classmethod
    def configured(cls, settings: Settings, modules: Iterable[Module]) -> Self:
        """With the database and the limits that the settings name."""
        limits = MigrationLimits(
            lock_timeout=settings.migration_lock_timeout,
            statement_timeout=settings.migration_statement_timeout,
            retries=settings.migration_retries,
        )
        return cls(settings.database_url, modules, limits=limits)

    async def upgrade(self, target: str = "heads") -> list[Revision]:
        """Apply what is missing up to `target`; returns what was applied. One process at a time, the others wait.

        Raises:
            alembic.util.CommandError: `target` is unknown.
            MigrationBlocked: Others hold a lock that a migration needs, and its retries are used up.
        """
        made = await self._run(lambda config: command.upgrade(config, target))
        return [revision for revision in self._revisions(made) if revision.applied]

    async def downgrade(self, target: str) -> list[Revision]:
        """Undo back to `target` (`base`, `-1`, a revision, or `module@base`); returns what was undone.

        Raises:
            alembic.util.CommandError: `target` is unknown, or `-1` is ambiguous: say `module@-1`.
        """

        def undo(config: Config) -> None:
            connection: Connection = config.attributes["connection"]
            heads = MigrationContext.configure(connection).get_current_heads()
            connection.rollback()
            if target.startswith("-") and len(heads) > 1:
                raise CommandError(
                    f"{target} is ambiguous: {', '.join(heads)} stand side by side. Say module@{target}."
                )
            command.downgrade(config, target)

        undone = await self._run(undo)
        return [revision for revision in self._revisions(frozenset()) if revision.id in undone]

    async def history(self) -> list[Revision]:
        """Every revision, oldest first, and whether the database has it."""
        return self._revisions(await self._connected(self._applied)) if self._modules else []

    async def pending(self) -> list[Revision]:
        """What the database lacks."""
        return [revision for revision in await self.history() if not revision.applied]

    async def require_current(self) -> None:
        """Refuse to go on with an older schema.

        Raises:
            PendingMigrations: Something is missing.
        """
        pending = await self.pending()
        if pending:
            raise PendingMigrations(pending)

    async def drift(self) -> list[str]:
        """Differences between the models and the database after all migrations, one line each."""

        def compare(connection: Connection) -> list[str]:
            context = MigrationContext.configure(connection, opts=_COMPARE | {"include_object": self._is_in_use})
            return [_describe(difference) for difference in compare_metadata(context, Base.metadata)]

        return await self._connected(compare)

    async def round_trip(self) -> list[str]:
        """Apply each revision, undo it and apply it again; returns what is different for the first
        revision where something is.

        For a database that may be thrown away: it ends migrated. A downgrade that raises `NotImplementedError` says
        that there is no way back, and is believed.

        Raises:
            ValueError: The database is not empty.
        """
        if await self._connected(schema) != await self._connected(_empty):
            raise ValueError("The database has tables already. A round trip undoes everything; give it an empty one.")
        for one in self._revisions(frozenset()):
            before = await self._connected(schema)
            await self.upgrade(one.id)
            made = await self._connected(schema)
            try:
                await self.downgrade(f"{one.module}@-1")
            except NotImplementedError:
                continue
            found = [f"{one.id}, undone: {line}" for line in changes(before, await self._connected(schema))]
            if found:
                # It cannot be applied to what it has left.
                return found
            await self.upgrade(one.id)
            found = [f"{one.id}, applied again: {line}" for line in changes(made, await self._connected(schema))]
            if found:
                return found
        return []

    async def accept_edits(self) -> list[str]:
        """Take applied revisions as their files are now for what was applied; returns those that had changed."""

        def accept(connection: Connection) -> list[str]:
            files = {s.revision: Path(s.path) for s in self._scripts().walk_revisions()}
            found = edited(connection, files)
            for name in found:
                remember(connection, name, files[name])
            connection.commit()
            return found

        return await self._connected(accept, begin="BEGIN IMMEDIATE")

    async def safety(
        self, *, since: str | None = None, server: int | None = None, enabled: Iterable[str] = ()
    ) -> "SafetyReport":
        """Check revisions for what would take a service down on PostgreSQL, whichever database this one is.

        Args:
            since: Check those after this revision, `base` for all of them, without asking the database. By default
                those that the database lacks.
            server: The server's version as a number, 140002 for 14.2. By default the database's own, or the newest.
            enabled: Optional rules to look for.

        Raises:
            ModuleNotFoundError: The parser is not installed; names the extra.
            ValueError: There is no revision `since`.
        """
        from .migrations_check import Check, Situation  # noqa: PLC0415 -- no service needs it while it runs

        asked = _Asked()
        if since is None:
            asked = await self._connected(self._ask)
        history = list(reversed(list(self._scripts().walk_revisions(head="heads")))) if self._modules else []
        situation = Situation(
            metadata=Base.metadata,
            server=server or asked.server,
            enabled=frozenset(enabled),
            invalid_indexes=asked.invalid_indexes,
            edited=asked.edited,
        )
        check = Check(self._scripts(), {s.revision: _label(s) for s in history}, situation)
        async with _alone_in_this_process():
            return check.run(
                history, _after(history, since) if since else {s.revision for s in history} - asked.applied
            )

    async def revision(self, message: str, *, module: str, empty: bool = False) -> Path:
        """Write a new revision for `module`: what its models have and the database lacks, or an empty one.

        Raises:
            ValueError: The module is unknown or has no migrations.
            PendingMigrations: The database is not current, so that differences would be misread.
        """
        if module not in self._folders:
            known = ", ".join(sorted(self._folders)) or "none"
            raise ValueError(f"No module {module!r} with migrations; there are: {known}.")
        await self.require_current()
        folder = self._folders[module]
        has_history = any(s.path and Path(s.path).parent == folder for s in self._scripts().walk_revisions())
        before = set(folder.glob("*.py"))
        await self._run(
            lambda config: command.revision(
                config,
                message,
                autogenerate=not empty,
                head=f"{module}@head" if has_history else "base",
                splice=False,
                branch_label=None if has_history else module,
                depends_on=self._heads_before(module),  # type: ignore[arg-type]  # its own CLI passes a list
                version_path=str(folder),
                rev_id=_next_id(module, len(before - {folder / "__init__.py"}) + 1),
            ),
            only=_owner(self._modules, module),
        )
        (written,) = set(folder.glob("*.py")) - before
        return written

    def sql(self, target: str = "heads") -> str:
        """The SQL of all revisions up to `target`, from an empty database, without touching one."""
        out = StringIO()
        config = self._config(output=out)
        command.upgrade(config, target, sql=True)
        return out.getvalue()

    def _is_in_use(self, item: Any, name: str | None, kind: str, *_: Any) -> bool:
        """Leave out the tables of our own features that the service does not list: importing an area knows them all."""
        table = name if kind == "table" else getattr(getattr(item, "table", None), "name", None)
        mappers = Base.registry.mappers
        packages = {m.class_.__module__ for m in mappers if any(getattr(t, "name", None) == table for t in m.tables)}
        listed = [module.migrations.models for module in self._modules if module.migrations is not None]
        return not packages or any(
            not package.startswith(_OWN) or any(f"{package}.".startswith(f"{models}.") for models in listed)
            for package in packages
        )

    def _heads_before(self, module: str) -> list[str] | None:
        """Heads of the modules listed earlier: what this one builds on may refer to their tables."""
        earlier = set(list(self._folders)[: list(self._folders).index(module)])
        scripts = self._scripts()
        heads = sorted(head for head in scripts.get_heads() if _label(scripts.get_revision(head)) in earlier)
        return heads or None

    def _config(self, *, output: StringIO | None = None) -> Config:
        config = Config(output_buffer=output) if output else Config(stdout=StringIO())
        config.cmd_opts = Namespace(quiet=True)
        config.set_main_option("script_location", "mainspring.data:migrations")
        config.set_main_option("path_separator", "newline")
        config.set_main_option("version_locations", "\n".join(_escaped(f) for f in self._folders.values()))
        config.set_main_option("file_template", "%%(rev)s_%%(slug)s")
        config.attributes["dialect"] = self._url.get_backend_name()
        return config

    def _scripts(self) -> ScriptDirectory:
        return ScriptDirectory.from_config(self._config())

    def _applied(self, connection: Connection) -> set[str]:
        heads = MigrationContext.configure(connection).get_current_heads()
        return {s.revision for s in self._scripts().iterate_revisions(heads, "base")} if heads else set()

    def _ask(self, connection: Connection) -> "_Asked":
        applied = self._applied(connection)
        changed = frozenset(edited(connection, {s.revision: Path(s.path) for s in self._scripts().walk_revisions()}))
        if connection.dialect.name != "postgresql":
            return _Asked(applied, changed)
        server = int(connection.exec_driver_sql("SHOW server_version_num").scalar_one())
        return _Asked(applied, changed, server, tuple(invalid_indexes(connection)))

    def _revisions(self, applied: AbstractSet[str]) -> list[Revision]:
        ordered = reversed(list(self._scripts().walk_revisions(head="heads"))) if self._modules else ()
        return [Revision(s.revision, _label(s), s.doc or "", s.revision in applied) for s in ordered]

    async def _run(self, action: Callable[[Config], object], *, only: str | None = None) -> set[str]:
        """Let Alembic act; gives the revisions that it applied or undid here, whatever another process has done."""
        config = self._config()
        config.attributes |= {"only": only, "remember": remember}
        made = config.attributes["made"] = set[str]()

        def act(connection: Connection) -> None:
            config.attributes["connection"] = connection
            with alone(connection):
                patiently(connection, lambda: action(config), made, self._limits)

        async with _alone_in_this_process():
            await self._connected(act, begin="BEGIN IMMEDIATE")
        return made

    async def _connected[T](self, action: Callable[[Connection], T], *, begin: str = "BEGIN") -> T:
        engine = self._engine(begin)
        try:
            async with engine.connect() as connection:
                return await connection.run_sync(action)
        finally:
            await engine.dispose()

    def _engine(self, begin: str) -> AsyncEngine:
        sqlite = self._url.get_backend_name() == "sqlite"
        arguments = {} if sqlite else {"server_settings": self._limits.server_settings()}
        engine = create_async_engine(self._url, poolclass=NullPool, connect_args=arguments)
        if not sqlite:
            watch(engine.sync_engine)
        else:
            assert self._url.database
            Path(self._url.database).parent.mkdir(parents=True, exist_ok=True)
            # SQLite changes a table by copying it and dropping the old one; with foreign keys on, the drop would
            # delete the rows that point to it. The migration checks them itself before it commits.
            listen(engine, begin=begin, foreign_keys=False)
        return engine


_OWN = "mainspring."
_COMPARE: dict[str, Any] = {
    "compare_type": True,
    "compare_server_default": False,
    "include_name": lambda name, kind, _: kind != "table" or name != DIGESTS,
}


@asynccontextmanager
async def _alone_in_this_process() -> AsyncIterator[None]:
    # Alembic keeps the migration that runs in globals of its modules. The lock is a thread's and not asyncio's, because
    # several event loops may migrate (tenants, tests); nobody waits for it often enough to mind the polling.
    while not _running.acquire(blocking=False):  # noqa: ASYNC110 -- see above
        await asyncio.sleep(0.05)
    try:
        yield
    finally:
        _running.release()


def _empty(connection: Connection) -> frozenset[str]:
    return frozenset(line for line in schema(connection) if line.startswith(("schema ", "extension ")))


@dataclass(frozen=True, slots=True)
class _Asked:
    """What the check of migrations wants to know from a database."""

    applied: AbstractSet[str] = frozenset()
    edited: AbstractSet[str] = frozenset()
    server: int = 180000
    invalid_indexes: tuple[str, ...] = ()


def _after(history: Sequence[Script], since: str) -> set[str]:
    """Revisions that are not `since`, nor before it."""
    if since == "base":
        return {script.revision for script in history}
    known = {script.revision: script for script in history}
    if since not in known:
        raise ValueError(f"There is no revision {since!r}. `mainspring db history` lists them.")
    before, waiting = set[str](), [since]
    while waiting:
        script = known[waiting.pop()]
        if script.revision not in before:
            before.add(script.revision)
            waiting += script._all_down_revisions  # noqa: SLF001 -- includes what it depends on
    return known.keys() - before


def _folder(module: Module) -> Path:
    assert module.migrations is not None
    return Path(str(files(module.migrations.package)))


def _escaped(path: Path) -> str:
    return str(path).replace("%", "%%")


def _label(script: Script) -> str:
    return next(iter(sorted(script.branch_labels)), "")


def _owner(modules: Iterable[Module], name: str) -> str:
    return next(m.migrations.models for m in modules if m.name == name and m.migrations is not None)


def _next_id(module: str, number: int) -> str:
    return f"{module}_{number:04d}"


def _describe(difference: Any) -> str:
    # Alembic gives a tuple (operation, object, …), or a list of tuples for changes of one column.
    first = difference[0] if isinstance(difference, list) else difference
    operation, *rest = first
    return f"{operation}: " + ", ".join(str(item) for item in rest if item is not None)
