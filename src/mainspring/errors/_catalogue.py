"""Every error a service can answer with, as data: for the docs, the API description and `/errors`."""

import inspect
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ._tree import MainspringError


@dataclass(frozen=True, slots=True)
class CatalogueEntry:
    """What clients may rely on about one error.

    Attributes:
        code: The stable code in the answer's body.
        status: The HTTP status.
        title: The unchanging short text.
        retryable: Whether the same request may succeed later.
        description: When it happens.
    """

    code: str
    status: int
    title: str
    retryable: bool
    description: str


def catalogue(extra: Iterable[type[Exception]] = ()) -> tuple[CatalogueEntry, ...]:
    """The chassis' own errors and those of a service, ordered by status, then code.

    Args:
        extra: Error classes that modules declare (`Module.errors`).

    Raises:
        ValueError: Two classes share a code, so clients could not tell them apart; a line for each pair.
    """
    owners: dict[str, type[MainspringError]] = {}
    clashes: list[str] = []
    for cls in dict.fromkeys((*_own(MainspringError), *(e for e in extra if issubclass(e, MainspringError)))):
        owner = owners.setdefault(cls.code, cls)
        if owner is not cls:
            clashes.append(
                f"{owner.__qualname__} and {cls.__qualname__} share the code {cls.code!r}; give one another code."
            )
    if clashes:
        raise ValueError("\n".join(clashes))
    return tuple(sorted(map(_entry, owners.values()), key=lambda entry: (entry.status, entry.code)))


def _own(root: type[MainspringError]) -> Iterator[type[MainspringError]]:
    # Subclasses made elsewhere count only when a module declares them: what happens to be imported must not
    # change the catalogue.
    if root.__module__ == MainspringError.__module__:
        yield root
        for child in root.__subclasses__():
            yield from _own(child)


def _entry(cls: type[MainspringError]) -> CatalogueEntry:
    # Its own first paragraph: `inspect.getdoc` would describe an undocumented error as its parent, and what comes
    # after the first paragraph is for those who raise it.
    description = inspect.cleandoc(cls.__doc__ or cls.title).partition("\n\n")[0]
    return CatalogueEntry(cls.code, cls.status, cls.title, cls.retryable, description)
