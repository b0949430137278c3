"""Numbered pages: every number is right for every list."""

import pytest
from fastapi import FastAPI
from httpx2 import ASGITransport, AsyncClient
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from mainspring.http import Page, PageParams
from mainspring.http._paging import _page_params as Params  # noqa: N812 -- the class that it makes is private


def rows_of(page, rows):
    return rows[page.offset : page.offset + page.page_size]


@given(st.integers(0, 10_000), st.integers(1, 10_000), st.integers(1, 100))
def test_walking_all_pages_meets_every_item_once_and_in_order(total, start, size):
    rows = range(total)
    pages = Page.of(rows[:size], total=total, params=Params(1, size)).pages

    met = [row for page in range(1, pages + 1) for row in rows_of(Params(page, size), rows)]
    assert met == list(rows)
    assert not rows_of(Params(pages + 1, size), rows)
    assert Page.of([], total=total, params=Params(start, size)).pages == pages


@given(st.integers(0, 10**12), st.integers(1, 10_000), st.integers(1, 100))
def test_the_last_page_holds_the_last_item(total, page, size):
    answer = Page.of([], total=total, params=Params(page, size))

    assert (answer.pages - 1) * size < max(total, 1) <= max(answer.pages, 1) * size
    assert (answer.total, answer.page, answer.page_size) == (total, page, size)


def test_an_empty_list_has_no_pages():
    assert Page.of([], total=0, params=Params(1, 20)).pages == 0


def test_a_total_below_nothing_is_a_defect_of_the_caller():
    with pytest.raises(ValidationError):
        Page.of([], total=-1, params=Params(1, 20))


def test_items_are_validated_when_the_page_says_what_they_are():
    with pytest.raises(ValidationError):
        Page[int].of(["x"], total=1, params=Params(1, 20))


@pytest.fixture
async def client():
    app = FastAPI()

    @app.get("/pages")
    async def pages(params: PageParams) -> dict[str, int]:
        return {"page": params.page, "page_size": params.page_size, "offset": params.offset}

    async with AsyncClient(transport=ASGITransport(app), base_url="http://testserver") as client:
        yield client


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", (1, 20, 0)),
        ("page=1&page_size=1", (1, 1, 0)),
        ("page=3&page_size=100", (3, 100, 200)),
        ("page=10000&page_size=100", (10_000, 100, 999_900)),
    ],
)
async def test_the_bounds_are_inside(client, query, expected):
    answer = (await client.get(f"/pages?{query}")).json()

    assert (answer["page"], answer["page_size"], answer["offset"]) == expected


@pytest.mark.parametrize(
    "query",
    ["page=0", "page=-1", "page=10001", "page_size=0", "page_size=101", "page=", "page=1e3", "page=" + "9" * 5000],
)
async def test_what_is_outside_is_refused(client, query):
    assert (await client.get(f"/pages?{query}")).status_code == 422
