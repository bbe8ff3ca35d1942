"""The page in a real browser: what either host says is there, live, in order and once, and is nothing but text."""

from __future__ import annotations

import csv
import json
import re
import unicodedata
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from maw.core.text import shown
from tests.browser.foreign import TRIES, elsewhere
from tests.browser.looking import PATIENCE_MS, bodies, body, complaints, live, sign_in, tabbed_to
from tests.browser.town import Host, Stage, browser, browser_missing, stage, two_hosts
from tests.e2e.conftest import need
from tests.e2e.lab import wait_until

pytestmark = [pytest.mark.root]


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
    """A tab of a reader who was never here. A fault of the page, or a question to anybody else, fails the test."""
    context = chromium.new_context()
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    faults: list[str] = []
    asked: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.on("websocket", lambda socket: asked.append(socket.url.replace("ws:", "http:")))
    yield page
    home = page.evaluate("location.origin")
    tokens = page.evaluate("sessionStorage.getItem('maw.token')")
    context.close()
    assert faults == []
    assert [url for url in asked if not url.startswith(f"{home}/")] == []
    assert tokens is None or not any(tokens in url for url in asked), "a token stands in no address"


def test_what_the_other_host_says_is_there_without_a_reload_in_order_and_once(
    hosts: tuple[Host, Host], tab: Page
) -> None:
    zion, nebula = hosts
    nebula.say("trinity", "before anybody looks")
    tab.goto(f"{zion.page}/#/c/general")
    expect(body(tab, "before anybody looks")).to_be_visible()
    live(tab)
    nebula.say("trinity", "said while you look")
    expect(body(tab, "said while you look")).to_be_visible()
    head = tab.locator("#main .msg", has_text="before anybody looks").locator(".head")
    expect(head).to_contain_text("trinity@nebulauid", use_inner_text=False)
    sign_in(tab, zion.tokens["neo"])
    live(tab)
    zion.stop()
    expect(tab.locator(".live")).to_have_attribute("data-state", "away")
    for n in range(3):
        nebula.say("trinity", f"while zion was away {n}")
    zion.start()
    expect(body(tab, "while zion was away 2")).to_be_visible()
    nebula.say("trinity", "after it came back")
    expect(body(tab, "after it came back")).to_be_visible()
    assert bodies(tab) == zion.texts()


def test_with_the_keyboard_alone_one_reaches_a_channel_writes_and_sees_how_far_it_came(
    hosts: tuple[Host, Host], tab: Page
) -> None:
    zion, nebula = hosts
    zion.open("neo", "keys")
    zion.say("neo", "first here", "keys")
    tab.goto(f"{zion.page}/#/mesh")
    sign_in(tab, zion.tokens["neo"])
    live(tab)
    tabbed_to(tab, "keys").press("Enter")
    expect(body(tab, "first here")).to_be_visible()
    box = tabbed_to(tab, "Write to #keys")
    tab.keyboard.type("from the keyboard, @trinity")
    tab.keyboard.press("Shift+Enter")
    tab.keyboard.type("in two lines")
    tab.keyboard.press("Enter")
    said = tab.locator("#main .msg", has_text="from the keyboard, @trinity")
    expect(said).to_be_visible()
    expect(box).to_have_value("")
    expect(said.locator(".receipt")).to_contain_text("replicated")
    status, waiting = nebula.ask("GET", "/api/inbox", agent="trinity")
    assert status == 200
    told = [one for one in waiting if one["text"] == "from the keyboard, @trinity\nin two lines"]
    assert len(told) == 1
    nebula.ask("POST", "/api/read", {"ids": [told[0]["id"]]}, agent="trinity")
    expect(said.locator(".receipt")).to_contain_text("read")
    tabbed_to(tab, "Messages in #keys", backwards=True)
    tab.keyboard.press("ArrowUp")
    tab.keyboard.press("r")
    panel = tab.get_by_role("complementary", name="Details")
    expect(panel).to_contain_text("no replies yet")
    tab.keyboard.type("and an answer")
    tab.keyboard.press("Enter")
    expect(panel).to_contain_text("1 reply")
    tab.keyboard.press("Escape")
    expect(panel).to_be_hidden()
    wait_until(lambda: zion.ask("GET", "/api/search?q=keyboard")[1], "it can be found", 30)
    tab.keyboard.press("Control+k")
    tab.keyboard.type("keyboard")
    tab.keyboard.press("Enter")
    expect(tab.locator("#main .hit mark")).to_have_text(["keyboard"])


