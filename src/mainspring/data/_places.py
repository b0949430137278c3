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


def own_place() -> str | None:
    """The innermost line of the service's code that is being executed, as `file:line`; None where there is none, as
    while FastAPI makes the response of a handler that has returned.
    """
    for frame in _frames():
        package = str(frame.f_globals.get("__name__", "")).partition(".")[0]
        if package not in _FRAMEWORKS and package not in sys.stdlib_module_names:
            return f"{frame.f_code.co_filename}:{frame.f_lineno}"
    return None


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
