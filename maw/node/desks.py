"""The two desks of pairing, kept in the database: the inviting side and the joining side.

What each step commits is what docs/protocol.md says; a step done again changes nothing, so that a pairing
that was cut off anywhere is finished by doing it again.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

import aiosqlite
import msgpack

from maw.core.effects import Alert
from maw.core.endpoint import parse_endpoint
from maw.core.handshake import JoinClaim
from maw.core.identity import NodeId, key_text, short_key
from maw.core.members import INVITED, JOINED, Pin
from maw.core.names import check_name
from maw.core.pairing import SECRET_BYTES, Denied, Invite, InviteLine, Use, encode_line, judge
from maw.core.statement import (
    ADMIT,
    FOUND,
    MAX_ADDRESSES,
    Statement,
    colony_id,
    read_admission,
    read_statement,
)
from maw.core.trust import TrustBook
from maw.errors import Ambiguous, BadInput, Conflict, NotFound, ProtocolViolation, Refused
from maw.node.authoring import wall_clock_ms
from maw.node.membership import Membership
from maw.node.vouching import RECOVERY_KEY
from maw.store import trust as rows
from maw.store.database import Database
from maw.store.writer import Writer

DEFAULT_TTL_S = 600
MAX_TTL_S = 30 * 86400
MAX_USES = 1000
MAX_ASKING = 100


@dataclass(frozen=True, slots=True)
class Welcome:
    """What the inviting side hands the joiner: the Colony's founding and every statement it holds."""

    founding: bytes
    statements: tuple[bytes, ...]
    name: str
    addresses: tuple[str, ...]

    def pack(self) -> bytes:
        packed: bytes = msgpack.packb([self.founding, list(self.statements), self.name, list(self.addresses)])
        return packed


def read_welcome(data: bytes) -> tuple[Welcome, list[Statement]]:
    """Checked: every statement verifies. Raises BadInput."""
    try:
        founding, wires, name, addresses = msgpack.unpackb(data)
        statements = [read_statement(wire) for wire in [founding, *wires]]
        where = _card(name, addresses)
    except _MALFORMED as error:
        raise BadInput(f"the other host's welcome is malformed: {error}", code="bad_welcome") from None
    return Welcome(founding, tuple(wires), name, where), statements


_MALFORMED = (ValueError, TypeError, msgpack.UnpackException, ProtocolViolation, BadInput)


def _card(name: object, addresses: object) -> tuple[str, ...]:
    """What the other side calls itself and where it can be reached, as carefully as if a stranger had said it.

    Returns the addresses. Raises ValueError or BadInput.
    """
    if not isinstance(name, str) or check_name(name, "node") != name:
        raise ValueError("its name is none")
    if not isinstance(addresses, list) or len(addresses) > MAX_ADDRESSES:
        raise ValueError(f"its addresses are no list of at most {MAX_ADDRESSES}")
    for item in addresses:
        if not isinstance(item, str) or len(item) > 260:
            raise ValueError("an address is none")
        parse_endpoint(item)
    return tuple(addresses)


def pack_acceptance(admit_wire: bytes, name: str, addresses: tuple[str, ...]) -> bytes:
    packed: bytes = msgpack.packb([admit_wire, name, list(addresses)])
    return packed


def _read_acceptance(data: bytes, joiner: NodeId, me: NodeId) -> tuple[Statement, str, tuple[str, ...]]:
    try:
        wire, name, addresses = msgpack.unpackb(data)
        statement = read_statement(wire)
        if statement.type != ADMIT or statement.issuer != joiner:
            raise ValueError("it carries no admit of the joiner")
        if read_admission(statement).subject != me:
            raise ValueError("it admits somebody else than this host")
        where = _card(name, addresses)
    except _MALFORMED as error:
        raise Refused(f"the joiner's acceptance is malformed: {error}", code="bad_acceptance") from None
    return statement, name, where


