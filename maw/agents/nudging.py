"""The last way to be heard: a digest typed into an agent's pane, when nothing better waits and the owner wants it.

Laws
  1. One writer a pane: the agent's lock is held from the last look to the Enter.
  2. Into an empty prompt that is known, and nothing else: not over a half-typed line, not into a question, not while a
     human's terminal was active, not in copy mode.
  3. Enter is pressed only while the prompt holds our text and nothing beside it, and again only then.
  4. Delivered is said when Enter was pressed and the prompt let go of it then: what went before that, with its program
     or by a human's hand, was not read by anybody. Else it is said why not, and the message stays in the inbox.
"""

from __future__ import annotations

import contextlib
import logging
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Final

from maw.agents.entries import Entry
from maw.agents.running import Host, where
from maw.agents.scene import Scene
from maw.agents.tmux import Pane, Server, TmuxFailed
from maw.client.daemon import Daemon
from maw.core.prompts import Prompt, Shows, holds, paste_of, read_prompt
from maw.errors import MawError

log = logging.getLogger(__name__)

HISTORY: Final = 60
"""Lines above the screen: a long paste pushes the prompt's beginning there."""
HUMAN_S: Final = 5
"""After a key in a terminal that shows the pane, it is left to the human for so long."""
SHOWN_S: Final = 3.0
SETTLE_S: Final = 0.3
"""Programs gather a paste before they take an Enter for one."""
TAKEN_S: Final = 2.0
MOST_ENTERS: Final = 3
POLL_S: Final = 0.1
WAIT_S: Final = 20.0
LOOK_S: Final = 1.0


class NotNow(Exception):
    """Why nothing may be typed; or that what was typed was not taken."""


