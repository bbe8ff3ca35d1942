"""What the choice of links is told, and what it says about a peer without one."""

from __future__ import annotations

from typing import Any, cast

import pytest

from maw.core.identity import NodeId
from maw.errors import HandshakeRefused
from maw.net.redialler import LINKS_ENOUGH, DialState
from maw.node.linking import ALONE, Linking

PEERS = [NodeId(bytes([n]) * 32) for n in range(1, 21)]


class FakeLink:
    def __init__(self, peer: NodeId, *features: str, outbound: bool = False) -> None:
        self.peer, self.outbound, self.ended = peer, outbound, None
        self.hello = type("Hello", (), {"features": frozenset(features)})()


class Board:
    def __init__(self) -> None:
        self.links: dict[NodeId, FakeLink] = {}

    def get(self, peer: NodeId) -> FakeLink | None:
        return self.links.get(peer)

    def linked(self, peer: NodeId) -> bool:
        return peer in self.links


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def made(full_mesh: int = 5) -> tuple[Linking, Board]:
    board = Board()
    linking = Linking(cast(Any, board), Clock(), lambda _: 0.1, links=4, full_mesh=full_mesh)
    linking.set_peers({peer: [f"10.0.0.{n}:6290"] for n, peer in enumerate(PEERS)})
    return linking, board


def link(linking: Linking, board: Board, *peers: NodeId) -> None:
    for peer in peers:
        board.links[peer] = FakeLink(peer)
        linking.changed(peer)


def check(linking: Linking, stands_at_the_door: FakeLink) -> None:
    linking.check(cast(Any, stands_at_the_door))


def test_few_peers_are_all_dialled_and_many_are_not() -> None:
    assert set(made(full_mesh=20)[0].targets()) == set(PEERS)
    linking, _ = made()
    assert linking.bounded
    assert len(linking.targets()) == 4


def test_beyond_the_bound_only_who_is_alone_is_let_in() -> None:
    linking, board = made()
    assert linking.features() == {ALONE}
    link(linking, board, *PEERS[:12])
    assert not linking.features()
    with pytest.raises(HandshakeRefused) as no:
        check(linking, FakeLink(PEERS[15]))
    assert no.value.code == LINKS_ENOUGH
    check(linking, FakeLink(PEERS[15], ALONE))
    check(linking, FakeLink(PEERS[15], outbound=True))
    check(linking, FakeLink(PEERS[3]))  # a second link of a linked peer is the board's affair


def test_who_is_linked_is_a_target_whatever_is_chosen() -> None:
    linking, board = made()
    link(linking, board, *PEERS[:12])
    assert set(PEERS[:12]) <= set(linking.targets())


def test_being_declined_is_no_trouble_and_being_unreachable_is() -> None:
    linking, board = made()
    link(linking, board, PEERS[0])
    linking.failed(PEERS[1], DialState("waiting", 0.0, last_error="enough", last_error_code=LINKS_ENOUGH))
    assert linking.by_choice(PEERS[1])
    assert linking.trouble(PEERS[1]) is None
    assert PEERS[1] not in linking.targets()
    lost = DialState("waiting", 0.0, last_error="no route to host", last_error_code="unreachable")
    linking.failed(PEERS[2], lost)
    assert linking.trouble(PEERS[2]) == lost
    assert not linking.by_choice(PEERS[2])
    assert linking.troubles() == {PEERS[2]: lost}
    link(linking, board, PEERS[2])
    assert linking.trouble(PEERS[2]) is None


def test_who_is_trusted_no_more_is_forgotten_here_too() -> None:
    linking, _ = made()
    linking.failed(PEERS[2], DialState("waiting", 0.0, last_error="x", last_error_code="unreachable"))
    linking.set_peers({})
    assert linking.targets() == {}
    assert linking.troubles() == {}
    assert not linking.by_choice(PEERS[2])
