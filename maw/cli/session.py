"""Who speaks, and through which daemon: what most commands begin with."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from maw.client import calls
from maw.client.ancestry import agent_above
from maw.client.daemon import Daemon, find_daemon
from maw.client.pane import pane_of
from maw.core.names import check_name
from maw.errors import BadInput, NotFound, Refused

OWNER: Final = "~"
"""To the daemon: whoever calls, as himself."""


def speaking_daemon(as_name: str | None) -> Daemon:
    """The daemon, spoken to as --as, $MAW_AGENT, the agent whose tmux pane this is or, in a terminal, the owner.
    Raises BadInput when nobody is; in a pane, the daemon says so.

    A program that says nothing about who it is must not pass for the human whose account it runs in.
    """
    daemon = reading_daemon(as_name)
    if daemon.speaker is None and daemon.pane is None:
        raise BadInput(
            "who speaks? this is not a terminal, so maw does not take you for its owner",
            code="no_speaker",
            hint="--as NAME, or MAW_AGENT=NAME in the environment; `maw agent list` shows the names",
        )
    return daemon


def owning_daemon(as_name: str | None) -> Daemon:
    """The daemon, for what the owner of an account decides: he speaks where nobody is named, in a terminal or not.
    Whether it is for agents too, the daemon tells. Raises Refused for an agent's program that hides whose it is."""
    named = chosen_name(as_name)
    if named in (None, OWNER):
        refuse_hidden_agent()
    daemon = find_daemon(os.environ, os.geteuid(), named or OWNER)
    return daemon if named else replace(daemon, pane=pane_of(os.environ))


def refuse_hidden_agent() -> None:
    """Raises Refused where a program of an agent runs this command. In a terminal, a human is taken to sit."""
    if in_terminal() or (name := agent_above()) in (None, OWNER):
        return
    try:
        told = find_daemon(os.environ, os.geteuid(), name).do(calls.whoami())
    except (NotFound, BadInput):  # no agent of this host's
        return
    if told.get("role") == "ape":
        return
    raise Refused(
        f"only its owner says this, and {name} runs this command",
        code="not_human",
        hint="a human says it, in a shell that no agent began",
    )


def plain_daemon() -> Daemon:
    """The daemon, for what nobody in particular asks: $MAW_AGENT may name an agent that is yet to be made."""
    return find_daemon(os.environ, os.geteuid(), None)


def making_daemon(name: str) -> Daemon:
    """The daemon, for who makes an agent ``name``: an agent that does so (by $MAW_AGENT, or its pane) says who it is,
    for it is a birth. A human does it by hand; and $MAW_AGENT may name the agent that is yet to be made."""
    named = chosen_name(None)
    if named is None and not in_terminal():
        named = agent_above()  # it has dropped its name
    daemon = find_daemon(os.environ, os.geteuid(), None if named == name else named)
    return daemon if named else replace(daemon, pane=pane_of(os.environ))


def reading_daemon(as_name: str | None) -> Daemon:
    """The daemon, for what needs no speaker; one is named all the same where --as, $MAW_AGENT, the tmux pane or a
    terminal do. Whose a pane is, the daemon knows: an agent's pane comes before the terminal in it."""
    named = chosen_name(as_name)
    daemon = find_daemon(os.environ, os.geteuid(), named or (OWNER if in_terminal() else None))
    return daemon if named else replace(daemon, pane=pane_of(os.environ))


def how_known(as_name: str | None, me: Mapping[str, Any]) -> str:
    """Which of the rules named the speaker: ``this tmux pane, %3``."""
    if as_name is not None:
        return "--as"
    if os.environ.get("MAW_AGENT"):
        return "$MAW_AGENT"
    if me.get("pane"):
        return f"this tmux pane, {me['pane']}"
    return "this terminal"


def chosen_name(as_name: str | None) -> str | None:
    """--as, else $MAW_AGENT, else None; ``~`` is the human whose account it is. Raises BadInput on what cannot be
    an agent of this host."""
    source, name = ("--as", as_name) if as_name is not None else ("$MAW_AGENT", os.environ.get("MAW_AGENT"))
    if not name:
        return None
    if name == OWNER:
        return OWNER
    try:
        return check_name(name.removeprefix("@"))
    except BadInput as error:
        raise BadInput(f"{source}: {error.message}", hint=error.hint, code=error.code) from None


def confirm(question: str, yes: bool) -> None:
    """Asks whoever sits at a terminal; a script, or ``yes``, is not asked. Raises Refused unless it is a yes."""
    if yes or sys.stdin is None or not sys.stdin.isatty():
        return
    sys.stderr.write(f"{question} [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise Refused(
            "nothing was done", code="not_confirmed", hint="answer y, or say --yes and be asked nothing"
        )


def in_terminal() -> bool:
    return any(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stdout))
