"""Agents that move from here and to here: each step is a word in this host's log, taken up again after any crash.

Old host: offered, (accepted there), handed, (ready there), moved. New host: (offered there), accepted, (handed), ready,
(moved), arrived, home. What stands in the middle of it is in ``state.moves`` and on the disk; see ``maw/core/moving``.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from typing import Any, Final

from maw.core.colony import MOVE_BYTES
from maw.core.effects import Alert
from maw.core.entry import Kind
from maw.core.files import File
from maw.core.identity import NodeId, key_text
from maw.core.moving import (
    ACCEPTED,
    ARRIVED,
    CANCELLED,
    HANDED,
    HOME,
    MAX_WHY,
    MOVED,
    OFFERED,
    READY,
    REFUSED,
    Moved,
)
from maw.core.transcript import plain_words
from maw.errors import Ambiguous, BadInput, Conflict, NotFound, Refused
from maw.node.authoring import Authoring
from maw.node.directory import Directory
from maw.node.luggage import Luggage
from maw.node.people import People
from maw.node.presenting import Json, iso
from maw.node.roster import Roster
from maw.node.sealing import Sealing
from maw.node.store import Store
from maw.store.fold import Fold
from maw.store.handing import gather
from maw.store.state import AgentRow
from maw.store.travelling import MoveRow, set_move, why_not_offered

log = logging.getLogger(__name__)

MOVE_STUCK: Final = "move"
"""Kind of alert: a move waits for a human."""
_STANDS: Final = {
    OFFERED: "is offered, and not accepted yet",
    ACCEPTED: "is accepted, and not handed over yet",
    HANDED: "is under way: it is being handed over",
    READY: "is under way: it is ready to turn",
    MOVED: "is done: it has moved",
    REFUSED: "was refused",
    CANCELLED: "was cancelled",
    ARRIVED: "is done: it lives here",
    HOME: "is done: it lives here",
}


class Moving:
    """What is decided here of moves. ``frozen``: what freezes an agent of ours, in words; ``stir`` has the next step
    taken; ``accept_from``: names or keys of hosts from which agents are taken in unasked."""

    def __init__(
        self,
        store: Store,
        authoring: Authoring,
        directory: Directory,
        sealing: Sealing,
        people: People,
        roster: Roster,
        luggage: Luggage,
        accept_from: Sequence[str],
        frozen: Callable[[AgentRow], str | None],
        alert: Callable[[Alert], None],
        settle: Callable[[str, str], None],
    ) -> None:
        self._settle = settle
        self._store = store
        self._authoring = authoring
        self._directory = directory
        self._sealing = sealing
        self._people = people
        self._roster = roster
        self._luggage = luggage
        self._accept_from = accept_from
        self._frozen = frozen
        self._alert = alert
        self._decided: set[bytes] = set()
        """Moves to here about which nobody needs to be asked any more, and whose alert is settled."""
        self.stirred = asyncio.Event()

    # -- asked by people --------------------------------------------------------------------------------

    async def offer(self, agent: AgentRow, host: str) -> Json:
        """This agent of ours is to move to ``host``. One that is offered there already stays so. Raises NotFound,
        Ambiguous, Refused, Conflict."""
        node = self._find_host(host)
        for row in self._store.state.moves.values():
            if row.leaving and row.agent == agent.id and row.is_open:
                if row.node == node:
                    return self.json(row)
                raise Conflict(
                    f"{agent.name} is moving to {self._directory.name_of(row.node)} already ({row.step})",
                    code="moving",
                    hint=f"maw move cancel {_name(row)}",
                )
        self._check_may_leave(agent)
        self._sealing.check_key(node)
        said = Moved(secrets.token_bytes(MOVE_BYTES), agent.id, node, OFFERED, agent.name, agent.role)
        await self._say(said, lambda _: self._check_here(agent))
        return self.json(self._store.state.moves[said.move])

    def _find_host(self, host: str) -> NodeId:
        found = self._directory.find_hosts(host.removeprefix("@"))
        if not found:
            raise NotFound(
                f"no host is called {host}", code="no_such_host", hint="`maw peers` shows who is known"
            )
        if len(found) > 1:
            names = [self._directory.host_name(row) for row in found]
            raise Ambiguous(
                f"{len(found)} hosts are called {host}: {', '.join(names)}", hint=f"say which: {names[0]}",
                candidates=names,
            )  # fmt: skip
        if found[0].key == self._store.me:
            raise BadInput(
                "an agent of this host is on this host already", code="bad_field", hint="name another host"
            )
        return found[0].key

    def _check_may_leave(self, agent: AgentRow) -> None:
        self._check_here(agent)
        why = None
        if agent.role != "agent":
            why = "a human has a name on each host: `maw agent add NAME --role ape` there"
        elif agent.profile.of is not None:
            why = f"it is a role of {self._directory.owner_of(agent)}, and stays with who bears it"
        elif roles := self._directory.roles_of(agent):
            names = ", ".join(sorted(row.name for row in roles))
            why = f"it speaks as {names} too: `maw agent remove {roles[0].name}` first"
        elif (frozen := self._frozen(agent)) is not None:
            why = f"{frozen}: an operator lifts it with `maw thaw`"
        elif self._store.state.travels.is_full(self._store.me, agent.id):
            why = "it has moved from here and to here so often that no more moves of it are heard"
        elif agent in self._roster.wanted():
            why = f"its session runs here: `maw agent stop {agent.name}` first"
        if why is not None:
            raise Refused(f"{agent.name} does not move: {why}", code="does_not_move")

    def _check_here(self, agent: AgentRow) -> None:
        row = self._store.state.agent_at.get(agent.n)
        if row is None or row.uid is None or row.gone:
            raise NotFound(f"{agent.name} is no agent of this host any more", code="no_such_agent")

    async def hand_over(self, move: bytes, size: int | None, home: AsyncIterator[bytes] | None) -> Json:
        """The agent is held from here on, and what there is of it goes to the new host, which has accepted. ``home``:
        the bytes of its folder, packed (``maw/node/homes``). Raises Conflict, TooLarge, Unavailable; then nothing was
        said."""
        row = self._row(move, leaving=True)
        if row.step in (HANDED, READY, MOVED):
            return self.json(row)
        if row.step != ACCEPTED:
            raise self._not_now(row)
        agent = self._agent(row)
        self._check_may_leave(agent)
        holding = self._store.state.holding
        if agent.id in holding:
            raise Conflict(
                f"{agent.name} is being handed over already", code="moving", hint="maw move status"
            )
        holding.add(agent.id)
        try:
            await self._hand_over(row, agent, size, home)
        finally:
            holding.discard(agent.id)
        return self.json(self._store.state.moves[move])

    async def _hand_over(
        self, row: MoveRow, agent: AgentRow, size: int | None, home: AsyncIterator[bytes] | None
    ) -> None:
        packed = None if home is None else await self._luggage.pack(row, agent, "home.tar.gz", size, home)
        state, me = self._store.state, self._store.me
        handover = await self._store.writer.submit(lambda conn: gather(conn, state, me, agent))
        mail = await self._luggage.pack(row, agent, "mailbox", None, _once(handover.pack()))
        files = [mail] if packed is None else [mail, packed]
        content = {"agent": agent.id, "files": [file.content() for file in files]}
        box, _ = self._sealing.seal(Kind.MOVED, content, {row.node}, itself=False)
        await self._say_of(row, HANDED, box=dict(box))

    async def accept(self, move: bytes, uid: int, home: str | None) -> Json:
        """This host takes the agent in, as ``uid``'s; ``home``: where its folder is to be. Raises Conflict,
        BadInput, Refused."""
        row = self._row(move, leaving=False)
        if row.step != OFFERED:
            if row.step in (ACCEPTED, HANDED, READY, MOVED, ARRIVED, HOME):
                return self.json(row)
            raise self._not_now(row)
        self._check_free(row)
        if (why := why_not_offered(self._store.state, self._store.me, row)) is not None:
            raise Refused(
                f"{row.name} is not taken in: {why}",
                code="does_not_move",
                hint=f"maw move refuse {_name(row)}",
            )
        self._people.check_new(row.name, row.role)
        own = self._directory.host_name(self._store.state.nodes[self._store.me])
        async with self._people.births.turn:
            await self._people.births.allow(None, row.name, own)  # as one that is made here by hand
            await self._say_of(row, ACCEPTED, plan={**row.plan, "uid": uid, "home": home})
        self._settle(MOVE_STUCK, _name(row))
        return self.json(self._store.state.moves[move])

    def _check_free(self, row: MoveRow) -> None:
        if row.name in self._store.state.local:
            raise Conflict(
                f"there is an agent called {row.name} on this host already",
                code="agent_exists",
                hint=f"`maw move refuse {_name(row)}`, or `maw agent remove {row.name}` first",
            )

    async def refuse(self, move: bytes, why: str) -> Json:
        """This host does not take the agent in. Raises Conflict when it has said that it is ready to."""
        row = self._row(move, leaving=False)
        if row.step not in (OFFERED, ACCEPTED, HANDED):
            raise self._not_now(row)
        await self._say_of(row, REFUSED, why=plain_words(why)[:MAX_WHY])
        self._settle(MOVE_STUCK, _name(row))
        return self.json(self._store.state.moves[move])

    async def cancel(self, move: bytes) -> Json:
        """The agent stays. Raises Conflict when it has moved."""
        row = self._row(move, leaving=True)
        if not row.is_open:
            raise self._not_now(row)
        await self._say_of(row, CANCELLED)
        return self.json(self._store.state.moves[move])

    async def unpacked(self, move: bytes) -> Json:
        """Its folder is in place: what came of it is needed here no more."""
        row = self._row(move, leaving=False)
        await self._luggage.drop(row)
        await self._set(row, {**row.plan, "unpacked": True})
        return self.json(self._store.state.moves[move])

    def home(self, move: bytes) -> tuple[File, MoveRow]:
        """The folder that came along. Raises NotFound, Conflict."""
        row = self._row(move, leaving=False)
        files = self._luggage.files(row)
        if len(files) < 2 or row.plan.get("unpacked"):
            raise NotFound(f"no folder of {row.name} waits here", code="no_home", hint="maw move status")
        return files[1], row

    # -- what is told -------------------------------------------------------------------------------------

    def find(self, word: str, *, leaving: bool | None = None) -> bytes:
        """The move that ``word`` names: its id or the beginning of it, or the agent's name: of that the one which is
        under way, else the last. NotFound, Ambiguous."""
        rows = [row for row in self._store.state.moves.values() if leaving in (None, row.leaving)]
        called = sorted((row for row in rows if word == row.name), key=lambda row: row.at)
        found = [row for row in called if row.is_open] or called[-1:]
        found = found or [row for row in rows if len(word) >= 4 and _name(row).startswith(word.lower())]
        if not found:
            raise NotFound(f"no move {word} is known here", code="no_such_move", hint="maw move status")
        if len(found) > 1:
            names = [f"{_name(row)} ({row.name})" for row in found]
            raise Ambiguous(f"{len(found)} moves are called {word}", hint="give its id", candidates=names)
        return found[0].move

    def listing(self) -> list[Json]:
        """Newest first."""
        rows = sorted(self._store.state.moves.values(), key=lambda row: row.at, reverse=True)
        return [self.json(row) for row in rows]

    def json(self, row: MoveRow) -> Json:
        home = len(self._luggage.files(row)) > 1 and not row.leaving
        return {
            "id": _name(row),
            "agent": row.name,
            "leaving": row.leaving,
            "host": self._directory.name_of(row.node),
            "key": key_text(row.node),
            "step": row.step,
            "why": row.why or None,
            "at": iso(row.at),
            "progress": self._luggage.progress.get(row.move),
            "uid": row.plan.get("uid"),
            "home": row.plan.get("home"),
            "home_waits": home and row.step == HOME and not row.plan.get("unpacked"),
            "warnings": self._warnings(row),
        }

    def _warnings(self, row: MoveRow) -> list[str]:
        """What its human may want to do before it goes."""
        if not (row.leaving and row.is_open):
            return []
        state = self._store.state
        ours = (self._store.me, *state.former_me)
        words = [room.word for room in state.rooms.values()]
        made = sorted(f"#{one.name}" for one in words if one.agent == row.agent and one.maker in ours)
        if not made:
            return []
        return [
            f"{row.name} made {', '.join(made)}: only here can it say who is in there, so once it has moved that"
            " stays as it is"
        ]

    # -- the steps that follow by themselves ----------------------------------------------------------------

    async def go_on(self, row: MoveRow) -> None:
        """The next step of a move from here, or of one that waits for this host's consent. Raises MawError."""
        if not row.leaving and row.step != OFFERED and row.move not in self._decided:
            self._decided.add(row.move)
            self._settle(
                MOVE_STUCK, _name(row)
            )  # decided there, or by a daemon that was killed before it noted that
        if row.leaving and row.step == READY:
            await self._depart(row)
        elif (row.leaving and not row.is_open and not row.plan.get("tidied")) or (
            not row.leaving and row.step in (CANCELLED, REFUSED) and not row.plan.get("tidied")
        ):
            await self._luggage.drop(row)
            await self._set(row, {**row.plan, "tidied": True})
        elif not row.leaving and row.step == OFFERED and self._is_welcome(row):
            await self._welcome(row)

    def _is_welcome(self, row: MoveRow) -> bool:
        names = {key_text(row.node), self._directory.name_of(row.node)}
        return not names.isdisjoint(self._accept_from) and self._directory.counts(row.node)

    async def _welcome(self, row: MoveRow) -> None:
        try:
            await self.accept(row.move, os.getuid(), None)
        except (Conflict, BadInput, Refused) as error:
            await self._say_of(row, REFUSED, why=plain_words(error.message)[:MAX_WHY])

    async def _depart(self, row: MoveRow) -> None:
        """The one commit on which it turns."""
        agent = self._agent(row)
        try:
            self._check_may_leave(agent)
        except (Refused, NotFound) as error:
            await self._say_of(row, CANCELLED, why=plain_words(error.message)[:MAX_WHY])
            return
        if self._roster.known(agent):
            with suppress(NotFound):
                await self._roster.remove(agent)
        await self._say_of(row, MOVED)

    # -- saying -------------------------------------------------------------------------------------------

    def _row(self, move: bytes, *, leaving: bool) -> MoveRow:
        row = self._store.state.moves.get(move)
        if row is None or row.leaving != leaving:
            side = "from" if leaving else "to"
            raise NotFound(
                f"no such move {side} this host is known", code="no_such_move", hint="maw move status"
            )
        return row

    def _agent(self, row: MoveRow) -> AgentRow:
        own = self._store.state.nodes.get(self._store.me)
        agent = None if own is None else self._store.state.agents.get((own.n, row.agent))
        if agent is None:
            raise NotFound(f"{row.name} is no agent of this host any more", code="no_such_agent")
        return agent

    def _not_now(self, row: MoveRow) -> Conflict:
        return Conflict(
            f"the move of {row.name} {_STANDS.get(row.step, row.step)}{f': {row.why}' if row.why else ''}",
            code="not_now",
            hint="maw move status tells how it stands",
        )

    async def _say_of(
        self, row: MoveRow, step: str, *, why: str = "", box: dict[str, Any] | None = None,
        plan: dict[str, Any] | None = None,
    ) -> None:  # fmt: skip
        """A word of this move that counts where it stands now, and only there. Raises Conflict."""

        def local(fold: Fold) -> None:
            now = self._store.state.moves.get(row.move)
            if now is None or now.step != row.step:
                raise self._not_now(now or row)
            if plan is not None:
                set_move(fold, now._replace(plan=plan))

        await self._say(Moved(row.move, row.agent, row.node, step, why=why, box=box), local)

    async def _say(self, said: Moved, local: Callable[[Fold], None]) -> None:
        await self._authoring.say(Kind.MOVED, said.content(), local=local)
        self.stirred.set()

    async def _set(self, row: MoveRow, plan: dict[str, Any]) -> None:
        await self._luggage.set(row._replace(plan=plan))

    def received(self, fold: Fold) -> None:
        """What came from elsewhere is durable."""
        for row in fold.changes.moves.values():
            now = self._store.state.moves.get(row.move, row)  # it may be decided already
            if now.step == OFFERED and not row.leaving and not self._is_welcome(row):
                host = self._directory.name_of(row.node)
                asked = f"maw move accept {_name(row)}, or maw move refuse {_name(row)}"
                text = f"{host} offers the agent {row.name}: {asked}"
                self._alert(Alert(MOVE_STUCK, _name(row), text))
        if fold.changes.moves or fold.changes.travels or fold.changes.borrowed or fold.changes.to_lend:
            self.stirred.set()


def _name(row: MoveRow) -> str:
    return row.move.hex()[:12]


async def _once(data: bytes) -> AsyncIterator[bytes]:
    for at in range(0, len(data), 1 << 18):
        yield data[at : at + (1 << 18)]
