"""Agents that come here: what was handed over is fetched and looked at, this host says that it is ready, and when the
old one has said that the agent has moved it gets its card here, and its mailbox."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import partial
from typing import Final, TypeVar

import aiosqlite

from maw.core.colony import AgentCard
from maw.core.effects import Alert
from maw.core.entry import Kind
from maw.core.files import File
from maw.core.handover import MAX_BYTES, Handover, Mail
from maw.core.identity import NodeId
from maw.core.moving import ARRIVED, HANDED, HOME, MAX_WHY, MOVED, READY, REFUSED, Moved
from maw.core.profile import NO_PROFILE
from maw.core.transcript import plain_words
from maw.errors import Conflict
from maw.node.authoring import Authoring, wall_clock_ms
from maw.node.folds import Folds
from maw.node.homes import check_packed
from maw.node.indexing import in_thread
from maw.node.luggage import Luggage
from maw.node.store import Store
from maw.store.fold import Fold
from maw.store.handing import PAGE, open_handed, take_mail, take_over
from maw.store.state import AgentRow
from maw.store.travelling import MoveRow, is_of_here, set_move

NAME_TAKEN: Final = "move_name"
MAIL_LOST: Final = "move_mail"
NOT_TAKEN: Final = "move_refused"
TRIES: Final = 12
"""So often, some 5 s each, it is asked for again."""
Item = TypeVar("Item")


def lots(items: Sequence[Item]) -> Iterator[Sequence[Item]]:
    return (items[at : at + PAGE] for at in range(0, len(items), PAGE))


class Arriving:
    """``counts``: whether a node is trusted here."""

    def __init__(
        self,
        store: Store,
        authoring: Authoring,
        folds: Folds,
        luggage: Luggage,
        counts: Callable[[NodeId], bool],
        alert: Callable[[Alert], None],
    ) -> None:
        self._store = store
        self._authoring = authoring
        self._folds = folds
        self._luggage = luggage
        self._counts = counts
        self._tries: dict[bytes, int] = {}
        self._alert = alert

    async def go_on(self, row: MoveRow) -> None:
        """The next step of a move to here. Raises MawError when the disk does not take it, or the file."""
        if row.step == HANDED:
            await self._fetch(row)
        elif row.step == MOVED:
            await self._arrive(row)
        elif row.step == ARRIVED:
            await self._settle(row)

    # -- before it turns --------------------------------------------------------------------------------

    async def _fetch(self, row: MoveRow) -> None:
        try:
            files = await self._luggage.fetch(row)
            if files is None:
                return
            handover = await self._read(files[0])
            for home in files[1:2]:
                await self._luggage.look(home, check_packed)
        except ValueError as error:  # what would not be of use later is refused now
            await self._say(row, REFUSED, plain_words(str(error))[:MAX_WHY])
            return
        if behind := self._behind(handover):
            self._luggage.progress[row.move] = (
                f"{behind} logs are not here yet as far as the old host has read them"
            )
            return
        self._luggage.progress.pop(row.move, None)
        await self._say(row, READY, "")

    def _behind(self, handover: Handover) -> int:
        """Logs of which less is here than the old host had read: what it did with that must not be done again."""
        state = self._store.state
        return sum(
            self._counts(one.author) and state.head(one.author, one.epoch).seq < one.seq
            for one in handover.heads
        )

    async def _say(self, row: MoveRow, step: str, why: str) -> None:
        def local(_: Fold) -> None:
            now = self._store.state.moves.get(row.move)
            if now is None or now.step != row.step:
                raise Conflict(f"the move of {row.name} is another than it was", code="not_now")

        said = Moved(row.move, row.agent, row.node, step, why=why)
        await self._authoring.say(Kind.MOVED, said.content(), local=local)

    # -- after it has turned ----------------------------------------------------------------------------

    async def _arrive(self, row: MoveRow) -> None:
        """Its card, whose it is, and that its mailbox is to be filled: one commit."""
        state, me = self._store.state, self._store.me
        if (why := self._why_not(row)) is not None:  # whoever said it is ready may not have looked
            await self._luggage.set(row._replace(step=REFUSED, why=why, at=wall_clock_ms()))
            self._alert(Alert(NOT_TAKEN, row.name, f"{row.name} is not taken in: {why}"))
            return
        old = state.nodes.get(row.node)
        there = None if old is None else state.agents.get((old.n, row.agent))
        profile = NO_PROFILE if there is None else there.profile._replace(of=None)
        name = self._free_name(row)
        card = AgentCard(row.agent, name, row.role, profile=profile, moved=(row.node, row.move))

        def claim(fold: Fold) -> None:
            now = state.moves.get(row.move)
            if now is None or now.step != MOVED or name in state.local:
                raise Conflict(f"the move of {row.name} is another than it was", code="not_now")
            if (why := self._why_not(row)) is not None:
                raise Conflict(f"{row.name} is not taken in: {why}", code="does_not_move")
            agent = fold.agent(fold.node(me), row.agent, name, row.role, fold.now_ms)
            agent.uid, agent.since_seq, agent.token_hash = row.plan.get("uid", os.getuid()), state.seq, None
            agent.profile = fold.changes.profiles[agent.n] = profile
            fold.local_agents.append(agent)
            set_move(fold, now)

        await self._authoring.say(Kind.AGENT, card.content(), local=claim)

    def _why_not(self, row: MoveRow) -> str | None:
        """What keeps this agent from ever being one of this host's, whatever was agreed."""
        if row.role != "agent":
            return f"it came as {row.role}, and only agents move"
        if is_of_here(self._store.state, self._store.me, row.agent):
            return "it has the id of an agent of this host"
        return None

    def _free_name(self, row: MoveRow) -> str:
        """Its own. Where another took that meanwhile (a database was put back) it must not be homeless."""
        if row.name not in self._store.state.local:
            return row.name
        name = f"{row.name[:24]}-{row.agent.hex()[:6]}"
        text = f"{row.name} came from another host, and there is a {row.name} here: it is called {name}"
        self._alert(Alert(NAME_TAKEN, name, text))
        return name

    async def _settle(self, row: MoveRow) -> None:
        """Its mailbox as it was, in steps that hold nobody up (the agent reads nothing meanwhile, and each can be done
        again); then what came since, in the commit in which the agent is free to speak."""
        handover = await self._handed(row)
        if handover is None:
            return
        done = row._replace(step=HOME, at=wall_clock_ms())

        for loans in lots(await in_thread(sorted, handover.keys)):
            await self._step(partial(open_handed, lender=row.node, loans=loans))
        for mails in lots(handover.mail):
            await self._step(partial(self._take_mail, row, mails))

        async def write(conn: aiosqlite.Connection) -> Fold:
            agent = self._agent(row)
            last = self._folds.new(wall_clock_ms())
            await take_over(conn, last, agent, handover)
            set_move(last, done)
            await last.write(conn)
            return last

        await self._store.writer.submit(write, self._folds.took)
        await self._luggage.drop_mailbox(done)

    async def _step(self, work: Callable[[aiosqlite.Connection, Fold], Awaitable[None]]) -> None:
        """One commit; what others write comes between."""

        async def write(conn: aiosqlite.Connection) -> Fold:
            fold = self._folds.new(wall_clock_ms())
            await work(conn, fold)
            return fold

        await self._store.writer.submit(write, self._folds.took)

    async def _take_mail(
        self, row: MoveRow, mails: Sequence[Mail], conn: aiosqlite.Connection, fold: Fold
    ) -> None:
        await take_mail(conn, fold.state, self._agent(row), mails)

    async def _handed(self, row: MoveRow) -> Handover | None:
        """What was handed over; None while it may come yet. It was here when this host said so: where it is lost since
        (a disk that was put back), all that is for the agent is given again."""
        files = self._luggage.files(row)
        if files and (self._luggage.has(files[0]) or await self._luggage.fetch(row) is not None):
            return await self._read(files[0])
        self._tries[row.move] = self._tries.get(row.move, 0) + 1
        if files and self._tries[row.move] < TRIES:
            return None
        text = (
            f"what {row.name} had in its mailbox was lost on this disk: all that is for it is new to it again"
        )
        self._alert(Alert(MAIL_LOST, row.name, text))
        return Handover((), (), (), (), None)

    async def _read(self, file: File) -> Handover:
        """Raises ValueError, Unavailable."""
        if file.size > MAX_BYTES:
            raise ValueError(f"its mailbox is larger than {MAX_BYTES >> 20} MiB")
        found: Handover = await in_thread(Handover.unpack, await self._luggage.bytes_of(file))
        return found

    def _agent(self, row: MoveRow) -> AgentRow:
        state = self._store.state
        return state.agents[state.nodes[self._store.me].n, row.agent]