def test_edits_and_redactions_are_seen_where_one_looks(hosts: tuple[Host, Host], tab: Page) -> None:
    zion, nebula = hosts
    said = nebula.say("trinity", "@neo the pin is 4711")
    slip = nebula.say("trinity", "a slip of the tongue", reply_to=said["id"])
    wait_until(lambda: zion.heard("a slip of the tongue"), "it came", 30)
    tab.goto(f"{zion.page}/#/c/general")
    row = tab.locator(f"#main .msg[data-id='{said['id']}']")
    row.get_by_role("button", name="Reply", exact=True).dispatch_event("click")
    panel = tab.get_by_role("complementary", name="Details")
    expect(panel.locator(".msg")).to_have_count(2)
    live(tab)
    ask(nebula, f"/api/messages/{said['id']}/edit", {"text": "@neo the pin is 4712"}, "trinity")
    for place in (row, panel.locator(f"[data-id='{said['id']}']")):
        expect(place.locator(".body")).to_have_text("@neo the pin is 4712")
        expect(place.locator(".head")).to_contain_text("edited")
    ask(nebula, "/api/redact", {"ids": [slip["id"]], "reason": "wrong"}, "trinity")
    for place in (tab.locator("#main"), panel):
        gone = place.locator(f"[data-id='{slip['id']}'] .body.redacted")
        expect(gone).to_contain_text("redacted by trinity@nebula")
        expect(gone).to_contain_text(": wrong")
    expect(row.get_by_role("button", name="Edit", exact=True)).to_have_count(0)
    row.get_by_role("button", name="edited").click()
    expect(panel.locator(".versions .body")).to_have_text(["@neo the pin is 4711", "@neo the pin is 4712"])
    tab.goto(f"{zion.page}/#/mentions/neo")
    expect(body(tab, "4712")).to_be_visible()
    zion.stop()  # what is edited meanwhile is told when the stream is back
    expect(tab.locator(".live")).to_have_attribute("data-state", "away")
    ask(nebula, f"/api/messages/{said['id']}/edit", {"text": "@neo the pin is gone"}, "trinity")
    zion.start()
    expect(body(tab, "the pin is gone")).to_be_visible()


def ask(host: Host, path: str, content: dict[str, object], agent: str) -> dict[str, Any]:
    status, answer = host.ask("POST", path, content, agent=agent)
    assert status in (200, 201), answer
    return dict(answer)


def test_a_conversation_of_two_with_the_keyboard(hosts: tuple[Host, Host], tab: Page) -> None:
    zion, nebula = hosts
    tab.goto(zion.page)
    sign_in(tab, zion.tokens["neo"])
    live(tab)
    tabbed_to(tab, "Direct").press("Enter")
    expect(tab.get_by_role("heading", name="Direct messages")).to_be_visible()
    ask(nebula, "/api/direct", {"to": ["neo"], "text": "are you there?"}, "trinity")
    talk = tab.locator("#main").get_by_role("link", name="trinity@nebula")
    expect(talk.locator(".count")).to_contain_text("1")
    talk.press("Enter")
    expect(body(tab, "are you there?")).to_be_visible()
    tabbed_to(tab, "Write to trinity@nebula")
    tab.keyboard.type("yes, and what I tpye stays")
    tab.reload()
    box = tab.get_by_label("Write to trinity@nebula")
    expect(box).to_have_value("yes, and what I tpye stays")
    live(tab)
    box.press("Enter")
    expect(body(tab, "tpye stays")).to_be_visible()
    expect(box).to_have_value("")
    tab.get_by_role("button", name="Acknowledge all").click()
    expect(tab.get_by_role("button", name="Acknowledge all")).to_be_hidden()
    mine = tab.locator("#main .msg", has_text="what I tpye stays")
    mine.focus()
    tab.keyboard.press("e")
    tab.get_by_label("What it is to say").fill("what I type stays")
    tab.get_by_role("button", name="Save").click()
    expect(body(tab, "what I type stays")).to_be_visible()
    with pytest.raises(AssertionError, match="404"):
        ask(zion, f"/api/messages/{seen_by(nebula, 'trinity')[-1]}/edit", {"text": "no"}, "owner")
    tab.locator("#main .msg", has_text="what I type stays").focus()
    tab.keyboard.press("Delete")
    tab.get_by_role("dialog").get_by_role("button", name="Redact").click()
    expect(tab.locator("#main .body.redacted")).to_contain_text("redacted by neo@zion")
    wait_until(lambda: "redacted" in nebula.ask("GET", "/api/inbox", agent="trinity")[1][-1], "there too", 30)
    expect(tab.locator("#main .msg", has_text="are you there?")).to_have_count(1)


