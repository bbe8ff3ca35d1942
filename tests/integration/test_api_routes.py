"""Every route, through both doors: the answers are the same, and as openapi.json says."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.unit.api.house import DOORS, Answer, House, opened
from tests.unit.api.shapes import misfits

ROUTES = {
    "GET /api/whoami",
    "GET /api/status",
    "GET /api/peers",
    "GET /api/users",
    "POST /api/users",
    "POST /api/births",
    "POST /api/users/{name}",
    "POST /api/pulse",
    "POST /api/costs",
    "GET /api/costs",
    "POST /api/costs/resume",
    "POST /api/costs/cap",
    "DELETE /api/users/{name}",
    "POST /api/users/{name}/token",
    "GET /api/channels",
    "POST /api/channels",
    "POST /api/channels/{name}",
    "POST /api/channels/{name}/watch",
    "POST /api/channels/{name}/retention",
    "POST /api/channels/{name}/members",
    "POST /api/channels/{name}/leave",
    "GET /api/channels/{name}/messages",
    "POST /api/channels/{name}/messages",
    "GET /api/mentions",
    "GET /api/search",
    "GET /api/inbox",
    "GET /api/sent",
    "GET /api/messages/{id}",
    "GET /api/messages/{id}/trace",
    "GET /api/messages/{id}/thread",
    "GET /api/messages/{id}/history",
    "GET /api/messages/{id}/files",
    "GET /api/messages/{id}/files/{n}",
    "POST /api/messages/{id}/files/{n}/fetch",
    "POST /api/files",
    "POST /api/messages/{id}/edit",
    "GET /api/asks",
    "GET /api/audit",
    "GET /api/audit/entries",
    "GET /api/audit/refusals",
    "POST /api/direct",
    "POST /api/redact",
    "POST /api/read",
    "GET /api/host",
    "POST /api/host/pause",
    "POST /api/host/resume",
    "POST /api/host/report",
    "GET /api/moves",
    "POST /api/moves",
    "POST /api/moves/{id}",
    "POST /api/moves/{id}/hand-over",
    "GET /api/moves/{id}/home",
    "GET /api/wakes",
    "POST /api/wakes/release",
    "POST /api/dnd",
    "POST /api/hear",
    "POST /api/heard",
    "POST /api/ack",
    "GET /api/stream",
    "GET /api/direct",
    "GET /api/direct/messages",
    "POST /api/stream/ticket",
    "POST /api/invites",
    "GET /api/statements",
    "POST /api/statements",
    "POST /api/statements/draft",
    "GET /api/operators",
    "POST /api/orders/draft",
    "GET /api/orders",
    "GET /api/orders/{id}",
    "POST /api/peers/revoke",
    "GET /api/invites",
    "DELETE /api/invites/{id}",
    "POST /api/alerts/dismiss",
    "POST /api/join",
    "POST /api/mend",
    "POST /api/peers/reload",
    "POST /api/peers/forget",
    "POST /api/peers/accept",
    "GET /api/souls/{agent}",
    "GET /api/souls/{agent}/history",
    "POST /api/souls",
    "GET /api/policy",
    "POST /api/trouble",
    "POST /api/dream",
    "GET /api/policy/status",
    "GET /api/roster",
    "POST /api/roster/{name}",
    "DELETE /api/roster/{name}",
    "POST /api/roster/{name}/report",
    "POST /api/keeper",
    "POST /api/session",
    "GET /healthz",
    "GET /metrics",
    "GET /openapi.json",
}


@pytest.fixture
async def house() -> AsyncIterator[House]:
    async with opened() as house:
        await house.backend.say("hello @neo")
        await house.backend.say("for you alone", channel=None, to=["neo@oracle-world"])
        await house.backend.say("hello all")
        yield house


READS = [
    ("/api/whoami", "/api/whoami"),
    ("/api/status", "/api/status"),
    ("/api/peers", "/api/peers"),
    ("/api/users", "/api/users"),
    ("/api/channels", "/api/channels"),
    ("/api/channels/{name}/messages", "/api/channels/general/messages"),
    ("/api/mentions", "/api/mentions?user=neo&after_seq=0"),
    ("/api/search", "/api/search?q=hello&order=new"),
    ("/api/inbox", "/api/inbox"),
    ("/api/sent", "/api/sent?limit=3"),
    ("/api/wakes", "/api/wakes?agent=neo"),
    ("/api/statements", "/api/statements"),
    ("/api/operators", "/api/operators"),
    ("/api/souls/{agent}", "/api/souls/neo"),
    ("/api/policy", "/api/policy?version=1"),
    ("/api/policy/status", "/api/policy/status?grace_s=60"),
    ("/api/souls/{agent}/history", "/api/souls/neo/history"),
    ("/api/messages/{id}", "/api/messages/2"),
    ("/api/messages/{id}/thread", "/api/messages/2/thread"),
    ("/api/messages/{id}/history", "/api/messages/2/history"),
    ("/api/costs", "/api/costs?since=2026-11-01&scope=colony"),
    ("/healthz", "/healthz"),
    ("/openapi.json", "/openapi.json"),
]
WRITES: list[tuple[str, str, object]] = [
    ("/api/channels", "/api/channels", {"name": "Fire", "about": "what burns"}),
    ("/api/channels/{name}", "/api/channels/general", {"about": "everything", "archived": False}),
    ("/api/channels/{name}/watch", "/api/channels/general/watch", {"wakes": True}),
    ("/api/channels/{name}/messages", "/api/channels/general/messages", {"text": "smoke", "reply_to": 1}),
    ("/api/direct", "/api/direct", {"to": "@arthur", "text": "psst"}),
    ("/api/ack", "/api/ack", {"ids": [1, "k7q2mx-1n3f9zq-2", "none-such"]}),
    ("/api/hear", "/api/hear", {"via": "hook", "wake": False, "wait": 0.1, "session": "s", "limit": 3}),
    ("/api/heard", "/api/heard", {"claim": "2"}),
    ("/api/wakes/release", "/api/wakes/release", {"agent": "neo"}),
    ("/api/dnd", "/api/dnd", {"quiet": "22:00-07:00"}),
    ("/api/redact", "/api/redact", {"ids": [1], "reason": "a secret"}),
    ("/api/channels/{name}/retention", "/api/channels/general/retention", {"days": 7}),
    ("/api/pulse", "/api/pulse", {}),
    ("/api/dream", "/api/dream", {}),
    ("/api/trouble", "/api/trouble", {"kind": "soul", "text": "it is empty"}),
    ("/api/costs", "/api/costs", {"run": "r1", "kind": "pulse", "runner_s": 1.25, "usd": 0.0123}),
    ("/api/souls", "/api/souls", {"text": "# I am neo\n", "before": "00"}),
    ("/api/users/{name}", "/api/users/neo", {"about": "the one", "pulse_s": 60, "roles": ["reviewer"]}),
    ("/api/session", "/api/session", {"session": "1f2e-33", "pid": 17, "transcript": "/x/1f2e-33.jsonl"}),
]
ADMIN: list[tuple[str, str, str, object]] = [
    ("POST", "/api/users", "/api/users", {"username": "Trinity", "role": "ape"}),
    ("GET", "/api/moves", "/api/moves", None),
    ("POST", "/api/moves", "/api/moves", {"agent": "neo", "host": "pi"}),
    ("POST", "/api/moves/{id}", "/api/moves/0a1b", {"do": "accept", "home": "/srv/neo"}),
    ("POST", "/api/moves/{id}/hand-over", "/api/moves/0a1b/hand-over", None),
    ("POST", "/api/births", "/api/births", {"name": "scout", "host": "vault"}),
    ("POST", "/api/users/{name}/token", "/api/users/arthur/token", None),
    ("DELETE", "/api/users/{name}", "/api/users/arthur", None),
    ("POST", "/api/invites", "/api/invites", {"uses": 2, "for": "mk1x", "confirm": True}),
    ("GET", "/api/invites", "/api/invites", None),
    ("POST", "/api/statements", "/api/statements", {"wire": "AAAA"}),
    (
        "POST",
        "/api/statements/draft",
        "/api/statements/draft",
        {"type": "freeze", "issuer": "mk1x", "who": "all"},
    ),
    ("POST", "/api/peers/revoke", "/api/peers/revoke", {"who": "mbp", "why": "stolen"}),
    ("DELETE", "/api/invites/{id}", "/api/invites/0a1b", None),
    ("POST", "/api/alerts/dismiss", "/api/alerts/dismiss", {"kind": "fork"}),
    ("POST", "/api/join", "/api/join", {"line": "maw1:xyz"}),
    ("POST", "/api/mend", "/api/mend", {"ids": ["aaaaaa-1-1"]}),
    ("POST", "/api/peers/reload", "/api/peers/reload", None),
    ("POST", "/api/peers/forget", "/api/peers/forget", {"who": "mbp"}),
    ("POST", "/api/peers/accept", "/api/peers/accept", {"who": "mbp"}),
    ("GET", "/api/roster", "/api/roster", None),
    (
        "POST",
        "/api/roster/{name}",
        "/api/roster/arthur",
        {"command": ["claude", "-x"], "env": ["A=1"], "up": True},
    ),
    ("POST", "/api/roster/{name}/report", "/api/roster/arthur/report", {"state": "idle", "pane": "/x,1,%2"}),
    ("POST", "/api/keeper", "/api/keeper", {"pid": 17, "version": "0.1.0"}),
    ("POST", "/api/costs/resume", "/api/costs/resume", {"agent": "neo"}),
    ("POST", "/api/costs/cap", "/api/costs/cap", {"usd": 2.5, "tokens": "off"}),
]


async def document(house: House) -> Any:
    return (await house.caller("rest", None)("GET", "/openapi.json")).json


async def assert_fits(house: House, method: str, template: str, answer: Answer) -> None:
    described = await document(house)
    responses = described["paths"][template][method.lower()]["responses"]
    assert str(answer.status) in responses, (answer.status, answer.text)
    schema = responses[str(answer.status)]["content"]["application/json"]["schema"]
    assert not misfits(answer.json, schema, described)


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize(("template", "path"), READS)
async def test_reads_answer_as_described(house: House, door: str, template: str, path: str) -> None:
    answer = await house.caller(door)("GET", path)
    assert answer.status == 200, answer.text
    assert answer.headers["X-Maw-Replica"] == "oracle-world"
    await assert_fits(house, "GET", template, answer)


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize(("template", "path", "body"), WRITES)
async def test_writes_answer_as_described(
    house: House, door: str, template: str, path: str, body: object
) -> None:
    answer = await house.caller(door)("POST", path, body)
    makes = template in ("/api/channels", "/api/channels/{name}/messages", "/api/direct")
    assert answer.status == (201 if makes else 200), answer.text
    await assert_fits(house, "POST", template, answer)


@pytest.mark.parametrize(("method", "template", "path", "body"), ADMIN)
async def test_administration_answers_as_described_on_the_socket(
    house: House, method: str, template: str, path: str, body: object
) -> None:
    answer = await house.caller("socket", None)(method, path, body)
    assert answer.status in (200, 201), answer.text
    await assert_fits(house, method, template, answer)


@pytest.mark.parametrize(("template", "path"), [pair for pair in READS if pair[0] != "/api/whoami"])
async def test_both_doors_give_the_same_answer(house: House, template: str, path: str) -> None:
    socket, rest = (await house.caller("socket")("GET", path), await house.caller("rest")("GET", path))
    assert socket.json == rest.json
    assert socket.headers.get("X-Maw-Next-Seq") == rest.headers.get("X-Maw-Next-Seq")


async def test_whoami_tells_how_the_speaker_is_known(house: House) -> None:
    socket = (await house.caller("socket")("GET", "/api/whoami")).json
    rest = (await house.caller("rest")("GET", "/api/whoami")).json
    nobody = (await house.caller("rest", None)("GET", "/api/whoami")).json
    assert (socket["agent"], socket["known_by"]) == ("neo@oracle-world", "uid")
    assert (rest["agent"], rest["known_by"]) == ("neo@oracle-world", "token")
    assert (nobody["agent"], nobody["known_by"]) == (None, "nobody")


async def test_openapi_lists_exactly_the_routes_and_each_answers(house: House) -> None:
    described = await document(house)
    listed = {
        f"{method.upper()} {path}" for path, methods in described["paths"].items() for method in methods
    }
    assert listed == ROUTES
    caller = house.caller("socket", None)
    for path, methods in described["paths"].items():
        real = path.replace("{name}", "x").replace("{id}", "x").replace("{n}", "1")
        for method in ("GET", "POST", "PUT", "DELETE", "PATCH"):
            answer = await caller(method, real)
            documented = method.lower() in methods
            assert (answer.status == 405) is not documented, (method, path, answer.text)
            if not documented:
                assert answer.headers["Allow"].lower().split(", ") == sorted(methods)
                assert answer.code == "method_not_allowed"
            elif answer.status == 404:
                assert answer.code != "no_such_route"


async def test_openapi_documents_what_requests_are_checked_against(house: House) -> None:
    described = await document(house)
    post = described["paths"]["/api/channels/{name}/messages"]["post"]
    body = post["requestBody"]["content"]["application/json"]["schema"]
    assert set(body["properties"]) == {
        "text", "reply_to", "intent", "priority", "expires", "due", "insist", "word", "files"
    }  # fmt: skip
    assert body["required"] == ["text"]
    names = {parameter.get("name") or parameter["$ref"] for parameter in post["parameters"]}
    assert {"name", "wait", "timeout", "#/components/parameters/IdempotencyKey"} <= names
    refs = [
        part.split('"')[0] for part in str(described).replace("'", '"').split('"#/components/schemas/')[1:]
    ]
    assert set(refs) <= set(described["components"]["schemas"])


@pytest.mark.parametrize("door", DOORS)
async def test_pages_carry_the_cursor_of_the_next_call(house: House, door: str) -> None:
    caller = house.caller(door)
    first = await caller("GET", "/api/channels/general/messages?after_seq=0&limit=1")
    assert [m["seq"] for m in first.json] == [1]
    cursor = first.headers["X-Maw-Next-Seq"]
    second = await caller("GET", f"/api/channels/general/messages?after_seq={cursor}")
    assert [m["seq"] for m in second.json] == [3]
    last = await caller("GET", f"/api/channels/general/messages?after_seq={second.headers['X-Maw-Next-Seq']}")
    assert last.json == []
    assert last.headers["X-Maw-Next-Seq"] == "3"


@pytest.mark.parametrize("door", DOORS)
async def test_without_a_cursor_the_latest_and_before_seq_the_ones_below(house: House, door: str) -> None:
    caller = house.caller(door)
    latest = await caller("GET", "/api/channels/%23general/messages?limit=1")
    assert [m["seq"] for m in latest.json] == [3]
    below = await caller("GET", "/api/channels/general/messages?before_seq=3&limit=1")
    assert [m["seq"] for m in below.json] == [1]


async def test_a_post_carries_what_was_asked_to_the_node(house: House) -> None:
    caller = house.caller("socket")
    answer = await caller(
        "POST", "/api/direct", {"to": ["@arthur", "trinity@mbp"], "text": "ไง 👋", "reply_to": "2"}
    )
    message = answer.json["message"]
    assert message["to"] == ["arthur@oracle-world", "trinity@mbp"]
    assert message["text"] == "ไง 👋"
    assert message["reply_to"] == "2"
    assert "ไง 👋" in answer.text, "compact and readable, not escaped"


async def test_the_same_idempotency_key_says_it_once(house: House) -> None:
    caller = house.caller("rest")
    key = {"Idempotency-Key": "3f0c"}
    first = await caller("POST", "/api/channels/general/messages", {"text": "once"}, headers=key)
    again = await caller("POST", "/api/channels/general/messages", {"text": "once"}, headers=key)
    other = await caller("POST", "/api/channels/general/messages", {"text": "twice"}, headers=key)
    assert first.json["id"] == again.json["id"]
    assert (other.status, other.code) == (409, "idempotency_conflict")
    assert len(house.backend.messages) == 4


async def test_alerts_are_dismissed_by_kind_and_subject_or_all(house: House) -> None:
    caller = house.caller("socket")
    for wish in ({"kind": "fork", "subject": "abc"}, {"kind": "fork"}, {}):
        assert (await caller("POST", "/api/alerts/dismiss", wish)).status == 200
    assert house.backend.calls == [
        ("dismiss", "fork", "abc"),
        ("dismiss", "fork", None),
        ("dismiss", None, None),
    ]


@pytest.mark.parametrize("path", ["/api/users", "/api/channels", "/api/sent", "/api/peers", "/api/invites"])
async def test_every_list_says_where_to_go_on(house: House, path: str) -> None:
    answer = await house.caller("socket", "neo")("GET", path)
    assert isinstance(answer.json, list)
    assert answer.headers["X-Maw-Next-Seq"] == "3"


async def test_invites_carry_every_wish_to_the_node(house: House) -> None:
    caller = house.caller("socket", None)
    wishes = {"ttl_s": 60, "uses": 2, "for": "mk1x", "confirm": True, "introducer": True}
    await caller("POST", "/api/invites", wishes)
    await caller("POST", "/api/invites")
    assert house.backend.calls == [
        ("invite", 60, 2, "mk1x", True, True),
        ("invite", None, None, None, False, False),
    ]


@pytest.mark.parametrize("door", DOORS)
async def test_healthz_is_503_when_the_node_takes_nothing(house: House, door: str) -> None:
    assert (await house.caller(door, None)("GET", "/healthz")).status == 200
    house.backend.healthy = False
    sick = await house.caller(door, None)("GET", "/healthz")
    assert (sick.status, sick.json["ok"]) == (503, False)


@pytest.mark.parametrize("door", DOORS)
async def test_metrics_are_prometheus_text(house: House, door: str) -> None:
    answer = await house.caller(door)("GET", "/metrics")
    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith("text/plain")
    assert "\nmaw_messages 3\n" in answer.text


async def test_acking_all_empties_the_inbox_and_reading_does_not(house: House) -> None:
    caller = house.caller("socket")
    assert len((await caller("GET", "/api/inbox")).json) == 2
    assert len((await caller("GET", "/api/inbox")).json) == 2
    assert len((await caller("POST", "/api/ack", {"all": True})).json["acked"]) == 2
    assert (await caller("GET", "/api/inbox")).json == []
