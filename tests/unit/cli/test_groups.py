"""status, peers, invite, join, key, agent, channel: asked and told."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from maw.cli.overview import next_steps
from maw.core.identity import Signer, key_text
from maw.node.home import key_file_bytes
from tests.unit.cli.conftest import Cli
from tests.unit.cli.fake_daemon import FakeDaemon, error

STATE: dict[str, Any] = {
    "name": "mbp",
    "key": "mk1abc",
    "colony": "mc1x",
    "version": "0.1.0",
    "state": "running",
    "uptime_s": 11000,
    "pid": 7,
    "home": "/var/lib/maw",
    "rest": "127.0.0.1:6291",
    "mesh": [{"address": "10.0.0.7:6290", "listening": True}],
    "interface": {"name": "wg0", "state": "up", "since": None},
    "links_up": 2,
    "peers_known": 3,
    "messages": 5,
    "entries": 9,
    "seq": 5,
    "unread": {"arthur": 3, "neo": 0},
    "disk_free_bytes": 5 << 30,
    "database_bytes": 200 << 10,
    "files": {"held": 2, "bytes": 3 << 20, "quota_bytes": 2 << 30},
    "rss_bytes": 54 << 20,
    "alerts": [{"at": "x", "kind": "fork", "text": "pi has two logs\x1b", "count": 2}],
}
PEER: dict[str, Any] = {
    "name": "mbp",
    "key": "mk1abc",
    "short": "abc",
    "addresses": ["10.0.0.7:6290"],
    "state": "linked",
    "since": "2020-01-01T00:00:00Z",
    "rtt_ms": 1.23,
    "behind": 0,
    "lacks": 4,
    "how": "admitted",
    "vouched_by": ["pi"],
    "last_error": None,
    "last_seen": None,
}


def test_maw_alone_says_how_it_is_and_what_to_do(cli: Cli, daemon: FakeDaemon) -> None:
    daemon.answers["GET /api/status"] = (200, STATE)
    assert cli().out.splitlines() == [
        "mbp · running, 3 h · 2 of 3 peers linked",
        "unread: arthur 3",
        "fork: pi has two logs⟨U+001B⟩ (×2)",
        "next: `maw inbox --as arthur`",
    ]
    assert json.loads(cli("--json").out) == STATE
    daemon.answers["GET /api/status"] = (200, {**STATE, "frozen": ["the whole Colony is frozen (drill)"]})
    assert "the whole Colony is frozen (drill)" in cli().out.splitlines()
    assert "frozen    the whole Colony is frozen (drill)" in cli("status").out.splitlines()


def test_what_today_cost_and_who_is_halted(cli: Cli, daemon: FakeDaemon) -> None:
    one = {"runs": 2, "runner_s": 61.5, "tokens": 50100, "usd": 1.5, "unpriced_runs": 1}
    caps = [
        {"of": "mbp", "unit": "usd", "percent": 12},
        {"of": "scout@mbp", "unit": "tokens", "percent": 100},
    ]
    cost = {"day": "2026-11-22", "agents": {"scout": one, "neo": one}, "caps": caps}
    halted = "scout is halted: its 100 tokens a day are spent; until 2026-11-23T00:00:00Z"
    daemon.answers["GET /api/status"] = (200, {**STATE, "cost": cost, "halted": [halted]})
    assert halted in cli().out.splitlines()
    lines = cli("status").out.splitlines()
    assert (
        "cost      $3.00 and 2 runs that told none in 4 runs today (UTC) · 100 % of the tokens of scout@mbp"
        in lines
    )
    assert f"halted    {halted}" in lines


def test_who_is_refused_again_and_again_is_named(cli: Cli, daemon: FakeDaemon) -> None:
    worst = [{"address": "203.0.113.7", "count": 812, "why": "too many half-open"}]
    state = {**STATE, "refused_connections": {"count": 820, "worst": worst}}
    daemon.answers["GET /api/status"] = (200, state)
    lines = (
        "203.0.113.7: 812 connections refused in the last minute (too many half-open)",
        "other addresses: 8 connections refused in the last minute",
    )
    assert all(line in cli().out.splitlines() for line in lines)
    assert [line.split(maxsplit=1)[1] for line in cli("status").out.splitlines() if "refused" in line] == [
        *lines
    ]


@pytest.mark.parametrize(
    ("change", "step"),
    [
        ({"state": "read_only"}, "free some disk"),
        ({"mesh": [{"address": "a:1", "listening": False}]}, "maw doctor"),
        ({"interface": {"name": "wg0", "state": "missing"}}, "maw doctor"),
        ({"peers_known": 0, "links_up": 0}, "maw invite"),
        ({"links_up": 0}, "maw peers"),
        ({"peers_pending": 2}, "`maw peers`: 2 to be accepted"),
        ({"alerts": [{"kind": "copied_host", "subject": "abc", "text": "x"}]}, "stop one of the two"),
        ({"unread": {"a": 1}}, "maw inbox"),
    ],
)
def test_what_to_do_next(change: dict[str, Any], step: str) -> None:
    calm = {
        **STATE,
        "unread": {},
        "alerts": [{"kind": "copied_host", "subject": "xyz", "text": "a peer was"}],
    }
    assert next_steps(calm) == []
    assert step in next_steps({**calm, **change})[0]


def test_status_in_full(cli: Cli, daemon: FakeDaemon) -> None:
    daemon.answers["GET /api/status"] = (200, STATE)
    out = cli("status").out
    for piece in ("mk1abc", "wg0 up · 10.0.0.7:6290", "54 MiB", "5.0 GiB free", "seq 5", "arthur 3", "pid 7"):
        assert piece in out
    assert "neo 0" not in out
    assert json.loads(cli("status", "--json").out) == STATE


def test_peers_as_lines_and_as_json(cli: Cli, daemon: FakeDaemon) -> None:
    pending = {**PEER, "name": "pi", "state": "pending", "short": "xyz", "since": None, "rtt_ms": None}
    broken = {**PEER, "name": "far", "state": "unreachable", "last_error": "no route\x1b"}
    daemon.answers["GET /api/peers"] = (200, [PEER, pending, broken])
    result = cli("peers")
    assert result.code == 0
    assert result.out.splitlines()[0].split()[:2] == ["mbp", "linked"]
    assert "1.2 ms" in result.out
    assert "admitted by pi" in result.out
    assert "maw peers accept xyz" in result.err
    assert "far: no route⟨U+001B⟩" in result.err
    assert json.loads(cli("peers", "list", "--json").out) == [PEER, pending, broken]


def test_many_pending_of_one_inviter_are_one_line(cli: Cli, daemon: FakeDaemon) -> None:
    some = [
        {**PEER, "name": f"n{n}", "state": "pending", "short": f"k{n}", "vouched_by": ["mbp"]}
        for n in range(40)
    ]
    daemon.answers["GET /api/peers"] = (200, [PEER, *some, {**some[0], "short": "xyz", "vouched_by": ["pi"]}])
    assert cli("peers").err.splitlines() == [
        "40 let in by mbp are pending: `maw peers accept mbp --introducer` trusts them, and whom it lets in"
        " from now on",
        "n0 is pending: `maw peers accept xyz`",
    ]


def test_no_peers_is_1(cli: Cli, daemon: FakeDaemon) -> None:
    daemon.answers["GET /api/peers"] = (200, [])
    assert cli("peers").code == 1


@pytest.mark.parametrize(
    ("args", "path", "body", "state", "out"),
    [
        (["accept", "pi"], "accept", {"who": "pi"}, "accepted", "is accepted: this node links with it now"),
        (["accept", "pi"], "accept", {"who": "pi"}, "confirmed", "is let in: it joins now"),
        (
            ["accept", "pi", "--introducer"],
            "accept",
            {"who": "pi", "introducer": True},
            "introducer",
            "is an introducer now: whom it lets in is trusted here too",
        ),
        (
            ["forget", "pi"],
            "forget",
            {"who": "pi"},
            "forgotten",
            "is forgotten: there is no trust and no link any more",
        ),
    ],
)
def test_settling_with_peers(
    args: list[str], path: str, body: dict[str, Any], state: str, out: str, cli: Cli, daemon: FakeDaemon
) -> None:
    daemon.answers[f"POST /api/peers/{path}"] = (200, {"name": "pi", "key": "mk1abc", "state": state})
    result = cli("peers", *args)
    assert (result.code, result.out) == (0, f"pi (mk1abc) {out}\n")
    assert daemon.last.body == body


def test_reading_peers_again_says_what_changed(cli: Cli, daemon: FakeDaemon) -> None:
    daemon.answers["POST /api/peers/reload"] = (200, {"peers": 3, "added": ["x", "y"], "removed": 0})
    assert cli("peers", "reload").out == "peers.toml was read again: 3 peers; new here: x, y\n"
    daemon.answers["POST /api/peers/reload"] = (200, {"peers": 1, "added": [], "removed": 2})
    assert cli("peers", "reload").out == "peers.toml was read again: 1 peers; 2 are gone\n"


def test_the_invite_alone_is_on_standard_output(cli: Cli, daemon: FakeDaemon) -> None:
    made = {"line": "maw-invite-1:abc", "expires_at": "2020-01-01T00:00:00Z", "addresses": ["10.0.0.7:6290"]}
    daemon.answers["POST /api/invites"] = (201, made)
    key = key_text(bytes(32))
    result = cli("invite", "--ttl", "2h", "--uses", "3", "--for", key, "--confirm", "--introducer")
    assert (result.code, result.out) == (0, "maw-invite-1:abc\n")
    assert "maw join" in result.err
    assert "10.0.0.7:6290" in result.err
    assert "everybody trusts too" in result.err and "maw peers accept" in result.err
    assert daemon.last.body == {"ttl_s": 7200, "uses": 3, "for": key, "confirm": True, "introducer": True}
    assert json.loads(cli("invite", "--json").out) == made
    assert daemon.last.body == {"ttl_s": 600, "uses": 1, "for": None, "confirm": False, "introducer": False}


OPEN = {
    "id": "0a1b2c3d",
    "expires_at": "2020-01-01T00:00:00Z",
    "uses": 3,
    "used": [{"name": "pi\x1b", "key": "mk1p", "at": "2020-01-01T00:00:00Z"}],
    "for": None,
    "confirm": True,
    "introducer": False,
}


def test_open_invites_are_listed_and_withdrawn(cli: Cli, daemon: FakeDaemon) -> None:
    daemon.answers["GET /api/invites"] = (200, [OPEN])
    daemon.answers["DELETE /api/invites/0a1b2c3d"] = (200, OPEN)
    assert cli("invite", "--list").out == "0a1b2c3d  0 s  1 of 3  anybody, confirm  pi⟨U+001B⟩\n"
    assert json.loads(cli("invite", "--list", "--json").out) == [OPEN]
    result = cli("invite", "--withdraw", "0a1b2c3d")
    assert (result.code, daemon.last.method) == (0, "DELETE")
    assert result.out.startswith("invite 0a1b2c3d withdrawn")
    daemon.answers["GET /api/invites"] = (200, [])
    assert cli("invite", "--list").code == 1
    assert cli("invite", "--list", width=80).err == "no open invites\n"
    assert cli("invite", "--list", "--withdraw", "x").code == 2


@pytest.mark.parametrize(
    ("what", "body"),
    [
        ("all", {}),
        ("copied_host", {"kind": "copied_host"}),
        ("copied_host:k7q2mx", {"kind": "copied_host", "subject": "k7q2mx"}),
    ],
)
def test_alerts_are_dismissed(what: str, body: dict[str, str], cli: Cli, daemon: FakeDaemon) -> None:
    dismissed = {"dismissed": [{"kind": "copied_host", "subject": "k7q2mx"}]}
    daemon.answers["POST /api/alerts/dismiss"] = (200, dismissed)
    for command in ("status", "alerts"):
        assert cli(command, "--dismiss", what).out == "dismissed copied_host:k7q2mx\n"
    assert daemon.last.body == body
    assert json.loads(cli("status", "--dismiss", what, "--json").out) == dismissed
    daemon.answers["GET /api/status"] = (200, STATE)
    assert "maw alerts --dismiss fork" in cli("status", width=80).err


def test_an_invite_nobody_could_use_says_so(cli: Cli, daemon: FakeDaemon) -> None:
    daemon.answers["POST /api/invites"] = (
        201,
        {"line": "maw-invite-1:abc", "expires_at": None, "addresses": []},
    )
    assert "no address" in cli("invite").err


@pytest.mark.parametrize("args", [["--ttl", "0"], ["--ttl", "soon"], ["--uses", "0"], ["--for", "wat"]])
def test_wrong_invites(args: list[str], cli: Cli, daemon: FakeDaemon) -> None:
    assert cli("invite", *args).code == 2
    assert daemon.asked == []


@pytest.mark.parametrize(
    ("args", "stdin"), [(["maw-invite-1:abc"], b""), (["-"], b"maw-invite-1:abc\nmore\n")]
)
def test_join_by_argument_or_standard_input(
    args: list[str], stdin: bytes, cli: Cli, daemon: FakeDaemon
) -> None:
    daemon.answers["POST /api/join"] = (
        200,
        {"colony": "mc1", "state": "linked", "peer": {"name": "pi", "key": "mk1"}},
    )
    result = cli("join", *args, stdin=stdin)
    assert (result.code, result.out) == (0, "linked · pi · mk1\n")
    assert daemon.last.body == {"line": "maw-invite-1:abc"}


def test_join_without_a_line_is_2(cli: Cli, daemon: FakeDaemon) -> None:
    assert cli("join", "-").code == 2
    assert cli("join").code == 2
    assert daemon.asked == []


def test_a_join_that_is_refused_is_6(cli: Cli, daemon: FakeDaemon) -> None:
    daemon.answers["POST /api/join"] = error(403, "invite_used", "pi used it 3 min ago", "ask for a new one")
    result = cli("join", "maw-invite-1:abc")
    assert result.code == 6
    assert "pi used it" in result.err


def test_the_key_from_the_daemon(cli: Cli, daemon: FakeDaemon) -> None:
    daemon.answers["GET /api/whoami"] = (200, {"node_key": "mk1abc"})
    assert cli("key").out == "mk1abc\n"
    assert json.loads(cli("key", "show", "--json").out) == {"key": "mk1abc"}


def test_the_key_while_the_daemon_is_down(cli: Cli, home: Path) -> None:
    assert cli("key").code == 2  # no key file yet
    signer = Signer(bytes(range(32)))
    (home / "node.key").write_bytes(key_file_bytes("node", signer.seed))
    (home / "node.key").chmod(0o600)
    assert cli("key").out == f"{key_text(signer.node)}\n"


def test_agents(cli: Cli, daemon: FakeDaemon) -> None:
    user = {
        "username": "arthur",
        "host": "mbp",
        "address": "arthur@mbp",
        "role": "agent",
        "status": "alive",
        "local": True,
        "last_pulse_at": None,
        "unread": 2,
    }
    far = {**user, "address": "neo@pi", "local": False, "last_pulse_at": "2020-01-01T00:00:00Z"}
    del far["unread"]
    daemon.answers["GET /api/users"] = (200, [user, far])
    daemon.answers["GET /api/roster"] = (200, [])
    first, second = cli("agent").out.splitlines()
    assert first.split() == ["arthur@mbp", "alive", "–", "–", "–", "–", "2", "–", "agent"]
    assert second.split()[0] == "neo@pi"
    assert cli("agent", "list", "--here").out.count("\n") == 1
    daemon.answers["GET /api/users"] = (200, [])
    assert cli("agent", "list").code == 1


def test_those_that_run_in_tmux_fit_a_terminal_of_eighty_columns(cli: Cli, daemon: FakeDaemon) -> None:
    now = datetime.now(UTC)
    told = {
        "state": "busy", "attached": 1, "memory_bytes": 312 << 20, "log_bytes": 182 << 20,
        "started": int((now.timestamp() - 90_000) * 1000), "active": int((now.timestamp() - 5) * 1000),
        "at": now.isoformat(),
    }  # fmt: skip
    user = {
        "address": "101-mawjs@oracle-world",
        "role": "agent",
        "status": "alive",
        "local": True,
        "unread": 3,
    }
    listed = {"name": "101-mawjs", "agent": user["address"], "report": told, "pane": None}
    daemon.answers["GET /api/users"] = (200, [user])
    daemon.answers["GET /api/roster"] = (200, [listed])
    head, row = cli("agent", "list", width=80).out.splitlines()
    assert head.split() == ["agent", "state", "up", "att", "memory", "active", "unread", "log", "role"]
    assert " ".join(row.split()) == "101-mawjs@oracle-world busy 1 d 1 312 MiB 5 s 3 182 MiB agent"
    long_ago = {**listed, "report": {**told, "at": "2020-01-01T00:00:00Z"}}
    daemon.answers["GET /api/roster"] = (200, [long_ago])
    result = cli("agent", "list", width=80)
    assert "busy?" in result.out and "maw service install" in result.err
    found = json.loads(cli("agent", "list", "--json").out)
    assert found[0]["roster"]["report"]["log_bytes"] == 182 << 20


def test_an_agent_is_added_and_its_token_shown(cli: Cli, daemon: FakeDaemon) -> None:
    daemon.answers["POST /api/users"] = (201, {"address": "arthur@mbp", "role": "agent", "token": "maw_t"})
    result = cli("agent", "add", "Arthur")
    assert result.out == "arthur@mbp · agent\ntoken maw_t\n"
    assert "this once" in result.err
    assert daemon.last.body == {"username": "arthur", "role": "agent"}


def test_for_a_human_an_operators_key_is_needed(cli: Cli, daemon: FakeDaemon) -> None:
    result = cli("agent", "add", "anna", "--role", "ape")
    assert result.code == 2 and "which operator key?" in result.err
    assert all(asked.path != "/api/users" for asked in daemon.asked)


def test_a_role_says_whose_it_is(cli: Cli, daemon: FakeDaemon) -> None:
    made = {"address": "boonkeeper@mbp", "of": "neo", "role": "agent", "token": "maw_t"}
    daemon.answers["POST /api/users"] = (201, {**made, "warnings": ["boonkeeper looks like b00nkeeper@pi"]})
    result = cli("agent", "add", "boonkeeper", "--of", "@neo", "--about", "keeps boons", "--pulse", "30m")
    assert result.out.startswith("boonkeeper@mbp (neo) · agent\n")
    assert "looks like b00nkeeper@pi" in result.err
    asked = {"username": "boonkeeper", "role": "agent", "of": "neo", "about": "keeps boons", "pulse_s": 1800}
    assert daemon.last.body == asked


@pytest.mark.parametrize(("answer", "code"), [(b"y\n", 0), (b"YES\n", 0), (b"\n", 6), (b"no\n", 6), (b"", 6)])
def test_an_agent_is_not_ended_by_a_slip_at_a_terminal(
    answer: bytes, code: int, cli: Cli, daemon: FakeDaemon
) -> None:
    daemon.answers["DELETE /api/users/root"] = (200, {"removed": "root"})
    daemon.answers["GET /api/roster"] = (200, [])
    result = cli("agent", "remove", "root", stdin=answer, tty=True)
    assert result.code == code
    assert "end root?" in result.err
    assert ("DELETE" in [asked.method for asked in daemon.asked]) is (code == 0)
    assert cli("agent", "remove", "root", "--yes", tty=True).err == ""
    assert cli("agent", "remove", "root").code == 0  # a script is not asked


@pytest.mark.parametrize(
    ("how", "vouched", "says"),
    [
        ("admitted", ["pi"], "admitted by pi"),
        ("invited", ["mbp"], "invited here"),
        ("joined", ["mbp"], "joined from here"),
        ("accepted", ["pi"], "accepted here, admitted by pi"),
        ("peers.toml", [], "peers.toml"),
    ],
)
def test_how_a_peer_came_to_be_known(
    how: str, vouched: list[str], says: str, cli: Cli, daemon: FakeDaemon
) -> None:
    daemon.answers["GET /api/peers"] = (200, [{**PEER, "how": how, "vouched_by": vouched}])
    assert f"  {says}  10.0.0.7" in cli("peers").out


@pytest.mark.parametrize(
    "args", [["add", "all"], ["add", "a", "--role", "king"], ["remove", "a/b"], ["token", ""]]
)
def test_wrong_names_and_roles(args: list[str], cli: Cli, daemon: FakeDaemon) -> None:
    assert cli("agent", *args).code == 2
    assert daemon.asked == []


def test_an_agent_is_removed(cli: Cli, daemon: FakeDaemon) -> None:
    daemon.answers["DELETE /api/users/arthur"] = (200, {"removed": "arthur"})
    daemon.answers["GET /api/roster"] = (200, [])
    assert cli("agent", "remove", "Arthur").out == "arthur removed\n"


def test_a_token_alone_is_printed(cli: Cli, daemon: FakeDaemon) -> None:
    daemon.answers["POST /api/users/arthur/token"] = (201, {"token": "maw_t"})
    assert cli("agent", "token", "arthur").out == "maw_t\n"


def test_channels(cli: Cli, daemon: FakeDaemon) -> None:
    one = {
        "name": "general",
        "created_at": "2026-11-21T08:00:00Z",
        "created_by": "neo@pi",
        "messages": 3,
        "last_seq": 9,
        "keep_days": None,
    }
    daemon.answers["GET /api/channels"] = (200, [{**one, "keep_days": 30}])
    assert " 30 d " in cli("channel", "list").out
    daemon.answers["GET /api/channels"] = (200, [one])
    assert cli("channel", "list").out.split() == [
        "#general",
        "3",
        "9",
        "forever",
        "–",
        "–",
        "2026-11-21T08:00:00Z",
        "by",
        "neo@pi",
        "–",
    ]
    told = {**one, "watched": True, "wakes": True, "archived": True, "about": "all of it", "for": "everybody"}
    daemon.answers["GET /api/channels"] = (200, [told])
    row = cli("channel", "list", "--as", "neo").out
    assert "wakes" in row and "archived" in row and row.endswith("all of it\n")
    daemon.answers["POST /api/channels"] = (201, one)
    assert cli("channel", "create", "#General", "--as", "neo").out == "#general created\n"
    assert daemon.last.body == {"name": "general"}
    assert daemon.last.headers["x-maw-agent"] == "neo"
    daemon.answers["POST /api/channels/general"] = (200, told)
    assert cli("channel", "archive", "general").out == "#general: archived, for everybody\n"
    assert daemon.last.body == {"archived": True}
    assert "says otherwise" in cli("channel", "unarchive", "general").err
    cli("channel", "describe", "general", "all of it")
    assert daemon.last.body == {"about": "all of it"}
    daemon.answers["POST /api/channels/general/watch"] = (200, told)
    assert "is watched (it wakes you)" in cli("channel", "watch", "#general", "--wake", "--as", "neo").out
    assert daemon.last.body == {"watched": True, "wakes": True}
    cli("channel", "unwatch", "general", "--as", "neo")
    assert daemon.last.body == {"watched": False}


def test_alerts_one_by_one_and_1_when_there_are_none(cli: Cli, daemon: FakeDaemon) -> None:
    fork = {
        "at": "2026-11-21T03:00:00Z",
        "kind": "fork",
        "subject": "abc",
        "text": "two at\x1b once",
        "count": 3,
    }
    daemon.answers["GET /api/status"] = (200, {**STATE, "alerts": [fork]})
    assert cli("alerts").out.splitlines() == [
        "fork:abc (×3) · 2026-11-21T03:00:00Z", "  two at⟨U+001B⟩ once"
    ]  # fmt: skip
    assert json.loads(cli("alerts", "--json").out) == [fork]
    assert "maw alerts --dismiss fork" in cli("alerts", width=80).err
    daemon.answers["GET /api/status"] = (200, {**STATE, "alerts": []})
    assert cli("alerts").code == cli("alerts", "--json").code == 1
    assert cli("alerts", width=80).err == "nothing to look at\n"
