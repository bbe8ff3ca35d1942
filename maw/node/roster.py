"""The agents of this host that run in tmux: how each is run, what was last seen of it, whose a pane is.

The daemon only remembers. It looks at no process and touches no tmux: that is the keeper's (`maw keep`), which runs
as the agents' own Unix user and tells what it finds. Reports are kept in memory; what of them a keeper needs after a
reboot (respawns, deaths, that one was given up) is written when it changes.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import aiosqlite

from maw.config import AgentsConfig
from maw.core.effects import Alert
from maw.core.roster import NOT_ALLOWED, Place, Plan, State
from maw.errors import BadInput, Conflict, NotFound, Refused
from maw.node.alerts import Alerts
from maw.node.authoring import wall_clock_ms
from maw.node.directory import Directory
from maw.node.presenting import Json, iso
from maw.node.store import Store
from maw.store import roster as rows
from maw.store.roster import Conversation, Listed
from maw.store.state import AgentRow

KEEPER_AWAY_S: Final = 60.0
"""A keeper that was not heard of for so long does not run."""
DOWN: Final = "agent_down"
HUNG: Final = "agent_hung"
LASTING: Final = ("deaths", "respawns", "given_up", "pid", "server")
"""Of a report: a change in one of these is written down, and when it begins or ends to run. That a running one rests or
works changes all the time, and is kept in memory."""

_UNREAD: Final = "SELECT agent, count(*), max(seq) FROM mailbox WHERE acked IS NULL GROUP BY agent"


@dataclass(slots=True)
class Keeper:
    pid: int
    seen: float
    version: str


@dataclass(slots=True)
class Roster:
    """Its own small memory of three tables, changed only behind commits."""

    store: Store
    directory: Directory
    alerts: Alerts
    boot: str
    settings: AgentsConfig
    keepers: dict[int, Keeper] = field(default_factory=dict)
    """By uid."""
    _changing: asyncio.Lock = field(default_factory=asyncio.Lock)
    _listed: dict[int, Listed] = field(default_factory=dict)
    _panes: dict[int, tuple[int, Place]] = field(default_factory=dict)
    _agent_in: dict[tuple[int, Place], int] = field(default_factory=dict)
    _held: dict[int, Conversation] = field(default_factory=dict)

    async def load(self) -> list[str]:
        """Returns what is left out, for it is damaged."""
        found = await rows.read_rows(self.store.db.writing, self.boot)
        self._listed, self._panes, self._held = found.listed, found.panes, found.conversations
        self._agent_in = {place: agent for agent, place in self._panes.items()}
        return found.damaged

    # -- who sits in a pane ---------------------------------------------------------------------------

    def in_pane(self, uid: int, place: Place) -> AgentRow | None:
        """The agent to whom this pane belongs, for this uid. Root in the pane of a tmux server that is another user's
        speaks as that user's agent; any user may name any path, so only whose socket it is counts."""
        agent = self._agent_in.get((uid, place))
        if agent is None and uid == 0 and (owner := owner_of(place.socket)) is not None:
            agent = self._agent_in.get((owner, place))
        row = None if agent is None else self._alive(agent)
        if agent is None or row is None or row.uid != self._panes[agent][0]:
            return None  # a pane is of who ran the agent then: nobody else inherits it with the number
        return row

    def _alive(self, agent: int) -> AgentRow | None:
        row = self.store.state.agent_at.get(agent)
        return None if row is None or row.gone or row.uid is None else row

    # -- the list -------------------------------------------------------------------------------------

    async def listing(self, uid: int | None) -> list[Json]:
        """By name; those of one uid, or all."""
        unread = {
            agent: (count, newest or 0) for agent, count, newest in await self.store.db.rows(_UNREAD, ())
        }
        found = [row for agent in self._listed if (row := self._alive(agent)) and uid in (None, row.uid)]
        return [self._json(row, unread.get(row.n, (0, 0))) for row in sorted(found, key=lambda row: row.name)]

    def _json(self, row: AgentRow, unread: tuple[int, int]) -> Json:
        listed, place, held = self._listed[row.n], self._panes.get(row.n), self._held.get(row.n)
        return {
            "name": row.name,
            "agent": self.directory.address(row),
            "uid": row.uid,
            "plan": listed.plan.as_json(),
            "pane": None if place is None else dict(zip(("socket", "server", "pane"), place[1], strict=True)),
            "conversation": None
            if held is None
            else {
                "session": held.session,
                "pid": held.pid if held.boot == self.boot else 0,
                "transcript": held.transcript or None,
                "at": iso(held.at),
            },
            "report": listed.report or None,
            "unread": unread[0],
            "newest_unread": unread[1],
        }

    def wanted(self) -> list[AgentRow]:
        """Those that are to run, of every uid."""
        return [
            row for agent, listed in self._listed.items() if listed.plan.up and (row := self._alive(agent))
        ]

    def given_up(self, row: AgentRow) -> bool:
        """Whether its keeper starts it no more: it died too often."""
        listed = self._listed.get(row.n)
        return listed is not None and bool(listed.report.get("given_up"))

    def known(self, row: AgentRow) -> bool:
        return row.n in self._listed

    def works_in_session(self, row: AgentRow) -> bool:
        """Whether it is run as a program that stays, not by a command for each mail, as one that pulses is."""
        listed = self._listed.get(row.n)
        return listed is not None and not listed.plan.exec

    # -- changes: durable once a method returns -----------------------------------------------------

    def owned(self, name: str, uid: int | None, *, is_admin: bool) -> AgentRow:
        """The agent of this host, when it is this uid's to run. NotFound, Refused."""
        row = self.directory.local(name)
        if uid is None or (row.uid != uid and not is_admin):
            raise Refused(
                f"{row.name} belongs to another user of this machine (uid {row.uid})",
                code="not_yours",
                hint="its own user, or who administers this node, may run it",
            )
        return row

    async def put(self, row: AgentRow, asked: Mapping[str, Any], place: Place | None) -> Json:
        """Change how it is run; new ones join. ``place``: the pane that is its from now on.

        Conflict: another agent's session has that name, or the pane is another's. Refused: of another user's tmux."""
        assert row.uid is not None
        uid = row.uid
        _refuse_foreign(uid, place)
        async with self._changing:
            before = self._listed.get(row.n) or Listed(Plan(), {})
            plan = before.plan.changed(asked)
            self._refuse_taken(row, plan, place)

            async def write(conn: aiosqlite.Connection) -> None:
                await rows.write_plan(conn, row.n, plan)
                if place is not None:
                    await rows.write_pane(conn, row.n, uid, place, self.boot)

            def apply(_: None) -> None:
                self._listed.setdefault(row.n, before).plan = plan
                if place is not None:
                    self._move(row.n, (uid, place))

            await self.store.writer.submit(write, apply)
        if asked.get("up") is not None:
            self._settle(row.name)
        return next(one for one in await self.listing(uid) if one["name"] == row.name)

    def _refuse_taken(self, row: AgentRow, plan: Plan, place: Place | None) -> None:
        for agent, listed in self._listed.items():
            other = self._alive(agent)
            if other is None or other.n == row.n or other.uid != row.uid:
                continue
            if plan.session and (listed.plan.socket, listed.plan.session) == (plan.socket, plan.session):
                raise Conflict(
                    f"the session {plan.session} is {other.name}'s already",
                    code="session_taken",
                    hint=f"`maw agent remove {other.name} --keep` takes it out of the roster",
                )
        holder = None if place is None or row.uid is None else self._agent_in.get((row.uid, place))
        if place is not None and holder is not None and holder != row.n and (other := self._alive(holder)):
            raise Conflict(
                f"the pane {place.pane} is {other.name}'s already",
                code="pane_taken",
                hint=f"`maw agent remove {other.name} --keep` takes it out of the roster",
            )

    def _move(self, agent: int, where: tuple[int, Place] | None) -> None:
        if (before := self._panes.pop(agent, None)) is not None:
            self._agent_in.pop(before, None)
        if where is not None:
            gone = self._agent_in.get(where)  # an agent that was removed since
            if gone is not None:
                self._panes.pop(gone, None)
            self._panes[agent] = where
            self._agent_in[where] = agent

    async def remove(self, row: AgentRow) -> None:
        """Out of the roster; it stays an agent. NotFound."""
        if row.n not in self._listed:
            raise NotFound(
                f"{row.name} is not in the roster",
                code="not_in_roster",
                hint="`maw agent list` shows who is; `maw agent adopt` takes a running one in",
            )

        def apply(_: None) -> None:
            self._listed.pop(row.n, None)
            self._held.pop(row.n, None)
            self._move(row.n, None)

        await self.store.writer.submit(lambda conn: rows.drop_all(conn, row.n), apply)
        self._settle(row.name)

    # -- what keepers and hooks tell ------------------------------------------------------------------

    def attend(self, uid: int, pid: int, version: str) -> None:
        """A keeper of this uid runs, now."""
        self.keepers[uid] = Keeper(pid, time.monotonic(), version)

    def without_keeper(self) -> dict[int, list[str]]:
        """Agents that should be kept and are not, by uid: no keeper of theirs was heard of lately."""
        left: dict[int, list[str]] = {}
        for agent, listed in self._listed.items():
            row = self._alive(agent)
            if row is None or row.uid is None or not (listed.plan.up or listed.plan.exec):
                continue
            keeper = self.keepers.get(row.uid)
            if keeper is None or time.monotonic() - keeper.seen > KEEPER_AWAY_S:
                left.setdefault(row.uid, []).append(row.name)
        return left

    async def report(self, row: AgentRow, told: Mapping[str, Any], place: Place | None) -> None:
        """What the keeper found. ``place``: where the agent sits now, None where it does not run.
        NotFound; Refused: in another user's tmux."""
        listed = self._listed.get(row.n)
        if listed is None:
            raise NotFound(f"{row.name} is not in the roster", code="not_in_roster")
        report = {**told, "at": iso(wall_clock_ms())}
        lasting = _lasting(report) != _lasting(listed.report)
        assert row.uid is not None
        _refuse_foreign(row.uid, place)
        where = None if place is None else (row.uid, place)
        if not lasting and self._panes.get(row.n) == where:
            listed.report = report
            return

        async def write(conn: aiosqlite.Connection) -> None:
            await rows.write_report(conn, row.n, report)
            if where is None:
                await rows.drop_pane(conn, row.n)
            else:
                await rows.write_pane(conn, row.n, where[0], where[1], self.boot)

        def apply(_: None) -> None:
            if (now := self._listed.get(row.n)) is not None:
                now.report = report
                self._move(row.n, where)

        await self.store.writer.submit(write, apply)
        self._tell(row.name, listed)

    def _tell(self, name: str, listed: Listed) -> None:
        state, why = listed.report.get("state"), listed.report.get("why") or ""
        if state == "down" and listed.plan.up and not why.startswith(NOT_ALLOWED):
            hint = f"`maw agent peek {name}` shows its last words, `maw agent start {name}` tries again"
            self.alerts.raise_alert(Alert(DOWN, name, f"{name} is down: {why}; {hint}"))
        elif state == "hung":
            text = f"{name} hangs: {why}; `maw agent peek {name}`, `maw agent respawn {name}`"
            self.alerts.raise_alert(Alert(HUNG, name, text))
        else:
            self._settle(name)

    def _settle(self, name: str) -> None:
        self.alerts.settle(DOWN, name)
        self.alerts.settle(HUNG, name)

    async def hold(
        self, row: AgentRow, session: str, pid: int, transcript: str, *, note: bool = True
    ) -> Json:
        """The agent's program says which conversation it is in. A program beside the one that is known (a nested
        ``claude -p`` in the same pane) does not take its place while that one lives: ``bound`` is false then.
        ``note`` False: only asked."""
        held = self._held.get(row.n)
        if held is not None and not self._may_take(row.n, held, pid):
            why = f"{row.name} is process {held.pid}, which runs; this is another"
            return {"agent": self.directory.address(row), "bound": False, "why": why}
        now = Conversation(session, pid, self.boot, transcript, wall_clock_ms())
        if note and (held is None or held[:4] != now[:4]):
            await self.store.writer.submit(
                lambda conn: rows.write_conversation(conn, row.n, now),
                lambda _: self._held.update({row.n: now}),
            )
        return {"agent": self.directory.address(row), "bound": True, "why": ""}

    def _may_take(self, agent: int, held: Conversation, pid: int) -> bool:
        if not held.pid or held.boot != self.boot or held.pid == pid:
            return True
        listed = self._listed.get(agent)
        if listed is not None and pid and listed.report.get("pid") == pid:
            return True  # the keeper sees it where the agent sits
        return not process_lives(held.pid)

    def conversation(self, row: AgentRow) -> Conversation | None:
        return self._held.get(row.n)


