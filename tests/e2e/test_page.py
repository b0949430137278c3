"""The page, in a real browser."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from .service import running

pytestmark = pytest.mark.e2e

QUESTION = "what is 17 % of 2,340, and how many words has this sentence?"
PASSWORD = "correct horse battery staple"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture
def page(chromium) -> Iterator[Page]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        page = browser.new_page()
        complaints: list[str] = []
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda line: complaints.append(line.text) if line.type == "error" else None)
        yield page
        browser.close()
    assert complaints == []


def register(page: Page, url: str) -> None:
    page.goto(url)
    expect(page.locator("body")).to_have_attribute("data-state", "signed-out")
    form = page.locator("#register-form")
    if not form.is_visible():
        page.get_by_role("button", name=re.compile("register|create", re.IGNORECASE)).first.click()
    form.locator("[name=email]").fill("ada@example.com")
    form.locator("[name=password]").fill(PASSWORD)
    form.locator("[name=password_confirm]").fill(PASSWORD)
    form.locator("[type=submit]").click()
    expect(page.locator("body")).to_have_attribute("data-state", "signed-in")


def test_a_person_registers_makes_an_agent_and_watches_it_answer(tmp_path, page):
    with running(tmp_path) as service:
        register(page, service.url)

        page.locator("#new-agent").click()
        form = page.locator("#agent-form")
        form.locator("[name=name]").fill("helper")
        for tool in ("calculator", "text_statistics"):
            form.locator(f"[name=tools][value={tool}]").check()
        form.locator("[type=submit]").click()
        expect(page.locator("#agents-list")).to_contain_text("helper")

        page.locator("#message-form [name=input]").fill(QUESTION)
        page.locator("#message-form [type=submit]").click()

        expect(page.locator("#execution-status")).to_have_text("completed")
        expect(page.locator("#answer")).to_contain_text("397.8")
        expect(page.locator("#answer")).to_contain_text("12 words")
        expect(page.locator("#trace [data-tool=calculator]")).to_have_count(1)
        expect(page.locator("#trace [data-tool=text_statistics]")).to_have_count(1)

        page.reload()
        expect(page.locator("body")).to_have_attribute("data-state", "signed-in")
        expect(page.locator("#agents-list")).to_contain_text("helper")

        page.locator("#sign-out").click()
        expect(page.locator("body")).to_have_attribute("data-state", "signed-out")
        assert service.stop() == 0