class InvitingDesk:
    """Implements net.joining.InviteDesk, and makes invites."""

    def __init__(
        self,
        me: NodeId,
        name: str,
        db: Database,
        writer: Writer,
        membership: Membership,
        *,
        founding: Callable[[], bytes],
        addresses: Callable[[], tuple[str, ...]],
        alert: Callable[[Alert], None],
    ) -> None:
        self._me = me
        self._name = name
        self._db = db
        self._writer = writer
        self._membership = membership
        self._founding = founding
        self._addresses = addresses
        self._alert = alert
        self.asking: dict[NodeId, str] = {}
        """Who showed an invite that is to be confirmed, and waits: key and the name it gave."""

    async def make(
        self, *, ttl_s: int | None, uses: int | None, only_for: NodeId | None, confirm: bool, introducer: bool
    ) -> tuple[str, Invite, tuple[str, ...]]:
        """A new invite: its line, its record, the addresses it names. BadInput, Conflict."""
        ttl = DEFAULT_TTL_S if ttl_s is None else ttl_s
        if not 1 <= ttl <= MAX_TTL_S or not 1 <= (uses or 1) <= MAX_USES:
            raise BadInput(f"an invite lasts 1 s to 30 days and serves 1 to {MAX_USES} hosts")
        addresses = self._addresses()
        if not addresses:
            raise Conflict(
                "this node has no address that another host could reach",
                code="no_address",
                hint="bring the interface up, or set [mesh] listen or advertise in maw.toml",
            )
        now = time.time()
        invite = Invite(
            secrets.token_bytes(SECRET_BYTES), now + ttl, uses or 1,
            only_for=only_for, confirm=confirm, introducer=introducer,
        )  # fmt: skip

        async def write(conn: aiosqlite.Connection) -> None:
            await conn.execute("DELETE FROM invites WHERE expires < ?", (int(now) - 7 * 86400,))
            await rows.save_invite(conn, invite)

        await self._writer.submit(write)
        line = InviteLine(
            self._membership.book.colony,
            self._me,
            self._name,
            addresses,
            invite.secret,
            int(invite.expires_at),
        )
        return encode_line(line), invite, addresses

    async def open_invites(self) -> list[Invite]:
        """Those that somebody could still use, the first to expire first."""
        now = time.time()
        records = await self._db.rows(
            "SELECT record FROM invites WHERE expires > ? ORDER BY expires", (int(now),)
        )
        return [invite for invite in rows.read_invites(records) if len(invite.used) < invite.uses]

    async def withdraw(self, word: str) -> Invite:
        """End an open invite, known by its id or the beginning of that. NotFound, Ambiguous."""
        wanted = word.lower()
        found = [invite for invite in await self.open_invites() if invite.name.startswith(wanted) and wanted]
        if not found:
            raise NotFound(
                f"there is no open invite {word}",
                code="no_such_invite",
                hint="`maw invite --list` shows them",
            )
        if len(found) > 1:
            names = [invite.name for invite in found]
            raise Ambiguous(
                f"{len(found)} invites begin with {word}", hint="write more of it", candidates=names
            )
        invite_id = found[0].invite_id

        async def write(conn: aiosqlite.Connection) -> None:
            await conn.execute("DELETE FROM invites WHERE id = ?", (invite_id,))

        await self._writer.submit(write)
        return found[0]

    async def find(self, invite_id: bytes) -> Invite | None:
        found = rows.read_invites(
            await self._db.rows("SELECT record FROM invites WHERE id = ?", (invite_id,))
        )
        return found[0] if found else None

    async def claim(self, invite_id: bytes, joiner: NodeId, name: str, now: float) -> bytes:
        async def write(conn: aiosqlite.Connection) -> None:
            invite = await _locked(conn, invite_id)
            verdict = judge(invite, joiner, now)
            if isinstance(verdict, Denied):
                raise Refused(verdict.reason, code=verdict.code)
            if not any(use.joiner == joiner for use in invite.used):
                await rows.save_invite(conn, replace(invite, used=(*invite.used, Use(joiner, name, now))))

        book = self._membership.book
        if joiner in book.revoked:
            raise Refused(
                f"the key {key_text(joiner)} was revoked: no invite brings it back",
                code="revoked",
                hint="whoever owns that host: `maw key rotate` with its recovery key, or a new node",
            )
        await self._writer.submit(write)
        statements = tuple(item.wire for item in book.statements().values() if item.type != FOUND)
        return Welcome(self._founding(), statements, self._name, self._addresses()).pack()

    async def complete(self, invite_id: bytes, joiner: NodeId, acceptance: bytes) -> None:
        theirs, name, addresses = _read_acceptance(acceptance, joiner, self._me)
        if theirs.colony != self._membership.book.colony:
            raise Refused("the acceptance is of another Colony", code="wrong_colony")
        invite = await self.find(invite_id)
        if invite is None or not any(use.joiner == joiner for use in invite.used):
            raise Refused("this invite was not claimed by that key", code="unknown")
        known = self._membership.book.trusted.get(joiner)
        if known is not None and known.how == INVITED and theirs.id in self._membership.book.statements():
            return
        recovery = self._own_recovery(joiner, theirs)
        pin = Pin(joiner, name, addresses, INVITED, invite.introducer, wall_clock_ms())
        ours = self._membership.admit_statement(joiner, name, addresses, invite.introducer, recovery)

        async def bind(conn: aiosqlite.Connection) -> None:
            """Somebody belongs to our Colony from here on: it is not left for another any more."""
            await rows.set_meta(conn, "linked", 1)

        await self._membership.paired(pin, [ours, theirs], bind)

    def _own_recovery(self, joiner: NodeId, theirs: Statement) -> bytes | None:
        """The hash of the joiner's recovery key as it says itself, if it does; we answer for it to those who come
        later. Raises Refused, having told the owner, when it is known to be another."""
        own = read_admission(theirs).own
        known = self._membership.book.recoveries.get(joiner)
        if own is not None and known is not None and own != known:
            self._alert(
                Alert(
                    RECOVERY_KEY,
                    short_key(joiner),
                    f"{key_text(joiner)} would pair again, with another recovery key than it had: its key may be"
                    " stolen, and was refused. If it is: maw revoke",
                )
            )
            raise Refused(
                f"the node {short_key(joiner)} has another recovery key, as far as is known here",
                code="other_recovery_key",
                hint="whoever owns that host: `maw key rotate` with its true recovery key, or a new node",
            )
        return own

    async def turned_away(self, invite: Invite, claim: JoinClaim, why: Denied) -> None:
        if why.code == "unconfirmed" and len(self.asking) < MAX_ASKING:
            self.asking[claim.joiner] = claim.name
        self._alert(
            Alert(
                "invite",
                short_key(claim.joiner),
                f"{claim.name or '?'} ({key_text(claim.joiner)}) knows an invite of this host"
                f" and was refused: {why.reason}",
            )
        )

    def who_asks(self, word: str) -> NodeId | None:
        """The one key that waits to be confirmed under this name or piece of its key."""
        found = [key for key, name in self.asking.items() if word.lower() in (name, short_key(key))]
        return found[0] if len(found) == 1 else None

    async def confirm(self, key: NodeId) -> None:
        """The owner confirms ``key`` for every open invite that asks for it. NotFound when none does."""

        async def write(conn: aiosqlite.Connection) -> int:
            records = await conn.execute_fetchall("SELECT record FROM invites")
            asking = [i for i in rows.read_invites(records) if i.confirm and time.time() < i.expires_at]
            for invite in asking:
                if key not in invite.confirmed:
                    await rows.save_invite(conn, replace(invite, confirmed=(*invite.confirmed, key)))
            return len(asking)

        confirmed = await self._writer.submit(write)
        self.asking.pop(key, None)
        if not confirmed:
            raise NotFound(
                f"{key_text(key)} is not pending here, and no open invite asks for a confirmation",
                code="no_such_peer",
                hint="`maw peers` lists who is pending; `maw invite --confirm` makes such an invite",
            )