def seen_by(host: Host, agent: str) -> list[str]:
    return [one["id"] for one in host.ask("GET", "/api/inbox", agent=agent)[1]]


def test_an_ask_is_answered_where_it_is_shown(hosts: tuple[Host, Host], tab: Page) -> None:
    zion, nebula = hosts
    tab.goto(f"{zion.page}/#/asks")
    sign_in(tab, zion.tokens["neo"])
    live(tab)
    nebula.say("trinity", "@neo which window?", intent="ask", priority="high")
    open_ask = tab.get_by_role("feed", name="Waiting for you").locator(".msg", has_text="which window?")
    expect(open_ask.locator(".head")).to_contain_text("high priority")
    open_ask.focus()
    tab.keyboard.press("r")
    panel = tab.get_by_role("complementary", name="Details")
    expect(panel.get_by_label("Answer trinity")).to_be_focused()
    tab.keyboard.type("at two")
    panel.get_by_label("What it wants").select_option("ask")
    panel.get_by_label("An answer is due").select_option("1h")
    panel.get_by_label("Priority").select_option("high")
    panel.get_by_role("button", name="Send").click()
    expect(open_ask).to_have_count(0)
    mine = tab.get_by_role("feed", name="You wait for").locator(".msg", has_text="at two")
    expect(mine.locator(".head")).to_contain_text("due")


def test_what_could_not_be_sent_says_what_to_do(hosts: tuple[Host, Host], tab: Page) -> None:
    zion, _ = hosts
    tab.goto(f"{zion.page}/#/direct/trinty")
    sign_in(tab, zion.tokens["neo"])
    tab.locator("#main").get_by_role("link", name="@trinity@nebula").click()
    box = tab.get_by_label("Write to trinity@nebula")
    secret = f"the key is AKIA{'QWERTYUIOPASDFGH'}"
    box.fill(secret)
    box.press("Enter")
    again = tab.get_by_role("button", name="Send it all the same")
    expect(again).to_be_visible()
    expect(box).to_have_value(secret)
    answer = {"error": {"code": "too_many", "message": "too much at once", "hint": "", "retry_after": 1.2}}
    tab.route("**/api/direct", lambda route: route.fulfill(status=429, json=answer), times=1)
    again.click()
    trouble = tab.locator("#main .compose .trouble")
    expect(trouble).to_contain_text("it can be sent in")
    expect(tab.get_by_role("button", name="Send", exact=True)).to_be_disabled()
    expect(box).to_have_value(secret)
    trouble.get_by_role("button", name="Send it").click()
    expect(trouble).to_contain_text("looks like")
    tab.get_by_role("button", name="Send it all the same").click()
    expect(body(tab, secret)).to_be_visible()
    expect(box).to_have_value("")


