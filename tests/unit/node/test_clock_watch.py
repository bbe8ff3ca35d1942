import pytest

from maw.core.effects import Alert
from maw.core.identity import NodeId, short_key
from maw.node.clock_watch import NOT_AFTER_MS, ClockWatch

PEER = NodeId(b"p" * 32)
NOW = 1_800_000_000_000
MINUTE = 60_000


class Told:
    """What there is to be seen in ``maw status``."""

    def __init__(self) -> None:
        self.shown: dict[tuple[str, str], str] = {}
        self.raised = 0
        self.watch = ClockWatch("mbp", self._raise, self._settle)

    def _raise(self, alert: Alert) -> None:
        self.raised += 1
        self.shown[alert.kind, alert.subject] = alert.text

    def _settle(self, kind: str, subject: str) -> None:
        self.shown.pop((kind, subject), None)


@pytest.mark.parametrize("wrong", [0, 86_400_000, NOT_AFTER_MS])
def test_a_clock_of_another_century_is_told_once_until_it_is_right(wrong: int) -> None:
    told = Told()
    told.watch.look(wrong, "1970-01-01T00:00:00.000Z")
    told.watch.look(wrong + 1000, "1970-01-01T00:00:01.000Z")
    assert told.raised == 1
    assert "1970-01-01T00:00:00" in told.shown["clock", "mbp"]
    told.watch.look(NOW, None)
    assert not told.shown


@pytest.mark.parametrize(
    ("ahead", "words"),
    [
        (16 * MINUTE, "16 minutes ahead of"),
        (-5 * 60 * MINUTE, "5 hours behind"),
        (400 * 1440 * MINUTE, "400 days ahead of"),
    ],
)
def test_clocks_that_differ_are_told_by_how_much_and_which_way(ahead: int, words: str) -> None:
    told = Told()
    told.watch.met(PEER, "oracle", NOW + ahead, NOW)
    assert f"the clock of oracle is {words} this host's" in told.shown["clock", short_key(PEER)]
    told.watch.met(PEER, "oracle", NOW + MINUTE, NOW)
    assert not told.shown, "and no more when they agree"


def test_a_peer_that_does_not_say_is_not_accused() -> None:
    told = Told()
    told.watch.met(PEER, "oracle", 0, NOW)
    assert not told.raised
