"""Tests that each resource of tenants gets: what another tenant has is answered as if it had never been."""

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from httpx2 import AsyncClient, Response

from mainspring.kernel import new_id

_CONDITIONS: Sequence[Mapping[str, str]] = (
    {},
    {"If-Match": "{tag}"},
    {"If-Match": "*"},
    {"If-Match": '"0"'},
    {"If-None-Match": "{tag}"},
    {"If-None-Match": "*"},
)
# They differ from one request to the next.
_PASSING = re.compile(r'"(request_id|instance|trace_id)":\s*"[^"]*"')


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantResource:
    """A resource of tenants as its clients see it, and what its tests need to know about it.

    Attributes:
        path: Of the collection: `/api/v1/notes`; an item is below it, by the `id` in its JSON.
        sign_in: Headers of somebody of another tenant than all before.
        new: JSON of a new item; different each time.
        change: JSON that changes one.
        methods: What an item answers to.
        search: A query that finds every new item, as parameters; None where there is no search.
        by_cursor: Whether the collection is walked by cursor.
    """

    path: str
    sign_in: Callable[[AsyncClient], Awaitable[Mapping[str, str]]]
    new: Callable[[], Mapping[str, Any]]
    change: Mapping[str, Any]
    methods: Sequence[str] = ("GET", "PATCH", "DELETE")
    search: Mapping[str, str] | None = None
    by_cursor: bool = True


class _Visit:
    """Somebody who has an item, and somebody of another tenant."""

    def __init__(self, resource: TenantResource, client: AsyncClient) -> None:
        self.resource = resource
        self.client = client

    theirs: Mapping[str, str]
    mine: Mapping[str, str]
    item: Mapping[str, Any]

    @classmethod
    async def made(cls, resource: TenantResource, client: AsyncClient) -> "_Visit":
        visit = cls(resource, client)
        visit.theirs, visit.mine = await resource.sign_in(client), await resource.sign_in(client)
        visit.item = (await visit.create(visit.theirs, resource.new())).json()
        return visit

    async def create(self, who: Mapping[str, str], item: Mapping[str, Any]) -> Response:
        answer = await self.client.post(self.resource.path, json=item, headers=who)
        assert answer.status_code == 201, f"POST {self.resource.path}: {answer.status_code} {answer.text}"
        return answer

    async def read(self) -> Response:
        """The item as its owner sees it."""
        return await self.client.get(f"{self.resource.path}/{self.item['id']}", headers=self.theirs)

    async def seen(self, method: str, key: str, condition: Mapping[str, str]) -> tuple[Any, ...]:
        """What the other tenant gets to see, without what differs between any two answers."""
        body = self.resource.change if method in {"PATCH", "PUT"} else None
        answer = await self.client.request(
            method, f"{self.resource.path}/{key}", json=body, headers={**self.mine, **condition}
        )
        text = _PASSING.sub("", answer.text).replace(key, "…")
        return answer.status_code, answer.headers.get("etag"), text


async def _same(visit: _Visit, method: str) -> None:
    before = await visit.read()
    for condition in _CONDITIONS:
        tag = before.headers.get("etag", '"1"')
        headers = {name: value.format(tag=tag) for name, value in condition.items()}
        there = await visit.seen(method, str(visit.item["id"]), headers)
        assert there[0] in {404, 428}, f"{method} of another tenant's item with {headers}: {there}"
        assert there == await visit.seen(method, str(new_id()), headers), f"{method} with {headers} tells it exists"
    after = await visit.read()
    assert (after.status_code, after.text) == (before.status_code, before.text), f"{method} changed it"


async def _get(visit: _Visit) -> None:
    await _same(visit, "GET")


async def _patch(visit: _Visit) -> None:
    await _same(visit, "PATCH")


async def _put(visit: _Visit) -> None:
    await _same(visit, "PUT")


async def _delete(visit: _Visit) -> None:
    await _same(visit, "DELETE")


async def _list(visit: _Visit) -> None:
    await _listed(visit, {})


async def _search(visit: _Visit) -> None:
    await _listed(visit, visit.resource.search or {})


async def _listed(visit: _Visit, parameters: Mapping[str, str]) -> None:
    own = (await visit.create(visit.mine, visit.resource.new())).json()
    answer = await visit.client.get(visit.resource.path, params=dict(parameters), headers=visit.mine)
    assert answer.status_code == 200, answer.text
    assert str(own["id"]) in answer.text, "the list does not have the tenant's own item"
    assert str(visit.item["id"]) not in answer.text, "the list has another tenant's item"


async def _cursor(visit: _Visit) -> None:
    await visit.create(visit.theirs, visit.resource.new())
    first = await visit.client.get(visit.resource.path, params={"page_size": 1}, headers=visit.theirs)
    cursor = first.json()["next_cursor"]
    assert cursor is not None, "the list has no second page"
    answer = await visit.client.get(visit.resource.path, params={"page_size": 1, "cursor": cursor}, headers=visit.mine)
    assert answer.status_code == 400, f"another tenant's cursor is taken: {answer.status_code}"


async def _create(visit: _Visit) -> None:
    # What one tenant has taken is free for another.
    item = visit.resource.new()
    await visit.create(visit.theirs, item)
    await visit.create(visit.mine, item)


type _Check = Callable[[_Visit], Awaitable[None]]

_BY_METHOD: Mapping[str, _Check] = {"GET": _get, "PATCH": _patch, "PUT": _put, "DELETE": _delete}


def _checks(resource: TenantResource) -> Mapping[str, _Check]:
    checks = {method.lower(): _BY_METHOD[method] for method in resource.methods}
    checks |= {"list": _list, "create": _create}
    if resource.search is not None:
        checks["search"] = _search
    if resource.by_cursor:
        checks["cursor"] = _cursor
    return checks


def cross_tenant_requests(*resources: TenantResource) -> Callable[..., Awaitable[None]]:
    """A test of every method of every resource: the answer for another tenant's item is, but for its id, that for one
    that never was, with and without `If-Match` and `If-None-Match`; lists, searches and cursors show none of it.

        test_requests_of_tenants = cross_tenant_requests(
            TenantResource(path="/api/v1/notes", sign_in=sign_up, new=a_note, change={"text": "mine"}),
        )

    It uses the fixture `client`.
    """
    runs = [
        pytest.param(resource, check, id=f"{resource.path.strip('/')}-{name}")
        for resource in resources
        for name, check in _checks(resource).items()
    ]

    @pytest.mark.parametrize(("resource", "check"), runs)
    async def nothing_is_told(resource: TenantResource, check: _Check, client: AsyncClient) -> None:
        await check(await _Visit.made(resource, client))

    return nothing_is_told