def _lasting(report: Mapping[str, Any]) -> list[object]:
    state = report.get("state")
    runs = state in (State.ALIVE, State.IDLE, State.BUSY)
    why = report.get("why") if state == State.DOWN else ""
    return [runs or state, why, *(report.get(name) for name in LASTING)]


def _refuse_foreign(uid: int, place: Place | None) -> None:
    owner = None if place is None else owner_of(place.socket)
    if place is not None and owner not in (None, uid):
        raise Refused(
            f"the tmux server at {place.socket} belongs to another user of this machine (uid {owner})",
            code="not_yours",
            hint=f"an agent sits in the tmux of its own user (uid {uid})",
        )


def owner_of(socket: str) -> int | None:
    """Whose tmux socket it is; None where there is none, or it cannot be told. One that this daemon may not look at is
    its whose folder keeps others out: nobody else can have put it there. A closed folder of root's says nothing: it may
    be what hides homes from the service."""
    path = Path(socket)
    try:
        return path.stat().st_uid
    except PermissionError:
        pass
    except (OSError, ValueError):
        return None
    for folder in path.parents:
        with suppress(PermissionError):
            return folder.stat().st_uid or None
    return None


def process_lives(pid: int) -> bool:
    """Also of another user, whose processes may not be looked at."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def read_place(text: str) -> Place:
    """``/tmp/tmux-1000/default,4321,%3``. Raises BadInput."""
    parts = text.rsplit(",", 2)
    if len(parts) == 3:
        socket, server, pane = parts
        plain = server.isascii() and server.isdecimal() and pane[:1] == "%" and pane[1:].isdecimal()
        if socket.startswith("/") and plain and len(text) <= 512 and pane.isascii():
            return Place(socket, int(server), pane)
    raise BadInput(
        "this is no tmux pane: it is SOCKET,SERVERPID,%PANE",
        hint="$TMUX without its last part, and $TMUX_PANE",
        code="bad_pane",
    )
