"""What tests of the page do with a tab: sign in, find a message, press Tab, let axe look."""

from __future__ import annotations

from importlib import resources
from typing import Final

from playwright.sync_api import Locator, Page, expect

PATIENCE_MS: Final = 30_000
expect.set_options(timeout=PATIENCE_MS)
AXE: Final = resources.files("axe_playwright_python").joinpath("axe.min.js")


def sign_in(tab: Page, token: str) -> None:
    tab.locator("#side").get_by_role("button", name="Sign in").click()
    tab.get_by_role("textbox", name="Token").fill(token)
    tab.get_by_role("dialog").get_by_role("button", name="Sign in").click()
    expect(tab.get_by_role("button", name="Sign out")).to_be_visible()
    expect(tab.locator("#main")).to_have_attribute("aria-busy", "false")


def live(tab: Page) -> None:
    expect(tab.locator(".live")).to_have_attribute("data-state", "live")


def body(tab: Page, text: str) -> Locator:
    """The words of the one message in the middle that says ``text``."""
    return tab.locator("#main .msg .body", has_text=text)


def bodies(tab: Page) -> list[str]:
    return tab.locator("#main .msg .body").all_inner_texts()


def tabbed_to(tab: Page, name: str, *, backwards: bool = False) -> Locator:
    """What is called so, once the Tab key has brought the focus there."""
    for _ in range(40):
        tab.keyboard.press("Shift+Tab" if backwards else "Tab")
        here = tab.evaluate(
            "(it => it === document.body ? '' : `${it.ariaLabel} ${it.innerText}`)(document.activeElement)"
        )
        if name in here:
            return tab.locator(":focus")
    raise AssertionError(f"the Tab key does not lead to {name}")


def complaints(page: Page, part: str = "html") -> list[str]:
    """What axe says of this part of the page."""
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found = page.evaluate("part => axe.run(part, {resultTypes: ['violations']})", part)
    return [
        f"{one['id']}: {node['html'][:120]} {node['failureSummary'][:200]}"
        for one in found["violations"]
        for node in one["nodes"]
    ]
