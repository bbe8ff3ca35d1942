"""Trust under attack: what a joiner, an inviter or a trusted peer signs must not break, rename or lock out anybody."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Sequence

import msgpack
import pytest

from maw.core.frames import Statements
from maw.core.identity import NodeId, Signer
from maw.core.pairing import InviteLine, parse_line
from maw.core.statement import MAX_STATEMENT, Statement, admit, found, read_statement, sign_statement
from maw.errors import MawError
from maw.net.joining import join
from maw.node.desks import Welcome, pack_acceptance
from tests.conftest import MakeHome
from tests.integration.evil import evil_peer
from tests.integration.linknode import LinkNode
from tests.integration.nodes import NOWHERE, Host, all_running, pair, running, until

FAR = tuple(f"{'h' * 250}{at:02}:6290" for at in range(16))
"""As many addresses as allowed, each as long as allowed."""


class EvilJoiner:
    """The joiner's desk of somebody who answers with an acceptance of his own making."""

    def __init__(self, acceptance: bytes) -> None:
        self.acceptance = acceptance

    async def begin(self, line: InviteLine) -> None: ...

    async def welcomed(self, line: InviteLine, welcome: bytes) -> bytes:
        return self.acceptance

    async def finished(self, line: InviteLine) -> None: ...


async def joins(host: Host, node: LinkNode, statement: Statement, name: str, where: Sequence[str]) -> None:
    line = parse_line(await host.invite())
    acceptance = pack_acceptance(statement.wire, name, tuple(where))
    await join(line, node.dialer, EvilJoiner(acceptance), now=time.time())


def evil_node(host: Host) -> LinkNode:
    return LinkNode("evil", colony=host.node.membership.book.colony)


def admit_by(node: LinkNode, host: Host, subject: NodeId, *, name: str = "x", at_ms: int = 1) -> Statement:
    return admit(node.local.signer, host.node.membership.book.colony, subject, name, [NOWHERE], False, at_ms)


async def test_a_joiner_with_addresses_without_end_does_not_keep_us_from_starting_again(
    make_home: MakeHome,
) -> None:
    home = make_home("mbp")
    async with running(home) as host:
        evil = evil_node(host)
        await joins(host, evil, admit_by(evil, host, host.me), "evil", FAR)
        sizes = [len(item.wire) for item in host.node.membership.book.statements().values()]
        assert max(sizes) <= MAX_STATEMENT, "every other node takes our statements"
    async with running(home) as host:
        assert evil.node in host.node.membership.book.trusted


@pytest.mark.parametrize("name", ["\x1b[2Jroot", "operator", "all", "A B", "ü", ""])
async def test_a_joiner_is_called_by_a_name(make_home: MakeHome, name: str) -> None:
    async with running(make_home("mbp")) as host:
        evil = evil_node(host)
        with pytest.raises(MawError, match="acceptance is malformed"):
            await joins(host, evil, admit_by(evil, host, host.me), name, [NOWHERE])
        assert evil.node not in host.node.membership.book.trusted


async def test_a_joiner_vouches_for_its_inviter_and_nobody_else(make_home: MakeHome) -> None:
    async with running(make_home("mbp")) as host:
        evil, other = evil_node(host), Signer(os.urandom(32)).node
        with pytest.raises(MawError, match="acceptance is malformed"):
            await joins(host, evil, admit_by(evil, host, other), "evil", [NOWHERE])
        assert other not in host.node.membership.book.pending


def malformed(host: Host, signer: Signer) -> Statement:
    """An admit without addresses, well signed."""
    colony = host.node.membership.book.colony
    return sign_statement(signer, "admit", colony, 1, {"key": signer.node, "name": "x"})


@pytest.mark.parametrize("where", [(NOWHERE,), FAR, FAR * 9, ("\x1b[2J:1",)])
async def test_a_welcome_is_taken_no_further_than_its_statements_are_good(
    make_home: MakeHome, where: tuple[str, ...]
) -> None:
    home = make_home("oracle")
    async with running(make_home("mbp")) as mbp:
        stranger = Signer(os.urandom(32))
        bad = [
            malformed(mbp, stranger),
            found(stranger, "other", os.urandom(16), 1),
            admit(stranger, os.urandom(32), stranger.node, "other-colony", [], False, 1),
        ]
        pack = Welcome.pack

        def evil_pack(self: Welcome) -> bytes:
            extra = tuple(item.wire for item in bad)
            return pack(Welcome(self.founding, (*self.statements, *extra), self.name, where))

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Welcome, "pack", evil_pack)
            async with running(home) as oracle:
                line = await mbp.invite()
                with contextlib.suppress(MawError):  # refusing the whole of it is good too
                    await oracle.join(line)
                assert (mbp.me in oracle.node.membership.book.trusted) == (where in ((NOWHERE,), FAR))
                held = oracle.node.membership.book.statements()
                assert not {item.id for item in bad} & set(held)
                assert max(len(item.wire) for item in held.values()) <= MAX_STATEMENT
    async with running(home):
        pass  # and it starts again


