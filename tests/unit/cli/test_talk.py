"""send, post, sent: what is asked of the daemon, and what is told of the answer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from maw.cli.messages import receipt_line
from maw.cli.output import parse_time
from maw.client.daemon import Daemon
from maw.errors import Unavailable
from tests.unit.cli.conftest import Cli
from tests.unit.cli.fake_daemon import Asked, FakeDaemon, Hangup, a_message, a_receipt, error

ID = "k7q2mx-1n3f9zq-42"


@pytest.fixture(autouse=True)
def speaker(home: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAW_AGENT", "neo")


def test_a_direct_message(cli: Cli, daemon: FakeDaemon) -> None:
    daemon.answers["POST /api/direct"] = (201, a_receipt("replicated"))
    result = cli("send", "@Arthur@MBP", "hello", "there", "--reply-to", "17")
    assert (result.code, result.out, result.err) == (0, f"replicated · arthur@mbp · {ID}\n", "")
    assert daemon.last.body == {"to": "arthur@mbp", "text": "hello there", "reply_to": "17"}
    assert daemon.last.headers["x-maw-agent"] == "neo"
    assert len(daemon.last.headers["idempotency-key"]) == 32
    assert daemon.last.query == {}


def test_several_recipients(cli: Cli, daemon: FakeDaemon) -> None:
    daemon.answers["POST /api/direct"] = (201, a_receipt())
    assert cli("send", "@arthur,@neo@pi", "hi").code == 0
    assert daemon.last.body == {"to": ["arthur", "neo@pi"], "text": "hi"}


def test_the_intent_is_said_where_it_is_not_chat(cli: Cli, daemon: FakeDaemon) -> None:
    daemon.answers["POST /api/direct"] = (201, a_receipt())
    assert cli("send", "@arthur", "hi", "--intent", "inform").code == 0
    assert daemon.last.body == {"to": "arthur", "text": "hi", "intent": "inform"}
    assert cli("send", "@arthur", "hi", "--intent", "chat").code == 0
    assert daemon.last.body == {"to": "arthur", "text": "hi"}, "an older daemon knows no intents"
    wrong = cli("post", "general", "hi", "--intent", "shout")
    assert (wrong.code, len(daemon.asked)) == (2, 2)
    assert "one of chat, ask, inform, ack" in wrong.err


@pytest.mark.parametrize(
    "words", [["send", "general"], ["send", "#General"], ["post", "#general"], ["post", "general"]]
)
def test_a_word_without_an_at_sign_is_a_channel(words: list[str], cli: Cli, daemon: FakeDaemon) -> None:
    receipt = {**a_receipt(), "recipients": [], "message": a_message(42)}
    daemon.answers["POST /api/channels/general/messages"] = (201, receipt)
    result = cli(*words, "hi")
    assert (result.code, result.out) == (0, f"stored · #general · {ID}\n")
    assert daemon.last.body == {"text": "hi"}


def test_a_name_taken_for_a_channel_is_told_about_the_at_sign(cli: Cli, daemon: FakeDaemon) -> None:
    daemon.answers["POST /api/channels/arthur/messages"] = error(
        404, "not_found", "no channel is called arthur"
    )
    result = cli("send", "arthur", "hi")
    assert result.code == 3
    assert "@arthur" in result.err


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["hi", "@arthur"], "maw send @arthur 'hi'"),
        (["are", "you", "there", "@arthur@mbp"], "maw send @arthur@mbp 'are you there'"),
        (["are you there?", "@arthur"], "maw send @arthur 'are you there?'"),
    ],
)
def test_who_is_meant_and_what_is_said_the_wrong_way_round(
    words: list[str], hint: str, cli: Cli, daemon: FakeDaemon
) -> None:
    for name in ("hi", "are"):
        daemon.answers[f"POST /api/channels/{name}/messages"] = error(
            404, "no_such_channel", f"no channel is called {name}", "`maw channel create hi` makes it"
        )
    result = cli("send", *words)
    assert result.code in (2, 3)
    assert hint in result.err


@pytest.mark.parametrize("words", [["send"], ["post"], ["read"], ["send", "@arthur"]])
def test_what_the_shell_took_for_a_comment(words: list[str], cli: Cli, daemon: FakeDaemon) -> None:
    result = cli(*words)  # as of: maw send #general hi
    assert result.code == 2
    assert "#" in result.err
    assert daemon.asked == []


@pytest.mark.parametrize(
    ("recipient", "says"),
    [
        ({"state": "replicated"}, "arthur@mbp"),
        ({"online": True}, "on its way to arthur@mbp"),
        ({"online": False, "last_seen": "2026-11-21T05:00:00Z"}, "arthur@mbp is offline, 3 h"),
        ({"online": False, "last_seen": None}, "arthur@mbp is offline, not seen yet"),
    ],
)
def test_the_answer_says_whom_it_waits_for(recipient: dict[str, Any], says: str) -> None:
    now = parse_time("2026-11-21T08:00:00Z")
    assert now is not None
    line = receipt_line(a_receipt(**{"state": "stored", **recipient}), now.timestamp())
    assert line == f"{recipient.get('state', 'stored')} · {says} · {ID}"


def test_many_recipients_are_counted() -> None:
    one = a_receipt(online=False)["recipients"][0]
    receipt = {**a_receipt(), "recipients": [one] * 3 + [{**one, "online": True}] * 3}
    assert receipt_line(receipt, 0.0) == f"stored · 6 recipients, 3 offline · {ID}"


def test_a_post_names_only_those_it_has_not_reached() -> None:
    away = a_receipt(online=False)["recipients"][0]
    there = {**away, "agent": "pi@pi", "state": "replicated"}
    receipt = {**a_receipt(), "recipients": [away, there], "message": a_message(42)}
    assert receipt_line(receipt, 0.0) == f"stored · #general · arthur@mbp is offline, not seen yet · {ID}"


def test_json_is_the_receipt_as_it_came(cli: Cli, daemon: FakeDaemon) -> None:
    daemon.answers["POST /api/direct"] = (201, a_receipt())
    assert json.loads(cli("send", "@arthur", "hi", "--json").out) == a_receipt()


def test_warnings_go_to_standard_error(cli: Cli, daemon: FakeDaemon) -> None:
    daemon.answers["POST /api/direct"] = (201, {**a_receipt(), "warnings": ["arthur is two\x1b[0m"]})
    result = cli("send", "@arthur", "hi")
    assert result.err == "note: arthur is two⟨U+001B⟩[0m\n"
    assert result.out.count("\n") == 1


def test_waiting_for_replication_is_asked_for(cli: Cli, daemon: FakeDaemon) -> None:
    daemon.answers["POST /api/direct"] = (201, a_receipt("replicated"))
    assert cli("send", "@arthur", "hi", "--wait", "replicated", "--timeout", "1m").code == 0
    assert daemon.last.query == {"wait": "replicated", "timeout": "60"}


@pytest.mark.parametrize("flag", [[], ["--json"]])
def test_accepted_but_not_confirmed_is_7_with_the_id(flag: list[str], cli: Cli, daemon: FakeDaemon) -> None:
    answer = error(504, "unconfirmed", "stored here, but not confirmed within 1 s", "do not send it again")
    daemon.answers["POST /api/direct"] = (504, {**answer[1], "receipt": a_receipt(online=False)})
    result = cli("send", "@arthur", "hi", "--wait", "replicated", "--timeout", "1", *flag)
    assert result.code == 7
    assert ID in result.out
    if flag:
        told = json.loads(result.out)
        assert (told["error"]["code"], told["receipt"]["id"]) == ("unconfirmed", ID)
        assert result.err == ""
    else:
        assert result.out == f"stored · arthur@mbp is offline, not seen yet · {ID}\n"
        assert "not confirmed" in result.err


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["--wait", "seen"], "--wait replicated, delivered, read, acked"),
        (["--wait", "replicated", "--timeout", "soon"], "--timeout"),
        (["--as", "a b"], "--as"),
    ],
)
def test_wrong_options_ask_nothing_of_the_daemon(
    args: list[str], says: str, cli: Cli, daemon: FakeDaemon
) -> None:
    result = cli("send", "@arthur", "hi", *args)
    assert result.code == 2
    assert says in result.err
    assert daemon.asked == []


def test_a_dash_reads_standard_input(cli: Cli, daemon: FakeDaemon) -> None:
    daemon.answers["POST /api/direct"] = (201, a_receipt())
    assert cli("send", "@arthur", "-", stdin="สวัสดี\nครับ\n\n".encode()).code == 0
    assert daemon.last.body["text"] == "สวัสดี\nครับ"


@pytest.mark.parametrize(
    ("words", "stdin", "says"),
    [
        ([], b"", "what should be said"),
        (["", " "], b"", "empty"),
        (["-"], b"", "empty"),
        (["-"], b"ok \xff", "not UTF-8: byte 0xff at position 4"),
        (["-"], b"x" * 70_000, "70,000 bytes"),
        (["-"], b"a\r\n", "tr -d"),
        (["-"], b"\x1b[31mred", "escape"),
        (["\udcff"], b"", "not valid Unicode"),
    ],
)
def test_text_that_cannot_be_sent_is_refused_here(
    words: list[str], stdin: bytes, says: str, cli: Cli, daemon: FakeDaemon
) -> None:
    result = cli("send", "@arthur", *words, stdin=stdin)
    assert result.code == 2
    assert says in result.err
    assert daemon.asked == []


def test_words_that_begin_with_a_dash_go_after_two(cli: Cli, daemon: FakeDaemon) -> None:
    daemon.answers["POST /api/direct"] = (201, a_receipt())
    assert cli("send", "@arthur", "--", "-v", "--json").code == 0
    assert daemon.last.body["text"] == "-v --json"


def test_a_daemon_that_dies_in_the_middle_is_asked_again_with_the_same_key(
    cli: Cli, daemon: FakeDaemon
) -> None:
    daemon.answers["POST /api/direct"] = [Hangup(), Hangup(), (201, a_receipt())]
    result = cli("send", "@arthur", "hi")
    assert (result.code, result.out.split()[0]) == (0, "stored")
    assert len({asked.headers["idempotency-key"] for asked in daemon.asked}) == 1
    assert len(daemon.asked) == 3


def test_a_daemon_whose_log_comes_back_is_asked_again_with_the_same_key(
    cli: Cli, daemon: FakeDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("maw.client.daemon.RECOVERING_PAUSE_S", 0.01)
    monkeypatch.setattr("maw.client.daemon.RESTART_S", 0.0)
    recovering, full = error(503, "recovering", "it comes back"), error(503, "read_only", "full")
    daemon.answers["POST /api/direct"] = [recovering, recovering, (201, a_receipt())]
    assert cli("send", "@arthur", "hi").code == 0
    assert len({asked.headers["idempotency-key"] for asked in daemon.asked}) == 1
    assert len(daemon.asked) == 3
    daemon.answers["POST /api/direct"] = [full, (201, a_receipt())]
    assert "full" in cli("send", "@arthur", "hi").err, "a disk does not come by itself"


def test_it_is_not_asked_for_ever(home: Path, daemon: FakeDaemon, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("maw.client.daemon.RECOVERING_PAUSE_S", 0.01)
    daemon.answers["POST /api/direct"] = error(503, "recovering", "it comes back")
    with pytest.raises(Unavailable, match="it comes back"):
        Daemon(daemon.path).post_once("/api/direct", {}, patience=0.1)
    assert len(daemon.asked) > 1


def test_one_that_does_not_come_back_leaves_it_open(
    cli: Cli, daemon: FakeDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("maw.client.daemon.RESTART_S", 0.2)
    daemon.answers["POST /api/direct"] = Hangup()
    result = cli("send", "@arthur", "hi")
    assert result.code == 5
    assert "in the middle of the request" in result.err
    assert "maw sent" in result.err


def test_ambiguous_names_list_the_candidates(cli: Cli, daemon: FakeDaemon) -> None:
    daemon.answers["POST /api/direct"] = error(
        409, "ambiguous", "two are called arthur", candidates=["arthur@mbp", "arthur@pi"]
    )
    result = cli("send", "@arthur", "hi")
    assert result.code == 4
    assert "arthur@mbp, arthur@pi" in result.err


def test_sent_shows_how_far_each_got(cli: Cli, daemon: FakeDaemon) -> None:
    one = {**a_message(1, "on\ne"), "state": "replicated", "hosts": [{"host": "mbp", "state": "replicated"}]}
    two = {
        **a_message(2, "\x1btwo", kind="direct", channel=None, to=["arthur@mbp"]),
        "state": "stored",
        "hosts": [{"host": "mbp", "state": "stored"}, {"host": "pi", "state": "replicated"}],
    }
    daemon.answers["GET /api/sent"] = (200, [one, two])
    result = cli("sent", "-n", "5")
    first, second = result.out.splitlines()
    assert first.split() == [
        "1",
        "replicated",
        "·",
        "on",
        "mbp",
        "#general",
        "2026-11-21T08:00:00Z",
        "k7q2mx-1n3f9zq-1",
        "on",
        "e",
    ]
    assert "stored, not on mbp" in second
    assert second.endswith("⟨U+001B⟩two")
    assert "\t" not in result.out
    assert daemon.last.query == {"limit": "5"}


def test_nothing_sent_is_1(cli: Cli, daemon: FakeDaemon) -> None:
    daemon.answers["GET /api/sent"] = (200, [])
    assert cli("sent").code == 1


def test_the_receipt_drives_no_terminal(cli: Cli, daemon: FakeDaemon) -> None:
    def answer(asked: Asked) -> tuple[int, Any]:
        return 201, a_receipt(agent="a\x1b[2J\nfake line")

    daemon.answers["POST /api/direct"] = answer
    out = cli("send", "@arthur", "hi").out
    assert "\x1b" not in out
    assert out.count("\n") == 1
