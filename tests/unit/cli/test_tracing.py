"""sent and trace: how far messages got, in one line and in full."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from maw.cli.output import Output, parse_time
from maw.cli.tracing import progress_words
from tests.unit.cli.conftest import Cli
from tests.unit.cli.fake_daemon import FakeDaemon, a_message, a_receipt

ID = "k7q2mx-1n3f9zq-42"


@pytest.fixture(autouse=True)
def speaker(home: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAW_AGENT", "neo")


def sent_to(*recipients: dict[str, Any], state: str = "stored") -> dict[str, Any]:
    asked = {"agent": "arthur@mbp", "host": "mbp", "online": True, "last_seen": None, "state": "stored"}
    message = a_message(1, kind="direct", channel=None, to=["arthur@mbp"])
    return {**message, "state": state, "hosts": [], "recipients": [{**asked, **one} for one in recipients]}


AT = "2026-11-21T08:00:00.000Z"


@pytest.mark.parametrize(
    ("recipient", "says"),
    [
        ({}, "stored · on its way to mbp"),
        ({"online": False, "last_seen": "2026-11-21T05:00:00Z"}, "stored · mbp is offline, 3 h"),
        ({"online": False, "trouble": "it\nrefused us"}, "stored · mbp cannot be reached: it refused us"),
        ({"state": "replicated"}, "replicated · on mbp, not delivered yet"),
        (
            {"state": "replicated", "since": AT},
            "replicated · on mbp, 2026-11-21T08:00:00Z, not delivered yet",
        ),
        (
            {"state": "delivered", "via": "hook", "since": AT},
            "delivered · mbp via hook, 2026-11-21T08:00:00Z",
        ),
        ({"state": "read", "via": "hook", "since": AT}, "read · mbp, 2026-11-21T08:00:00Z"),
        ({"state": "acked", "since": AT}, "acked · mbp, 2026-11-21T08:00:00Z"),
        ({"state": "failed", "why": "no\x1b pane"}, "failed · mbp: no⟨U+001B⟩ pane"),
    ],
)
def test_one_line_says_how_far_it_got_where_since_when_and_what_hinders_it(
    recipient: dict[str, Any], says: str
) -> None:
    now = parse_time("2026-11-21T08:00:00Z")
    assert now is not None
    message = sent_to(recipient, state=recipient.get("state", "stored"))
    assert progress_words(Output(io.StringIO()), message, now.timestamp()) == says


def test_of_many_recipients_it_says_how_many() -> None:
    many = [{"state": "acked"}] * 60 + [{"state": "read"}] * 39 + [{"host": "pi", "online": False}]
    line = progress_words(Output(io.StringIO()), sent_to(*many))
    assert line == "stored · 60 acked, 39 read, 1 stored (pi is offline)"


def test_on_a_terminal_it_is_said_that_nothing_is_to_be_sent_again(cli: Cli, daemon: FakeDaemon) -> None:
    daemon.answers["GET /api/sent"] = (200, [sent_to({})])
    assert "do not send it again" in cli("sent", width=100).err
    assert cli("sent").err == ""
    daemon.answers["GET /api/sent"] = (200, [sent_to({"state": "read"}, state="read")])
    assert cli("sent", width=100).err == ""


@pytest.mark.parametrize("state", ["delivered", "read", "acked"])
def test_waiting_for_what_the_recipient_does(state: str, cli: Cli, daemon: FakeDaemon) -> None:
    daemon.answers["POST /api/direct"] = (201, a_receipt(state))
    assert cli("send", "@arthur", "hi", "--wait", state, "--timeout", "30s").code == 0
    assert daemon.last.query == {"wait": state, "timeout": "30"}


def traced(**more: Any) -> dict[str, Any]:
    recipient = {
        "agent": "arthur@mbp", "host": "mbp", "online": True, "last_seen": None, "state": "read", "since": AT,
        "via": "hook", "delivered_at": AT, "read_at": "2026-11-21T08:00:09.000Z", "acked_at": None,
    }  # fmt: skip
    return {
        "id": ID, "seq": 42, "kind": "direct", "channel": None, "to": ["arthur@mbp"], "author": "neo@oracle",
        "host": "oracle", "intent": "ask", "created_at": AT, "reply_to": None,
        "here": {"host": "oracle", "since": AT}, "hosts": [{"host": "mbp", "state": "replicated", "since": None}],
        "recipients": [recipient], "groups": [], **more,
    }  # fmt: skip


TRACE = f"GET /api/messages/{ID}/trace"


def test_the_way_of_one_message(cli: Cli, daemon: FakeDaemon) -> None:
    daemon.answers[TRACE] = (200, traced())
    result = cli("trace", ID)
    assert (result.code, result.err) == (0, "")
    assert [line.split() for line in result.out.splitlines()] == [
        [ID, "·", "neo@oracle", "·", "to", "arthur@mbp", "·", "ask"],
        ["stored", "oracle", "2026-11-21T08:00:00Z", "by", "its", "author's", "clock"],
        ["replicated", "mbp", "–"],
        ["delivered", "arthur@mbp", "2026-11-21T08:00:00Z", "via", "hook"],
        ["read", "arthur@mbp", "2026-11-21T08:00:09Z"],
    ]
    assert json.loads(cli("trace", ID, "--json").out) == traced()


def test_a_trace_says_what_is_not_yet_and_why(cli: Cli, daemon: FakeDaemon) -> None:
    (one,) = traced()["recipients"]
    nothing = {"via": None, "delivered_at": None, "read_at": None, "since": None}
    waiting = [
        {**one, **nothing, "state": "replicated"},
        {**one, **nothing, "agent": "ford@pi", "host": "pi", "online": False, "state": "stored"},
        {**one, **nothing, "agent": "neo@pi", "state": "failed", "why": "was removed"},
    ]
    hosts = [{"host": "pi", "state": "stored", "since": None, "trouble": "no route"}]
    daemon.answers[TRACE] = (200, traced(recipients=waiting, hosts=hosts, groups=["all"]))
    out = cli("trace", ID).out
    for words in (
        "on the host, and not put in front", "pi is offline",
        "pi cannot be reached: no route", "was removed", "@all",
    ):  # fmt: skip
        assert words in out, out


def test_a_trace_counts_where_there_are_many(cli: Cli, daemon: FakeDaemon) -> None:
    (one,) = traced()["recipients"]
    hosts = [{"host": f"h{n}", "state": "replicated" if n else "stored", "since": None} for n in range(100)]
    daemon.answers[TRACE] = (200, traced(recipients=[one] * 100, hosts=hosts))
    out = cli("trace", ID).out
    assert "99 of 100 hosts" in out
    assert "100 read" in out
    assert len(out.splitlines()) == 5


def test_a_trace_on_another_host_says_since_when_it_is_here(cli: Cli, daemon: FakeDaemon) -> None:
    daemon.answers[TRACE] = (200, traced(here={"host": "mbp", "since": AT}, hosts=[], recipients=[]))
    assert [line.split()[:2] for line in cli("trace", ID).out.splitlines()[1:]] == [
        ["stored", "oracle"],
        ["replicated", "mbp"],
    ]
