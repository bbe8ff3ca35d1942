"""Which WireGuard peers are offered as candidates."""

from __future__ import annotations

import pytest

from maw.core.candidates import Candidate, candidates, parse_peers

ALLOWED = (
    "KEY1=\t10.44.0.2/32 fd00::2/128\nKEY2=\t10.44.0.3/32\nKEY3=\t(none)\nGATE=\t192.168.7.0/24 0.0.0.0/0\n"
)
HANDSHAKES = "KEY1=\t1700000000\nKEY2=\t0\nKEY3=\t0\nGATE=\t1700000009\n"


def test_what_wg_prints_is_read() -> None:
    one, two, three, gate = parse_peers(ALLOWED, HANDSHAKES)
    assert (one.key, [str(net) for net in one.allowed], one.handshake) == (
        "KEY1=", ["10.44.0.2/32", "fd00::2/128"], 1700000000,
    )  # fmt: skip
    assert (two.handshake, three.allowed, gate.handshake) == (None, (), 1700000009)
    assert parse_peers("", "") == []


@pytest.mark.parametrize("bad", ["KEY1=\tten.44/32", "KEY1=\t10.0.0.1/99"])
def test_what_it_never_prints_is_refused(bad: str) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        parse_peers(bad, "")
    with pytest.raises(ValueError, match=r"\S"):
        parse_peers("", "KEY1= soon")


def test_a_peer_is_known_by_any_of_its_addresses() -> None:
    peers = parse_peers(ALLOWED, HANDSHAKES)
    assert [one.key for one in candidates(peers, {"fd00::2", "a.name"})] == ["GATE=", "KEY3=", "KEY2="]
    assert [one.key for one in candidates(peers, {"10.44.0.3"})] == ["KEY1=", "KEY3="], (
        "the gateway leads there"
    )
    assert [one.key for one in candidates(peers, set())] == ["GATE=", "KEY1=", "KEY3=", "KEY2="]


def test_what_is_offered() -> None:
    first, second, *_ = candidates(parse_peers(ALLOWED, HANDSHAKES), set())
    assert first == Candidate("GATE=", (), ("192.168.7.0/24", "0.0.0.0/0"), 1700000009)
    assert second == Candidate("KEY1=", ("10.44.0.2", "fd00::2"), (), 1700000000)