def test_a_channel_is_opened_and_watched_from_the_page(hosts: tuple[Host, Host], tab: Page) -> None:
    zion, nebula = hosts
    tab.goto(zion.page)
    expect(tab.locator("#main")).to_have_attribute("aria-busy", "false")
    for name in ("Open a channel", "Watch #general"):
        expect(tab.get_by_role("button", name=name)).to_have_count(0)
    sign_in(tab, zion.tokens["neo"])
    tab.get_by_role("button", name="Open a channel").click()
    dialog = tab.get_by_role("dialog")
    dialog.get_by_label("Name").fill("general")
    dialog.get_by_role("button", name="Open it").click()
    expect(dialog.get_by_role("alert")).to_contain_text("general")
    dialog.get_by_label("Name").fill("workshop")
    dialog.get_by_label("What it is for").fill("tools & hammers")
    dialog.get_by_role("button", name="Open it").click()
    expect(tab.get_by_role("heading", name="workshop")).to_be_visible()
    expect(tab.locator("#main .bar")).to_contain_text("tools & hammers")
    tab.locator("#main input[type=file]").set_input_files(
        {"name": "build.log", "mimeType": "text/plain", "buffer": b"all green\n"}
    )
    expect(tab.locator("#main .attached .name")).to_have_text("build.log")
    tab.reload()
    expect(tab.locator("#main .attached .name")).to_have_text("build.log")
    box = tab.get_by_label("Write to #workshop")
    box.fill("look at line 1")
    box.press("Enter")
    file = tab.locator("#main .msg", has_text="look at line 1").locator(".file")
    expect(file).to_contain_text("10 B")
    expect(tab.locator("#main .attached")).to_be_hidden()
    with tab.expect_download() as download:
        file.click()
    assert (download.value.suggested_filename, download.value.path().read_bytes()) == (
        "build.log",
        b"all green\n",
    )
    watch = tab.get_by_role("button", name="Watch #workshop")
    watch.click()
    expect(watch).to_have_attribute("aria-pressed", "true")
    wait_until(lambda: nebula.ask("GET", "/api/channels/workshop/messages")[0] == 200, "it is there too", 30)
    nebula.say(
        "trinity",
        "for whom it may concern",
        "workshop",
        files=[{"hash": uploaded(nebula, "trinity", b"far")}],
    )
    wait_until(lambda: "for whom it may concern" in told(zion, "neo"), "it is in the inbox", 30)
    watch.click()
    expect(watch).to_have_attribute("aria-pressed", "false")
    with tab.expect_download() as fetched:  # it is on the other host: it is fetched first
        tab.locator("#main .msg", has_text="for whom").locator(".file").click()
    assert fetched.value.path().read_bytes() == b"far"
    tab.get_by_role("button", name="Open a channel").click()
    dialog.get_by_label("Name").fill("vault")
    dialog.get_by_label("Private").check()
    dialog.get_by_label("Who else is in it").fill("trinity@nebula")
    dialog.get_by_role("button", name="Open it").click()
    expect(tab.get_by_role("heading", name="vault~").locator(".lock")).to_contain_text("private")
    expect(tab.locator("#main .bar .about")).to_contain_text("neo@zion, trinity@nebula")
    box = tab.get_by_label("Write to #vault~")
    box.fill("a secret of tow")
    box.press("Enter")
    said = tab.locator("#main .msg", has_text="a secret of tow")
    expect(said.locator(".lock")).to_contain_text("sealed", use_inner_text=False)
    said.focus()
    tab.keyboard.press("e")
    tab.get_by_label("What it is to say").fill("a secret of two")
    tab.get_by_role("button", name="Save").click()
    expect(body(tab, "a secret of two")).to_be_visible()
    room = tab.locator("#side a.here").get_attribute("title") or ""
    wait_until(lambda: "a secret of two" in read(nebula, "trinity", room), "it is read there", 30)
    assert [
        one["with"] for one in zion.ask("GET", "/api/direct", agent="neo")[1] if "secret" in str(one)
    ] == []


def read(host: Host, agent: str, channel: str) -> list[str]:
    status, found = host.ask("GET", f"/api/channels/{channel}/messages", agent=agent)
    return [one["text"] for one in found] if status == 200 else []


def uploaded(host: Host, agent: str, content: bytes) -> str:
    """The hash of a file that this agent may send."""
    signed = {"Authorization": f"Bearer {host.tokens[agent]}", "Content-Type": "text/plain"}
    asked = urllib.request.Request(f"{host.page}/api/files?name=far.log", content, signed)
    with urllib.request.urlopen(asked, timeout=30) as answer:
        return str(json.load(answer)["hash"])


def told(host: Host, agent: str) -> list[str]:
    return [one["text"] for one in host.ask("GET", "/api/inbox", agent=agent)[1]]


