"""What a node in memory answers to those who run it: agents, invites, peers, roster, machine. Mostly one of each."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from maw.api.backend import Json, Speaker
from maw.api.service.costing import counts_json
from maw.core.roster import Plan
from maw.core.spending import NOTHING, Run
from maw.core.vouched import Vouched
from maw.errors import BadInput, Conflict, NotFound, Refused

TIME = "2026-11-21T08:00:00.123Z"
CAPS: Json = {
    "caps": [
        {
            "scope": "agent", "of": "neo@oracle-world", "unit": "usd", "limit": 2.5, "spent": 2.5, "assumed": 0,
            "unknown_runs": 0, "percent": 100, "source": "maw.toml",
        }
    ],
    "unseen": ["arthur"],
    "halted": [{"agent": "neo", "why": "halted: its $2.50 a day are spent"}],
}  # fmt: skip
KEY = "mk1" + "a" * 56
HOST_BRIEF: Json = {
    "load": 0.5, "cpus": 2, "memory_bytes": 1 << 34, "memory_available_bytes": 1 << 33, "swap_used_bytes": 0,
    "agents_memory_bytes": {"neo": 1 << 28}, "more_fit": 27, "days_left": None, "paused": None, "refused": {},
}  # fmt: skip
MOVE: Json = {
    "id": "0a1b2c3d4e5f", "agent": "neo", "leaving": True, "host": "pi", "key": KEY, "step": "offered", "why": None,
    "at": TIME, "progress": None, "uid": None, "home": None, "home_waits": False, "warnings": [],
}  # fmt: skip
HOST: Json = {
    **HOST_BRIEF, "disk_free_bytes": 1 << 35,
    "limits": {"agents": 13, "memory_mib": None, "hours": None, "reserve_mib": 512, "session_log_mib": 300},
    "agents": [
        {
            "agent": "neo", "memory_bytes": 1 << 28, "processes": 3, "since": TIME, "measured_at": TIME,
            "per_day_bytes": None, "leaking": False,
        }
    ],
    "session_logs": [], "folders": [], "measured_at": TIME,
}  # fmt: skip


@dataclass
class Agent:
    name: str
    uid: int
    token: str
    role: str = "agent"


class MemoryCommand:
    """Statements, as far as the doors go: one of each."""

    async def draft(self, kind: str, issuer: str, asked: Json) -> Json:
        return {"type": kind, "colony": "AA==", "at_ms": 1, "fields": "gA==", "about": f"{kind} by {issuer}"}

    async def submit(self, wire: bytes) -> Json:
        if not wire:
            raise BadInput("no good statement", code="bad_statement")
        return self._statement("freeze")

    async def revoke(self, who: str, why: str, void_since_ms: int | None = None) -> Json:
        return self._statement("revoke")

    async def statements(self) -> list[Json]:
        return [self._statement("freeze")]

    def operators(self) -> list[Json]:
        return [
            {
                "name": "founder", "key": "mk1x", "rights": ["order"], "until": None, "hosts": [], "by": "",
                "active": True,
            }
        ]  # fmt: skip

    def _statement(self, kind: str) -> Json:
        return {
            "id": "0a1b2c3d4e5f", "type": kind, "about": "all is frozen", "by": "operator founder",
            "at": "2026-01-01T00:00:00.000Z", "in_force": True, "kept_by": ["mbp"], "not_yet": [],
        }  # fmt: skip


def rostered(name: str, plan: Plan) -> Json:
    return {
        "name": name, "agent": f"{name}@oracle-world", "uid": 0, "plan": plan.as_json(), "pane": None,
        "conversation": None, "report": None, "unread": 0, "newest_unread": 0,
    }  # fmt: skip


POLICY: Json = {
    "version": 1, "id": "00" * 16, "by": "operator founder", "at": TIME, "heard_at": TIME, "in_force": True, "size": 9,
}  # fmt: skip


def soul(agent: str) -> Json:
    return {
        "agent": agent, "id": "k7q2mx-1n3f9zq-2", "hash": "0" * 32, "size": 9, "said_at": TIME, "text": "# I am I\n",
    }  # fmt: skip


class MemoryOffice:
    """A part of ``MemoryBackend``, which has these."""

    node_name: str
    agents: dict[str, Agent]
    calls: list[tuple[object, ...]]
    listed: dict[str, Plan]

    def add_agent(self, name: str, uid: int, role: str = "agent") -> Agent:
        agent = Agent(name, uid, f"token-{name}", role)
        self.agents[name] = agent
        return agent

    def address(self, name: str) -> str:
        return f"{name}@{self.node_name}"

    def _user(self, agent: Agent) -> Json:
        return {
            "username": agent.name,
            "host": self.node_name,
            "address": self.address(agent.name),
            "role": agent.role,
            "status": "alive",
            "local": True,
            "created_at": TIME,
            "last_pulse_at": None,
            "unread": 0,
        }

    async def roster(self, speaker: Speaker) -> list[Json]:
        return [rostered(name, plan) for name, plan in self.listed.items()]

    async def enlist(self, speaker: Speaker, name: str, plan: Json, pane: str | None) -> Json:
        self.listed[name] = Plan().changed(plan)
        return rostered(name, self.listed[name])

    async def strike(self, speaker: Speaker, name: str) -> None:
        if self.listed.pop(name, None) is None:
            raise NotFound(f"{name} is not in the roster", code="not_in_roster")

    async def report(self, speaker: Speaker, name: str, told: Json, pane: str | None) -> None:
        self.calls.append(("report", name, told["state"], pane))

    async def keep(self, speaker: Speaker, pid: int, version: str) -> Json:
        return {"stagger_s": 2, "load_per_core": 2, "agents": await self.roster(speaker), "refused": {}}

    async def hold_conversation(
        self, speaker: Speaker, session: str, pid: int, transcript: str, *, note: bool = True
    ) -> Json:
        return {"agent": speaker.agent, "bound": True, "why": "", "unread": 0}

    async def allow_birth(self, speaker: Speaker, name: str, host: str) -> Json:
        return {"name": name, "host": host, "by": speaker.agent, "born": None}

    async def add_user(
        self,
        speaker: Speaker,
        username: str,
        role: Literal["agent", "ape"],
        *,
        uid: int | None = None,
        of: str | None = None,
        vouched: Vouched | None = None,
        said: Json | None = None,
        born: str | None = None,
    ) -> Json:
        assert speaker.uid is not None, "the API lets nobody in here but by the socket"
        if not speaker.is_admin:
            raise Refused("this is for who administers", code="not_admin", hint="run it as one of those")
        if username in self.agents:
            raise Conflict(f"{username} is there already", code="agent_exists")
        agent = self.add_agent(username, speaker.uid if uid is None else uid, role)
        return {**self._user(agent), "token": agent.token, "warnings": []}

    async def change_user(self, speaker: Speaker, name: str, said: Json) -> Json:
        if name not in self.agents:
            raise NotFound(f"no agent {name}", code="no_such_agent")
        self.calls.append(("change_user", name, said))
        return self._user(self.agents[name])

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
        told = {"agent": speaker.agent, "last_pulse_at": TIME, "unread": 0, "waking": 0, "over_budget": None}
        return {**told, "roles": {}, "held": None, "no_channel": list(watch), "policy": None}

    async def take_run(self, speaker: Speaker, run: Run) -> Json:
        self.calls.append(("take_run", speaker.agent, run))
        today = {"day": TIME[:10], **counts_json(run.counts)}
        return {"agent": speaker.agent, "run": run.id, "counted": True, "today": today, "halted": None}

    async def resume_costs(self, speaker: Speaker, agent: str | None, *, clock: bool = False) -> Json:
        assert speaker.is_admin
        self.calls.append(("resume_costs", agent))
        return CAPS

    async def cap_costs(self, speaker: Speaker, agent: str | None, amounts: Mapping[str, int | None]) -> Json:
        assert speaker.is_admin
        self.calls.append(("cap_costs", agent, dict(amounts)))
        return CAPS

    async def costs(
        self, speaker: Speaker, *, agent: str | None, since: int | None, until: int | None, colony: bool
    ) -> Json:
        day, scope = TIME[:10], "colony" if colony else "host"
        line = {"day": day, "agent": self.address("neo"), "model": None, **counts_json(NOTHING)}
        return {
            "today": day, "since": day, "until": day, "scope": scope, "items": [line],
            "total": counts_json(NOTHING), "more": False, **CAPS,
        }  # fmt: skip

    async def soul(self, speaker: Speaker, who: str, version: str | None) -> Json:
        if who not in self.agents:
            raise NotFound(f"no agent {who}", code="no_such_agent")
        return soul(self.address(who))

    async def soul_history(self, speaker: Speaker, who: str) -> list[Json]:
        return [{key: value for key, value in soul(self.address(who)).items() if key != "text"}]

    async def dream(self, speaker: Speaker) -> Json:
        return {"agent": speaker.agent, "policy": {**POLICY, "text": "Be kind.\n"}}

    async def trouble(self, speaker: Speaker, kind: str, text: str) -> None:
        self.calls.append(("trouble", speaker.agent, kind, text))

    async def policy(self, speaker: Speaker, version: int | None) -> Json:
        if version not in (None, 1):
            raise NotFound("no such version", code="no_policy")
        return {**POLICY, "text": "Be kind.\n"}

    async def policy_status(self, speaker: Speaker, grace_s: float) -> Json:
        one = {
            "agent": "neo@oracle-world",
            "state": "current",
            "version": 1,
            "late": False,
            "last_pulse_at": TIME,
        }
        return {"policy": POLICY, "agents": [one]}

    async def say_soul(self, speaker: Speaker, who: str | None, text: str, before: str | None) -> Json:
        self.calls.append(("say_soul", who, text, before))
        return {**soul(speaker.agent or "nobody"), "text": text, "changed": True}

    async def roles_waiting(self, speaker: Speaker) -> dict[str, int]:
        return {}

    async def remove_user(self, speaker: Speaker, name: str) -> None:
        if self.agents.pop(name, None) is None:
            raise NotFound(f"no agent {name}", code="no_such_agent")

    async def new_token(self, speaker: Speaker, name: str) -> str:
        if name not in self.agents:
            raise NotFound(f"no agent {name}", code="no_such_agent")
        self.agents[name].token += "-new"
        return self.agents[name].token

    async def invite(
        self,
        speaker: Speaker,
        *,
        ttl_s: int | None,
        uses: int | None,
        for_key: str | None,
        confirm: bool,
        introducer: bool,
    ) -> Json:
        self.calls.append(("invite", ttl_s, uses, for_key, confirm, introducer))
        return {"id": "0a1b2c3d", "line": "maw1:abc", "expires_at": TIME, "addresses": ["10.0.0.1:6290"]}

    def _open_invite(self) -> Json:
        used = [{"name": "mbp", "key": KEY, "at": TIME}]
        return {
            "id": "0a1b2c3d", "expires_at": TIME, "uses": 3, "used": used, "for": None, "confirm": False,
            "introducer": False,
        }  # fmt: skip

    async def open_invites(self, speaker: Speaker) -> list[Json]:
        return [self._open_invite()]

    async def withdraw_invite(self, speaker: Speaker, invite_id: str) -> Json:
        if not "0a1b2c3d".startswith(invite_id):
            raise NotFound(f"no open invite {invite_id}", code="no_such_invite")
        return self._open_invite()

    async def dismiss_alerts(self, speaker: Speaker, kind: str | None, subject: str | None) -> Json:
        self.calls.append(("dismiss", kind, subject))
        return {"dismissed": [{"kind": kind or "fork", "subject": subject or "abc"}]}

    async def join(self, speaker: Speaker, line: str) -> Json:
        self.calls.append(("join", line))
        return {"colony": "c" * 16, "peer": {"name": "mbp", "key": KEY}, "state": "linked"}

    async def reload_peers(self, speaker: Speaker) -> Json:
        return {"peers": 1}

    async def mend(self, speaker: Speaker, refs: Sequence[str]) -> Json:
        self.calls.append(("mend", tuple(refs)))
        return {"mended": len(refs), "left": []}

    async def forget_peer(self, speaker: Speaker, who: str) -> Json:
        self.calls.append(("forget", who))
        return {"forgotten": who}

    async def host(self, speaker: Speaker) -> Json:
        return {**HOST, "name": self.node_name}

    async def moves(self, speaker: Speaker) -> list[Json]:
        return [MOVE]

    async def offer_move(self, speaker: Speaker, agent: str, host: str) -> Json:
        self.calls.append(("move", agent, host))
        return {**MOVE, "agent": agent, "host": host}

    async def decide_move(
        self, speaker: Speaker, move: str, what: str, *, uid: int | None, home: str | None, why: str
    ) -> Json:
        self.calls.append((what, move, uid, home, why))
        return {**MOVE, "id": move}

    async def hand_over(
        self, speaker: Speaker, move: str, size: int | None, home: AsyncIterator[bytes] | None
    ) -> Json:
        data = b"" if home is None else b"".join([part async for part in home])
        self.calls.append(("hand over", move, data))
        return {**MOVE, "id": move, "step": "handed"}

    async def moved_home(self, speaker: Speaker, move: str) -> tuple[int, AsyncIterator[bytes]]:
        async def stream() -> AsyncIterator[bytes]:
            yield b"packed"

        return 6, stream()

    async def pause_host(self, speaker: Speaker, agent: str | None, why: str | None) -> Json:
        self.calls.append(("pause", agent, why))
        return {**HOST, "name": self.node_name, "paused": why}

    async def measured(
        self, speaker: Speaker, agents: list[Json], logs: list[Json] | None, folders: list[Json] | None
    ) -> Json:
        self.calls.append(("measured", agents, logs, folders))
        return {"refused": {}}

    async def accept_peer(self, speaker: Speaker, who: str, introducer: bool = False) -> Json:
        self.calls.append(("accept", who, introducer) if introducer else ("accept", who))
        return {"accepted": who}
