"""A pulse begins, or looks whether there is anything to do: all that it has to know, in one answer."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from maw.api.backend import Json, Speaker
from maw.api.service.status import Status
from maw.core.budget import OPERATOR
from maw.core.claims import Pending
from maw.core.effects import Alert
from maw.core.intents import ASK, INFORM
from maw.core.names import check_name
from maw.core.policy import MARK_BYTES
from maw.core.transcript import plain_words
from maw.errors import BadInput, NotFound, Refused
from maw.node.briefing import to_announce
from maw.node.presenting import iso
from maw.node.talking import need_agent
from maw.store import pages
from maw.store.pages import Shown
from maw.store.state import AgentRow

FAILING: Final = "pulse_failing"
LOOKED_AT: Final = 500
PAGES: Final = 4
"""Unread messages of a mailbox that are looked at for one that begins a run: so many at a time, so many times."""
MANY: Final = 200
"""So many that begin none begin one together: else they would pile up before those that do."""


RUN: Final = "pulse"
"""As a wake: a run that a pulse begins because of messages."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    """``waking``: how many of the ``unread`` begin a run. ``ready``: those of them that nothing was spent for yet.
    ``kept``: how many would begin one, and may not now; ``why``."""

    unread: int = 0
    waking: int = 0
    ready: tuple[Pending, ...] = ()
    kept: int = 0
    why: str | None = None


class Pulsing(Status):
    async def pulse(
        self,
        speaker: Speaker,
        most: int | None,
        *,
        watch: Sequence[str] = (),
        trouble: str | None = None,
        policy: str | None = None,
        same: bool = False,
        key: str = "",
    ) -> Json:
        node, agent = self._node, need_agent(self._agent(speaker))
        node.spending.refuse(agent)
        held = self._held(agent)
        node.quotas.pulse(agent, None if held else most, key)
        at = node.presences.pulse(agent, None if policy is None else _mark(policy))
        if not same:
            node.tallies.pulsed(agent)
        missing = [] if held else await self._watch(agent, watch)
        if trouble is not None:
            self._tell_trouble(agent, trouble)
        own = await self._waiting(agent)
        found, roles = [own], {}
        for role in node.directory.roles_of(agent):
            found.append(its := await self._waiting(role))
            if its.unread:
                roles[role.name] = its.unread
        if most is not None and (fresh := [item for one in found for item in one.ready]):
            await node.wakes.woken(agent, RUN, fresh)  # a run begins
        return {
            "agent": speaker.agent,
            "last_pulse_at": iso(at),
            "unread": own.unread,
            "waking": sum(one.waking for one in found),
            "roles": roles,
            "over_budget": _over(found),
            "held": held,
            "no_channel": missing,
            "policy": node.policies.brief(),
        }

    def _held(self, agent: AgentRow) -> Json | None:
        """Why the agent may say nothing at all now."""
        try:
            self._node.keeping.refuse_frozen(agent, None)
        except Refused as error:
            return {"code": error.code, "message": error.message, "hint": error.hint}
        return None

    async def _watch(self, agent: AgentRow, names: Sequence[str]) -> list[str]:
        """It watches these channels from now on; those that are not there, or not for it."""
        node, missing = self._node, []
        for word in names:
            try:
                name = check_name(word.removeprefix("#"), "channel")
                row = node.directory.channel(name, agent.id)
            except (BadInput, NotFound):
                missing.append(word)
                continue
            if agent.n not in node.state.watchers.get(row.n, {}):
                await node.channels.watch(agent, name, False)
        return missing

    def _tell_trouble(self, agent: AgentRow, trouble: str) -> None:
        node, name = self._node, self._node.directory.address(agent)
        if not trouble:
            node.alerts.settle(FAILING, name)
            return
        text = (
            f"{name} does not pulse: {plain_words(trouble, 300)}. What was said to it waits in its inbox. When"
            f" that is mended: `maw pulse {agent.name} --now`"
        )
        node.alerts.raise_alert(Alert(FAILING, name, text))

    async def _waiting(self, agent: AgentRow) -> _Waiting:
        node = self._node
        if not (unread := await pages.unread_count(node.db, agent.n)):
            return _Waiting()
        paid, fresh, after = 0, [], 0
        for _ in range(PAGES):
            rows = await pages.unread(node.db, agent.n, after=after, limit=LOOKED_AT)
            for row in rows:
                if (item := await self._begins(agent, row)) is None:
                    continue
                if row.delivered is not None or node.hearing.is_claimed(agent, row.seq):
                    paid += 1  # what put it in front of the agent spent a wake for it
                else:
                    fresh.append(item)
            ready, why = node.wakes.may_begin(agent, fresh)
            if paid or ready or len(rows) < LOOKED_AT:
                break
            after = rows[-1].seq
        kept = len(fresh) - len(ready)
        waking = paid + len(ready) or max(unread - kept - MANY + 1, 0)
        return _Waiting(unread, waking, tuple(ready), kept, why)

    async def _begins(self, agent: AgentRow, row: Shown) -> Pending | None:
        """This message as one that begins a run: what would wake the agent, what is said in a channel that it watches,
        and the answer to an ask of its own. None of what it said itself, as whatever role."""
        node = self._node
        author = node.state.agent_at.get(row.agent)
        if author is not None and _bearer(author) == _bearer(agent):
            return None
        message = node.presenter.message(node.presenter.as_for(row, agent.id))
        item = to_announce(message, row.received, watch_wakes=True)
        if not (item.wakes or item.cause.kind == OPERATOR or await self._answers(agent, message)):
            return None
        item.wakes = True
        return item

    async def _answers(self, agent: AgentRow, message: Json) -> bool:
        """Whether it answers an ask of the agent's."""
        if message["intent"] != INFORM or message["reply_to"] is None:
            return False
        node = self._node
        with suppress(NotFound):
            asked = await node.talking.any(message["reply_to"])
            return asked.agent == agent.n and node.presenter.said(asked).intent == ASK
        return False


def _over(found: Sequence[_Waiting]) -> Json | None:
    """What would begin a run, if its budget allowed that."""
    kept = sum(one.kept for one in found)
    why = next((one.why for one in found if one.why is not None), None)
    return {"messages": kept, "why": why} if kept and why is not None else None


def _mark(text: str) -> bytes:
    """Of a policy, as ``policy`` of an answer names it."""
    try:
        mark = bytes.fromhex(text)
    except ValueError:
        mark = b""
    if len(mark) != MARK_BYTES:
        raise BadInput(
            "field policy is no policy's id", code="bad_field", hint="as `policy` of the last answer has it"
        )
    return mark


def _bearer(agent: AgentRow) -> tuple[int, bytes]:
    return agent.node, agent.profile.of or agent.id
