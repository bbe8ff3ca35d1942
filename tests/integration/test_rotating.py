"""A new key for a host, by its recovery key: what the old one ruled stands, but for what came since it was stolen."""

from __future__ import annotations

import asyncio
import os

import pytest

from maw.core.effects import Alert
from maw.core.identity import Signer, short_key
from maw.core.statement import admit
from maw.node.authoring import wall_clock_ms
from maw.node.home import NodeHome, read_key
from maw.node.keptkey import open_kept_key
from maw.node.rotating import rotate
from tests.conftest import MakeHome
from tests.integration.nodes import NOWHERE, Host, all_running, pair, running, until


def recovery(home: NodeHome) -> Signer:
    return open_kept_key(home.path / "recovery.key", "recovery", lambda: "")


async def thiefs_guest(mbp: Host, key: Signer, *others: Host, at_ms: int = 5) -> Signer:
    """Somebody whom the stolen key lets in, with whatever date, and of whom all have heard."""
    guest = Signer(os.urandom(32))
    colony = mbp.node.membership.book.colony
    word = admit(key, colony, guest.node, "guest", [NOWHERE], False, at_ms)
    await others[0].node.membership.keep([word])
    for host in (mbp, *others):
        await until(lambda h=host: word.id in h.node.membership.book.statements(), "all heard of him")  # type: ignore[misc]
    return guest


@pytest.mark.parametrize("said", [True, False])
async def test_what_a_stolen_key_ruled_since_does_not_stand(make_home: MakeHome, said: bool) -> None:
    homes = [make_home(name) for name in ("mbp", "oracle")]
    async with all_running(*homes) as (mbp, oracle):
        await pair(mbp, oracle)
        await until(lambda: len(mbp.node.membership.book.statements()) == 3, "founding and two admits")
        since = wall_clock_ms() + 1
        async with asyncio.timeout(10):
            while wall_clock_ms() < since:
                await asyncio.sleep(0.001)
        guest = await thiefs_guest(mbp, read_key(homes[0].key), oracle)
        assert guest.node in oracle.node.membership.book.trusted
    done = await rotate(homes[0], recovery(homes[0]), "stolen", None, since if said else None)
    assert (done.admitted, done.void) == ((("oracle",), ("guest",)) if said else (("oracle", "guest"), ()))
    assert done.stand == (2 if not said else 1)
    async with all_running(*homes) as (mbp, oracle):
        await until(lambda: mbp.linked(oracle) and oracle.linked(mbp), "they are linked under the new key")
        for host in (mbp, oracle):
            assert (guest.node in host.node.membership.book.trusted) is not said, host.node.config.name


async def test_a_rotation_that_was_cut_off_is_finished_as_it_was_said_first(
    make_home: MakeHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first word is in the database: another --stolen in the second try changes nothing."""
    home, other = make_home("mbp"), make_home("oracle")
    async with all_running(home, other) as (mbp, oracle):
        await pair(mbp, oracle)
    with monkeypatch.context() as patch:
        patch.setattr("maw.node.rotating._put_in_place", lambda *_: exec("raise OSError"))
        with pytest.raises(OSError):
            await rotate(home, recovery(home), "stolen", None, 1)
    done = await rotate(home, recovery(home), "stolen")
    assert (done.stand, done.admitted, done.void) == (0, (), ("oracle",))
    async with running(home) as mbp:
        gone = mbp.node.membership.book.revoked
        assert [len(one.by) for one in gone.values()] == [1]


async def test_what_was_told_of_the_old_key_is_over(make_home: MakeHome) -> None:
    """Nobody is told to rotate a key again that he has rotated; what somebody else's key did stays told of."""
    home = make_home("mbp")
    async with running(home) as mbp:
        old = short_key(mbp.me)
        for kind in ("revoked", "silence", "copied_host"):
            mbp.node.alerts.raise_alert(Alert(kind, old, "it is so"))
        mbp.node.alerts.raise_alert(Alert("silence", "abcdef", "it is so"))
        assert len(await mbp.alerts()) == 4
    await rotate(home, recovery(home), "stolen")
    async with running(home) as mbp:
        told = await mbp.alerts()
        assert ("copied_host", old) in told and ("silence", "abcdef") in told
        assert not {("revoked", old), ("silence", old)} & told.keys()
