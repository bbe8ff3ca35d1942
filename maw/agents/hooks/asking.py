"""What every hook asks the daemon: whether this session is an agent's, and what is new for it."""

from __future__ import annotations

from maw.agents.hooks.daemon import Daemon, find_socket, speaker_headers
from maw.agents.hooks.process import is_interactive, session_process

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, Final

    from maw.agents.hooks.told import Told

QUIET: Final = frozenset({"frozen", "no_agent", "no_speaker", "recovering", "stopping"})
"""Codes that are no fault: nothing is written down for them."""


class Refusal(Exception):
    """The daemon said no; ``code`` is its word for it."""

    def __init__(self, path: str, status: int, answer: Any) -> None:
        error = answer.get("error") if isinstance(answer, dict) else None
        error = error if isinstance(error, dict) else {}
        self.status = status
        self.code = str(error.get("code", status))
        super().__init__(f"{path} was refused: {self.code}: {error.get('message', '')}")


class Session:
    """The program that has hooks run, and the daemon that knows whether it is an agent."""

    __slots__ = ("daemon", "pid", "told")

    def __init__(self, told: Told, daemon: Daemon, pid: int) -> None:
        self.told, self.daemon, self.pid = told, daemon, pid

    def bind(self) -> dict[str, Any]:
        """Say which conversation this is: ``agent``, whose it is; ``bound`` is false where another program is that
        agent (this is `claude -p`, run by a tool of it), and ``why`` says so."""
        told = self.told
        answer = self.ask(
            "/api/session", {"session": told.session, "pid": self.pid, "transcript": told.transcript}
        )
        if not isinstance(answer, dict) or not isinstance(answer.get("bound"), bool):
            raise ValueError("/api/session did not say whose session this is")
        return answer

    def hear(self, via: str, *, wake: bool = False) -> dict[str, Any] | None:
        """What is new; None where nothing is. It is claimed: say `heard` once it was put in front of the agent."""
        found: dict[str, Any] | None = self.ask(
            "/api/hear", {"via": via, "wake": wake, "session": self.told.session}
        )
        return found

    def heard(self, claim: object) -> None:
        self.ask("/api/heard", {"claim": claim})

    def ask(self, path: str, body: Mapping[str, object]) -> Any:
        return checked(path, *self.daemon.ask(path, body))


def checked(path: str, status: int, answer: Any) -> Any:
    if status >= 400:
        raise Refusal(path, status, answer)
    return answer


def session(told: Told, env: Mapping[str, str], deadline: float) -> Session | None:
    """None where nobody in particular speaks, or there is no node here.

    A pane is its agent's, but not of every program that a tool starts in it: one without a terminal is not taken for
    it. $MAW_AGENT says it of any.
    """
    headers = speaker_headers(env)
    path = find_socket(env)
    if not headers or path is None or told.subagent:
        return None
    pid = session_process()
    if "X-Maw-Pane" in headers and not is_interactive(pid):
        return None
    return Session(told, Daemon(path, headers, deadline), pid)
