"""Alive, sleeping, dead; and how seldom anything has to be said of it."""

from __future__ import annotations

import random
from dataclasses import replace

import msgpack
import pytest

from maw.core.presence import HOUR_MS, MAX_AGENTS, NOT_SEEN, WEEK_MS, Known, Presence, Seen, due, status

NOW = 1_800_000_000_000
MINUTE = 60_000
ONE = Known(bytes(16), "agent", None, NOW - 2 * WEEK_MS, NOT_SEEN, NOT_SEEN)


@pytest.mark.parametrize(
    ("seen", "role", "pulse_s", "expected"),
    [
        (Seen(NOW - 59 * MINUTE), "agent", None, "alive"),
        (Seen(NOW - 61 * MINUTE), "agent", None, "sleeping"),
        (Seen(NOW - WEEK_MS - 1), "agent", None, "dead"),
        (NOT_SEEN, "agent", None, "dead"),
        (NOT_SEEN, "ape", None, "sleeping"),
        (Seen(NOW - 60 * MINUTE), "agent", 1800, "alive"),
        (Seen(NOW - 62 * MINUTE), "agent", 1800, "sleeping"),
        (Seen(NOW - 301 * MINUTE), "agent", 1800, "dead"),
        (Seen(NOW - 9 * MINUTE), "agent", 60, "alive"),
        (Seen(NOW - 59 * MINUTE), "agent", 60, "sleeping"),
        (Seen(NOW, None, True), "agent", None, "dead"),
    ],
)
def test_status(seen: Seen, role: str, pulse_s: int | None, expected: str) -> None:
    assert status(seen, role, pulse_s, NOW - 2 * WEEK_MS, NOW) == expected


def test_who_is_new_sleeps() -> None:
    assert status(NOT_SEEN, "agent", None, NOW - MINUTE, NOW) == "sleeping"


@pytest.mark.parametrize(
    ("told", "real", "is_due"),
    [
        (NOT_SEEN, Seen(NOW), True),
        (Seen(NOW - 30 * MINUTE), Seen(NOW), False),  # everybody takes it for alive as it is
        (Seen(NOW - 56 * MINUTE), Seen(NOW), True),  # soon nobody would
        (Seen(NOW - 56 * MINUTE), Seen(NOW - 56 * MINUTE), False),  # nor does it
        (Seen(NOW - WEEK_MS), Seen(NOW - 2 * HOUR_MS), False),
        (Seen(NOW), Seen(NOW, None, True), True),
    ],
)
def test_something_is_said_when_one_would_be_misjudged(told: Seen, real: Seen, is_due: bool) -> None:
    assert bool(due([replace(ONE, told=told, real=real)], NOW)) is is_due


def test_pulses_alone_are_said_seldom() -> None:
    one = replace(ONE, told=Seen(NOW, NOW - 10 * MINUTE), real=Seen(NOW, NOW))
    assert due([one], NOW, NOW - 14 * MINUTE) == []
    assert due([one], NOW, NOW - 15 * MINUTE) == [one]


def test_with_one_all_of_whom_there_is_news() -> None:
    agents = [
        replace(ONE, id=bytes([n]) * 16, told=Seen(NOW - 10 * MINUTE), real=Seen(NOW - n * MINUTE))
        for n in range(12)
    ]
    assert due(agents, NOW) == []
    late = replace(ONE, told=Seen(NOW - HOUR_MS), real=Seen(NOW))
    assert due([*agents, late], NOW) == [agents[0], late, *agents[1:10]], "but for those of whom it is known"
    many = [replace(ONE, id=n.to_bytes(16), real=Seen(NOW)) for n in range(MAX_AGENTS + 1)]
    assert len(due(many, NOW)) == MAX_AGENTS


@pytest.mark.parametrize(("pulse_s", "most"), [(None, 80), (1800, 120)])
def test_thirteen_agents_that_work_all_day_cost_little(pulse_s: int | None, most: int) -> None:
    draw = random.Random(13)
    agents = [replace(ONE, id=bytes([n]) * 16, pulse_s=pulse_s) for n in range(13)]
    entries, last = 0, NOW
    for minute in range(24 * 60):
        now = NOW + minute * MINUTE
        for at, one in enumerate(agents):
            real = one.real
            if pulse_s and minute % 30 == at * 2:
                real = Seen(now, now)
            if draw.random() < 0.1:
                real = Seen(now, real.pulsed)
            agents[at] = replace(one, real=real)
        told = {one.id for one in due(agents, now, last)}
        if told:
            entries, last = entries + 1, now
            agents = [replace(one, told=one.real) if one.id in told else one for one in agents]
        if minute:
            views = [
                status(one.told, one.role, one.pulse_s, one.created, now) for one in agents if one.real.active
            ]
            truth = [
                status(one.real, one.role, one.pulse_s, one.created, now) for one in agents if one.real.active
            ]
            assert views == truth
    assert entries < most


def test_what_is_said_is_read() -> None:
    said = Presence(((bytes(16), Seen(NOW, NOW - 1, False)), (b"n" * 16, Seen(None, None, True))))
    assert Presence.read(msgpack.unpackb(msgpack.packb(said.content()))) == said


@pytest.mark.parametrize(
    "agents",
    [
        None, [[b"short", 1, 2, False]], [[bytes(16), -1, 2, False]], [[bytes(16), 1, "2", False]],
        [[bytes(16), 1, 2, 0]], [[bytes(16), 1, 2]], [[bytes(16), 1, 2, False]] * 501,
    ],
)  # fmt: skip
def test_what_no_maw_would_write_is_refused(agents: object) -> None:
    with pytest.raises(ValueError, match="agents"):
        Presence.read({"agents": agents})


def test_a_later_version_may_say_more_of_each() -> None:
    assert Presence.read({"agents": [[bytes(16), 1, None, False, "more"]]}).agents == ((bytes(16), Seen(1)),)