@dataclass(slots=True)
class Nudging:
    """Of one agent, in a thread of its own. ``entry``: as it is now, None where it is not to be nudged any more."""

    daemon: Daemon
    host: Host
    node: str
    name: str
    entry: Callable[[], Entry | None]
    stop: threading.Event
    clock: Callable[[], float] = time.monotonic
    why: str = ""
    """Why nothing could be typed the last time; "" when it could."""
    _told: tuple[str, int] = field(default=("", 0), repr=False)

    def run(self) -> None:
        """Until it is stopped, or not wanted any more."""
        while not self.stop.is_set() and (entry := self.entry()) is not None:
            try:
                self.once(entry)
            except MawError as error:
                log.info("%s is not nudged: %s", self.name, error.message)
                self.stop.wait(WAIT_S / 4)
            except Exception:
                log.exception("nudging %s failed", self.name)
                self.stop.wait(WAIT_S)

    def once(self, entry: Entry) -> None:
        """Waits for a prompt that may be typed into and for something to type. Raises MawError."""
        self.why = why = self.why_not(entry)
        if why:
            # said once of what is new: why it lies there
            about = (why, entry.newest_unread)
            if about != self._told and (found := self._hear(0)) is not None:
                self._told = about
                self._heard(found, why)
            self.stop.wait(LOOK_S)
            return
        self._told = ("", 0)
        found = self._hear(WAIT_S)
        now = self.entry()
        if found is None:
            return
        try:
            if now is None or self.stop.is_set():
                raise NotNow("it is not to be nudged any more")
            entry = now
            with self.host.lock(self.node, self.name, 2.0):
                self.type(entry, found["text"])
        except (NotNow, MawError) as error:
            self.why = why = error.message if isinstance(error, MawError) else str(error)
            log.info("%s was not nudged: %s", self.name, why)
            self._heard(found, why)
            self.stop.wait(LOOK_S)
            return
        self._heard(found, None)

    def why_not(self, entry: Entry) -> str:
        """Why nothing may be typed now; "" when it may."""
        try:
            pane = self._pane(entry)
            self._read(entry, pane)
        except NotNow as reason:
            return str(reason)
        except TmuxFailed as error:
            return error.message
        return ""

    def type(self, entry: Entry, text: str) -> None:
        """Paste it, see it there, press Enter, see it go. Raises NotNow, TmuxFailed."""
        pane = self._pane(entry)
        self._read(entry, pane)
        server, at, words = Server(pane.place.socket), pane.place.pane, paste_of(text)
        buffer = f"maw-{secrets.token_hex(6)}"
        server.must("load-buffer", "-b", buffer, "-", given=words)
        try:
            # the last look at the mode is tmux's own, in the same breath
            paste = f"paste-buffer -p -r -b {buffer} -t {at}"
            server.must("if-shell", "-F", "-t", at, "#{==:#{pane_in_mode},0}", paste)
        finally:
            with contextlib.suppress(TmuxFailed):
                server.must("delete-buffer", "-b", buffer)
        if not self._comes(lambda: holds(self._prompt(entry, server, at), words), SHOWN_S):
            self._say_what_is_there(self._prompt(entry, server, at))
        entered = False
        enter = f"send-keys -t {at} Enter ; display-message -p entered"
        for _ in range(MOST_ENTERS):
            time.sleep(SETTLE_S)
            if not holds(self._prompt(entry, server, at), words):
                break
            entered |= bool(server.must("if-shell", "-F", "-t", at, "#{==:#{pane_in_mode},0}", enter))
            if self._comes(lambda: not holds(self._prompt(entry, server, at), words), TAKEN_S):
                break
        prompt = self._prompt(entry, server, at)
        if holds(prompt, words):
            raise NotNow("it was typed, and Enter was not taken: it stands at the prompt")
        if not entered:
            raise NotNow(f"it was typed, and went from the prompt before Enter was pressed: {prompt.shows}")
        if prompt.shows in (Shows.TYPED, Shows.ASKS):
            self._say_what_is_there(prompt)
        if prompt.shows is Shows.UNKNOWN and not self._runs(entry):
            raise NotNow("it was typed, and the program ended")

    def _say_what_is_there(self, prompt: Prompt) -> None:
        if prompt.shows is Shows.TYPED:
            raise NotNow("somebody typed at the same moment; it stands at the prompt, nothing was sent off")
        raise NotNow(f"it was typed, and did not show at the prompt: {prompt.shows}")

    def _comes(self, true: Callable[[], bool], seconds: float) -> bool:
        deadline = self.clock() + seconds
        while not true():
            if self.clock() > deadline:
                return False
            time.sleep(POLL_S)
        return True

    def _pane(self, entry: Entry) -> Pane:
        """Its pane, running its program, in nobody's hands. Raises NotNow."""
        at = where(entry, Scene.now([self.host.socket_of(entry)]), self.host)
        if at.pane is None or at.process is None:
            raise NotNow(at.unsure or "it does not run in its pane")
        if at.pane.in_mode:
            raise NotNow("its pane is in copy mode")
        quiet = human_quiet_s(at.pane)
        if quiet is not None and quiet < HUMAN_S:
            raise NotNow("somebody is at its terminal")
        return at.pane

    def _runs(self, entry: Entry) -> bool:
        return where(entry, Scene.now([self.host.socket_of(entry)]), self.host).process is not None

    def _read(self, entry: Entry, pane: Pane) -> None:
        """Raises NotNow unless its prompt is empty."""
        prompt = self._prompt(entry, Server(pane.place.socket), pane.place.pane)
        if prompt.shows is Shows.UNKNOWN:
            raise NotNow(f"no prompt of {entry.plan.kind} is to be seen that maw knows")
        if prompt.shows is not Shows.EMPTY:
            raise NotNow(f"its pane shows {prompt.shows}")

    def _prompt(self, entry: Entry, server: Server, pane: str) -> Prompt:
        return read_prompt(entry.plan.kind, server.capture(pane, HISTORY, styles=True))

    def _hear(self, wait: float) -> dict[str, Any] | None:
        body = {"via": "pane", "wake": True, "wait": wait}
        found: dict[str, Any] | None = self._as_agent.post("/api/hear", body, patience=wait + 15).body
        return found

    def _heard(self, found: dict[str, Any], failed: str | None) -> None:
        body = {"claim": found["claim"]} | ({"failed": failed[:200]} if failed else {})
        self._as_agent.post("/api/heard", body)

    @property
    def _as_agent(self) -> Daemon:
        return replace(self.daemon, speaker=self.name, pane=None)


def human_quiet_s(pane: Pane) -> float | None:
    """Seconds since the last key in a terminal that shows the pane's session; None where none does."""
    told = Server(pane.place.socket).must("list-clients", "-F", "#{client_activity}|#{client_session}")
    seen = [line.partition("|") for line in told]
    active = [int(at) for at, _, session in seen if session == pane.session and at.isdecimal()]
    return time.time() - max(active) if active else None
