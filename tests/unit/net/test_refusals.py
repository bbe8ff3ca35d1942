"""Who is refused most is named, however many others there are, and not for longer than a minute."""

from __future__ import annotations

from maw.net.refusals import MAX_SOURCES, NOTEWORTHY, SLOT_S, SLOTS, WORST, Refusals, Refused


class Clock:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


def test_the_worst_come_first_with_what_they_did() -> None:
    refusals = Refusals(Clock())
    for n in range(30):
        refusals.note("203.0.113.7", "too_many" if n else "timed_out")
    refusals.note("203.0.113.8", "unknown_key")
    assert refusals.total() == 31
    assert refusals.worst() == [
        Refused("203.0.113.7", 30, "too many half-open, handshake never finished"),
        Refused("203.0.113.8", 1, "unknown key"),
    ]


def test_a_few_are_not_told_of() -> None:
    refusals = Refusals(Clock())
    for _ in range(NOTEWORTHY - 1):
        refusals.note("203.0.113.7", "pending")
    assert (refusals.total(), refusals.worst()) == (0, [])
    refusals.note("203.0.113.7", "pending")
    assert (refusals.total(), len(refusals.worst())) == (NOTEWORTHY, 1)


def test_it_is_over_after_a_minute() -> None:
    clock = Clock()
    refusals = Refusals(clock)
    for _ in range(3 * SLOTS):
        for _ in range(10):
            refusals.note("203.0.113.7", "too_many")
        clock.now += SLOT_S
    assert 10 * (SLOTS - 1) <= refusals.total() <= 10 * SLOTS
    assert len(refusals._slots) == SLOTS
    clock.now += SLOT_S * SLOTS
    assert (refusals.total(), refusals.worst()) == (0, [])


def test_the_worst_is_found_among_ten_thousand_and_memory_is_bounded() -> None:
    refusals = Refusals(Clock())
    for n in range(10_000):
        refusals.note(f"10.0.{n // 250}.{n % 250}", "too_many")
        if n % 5 == 0:
            refusals.note("203.0.113.7", "too_many")
            refusals.note("203.0.113.7", "too_many")
    assert refusals.total() == 14_000
    worst = refusals.worst()
    assert len(worst) == WORST
    assert worst[0].address == "203.0.113.7"
    assert worst[0].count > 3_900
    assert len(refusals._slots[-1].sources) == MAX_SOURCES