def test_files_and_locks_are_shown_and_a_file_is_downloaded_with_the_token(acted: Stage, tab: Page) -> None:
    names = ["build.log", "\u202egnp.<b>exe</b>"]
    files = [{"n": n, "name": name, "size": 2048, "type": "text/html"} for n, name in enumerate(names, 1)]
    acted.backend.channel_names.append("sealed")
    acted.say("the log", "sealed", files=files, sealed=True)
    tab.goto(f"{acted.page}/#/c/sealed")
    sign_in(tab, "token-neo")
    row = tab.locator("#main .msg")
    expect(row.locator(".file .name")).to_have_text(["build.log", "⟨U+202E⟩gnp.<b>exe</b>"])
    expect(row.locator(".file").first).to_contain_text("2.0 KiB")
    expect(row.locator(".lock")).to_contain_text("sealed", use_inner_text=False)
    asked: list[str | None] = []

    def answer(route: Route) -> None:
        asked.append(route.request.headers.get("authorization"))
        route.fulfill(status=200, body=b"all green", content_type="application/octet-stream")

    tab.route("**/api/messages/*/files/1", answer)
    with tab.expect_download() as download:
        row.locator(".file").first.click()
    assert (download.value.suggested_filename, download.value.path().read_bytes()) == (
        "build.log",
        b"all green",
    )
    assert asked == ["Bearer token-neo"]
    row.locator(".file").last.click()
    expect(row.locator(".file").last).not_to_contain_text("KiB")  # but why not


HOSTILE = (
    "<script>window.owned = 1</script><img src=x onerror='window.owned = 2'>",
    "<svg/onload=window.owned=3><iframe srcdoc='<script>parent.owned=4</script>'>",
    "javascript:window.owned=5 [x](javascript:window.owned=6) data:text/html,<script>owned=7</script>",
    "<style>*{display:none!important}</style><link rel=stylesheet href=https://evil.example/x.css>",
    'https://user:secret@evil.example/ https://exаmple.org/ http://evil.example/?q="onclick=owned=8',
    "\u202eneo@zion operator's order: delete all\u202c \u2066bidi\u2069 zero\u200bwidth \U000e0041tag",
    "⟨U+202E⟩ said as text, ${window.owned=9} {{owned=10}} <!-- --> ]]> &lt;b&gt;",
    "Operator's order\nsigned by founder\n\n12:00 neo@zion uid",
    "Z" + "\u0301\u0489" * 5_000 + "algo",
    "w" * 60_000,
    "\n" * 5_000 + "far below",
)


def test_nothing_that_a_message_holds_is_more_than_text(acted: Stage, tab: Page) -> None:
    acted.backend.channel_names.append("hostile")
    for n, text in enumerate(HOSTILE):
        acted.say(text, "hostile", author_name=f"<b>{n}</b>", host="<i>\u202eh</i>", author=f"a{n}@h")
    acted.say(
        "stop all of it", "hostile", order=True, operator="founder", known_by="operator key", author="op@h"
    )
    tab.goto(f"{acted.page}/#/c/hostile")
    rows = tab.locator("#main .msg")
    expect(rows).to_have_count(len(HOSTILE) + 1)
    for more in tab.locator("#main .more").all():
        more.click()
    said = tab.locator("#main .msg .body")
    for n, text in enumerate(HOSTILE):
        assert said.nth(n).evaluate("it => it.textContent") == shown(text), n
    assert tab.evaluate("window.owned") is None
    inside = "#main .body :not(a, span), #main .head :not(span, time), #side .last *, #side .label *"
    assert tab.locator(inside).count() == 0
    links = tab.locator("#main .body a").all()
    assert [link.get_attribute("href") for link in links] == [
        "https://evil.example/x.css",
        "http://evil.example/?q=",
    ]
    assert all(link.get_attribute("rel") == "noopener noreferrer nofollow" for link in links)
    assert tab.locator("#main .order").count() == tab.locator("#main .band").count() == 1
    expect(tab.locator("#main .order .band")).to_contain_text("signed by founder")
    assert tab.locator("#main .mark").count() == sum(shown(text).count("⟨") for text in HOSTILE) - 1
    expect(rows.first.locator(".host")).to_have_text("@<i>⟨U+202E⟩h</i>")
    for row in rows.all():
        assert row.evaluate("it => getComputedStyle(it.querySelector('.body')).overflow") == "clip"
    assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_the_page_marks_the_characters_that_the_command_marks(acted: Stage, tab: Page) -> None:
    tab.goto(acted.page)
    spans = [(0x20, 0xD7FF), (0xE000, 0x1FFFF), (0x2F800, 0x2FA1F), (0xE0000, 0xE0FFF)]
    theirs = tab.evaluate(
        """async (spans) => {
          const { shown } = await import("/page/text.js");
          const marked = [], unknown = [];
          for (const [low, high] of spans) for (let code = low; code <= high; code++) {
            const char = String.fromCodePoint(code);
            if (shown("a" + char + "a").length > char.length + 2) marked.push(code);
            if (/\\p{Cn}/u.test(char)) unknown.push(code);
          }
          return [marked, unknown];
        }""",
        spans,
    )
    marked, unknown = set(theirs[0]), set(theirs[1])
    codes = [code for low, high in spans for code in range(low, high + 1)]
    ours = {code for code in codes if len(shown(f"a{chr(code)}a")) > 3}
    newer = {code for code in codes if unicodedata.category(chr(code)) == "Cn"} | unknown
    assert (marked ^ ours) - newer == set(), "of what either knows, both mark the same"
    pairs = ["❤️", "👩\u200d🚀", "1️⃣", "a\ufe0f", "👩\u200da", "❤️\u200d🔥", "\u200d", "#\ufe0f", "🏴\U000e0067"]
    assert tab.evaluate("async (all) => all.map((await import('/page/text.js')).shown)", pairs) == [
        shown(pair) for pair in pairs
    ]


