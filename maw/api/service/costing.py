"""What agents cost: runs are taken in, and what was counted is shown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from maw.api.backend import Json, Speaker
from maw.api.service.status import Status
from maw.core.spending import (
    HOST,
    MICRO,
    TOKENS,
    USD,
    Counts,
    Run,
    Standing,
    day_text,
    total,
    usd_number,
)
from maw.errors import BadInput
from maw.node.talking import need_agent
from maw.store import costs as rows
from maw.store.costs import Line
from maw.store.state import AgentRow

MAX_DAYS: Final = 400
MAX_LINES: Final = 20_000
_DAYS_SHOWN: Final = 7


class Costing(Status):
    async def take_run(self, speaker: Speaker, run: Run) -> Json:
        agent = need_agent(self._agent(speaker))
        counted = await self._node.costs.take(agent, run)
        today = {"day": day_text(self._node.costs.day), **counts_json(self._node.costs.today(agent))}
        halted = self._node.spending.words(agent)
        return {"agent": speaker.agent, "run": run.id, "counted": counted, "today": today, "halted": halted}

    async def resume_costs(self, speaker: Speaker, agent: str | None, *, clock: bool = False) -> Json:
        row = self._whom(speaker, agent)
        if clock:
            await self._node.spending.follow_clock()
            return self._caps_json()
        await self._node.spending.resume(row, speaker.agent or f"uid {speaker.uid}")
        return self._caps_json()

    async def cap_costs(self, speaker: Speaker, agent: str | None, amounts: Mapping[str, int | None]) -> Json:
        row = self._whom(speaker, agent)
        if not amounts:
            raise BadInput(
                "no cap is given", code="bad_field", hint="usd, tokens or runner_s: an amount, or off"
            )
        await self._node.spending.set_caps(row, amounts)
        return self._caps_json()

    def _whom(self, speaker: Speaker, name: str | None) -> AgentRow | None:
        self._need_human(speaker, "what may be spent is said")
        if name is None:
            return None
        row = self._node.directory.local(name.removeprefix("@").lower())
        if row.profile.of is not None:
            owner = self._node.directory.owner_of(row)
            raise BadInput(
                f"{row.name} is a role of {owner}: what it costs is on that account", code="bad_field",
                hint=f"say it of {owner}",
            )  # fmt: skip
        return row

    def _caps_json(self) -> Json:
        spending = self._node.spending
        caps = [self._cap_json(agent, one) for agent, one in spending.seen()]
        local = self._node.state.local.values()
        unseen = [row.name for row in local if self._node.roster.works_in_session(row)] if caps else []
        return {
            "caps": caps,
            "unseen": sorted(unseen),
            "halted": [{"agent": name, "why": why} for name, why in sorted(spending.halted().items())],
        }

    def _cap_json(self, agent: AgentRow | None, one: Standing) -> Json:
        cap = one.cap
        whose = self.node_name if cap.scope == HOST else "the Colony"
        return {
            "scope": cap.scope,
            "of": whose if agent is None else self._node.directory.address(agent),
            "unit": cap.unit,
            "limit": in_unit(cap.unit, cap.limit),
            "spent": in_unit(cap.unit, one.spent),
            "assumed": in_unit(cap.unit, one.assumed),
            "unknown_runs": one.unknown,
            "percent": one.percent,
            "source": cap.source,
        }

    async def costs(
        self, speaker: Speaker, *, agent: str | None, since: int | None, until: int | None, colony: bool
    ) -> Json:
        node, state = self._node, self._node.state
        last = node.costs.day if until is None else until
        first = last - _DAYS_SHOWN + 1 if since is None else since
        if not 0 <= last - first < MAX_DAYS:
            raise BadInput(
                f"from {day_text(first)} to {day_text(last)} is no span of 1 to {MAX_DAYS} days",
                code="bad_parameter",
                hint="since and until are both days of UTC, the earlier first",
            )
        nodes = None if colony else [state.nodes[node.me].n]
        found = await rows.lines(node.db, first, last, nodes, MAX_LINES + 1)
        shown = [(self._line_json(line), line) for line in found[:MAX_LINES]]
        shown.sort(key=lambda pair: (-pair[1].day, pair[0]["agent"], pair[1].model))
        if agent is not None:
            word = agent.removeprefix("@").lower()
            shown = [pair for pair in shown if word in (pair[0]["agent"], pair[0]["agent"].partition("@")[0])]
            if not shown:  # what an agent cost that was removed is still told; who never was is none
                (node.directory.find_agent if colony else node.directory.local)(word)
        return {
            "today": day_text(node.costs.day),
            "since": day_text(first),
            "until": day_text(last),
            "scope": "colony" if colony else "host",
            "items": [item for item, _ in shown],
            "total": counts_json(total(line.counts for _, line in shown)),
            **self._caps_json(),
            "more": len(found) > MAX_LINES,
        }

    def _line_json(self, line: Line) -> Json:
        row = self._node.state.agents.get((line.node, line.agent))
        name = f"{line.agent.hex()[:8]}…" if row is None else self._node.directory.address(row)
        return {
            "day": day_text(line.day),
            "agent": name,
            "model": line.model or None,
            **counts_json(line.counts),
        }


def in_unit(unit: str, amount: int) -> float:
    """Dollars, tokens, seconds."""
    return amount if unit == TOKENS else amount / (MICRO if unit == USD else 1000)


def counts_json(counts: Counts) -> Json:
    return {
        "wakes": counts.wakes,
        "pulses": counts.pulses,
        "messages": counts.messages,
        "bytes": counts.bytes,
        "runs": counts.runs,
        "unpriced_runs": counts.unpriced,
        "untold_runs": counts.untold,
        "runner_s": counts.runner_ms / 1000,
        "input_tokens": counts.input,
        "output_tokens": counts.output,
        "cache_tokens": counts.cache,
        "usd": usd_number(counts.usd),
    }
