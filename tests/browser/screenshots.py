"""The pictures of the docs: ``python -m tests.browser.screenshots`` founds a federation and photographs its page."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Final

from playwright.sync_api import Browser, Page, expect

from tests.browser.town import Host, browser, colony
from tests.e2e.lab import wait_until

PICTURES: Final = Path(__file__).parents[2] / "docs" / "pictures"
MOST_BYTES: Final = 150_000
NAMES: Final = ("oracle-world", "mbp", "white-local", "nebula", "tank-7")


def main() -> None:
    PICTURES.mkdir(exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as folder,
        colony(Path(folder), *NAMES) as hosts,
        browser("--disable-lcd-text") as chromium,
    ):
        talk(hosts)
        hosts[-1].stop()
        first = hosts[0]
        wait_until(lambda: state_of(first, "tank-7") == "unreachable", "tank-7 is missed", 60)
        channel(chromium, first)
        mesh(chromium, first)
        phone(chromium, first)
    for path in sorted(PICTURES.glob("*.png")):
        assert path.stat().st_size < MOST_BYTES, f"{path.name} is {path.stat().st_size} bytes"
        print(f"{path.name}: {path.stat().st_size // 1000} kB")


def talk(hosts: list[Host]) -> None:
    oracle, mbp, white, nebula, tank = hosts
    for host, names in (
        (oracle, ("morpheus",)),
        (mbp, ("arthur", "tron")),
        (white, ("trinity",)),
        (nebula, ("niobe",)),
    ):
        for name in names:
            host.add(name)
    tank.add("dozer")
    for name in ("builds", "alerts", "lounge"):
        oracle.open("neo", name)
    oracle.say("neo", "nightly is green on all five hosts", "builds")
    said = mbp.say("arthur", "The migration is written and tested on a copy: 41 s for 1.2 million rows.\n"
                   "- rollback: `migrate --down 7`, also tested\n- nobody may write meanwhile")  # fmt: skip
    wait_until(lambda: white.heard(said["message"]["text"]), "it came", 30)
    white.say(
        "trinity", "@arthur read it twice, looks right. Which window?", intent="ask", reply_to=said["id"]
    )
    wait_until(
        lambda: any(host.heard("@arthur read it twice, looks right. Which window?") for host in (mbp,)),
        "it came",
        30,
    )
    mbp.say("arthur", "@trinity tonight at 02:00, https://example.org/runbook/7", reply_to=said["id"])
    nebula.say("niobe", "disk of nebula is at 81 %, cleaning old images", intent="inform")
    wait_until(lambda: oracle.heard("disk of nebula is at 81 %, cleaning old images"), "it came", 30)
    oracle.say("morpheus", "copied from a ticket: \u202etxt.exe\u202c is not what it seems")
    oracle.say("neo", "@trinity @niobe both of you on call tonight?", intent="ask")
    wait_until(lambda: white.heard("@trinity @niobe both of you on call tonight?"), "it came", 30)
    white.say("trinity", "yes")


def channel(chromium: Browser, host: Host) -> None:
    page = opened(chromium, host, "light", 1120, 690)
    page.goto(f"{host.page}/#/c/general")
    row = page.locator("#main .msg", has_text="The migration is written").first
    expect(row).to_be_visible()
    row.get_by_role("button", name="Reply").dispatch_event("click")
    expect(page.locator("#panel .msg")).to_have_count(3)
    page.mouse.move(2, 2)
    page.screenshot(path=PICTURES / "channel.png")
    page.context.close()


def mesh(chromium: Browser, host: Host) -> None:
    page = opened(chromium, host, "dark", 1180, 800)
    page.goto(f"{host.page}/#/mesh")
    expect(page.locator(".host-card")).to_have_count(len(NAMES))
    page.screenshot(path=PICTURES / "mesh.png")
    page.context.close()


def phone(chromium: Browser, host: Host) -> None:
    page = opened(chromium, host, "dark", 390, 760)
    page.goto(f"{host.page}/#/c/general")
    expect(page.locator("#main .msg").first).to_be_visible()
    page.screenshot(path=PICTURES / "phone.png")
    page.context.close()


def opened(chromium: Browser, host: Host, scheme: str, width: int, height: int) -> Page:
    context = chromium.new_context(
        viewport={"width": width, "height": height},
        color_scheme="dark" if scheme == "dark" else "light",
        locale="en-GB",
    )
    page = context.new_page()
    page.goto(host.page)
    page.evaluate("token => sessionStorage.setItem('maw.token', token)", host.tokens["neo"])
    page.reload()
    expect(page.locator("#main")).to_have_attribute("aria-busy", "false")
    return page


def state_of(host: Host, name: str) -> str:
    _, peers = host.ask("GET", "/api/peers")
    return next(str(one["state"]) for one in peers if one["name"] == name)


if __name__ == "__main__":
    main()
