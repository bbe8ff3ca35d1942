"""Peers without a common version are told of on both sides, by name where it is known, until they link."""

from __future__ import annotations

import pytest

from maw.core.effects import Alert
from maw.core.identity import NodeId, short_key
from maw.errors import HandshakeRefused
from maw.net.redialler import DialState
from maw.node.version_watch import MAX_SOURCES, MISMATCH, VersionWatch

PEER = NodeId(b"p" * 32)
WHY = HandshakeRefused(
    "no protocol version in common: the listener speaks 1, the dialler 2", code="version_mismatch"
)


class Told:
    """What there is to be seen in ``maw status``."""

    def __init__(self) -> None:
        self.shown: dict[str, str] = {}
        self.raised = 0
        self.watch = VersionWatch("0.1.0", self._raise, self._settle, lambda _: ("oracle", "0.0.9"))

    def _raise(self, alert: Alert) -> None:
        self.raised += 1
        self.shown[alert.subject] = alert.text

    def _settle(self, kind: str, subject: str) -> None:
        assert kind == "version"
        self.shown.pop(subject, None)


@pytest.fixture
def told() -> Told:
    return Told()


def dialled(error: str = "10.0.0.2:6290: refused: the listener speaks 2, the dialler 1") -> DialState:
    return DialState("waiting", 0.0, address="10.0.0.2:6290", last_error=error, last_error_code=MISMATCH)


def test_whom_we_dial_is_named_once_with_both_versions(told: Told) -> None:
    told.watch.look({PEER: dialled()})
    told.watch.look({PEER: dialled()})
    text = told.shown[short_key(PEER)]
    assert told.raised == 1
    for word in (
        "oracle",
        "10.0.0.2:6290",
        "speaks 2",
        "dialler 1",
        "maw 0.1.0",
        "0.0.9",
        "update the older",
    ):
        assert word in text
    told.watch.look({PEER: dialled("10.0.0.2:6290: refused: the listener speaks 3, the dialler 1")})
    assert "speaks 3" in told.shown[short_key(PEER)], "it was updated, to another one that will not do"


def test_other_troubles_are_not_told_here(told: Told) -> None:
    away = DialState("waiting", 0.0, last_error="no route", last_error_code="unreachable")
    told.watch.look({PEER: away})
    told.watch.refused("10.0.0.2", HandshakeRefused("who are you?", code="unknown_key"))
    assert not told.raised


def test_who_dials_us_is_named_by_address_unless_dialling_told_more(told: Told) -> None:
    told.watch.refused("10.0.0.2", WHY)
    told.watch.refused("10.0.0.2", WHY)
    assert told.raised == 1
    assert "the listener speaks 1, the dialler 2" in told.shown["10.0.0.2"]
    told.watch.look({PEER: dialled()})
    assert list(told.shown) == [short_key(PEER)], "one alert for one trouble"
    told.watch.refused("10.0.0.2", WHY)
    assert list(told.shown) == [short_key(PEER)]


def test_a_link_ends_it_also_after_a_restart(told: Told) -> None:
    told.shown = {short_key(PEER): "from before the update", "10.0.0.2": "from before the update"}
    told.watch.met(PEER, "10.0.0.2:41000")
    assert not told.shown


def test_strangers_cannot_fill_the_alerts(told: Told) -> None:
    for n in range(MAX_SOURCES + 10):
        told.watch.refused(f"10.0.1.{n}", WHY)
    assert len(told.shown) == MAX_SOURCES
