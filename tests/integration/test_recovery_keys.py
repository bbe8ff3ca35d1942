"""Whose recovery key a node's is: what those say who let it in holds against who has stolen the node's key."""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from pathlib import Path

import pytest

from maw.core.identity import NodeId, Signer, digest, short_key
from maw.core.revocation import revocation_statement, rotation_statement
from maw.core.statement import Statement, admit, read_admission
from maw.errors import MawError
from maw.node import authoring
from maw.node.home import NodeHome
from maw.node.keptkey import open_kept_key
from maw.node.membership import Membership
from maw.store import trust as rows
from maw.store.database import open_database
from tests.conftest import MakeHome
from tests.integration.nodes import NOWHERE, Host, config_of, pair, running, until
from tests.integration.test_attacks_trust import evil_node, joins

THIEFS = Signer(os.urandom(32))
BELOW = 7
"""An epoch below all true ones."""


def recovery_key(home: NodeHome) -> Signer:
    return open_kept_key(home.path / "recovery.key", "recovery", lambda: "")


def rotation(host: Host, recovery: Signer, key: NodeId) -> Statement:
    colony = host.node.membership.book.colony
    return rotation_statement(
        recovery, Signer(os.urandom(32)), colony, key, {}, [], "", int(time.time() * 1000)
    )


def known(host: Host, key: NodeId) -> bytes | None:
    return host.node.membership.book.recoveries.get(key)


async def stolen(home: NodeHome, at: Path, monkeypatch: pytest.MonkeyPatch) -> NodeHome:
    """A thief's node under the key of ``home``, whose log begins below the true one and names his recovery key."""
    shutil.copytree(
        home.path, at, ignore=shutil.ignore_patterns("colony.db*", "node.mark", "maw.sock", "maw.lock")
    )
    thief = NodeHome(at)
    async with open_database(thief.database) as db:
        await rows.set_meta(db.writing, "recovery", digest(THIEFS.node))
        await db.writing.commit()
    with monkeypatch.context() as patch:
        patch.setattr(authoring, "fresh_epoch", lambda *_: BELOW)
        async with running(thief) as host:
            assert {epoch for _, epoch in host.held()} == {BELOW}
    return thief


