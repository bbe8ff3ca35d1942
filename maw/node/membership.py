"""Trust as this node keeps it: the book, its rows, its copy beside the key, and every decision taken here.

Each decision is durable before it takes effect, and takes effect at once: links of who is no longer trusted
end, who is newly trusted is followed and dialled.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import aiosqlite

from maw.config import PeerEntry
from maw.core.identity import NodeId, Signer, key_text, parse_key, short_key
from maw.core.members import ACCEPTED, BY_HAND, JOINED, Member, Pin
from maw.core.names import nearest
from maw.core.ruling import Revoked
from maw.core.statement import Statement, admit, read_statement
from maw.core.trust import Tally, TrustBook
from maw.errors import Ambiguous, BadInput, Conflict, HandshakeRefused, NotFound, ProtocolViolation, Refused
from maw.node.authoring import wall_clock_ms
from maw.node.home import NodeHome, replace_file
from maw.store import trust as rows
from maw.store.writer import Writer


@dataclass(frozen=True, slots=True)
class Told:
    """Whom a decision concerned."""

    key: NodeId
    name: str


class Membership:
    """Owns the TrustBook. ``changed`` is called after every change, when it is durable."""

    def __init__(
        self,
        home: NodeHome,
        signer: Signer,
        book: TrustBook,
        writer: Writer,
        *,
        changed: Callable[[Sequence[Statement]], None],
        trouble: Callable[[str], None],
        unwritten: bool = False,
    ) -> None:
        self._home = home
        self._signer = signer
        self.book = book
        self._writer = writer
        self._changed = changed
        self._trouble = trouble
        self._copy_is_old = False
        self._unwritten = unwritten

    # -- at the door --------------------------------------------------------------------------------

    def judge(self, peer: NodeId, admission: bytes | None) -> Statement | None:
        """Raises HandshakeRefused unless ``peer`` is trusted, or brings an admit that makes it so.

        Returns that admit when it was needed: it is to be kept.
        """
        if peer in self.book.trusted:
            return None
        if peer in self.book.revoked:
            raise HandshakeRefused(
                f"the key {key_text(peer)} was revoked: {_why(self.book.revoked[peer])}",
                code="revoked",
                hint="a revoked key never returns; whoever owns that host: `maw key rotate` with its recovery key, or a"
                " new node",
            )
        if peer in self.book.forgotten:
            raise HandshakeRefused(
                "this node was forgotten here", code="forgotten", hint="a new invite of that host lifts it"
            )
        shown: Statement | None = None
        if admission:
            try:
                shown = read_statement(admission)
                if self.book.would_trust(peer, shown):
                    return shown
            except ProtocolViolation as error:
                raise HandshakeRefused(
                    f"the admission shown is no good: {error.message}", code="bad_admission"
                ) from None
        if peer in self.book.pending:
            raise HandshakeRefused(
                f"{short_key(peer)} is known but not accepted here yet",
                code="pending",
                hint=f"on that host: maw peers accept {self.book.pending[peer].name}",
            )
        raise HandshakeRefused(
            f"the key {key_text(peer)} is not trusted here",
            code="unknown_key",
            hint="pair the two hosts: `maw invite` on one, `maw join LINE` on the other",
        )

    # -- decisions ----------------------------------------------------------------------------------

    async def keep(self, statements: Sequence[Statement]) -> None:
        """Statements that came outside gossip (shown at a handshake, made here)."""
        coming = Tally()
        fresh: list[Statement] = []
        for item in statements:
            if self.book.acceptable(item, coming):
                fresh.append(item)
                coming.add(item)
        if fresh:
            await self._commit(
                lambda conn: rows.add_statements(conn, fresh, wall_clock_ms()),
                lambda: self.book.add(fresh),
                fresh,
            )

    async def accept(self, word: str) -> Told:
        """Trust a pending peer, by a decision taken here."""
        if any(word in (key_text(key), short_key(key)) for key in self.book.forgotten):
            raise Refused(
                f"{word} was forgotten here, for good",
                code="forgotten",
                hint="a new `maw invite` on this host, joined by that one, lifts it",
            )
        member = self.find(word, among=self.book.pending.values())
        pin = Pin(member.key, member.name, member.addresses, ACCEPTED, at_ms=wall_clock_ms())
        await self._commit(lambda conn: rows.set_pin(conn, pin), lambda: self.book.pin(pin))
        return Told(member.key, member.name)

    async def make_introducer(self, word: str) -> Told:
        """Trust a pending or known peer, and whom it lets in; our admit says so to whoever trusts our word.

        NotFound, Ambiguous; Conflict for a peer of peers.toml, which is changed there.
        """
        book = self.book
        member = self.find(word, among=[*book.trusted.values(), *book.pending.values()])
        told = Told(member.key, member.name)
        if member.how == BY_HAND:
            raise Conflict(
                f"{member.name} stands in peers.toml",
                code="by_hand",
                hint="write `introducer = true` beside its key there, then `maw peers reload`",
            )
        known = next((pin for pin in book.pins if pin.key == member.key), None)
        if known is not None and (known.introducer or known.how == JOINED):
            return told
        now = wall_clock_ms()
        pin = (
            replace(known, introducer=True)
            if known
            else Pin(member.key, member.name, member.addresses, ACCEPTED, True, now)
        )
        ours = self.admit_statement(member.key, member.name, member.addresses, True)

        async def write(conn: aiosqlite.Connection) -> None:
            await rows.set_pin(conn, pin)
            await rows.add_statements(conn, [ours], now)

        def apply() -> None:
            book.pin(pin)
            book.add([ours])

        await self._commit(write, apply, [ours])
        return told

    def not_trusted_yet(self, word: str) -> None:
        """Raises Conflict when ``word`` names a peer that is trusted, so that there is nothing to accept."""
        with suppress(NotFound):
            member = self.find(word, among=self.book.trusted.values())
            raise Conflict(
                f"{member.name} is trusted here already",
                code="already_trusted",
                hint="`maw peers` shows its link",
            )

    async def forget(self, word: str) -> Told:
        """End trust in a peer for good, whatever others say of it."""
        known = [*self.book.trusted.values(), *self.book.pending.values()]
        member = self.find(word, among=known)
        await self._commit(
            lambda conn: rows.forget(conn, member.key, wall_clock_ms()), lambda: self.book.forget(member.key)
        )
        return Told(member.key, member.name)

    def set_by_hand(self, peers: Sequence[PeerEntry]) -> None:
        """peers.toml as it reads now."""
        self.set_book_by_hand(peers)
        self._changed(())

    def set_book_by_hand(self, peers: Sequence[PeerEntry]) -> None:
        self.book.set_by_hand(
            Pin(peer.key, peer.name, tuple(str(where) for where in peer.addresses), BY_HAND, peer.introducer)
            for peer in peers
        )

    def admit_statement(
        self,
        subject: NodeId,
        name: str,
        addresses: Sequence[str],
        introducer: bool,
        recovery: bytes | None = None,
    ) -> Statement:
        """Our signed word that ``subject`` belongs here; not yet durable. ``recovery``: the hash of its recovery key
        as it says so itself, where nothing is known of it."""
        return admit(
            self._signer, self.book.colony, subject, name, addresses, introducer, wall_clock_ms(),
            recovery=self.book.recoveries.get(subject, recovery),
        )  # fmt: skip

    def admit_in(self, colony: bytes, subject: NodeId, name: str, addresses: Sequence[str]) -> Statement:
        """The same for a Colony that is being joined: its inviter, whom those we invite are to know."""
        own = self.book.recoveries.get(self._signer.node)
        return admit(
            self._signer, colony, subject, name, addresses, False, wall_clock_ms(), back=True, own=own
        )

    async def paired(
        self,
        pin: Pin,
        statements: Sequence[Statement],
        also: Callable[[aiosqlite.Connection], Awaitable[None]],
    ) -> None:
        """The listener's last step of pairing: pin, admit and burn in one transaction."""

        async def write(conn: aiosqlite.Connection) -> None:
            await rows.set_pin(conn, pin)
            await rows.add_statements(conn, statements, wall_clock_ms())
            await also(conn)

        def apply() -> None:
            self.book.pin(pin)
            self.book.add(statements)

        await self._commit(write, apply, statements)

    async def _commit(
        self,
        write: Callable[[aiosqlite.Connection], Awaitable[None]],
        apply: Callable[[], None],
        fresh: Sequence[Statement] = (),
    ) -> None:
        def after(_: None) -> None:
            apply()
            self.write_copy()
            self._changed(fresh)

        await self._writer.submit(write, after)

    async def settle(self) -> None:
        """What was found at the start and the disk did not take goes into the database. Raises MawError as below, when
        it does not take it yet."""
        if self._unwritten:
            records = self._records()
            await self._writer.submit(lambda conn: rows.add_records(conn, records, wall_clock_ms()))
            self._unwritten = False

    def _records(self) -> rows.TrustRecords:
        book = self.book
        return rows.TrustRecords(
            book.colony, list(book.statements().values()), list(book.pins), sorted(book.forgotten),
            dict(book.recoveries),
        )  # fmt: skip

    def write_copy(self) -> None:
        """The copy beside the key follows the database, now or (the disk being full) when it can."""
        try:
            replace_file(self._home.trust_copy, rows.pack_copy(self._records()))
        except OSError as error:
            self._trouble(f"{self._home.trust_copy}: {error.strerror}")
            self._copy_is_old = True
        else:
            self._copy_is_old = False

    def copy_soon(self) -> None:
        """The copy is to follow within a second: who sends many statements does not make us write as often."""
        self._copy_is_old = True

    def mend_copy(self) -> None:
        if self._copy_is_old:
            self.write_copy()

    # -- finding peers --------------------------------------------------------------------------------

    def find(self, word: str, *, among: Iterable[Member]) -> Member:
        """A peer by name, ``name~piece``, piece of the key, or the whole key. NotFound, Ambiguous."""
        members: list[Member] = list(among)
        wanted = word.lstrip("@")
        if wanted.startswith("mk1"):
            key = parse_key(wanted)
            found = [member for member in members if member.key == key]
        else:
            name = wanted.lower()
            found = [m for m in members if name in (m.name, short_key(m.key), f"{m.name}~{short_key(m.key)}")]
        if not found:
            near = nearest(wanted, [member.name for member in members])
            hint = f"did you mean {near[0]}?" if near else "`maw peers` lists them"
            raise NotFound(f"no such peer: {word}", code="no_such_peer", hint=hint, candidates=near)
        if len(found) > 1:
            names = [f"{member.name}~{short_key(member.key)}" for member in found]
            raise Ambiguous(
                f"{len(found)} peers are called {word}", hint=f"say which: {names[0]}", candidates=names
            )
        return found[0]


def _why(gone: Revoked) -> str:
    return next((one.why for one in gone.by if one.why), "no reason was given")


def parse_for(word: str | None) -> NodeId | None:
    """The key that an invite is meant for, if any. Raises BadInput."""
    if word is None:
        return None
    try:
        return parse_key(word)
    except BadInput as error:
        raise BadInput(f"--for: {error.message}", code=error.code, hint=error.hint) from None
