"""What agents cost: runs are taken in, and what was counted is shown."""

from __future__ import annotations

from typing import Final

from maw.api.backend import Json, Speaker
from maw.api.service.status import Status
from maw.core.spending import Counts, Run, day_text, total, usd_number
from maw.errors import BadInput
from maw.node.talking import need_agent
from maw.store import costs as rows
from maw.store.costs import Line

MAX_DAYS: Final = 400
MAX_LINES: Final = 20_000
_DAYS_SHOWN: Final = 7


class Costing(Status):
    async def take_run(self, speaker: Speaker, run: Run) -> Json:
        agent = need_agent(self._agent(speaker))
        counted = await self._node.costs.take(agent, run)
        today = {"day": day_text(self._node.costs.day), **counts_json(self._node.costs.today(agent))}
        return {"agent": speaker.agent, "run": run.id, "counted": counted, "today": today}

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
        items = [self._line_json(line) for line in found[:MAX_LINES]]
        shown = list(zip(items, found, strict=False))
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