async def test_a_thief_who_begins_below_the_true_log_names_no_recovery_key(
    make_home: MakeHome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    homes = [make_home(name) for name in ("mbp", "oracle", "later")]
    async with running(homes[0]) as mbp, running(homes[1]) as oracle:
        await pair(mbp, oracle)
        victim, true = oracle.me, digest(recovery_key(homes[1]).node)
        assert known(mbp, victim) == known(oracle, victim) == true
        assert known(oracle, mbp.me) == digest(recovery_key(homes[0]).node), "by the founding"
        await until(lambda: (victim, max(e for _, e in oracle.held())) in mbp.held(), "mbp has its log")
    thief = await stolen(homes[1], tmp_path / "thief", monkeypatch)
    async with running(homes[0]) as mbp:
        async with running(thief, config=config_of(thief, advertise=NOWHERE)):
            await until(lambda: (victim, BELOW) in mbp.held(), "the host that knows it takes his epoch too")
            assert known(mbp, victim) == true
            assert (await mbp.alert("recovery_key"))["subject"]
        async with running(homes[2]) as later:
            await pair(mbp, later)
            assert known(later, victim) == true, "from the word of who let it in, before any log"
            await until(lambda: len([1 for who, _ in later.held() if who == victim]) >= 2, "it has the logs")
            book = later.node.membership.book
            assert book.disputed_recoveries == {victim: {victim}}, "and its log said otherwise first"
            assert (await later.alert("recovery_key"))["subject"]
            for host in (mbp, later):
                await host.node.membership.keep([rotation(host, THIEFS, victim)])
                assert victim in host.node.membership.book.trusted
            await mbp.node.membership.keep([rotation(mbp, recovery_key(homes[1]), victim)])
            await until(lambda: victim in later.node.membership.book.revoked, "the owner's word counts")
    async with running(homes[2]) as later:
        assert known(later, victim) == true, "after a restart too"
    for path in homes[2].path.glob("colony.db*"):
        path.unlink()
    for _ in range(2):
        async with running(homes[2]) as later:
            assert known(later, victim) == true, "and without its database, by the copy beside its key"


async def test_who_was_let_in_without_a_word_on_its_recovery_key_is_vouched_for_later(
    make_home: MakeHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As by an older version: its admit says nothing, and its log comes after."""

    def old(self: Membership, colony: bytes, subject: NodeId, name: str, addresses: list[str]) -> Statement:
        return admit(self._signer, colony, subject, name, addresses, False, 1, back=True)

    monkeypatch.setattr(Membership, "admit_in", old)
    homes = [make_home(name) for name in ("mbp", "oracle")]
    async with running(homes[0]) as mbp, running(homes[1]) as oracle:
        await pair(mbp, oracle)

        def said(host: Host) -> set[bytes | None]:
            found = host.node.membership.book.statements().values()
            admits = [read_admission(one) for one in found if one.type == "admit"]
            return {one.recovery for one in admits if one.issuer == mbp.me and one.subject == oracle.me}

        true = digest(recovery_key(homes[1]).node)
        await until(lambda: said(oracle) == {None, true}, "mbp says it when it knows")
        book = mbp.node.membership.book
        assert book.trusted[oracle.me].addresses and len(book.statements()) == 4
        before = book.generation
        await mbp.node.vouching.settle()
        assert book.generation == before, "and says it once"


async def test_a_known_key_with_another_recovery_key_is_not_paired_with_again(make_home: MakeHome) -> None:
    async with running(make_home("mbp")) as host:
        evil = evil_node(host)

        def word(recovery: Signer) -> Statement:
            return admit(
                evil.local.signer, host.node.membership.book.colony, host.me, "mbp", [NOWHERE], False,
                int(time.time() * 1000), back=True, own=digest(recovery.node),
            )  # fmt: skip

        owner = Signer(os.urandom(32))
        await joins(host, evil, word(owner), "evil", [NOWHERE])
        with pytest.raises(MawError, match="has another recovery key"):
            await joins(host, evil, word(THIEFS), "evil", [NOWHERE])
        assert known(host, evil.node) == digest(owner.node)
        assert "would pair again" in (await host.alert("recovery_key"))["text"]


async def test_who_lies_about_many_is_told_of_once(make_home: MakeHome) -> None:
    home = make_home("mbp")
    async with running(home) as host:
        colony = host.node.membership.book.colony
        evil, *others = [evil_node(host) for _ in range(6)]
        for at, one in enumerate((evil, *others)):
            own = digest(bytes([at]))
            word = admit(one.local.signer, colony, host.me, "mbp", [NOWHERE], False, 1, back=True, own=own)
            await joins(host, one, word, f"n{at}", [NOWHERE])
        liar = evil.local.signer
        lies = [
            admit(liar, colony, key, "x", [], False, 1, recovery=digest(THIEFS.node))
            for key in (host.me, *(one.node for one in others))
        ]
        await host.node.membership.keep(lies)
        told = await host.alert("recovery_key")
        assert f"by {short_key(evil.node)}: not believed" in told["text"] and "; and 3 more." in told["text"]
        assert [kind for kind, _ in await host.alerts()].count("recovery_key") == 1
        assert all(known(host, one.node) == digest(bytes([at])) for at, one in enumerate(others, 1))
        founder = open_kept_key(home.path / "operator.key", "operator", lambda: "")
        await host.node.membership.keep([revocation_statement(founder, colony, evil.node, {}, (), "lies", 9)])

        async def settled() -> None:
            while ("recovery_key", "mbp") in await host.alerts():
                await asyncio.sleep(0.02)

        await asyncio.wait_for(settled(), 10)
