"""The page and the files it needs, and nothing else of the package."""

import re

import pytest

pytestmark = pytest.mark.databases("sqlite")


async def test_the_page_is_served_with_a_policy_that_allows_its_own_origin_only(client):
    answer = await client.get("/")

    assert answer.headers["content-type"].startswith("text/html")
    assert "default-src 'self'" in answer.headers["content-security-policy"]


async def test_everything_the_page_refers_to_is_served_by_the_service_itself(client):
    page = (await client.get("/")).text
    references = re.findall(r'(?:src|href)="([^"#]+)"', page)

    assert references
    for reference in references:
        assert reference.startswith("/"), reference
        assert (await client.get(reference)).status_code == 200


async def test_the_page_has_no_inline_script_and_no_inline_style(client):
    page = (await client.get("/")).text

    assert re.search(r"<script(?![^>]*\bsrc=)", page) is None
    assert re.search(r"<style|\bstyle=|\bon\w+=", page) is None


@pytest.mark.parametrize(
    "path",
    [
        "module.py",
        "__init__.py",
        "index.html",
        "missing.css",
        "..%2Fapp.py",
        "..%2F..%2Fapp.css",
        "%2e%2e%2fapp.py",
        "app.css%00.js",
        "a/b.css",
    ],
)
async def test_nothing_else_of_the_package_is_served(client, path):
    answer = await client.get(f"/static/{path}")

    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "RESOURCE_NOT_FOUND"


async def test_a_file_that_has_not_changed_is_not_sent_again(client):
    first = await client.get("/static/app.css")

    again = await client.get("/static/app.css", headers={"if-none-match": first.headers["etag"]})

    assert again.status_code in {200, 304}
    assert first.headers["cache-control"] == "no-cache"
