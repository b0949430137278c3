"""The page as a module: plain files, served from the package."""

from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import FileResponse

from mainspring.errors import NotFound
from mainspring.kernel import Module

_FOLDER = Path(__file__).parent
_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
# Revalidated each time (the server answers with an ETag), so that a new version is seen at once.
_CACHE = {"cache-control": "no-cache"}

router = APIRouter()


@router.get("/")
async def page() -> FileResponse:
    """The page."""
    return FileResponse(_FOLDER / "index.html", headers=_CACHE)


@router.get("/static/{name}")
async def asset(name: str) -> FileResponse:
    """A file that the page needs; nothing else in the folder is served."""
    path = _FOLDER / name
    media_type = _TYPES.get(path.suffix)
    # A name without separators (the route takes one segment) that stands in the folder itself: no way out of it.
    if media_type is None or "\x00" in name or path.parent != _FOLDER or not path.is_file():
        raise NotFound("There is no such file.")
    return FileResponse(path, media_type=media_type, headers=_CACHE)


def module() -> Module:
    """The page at `/` and its files at `/static`."""
    return Module(name="web", summary="The page at /", pages=(router,))
