"""Who may do what at which door."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator

import pytest

from maw.api.app import ROUTES
from maw.api.routes import Access
from tests.unit.api.house import Answer, House, new_backend, opened


@pytest.fixture
async def house() -> AsyncIterator[House]:
    async with opened() as house:
        await house.backend.say("in public @neo")
        await house.backend.say("for arthur @neo", channel=None, to=["arthur@oracle-world"])
        yield house


def real(path: str) -> str:
    return path.replace("{name}", "general").replace("{id}", "1").replace("{n}", "1")


def let_in(answer: Answer) -> bool:
    """Whatever the answer is, the door was open: 400 to posts without a body, and message 1 is nobody's order."""
    return answer.status in (200, 201, 400) or (answer.status, answer.code) in (
        (404, "not_found"),
        (404, "not_in_roster"),
        (404, "no_such_agent"),
        (404, "no_such_channel"),
    )


PLAIN = [route for route in ROUTES if route.path != "/api/stream"]


@pytest.mark.parametrize("route", PLAIN, ids=lambda route: route.name)
async def test_rest_without_a_token(house: House, route: object) -> None:
    assert isinstance(route, type(ROUTES[0]))
    asked = {"/api/mentions": "?user=neo", "/api/search": "?q=neo"}
    path = real(route.path) + asked.get(route.path, "")
    answer = await house.caller("rest", None)(route.method, path)
    if route.access in (Access.OPEN, Access.PUBLIC):
        assert answer.status == 200, answer.text
    elif route.access in (Access.ADMIN, Access.LOCAL):
        assert (answer.status, answer.code) == (403, "socket_only")
        assert "maw command" in answer.json["error"]["hint"]
    else:
        assert (answer.status, answer.code) == (401, "not_signed_in")
        assert answer.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("route", PLAIN, ids=lambda route: route.name)
async def test_rest_with_anonymous_off(route: object) -> None:
    assert isinstance(route, type(ROUTES[0]))
    async with opened(anonymous=False) as house:
        answer = await house.caller("rest", None)(route.method, real(route.path))
        if route.access is Access.OPEN:
            assert answer.status == 200
        else:
            assert answer.status == (403 if route.access in (Access.ADMIN, Access.LOCAL) else 401), (
                answer.text
            )
        assert (await house.caller("rest")("GET", "/api/channels")).status == 200


@pytest.mark.parametrize("route", PLAIN, ids=lambda route: route.name)
async def test_rest_with_a_token_does_all_but_administration(house: House, route: object) -> None:
    assert isinstance(route, type(ROUTES[0]))
    answer = await house.caller("rest")(route.method, real(route.path))
    if route.access in (Access.ADMIN, Access.LOCAL):
        assert (answer.status, answer.code) == (403, "socket_only")
    else:
        assert let_in(answer), answer.text


@pytest.mark.parametrize("route", PLAIN, ids=lambda route: route.name)
async def test_the_socket_for_a_user_who_does_not_administer(route: object) -> None:
    assert isinstance(route, type(ROUTES[0]))
    backend = new_backend()
    backend.admin_uid = os.getuid() + 1
    async with opened(backend) as house:
        await backend.say("x")
        answer = await house.caller("socket")(route.method, real(route.path))
        if route.access is Access.ADMIN:
            assert (answer.status, answer.code) == (403, "not_admin")
        else:
            assert let_in(answer), answer.text


@pytest.mark.parametrize("route", PLAIN, ids=lambda route: route.name)
async def test_the_socket_without_an_agent_reads_but_does_not_speak(house: House, route: object) -> None:
    assert isinstance(route, type(ROUTES[0]))
    answer = await house.caller("socket", None)(route.method, real(route.path))
    if route.access is Access.AGENT:
        assert (answer.status, answer.code) == (400, "no_agent")
        assert "X-Maw-Agent" in answer.json["error"]["hint"]
    else:
        assert answer.code != "no_agent" if answer.status >= 400 else True


async def test_only_who_says_so_is_the_human(house: House) -> None:
    """A program that leaves the header out reads public things; it is not taken for its uid's ape."""
    silent = house.caller("socket", None)
    assert (await silent("GET", "/api/whoami")).json["agent"] is None
    assert (await silent("POST", "/api/direct", {"to": "@neo", "text": "x"})).code == "no_agent"
    human = await silent("GET", "/api/whoami", headers={"X-Maw-Agent": "~"})
    assert human.json["agent"] == "arthur@oracle-world"
    assert (await house.caller("rest", None)("GET", "/api/inbox", headers={"X-Maw-Agent": "~"})).status == 401


