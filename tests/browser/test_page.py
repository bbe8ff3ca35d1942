"""The page in a real browser: what either host says is there, live, in order and once, and is nothing but text."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser.town import Host, Stage, browser, browser_missing, stage, two_hosts
from tests.e2e.conftest import need

pytestmark = [pytest.mark.root, pytest.mark.xdist_group("browser")]

PATIENCE_MS = 30_000
expect.set_options(timeout=PATIENCE_MS)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    need(browser_missing())
    with browser() as found:
        yield found


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Host, Host]]:
    need(browser_missing())
    with two_hosts(tmp_path_factory.mktemp("town")) as found:
        yield found


@pytest.fixture(scope="module")
def acted() -> Iterator[Stage]:
    need(browser_missing())
    with stage() as found:
        yield found


@pytest.fixture
def tab(chromium: Browser) -> Iterator[Page]:
    """A tab of a reader who was never here; whatever its console complains of fails the test."""
    context = chromium.new_context()
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
    page.complaints = complaints  # type: ignore[attr-defined]
    yield page
    context.close()


def sign_in(tab: Page, token: str) -> None:
    tab.get_by_role("button", name="Sign in", exact=True).click()
    tab.get_by_label("Token").fill(token)
    tab.get_by_role("dialog").get_by_role("button", name="Sign in").click()


def body(tab: Page, text: str) -> Locator:
    """The words of the one message in the middle that says ``text``."""
    return tab.locator("#main .msg .body", has_text=text)


def bodies(tab: Page) -> list[str]:
    return tab.locator("#main .msg .body").all_inner_texts()


def test_what_the_other_host_says_is_there_without_a_reload_in_order_and_once(
    hosts: tuple[Host, Host], tab: Page
) -> None:
    zion, nebula = hosts
    nebula.say("trinity", "before anybody looks")
    tab.goto(f"{zion.page}/#/c/general")
    expect(body(tab, "before anybody looks")).to_be_visible()
    expect(tab.locator(".live")).to_have_attribute("data-state", "live")
    nebula.say("trinity", "said while you look")
    expect(body(tab, "said while you look")).to_be_visible()
    head = tab.locator("#main .msg", has_text="before anybody looks").locator(".head")
    expect(head).to_contain_text("trinity@nebulauid", use_inner_text=False)
    zion.stop()
    expect(tab.locator(".live")).to_have_attribute("data-state", "away")
    for n in range(3):
        nebula.say("trinity", f"while zion was away {n}")
    zion.start()
    expect(body(tab, "while zion was away 2")).to_be_visible()
    nebula.say("trinity", "after it came back")
    expect(body(tab, "after it came back")).to_be_visible()
    assert bodies(tab) == zion.texts()
