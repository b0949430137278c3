"""Where in the service's own code something was asked for."""

import sys
from collections.abc import Iterator
from types import FrameType
from typing import Any

from greenlet import getcurrent  # type: ignore[import-untyped]  # SQLAlchemy's, without types

# Beneath what a service is made of. The rest of the installed packages may be the service itself.
_FRAMEWORKS = frozenset(
    {
        *("mainspring", "sqlalchemy", "greenlet", "aiosqlite", "asyncpg", "alembic"),
        *("fastapi", "starlette", "pydantic", "pydantic_core", "anyio", "httpx2", "httpcore2", "uvicorn", "uvloop"),
        *("pytest", "_pytest", "pluggy", "pytest_asyncio"),
    }
)


# Where a request comes in. What stands before it is the server, or the test whose client is in the same process.
_DOOR = "mainspring.http._pipeline"
# The chassis' own frames around every call. Its features (`mainspring.accounts`) ask for things themselves.
_AROUND = ("mainspring.data.", "mainspring.http.", "mainspring.app.", "mainspring.testing.", "mainspring.cli.")


def own_place() -> str | None:
    """The innermost line of the service's code that is being executed, as `file:line`; that of one of the chassis'
    features where it acts for itself; None where there is neither, as while FastAPI makes the response of a handler that
    has returned.
    """
    feature = None
    for frame in _frames():
        module = str(frame.f_globals.get("__name__", ""))
        if module == _DOOR:
            break
        package = module.partition(".")[0]
        if package not in _FRAMEWORKS and package not in sys.stdlib_module_names:
            return _named(frame)
        if feature is None and package == "mainspring" and not module.startswith(_AROUND):
            feature = frame
    return _named(feature) if feature is not None else None


def _named(frame: FrameType) -> str:
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


def _frames() -> Iterator[FrameType]:
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 -- the documented way
    # SQLAlchemy runs below an `await` in a greenlet, whose frames do not know who awaits.
    strand: Any = getcurrent()
    while strand is not None:
        while frame is not None:
            yield frame
            frame = frame.f_back
        strand = strand.parent
        frame = strand.gr_frame if strand is not None else None