async def test_a_malformed_admit_that_is_stored_stops_no_start(make_home: MakeHome) -> None:
    """Whatever let it in: it is there, and the node is up."""
    home = make_home("mbp")
    async with running(home) as host:
        item = malformed(host, Signer(os.urandom(32)))

        async def write(conn: object) -> None:
            from maw.store import trust as rows

            await rows.add_statements(conn, [item], 1)  # type: ignore[arg-type]

        await host.node.writer.submit(write)
    async with running(home) as host:
        assert item.id in host.node.membership.book.statements()


async def test_a_peer_can_neither_rename_nor_move_nor_impersonate_others(make_home: MakeHome) -> None:
    async with all_running(make_home("mbp"), make_home("oracle"), make_home("pi")) as (mbp, oracle, pi):
        await pair(mbp, oracle)
        await pair(mbp, pi)
        await until(lambda: oracle.linked(pi), "the two that one host invited know each other")
        before = oracle.node.membership.book.trusted[pi.me]
        for_us = oracle.node.membership.book.admission_for_me()
        async with evil_peer(oracle) as evil:
            signer, colony = evil.node.local.signer, oracle.node.membership.book.colony
            late = 1 << 61
            moved = admit(signer, colony, pi.me, "mbp", ["127.0.0.1:9"], True, late)
            us = admit(signer, colony, oracle.me, "oracle", ["127.0.0.1:9"], False, late)
            evil.send(Statements((moved.wire, us.wire)))
            held = oracle.node.membership.book.statements
            await until(lambda: {moved.id, us.id} <= set(held()), "they are held")
            book = oracle.node.membership.book
            after = book.trusted[pi.me]
            assert (after.name, after.addresses, after.how) == (before.name, before.addresses, before.how)
            assert evil.node.node in after.vouched_by
            assert book.admission_for_me() == for_us, "we still show the admission that counts"
            assert pi.me not in book.introducers


async def test_one_peer_cannot_fill_the_book_of_statements(make_home: MakeHome) -> None:
    async with running(make_home("mbp")) as host:
        async with evil_peer(host) as evil:
            signer, colony = evil.node.local.signer, host.node.membership.book.colony
            size = len(host.node.membership.book.statements())
            for at in range(30):
                many = [sign_statement(signer, "x", colony, at, {"n": n}).wire for n in range(100)]
                evil.send(Statements(tuple(many)))
            await until(lambda: len(host.node.membership.book.statements()) > size, "some are held")
            await evil_has_been_read(evil, host)
            assert len(host.node.membership.book.statements()) < size + 2_000
        await host.node.membership.keep([admit_of_ours(host)])
        assert len(host.node.membership.book.pending) + len(host.node.membership.book.trusted) >= 2


def admit_of_ours(host: Host) -> Statement:
    return host.node.membership.admit_statement(Signer(os.urandom(32)).node, "new", [NOWHERE], False)


async def evil_has_been_read(evil: object, host: Host) -> None:
    """All that was sent so far has been answered."""
    from maw.core.frames import CannotFollow, Follow

    who = Signer(os.urandom(32)).node
    evil.send(Follow(who, 77, ()))  # type: ignore[attr-defined]
    heard = lambda: any(item.serial == 77 for item in evil.heard(CannotFollow))  # type: ignore[attr-defined]  # noqa: E731
    await until(heard, "it was read to the end", 30)


def test_one_statement_has_one_form() -> None:
    """Else anybody could make many of one that another signed, each with an id of its own."""
    item = admit(Signer(bytes(32)), bytes(32), Signer(bytes(32)).node, "x", [], False, 1)
    body, signature = msgpack.unpackb(item.wire)
    assert read_statement(item.wire).id == item.id
    wide = b"\xdc\x00\x02" + msgpack.packb(body) + msgpack.packb(signature)
    assert msgpack.unpackb(wide) == [body, signature]
    with pytest.raises(MawError):
        read_statement(wide)
