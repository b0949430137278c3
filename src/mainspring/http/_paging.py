"""Lists in numbered pages: `page`, `page_size` in; `items`, `total`, `page`, `page_size`, `pages` out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Query
from pydantic import BaseModel, ConfigDict, Field

_LARGEST_PAGE = 100
# Beyond it an OFFSET reads and discards a million rows; whoever needs more walks by cursor.
_LAST_PAGE = 10_000


@dataclass(frozen=True, slots=True)
class _PageParams:
    page: int = 1
    page_size: int = 20

    @property
    def offset(self) -> int:
        """Rows to skip."""
        return (self.page - 1) * self.page_size


def _page_params(
    page: Annotated[int, Query(ge=1, le=_LAST_PAGE, description="Which page, from 1.")] = 1,
    page_size: Annotated[int, Query(ge=1, le=_LARGEST_PAGE, description="Items per page.")] = 20,
) -> _PageParams:
    return _PageParams(page, page_size)


PageParams = Annotated[_PageParams, Depends(_page_params)]
"""`page` (1 to 10,000) and `page_size` (1 to 100, 20 by default) of the query string."""


class Page[T](BaseModel):
    """One page of a list.

    Attributes:
        items: The page's items.
        total: Items over all pages.
        page: Which page this is, from 1.
        page_size: Items per page, as asked for.
        pages: How many pages there are; 0 when the list is empty.
    """

    model_config = ConfigDict(frozen=True, from_attributes=True)

    items: Sequence[T]
    total: int = Field(ge=0)
    page: int = Field(ge=1)
    page_size: int = Field(ge=1)
    pages: int = Field(ge=0)

    @classmethod
    def of(cls, items: Sequence[T], *, total: int, params: _PageParams) -> "Page[T]":
        """A page with its numbers worked out."""
        pages = -(-total // params.page_size)
        return cls(items=items, total=total, page=params.page, page_size=params.page_size, pages=pages)


class CursorPage[T](BaseModel):
    """One page of a list that is walked by cursor.

    Attributes:
        items: The page's items.
        next_cursor: For the page after this one; null on the last.
        previous_cursor: For the page before this one; null on the first.
        total: Items over all pages, where the client has asked for it; null otherwise.
    """

    model_config = ConfigDict(frozen=True, from_attributes=True)

    items: Sequence[T]
    next_cursor: str | None
    previous_cursor: str | None
    total: int | None = Field(default=None, ge=0)
