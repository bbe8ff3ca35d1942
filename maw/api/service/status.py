"""What the node says of itself: how it does, whom it knows, who is on it."""

from __future__ import annotations

import contextlib
import os
import resource
import sys
import time
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Final

from maw import __version__
from maw.api.backend import Json, Speaker
from maw.api.service.speakers import Speakers
from maw.core.freezing import Freeze
from maw.core.identity import key_text
from maw.core.spending import HOST, day_text, usd_number
from maw.core.statement import colony_text
from maw.node.backup_record import LastBackup, last_backup
from maw.node.keeping import frozen_words
from maw.node.presenting import iso
from maw.store import pages
from maw.store.shrinking import free_bytes
from maw.store.state import AgentRow

FREEZES_SHOWN: Final = 20


class Status(Speakers):
    async def whoami(self, speaker: Speaker) -> Json:
        row = self._known(speaker)
        return {
            "agent": speaker.agent,
            "name": row.name if row else None,
            "host": self.node_name,
            "role": row.role if row else None,
            "node_key": key_text(self._node.me),
            "colony": colony_text(self._node.membership.book.colony),
            "known_by": speaker.known_by,
            "uid": speaker.uid,
            "pane": speaker.pane,
        }

    async def health(self) -> Json:
        trouble = self._node.authoring.read_only or self._node.writer.trouble
        return {"ok": trouble is None, "name": self.node_name, **({"trouble": trouble} if trouble else {})}

    async def status(self, speaker: Speaker) -> Json:
        node = self._node
        unread = await pages.unread_counts(node.db)
        mine = [
            row
            for row in node.state.local.values()
            if self._may_see(row, speaker) and row.id.hex() != node.herald.speaker
        ]
        interface = node.mesh.interface
        return {
            "name": self.node_name,
            "key": key_text(node.me),
            "colony": colony_text(node.membership.book.colony),
            "version": __version__,
            "state": "read_only" if node.authoring.read_only else "running",
            "trouble": node.authoring.read_only or node.writer.trouble,
            "uptime_s": round(time.time() - node.started_at, 1),
            "pid": os.getpid(),
            "home": str(node.home.path),
            "rest": self.rest,
            "mesh": [
                {"address": item.address, "listening": item.listening, "error": item.error}
                for item in node.mesh.bindings
            ],
            "interface": None
            if interface is None
            else {
                "name": interface.name,
                "state": interface.word,
                "since": iso(int((node.mesh.interface_since or 0) * 1000)),
            },
            "links_up": len(node.board.all()),
            "links_bounded": node.mesh.linking.bounded,
            "peers_known": len(node.membership.book.trusted),
            "peers_pending": len(node.membership.book.pending) + len(node.inviting.asking),
            "messages": node.state.messages,
            "entries": node.runtime.held.total(),
            "entries_repeated": node.runtime.machine.followed.discarded_entries,
            "follows_moved": node.runtime.machine.followed.moves,
            "seq": node.visible.seq,
            "overdue": {row.name: late for row in mine if (late := await node.conversing.overdue(row))},
            "unread": {row.name: unread.get(row.n, 0) for row in mine},
            "disk_free_bytes": node.disk.free,
            "database_bytes": _database_bytes(node.db.path),
            "database_free_bytes": await free_bytes(node.db),
            "search": await node.indexing.json(),
            "files": node.shelf.json(),
            "rss_bytes": _resident_bytes(),
            "backup": _backup(last_backup(node.home)),
            "trouble_with": node.peering.troubles(),
            "refused_connections": {
                "count": node.mesh.refusals.total(),
                "worst": [asdict(one) for one in node.mesh.refusals.worst()],
            },
            "wakes": {
                **node.wakes.settings(),
                "agents": {
                    row.name: node.wakes.json(row)
                    for row in node.state.local.values()
                    if self._may_see(row, speaker) and row.id.hex() != node.herald.speaker
                },
            },
            "host": node.hosting.brief(lambda row: self._may_see(row, speaker)),
            "without_keeper": [
                {"uid": uid, "agents": names}
                for uid, names in sorted(node.roster.without_keeper().items())
                if speaker.is_admin or uid == speaker.uid
            ],
            "cost": self._cost(mine),
            "halted": [f"{name} is {why}" for name, why in sorted(node.spending.halted().items())],
            "frozen": _frozen(node.membership.book.ruling.freezes.active),
            "alerts": await node.alerts.recent(node.db, iso),
        }

    def _may_see(self, row: AgentRow, speaker: Speaker) -> bool:
        """How much is unread is the owner's own affair, whom an ape's token shows too; an administrator sees it for
        all."""
        if speaker.is_admin or row.id == speaker.agent_key:
            return True
        if row.uid is None or speaker.known_by == "nobody":
            return False
        asks = self._known(speaker)
        return row.uid == speaker.uid or (asks is not None and asks.role == "ape" and asks.uid == row.uid)

    async def peers(self, speaker: Speaker) -> list[Json]:
        return self._node.peering.listing()

    async def users(self, speaker: Speaker) -> list[Json]:
        halted = self._node.spending.halted()
        users = await self._node.people.listing(lambda row: self._may_see(row, speaker))
        for user in users if halted else ():
            if user["local"] and user["username"] in halted:
                user["halted"] = halted[user["username"]]
        return users

    def _cost(self, mine: Iterable[AgentRow]) -> Json:
        """Today, of agents that cost anything; and how far each cap is spent."""
        costs, spending = self._node.costs, self._node.spending
        today = {row.name: costs.today(row) for row in mine if row.profile.of is None}
        caps = [
            {
                "of": self.node_name if agent is None and one.cap.scope == HOST else "the Colony"
                if agent is None else self._node.directory.address(agent),
                "unit": one.cap.unit, "percent": one.percent,
            }
            for agent, one in spending.seen()
        ]  # fmt: skip
        return {
            "day": day_text(costs.day),
            "agents": {
                name: {
                    "runs": one.runs, "runner_s": one.runner_ms / 1000, "tokens": one.tokens,
                    "usd": usd_number(one.usd), "unpriced_runs": one.unpriced,
                }
                for name, one in today.items() if any(one)
            },
            "caps": caps,
        }  # fmt: skip


def _frozen(active: Iterable[Freeze]) -> list[str]:
    """In words, each once; of very many the first."""
    return sorted({frozen_words(one) for one in active})[:FREEZES_SHOWN]


def _database_bytes(path: Path) -> int:
    total = 0
    for end in ("", "-wal", "-shm"):  # listing the directory would take a file descriptor
        with contextlib.suppress(FileNotFoundError):
            total += path.with_name(path.name + end).stat().st_size
    return total


def _backup(last: LastBackup) -> Json:
    """When a backup last succeeded and where it is; why the latest did not."""
    at = None if last.good_at is None else iso(int(last.good_at.timestamp() * 1000))
    return {"at": at, "where": last.good_path, "problem": last.problem}


def _resident_bytes() -> int:
    try:
        return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * resource.getpagesize()
    except OSError:  # no /proc on macOS: the peak is what can be had
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024
