"""The roster as the daemon tells it, for who carries it out: the keeper, and commands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from maw.client.daemon import Daemon, segment
from maw.core.roster import Place, Plan
from maw.errors import NotFound


@dataclass(frozen=True, slots=True)
class Entry:
    """One agent. ``conversation``: what its program calls it, "" where none is known; ``report``: what its keeper said
    last, as the API has it."""

    name: str
    uid: int
    plan: Plan
    pane: Place | None
    conversation: str
    transcript: str
    report: Mapping[str, Any]
    unread: int
    newest_unread: int

    @property
    def session(self) -> str:
        return self.plan.session or self.name


def read_entry(told: Mapping[str, Any]) -> Entry:
    pane, held = told.get("pane"), told.get("conversation") or {}
    return Entry(
        told["name"], told["uid"], Plan().changed(told["plan"]),
        None if pane is None else Place(pane["socket"], pane["server"], pane["pane"]),
        held.get("session") or "", held.get("transcript") or "", told.get("report") or {},
        told.get("unread") or 0, told.get("newest_unread") or 0,
    )  # fmt: skip


def entries(daemon: Daemon) -> list[Entry]:
    """All that the caller may see, by name."""
    return [read_entry(one) for one in daemon.get("/api/roster").body]


def entry(daemon: Daemon, name: str) -> Entry:
    """Raises NotFound."""
    for one in entries(daemon):
        if one.name == name:
            return one
    raise NotFound(
        f"{name} is not in the roster",
        code="not_in_roster",
        hint=f"`maw agent adopt` takes in who runs; `maw agent set {name} command=… cwd=…` says how to run it",
    )


def change(daemon: Daemon, name: str, **told: Any) -> Entry:
    """Changes how it is run; what is None stays. The entry as it is then."""
    body = {key: value for key, value in told.items() if value is not None}
    return read_entry(daemon.post(f"/api/roster/{segment(name)}", body).body)
