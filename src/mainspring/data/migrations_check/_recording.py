"""Runs revisions without a database and records the SQL that PostgreSQL would get, and from which line."""

import ast
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import StringIO
from pathlib import Path
from types import FrameType
from typing import Any, override

from alembic.operations import Operations
from alembic.operations.ops import AlterColumnOp
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext
from alembic.script import Script, ScriptDirectory
from sqlalchemy import Dialect, MetaData, text
from sqlalchemy.dialects.postgresql.asyncpg import dialect as asyncpg_dialect
from sqlalchemy.exc import CompileError

from mainspring.data._assured import Waiver, waivers

from ._catalog import Catalog
from ._recorded import Recording, Statement
from ._sql import Parsed, Unparsable, parse, plpgsql
from ._standins import StandIn

type _Place = tuple[int, tuple[Waiver, ...]]


class Recorder:
    """Records one direction of one revision; put into Alembic's place for executing.

    Args:
        revision: Its identifier.
        path: Its file.
        dialect: What SQL is written for.
        catalog: The schema before it; follows what is recorded.
    """

    def __init__(self, revision: str, path: Path, dialect: Dialect, catalog: Catalog) -> None:
        self.recording = Recording()
        self.standin = StandIn(dialect, self._ask, catalog)
        self.existing_type: str | None = None
        self._revision = revision
        self._path = str(path)
        self._dialect = dialect
        self._autocommit = False
        self._place: _Place | None = None
        self._answered: set[int] = set()
        self._operations = _operations(path)

    def execute(self, construct: Any, *_: Any, **__: Any) -> None:
        """In place of Alembic's own: written SQL goes into the recording."""
        self.record(_written(construct, self._dialect))

    def record(self, sql: str, *_: Any) -> None:
        """Take in SQL, one statement or several."""
        line, entered = self._place or self._here()
        self.recording.seen.add(line)
        try:
            statements = parse(sql)
        except Unparsable as error:
            self._keep(
                Parsed("", {}, sql.strip()),
                line,
                entered,
                ("unparsable-sql", f"PostgreSQL would not read it: {error}."),
            )
            return
        several = (
            ("several-statements", f"One call executes {len(statements)} statements.") if len(statements) > 1 else None
        )
        for number, statement in enumerate(statements):
            self._keep(statement, line, entered, several if number == 0 else None)

    def begin(self) -> None:
        """A transaction begins."""
        self.recording.transactions += 1
        self._autocommit = False

    def commit(self) -> None:
        """It ends, and until the next begins each statement is on its own."""
        self.recording.transactions += 1
        self._autocommit = True

    @contextmanager
    def at(self, place: _Place) -> Iterator[None]:
        """Record for a place other than the calling one: that where a batch operation was written."""
        self._place, before = place, self._place
        try:
            yield
        finally:
            self._place = before

    def note(self, rule: str, message: str) -> None:
        """Record something that is no SQL."""
        line, entered = self._here()
        self._keep(Parsed("", {}, ""), line, entered, (rule, message))

    def here(self) -> _Place:
        """Where the revision is now."""
        return self._here()

    def _ask(self, construct: Any) -> bool:
        line, _ = self._here()
        self.record(_written(construct, self._dialect))
        first = line not in self._answered
        self._answered.add(line)
        return first

    def _here(self) -> _Place:
        entered = waivers()
        lines = list(_lines(self._path))
        self.recording.seen.update(lines)
        for waiver in entered:
            self.recording.entered.setdefault(id(waiver), (lines[0] if lines else 0, waiver))
        return (lines[0] if lines else 0), entered

    def _keep(self, parsed: Parsed, line: int, entered: tuple[Waiver, ...], note: tuple[str, str] | None) -> None:
        statement = Statement(
            revision=self._revision,
            kind=parsed.kind,
            node=parsed.node,
            sql=parsed.text,
            line=line,
            operation=self._operations.get(line, ""),
            transaction=self.recording.transactions,
            autocommit=self._autocommit,
            waivers=entered,
            existing_type=self.existing_type,
            note=note,
        )
        self.recording.statements.append(statement)
        if parsed.kind == "do_stmt":
            self._keep_body(parsed, statement, line, entered)
        self.standin.catalog.apply(statement)

    def _keep_body(self, parsed: Parsed, block: Statement, line: int, entered: tuple[Waiver, ...]) -> None:
        inner, dynamic = plpgsql(parsed.text)
        if dynamic and block.note is None:
            block.note = ("opaque-sql", "The block builds SQL at run time, which cannot be read here.")
        for query in inner:
            with self.at((line, entered)):
                self.record(query)


