"""A bundle: what is signed is proved, and whatever was changed, taken away or put in is told with its line."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maw.core.audit import (
    NOT_ASKED,
    Checker,
    Report,
    Word,
    Writer,
    entry_line,
    head_line,
    log_line,
    statement_line,
)
from maw.core.colony import Said
from maw.core.entry import START, Entry, Kind, decode, make, pack_payload
from maw.core.revocation import revocation_statement
from maw.core.statement import admit, colony_id, found
from tests.unit.core.builders import signer

OPERATOR, ONE, TWO, THIEF = signer(1), signer(2), signer(3), signer(4)
FOUNDING = found(OPERATOR, "test", bytes(16), 1, ONE.node)
COLONY = colony_id(FOUNDING)
ADMIT = admit(ONE, COLONY, TWO.node, "two", [], False, 2)


def log_of(author: Any, texts: Sequence[str], epoch: int = 5) -> list[Entry]:
    made: list[Entry] = []
    head = START
    for at, text in enumerate(texts):
        said = Said(bytes(16), "neo", "agent", "uid", text, (), None, "general")
        payload = pack_payload(bytes([at]) * 16, said.content())
        made.append(make(author, COLONY, epoch, head, (at + 1) << 16, Kind.POST, payload))
        head = made[-1].head
    return made


LOG = log_of(ONE, ["one", "two", "three", "four"])


def bundle(
    *logs: Sequence[Entry],
    left_out: Sequence[int] = (),
    sparse: bool = False,
    statements: Any = (ADMIT.wire,),
) -> list[bytes]:
    writer = Writer()
    lines = [writer.line(head_line(FOUNDING, ONE.node, 3, {"channel": "general"}, sparse=sparse))]
    lines += [writer.line(statement_line(wire)) for wire in statements]
    for log in logs:
        lines.append(writer.line(log_line(log[0].author, log[0].epoch)))
        lines += [writer.line(entry_line(one, NOT_ASKED if one.seq in left_out else None)) for one in log]
    return [*lines, writer.end()]


def check(lines: Sequence[bytes]) -> tuple[Report, list[Word]]:
    checker = Checker()
    words = [word for line in lines if (word := checker.feed(line)) is not None]
    return checker.finish(), words


def test_what_was_signed_is_proved() -> None:
    report, words = check(bundle(LOG, log_of(TWO, ["from two"]), left_out=[3]))
    assert report.problems == []
    assert [word.said.text for word in words] == ["one", "two", "four", "from two"]
    assert [word.seq for word in words] == [1, 2, 4, 1]
    assert (report.entries, report.messages, report.logs, report.statements) == (5, 4, 2, 1)
    assert report.left_out == {NOT_ASKED: 1}
    assert report.asked == {"channel": "general"}


def rewritten(lines: Sequence[bytes], at: int, change: Callable[[Any], Any]) -> list[bytes]:
    """As a forger would: one line changed, and the end made to fit."""
    writer = Writer()
    made = [
        writer.line(change(json.loads(line)) if n == at else json.loads(line))
        for n, line in enumerate(lines[:-1])
    ]
    return [*made, writer.end()]


def payload_of(text: str) -> str:
    said = Said(bytes(16), "neo", "agent", "uid", text, (), None, "general")
    return base64.b64encode(pack_payload(bytes(16), said.content())).decode()


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda line: {"entry": [*line["entry"][:2], payload_of("another word")]}, "payload"),
        (
            lambda line: {
                "entry": [line["entry"][0], base64.b64encode(bytes(64)).decode(), line["entry"][2]]
            },
            "signature",
        ),
        (lambda _: entry_line(log_of(THIEF, ["x", "y"])[1], None), "another log"),
        (lambda _: entry_line(log_of(ONE, ["x", "y"])[1], None), "does not follow"),
        (lambda _: entry_line(LOG[3], None), "taken away"),
        (lambda _: {"entry": ["!", "!"]}, "base64"),
        (lambda _: {"entry": []}, "missing"),
        (lambda _: {"strange": 1}, "none that a bundle has"),
        (lambda _: statement_line(b"x"), ""),
        (lambda _: log_line(ONE.node, 5), "second time"),
    ],
)
def test_a_forger_is_found_though_the_end_fits(change: Callable[[Any], Any], why: str) -> None:
    lines = bundle(LOG)
    second = next(n for n, line in enumerate(lines) if b'"entry"' in line) + 1
    report, _ = check(rewritten(lines, second, change))
    assert report.problems
    assert any(f"line {second + 1}: " in one and why in one for one in report.problems), report.problems


def test_what_is_taken_away_or_added_is_told() -> None:
    lines = bundle(LOG)
    assert "cut off" in check(lines[:-1])[0].problems[0]
    assert "a line was changed" in check([*lines[:1], *lines[2:]])[0].problems[-1]
    assert "behind the end" in check([*lines, lines[0]])[0].problems[0]
    assert check([])[0].problems == ["line 0: the bundle has no end: it was cut off"]
    gap = [entry for entry in LOG if entry.seq != 2]
    assert any("entries 2 to 2 were taken away" in one for one in check(bundle(gap))[0].problems)
    assert check(bundle(gap, sparse=True))[0].problems == []


def test_who_was_never_admitted_is_told() -> None:
    report, _ = check(bundle(log_of(THIEF, ["hello"])))
    assert "admitted by nobody" in report.problems[0]
    report, _ = check(bundle(log_of(TWO, ["hello"]), statements=()))
    assert "admitted by nobody" in report.problems[0]


def test_what_stands_above_a_revocation_is_counted() -> None:
    cut = revocation_statement(OPERATOR, COLONY, ONE.node, {5: LOG[1].head}, (), "stolen", 9)
    report, _ = check(bundle(LOG, statements=(ADMIT.wire, cut.wire)))
    assert report.problems == [] and report.beyond == 2


def test_an_entry_without_payload_is_left_out_as_missing() -> None:
    bare = [decode(one.header, one.signature) for one in LOG]
    report, words = check(bundle(bare))
    assert (report.problems, words, report.left_out) == ([], [], {"missing": 4})


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_damage_is_found(data: st.DataObject) -> None:
    lines = bundle(LOG, log_of(TWO, ["x"]), left_out=[2])
    at = data.draw(st.integers(0, len(lines) - 1))
    where = data.draw(st.integers(0, len(lines[at]) - 2))
    byte = data.draw(st.integers(0, 255).filter(lambda value: value != lines[at][where]))
    damaged = lines[at][:where] + bytes([byte]) + lines[at][where + 1 :]
    report, _ = check([*lines[:at], damaged, *lines[at + 1 :]])
    assert report.problems
