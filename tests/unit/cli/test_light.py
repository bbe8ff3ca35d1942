"""The short way of `send` and `inbox`: the same words, the same codes, nothing sent twice; else the full command."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator

import pytest

from maw.cli import entry
from maw.cli import main as full
from maw.client import once
from tests.unit.cli.fake_daemon import FakeDaemon, Hangup, error

RECEIPT = {
    "id": "k7q2mx-1-2",
    "seq": 2,
    "state": "stored",
    "recipients": [],
    "warnings": ["mind\x1b[2J"],
    "message": {"channel": "general"},
}
Maw = Callable[..., tuple[int, str, str]]


@pytest.fixture
def ran_full(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[bool]]:
    """Filled when the full command ran."""
    ran: list[bool] = []
    real = full.main

    def main() -> int:
        ran.append(True)
        return real()

    monkeypatch.setattr(full, "main", main)
    yield ran
    once._unanswered.clear()


@pytest.fixture
def maw(daemon: FakeDaemon, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Maw:
    """``maw WORDS`` in a pipe, as the agent neo."""

    def run(*words: str, agent: str = "neo") -> tuple[int, str, str]:
        monkeypatch.setenv("MAW_AGENT", agent)
        monkeypatch.setattr(sys, "argv", ["maw", *words])
        code = entry.main()
        read = capfd.readouterr()
        return code, read.out, read.err

    return run


def test_a_message_goes_the_short_way(maw: Maw, daemon: FakeDaemon, ran_full: list[bool]) -> None:
    daemon.answers["POST /api/direct"] = (201, RECEIPT)
    code, out, err = maw("send", "@arthur,trin@mbp", "the", "build", "is green")
    assert (code, out, err) == (0, "stored · #general · k7q2mx-1-2\n", "note: mind⟨U+001B⟩[2J\n")
    (asked,) = daemon.asked
    assert asked.body == {"to": ["@arthur", "trin@mbp"], "text": "the build is green"}
    assert asked.headers["x-maw-agent"] == "neo"
    assert len(asked.headers["idempotency-key"]) == 32
    assert not ran_full


def test_a_channel_and_a_name_after_as(maw: Maw, daemon: FakeDaemon, ran_full: list[bool]) -> None:
    daemon.answers["POST /api/channels/general/messages"] = (201, RECEIPT)
    assert maw("send", "--as", "@trin", "#general", "hi")[0] == 0
    assert daemon.asked[0].headers["x-maw-agent"] == "trin"
    assert not ran_full


def test_an_empty_inbox_is_the_short_way(maw: Maw, daemon: FakeDaemon, ran_full: list[bool]) -> None:
    daemon.answers["GET /api/inbox"] = (200, [])
    assert maw("inbox") == (1, "", "")
    assert daemon.asked[0].query == {"limit": "1"}
    assert not ran_full


@pytest.mark.parametrize(
    "words",
    [
        ["send", "@arthur", "--intent", "ask", "why?"],
        ["send", "@arthur", "-"],
        ["send", "@arthur"],
        ["send"],
        ["send", "@arthur", " "],
        ["send", "No Channel", "x"],
        ["send", "@arthur", "x", "--as"],
        ["send", "@arthur", "x", "--as", "../etc"],
        ["send", "@a,", "x"],
        ["inbox", "--json"],
        ["inbox", "more"],
        ["send", "--help"],
    ],
)
def test_all_else_is_for_the_full_command(
    words: list[str], maw: Maw, daemon: FakeDaemon, ran_full: list[bool]
) -> None:
    daemon.answers |= {"POST /api/direct": (201, RECEIPT), "GET /api/inbox": (200, [])}
    maw(*words)
    assert ran_full
    assert len(daemon.asked) <= 1, "nothing was asked before"


def test_mail_and_errors_are_told_by_the_full_command(
    maw: Maw, daemon: FakeDaemon, ran_full: list[bool]
) -> None:
    daemon.answers["POST /api/direct"] = error(404, "no_such_agent", "no agent is called zaphod", "look")
    code, out, err = maw("send", "@zaphod", "hi")
    assert (code, out) == (3, "")
    assert "no agent is called zaphod" in err
    keys = [asked.headers["idempotency-key"] for asked in daemon.asked]
    assert len(set(keys)) == 2, "what was refused was not taken"
    assert ran_full


@pytest.mark.parametrize(
    "lost", [Hangup(), error(503, "unavailable", "not now"), error(500, "internal", "oh")]
)
def test_what_may_have_been_taken_is_asked_again_under_the_same_key(
    lost: object, maw: Maw, daemon: FakeDaemon, ran_full: list[bool]
) -> None:
    daemon.answers["POST /api/direct"] = [lost, (201, RECEIPT)]  # type: ignore[list-item]
    assert maw("send", "@arthur", "once")[0] == 0
    keys = [asked.headers["idempotency-key"] for asked in daemon.asked]
    assert len(keys) == 2 and len(set(keys)) == 1
    assert ran_full


def test_without_a_daemon_the_full_command_says_so(
    maw: Maw, daemon: FakeDaemon, ran_full: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAW_SOCKET", "/nonexistent/maw.sock")
    code, _, err = maw("send", "@arthur", "hi")
    assert code == 5 and "/nonexistent/maw.sock" in err
    assert ran_full


def test_nobody_in_particular_is_no_speaker(maw: Maw, daemon: FakeDaemon, ran_full: list[bool]) -> None:
    code, _, err = maw("send", "@arthur", "hi", agent="")
    assert code == 2 and "who speaks?" in err
    assert ran_full and not daemon.asked


def test_ctrl_c_before_a_command_is_there_is_no_traceback(maw: Maw, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(words: object, env: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("maw.agents.life.quick.main", interrupted)
    assert maw("pulse", "scout") == (130, "", "")