class _Batch(list[Any]):
    """The operations of a `batch_alter_table`, each with the line on which it was written."""

    def __init__(self, recorder: Recorder) -> None:
        super().__init__()
        self._recorder = recorder
        self._places: list[_Place] = []

    @override
    def append(self, item: Any) -> None:
        self._places.append(self._recorder.here())
        super().append(item)

    @override
    def __iter__(self) -> Iterator[Any]:
        for item, place in zip(list(super().__iter__()), self._places, strict=True):
            self._recorder.existing_type = _type_of(item[2].get("existing_type"), self._recorder)
            with self._recorder.at(place):
                yield item
        self._recorder.existing_type = None


def record(
    script: Script, direction: str, catalog: Catalog, *, scripts: ScriptDirectory, metadata: MetaData
) -> Recording:
    """What one direction of a revision would execute on PostgreSQL, from the schema that `catalog` describes."""
    dialect = asyncpg_dialect()  # type: ignore[no-untyped-call]
    recorder = Recorder(script.revision, Path(script.path), dialect, catalog)
    with _environment(scripts, dialect, metadata) as context, Operations.context(context) as operations:
        _redirect(context, operations, recorder)
        recorder.begin()
        run: Callable[[], None] = getattr(script.module, direction)
        try:
            run()
        except Exception as error:  # noqa: BLE001 -- whatever it is, it is reported with its line
            line = _line_of(error, script.path)
            recorder.recording.failure = (line, f"{type(error).__name__}: {error}".partition("\n")[0])
    return recorder.recording


@contextmanager
def _environment(scripts: ScriptDirectory, dialect: Dialect, metadata: MetaData) -> Iterator[MigrationContext]:
    from alembic.config import Config  # noqa: PLC0415 -- only to satisfy a parameter

    with EnvironmentContext(Config(), scripts, as_sql=True, fn=lambda *_: []) as environment:
        environment.configure(
            dialect_name="postgresql", output_buffer=StringIO(), target_metadata=metadata, literal_binds=True
        )
        context = environment.get_context()
        context.dialect = context.impl.dialect = dialect
        yield context


def _redirect(context: MigrationContext, operations: Operations, recorder: Recorder) -> None:
    # Alembic has no hook for what it executes offline but its output, which no longer says where it came from.
    impl: Any = context.impl
    impl._exec = recorder.execute  # noqa: SLF001 -- see above
    impl.static_output = recorder.record
    impl.emit_begin, impl.emit_commit = recorder.begin, recorder.commit
    bound: Any = context
    impl.connection = bound.connection = recorder.standin
    invoke, batch_alter_table = operations.invoke, operations.batch_alter_table

    def invoking(operation: Any) -> Any:
        is_alter = isinstance(operation, AlterColumnOp)
        recorder.existing_type = _type_of(operation.existing_type, recorder) if is_alter else None
        return invoke(operation)

    @contextmanager
    def batching(table_name: str, *arguments: Any, **options: Any) -> Iterator[Any]:
        if options.get("recreate") == "always":
            recorder.note("table-copy", f"The table {table_name} is copied row by row and the old one dropped.")
            options["recreate"] = "never"
        with batch_alter_table(table_name, *arguments, **options) as batch:
            batch.impl.batch = _Batch(recorder)
            yield batch

    operations.invoke = invoking  # type: ignore[method-assign]
    operations.batch_alter_table = batching  # type: ignore[method-assign]


def _written(construct: Any, dialect: Dialect) -> str:
    clause = text(construct) if isinstance(construct, str) else construct
    try:
        return str(clause.compile(dialect=dialect, compile_kwargs={"literal_binds": True}))
    except (CompileError, NotImplementedError, TypeError, ValueError):
        # A value that has no literal, such as one made up for a row that was read; the parser takes $1 as well.
        return str(clause.compile(dialect=dialect))


def _type_of(kind: Any, recorder: Recorder) -> str | None:
    if kind is None:
        return None
    instance = kind() if isinstance(kind, type) else kind
    return str(instance.compile(dialect=recorder.standin.dialect))


def _lines(path: str) -> Iterator[int]:
    """Lines of the revision's file on the stack, innermost first."""
    frame: FrameType | None = sys._getframe(2)  # noqa: SLF001 -- the public way copies every frame's source
    while frame is not None:
        if frame.f_code.co_filename == path:
            yield frame.f_lineno
        frame = frame.f_back


def _line_of(error: BaseException, path: str) -> int:
    trace, line = error.__traceback__, 0
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == path:
            line = trace.tb_lineno
        trace = trace.tb_next
    return line


def _operations(path: Path) -> dict[int, str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    # Outer calls come first and win: `op.execute(sa.text(...))` is an `op.execute`.
    found: dict[int, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            found.setdefault(node.lineno, ast.unparse(node.func))
    return found
