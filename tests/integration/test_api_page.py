"""The page's files, under which rules a browser runs them, and the ticket with which it comes to the stream."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

import maw
from maw.api.tickets import MAX_TICKETS, TICKET_S, Tickets
from maw.errors import NotSignedIn
from tests.browser.tables import tables
from tests.unit.api.house import House, opened

FOLDER = Path(maw.__file__).parent / "page"


@pytest.fixture
async def house() -> AsyncIterator[House]:
    async with opened() as made:
        yield made


async def test_the_page_comes_under_strict_rules_also_where_nobody_reads_without_a_token() -> None:
    async with opened(anonymous=False) as house:
        answer = await house.caller("rest")("GET", "/")
        assert answer.status == 200
        assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
        rules = dict(part.split(" ", 1) for part in answer.headers["Content-Security-Policy"].split("; "))
        assert rules["default-src"] == "'none'"
        assert rules["script-src"] == rules["style-src"] == rules["connect-src"] == "'self'"
        assert rules["frame-ancestors"] == rules["base-uri"] == rules["form-action"] == "'none'"
        assert rules["require-trusted-types-for"] == "'script'"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Referrer-Policy"] == "no-referrer"


async def test_every_file_that_the_page_names_is_there_and_nothing_else_is(house: House) -> None:
    rest = house.caller("rest")
    front = (await rest("GET", "/")).text
    named = set(re.findall(r'(?:src|href)="/page/([^"]+)"', front))
    there = {path.name for path in FOLDER.iterdir()}
    assert named == there - {"index.html"}, "each is asked for at once, not one after the other"
    for name in sorted(there):
        answer = await rest("GET", f"/page/{name}")
        assert answer.status == 200, name
        assert answer.text == (FOLDER / name).read_text(encoding="utf-8")
    for name in ("none.js", "..%2Fconfig.py", "%2Fetc%2Fpasswd", "main.js%00", ""):
        assert (await rest("GET", f"/page/{name}")).status in (400, 404), name


async def test_what_the_browser_has_is_not_sent_again(house: House) -> None:
    rest = house.caller("rest")
    tag = (await rest("GET", "/page/main.js")).headers["ETag"]
    again = await rest("GET", "/page/main.js", headers={"If-None-Match": f'"old", {tag}'})
    assert (again.status, again.text) == (304, "")
    assert (await rest("GET", "/page/main.js", headers={"If-None-Match": '"old"'})).status == 200


@pytest.mark.parametrize("path", sorted(path.name for path in FOLDER.glob("*.js")))
def test_no_script_of_ours_makes_markup_or_asks_elsewhere(path: str) -> None:
    code = (FOLDER / path).read_text(encoding="utf-8")
    for word in (
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
        "new Function",
        ".srcdoc",
    ):
        assert word not in code, word
    assert set(re.findall(r'"(https?://[^"]*)"', code)) <= {"http://www.w3.org/2000/svg"}


def test_the_pages_tables_are_those_of_the_command() -> None:
    there = (FOLDER / "tables.js").read_text(encoding="utf-8")
    assert there == tables(), "python -m tests.browser.tables > maw/page/tables.js"


async def connect(house: House, *protocols: str) -> aiohttp.ClientWebSocketResponse:
    rest = house.caller("rest")
    return await rest.session.ws_connect(f"{rest.base}/api/stream?after_seq=0", protocols=protocols)


async def test_a_ticket_is_good_once_and_speaks_as_its_buyer(house: House) -> None:
    direct = await house.backend.say("for neo alone", channel=None, to=["neo@oracle-world"])
    bought = (await house.caller("rest", "neo")("POST", "/api/stream/ticket")).json
    assert bought["expires_in_s"] == TICKET_S
    stream = await connect(house, "maw", f"maw.ticket.{bought['ticket']}")
    assert stream.protocol == "maw"
    seen = [(await stream.receive_json()).get("message", {}).get("id") for _ in range(direct["seq"])]
    assert direct["id"] in seen
    await stream.close()
    for protocols in (["maw", f"maw.ticket.{bought['ticket']}"], ["maw", "maw.ticket."]):
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await connect(house, *protocols)
        assert refused.value.status == 401


async def test_a_ticket_takes_a_token(house: House) -> None:
    assert (await house.caller("rest", None)("POST", "/api/stream/ticket")).status == 401
    answer = await house.caller("socket", "neo")("POST", "/api/stream/ticket")
    assert (answer.status, answer.code) == (400, "no_token")


def test_tickets_run_out_and_are_bounded() -> None:
    now = 0.0
    tickets = Tickets(lambda: now)
    old = tickets.give("token")
    now = TICKET_S + 1
    with pytest.raises(NotSignedIn):
        tickets.token(old, None)  # type: ignore[arg-type]
    for _ in range(MAX_TICKETS + 5):
        tickets.give("token")
    assert len(tickets) == MAX_TICKETS


async def test_a_proxys_name_is_answered_whole_and_its_page_over_tls() -> None:
    async with opened(hosts=("maw.example.org",)) as house:
        rest = house.caller("rest")

        async def asked(host: str, origin: str | None = None) -> int:
            headers = {"Host": host} | ({"Origin": origin} if origin else {})
            return (await rest("GET", "/api/channels", headers=headers)).status

        assert await asked("maw.example.org", "https://maw.example.org") == 200
        assert await asked("maw.example.org:8443", "https://maw.example.org:8443") == 200
        assert await asked("maw.example.org", "https://evil.example.org") == 403
        assert await asked("evil.maw.example.org") == 403
        assert await asked("example.org") == 403
        assert await asked("localhost:6291", "https://localhost:6291") == 403


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
async def test_what_a_page_of_another_site_includes_is_refused(house: House, site: str) -> None:
    rest = house.caller("rest")
    for path in ("/", "/page/main.js", "/api/channels"):
        for mode, dest in (("no-cors", "script"), ("navigate", "iframe"), ("cors", "empty")):
            headers = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": mode, "Sec-Fetch-Dest": dest}
            answer = await rest("GET", path, headers=headers)
            assert (answer.status, answer.code) == (403, "bad_origin"), (path, mode)
    followed = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    assert (await rest("GET", "/", headers=followed)).status == 200
    assert (await rest("POST", "/api/stream/ticket", headers=followed)).status == 403
