"""What a person does with an agent that runs here: start, stop, respawn. The roster is changed first, tmux after it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from maw.agents import conversations
from maw.agents.entries import Entry, change, entry
from maw.agents.processes import measure
from maw.agents.running import Began, Host, Whereabouts, begin, end, where
from maw.agents.scene import Scene
from maw.client.daemon import Daemon, segment
from maw.core.roster import Plan
from maw.errors import Refused, Unavailable


@dataclass(frozen=True, slots=True)
class Acting:
    """``daemon``: asked as nobody in particular; ``node``: the node's name, which the locks bear."""

    daemon: Daemon
    host: Host
    node: str

    def start(self, name: str) -> tuple[Entry, bool]:
        """Runs from now on. False: it ran already. Raises what `running.begin` does."""
        self._own(name)
        with self.host.lock(self.node, name):
            one = change(self.daemon, name, up=True)
            self._allowed(name)
            at = self.look(one)
            if at.runs:
                self.tell(one, at, "alive")
                return one, False
            self.begin(one, at)
        return one, True

    def stop(self, name: str) -> bool:
        """Ends, and stays so. False: it did not run."""
        self._own(name)
        with self.host.lock(self.node, name):
            one = change(self.daemon, name, up=False)
            at = self.look(one)
            if at.unsure:
                raise Unavailable(at.unsure, code="tmux_failed", hint="the roster says that it is to be down")
            end(one, at, keep_pane=False)
            self.tell(one, Whereabouts(), "down", "stopped")
        return at.runs

    def respawn(self, name: str) -> Entry:
        """Ended, where it runs, and begun anew in the same pane, with its conversation."""
        self._own(name)
        with self.host.lock(self.node, name):
            one = change(self.daemon, name, up=True)
            self._allowed(name)
            at = self.look(one)
            end(one, at, keep_pane=True)
            self.begin(one, self.look(one))
        return one

    def look(self, one: Entry) -> Whereabouts:
        return where(one, Scene.now([self.host.socket_of(one)]), self.host)

    def begin(self, one: Entry, at: Whereabouts) -> Began:
        """Starts it and tells the daemon; the caller holds the lock."""
        began = begin(one, at, self.host)
        self.began(one, began)
        return began

    def began(self, one: Entry, began: Began) -> None:
        """The daemon hears where it is, and in which conversation."""
        if began.session and began.session != one.conversation:
            self.hold(one.name, began.session)
        self.tell(one, self.look(replace(one, pane=began.place)), "alive")

    def hold(self, name: str, session: str, pid: int = 0, transcript: str = "") -> dict[str, Any]:
        told = {"session": session, "pid": pid, "transcript": transcript}
        answer: dict[str, Any] = replace(self.daemon, speaker=name, pane=None).post("/api/session", told).body
        return answer

    def tell(self, one: Entry, at: Whereabouts, state: str, why: str = "", **more: Any) -> None:
        """A report, as the keeper makes them. What it counted stays as it said last."""
        counted = {key: one.report[key] for key in ("deaths", "respawns") if one.report.get(key)}
        body: dict[str, Any] = {**counted, "state": state, "why": why, **found(at), **more}
        if size := conversations.size_of(one.transcript):
            body["log_bytes"] = size
        self.daemon.post(f"/api/roster/{segment(one.name)}/report", body)

    def _allowed(self, name: str) -> None:
        """What the giver of this host says counts here too, not only for the keeper."""
        why = self.daemon.get("/api/host").body["refused"].get(name)
        if why is not None:
            raise Refused(
                f"{name} may not run now: {why}",
                code="not_allowed_now",
                hint="it starts by itself when it may; `maw host` shows what is allowed, `maw host resume` ends it",
            )

    def _own(self, name: str) -> None:
        one = entry(self.daemon, name)
        if one.uid != self.host.uid:
            raise Refused(
                f"{name} runs as another Unix user (uid {one.uid})",
                code="not_yours",
                hint=f"as that user: sudo -u '#{one.uid}' maw agent …",
            )


def found(at: Whereabouts) -> dict[str, Any]:
    """Of a report: what there is to be seen of it now."""
    body: dict[str, Any] = {}
    process = at.process or at.elsewhere
    if process is not None:
        body["pid"] = process.pid
        tree = measure({"it": process.pid}).get("it")
        if tree is not None:
            body |= {"memory_bytes": tree.memory, "started": tree.started}
    if at.pane is not None:
        body |= {
            "server": at.pane.place.server,
            "active": at.pane.active_at * 1000,
            "attached": at.pane.attached,
            "pane": str(at.pane.place),
        }
    return body


def socket_for(plan: Plan, host: Host) -> str:
    """The socket to write down for one that has none yet: this user's own server, where that is not the usual one."""
    if plan.socket or not host.env.get("TMUX_TMPDIR"):
        return plan.socket
    from maw.agents.tmux import folder_of_sockets

    return str(folder_of_sockets(host.env, host.uid) / "default")
