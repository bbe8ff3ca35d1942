"""What the agents of this host are seen to do, and that it is said in its log when others would misjudge them."""

from __future__ import annotations

from collections.abc import Callable

from maw.core.entry import Kind
from maw.core.presence import DEAD, Known, Presence, Seen, due, status
from maw.node.authoring import Authoring, wall_clock_ms
from maw.node.store import Store
from maw.store.people import seen_of
from maw.store.state import AgentRow


class Presences:
    """``given_up`` tells whether its keeper gave an agent up. ``touch`` notes in memory, and ``keep`` says it, at most
    once a minute."""

    def __init__(
        self,
        store: Store,
        authoring: Authoring,
        given_up: Callable[[AgentRow], bool],
        now_ms: Callable[[], int] = wall_clock_ms,
    ) -> None:
        self._store = store
        self._authoring = authoring
        self._given_up = given_up
        self._now = now_ms
        self._touched: dict[int, int] = {}
        self._pulsed: dict[int, int] = {}
        self._policies: dict[int, bytes] = {}
        self._last = now_ms()

    def touch(self, agent: AgentRow, at_ms: int | None = None) -> None:
        """It did something: now, or (what its keeper saw) then."""
        now = self._now()
        at = now if at_ms is None else min(at_ms, now)
        self._touched[agent.n] = max(at, self._touched.get(agent.n, 0))

    def pulse(self, agent: AgentRow, policy: bytes | None = None) -> int:
        """It says that it is there, and with which policy (its mark); when, in ms. On the disk with what is said of it
        next."""
        now = self._pulsed[agent.n] = self._now()
        if policy is not None:
            self._policies[agent.n] = policy
        self.touch(agent, now)
        return now

    def seen(self, agent: AgentRow) -> Seen:
        """As it is known here."""
        told = seen_of(agent)
        if agent.uid is None:
            return told
        active = max(told.active or 0, self._touched.get(agent.n, 0))
        pulsed = max(told.pulsed or 0, self._pulsed.get(agent.n, 0))
        policy = self._policies.get(agent.n, told.policy)
        return Seen(active or None, pulsed or None, self._given_up(agent), policy)

    def status(self, agent: AgentRow) -> str:
        if agent.gone or agent.away:
            return DEAD
        return status(self.seen(agent), agent.role, agent.profile.pulse_s, agent.created, self._now())

    async def keep(self) -> None:
        """To be called once a minute. Raises MawError when the disk does not take it; then it is still due."""
        if self._authoring.read_only or self._authoring.barred:
            return
        local = [row for row in self._store.state.local.values() if row.uid is not None]
        known = [
            Known(row.id, row.role, row.profile.pulse_s, row.created, seen_of(row), self.seen(row))
            for row in local
        ]
        now = self._now()
        if found := due(known, now, self._last):
            told = Presence(tuple((one.id, one.real) for one in found))
            await self._authoring.say(Kind.PRESENCE, told.content())
            self._last = now
