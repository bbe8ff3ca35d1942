"""What follows an answer, step by step: each can be done again after a kill, and is done once.

Sent under the run's own keys, which the daemon remembers for a day; later it is looked what was sent since. Then the
messages are acknowledged, the log is appended to, tasks are taken away, what it took is told, and the journal ends.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

from maw.agents.life import durable
from maw.agents.life.home import AgentHome, check_files
from maw.agents.life.journal import Journal, Run, State
from maw.agents.life.runner import Ran
from maw.client.daemon import Daemon
from maw.client.once import resume
from maw.core.credentials import masked
from maw.core.digest import quoted
from maw.core.pulse_answer import Plan, Sending, plan
from maw.core.pulsing import left_of, to_append, unsaid, without_comments
from maw.errors import Ambiguous, BadInput, Conflict, MawError, NotFound, Refused, TooMany

KEYS_HOLD_MS: Final = 12 * 3_600_000
"""The daemon remembers a key for twice as long."""
SENT_LOOKED_AT: Final = 500
AT_ONCE: Final = 100
HELD: Final = ("frozen", "halted")
PULSE_SPENT: Final = "pulse_spent"
LOG_LINE: Final = 300


class Carrying:
    """One run whose answer is kept. ``now_ms``: since 1970."""

    def __init__(
        self, home: AgentHome, journal: Journal, run: Run, ran: Ran, daemon: Daemon, now_ms: Callable[[], int]
    ) -> None:
        self._home = home
        self._journal = journal
        self.run = run
        self.ran = ran
        self._daemon = daemon
        self._now = now_ms
        self.plan: Plan = plan(ran.answer, home.name, run.handed, run.most)

    def carry_out(self) -> None:
        """Raises MawError where it cannot be gone on with now; OSError."""
        check_files(self._home)  # its runner may have made something else of them
        self._send()
        self._acknowledge()
        self._log()
        self._take_tasks_away()

    @property
    def sent(self) -> int:
        """Messages that went out."""
        return sum(
            one.counts and "id" in self.run.sent.get(str(n), {}) for n, one in enumerate(self.plan.sendings)
        )

    @property
    def unsent(self) -> list[tuple[str, str]]:
        """What was not sent: why, and the text, without what looks like a credential: many read logs."""
        refused = [
            (f"{told['problem']}; it was for {one.where}", str(one.body.get("text", "")))
            for n, one in enumerate(self.plan.sendings)
            if "problem" in (told := self.run.sent.get(str(n), {}))
        ]
        return [(why, masked(text)) for why, text in (*refused, *self.plan.unsent)]

    # -- sending --------------------------------------------------------------------------------------

    def _send(self) -> None:
        run, journal = self.run, self._journal
        left = [n for n in range(len(self.plan.sendings)) if str(n) not in run.sent]
        if not left:
            return
        if run.posting is None:
            run.posting = self._now()
            journal.keep(run)
        elif abs(self._now() - run.posting) > KEYS_HOLD_MS:
            self._pass_over_sent(left)
        for n in left:
            if str(n) not in run.sent:
                run.sent[str(n)] = self._one(n, self.plan.sendings[n])
                journal.keep(run)

    def _one(self, n: int, sending: Sending) -> dict[str, str]:
        """What became of it; raises what may be otherwise later."""
        daemon = replace(self._daemon, speaker=sending.speaker, pane=None)
        try:
            if not sending.counts:
                daemon.post(sending.path, sending.body)
                return {"done": sending.where}
            resume(f"pulse-{self.run.run}-{n}")
            return {"id": str(daemon.post_once(sending.path, sending.body).body["id"])}
        except MawError as error:
            if _may_pass(error) and not (error.code == "frozen" and self._only_there(daemon)):
                raise
            return {"problem": error.message}

    def _only_there(self, daemon: Daemon) -> bool:
        """Whether what is frozen is a channel: the agent goes on elsewhere."""
        return daemon.post("/api/pulse", {"same": True}).body["held"] is None

    def _pass_over_sent(self, left: list[int]) -> None:
        """The daemon may have forgotten the keys: what this agent sent since is looked at instead."""
        sendings = [self.plan.sendings[n] for n in left]
        said: list[tuple[str, str]] = []
        ids: dict[tuple[str, str], list[str]] = {}
        for speaker in {one.speaker for one in sendings if one.counts}:
            daemon = replace(self._daemon, speaker=speaker, pane=None)
            for one in daemon.get("/api/sent", limit=SENT_LOOKED_AT).body:
                if _ms(one["created_at"]) >= (self.run.posting or 0) - 60_000:
                    key = (f"{speaker} {one.get('channel') or '@'}", str(one["text"]))
                    said.append(key)
                    ids.setdefault(key, []).append(str(one["id"]))
        wanted = [(f"{one.speaker} {_channel_of(one)}", str(one.body.get("text", ""))) for one in sendings]
        for n, key, still in zip(left, wanted, unsaid(wanted, said), strict=True):
            if not still:
                self.run.sent[str(n)] = {"id": ids[key].pop(0)}
        self._journal.keep(self.run)

    # -- and then -------------------------------------------------------------------------------------

    def _acknowledge(self) -> None:
        """Exactly what was handed over."""
        by_mailbox: dict[str, list[str]] = {}
        for one in self.run.handed:
            if one.get("new", True):
                by_mailbox.setdefault(str(one["mailbox"]), []).append(str(one["id"]))
        for mailbox, ids in by_mailbox.items():
            daemon = replace(self._daemon, speaker=mailbox, pane=None)
            for at in range(0, len(ids), AT_ONCE):
                try:
                    daemon.post("/api/ack", {"ids": ids[at : at + AT_ONCE]})
                except (BadInput, NotFound):  # a role that was removed meanwhile has no mailbox any more
                    if mailbox == self._home.name:
                        raise

    def _log(self) -> None:
        if not self.run.logged:
            self.run.logged = self._entry()
            self._journal.keep(self.run)
        append_once(self._home, self.run.logged)

    def _entry(self) -> str:
        when = datetime.fromtimestamp(self.run.begun / 1000, UTC).strftime("%Y-%m-%d %H:%M")
        return "\n".join([f"\n## {when} UTC, pulse {self.run.run}\n", *self._lines()]) + "\n"

    def _lines(self) -> Iterator[str]:
        for one in self.run.handed:
            if one.get("new", True) and not one.get("own"):
                where = f" in #{one['channel']}" if one.get("channel") else ""
                yield f"- heard {one['seq']} from {one['author']}{where}: {quoted(str(one['text']), LOG_LINE)}"
        for line in without_comments(self.run.tasks).splitlines():
            yield f"- task: {line}"
        for n, sending in enumerate(self.plan.sendings):
            if "problem" not in self.run.sent.get(str(n), {}):
                yield f"- said to {sending.where}: {quoted(str(sending.body.get('text', '')), LOG_LINE)}"
        for why, text in self.unsent:
            yield f"- not sent ({why}):\n{_indented(text)}"
        if self.plan.noted:
            yield f"- noted:\n{_indented(masked(self.plan.noted))}"

    def _take_tasks_away(self) -> None:
        if not self.run.tasks:
            return
        path = self._home.tasks
        try:
            now = path.read_bytes().decode("utf-8", "surrogateescape")
        except FileNotFoundError:
            return
        if (left := left_of(now, self.run.tasks)) != now:
            durable.write(path, left.encode("utf-8", "surrogateescape"), same_mode=True)


def cost_of(run: Run, ran: Ran) -> dict[str, Any]:
    """As ``POST /api/costs`` takes it: each try of a run is counted by itself."""
    told: dict[str, Any] = {"run": f"{run.run}-{run.tries}", "kind": "pulse", "runner_s": ran.seconds}
    if ran.usage is not None:
        usage = ran.usage
        told |= {
            "input_tokens": usage.input_tokens,
            "output_tokens": usage.output_tokens,
            "cache_tokens": usage.cache_tokens,
            "usd": usage.usd,
            "model": usage.model,
        }
    return {key: value for key, value in told.items() if value is not None}


def tell_costs(journal: Journal, state: State, daemon: Daemon) -> None:
    """What runs took; what the daemon does not take now is told another time, what it refuses never."""
    while state.owed:
        try:
            daemon.post("/api/costs", state.owed[0])
        except (BadInput, NotFound):  # an older daemon keeps no account
            pass
        except MawError:
            return
        del state.owed[0]
        journal.keep_state(state)


def append_once(home: AgentHome, entry: str) -> None:
    """At the end of memory/log.md, once, also where an earlier write of it was cut short. Raises OSError."""
    data = entry.encode("utf-8", "replace")
    home.memory.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        with home.log.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(size - len(data) - 65_536, 0))
            tail = file.read()
    except FileNotFoundError:
        size, tail = 0, b""
    cut, more = to_append(tail, data)
    if cut:
        with home.log.open("r+b") as file:
            file.truncate(size - cut)
    if more:
        durable.append(home.log, more)


def _may_pass(error: MawError) -> bool:
    """Whether the same may be taken another time."""
    if isinstance(error, TooMany):
        return error.code != PULSE_SPENT
    if isinstance(error, Refused):
        return error.code in HELD
    return not isinstance(error, BadInput | NotFound | Ambiguous | Conflict)


def _channel_of(sending: Sending) -> str:
    return sending.path.split("/")[3] if sending.path.startswith("/api/channels/") else "@"


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())


def _ms(moment: str) -> int:
    return int(datetime.fromisoformat(moment).timestamp() * 1000)


def now_ms() -> int:
    return int(time.time() * 1000)
