"""One pulse: look, run, carry out, end. See docs/life.md; the rules are in maw/core/pulsing.py.

Every step is on the disk before the next begins. Killed anywhere, the next pulse goes on: an answer that is kept is
carried out, and the runner is begun again only where none is.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import shlex
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from maw.agents.life import durable, guarding, quick, runner
from maw.agents.life.carrying import HELD, Carrying, cost_of, now_ms, tell_costs
from maw.agents.life.ensouling import look_after
from maw.agents.life.home import AgentHome, make_own, read_home, soul_hint
from maw.agents.life.journal import Journal, Policy, Run, State
from maw.client.daemon import Daemon
from maw.core.answering import HUNG, MISSING, SIGNED_OUT
from maw.core.pulse_prompt import Given, prompt, said
from maw.core.pulsing import (
    Do,
    Found,
    failed,
    fitting,
    in_a_row,
    is_empty,
    to_tell,
    weight,
    what_to_do,
    without_comments,
)
from maw.errors import BadInput, Conflict, MawError, NotRunning, Refused, Unavailable

PAGE: Final = 100
PAGES: Final = 10
"""Of a mailbox, looked at in one pulse: who floods the oldest keeps the rest for later pulses."""
LARGEST: Final = 1 << 20
"""Bytes of a home's file that are read."""
ROUNDS: Final = 3
"""Of one process: a runner that asks for another pulse each time does not go on for ever."""
HEAD: Final = 280
"""Characters of a message that are kept for the log."""
KILLED: Final = (
    "the pulse was killed while its runner ran (of memory? by a time limit shorter than timeout_s?)"
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """``word``: ok, ran, waits, running. ``line``: for people. ``told``: for ``--json``."""

    word: str
    line: str
    told: dict[str, Any] = field(default_factory=dict)


@contextlib.contextmanager
def only_pulse(home: AgentHome) -> Iterator[bool]:
    """Whether this is the only pulse of this home. The lock is not inherited: what a runner leaves running does not
    hold it."""
    make_own(home)
    handle = os.open(home.own / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True
    finally:
        os.close(handle)


def pulse(
    home: AgentHome,
    daemon: Daemon,
    env: Mapping[str, str],
    *,
    insist: bool = False,
    tell: Callable[[str], None] = lambda _: None,
) -> Outcome:
    """One whole pulse, and more where somebody asked for one while it ran. ``tell`` says a line to whoever looks.
    Raises MawError, OSError, Stopped."""
    again = home.own / "again"
    outcome: Outcome | None = None
    rounds = 0
    # who asks writes that first, and looks for the lock then
    while outcome is None or (again.exists() and rounds < ROUNDS):
        rounds += 1
        with only_pulse(home) as only:
            if not only:
                busy = f"a pulse or a dream of {home.name} is running: nothing was done"
                return outcome or Outcome("running", busy, {"agent": home.name})
            durable.remove(again)
            try:
                outcome = Pulse(home, daemon, env, tell).once(insist=insist)
            except MawError as error:
                quick.log(str(home.folder), f"ERROR {error.code}: {error.message}")
                raise
    return outcome


class Pulse:
    """``daemon``: asked as the agent."""

    def __init__(
        self, home: AgentHome, daemon: Daemon, env: Mapping[str, str], tell: Callable[[str], None]
    ) -> None:
        self._home = home
        self._tell = tell
        self._daemon = replace(daemon, speaker=home.name, pane=None)
        self._env = env
        self._journal = Journal(home)
        self._policy = self._journal.policy()
        self._soul_is_told = False
        self._limit_key = ""

    def once(self, *, insist: bool = False) -> Outcome:
        home, journal = self._home, self._journal
        seen = quick.looks(str(home.folder))
        state, run = journal.state(), journal.run()
        heard, self._limit_key = quick.heard(str(home.folder)), state.limit_key
        # the quick way ends no limit that a run was given which was stopped
        told = heard if heard and not self._limit_key else self._look(same=heard is not None)
        if told["held"] is not None:
            held = told["held"]
            raise Refused(
                f"{home.name} does not pulse: {held['message']}", code=held["code"], hint=held["hint"]
            )
        self._take_policy(told)
        kept = None if run is None else self._kept(run)
        self._guard()
        # an answer that is kept is carried out first: what that wrote into the log is looked for there
        if kept is None:
            self._look_after_soul()
        self._set_tasks_aside()
        # what of tasks.md is no UTF-8 must be known again, byte by byte, when it is taken away
        directives, tasks = self._text(home.heartbeat), self._text(home.tasks, "surrogateescape")
        now = time.time()
        due = not is_empty(directives) and not 0 <= now - state.directives_at < home.heartbeat_s
        found = Found(
            waking=told["waking"],
            directives=due,
            tasks=not is_empty(tasks),
            answered=kept is not None,
            begun=run is not None,
        )
        if run is not None and kept is None and run.tries:  # its runner ended with it, and was no success
            self._fail(state, KILLED, killed=True)
        do = what_to_do(found, state.failing, now, insist=insist)
        if do is Do.NOTHING:
            is_quiet = state.failing is None and is_empty(directives) and is_empty(tasks)
            return self._nothing(told, state, seen if is_quiet else None)
        if do is Do.WAIT:
            return self._wait(state)
        if do is Do.RUN or run is None or kept is None:
            run = self._begin(run, told, directives if due else "", tasks)
            kept = self._run(run, state, directives if due else "")
        return self._carry_out(run, kept, state, told)

    # -- looking --------------------------------------------------------------------------------------

    def _look(self, **more: Any) -> dict[str, Any]:
        """What the daemon tells a pulse. Of an older one, what it does not tell is taken from what it does."""
        body = {"watch": list(self._home.watch_channels), **more}
        if self._limit_key:
            body["limit_key"] = self._limit_key
        if self._policy.id:
            body["policy"] = self._policy.id
        told: dict[str, Any] = self._daemon.post("/api/pulse", body).body
        if "waking" not in told:
            raise Unavailable(
                "the daemon is older than this maw, and knows of no pulses",
                code="old_daemon",
                hint="restart it with the version that is installed: systemctl (--user) restart maw",
            )
        return told

    def _guard(self) -> None:
        """What its runner may have done to the soul is seen to."""
        if (words := guarding.end(self._home)) is not None:
            self._tell(words)

    def _look_after_soul(self) -> None:
        """Raises Refused where it is broken and nobody has a sound one: no run begins with that."""
        home = self._home
        checked = look_after(home, lambda: self._daemon, self._tell)
        self._soul_is_told = checked.synced
        if not checked.sound:
            raise Refused(
                f"{home.name} does not pulse: the soul {checked.fault}, and neither git nor the Colony has one",
                code="bad_soul",
                hint=soul_hint(home),
            )

    def _take_policy(self, told: dict[str, Any]) -> None:
        """The one in force is in the home from now on, and every host knows that the agent has it."""
        first = told["policy"] or {"id": ""}
        if first["id"] == self._policy.id:
            return
        text = self._daemon.get("/api/policy", version=first["version"]).body["text"] if first["id"] else ""
        self._policy = Policy(first["id"], text)
        self._journal.keep_policy(self._policy)
        self._look(same=True)

    def _text(self, path: Path, errors: str = "replace") -> str:
        try:
            with path.open("rb") as file:
                return file.read(LARGEST).decode("utf-8", errors)
        except FileNotFoundError:
            return ""

    def _set_tasks_aside(self) -> None:
        """Of a tasks.md that is too long a part would be handed over at every pulse, and never taken away. Raises
        BadInput, once."""
        path = self._home.tasks
        try:
            size = path.stat().st_size
        except FileNotFoundError:
            return
        if size <= LARGEST:
            return
        aside = self._home.memory / f"tasks-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}.md"
        self._home.memory.mkdir(mode=0o700, exist_ok=True)
        path.rename(aside)
        durable.sync_folder(self._home.memory)
        durable.sync_folder(self._home.folder)
        words = f"{path} had {size} bytes, more than {LARGEST >> 20} MiB: it is {aside} now, and was handed to nobody"
        durable.append(self._home.log, f"\n- {words}\n".encode())  # whoever wrote it may read that
        raise BadInput(words, code="tasks_too_long", hint="write into tasks.md again what is to be done")

    def _end_of(self, path: Path) -> str:
        try:
            with path.open("rb") as file:
                file.seek(max(file.seek(0, os.SEEK_END) - LARGEST, 0))
                return file.read().decode("utf-8", "replace")
        except FileNotFoundError:
            return ""

    def _kept(self, run: Run) -> runner.Ran | None:
        path = self._journal.answer(run)
        try:
            return runner.kept(path)
        except (ValueError, KeyError, TypeError) as error:
            raise Conflict(
                f"{path}: cannot be read: {error}",
                code="bad_journal",
                hint="what it was at shows `maw sent`; move it and pulse.json beside it away, and pulse again",
            ) from None

    def _nothing(self, told: dict[str, Any], state: State, seen: list[list[int] | None] | None) -> Outcome:
        """``seen``: how its files looked, where a home that looks so has nothing to do."""
        home = self._home
        tell_costs(self._journal, state, self._daemon)
        if seen is not None and self._soul_is_told and not state.owed and read_home(home.folder) == home:
            quick.remember(
                str(home.folder),
                looks=seen,
                name=home.name,
                watch=home.watch_channels,
                policy=self._policy.id,
            )
        line = quick.ok(home.name, told)
        quick.log(str(home.folder), "HEARTBEAT_OK")
        return Outcome(
            "ok",
            line,
            {
                "agent": home.name,
                "unread": told["unread"],
                "over_budget": told.get("over_budget"),
                "warnings": _warnings(told),
            },
        )

    def _wait(self, state: State) -> Outcome:
        failing = state.failing
        assert failing is not None
        when = _moment(failing.until)
        line = (
            f"PULSE_WAITS {self._home.name}: the runner failed {in_a_row(failing.count)} ({failing.why}); it is"
            f" tried again from {when} on, or at once with --now"
        )
        quick.log(str(self._home.folder), f"WAITS until {when}: {failing.why}")
        return Outcome("waits", line, {"agent": self._home.name, **asdict(failing)})

    # -- running --------------------------------------------------------------------------------------

    def _begin(self, run: Run | None, told: dict[str, Any], directives: str, tasks: str) -> Run:
        """What is handed over is on the disk before the runner begins. A run of which no answer came is begun again,
        with what is new now."""
        found = self._inbox(told)
        news = sorted((one for one in found if not one["own"]), key=weight)
        sizes = [len(said(one, now_ms(), self._home.name)) for one in news]
        taken = news[: fitting(sizes)]
        asks = self._asks({one["id"] for one in taken})
        handed = [*taken, *asks, *(one for one in found if one["own"])]
        if run is None:
            run = Run(secrets.token_hex(6), now_ms())
        run.tries += 1
        run.handed = [_short(one) for one in handed]
        run.tasks = "" if is_empty(tasks) else tasks
        run.directives = bool(directives)
        run.most = self._home.max_messages
        self._given = Given(
            agent=self._home.name,
            time=time.strftime("%Y-%m-%d %H:%M %Z"),
            soul=without_comments(self._text(self._home.soul)),
            policy=self._policy.text,
            summary=self._text(self._home.summary),
            log=self._end_of(self._home.log),
            directives=without_comments(directives),
            tasks=_readable(without_comments(tasks)),
            asks=tuple(asks),
            messages=tuple(taken),
            left=len(news) - len(taken),
            most=run.most,
        )
        self._journal.keep(run)
        return run

    def _inbox(self, told: dict[str, Any]) -> list[dict[str, Any]]:
        """What is unread in its mailbox and those of its roles, at most ``PAGES`` of each."""
        me, _, host = str(told["agent"]).partition("@")
        found: list[dict[str, Any]] = []
        for mailbox in (self._home.name, *told["roles"]):
            daemon, after = replace(self._daemon, speaker=mailbox), 0
            for _ in range(PAGES):
                page = daemon.get("/api/inbox", after_seq=after, limit=PAGE).body
                for one in page:
                    own = one["host"] == host and me in (one["author_name"], one.get("of"))
                    found.append({**one, "mailbox": mailbox, "own": own})
                if len(page) < PAGE:
                    break
                after = page[-1]["seq"]
        return found

    def _asks(self, beside: set[str]) -> list[dict[str, Any]]:
        asks = self._daemon.get("/api/asks").body
        return [
            {**one, "mailbox": self._home.name, "own": False, "new": False}
            for one in asks
            if one["id"] not in beside
        ]

    def _run(self, run: Run, state: State, directives: str) -> runner.Ran:
        """Raises Unavailable where it failed; then nothing was handed over, and all of it waits for a later pulse."""
        home = self._home
        # what the runner sends by itself counts too; that of a run before has ended
        self._limit_key = state.limit_key = secrets.token_hex(16)
        self._journal.keep_state(state)
        self._look(max_messages=home.max_messages, same=True)
        env = dict(self._env) | {"MAW_AGENT": home.name, "MAW_AGENT_HOME": str(home.folder)}
        env["MAW_SOCKET"] = str(self._daemon.socket)
        text = prompt(self._given, secrets.token_hex(4), now_ms())
        guarding.begin(home)
        try:
            ran = runner.run(
                home.runner,
                text,
                cwd=home.folder,
                env=env,
                timeout_s=home.timeout_s,
                answer=self._journal.answer(run),
            )
        except runner.Stopped:
            if self._kept(run) is None:
                self._journal.end(run)
                quick.forget(str(home.folder))
            raise
        finally:
            self._guard()
        if ran.failure is None:
            return ran
        if ran.seconds:
            state.owed.append(cost_of(run, ran))
        until = ran.failure.until
        self._fail(state, f"{ran.failure.kind}: {ran.failure.why}", until)
        self._journal.end(run)
        tell_costs(self._journal, state, self._daemon)
        failing = state.failing
        assert failing is not None
        again = _moment(failing.until)
        raise Unavailable(
            f"the runner of {home.name} failed: {ran.failure.why}",
            code="runner_failed",
            hint=f"{_todo(ran.failure.kind, home)}\nnothing is lost: its messages wait. It is tried again from {again}"
            " on, or at once with --now",
        )

    def _fail(self, state: State, why: str, until: float | None = None, *, killed: bool = False) -> None:
        state.failing = failed(state.failing, why[:300], time.time(), until, killed=killed)
        self._journal.keep_state(state)
        quick.forget(str(self._home.folder))
        if (text := to_tell(state.failing)) is not None:
            with contextlib.suppress(MawError):  # it is told with the next failure
                self._look(trouble=text[:400], same=True)

    # -- carrying out ---------------------------------------------------------------------------------

    def _carry_out(self, run: Run, ran: runner.Ran, state: State, told: dict[str, Any]) -> Outcome:
        home, carrying = self._home, Carrying(self._home, self._journal, run, ran, self._daemon, now_ms)
        try:
            carrying.carry_out()
        except MawError as error:
            if not isinstance(error, NotRunning) and error.code not in HELD:
                self._fail(state, f"its answer could not be sent: {error.message}")
            raise
        cost = cost_of(run, ran)
        if cost not in state.owed:
            state.owed.append(cost)
        # the pulse is over: it may say any number again
        self._look(same=True, **({} if state.failing is None else {"trouble": ""}))
        self._limit_key = state.limit_key = ""
        state.failing = None
        if run.directives:
            state.directives_at = run.begun / 1000
        self._journal.keep_state(state)
        tell_costs(self._journal, state, self._daemon)
        heard = sum(one.get("new", True) and not one["own"] for one in run.handed)
        unsent = carrying.unsent
        line = f"run={run.run} heard={heard} sent={carrying.sent} unsent={len(unsent)} {ran.seconds:.1f}s"
        quick.log_once(str(home.folder), f"RAN {line}", run.run)
        self._journal.end(run)
        words = [_count(heard, "message")] if heard or not run.tasks else []
        words += ["tasks"] if run.tasks else []
        words += ["directives"] if run.directives else []
        shown = f"PULSE {home.name}: {', '.join(words)} handed over, {_count(carrying.sent, 'message')} sent"
        shown += "".join(f"\n  not sent: {why} (the text is in memory/log.md)" for why, _ in unsent)
        return Outcome(
            "ran",
            shown + "".join(f"\n  {words}" for words in _warnings(told)),
            {
                "agent": home.name,
                "run": run.run,
                "heard": heard,
                "sent": [one["id"] for one in run.sent.values() if "id" in one],
                "unsent": [{"why": why, "text": text} for why, text in unsent],
                "runner_s": ran.seconds,
                "warnings": _warnings(told),
            },
        )


_SHORT: Final = (
    "mailbox", "id", "seq", "author", "channel", "kind", "why", "intent", "own", "new", "order", "operator",
)  # fmt: skip


def _short(message: dict[str, Any]) -> dict[str, Any]:
    """What is needed of it to answer it, and for the log."""
    text = str(message["text"])
    head = text if len(text) <= HEAD else f"{text[:HEAD]}…"
    return {key: message[key] for key in _SHORT if key in message} | {"text": head}


def _readable(text: str) -> str:
    """What is no UTF-8 in it is shown as such."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _moment(at: float) -> str:
    """The time of day; of another day than today with its date."""
    local = time.localtime(at)
    return time.strftime("%H:%M" if local[:3] == time.localtime()[:3] else "%d %b %H:%M", local)


def _todo(kind: str, home: AgentHome) -> str:
    """What to do about a runner that failed so."""
    settings = home.folder / "agent.toml"
    if kind == MISSING:
        return f"install it, or name another one: [pulse] runner in {settings}"
    if kind == SIGNED_OUT:
        return f"sign in once by hand, as this user: {shlex.join(home.runner[:1])}"
    if kind == HUNG:
        return f"if it needs longer: [pulse] timeout_s in {settings}"
    return f"the end of what it printed: {home.own / runner.LAST_FAILURE}"


def _warnings(told: dict[str, Any]) -> list[str]:
    names = ", ".join(f"#{name}" for name in told.get("no_channel") or ())
    return [f"not watched, for there is no such channel: {names}"] if names else []
