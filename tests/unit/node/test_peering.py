"""Peers as people see them."""

from __future__ import annotations

from maw.api.backend import Json
from maw.core.identity import key_text, short_key
from maw.core.members import ACCEPTED, Pin
from tests.conftest import MakeHome
from tests.integration.nodes import NOWHERE, Host, all_running, pair, running, until
from tests.unit.store.opened import Author


async def test_a_linked_peer(make_home: MakeHome) -> None:
    async with all_running(make_home("mbp"), make_home("oracle")) as (mbp, oracle):
        await pair(mbp, oracle)
        await until(lambda: oracle.me in mbp.node.state.nodes, "its card is here")
        await until(lambda: mbp.held() == oracle.held(), "the same")
        await until(
            lambda: any(peer["behind"] == 0 for peer in mbp.node.peering.listing()),
            "of two links dialled at once the one that stays is carried",
        )
        shown = await mbp.peer(oracle)
        assert {key: shown[key] for key in ("name", "key", "short", "state", "how", "behind")} == {
            "name": "oracle", "key": key_text(oracle.me), "short": short_key(oracle.me), "state": "linked",
            "how": "invited", "behind": 0,
        }  # fmt: skip
        assert shown["since"].startswith("20")
        assert oracle.node.mesh.addresses()[0] in shown["addresses"]
        board = mbp.node.board.get(oracle.me)
        assert board is not None
        await board.ping(5)
        assert (await mbp.peer(oracle))["rtt_ms"] >= 0


async def test_an_unreachable_peer_says_why(make_home: MakeHome) -> None:
    async with running(make_home("mbp")) as mbp:
        other = Author(1).node
        mbp.node.membership.book.pin(Pin(other, "far", (NOWHERE,), ACCEPTED))
        mbp.node._retarget()
        await until(lambda: far(mbp)["state"] == "unreachable", "it was tried")
        shown = far(mbp)
        assert NOWHERE in shown["last_error"]
        assert (shown["last_seen"], shown["rtt_ms"]) == (None, None)


def far(host: Host) -> Json:
    return next(peer for peer in host.node.peering.listing() if peer["name"] == "far")


async def test_the_forgotten_are_listed_as_such(make_home: MakeHome) -> None:
    async with all_running(make_home("mbp"), make_home("oracle")) as (mbp, oracle):
        await pair(mbp, oracle)
        await mbp.service.forget_peer(await mbp.owner(), "oracle")
        (shown,) = mbp.node.peering.listing()
        assert (shown["state"], shown["key"]) == ("forgotten", key_text(oracle.me))
