"""Database URLs as people write them, and as SQLAlchemy's async engines want them."""

from importlib.util import find_spec

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

_DRIVERS = {
    "sqlite": "sqlite+aiosqlite",
    "sqlite+aiosqlite": "sqlite+aiosqlite",
    "postgres": "postgresql+asyncpg",
    "postgresql": "postgresql+asyncpg",
    "postgresql+asyncpg": "postgresql+asyncpg",
}


def database_url(text: str) -> URL:
    """The URL with the async driver that Mainspring uses.

    Args:
        text: `sqlite:///path`, `postgresql://…` or `postgres://…` as platforms hand it out.

    Raises:
        ValueError: It is no URL, of another kind of database, or a SQLite database in memory: each connection would have
            its own, and sessions and migrations use several.
        ModuleNotFoundError: The driver's extra is not installed; the message names it.
    """
    try:
        url = make_url(text)
    except ArgumentError:
        raise ValueError(
            "DATABASE_URL is not a URL. Write postgresql://user:password@host/name or sqlite:///path."
        ) from None
    driver = _DRIVERS.get(url.drivername)
    if driver is None:
        raise ValueError(
            f"DATABASE_URL starts with {url.drivername!r}, which is not supported. Use postgresql:// or sqlite://."
        )
    if driver == "sqlite+aiosqlite" and url.database in {None, "", ":memory:"}:
        raise ValueError("DATABASE_URL names no file. Write sqlite:///path; a database in memory cannot be shared.")
    if driver == "postgresql+asyncpg" and find_spec("asyncpg") is None:
        raise ModuleNotFoundError(
            "PostgreSQL needs asyncpg. Install it: uv add 'mainspring[postgres]'.", name="asyncpg"
        )
    return url.set(drivername=driver)