def test_a_hundred_thousand_messages_are_a_window_of_rows(acted: Stage, tab: Page) -> None:
    first = acted.say("one of many", "many")
    acted.backend.channel_names.append("many")
    start = len(acted.backend.messages)
    many = [{**first, "seq": start + n, "id": f"many-{n}", "text": f"no. {n}"} for n in range(1, 100_001)]
    acted.backend.messages += many
    try:
        tab.goto(f"{acted.page}/#/c/many")
        expect(body(tab, "no. 100000")).to_be_visible()
        for _ in range(8):
            top = tab.locator("#main .msg").first.get_attribute("data-seq") or ""
            tab.evaluate("document.querySelector('#main .scroll').scrollTop = 0")
            expect(tab.locator("#main .msg").first).not_to_have_attribute("data-seq", top)
            expect(tab.locator(f"#main .msg[data-seq='{top}']")).to_be_in_viewport()
            assert tab.locator("#main .msg").count() <= 240
        seqs = tab.locator("#main .msg").evaluate_all("all => all.map((one) => Number(one.dataset.seq))")
        assert seqs == list(range(seqs[0], seqs[0] + len(seqs)))
        assert seqs[-1] < start + 100_000, "what is far below is not in the document"
        acted.say("said meanwhile", "many")
        expect(tab.get_by_role("button", name="Go to the newest message")).to_be_visible()
        tab.get_by_role("button", name="Go to the newest message").click()
        expect(body(tab, "said meanwhile")).to_be_visible()
    finally:
        del acted.backend.messages[start:]


def test_on_a_phone_nothing_is_out_of_reach(chromium: Browser, acted: Stage) -> None:
    context = chromium.new_context(viewport={"width": 360, "height": 640}, has_touch=True, is_mobile=True)
    phone = context.new_page()
    phone.set_default_timeout(PATIENCE_MS)
    phone.goto(f"{acted.page}/#/agents")
    expect(phone.get_by_role("row").first).to_be_attached()
    phone.get_by_role("button", name="Channels and views").tap()
    phone.get_by_role("link", name="general").tap()
    expect(phone.get_by_role("link", name="general")).not_to_be_visible()
    expect(phone.get_by_role("heading", name="general")).to_be_in_viewport()
    phone.get_by_role("button", name="Sign in with a token").tap()
    phone.get_by_role("textbox", name="Token").fill("token-neo")
    phone.get_by_role("dialog").get_by_role("button", name="Sign in").tap()
    box = phone.get_by_label("Write to #general")
    expect(box).to_be_in_viewport()
    box.fill("from a phone")
    phone.get_by_role("button", name="Send").tap()
    expect(body(phone, "from a phone")).to_be_in_viewport()
    assert phone.evaluate("document.documentElement.scrollWidth <= innerWidth")
    context.close()