async def _locked(conn: aiosqlite.Connection, invite_id: bytes) -> Invite:
    records = await conn.execute_fetchall("SELECT record FROM invites WHERE id = ?", (invite_id,))
    found = rows.read_invites(records)
    if not found:
        raise Refused("this host knows no such invite", code="unknown")
    return found[0]


Adopt = Callable[[bytes, list[Statement], Pin], Awaitable[bytes]]
"""(colony, statements, pin of the inviter) -> our acceptance; all is committed when it returns."""


class JoiningDesk:
    """Implements net.joining.JoinDesk."""

    def __init__(
        self,
        writer: Writer,
        membership: Membership,
        *,
        has_linked: Callable[[], Awaitable[bool]],
        adopt: Adopt,
    ) -> None:
        self._writer = writer
        self._membership = membership
        self._has_linked = has_linked
        self._adopt = adopt

    def is_in(self, line: InviteLine) -> bool:
        """This side's part is done: the inviter is pinned in the invite's Colony."""
        book = self._membership.book
        return line.colony == book.colony and any(pin.key == line.node for pin in book.pins)

    async def begin(self, line: InviteLine) -> None:
        if line.colony != self._membership.book.colony and await self._has_linked():
            raise Refused(
                "this node belongs to a Colony already and has linked with others there",
                code="already_in_a_colony",
                hint="Colonies do not merge: for a second one, make a second node with its own $MAW_HOME",
            )
        at = wall_clock_ms()
        await self._writer.submit(lambda conn: rows.save_join(conn, line.invite_id, encode_line(line), at))

    async def welcomed(self, line: InviteLine, welcome: bytes) -> bytes:
        told, statements = read_welcome(welcome)
        if statements[0].type != FOUND or colony_id(statements[0]) != line.colony:
            raise Refused("the other host's Colony is not the one the invite names", code="wrong_colony")
        addresses = tuple(dict.fromkeys((*line.addresses, *told.addresses)))
        pin = Pin(line.node, told.name or line.name, addresses, JOINED, at_ms=wall_clock_ms())
        return await self._adopt(line.colony, self._credible(line.colony, statements, pin), pin)

    def _credible(self, colony: bytes, statements: Sequence[Statement], pin: Pin) -> list[Statement]:
        """What a member of that Colony, pinning the inviter, would take from it over a link. What is left out
        here comes by itself, once its issuer is known."""
        book = TrustBook(self._membership.book.me, colony, pins=[pin])
        grew = True
        while grew:
            fresh = [item for item in statements if book.acceptable(item)]
            book.add(fresh)
            grew = bool(fresh)
        return list(book.statements().values())

    async def finished(self, line: InviteLine) -> None:
        await self._writer.submit(lambda conn: rows.end_join(conn, line.invite_id))