async def test_direct_messages_are_for_those_they_are_for(house: House) -> None:
    paths = ["/api/messages/2", "/api/mentions?user=neo&after_seq=1"]
    for caller in (house.caller("rest", None), house.caller("rest", "neo"), house.caller("socket", "neo")):
        assert (await caller("GET", paths[0])).status == 404
        assert (await caller("GET", paths[1])).json == []
    for caller in (house.caller("rest", "arthur"), house.caller("socket", "arthur")):
        assert (await caller("GET", paths[0])).json["text"] == "for arthur @neo"
        assert len((await caller("GET", paths[1])).json) == 1


async def test_another_users_agent_and_an_unknown_one(house: House) -> None:
    caller = house.caller("socket", "smith")
    refused = await caller("POST", "/api/channels/general/messages", {"text": "x"})
    assert (refused.status, refused.code) == (403, "not_your_agent")
    unknown = await house.caller("socket", "morpheus")("GET", "/api/inbox")
    assert (unknown.status, unknown.code) == (404, "no_such_agent")


@pytest.mark.parametrize("named", ["neo", "NEO", "neo@oracle-world", "neo@ORACLE-World"])
async def test_the_agent_header_is_folded(house: House, named: str) -> None:
    answer = await house.caller("socket", named)("GET", "/api/whoami")
    assert answer.json["agent"] == "neo@oracle-world"


@pytest.mark.parametrize(
    ("named", "code"),
    [
        ("neo@mbp", "bad_agent"),
        ("", "bad_name"),
        ("n e o", "bad_name"),
        ("../x", "bad_name"),
        ("x" * 33, "bad_name"),
    ],
)
async def test_an_impossible_agent_header_is_refused(house: House, named: str, code: str) -> None:
    answer = await house.caller("socket", named)("GET", "/api/whoami")
    assert (answer.status, answer.code) == (400, code)


@pytest.mark.parametrize(
    "authorization",
    ["Bearer", "Bearer ", "Bearer wrong", "Basic bmVvOng=", "token-neo", "Bearer " + "x" * 300],
)
async def test_a_bad_token_is_401_even_where_nobody_needs_one(house: House, authorization: str) -> None:
    answer = await house.caller("rest", None)(
        "GET", "/api/channels", headers={"Authorization": authorization}
    )
    assert (answer.status, answer.code) == (401, "not_signed_in")


async def test_rest_does_not_believe_the_agent_header(house: House) -> None:
    nobody = house.caller("rest", None)
    assert (await nobody("GET", "/api/inbox", headers={"X-Maw-Agent": "neo"})).status == 401
    neo = house.caller("rest", "neo")
    other = await neo("GET", "/api/inbox", headers={"X-Maw-Agent": "arthur"})
    assert (other.status, other.code) == (403, "wrong_agent")
    assert (await neo("GET", "/api/inbox", headers={"X-Maw-Agent": "neo"})).status == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:6291", "127.0.0.1.evil.example", "[::2]:6291", "", "localhost.:1"]
)
async def test_a_foreign_host_header_is_refused_everywhere(house: House, host: str) -> None:
    for path in ("/healthz", "/api/channels", "/nowhere"):
        answer = await house.caller("rest")("GET", path, headers={"Host": host})
        assert (answer.status, answer.code) == (403, "bad_host"), (path, answer.text)


@pytest.mark.parametrize("host", ["localhost", "LocalHost:9999", "127.0.0.1:1", "[::1]:6291"])
async def test_names_of_loopback_are_answered_also_through_a_tunnel(house: House, host: str) -> None:
    assert (await house.caller("rest")("GET", "/api/channels", headers={"Host": host})).status == 200


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "https://localhost:6291", "http://localhost:6292", ""]
)
async def test_a_foreign_origin_is_refused(house: House, origin: str) -> None:
    headers = {"Host": "localhost:6291", "Origin": origin}
    answer = await house.caller("rest")(
        "POST", "/api/channels/general/messages", {"text": "x"}, headers=headers
    )
    assert (answer.status, answer.code) == (403, "bad_origin")
    assert len(house.backend.messages) == 2


async def test_the_own_origin_is_answered(house: House) -> None:
    headers = {"Host": "localhost:6291", "Origin": "http://localhost:6291"}
    assert (await house.caller("rest")("GET", "/api/channels", headers=headers)).status == 200
