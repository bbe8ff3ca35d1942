"""Peers that flood, are slow or break the rules: named while it lasts, settled when it is over."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from maw.core.effects import Alert
from maw.core.identity import NodeId, short_key
from maw.core.pacing import BURST, UNIT_BYTES
from maw.errors import HandshakeRefused, LinkClosed
from maw.node.conduct import (
    BREACHES_S,
    FLOOD_END_S,
    FLOODING,
    FLOODING_WINDOW_S,
    FORGIVEN,
    HOLD_OFF_MAX_S,
    HOLD_OFF_S,
    REMEMBERED_S,
    SLOW,
    SLOW_AFTER,
    SLOW_BYTES,
    SLOW_RATE,
    Conduct,
    Traffic,
)

NEO, EVE = NodeId(b"n" * 32), NodeId(b"e" * 32)


@dataclass
class Bench:
    now: float = 1000.0
    alerts: list[Alert] = field(default_factory=list)
    settled: list[tuple[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.conduct = Conduct(
            lambda: self.now,
            name=lambda key: {NEO: "neo", EVE: "eve"}[key],
            alert=self.alerts.append,
            settle=lambda kind, subject: self.settled.append((kind, subject)),
        )

    def look(self, *links: Traffic) -> None:
        self.now += 1
        self.conduct.look(links)

    def refused(self, peer: NodeId) -> HandshakeRefused | None:
        try:
            self.conduct.check(peer)
        except HandshakeRefused as no:
            return no
        return None


def test_one_that_takes_little_while_much_waits_is_slow_until_it_takes_it() -> None:
    bench = Bench()
    waiting = SLOW_BYTES * 12
    for n in range(SLOW_AFTER + 1):
        assert bench.conduct.words(EVE) == []
        bench.look(Traffic(EVE, waiting, 100 * n), Traffic(NEO, 0, 5))
    assert bench.conduct.words(EVE) == ["slow: 3.0 MiB waiting for it"]
    assert bench.conduct.all() == {EVE: ["slow: 3.0 MiB waiting for it"]}
    (alert,) = bench.alerts
    assert (alert.kind, alert.subject) == (SLOW, short_key(EVE))
    assert "eve" in alert.text
    bench.look(Traffic(EVE, SLOW_BYTES - 1, waiting))
    assert bench.conduct.words(EVE) == []
    assert bench.settled == [(SLOW, short_key(EVE))]


def test_one_in_the_middle_of_a_catch_up_is_not_slow() -> None:
    """Much is always on its way to it, and it takes that."""
    bench = Bench()
    for n in range(60):
        bench.look(Traffic(NEO, SLOW_BYTES * 4, n * (SLOW_RATE + 1)))
    assert bench.conduct.all() == {}
    assert not bench.alerts


def test_a_slow_ones_end_settles_it_and_is_remembered_for_a_while() -> None:
    bench = Bench()
    for _ in range(SLOW_AFTER + 1):
        bench.look(Traffic(EVE, SLOW_BYTES, 0))
    bench.conduct.ended(EVE, "silent")
    assert bench.settled == [(SLOW, short_key(EVE))]
    assert bench.conduct.words(EVE) == ["silent: its link was given up"]
    bench.conduct.linked(EVE)
    assert bench.conduct.words(EVE) == []
    bench.conduct.ended(EVE, "cannot_keep_up")
    assert "too much waited" in bench.conduct.words(EVE)[0]
    bench.now += REMEMBERED_S
    assert bench.conduct.words(EVE) == []
    bench.conduct.ended(NEO, "link_closed")
    assert bench.conduct.all() == {}


def test_a_flood_is_slowed_told_once_and_over_after_a_while() -> None:
    bench = Bench()
    pace = bench.conduct.pace()
    assert bench.conduct.spent(EVE, pace, int(BURST - 1) * UNIT_BYTES) == 0.0
    assert bench.conduct.all() == {}, "a burst is no flood"
    for _ in range(10):
        bench.now += bench.conduct.spent(EVE, pace, 10_000 * UNIT_BYTES)
    assert bench.conduct.words(EVE)[0].startswith("flooding: slowed by ")
    assert [(alert.kind, alert.subject) for alert in bench.alerts] == [(FLOODING, short_key(EVE))]
    with pytest.raises(LinkClosed, match="flooding"):
        for _ in range(int(FLOOD_END_S)):
            bench.now += bench.conduct.spent(EVE, pace, 10_000 * UNIT_BYTES)
    assert "broke the protocol once (flooding)" in bench.conduct.words(EVE)
    bench.conduct.linked(EVE)
    assert bench.conduct.spent(EVE, pace, UNIT_BYTES), "another link begins anew"
    bench.now += FLOODING_WINDOW_S - 2
    bench.look()
    assert not bench.settled
    bench.now += 2
    bench.look()
    assert bench.settled == [(FLOODING, short_key(EVE))]
    assert bench.conduct.words(EVE) == ["broke the protocol once (flooding)"]


def test_breaches_are_forgiven_then_held_off_longer_each_time_and_forgotten() -> None:
    bench = Bench()
    assert bench.refused(EVE) is None
    for _ in range(FORGIVEN):
        bench.conduct.broke(EVE, "bad_frame")
    assert bench.refused(EVE) is None
    assert bench.conduct.words(EVE) == [f"broke the protocol {FORGIVEN} times (bad_frame)"]
    bench.conduct.broke(EVE, "forged")
    no = bench.refused(EVE)
    assert no is not None
    assert no.code == "held_off"
    assert "held off for 10 s" in bench.conduct.words(EVE)[0]
    bench.now += HOLD_OFF_S
    assert bench.refused(EVE) is None
    bench.conduct.broke(EVE, "forged")
    bench.now += HOLD_OFF_S
    assert bench.refused(EVE) is not None
    for _ in range(20):
        bench.conduct.broke(EVE, "forged")
    bench.now += HOLD_OFF_MAX_S - 1
    assert bench.refused(EVE) is not None
    bench.now += 1
    assert bench.refused(EVE) is None
    bench.now += BREACHES_S
    assert bench.conduct.words(EVE) == []
    assert bench.refused(NEO) is None


@pytest.mark.parametrize("times", [1, 2])
def test_times(times: int) -> None:
    bench = Bench()
    for _ in range(times):
        bench.conduct.broke(EVE, "bad_frame")
    assert bench.conduct.words(EVE)[0].startswith(
        "broke the protocol " + ("once" if times == 1 else "2 times")
    )
