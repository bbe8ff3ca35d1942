"""The pictures of the docs: ``python -m tests.browser.screenshots`` founds a federation and photographs its page."""

from __future__ import annotations

import tempfile
from functools import partial
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
        conversation(chromium, first)
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
    speak_apart(oracle, white)


def speak_apart(oracle: Host, white: Host) -> None:
    for host, agent, to, text in (
        (oracle, "morpheus", "neo", "the cupboard key hangs at the usual place"),
        (oracle, "neo", "trinity", "Before tonight: can you take the last look at the rollback?"),
        (white, "trinity", "neo", "Did so just now. `migrate --down 7` takes 38 s, nothing is lost."),
        (oracle, "neo", "trinity", "Thank you! 02:00 it is."),
    ):
        status, body = host.ask("POST", "/api/direct", {"to": [to], "text": text}, agent=agent)
        assert status == 201, body
        reader = white if to == "trinity" else oracle
        wait_until(partial(has_mail, reader, to, text), "the direct message came", 30)
    last = oracle.ask("GET", "/api/sent?limit=1", agent="neo")[1][-1]
    oracle.ask(
        "POST",
        f"/api/messages/{last['id']}/edit",
        {"text": "Thank you! 02:30 it is, after the backup."},
        agent="neo",
    )
    white.ask(
        "POST",
        "/api/direct",
        {"to": ["neo"], "text": "And who tells @arthur?", "intent": "ask"},
        agent="trinity",
    )
    wait_until(partial(has_mail, oracle, "neo", "And who tells @arthur?"), "the question came", 30)


def has_mail(host: Host, agent: str, text: str) -> bool:
    return any(one["text"] == text for one in host.ask("GET", "/api/inbox", agent=agent)[1])


def channel(chromium: Browser, host: Host) -> None:
    page = opened(chromium, host, "light", 1100, 640)
    page.goto(f"{host.page}/#/c/general")
    row = page.locator("#main .msg", has_text="The migration is written").first
    expect(row).to_be_visible()
    row.get_by_role("button", name="Reply").dispatch_event("click")
    expect(page.locator("#panel .msg")).to_have_count(3)
    page.mouse.move(2, 2)
    page.screenshot(path=PICTURES / "channel.png")
    page.context.close()


def conversation(chromium: Browser, host: Host) -> None:
    page = opened(chromium, host, "light", 1000, 560)
    page.goto(f"{host.page}/#/direct/trinity@white-local")
    expect(page.locator("#main .msg")).to_have_count(4)
    expect(page.locator("#main .receipt").last).to_contain_text("replicated")
    page.screenshot(path=PICTURES / "conversation.png")
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
