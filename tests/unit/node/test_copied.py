"""A node that others refuse as a copy is told so itself, once, until it is over."""

from __future__ import annotations

from typing import Any, cast

from maw.core.effects import Alert
from maw.core.identity import NodeId
from maw.net.redialler import DialState
from maw.node.alerts import Alerts
from maw.node.copied import CopyWatch

PEER, OTHER = NodeId(b"p" * 32), NodeId(b"o" * 32)
REFUSED = DialState("waiting", 0.0, last_error="it is", last_error_code="copied_host")
AWAY = DialState("waiting", 0.0, last_error="no route", last_error_code="no_route")


class Told:
    def __init__(self) -> None:
        self.heard: list[Any] = []

    def raise_alert(self, alert: Alert) -> None:
        self.heard.append((alert.kind, alert.subject, alert.text))

    def settle(self, kind: str, subject: str) -> None:
        self.heard.append((kind, subject, "settled"))


def test_told_once_and_settled_when_nobody_says_so_any_more() -> None:
    told = Told()
    watch = CopyWatch(cast(Alerts, told), "k7q2mx", lambda key: {PEER: "pi", OTHER: "mbp"}[key])
    watch.look({PEER: AWAY})
    assert told.heard == []
    for states in ({PEER: REFUSED, OTHER: AWAY}, {PEER: REFUSED, OTHER: REFUSED}):
        watch.look(states)
    ((kind, subject, text),) = told.heard
    assert (kind, subject) == ("copied_host", "k7q2mx")
    assert "another running node holds this node's key: pi is linked with that one" in text
    assert "`maw init` anew" in text
    watch.look({PEER: DialState("linked", 1.0), OTHER: AWAY})
    watch.look({})
    assert told.heard[1:] == [("copied_host", "k7q2mx", "settled")]
