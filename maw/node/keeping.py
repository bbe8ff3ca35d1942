"""What the statements in force mean on this host: who may not speak, what is not shown, what is told about it.

Refusing and withholding read the book as it stands, so they hold from the moment a statement is durable.
What has to be done to rows (hiding what a revoked key said above its cut, showing what a thaw lets through)
and what is said in our log about it follow within a second, and again after a restart if that was cut short.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

import aiosqlite

from maw.core.clock import shown_time
from maw.core.colony import Said
from maw.core.effects import Alert
from maw.core.entry import Entry, Kind
from maw.core.freezing import AGENT, ALL, CHANNEL, Freeze
from maw.core.heeding import MAX_KEEPS, Heed
from maw.core.identity import NodeId, short_key
from maw.core.ruling import IN_FORCE_IS_TOLD
from maw.core.trust import TrustBook
from maw.errors import MawError, Refused
from maw.node.authoring import Authoring, wall_clock_ms
from maw.node.folds import Folds
from maw.node.spoken import OperatorsWord
from maw.node.store import Store
from maw.store.fold import Fold
from maw.store.progress import untell
from maw.store.state import AgentRow
from maw.store.withholding import FROZEN, PENDING, REVOKED, hide_beyond, release

REVOKED_HERE: Final = "revoked"


class Keeping:
    """``book`` gives the TrustBook of the moment."""

    def __init__(
        self,
        store: Store,
        authoring: Authoring,
        word: OperatorsWord,
        book: Callable[[], TrustBook],
        alert: Callable[[Alert], None],
        folds: Folds,
        redact: Callable[[], Awaitable[None]],
        name_of: Callable[[NodeId], str],
    ) -> None:
        """``redact`` carries out redactions that were stated; ``name_of``: what a node is called here."""
        self._name_of = name_of
        self._redact = redact
        self._store = store
        self._authoring = authoring
        self._word = word
        self._book = book
        self._alert = alert
        self._folds = folds
        self._told: set[bytes] | None = None
        self._due = True
        self._hidden: dict[NodeId, dict[int, int]] = {}
        self.refuse_halted: Callable[[AgentRow], None] = lambda agent: None
        """Raises Refused for an agent of ours that has spent what it may."""

    # -- asked at once ------------------------------------------------------------------------------

    def withhold(self, entry: Entry, said: Said | None) -> str | None:
        """Why what another node says is held and not shown; None when it is shown. ``said``: the message, if it is
        one."""
        book = self._book()
        if book.pending and entry.author in book.pending:
            return PENDING
        if said is None and entry.kind not in (
            Kind.PRIVATE,
            Kind.LEDGER,
        ):  # of those, who is in a private channel
            return None
        ruling = book.ruling
        if ruling.revoked and (gone := ruling.revoked.get(entry.author)) is not None:
            last = gone.cut.get(entry.epoch)
            if last is None or entry.seq > last.seq:
                return REVOKED
        if said is not None and ruling.freezes.active and entry.author != self._store.me:
            author = ruling.successor(entry.author)
            frozen = self._freeze_on(author, said.agent, said.channel) is not None
            said_ms = shown_time(entry.hlc, wall_clock_ms()).ms
            if frozen and self._word.over(said, entry.author, said_ms) is None:
                return FROZEN
        return None

    def refuse(self, agent: AgentRow, said: Said) -> None:
        """Raises Refused when a freeze keeps this agent of ours from speaking there, or what it shows as an
        operator's word is none."""
        spoken = self._word.over(said, self._store.me, wall_clock_ms())
        if said.word is not None and spoken is None:
            if hosts := self._word.bound_to(said, wall_clock_ms()):
                names = ", ".join(sorted(self._name_of(host) for host in hosts))
                raise Refused(
                    f"this operator may give orders to agents on {names} alone: not to those of other hosts, nor to a"
                    " channel",
                    code="not_over_all",
                    hint="maw operator order @AGENT@HOST, with hosts of these only; who holds the right over all may"
                    " say it, or give it",
                )
            raise Refused(
                "the operator's signature does not hold for this message, was used before, or its key may give no"
                " orders",
                code="no_operator",
                hint="`maw operator list` shows who may; sign again with `maw operator order`",
            )
        if spoken is None:
            self.refuse_frozen(agent, said.channel)

    def refuse_frozen(self, agent: AgentRow, channel: str | None) -> None:
        """Raises Refused when a freeze keeps this agent of ours from doing anything there."""
        freeze = self._freeze_on(self._store.me, agent.id, channel)
        if freeze is not None:
            raise Refused(
                f"{frozen_words(freeze)}: nothing is taken from {agent.name} here",
                code="frozen",
                hint="reading goes on; only an operator lifts it, with `maw thaw`",
            )
        self.refuse_halted(agent)

    def frozen(self, agent: AgentRow) -> str | None:
        """What freezes this agent of ours altogether, in words; None where nothing does."""
        freeze = self._freeze_on(self._store.me, agent.id, None)
        return None if freeze is None else frozen_words(freeze)

    def _freeze_on(self, node: NodeId, agent: bytes, channel: str | None) -> Freeze | None:
        """Also one that names the agent where it lived before."""
        freezes, travels = self._book().ruling.freezes, self._store.state.travels
        if (here := freezes.on(node, agent, channel)) is not None or not travels.knows(agent):
            return here
        before = (freezes.on(home, agent, None) for home in travels.former(node, agent))
        return next((one for one in before if one is not None and one.target.what == AGENT), None)

    # -- done soon ----------------------------------------------------------------------------------

    def trust_changed(self) -> None:
        """The book says something new; ``settle`` acts on it."""
        self._due = True
        book = self._book()
        authority = book.ruling.authority
        founder = () if authority.founder is None else (authority.founder,)
        self._store.state.operators = frozenset((*founder, *authority.holders()))
        self._store.state.former_me = frozenset(
            key for key in book.revoked if book.ruling.successor(key) == self._store.me
        )
        self._store.state.heirs = {
            key: heir for key in book.revoked if (heir := book.ruling.successor(key)) != key
        }
        self._store.state.travels.heirs = self._store.state.heirs
        self._store.state.replaced_by = {
            key: gone.new for key, gone in book.revoked.items() if gone.new is not None
        }
        gone = book.revoked.get(self._store.me)
        if gone is None:
            self._authoring.barred = None
            return
        why = next((one.why for one in gone.by if one.why), "no reason was given")
        self._authoring.barred = f"this node's key was revoked: {why}"
        text = (
            f"this node's key {short_key(self._store.me)} was revoked ({why}): nobody takes its word any more. If this"
            " is your host and its key was stolen: maw key rotate --recovery FILE"
        )
        self._alert(Alert(REVOKED_HERE, short_key(self._store.me), text))

    async def settle(self) -> None:
        """Carry out what has changed. Raises MawError when the disk does not take it; then it is still due."""
        if not self._due:
            return
        self._due = False
        try:
            await self._hide()
            for why in (FROZEN, REVOKED, PENDING):
                await self._release(why)
            await self._redact()
            await self._tell()
        except MawError:
            self._due = True
            raise

    async def _hide(self) -> None:
        for key, gone in self._book().revoked.items():
            cut = {epoch: head.seq for epoch, head in gone.cut.items()}
            if key == self._store.me or self._hidden.get(key) == cut:
                continue

            async def write(conn: aiosqlite.Connection, key: NodeId = key, cut: dict[int, int] = cut) -> int:
                state, now = self._store.state, wall_clock_ms()
                await untell(conn, state, self._store.me, key, cut, now)
                return await hide_beyond(conn, state, key, cut, now)

            hidden = await self._store.writer.submit(write)
            self._hidden[key] = cut
            if hidden:
                text = f"{hidden} messages that were signed with the revoked key {short_key(key)} are shown no more"
                self._alert(Alert("cut_off", short_key(key), text))

    async def _release(self, why: str) -> None:
        after: int | None = 0
        while after is not None:
            start = after

            async def write(conn: aiosqlite.Connection, start: int = start) -> tuple[int | None, Fold]:
                fold = Fold(self._store.state, self._store.me, wall_clock_ms(), self.withhold)
                return await release(conn, fold, why, start), fold

            after, _ = await self._store.writer.submit(write, lambda done: self._folds.took(done[1]))

    async def _tell(self) -> None:
        """Say in our log which statements are in force here, each once."""
        if self._authoring.barred or self._authoring.read_only:
            return
        if self._told is None:
            sql = "SELECT statement FROM heeded WHERE node = (SELECT n FROM nodes WHERE key = ?)"
            self._told = {statement for (statement,) in await self._store.db.rows(sql, (self._store.me,))}
        book = self._book()
        fresh = [
            one.id
            for one in book.statements().values()
            if one.type in IN_FORCE_IS_TOLD
            and one.id not in self._told
            and book.ruling.counts(one, book.said_by(one.id))
        ]
        for at in range(0, len(fresh), MAX_KEEPS):
            keeps = tuple(fresh[at : at + MAX_KEEPS])
            await self._authoring.say(Kind.HEED, Heed(keeps).content())
            self._told.update(keeps)


def frozen_words(freeze: Freeze) -> str:
    """``#noise is frozen (too loud)``."""
    target = freeze.target
    name = {ALL: "the whole Colony", CHANNEL: f"#{target.channel}"}.get(target.what, target.name)
    return f"{name} is frozen" + (f" ({freeze.why})" if freeze.why else "")
