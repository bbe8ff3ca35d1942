"""Tables, times, sizes, colour."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from maw.cli.output import Output, block, one_line_kept, parse_time, size, span, words
from maw.cli.params import duration
from maw.errors import BadInput


def printed(out: Output) -> str:
    assert isinstance(out.stream, io.StringIO)
    return out.stream.getvalue()


def test_a_pipe_gets_plain_lines_without_a_heading() -> None:
    out = Output(io.StringIO())
    out.table(["name", "text"], [["a", "x" * 300], ["bbb", "漢\ty\x1b"]])
    assert printed(out) == f"a    {'x' * 300}\nbbb  漢 y⟨U+001B⟩\n"


def test_a_terminal_gets_a_heading_and_is_not_overrun() -> None:
    out = Output(io.StringIO(), colour=True, width=20)
    out.table(["name", "text"], [["漢字", "x" * 300], ["b", "y"]])
    heading, first, second = printed(out).splitlines()
    assert heading == "\x1b[2mname  text\x1b[0m"
    assert first == "漢字  " + "x" * 13 + "…"
    assert second == "b     y"


HEAD = ["name", "state", "behind", "address"]
ROWS = [["mbp", "linked", "0", "10.44.0.2:6290, mbp.example.net:6290"], ["oracle-world", "–", "17", "–"]]


@pytest.mark.parametrize("width", [24, 30, 40, 60, 80])
def test_no_line_of_a_table_is_wider_than_the_terminal(width: int) -> None:
    out = Output(io.StringIO(), width=width)
    out.table(HEAD, ROWS)
    assert all(len(line) <= width for line in printed(out).splitlines())


def test_columns_without_room_stand_below_their_row_by_name() -> None:
    out = Output(io.StringIO(), width=30)
    out.table(HEAD, ROWS)
    assert printed(out).splitlines() == [
        "name          state   behind",
        "mbp           linked  0",
        "  address 10.44.0.2:6290, mbp…",
        "oracle-world  –       17",
    ]
    out = Output(io.StringIO(), width=19)
    out.table(HEAD, ROWS[1:])
    assert printed(out).splitlines() == ["name          state", "oracle-world  –", "  behind 17"]


def test_what_is_not_there_is_said_to_people_only(capsys: pytest.CaptureFixture[str]) -> None:
    assert Output(io.StringIO()).nothing("nothing unread") == 1
    assert Output(io.StringIO(), as_json=True, width=80).nothing("nothing unread") == 1
    assert capsys.readouterr().err == ""
    assert Output(io.StringIO(), width=80).nothing("nothing unread") == 1
    assert capsys.readouterr().err == "nothing unread\n"


def test_an_empty_table_prints_nothing_in_a_pipe() -> None:
    out = Output(io.StringIO())
    out.table(["a", "b"], [])
    assert printed(out) == ""


@pytest.mark.parametrize(
    ("env", "colour"),
    [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False), ({"NO_COLOR": ""}, True)],
)
def test_colour_is_for_terminals_that_want_it(
    env: dict[str, str], colour: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "stdout", Terminal())
    assert Output.to_stdout().colour is colour
    assert Output.to_stdout().width
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    assert Output.to_stdout() == Output(sys.stdout)


def test_times() -> None:
    pipe = Output(io.StringIO())
    assert pipe.when("2026-11-21T08:00:00.123Z") == "2026-11-21T08:00:00Z"
    assert pipe.when("2026-11-21T15:00:00+07:00") == "2026-11-21T08:00:00Z"
    assert pipe.when("2026-11-21T08:00:00") == "2026-11-21T08:00:00Z"
    assert pipe.when("\x1bsoon") == "⟨U+001B⟩soon"
    assert pipe.when(None) == "?"
    assert "Nov" in Output(io.StringIO(), width=80).when("2026-11-21T08:00:00Z")
    assert parse_time(7) is None


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (-5, "0 s"),
        (59, "59 s"),
        (89, "89 s"),
        (90, "2 min"),
        (3599, "60 min"),
        (3600, "1 h"),
        (10800, "3 h"),
        (86399, "24 h"),
        (86400, "1 d"),
        (432000, "5 d"),
    ],
)
def test_spans(seconds: float, text: str) -> None:
    assert span(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (512, "512 B"),
        (54 << 20, "54 MiB"),
        (3435973836, "3.2 GiB"),
        (5 << 40, "5.0 TiB"),
        (None, "?"),
    ],
)
def test_sizes(count: float | None, text: str) -> None:
    assert size(count) == text


def test_someones_words_are_indented_line_by_line() -> None:
    assert block("a\n\nb\tc") == "  a\n  \n  b   c"
    assert words(None) == words("") == "–"
    assert words(0) == "0"


def test_a_line_is_cut_at_the_width_with_its_spaces() -> None:
    assert one_line_kept("a  b  c", 5) == "a  b…"
    assert one_line_kept("abc", 3) == "abc"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("10", 10.0),
        ("10s", 10.0),
        ("5m", 300.0),
        ("5 min", 300.0),
        ("2h", 7200.0),
        ("1d", 86400.0),
        ("0.5", 0.5),
        ("250ms", 0.25),
        (" 3S ", 3.0),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    assert duration(text, "--ttl") == seconds


@pytest.mark.parametrize("text", ["", "soon", "-1", "1y", "1e9", "١s", "9" * 20])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(BadInput, match="--ttl"):
        duration(text, "--ttl")


def test_no_module_of_the_command_line_is_long() -> None:
    folder = Path(sys.modules["maw.cli.output"].__file__ or "").parent
    assert all(len(path.read_text().splitlines()) <= 400 for path in folder.glob("*.py"))