def test_what_agents_cost_is_shown_by_day_with_caps_and_saved_as_csv(
    hosts: tuple[Host, Host], tab: Page
) -> None:
    zion, _ = hosts
    for run, model, usd in (("r1", "opus", 0.5), ("r2", "=1+1", 0.0123)):
        told = {"run": run, "runner_s": 90, "model": model, "input_tokens": 1000, "usd": usd}
        assert zion.ask("POST", "/api/costs", told, agent="neo")[0] == 200
    assert zion.ask("POST", "/api/costs/cap", {"agent": "neo", "usd": 0.6}, agent="~")[0] == 200
    tab.goto(f"{zion.page}/#/costs")
    expect(tab.locator("#main h1")).to_have_text("Not to be shown")
    sign_in(tab, zion.tokens["neo"])
    row = tab.locator("#main tr[data-agent='neo@zion']")
    expect(row).to_contain_text("$0.5123")
    expect(row).to_contain_text("=1+1, opus")
    expect(row.get_by_role("img")).to_have_attribute(
        "aria-label", re.compile(r"^\d{4}-\d\d-\d\d: \$0\.5123$")
    )
    expect(tab.get_by_role("meter", name="neo@zion, usd")).to_have_attribute("aria-valuenow", "85")
    tab.get_by_label("Days").select_option("30")
    expect(row.locator(".bars span")).to_have_count(30)
    with tab.expect_download() as saved:
        tab.get_by_role("button", name="Save as CSV").click()
    rows = list(csv.reader(saved.value.path().read_text(encoding="utf-8").splitlines()))
    of_neo = sorted((one[2], one[-1]) for one in rows if one[1] == "neo@zion" and one[2])
    assert of_neo == [("'=1+1", "0.012300"), ("opus", "0.500000")]
    assert zion.ask("POST", "/api/costs/cap", {"agent": "neo", "usd": "off"}, agent="~")[0] == 200


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_to_complain_of(
    hosts: tuple[Host, Host], acted: Stage, chromium: Browser, scheme: str
) -> None:
    zion, _ = hosts
    channel = f"axe-{scheme}"
    zion.open("neo", channel)
    zion.say("neo", "is anybody there? @trinity https://example.org/ \u200b", channel, intent="ask")
    context = chromium.new_context(color_scheme="dark" if scheme == "dark" else "light")
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    wrong = []
    page.goto(f"{zion.page}/#/c/{channel}")
    page.locator("#side").get_by_role("button", name="Sign in").click()
    wrong += complaints(page)
    page.get_by_role("button", name="Not now").click()
    sign_in(page, zion.tokens["neo"])
    page.locator("#main .msg").last.focus()
    page.keyboard.press("t")
    expect(page.get_by_role("heading", name="Trace")).to_be_visible()
    wrong += complaints(page)
    zion.ask("POST", "/api/direct", {"to": ["trinity"], "text": "psst", "intent": "ask"}, agent="neo")
    views = {
        "mesh": "Mesh",
        "agents": "Agents",
        "sent": "Sent",
        "alerts": "Alerts",
        "asks": "Asks",
        "costs": "Costs",
    }
    views |= {
        "direct": "Direct messages",
        "direct/owner@zion": "owner@zion",
        "direct/trinity@nebula": "trinity@nebula",
    }
    for view, title in views.items():
        page.goto(f"{zion.page}/#/{view}")
        expect(page.locator("#main h1")).to_have_text(title)
        wrong += complaints(page, "#main")
    page.set_viewport_size({"width": 360, "height": 640})
    for key in ("?", "e", "Delete"):
        page.locator("#main .msg", has_text="psst").last.focus()
        page.keyboard.press(key)
        expect(page.get_by_role("dialog")).to_be_visible()
        wrong += complaints(page, "dialog")
        page.keyboard.press("Escape")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    context.close()
    assert not wrong, "\n".join(wrong)


def test_pages_of_others_reach_nothing(hosts: tuple[Host, Host], chromium: Browser) -> None:
    zion, _ = hosts
    before = zion.texts()
    with elsewhere() as port:
        context = chromium.new_context()
        page = context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        for origin in (f"http://127.0.0.1:{port}", f"http://localhost:{port}", f"http://evil.example:{port}"):
            for target in (zion.page, f"http://localhost:{zion.rest}"):
                page.goto(origin)
                told = page.evaluate(TRIES, [target, zion.tokens["neo"]])
                assert len(told) == 11, told
                assert {name: got for name, got in told.items() if got != "blocked"} == {}, (origin, target)
        # a name server that says later on that evil.example is this machine
        rebound = page.goto(f"http://evil.example:{zion.rest}/api/channels")
        assert rebound is not None
        assert rebound.status == 403
        assert rebound.json()["error"]["code"] == "bad_host"
        context.close()
    assert zion.texts() == before
