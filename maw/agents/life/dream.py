"""A dream: what an agent went through is consolidated into a summary, the log pruned, and nothing lost on the way.

One process, under the lock of the pulse. Which part of the log it is of is on the disk before the runner begins, the
answer before anything is done with it; a kill at any moment is gone on from by the next dream.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from maw.agents.life import durable, guarding, runner
from maw.agents.life.consolidating import consolidate, hash_of, read, tidy, unused_stamp
from maw.agents.life.dream_journal import DreamJournal, Run, State
from maw.agents.life.ensouling import look_after
from maw.agents.life.home import AgentHome, check_files, soul_hint
from maw.agents.life.pulse import only_pulse
from maw.client.daemon import Door
from maw.core.credentials import masked
from maw.core.dreaming import Dreamt, Given, failed, part_of, prompt, read_answer, to_tell, waits
from maw.errors import BadInput, Conflict, MawError, NotFound, Refused, Unavailable

UNFINISHED_PULSE: Final = "pulse.json"
TRIES: Final = 3
"""A dream whose runner ended with it so often has failed: it is killed for what it takes, or by a time limit."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """``word``: ok, dreamt, waits, running. ``line``: for people. ``told``: for ``--json``."""

    word: str
    line: str
    told: dict[str, Any] = field(default_factory=dict)


def dream(
    home: AgentHome,
    door: Callable[[], Door],
    env: Mapping[str, str],
    tell: Callable[[str], None],
    *,
    insist: bool = False,
) -> Outcome:
    """``door``: the daemon, spoken to as the agent; asked only where there is something to do. ``insist``: now,
    whatever failed before. Raises MawError, OSError, runner.Stopped."""
    with only_pulse(home) as alone:
        if not alone:
            line = f"a pulse or a dream of {home.name} is running: nothing was done"
            return Outcome("running", line, {"agent": home.name})
        return _Dream(home, door, env, tell).once(insist=insist)


class _Dream:
    def __init__(
        self, home: AgentHome, door: Callable[[], Door], env: Mapping[str, str], tell: Callable[[str], None]
    ) -> None:
        self._home = home
        self._door = door
        self._env = env
        self._tell = tell
        self._journal = DreamJournal(home)

    def once(self, *, insist: bool) -> Outcome:
        home, journal = self._home, self._journal
        state, run = journal.state(), journal.run()
        kept = None if run is None else self._kept(run)
        if (run is not None or part_of(read(home.log))) and (home.own / UNFINISHED_PULSE).exists():
            return self._behind_pulse()
        if run is None:
            journal.sweep()
        if run is None or kept is None:
            size = part_of(read(home.log))
            if size == 0:
                if run is not None:
                    journal.end()
                return self._nothing(state)
            if waits(state.failing, time.time()) and not insist:
                return self._wait(state)
            self._look_after()
            run, policy = self._begin(run, size, state)
            kept = self._run(run, policy, state)
        else:
            self._look_after()
        return self._carry_out(run, kept, state)

    # -- nothing to do --------------------------------------------------------------------------------

    def _nothing(self, state: State) -> Outcome:
        """No runner; and no daemon, where the soul is as it was."""
        home = self._home
        gone = tidy(home, _stamp(), time.time())
        if state.owed:
            self._tell_costs(state)
        self._look_after()
        self._note("DREAM_OK" + _gone(gone))
        return Outcome(
            "ok", f"DREAM_OK {home.name}, nothing to consolidate", {"agent": home.name, "let_go": gone}
        )

    def _behind_pulse(self) -> Outcome:
        """What that one wrote into the log it looks for there, to write it once."""
        line = f"DREAM_WAITS {self._home.name}: a pulse was cut short, and `maw pulse` finishes it first"
        return Outcome("waits", line, {"agent": self._home.name})

    def _wait(self, state: State) -> Outcome:
        failing = state.failing
        assert failing is not None
        when = time.strftime("%d %b %H:%M", time.localtime(failing.until))
        line = (
            f"DREAM_WAITS {self._home.name}: {_in_a_row(failing.count)} failed ({failing.why}); tried again from"
            f" {when} on, or at once with --now"
        )
        self._note(f"DREAM_WAITS until {when}: {failing.why}")
        return Outcome("waits", line, {"agent": self._home.name, **asdict(failing)})

    def _look_after(self) -> None:
        home = self._home
        checked = look_after(home, self._door, self._tell)
        if not checked.sound:
            raise Refused(
                f"{home.name} does not dream: the soul {checked.fault}",
                code="bad_soul",
                hint=soul_hint(home),
            )

    # -- the runner -----------------------------------------------------------------------------------

    def _begin(self, run: Run | None, size: int, state: State) -> tuple[Run, str]:
        """What it is of is on the disk before the runner begins; of one that was cut short, what is there now."""
        home = self._home
        told = self._door().post("/api/dream", {}).body  # Refused: frozen, or its money is spent
        if run is None:
            run = Run(secrets.token_hex(6), unused_stamp(home, _stamp()), 0, "")
        elif run.tries >= TRIES:
            why = f"it was killed {run.tries} times while its runner ran: of memory, or by a time limit?"
            self._fail(state, why, None)
            self._journal.end()
            raise self._failed(state, why)
        run.size, run.hash = size, hash_of(read(home.log)[:size])
        run.tries += 1
        self._journal.keep(run)
        policy = told.get("policy")
        return run, "" if policy is None else str(policy["text"])

    def _run(self, run: Run, policy: str, state: State) -> runner.Ran:
        """Raises Unavailable where it failed; then memory is as it was."""
        home = self._home
        log = read(home.log)
        given = Given(
            agent=home.name,
            time=time.strftime("%Y-%m-%d %H:%M %Z"),
            soul=read(home.soul).decode("utf-8", "replace"),
            policy=policy,
            summary=read(home.summary).decode("utf-8", "replace"),
            log=log[: run.size].decode("utf-8", "replace"),
            left=len(log) - run.size,
        )
        env = dict(self._env) | {"MAW_AGENT": home.name, "MAW_AGENT_HOME": str(home.folder)}
        guarding.begin(home)
        try:
            ran = runner.run(
                home.dream.runner, prompt(given, secrets.token_hex(4)), cwd=home.folder, env=env,
                timeout_s=home.dream.timeout_s, answer=self._journal.answer(run),
            )  # fmt: skip
        except runner.Stopped:
            if self._kept(run) is None:
                self._journal.end()
            raise
        finally:
            self._guard()
        if ran.failure is not None:
            if ran.seconds:
                state.owed.append(_cost(run, ran))
            self._fail(state, f"{ran.failure.kind}: {ran.failure.why}", ran.failure.until)
            self._journal.end()
            self._tell_costs(state)
            raise self._failed(state, ran.failure.why)
        return ran

    def _guard(self) -> None:
        if (words := guarding.end(self._home)) is not None:
            self._tell(words)

    def _kept(self, run: Run) -> runner.Ran | None:
        path = self._journal.answer(run)
        try:
            return runner.kept(path)
        except (ValueError, KeyError, TypeError) as error:
            raise Conflict(
                f"{path}: cannot be read: {error}",
                code="bad_journal",
                hint="move it and dream.json beside it away, and dream again: the log is as it was",
            ) from None

    def _fail(self, state: State, why: str, until: float | None) -> None:
        state.failing = failed(state.failing, why, time.time(), until)
        self._journal.keep_state(state)
        self._note(f"DREAM_FAILED {why}")
        if (text := to_tell(state.failing)) is not None:
            with contextlib.suppress(MawError):  # it is told with the next failure
                self._door().post("/api/trouble", {"kind": "dream", "text": text[:400]})

    def _failed(self, state: State, why: str) -> Unavailable:
        assert state.failing is not None
        when = time.strftime("%d %b %H:%M", time.localtime(state.failing.until))
        return Unavailable(
            f"the dream of {self._home.name} failed: {why}",
            code="runner_failed",
            hint=f"its memory is as it was. It is tried again from {when} on, or at once with --now",
        )

    # -- carrying out ---------------------------------------------------------------------------------

    def _carry_out(self, run: Run, ran: runner.Ran, state: State) -> Outcome:
        home, journal = self._home, self._journal
        cost = _cost(run, ran)
        if cost not in state.owed:
            state.owed.append(cost)
        dreamt = self._read(run, ran, state)
        before = len(read(home.log))
        check_files(home)  # its runner may have made something else of them
        notes = consolidate(home, run, dreamt)
        after = len(read(home.log))
        if home.dream.change_soul and dreamt.soul is not None:
            look_after(home, self._door, self._tell)
        was_failing, state.failing = state.failing, None
        journal.keep_state(state)
        self._tell_costs(state)
        if was_failing is not None:
            with contextlib.suppress(MawError):
                self._door().post("/api/trouble", {"kind": "dream", "text": ""})
        gone = tidy(home, run.stamp, time.time())
        self._note(f"DREAM run={run.run} bytes={run.size} {ran.seconds:.1f}s" + _gone(gone), run.run)
        journal.end()
        line = (
            f"DREAM {home.name}: {run.size:,} bytes of the log are in the summary; log.md has {after:,} now"
        )
        line += "".join(f"\n  {note}" for note in notes)
        return Outcome(
            "dreamt",
            line,
            {
                "agent": home.name, "run": run.run, "consolidated_bytes": run.size, "log_bytes": [before, after],
                "dream": str(home.dreams / f"{run.stamp}.md"), "notes": notes, "let_go": gone,
                "runner_s": ran.seconds,
            },
        )  # fmt: skip

    def _read(self, run: Run, ran: runner.Ran, state: State) -> Dreamt:
        """Raises Unavailable for an answer that counts for nothing; it is kept for who wants to see why."""
        home = self._home
        try:
            dreamt = read_answer(ran.answer, read(home.summary).decode("utf-8", "replace"))
            # every later prompt begins with it, and who keeps the home in git keeps it for ever
            return dreamt._replace(summary=masked(dreamt.summary), dream=masked(dreamt.dream or "") or None)
        except ValueError as error:
            durable.write(home.own / "dream.refused", masked(ran.answer).encode("utf-8", "replace"))
            why = f"its answer counts for nothing: {error}"
        self._fail(state, why, None)
        self._journal.end()
        self._tell_costs(state)
        raise self._failed(state, f"{why} (it is in {home.own / 'dream.refused'})")

    def _tell_costs(self, state: State) -> None:
        """What the daemon does not take now is told another time, what it refuses never."""
        while state.owed:
            try:
                self._door().post("/api/costs", state.owed[0])
            except (BadInput, NotFound):  # an older daemon keeps no account
                pass
            except MawError:
                return
            del state.owed[0]
            self._journal.keep_state(state)

    def _note(self, words: str, mark: str | None = None) -> None:
        """A line in memory/pulse.log; with ``mark``, once."""
        path = self._home.pulse_log
        if mark is not None and mark.encode() in read(path)[-4096:]:
            return
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        line = f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} {words}".replace("\n", " ")
        handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(f"{line}\n".encode("utf-8", "replace"))


def _cost(run: Run, ran: runner.Ran) -> dict[str, Any]:
    """As ``POST /api/costs`` takes it: each try is counted by itself."""
    told: dict[str, Any] = {"run": f"dream-{run.run}-{run.tries}", "kind": "dream", "runner_s": ran.seconds}
    told |= {} if ran.usage is None else asdict(ran.usage)
    return {key: value for key, value in told.items() if value is not None}


def _in_a_row(count: int) -> str:
    return "the last dream" if count == 1 else f"{count} dreams in a row"


def _stamp() -> str:
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())


def _gone(names: list[str]) -> str:
    return f", {len(names)} files of the archive were let go" if names else ""
