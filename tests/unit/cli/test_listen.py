"""inbox, ack, wait, mentions, read, tail."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.unit.cli.conftest import Cli
from tests.unit.cli.fake_daemon import Asked, FakeDaemon, Hangup, Stream, a_message, error, ws_frame

GENERAL = "GET /api/channels/general/messages"


@pytest.fixture(autouse=True)
def speaker(home: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAW_AGENT", "arthur")


def test_the_inbox_shows_who_where_when_and_how_known(cli: Cli, daemon: FakeDaemon) -> None:
    daemon.answers["GET /api/inbox"] = (200, [{**a_message(17, "hi @arthur"), "why": "mention"}])
    result = cli("inbox")
    assert result.code == 0
    assert result.out == (
        "17 · #general · neo@oracle-world (agent, known by uid) · 2026-11-21T08:00:00Z · k7q2mx-1n3f9zq-17\n"
        "  hi @arthur\n"
    )
    assert daemon.last.method == "GET"
    assert daemon.last.headers["x-maw-agent"] == "arthur"


def test_an_empty_inbox_is_1_and_silent(cli: Cli, daemon: FakeDaemon) -> None:
    daemon.answers["GET /api/inbox"] = (200, [])
    assert cli("inbox") == cli("inbox", "--limit", "3")
    result = cli("inbox")
    assert (result.code, result.out, result.err) == (1, "", "")
    assert cli("inbox", "--json").out == "[]\n"


@pytest.mark.parametrize(
    ("args", "path", "says"),
    [
        (["inbox"], "GET /api/inbox", "nothing unread"),
        (["mentions"], "GET /api/mentions", "arthur is mentioned nowhere"),
        (["read", "general"], GENERAL, "nothing in #general"),
        (["read", "general", "--after-seq", "9"], GENERAL, "nothing in #general after 9"),
    ],
)
def test_a_person_at_a_terminal_is_told_that_there_is_nothing(
    args: list[str], path: str, says: str, cli: Cli, daemon: FakeDaemon
) -> None:
    daemon.answers[path] = (200, [])
    result = cli(*args, width=80)
    assert (result.code, result.out, result.err) == (1, "", says + "\n")
    assert cli(*args).err == ""


def test_a_long_message_does_not_flood_a_terminal(cli: Cli, daemon: FakeDaemon) -> None:
    text = "x" * 65536
    daemon.answers["GET /api/inbox"] = (200, [a_message(17, text)])
    daemon.answers["GET /api/messages/17"] = (200, {**a_message(17, text), "thread": [a_message(18, text)]})
    short = cli("inbox", "--as", "arthur", width=80).out
    assert len(short) < 2000
    assert "  … (64 KiB: `maw read --as arthur 17`)\n" in short
    assert text in cli("inbox").out, "in a pipe it is whole"
    assert json.loads(cli("inbox", "--json", width=80).out)[0]["text"] == text
    whole = cli("read", "17", width=80).out
    assert text in whole.replace("\n│ ", ""), (
        "broken by maw, not by the terminal: a line of it begins with the bar"
    )
    assert all(len(line) <= 80 for line in whole.splitlines()[1:3])
    assert "`maw read 18`" in whole, "its answers are a list again"


def test_a_text_a_little_too_long_is_shown_whole(cli: Cli, daemon: FakeDaemon) -> None:
    text = "y\n" * 21 + "end"
    daemon.answers["GET /api/inbox"] = (200, [a_message(17, text)])
    assert "  end\n" in cli("inbox", width=80).out


def test_a_text_of_many_lines_is_shortened_by_lines(cli: Cli, daemon: FakeDaemon) -> None:
    daemon.answers["GET /api/inbox"] = (200, [a_message(17, "\n".join(f"line {n}" for n in range(400)))])
    out = cli("inbox", width=80).out
    assert "  line 19\n  … (3.4 KiB: `maw read 17`)" in out
    assert "line 20" not in out


def test_the_text_of_others_cannot_look_like_maw_or_drive_the_terminal(cli: Cli, daemon: FakeDaemon) -> None:
    text = "\x1b[2Jx\r\u202e\n18 · #general · root@pi (ape, known by operator key)\n\ttab"
    daemon.answers["GET /api/inbox"] = (200, [a_message(17, text, author="a\nb\x1b[1m", reply_to="\x07")])
    out = cli("inbox").out
    assert not set(out) & set("\x1b\r\u202e\x07\t")
    assert len([line for line in out.splitlines() if not line.startswith("  ")]) == 1
    as_json = cli("inbox", "--json").out
    assert as_json.isascii()
    assert json.loads(as_json)[0]["text"] == text


def test_a_reply_a_direct_message_and_a_doubtful_clock_are_said(cli: Cli, daemon: FakeDaemon) -> None:
    message = a_message(
        9, kind="direct", channel=None, to=["arthur@mbp"], reply_to="x-y-1", clock_suspect=True
    )
    daemon.answers["GET /api/inbox"] = (200, [message])
    out = cli("inbox").out
    assert "to arthur@mbp" in out
    assert "answers x-y-1" in out
    assert "clock is in doubt" in out


def test_what_is_wanted_of_the_reader_is_said_where_it_is_something(cli: Cli, daemon: FakeDaemon) -> None:
    daemon.answers["GET /api/inbox"] = (200, [a_message(9, intent="ask"), a_message(10, intent="chat")])
    first, second = (line for line in cli("inbox").out.splitlines() if not line.startswith("  "))
    assert " · ask · " in first
    assert "chat" not in second


READ = "POST /api/read"


def unread(seq: int, text: str = "hi", **more: Any) -> dict[str, Any]:
    return a_message(seq, text, **{"id": f"m-1-{seq}", "delivered_at": None, "read_at": None, **more})


@pytest.mark.parametrize("words", [["inbox"], ["wait"], ["inbox", "--json"], ["wait", "--json"]])
def test_what_was_printed_was_read(words: list[str], cli: Cli, daemon: FakeDaemon) -> None:
    before = unread(9, read_at="2026-11-21T08:00:00Z")
    daemon.answers["GET /api/inbox"] = (200, [before, unread(10), unread(11)])
    daemon.answers[READ] = (200, {"read": []})
    assert cli(*words).code == 0
    assert (daemon.last.path, daemon.last.body) == (
        "/api/read",
        {"ids": ["m-1-10", "m-1-11"], "via": words[0]},
    )


def test_who_peeks_and_who_has_read_all_tells_nothing(cli: Cli, daemon: FakeDaemon) -> None:
    daemon.answers["GET /api/inbox"] = (200, [unread(10)])
    assert cli("inbox", "--peek").code == 0
    daemon.answers["GET /api/inbox"] = (200, [unread(10, read_at="2026-11-21T08:00:00Z"), a_message(11)])
    assert cli("inbox").code == 0, "the second is as an older daemon says it"
    assert {asked.path for asked in daemon.asked} == {"/api/inbox"}


@pytest.mark.parametrize(
    "trouble", [error(503, "disk_full", "no room"), error(404, "no_such_path", "older"), Hangup()]
)
def test_a_receipt_that_cannot_be_told_is_no_trouble(trouble: Any, cli: Cli, daemon: FakeDaemon) -> None:
    daemon.answers["GET /api/inbox"] = (200, [unread(10)])
    daemon.answers[READ] = trouble
    result = cli("inbox")
    assert (result.code, result.err) == (0, "")
    assert daemon.last.path == "/api/read"


def test_what_a_terminal_shows_the_beginning_of_was_not_read(cli: Cli, daemon: FakeDaemon) -> None:
    daemon.answers["GET /api/inbox"] = (200, [unread(10, "x" * 65536), unread(11)])
    daemon.answers[READ] = (200, {"read": []})
    cli("inbox", width=80)
    assert daemon.last.body["ids"] == ["m-1-11"]
    cli("inbox")
    assert daemon.last.body["ids"] == ["m-1-10", "m-1-11"]


def test_one_message_that_was_printed_was_read_where_it_is_for_the_reader(
    cli: Cli, daemon: FakeDaemon
) -> None:
    daemon.answers[READ] = (200, {"read": []})
    daemon.answers["GET /api/messages/10"] = (200, {**unread(10, "x" * 65536), "thread": []})
    cli("read", "10", width=80)
    assert daemon.last.body == {"ids": ["m-1-10"], "via": "read"}
    daemon.answers["GET /api/messages/10"] = (200, {**a_message(10), "thread": []})
    cli("read", "10")
    assert daemon.last.path == "/api/messages/10"


def test_ack_by_id_or_number(cli: Cli, daemon: FakeDaemon) -> None:
    daemon.answers["POST /api/ack"] = (200, {"acked": ["a-b-1"], "already": ["a-b-2"], "unknown": []})
    result = cli("ack", "17", "a-b-2")
    assert (result.code, result.out) == (0, "1 acknowledged, 1 already were\n")
    assert daemon.last.body == {"ids": ["17", "a-b-2"]}


def test_ack_all(cli: Cli, daemon: FakeDaemon) -> None:
    daemon.answers["POST /api/ack"] = (200, {"acked": [], "already": [], "unknown": []})
    assert cli("ack", "--all").out == "0 acknowledged\n"
    assert daemon.last.body == {"all": True}


def test_an_unknown_id_is_3(cli: Cli, daemon: FakeDaemon) -> None:
    daemon.answers["POST /api/ack"] = (200, {"acked": ["a"], "already": [], "unknown": ["99"]})
    result = cli("ack", "a", "99")
    assert result.code == 3
    assert "99" in result.err
    assert cli("ack", "a", "99", "--json").code == 3


@pytest.mark.parametrize("args", [[], ["17", "--all"]])
def test_ack_needs_one_of_both(args: list[str], cli: Cli, daemon: FakeDaemon) -> None:
    assert cli("ack", *args).code == 2
    assert daemon.asked == []


def test_wait_answers_at_once_when_something_is_there(cli: Cli, daemon: FakeDaemon) -> None:
    daemon.answers["GET /api/inbox"] = (200, [a_message()])
    assert cli("wait", "--timeout", "30").code == 0
    assert [asked.query.get("wait") for asked in daemon.asked] == [None]


def test_wait_hears_what_nothing_better_announces_and_says_so_when_it_is_printed(
    cli: Cli, daemon: FakeDaemon
) -> None:
    daemon.answers |= {
        "GET /api/inbox": [(200, []), (200, []), (200, [a_message(18)])],
        "POST /api/hear": [(204, None), (200, {"claim": "c1"})],
        "POST /api/heard": (200, {"state": "delivered", "delivered": [18]}),
    }
    result = cli("wait")
    assert (result.code, result.out.startswith("18 · ")) == (0, True)
    assert [(asked.method, asked.path, asked.body) for asked in daemon.asked] == [
        ("GET", "/api/inbox", None),
        ("POST", "/api/hear", {"via": "wait", "wait": 50.0}),
        ("GET", "/api/inbox", None),
        ("POST", "/api/hear", {"via": "wait", "wait": 50.0}),
        ("GET", "/api/inbox", None),
        ("POST", "/api/heard", {"claim": "c1"}),
    ]


def test_wait_polls_until_something_comes(cli: Cli, daemon: FakeDaemon) -> None:
    daemon.answers["GET /api/inbox"] = [(200, []), (200, []), (200, [a_message(18)])]
    result = cli("wait", "--after-seq", "17")
    assert result.code == 0
    assert result.out.startswith("18 · ")
    assert [asked.query.get("wait") for asked in daemon.asked] == [None, "50.0", "50.0"]
    assert {asked.query["after_seq"] for asked in daemon.asked} == {"17"}


@pytest.mark.parametrize(("flag", "out"), [([], ""), (["--json"], "[]\n")])
def test_wait_gives_up_with_1(flag: list[str], out: str, cli: Cli, daemon: FakeDaemon) -> None:
    daemon.answers |= {"GET /api/inbox": (200, []), "POST /api/hear": (204, None)}
    result = cli("wait", "--timeout", "50ms", *flag)
    assert (result.code, result.out) == (1, out)


def test_wait_without_a_daemon_is_5(cli: Cli) -> None:
    assert cli("wait").code == 5


def test_wait_outlasts_a_restart_and_says_so_once(cli: Cli, daemon: FakeDaemon) -> None:
    back = threading.Event()

    def die(asked: Asked) -> Hangup:
        if not back.is_set():
            back.set()
            threading.Thread(target=restart).start()
        return Hangup()

    def restart() -> None:
        daemon.stop()
        gone.set()
        threading.Event().wait(0.8)
        daemon.answers["GET /api/inbox"] = (200, [a_message(5)])
        daemon.start()

    gone = threading.Event()
    daemon.answers |= {"GET /api/inbox": (200, []), "POST /api/hear": die}
    result = cli("wait", "--timeout", "20")
    assert gone.is_set()
    assert result.code == 0
    assert result.out.startswith("5 · ")
    assert result.err == "maw: the daemon is away; waiting for it\n"


def test_mentions_of_oneself(cli: Cli, daemon: FakeDaemon) -> None:
    daemon.answers["GET /api/mentions"] = (200, [a_message()])
    assert cli("mentions", "--after-seq", "3").code == 0
    assert daemon.last.query == {"user": "arthur", "after_seq": "3", "limit": "50"}


def test_mentions_of_somebody_else_need_no_speaker(
    cli: Cli, daemon: FakeDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MAW_AGENT")
    daemon.answers["GET /api/mentions"] = (200, [])
    assert cli("mentions", "@Neo@pi").code == 1
    assert daemon.last.query["user"] == "neo@pi"
    assert "x-maw-agent" not in daemon.last.headers


def test_in_a_terminal_the_daemon_knows_whose(
    cli: Cli, daemon: FakeDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MAW_AGENT")
    daemon.answers["GET /api/whoami"] = (200, {"agent": "nat@mbp"})
    daemon.answers["GET /api/mentions"] = (200, [a_message()])
    assert cli("mentions", tty=True).code == 0
    assert daemon.last.query["user"] == "nat@mbp"


def test_read_a_channel(cli: Cli, daemon: FakeDaemon) -> None:
    daemon.answers[GENERAL] = (200, [a_message(1), a_message(2)])
    result = cli("read", "#General", "--after-seq", "0", "--limit", "2")
    assert result.code == 0
    assert result.out.count("k7q2mx") == 2
    assert daemon.last.query == {"after_seq": "0", "limit": "2"}


def test_read_an_empty_channel_is_1(cli: Cli, daemon: FakeDaemon) -> None:
    daemon.answers[GENERAL] = (200, [])
    assert cli("read", "general").code == 1


@pytest.mark.parametrize("ref", ["17", "k7q2mx-1n3f9zq-17"])
def test_read_one_message_with_its_answers(ref: str, cli: Cli, daemon: FakeDaemon) -> None:
    message = {**a_message(17), "state": "replicated", "thread": [a_message(18, "an answer")]}
    daemon.answers[f"GET /api/messages/{ref}"] = (200, message)
    result = cli("read", ref)
    assert result.code == 0
    assert "[replicated]" in result.out
    assert "an answer" in result.out
    assert json.loads(cli("read", ref, "--json").out) == message


def test_what_is_no_channel_is_3(cli: Cli, daemon: FakeDaemon) -> None:
    daemon.answers["GET /api/channels/genral/messages"] = error(
        404, "not_found", "no channel genral", "#general?"
    )
    result = cli("read", "genral")
    assert result.code == 3
    assert "#general?" in result.err
    assert len(daemon.asked) == 1


def test_a_number_that_is_a_channel_is_meant_by_its_sign(cli: Cli, daemon: FakeDaemon) -> None:
    daemon.answers["GET /api/channels/101/messages"] = (200, [a_message()])
    assert cli("read", "#101").code == 0


# tail -----------------------------------------------------------------------------------------------


def frame(seq: int, text: str = "hello") -> dict[str, Any]:
    return {"type": "message", "message": a_message(seq, text)}


def ended(daemon: FakeDaemon, *streams: Stream) -> None:
    """The streams one after the other; then the daemon refuses, which ends the tail."""
    daemon.answers["GET /api/stream"] = [*streams, error(403, "enough", "no more")]


def test_tail_begins_with_the_latest_and_goes_on_from_there(cli: Cli, daemon: FakeDaemon) -> None:
    daemon.answers["GET /api/status"] = (200, {"seq": 16})
    daemon.answers[GENERAL] = (200, [a_message(15), a_message(17)])
    ended(daemon, Stream([frame(18), {"type": "idle", "seq": 20}], ping=True))
    result = cli("tail", "general", "-n", "2")
    assert result.code == 6
    assert [line.split()[0] for line in result.out.splitlines()[::2]] == ["15", "17", "18"]
    streams = [asked for asked in daemon.asked if asked.path == "/api/stream"]
    assert [asked.query for asked in streams] == [
        {"after_seq": "17", "channel": "general", "confirm": "true", "changes": "true"},
        {"after_seq": "20", "channel": "general", "confirm": "true", "changes": "true"},
    ]
    assert daemon.pongs == [b"are you there"]


def test_tail_of_everything_begins_now(cli: Cli, daemon: FakeDaemon) -> None:
    daemon.answers["GET /api/status"] = (200, {"seq": 16})
    ended(daemon, Stream([frame(17)]), Stream([frame(18)]))
    out = cli("tail", "--json", "--peek").out
    assert [json.loads(line)["seq"] for line in out.splitlines()[:2]] == [17, 18]
    assert [asked.query for asked in daemon.asked if asked.path == "/api/stream"] == [
        {"after_seq": "16"},
        {"after_seq": "17"},
        {"after_seq": "18"},
    ]


def test_tail_from_a_number(cli: Cli, daemon: FakeDaemon) -> None:
    ended(daemon)
    cli("tail", "--after-seq", "3")
    assert daemon.asked[0].query == {"after_seq": "3", "confirm": "true", "changes": "true"}


def test_long_and_split_frames_are_put_together(cli: Cli, daemon: FakeDaemon) -> None:
    long = json.dumps(frame(2, "x" * 70_000)).encode()
    short = json.dumps(frame(3)).encode()
    parts = ws_frame(0x1, short[:9], last=False) + ws_frame(0xA, b"") + ws_frame(0x0, short[9:])
    ended(daemon, Stream([ws_frame(0x1, long), parts]))
    out = cli("tail", "--after-seq", "1").out
    assert "x" * 70_000 in out
    assert "\n3 · " in out


@pytest.mark.parametrize(
    "bad", [b"\x81", ws_frame(0x1, b"{broken"), b"\x81\x7f" + b"\xff" * 8, ws_frame(0x8, b"")]
)
def test_a_broken_stream_is_taken_up_again(bad: bytes, cli: Cli, daemon: FakeDaemon) -> None:
    ended(daemon, Stream([frame(2), bad]), Stream([frame(3)]))
    out = cli("tail", "--after-seq", "1").out
    assert [line.split()[0] for line in out.splitlines()[::2]] == ["2", "3"]


def test_frames_of_a_later_version_are_passed_over(cli: Cli, daemon: FakeDaemon) -> None:
    ended(daemon, Stream([[1], {"type": "news"}, frame(2)]))
    assert cli("tail", "--after-seq", "1").out.startswith("2 · ")


def test_tail_tells_of_an_edit_and_a_redaction_on_a_line_of_its_own(cli: Cli, daemon: FakeDaemon) -> None:
    edited = {"type": "edited", "seq": 21, "now": a_message(2, "say \x1b[31m\nit again")}
    redacted = {"type": "redacted", "seq": 22, "now": a_message(3, "[redacted by neo at noon]")}
    ended(daemon, Stream([frame(4), edited, redacted]), Stream([edited]))
    out = cli("tail", "--after-seq", "1").out.splitlines()
    assert out[2] == "edited 2 · #general · neo@oracle-world · say ⟨U+001B⟩[31m it again"
    assert out[3] == "redacted 3 · #general · neo@oracle-world · [redacted by neo at noon]"
    assert [asked.query["after_seq"] for asked in daemon.asked][:2] == ["1", "22"]
    ended(daemon, Stream([frame(4), edited]))
    told = [
        json.loads(line) for line in cli("tail", "--after-seq", "1", "--json", "--changes").out.splitlines()
    ]
    assert [told[0]["seq"], told[1]["type"], told[1]["now"]["seq"]] == [4, "edited", 2]
    ended(daemon)
    cli("tail", "--after-seq", "1", "--json")
    assert "changes" not in daemon.asked[-1].query


def test_a_channel_that_is_not_there_ends_it_with_3(cli: Cli, daemon: FakeDaemon, home: Path) -> None:
    daemon.answers["GET /api/stream"] = error(404, "not_found", "no channel is called x")
    assert cli("tail", "x", "--after-seq", "0").code == 3
