"""What a pulse has to do, and how much of it."""

from __future__ import annotations

from typing import Any

import pytest

from maw.core.pulsing import (
    LONGEST_LIMIT_S,
    LONGEST_PAUSE_S,
    Do,
    Failing,
    Found,
    failed,
    fitting,
    is_empty,
    left_of,
    to_append,
    to_tell,
    unsaid,
    weight,
    what_to_do,
)

NOW = 1_000_000.0


@pytest.mark.parametrize(
    ("found", "do"),
    [
        (Found(), Do.NOTHING),
        (Found(waking=1), Do.RUN),
        (Found(directives=True), Do.RUN),
        (Found(tasks=True), Do.RUN),
        (Found(begun=True), Do.RUN),
        (Found(waking=3, answered=True), Do.GO_ON),
    ],
)
def test_what_begins_a_run(found: Found, do: Do) -> None:
    assert what_to_do(found, None, NOW) is do


def test_after_a_failure_the_runner_is_left_alone_for_a_while_and_a_kept_answer_goes_out() -> None:
    failing = failed(None, "no", NOW)
    assert what_to_do(Found(waking=1), failing, NOW + 299) is Do.WAIT
    assert what_to_do(Found(waking=1), failing, NOW + 299, insist=True) is Do.RUN
    assert what_to_do(Found(waking=1), failing, NOW + 300) is Do.RUN
    assert what_to_do(Found(), failing, NOW) is Do.NOTHING
    assert what_to_do(Found(answered=True), failing, NOW) is Do.GO_ON


def test_a_clock_that_was_set_back_silences_nobody() -> None:
    assert what_to_do(Found(waking=1), Failing(1, NOW + LONGEST_LIMIT_S + 1, "x"), NOW) is Do.RUN


def test_each_failure_in_a_row_is_waited_for_twice_as_long_and_the_third_is_told() -> None:
    failing, pauses, told = None, [], []
    for _ in range(9):
        failing = failed(failing, "broken", NOW)
        pauses.append(failing.until - NOW)
        told.append(to_tell(failing))
    assert pauses == [300, 600, 1200, 2400, 4800, 9600, 19200, LONGEST_PAUSE_S, LONGEST_PAUSE_S]
    assert told[:2] == [None, None] and told[2] == "its runner failed 3 times in a row, the last time: broken"


def test_a_limit_is_waited_for_until_it_ends_for_a_day_at_most() -> None:
    assert failed(None, "limit", NOW, NOW + 7200).until == NOW + 7200
    assert failed(None, "limit", NOW, NOW + 10).until == NOW + 300
    assert failed(None, "limit", NOW, NOW + 1e9).until == NOW + LONGEST_LIMIT_S


def test_a_pulse_that_was_killed_goes_on_at_once_but_not_for_ever() -> None:
    first = failed(None, "killed", NOW, killed=True)
    second = failed(first, "killed", NOW, killed=True)
    assert what_to_do(Found(begun=True), second, NOW) is Do.RUN
    third = failed(second, "killed", NOW, killed=True)
    assert what_to_do(Found(begun=True), third, NOW) is Do.WAIT and to_tell(third) is not None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n \n",
        "# Heartbeat\n\n## Later\n",
        "<!-- do this -->\n",
        "# H\n<!-- one\n- two\n-->\n- \n* [ ]\n---\n",
        "<!-- never closed\n- do it",
    ],
)
def test_headings_comments_and_empty_items_are_nothing(text: str) -> None:
    assert is_empty(text)


@pytest.mark.parametrize(
    "text", ["- x", "do it", "#channel", "<!-- a --> b", "- [ ] write", "<!-- a\n-->\nx"]
)
def test_all_else_is_something(text: str) -> None:
    assert not is_empty(text)


def test_what_was_handed_over_leaves_the_tasks_and_what_came_meanwhile_stays() -> None:
    handed = "<!-- once -->\n# Today\n- one\n- two\n"
    assert left_of(handed, handed) == "<!-- once -->\n# Today\n"
    assert left_of(handed + "- three\n", handed) == "<!-- once -->\n# Today\n- three\n"
    assert left_of("- two\n- two\n", "- two\n") == "- two\n"
    assert left_of("<!--\n- two\n-->\n- two\n", "- two\n") == "<!--\n- two\n-->\n"
    assert left_of("<!-- once -->\n- three\n", handed) == "<!-- once -->\n- three\n"


def test_an_entry_stands_in_the_log_once_however_its_writing_ended() -> None:
    entry = b"\n## 2026-11-22 08:00 UTC, pulse abc\n\n- heard 4\n"
    for before in (b"", b"# log\n", b"# log\nno newline"):
        for size in range(len(entry) + 1):
            there = before + entry[:size]
            cut, more = to_append(there, entry)
            got = there[: len(there) - cut] + more
            assert got.count(b"pulse abc") == 1 and got.count(b"- heard 4\n") == 1, (before, size, got)
            assert to_append(got + b"later\n", entry) == (0, b"")
    assert to_append(b"# log\n", entry) == (0, entry), "a newline of another's stays"


def message(seq: int, **more: Any) -> dict[str, Any]:
    return {"seq": seq, "operator": None, "intent": "chat", "why": "direct", **more}


def test_which_messages_come_first() -> None:
    messages = [
        message(1, why="watched"),
        message(2, intent="inform"),
        message(3),
        message(4, priority="high"),
        message(5, operator="jonathan"),
        message(6, priority="low"),
    ]
    assert [one["seq"] for one in sorted(messages, key=weight)] == [5, 4, 3, 1, 2, 6]


@pytest.mark.parametrize(
    ("sizes", "taken"), [([], 0), ([10**9], 1), ([30, 30, 30], 3), ([30, 30, 41], 2), ([1] * 9, 5)]
)
def test_what_fits(sizes: list[int], taken: int) -> None:
    assert fitting(sizes, most=5, chars=100) == taken


def test_what_was_said_already_is_not_said_again_as_often_as_it_was() -> None:
    one, other = ("@", "yes"), ("#general", "yes")
    assert unsaid([one, one, other], [one]) == [False, True, True]
    assert unsaid([one, one], [one, one, one]) == [False, False]
    assert unsaid([], [one]) == []
