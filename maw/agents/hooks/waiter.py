"""The hook in the background: it waits for what is worth waking an idle session, and ends with exit code 75 then.

The installed command makes 2 of it, upon which Claude Code shows its standard error to the model (``asyncRewake``).
One waiter a session: a newer one takes over from the one before. It ends with the program that it waits for, and
outlasts restarts of the daemon.
"""

from __future__ import annotations

import os
import signal
import sys
import time

from maw.agents.hooks import asking, notes
from maw.agents.hooks.asking import Refusal
from maw.agents.hooks.daemon import NoAnswer
from maw.agents.hooks.process import Watch, is_interactive

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, Final

    from maw.agents.hooks.asking import Session
    from maw.agents.hooks.told import Told

WAKE: Final = 75
"""No other end of any maw has it: wrong words end with 2 too, and would wake a session again and again for nothing."""
IDLE: Final = ("StopFailure", "Notification")
"""At these the session does nothing any more, and no other hook of ours says so."""
POLL_S: Final = 50
"""How long the daemon is asked to wait; it is asked again then."""
ANSWER_S: Final = 10.0
"""For an answer that needs no waiting."""
BEHIND_S: Final = 0.3
"""The hook that Claude Code waits for at the same event goes first: it marks the session as busy or idle."""
LEAST_S: Final = 0.2
"""Between two questions, however soon the first is answered."""
LOOK_S: Final = 2.0
"""How often it is looked whether a busy session still is."""
AWAY_S: Final = (0.2, 5.0)
"""Between two tries while the daemon is away: at first, and at most."""
REFUSED_S: Final = 10.0
"""After a refusal that ends some day: a freeze, or a pane that nobody has adopted yet."""


def run(told: Told, env: Mapping[str, str]) -> int:
    """Until there is something worth waking for (75), or nobody to wait for (0)."""
    session = asking.session(told, env, 0.0)
    if session is None or not is_interactive(session.pid):
        return 0
    watch = Watch(session.pid)
    signal.signal(signal.SIGTERM, _end)
    if not notes.Turn(env, session.pid).take():
        return 0
    notes.sweep(env)
    busy = notes.Busy(env, session.pid)
    if told.event in IDLE:
        busy.clear()
    else:
        watch.wait(None, BEHIND_S)
    return _wait(session, watch, busy, env)


def _wait(session: Session, watch: Watch, busy: notes.Busy, env: Mapping[str, str]) -> int:
    pause, bound = AWAY_S[0], False
    while not watch.ended():
        if (left := busy.left()) > 0:
            watch.wait(None, min(left, LOOK_S))
            continue
        try:
            if not bound:
                session.daemon.deadline = time.monotonic() + ANSWER_S
                if not session.bind()["bound"]:
                    return 0
                bound = True
            found = _poll(session, watch)
            pause = AWAY_S[0]
            if found is not None:
                return _wake(session, found, env)
            if "x-maw-replaced" in session.daemon.fields:
                return 0
            watch.wait(None, LEAST_S)
        except NoAnswer as error:
            session.daemon.close()
            if not error.refused:
                notes.log(env, f"waiter: {error}")
            bound, pause = False, min(pause * 1.6, AWAY_S[1])
            watch.wait(None, pause)
        except Refusal as refusal:
            session.daemon.close()
            if refusal.status != 503 and refusal.code not in asking.QUIET:
                raise
            bound = False
            watch.wait(None, AWAY_S[1] if refusal.status == 503 else REFUSED_S)
    return 0


def _poll(session: Session, watch: Watch) -> dict[str, Any] | None:
    """One long poll; None where nothing came, or there is nobody any more to tell it to."""
    daemon, path = session.daemon, "/api/hear"
    daemon.deadline = time.monotonic() + POLL_S + ANSWER_S
    body = {"via": "rewake", "wake": True, "wait": POLL_S, "session": session.told.session}
    line = daemon.send(path, body)
    came = watch.wait(line, POLL_S + ANSWER_S)
    if came == "ended":
        daemon.close()
        return None
    # from here on a newer waiter has to wait: what was claimed is told, or let go
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    answer: dict[str, Any] | None = None
    try:
        answer = asking.checked(path, *daemon.receive())
    finally:
        if answer is None:
            signal.signal(signal.SIGTERM, _end)
    return answer


def _wake(session: Session, found: Mapping[str, Any], env: Mapping[str, str]) -> int:
    sys.stderr.buffer.write(f"{found['text']}\n".encode(errors="replace"))  # whatever the locale says
    sys.stderr.flush()
    try:
        session.daemon.deadline = time.monotonic() + ANSWER_S
        session.heard(found["claim"])
    except (NoAnswer, Refusal) as error:
        notes.log(env, f"waiter: said, and not confirmed: {error}")  # it is announced once more
    return WAKE


def _end(*_: object) -> None:
    os._exit(0)
