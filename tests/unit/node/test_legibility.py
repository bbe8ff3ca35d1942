"""A human hears of an agent whose words can hardly be read, once a day."""

from __future__ import annotations

from maw.core.colony import Said
from maw.core.effects import Alert
from maw.node.legibility import AGAIN_S, LEAST, WAITING, Legibility
from maw.store.state import AgentRow

NEO = AgentRow(1, 1, b"n" * 16, "neo", "agent", 0)
ARTHUR = AgentRow(2, 1, b"a" * 16, "arthur", "agent", 0)
WALL = "k7" * 100
PLAIN = "the build is green again, and I have told everybody who asked for it this morning; what is next on the list?"


def said(text: str) -> Said:
    return Said(b"n" * 16, "neo", "agent", "uid", text, (), channel="general")


def test_it_is_told_once_a_day_of_who_mostly_writes_so() -> None:
    told: list[Alert] = []
    now = 0.0
    watch = Legibility(lambda agent: f"{agent.name}@mbp", told.append, lambda: now)
    for _ in range(LEAST - 1):
        watch.heard(NEO, said(WALL))
        watch.heard(ARTHUR, said(PLAIN))
    watch.look()
    assert told == [], "too few to judge"
    watch.heard(NEO, said(WALL))
    watch.heard(ARTHUR, said(WALL))
    watch.look()
    assert [(one.kind, one.subject) for one in told] == [("unreadable", "neo@mbp")]
    assert "without a space" in told[0].text
    for _ in range(WAITING + 5):
        watch.heard(NEO, said(WALL))
    watch.look()
    assert len(told) == 1
    now = AGAIN_S
    watch.heard(NEO, said(WALL))
    watch.look()
    assert len(told) == 2
    for _ in range(LEAST):
        watch.heard(NEO, said(PLAIN))
    watch.look()
    now = 2 * AGAIN_S
    watch.heard(NEO, said(WALL))
    watch.look()
    assert len(told) == 2, "it is over"
