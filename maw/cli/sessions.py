"""Agents in tmux sessions: adopt, start, stop, respawn, attach, peek.

What looks at tmux and processes is imported when it is used: it takes longer than most commands.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from maw.cli import completing
from maw.cli.agents import OwnAgent, agent_group
from maw.cli.homes import home  # noqa: F401 - is added to the group
from maw.cli.output import Output, note, words
from maw.cli.params import Json
from maw.cli.plans import acting_here
from maw.client import calls
from maw.core.names import check_name
from maw.core.text import shown
from maw.errors import BadInput, Conflict, MawError, NotFound

if TYPE_CHECKING:
    from maw.agents.acting import Acting
    from maw.agents.adopt import Candidate, Known

LAST_WORDS: Final = 50

Names = Annotated[list[str] | None, typer.Argument(metavar="[NAME…]", autocompletion=completing.own_agents)]
EveryOne = Annotated[bool, typer.Option("--all", help="All of yours in the roster.")]


@agent_group.command("adopt")
def adopt(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="One of those that are listed.")
    ] = None,
    everyone: Annotated[bool, typer.Option("--all", help="Take all that are listed.")] = False,
    called: Annotated[str | None, typer.Option("--as", metavar="NAME", help="Call it so.")] = None,
    session: Annotated[
        str | None, typer.Option("--session", metavar="S", help="The one in this tmux session.")
    ] = None,
    program: Annotated[
        list[str] | None,
        typer.Option(
            "--program", metavar="NAME", help="This program is an agent too; several times for several."
        ),
    ] = None,
    socket: Annotated[
        list[str] | None,
        typer.Option(
            "--socket", metavar="PATH", help="Look at this tmux server only; several times for several."
        ),
    ] = None,
    as_json: Json = False,
) -> int:
    """Take tmux sessions that run agents into the roster, as they run; without NAME or --all, list them."""
    from maw.agents.adopt import choose, find
    from maw.agents.running import Host

    out = Output.to_stdout(as_json)
    if everyone and (name or called or session):
        raise BadInput("--all takes every one: no NAME, --as or --session beside it")
    acting = acting_here()
    known = _known(acting)
    found, silent = find(Host.here(), known, program or (), socket or ())
    for server, why in silent.items():
        note(f"{shown(server)} was not looked at: {shown(why)}")
    if not everyone and name is None and session is None:
        return _list(out, found)
    wanted = [one for one in found if not one.taken] if everyone else [choose(found, name, session)]
    if not wanted:
        return out.nothing("nobody left to take: `maw agent list`")
    taken, problems = [], 0
    for one in wanted:
        try:
            taken.append(_take(acting, known, one, called or one.name, single=not everyone))
        except MawError as error:
            if not everyone:
                raise
            problems = error.exit_code
            note(f"{shown(one.pane.session)} was not taken: {shown(error.message)}")
    if out.as_json:
        out.json(taken)
    else:
        for told in taken:
            out.line(_told(told))
        _offer_hooks(taken)
    return problems


def _offer_hooks(taken: list[dict[str, Any]]) -> None:
    """How sessions of Claude Code hear by themselves, where they do not yet."""
    if not any(told["kind"] == "claude" for told in taken):
        return
    from maw.agents.installing.claude import hears  # only where there is such a session

    if not hears(os.environ):
        note("next: `maw hook install claude` has them hear by themselves")


def _known(acting: Acting) -> Known:
    from maw.agents.adopt import known_here
    from maw.agents.entries import entries

    return known_here(acting.daemon.do(calls.users()), entries(acting.daemon), acting.host.uid)


def _take(acting: Acting, known: Known, one: Candidate, name: str, *, single: bool) -> dict[str, Any]:
    from maw.agents.adopt import clash, take

    clean = check_name(name) if name else ""
    why = one.clash if clean == one.name else clash(clean, known)
    if why:
        hint = (
            "maw agent adopt NAME --as ANOTHER"
            if single
            else f"maw agent adopt --session {one.pane.session} --as ANOTHER"
        )
        raise Conflict(
            f"{shown(one.pane.session)} cannot be {clean or 'taken'}: {why}", code="name_taken", hint=hint
        )
    if clean not in known.own:
        acting.daemon.post("/api/users", {"username": clean, "role": "agent"})
    entry = take(acting.daemon, acting.host, acting.node, one, clean)
    acting.tell(entry, acting.look(entry), "alive")
    return {**one.as_json(), "name": clean, "agent": clean, "begins_in": entry.session}


def _told(told: dict[str, Any]) -> str:
    line = f"{words(told['agent'])} · {words(told['kind'])} in session {words(told['session'])}, {words(told['pane'])}"
    if told["begins_in"] != told["session"]:
        line = f"{line} (begun anew: in a session of its own, {words(told['begins_in'])})"
    if told["conversation"]:
        return f"{line} · conversation {words(told['conversation'])}"
    return f"{line} · its conversation is not known yet: its hooks tell it, or maw agent set NAME conversation=ID"


def _list(out: Output, found: list[Candidate]) -> int:
    if out.as_json:
        out.json([one.as_json() for one in found])
    elif found:
        out.table(
            ["name", "kind", "session", "pane", "conversation", "folder", ""],
            [
                [
                    one.name or "–",
                    one.kind,
                    one.pane.session,
                    one.pane.place.pane,
                    one.conversation.session[:8] if one.conversation else "?",
                    one.cwd or "?",
                    "adopted" if one.taken else one.clash,
                ]
                for one in found
            ],
        )
        if out.width is not None and any(not one.taken for one in found):
            note("next: maw agent adopt NAME, or --all")
    return (
        0
        if found
        else out.nothing("no tmux session of yours runs an agent; --program NAME for another program")
    )


@agent_group.command("start")
def start(names: Names = None, everyone: EveryOne = False, as_json: Json = False) -> int:
    """Start agents of the roster, each with its conversation; they are kept running from now on."""

    def act(acting: Acting, name: str) -> str:
        entry, began = acting.start(name)
        return f"started in session {words(entry.session)}" if began else "runs already"

    return _each(names, everyone, act, as_json)


@agent_group.command("stop")
def stop(names: Names = None, everyone: EveryOne = False, as_json: Json = False) -> int:
    """Stop agents; they stay stopped. The conversation is kept."""
    return _each(
        names, everyone, lambda acting, name: "stopped" if acting.stop(name) else "did not run", as_json
    )


@agent_group.command("respawn")
def respawn(names: Names = None, everyone: EveryOne = False, as_json: Json = False) -> int:
    """End agents and start them anew in their panes, each with its conversation."""

    def act(acting: Acting, name: str) -> str:
        return f"respawned in session {words(acting.respawn(name).session)}"

    return _each(names, everyone, act, as_json)


@agent_group.command("attach")
def attach(name: OwnAgent) -> None:
    """Look at an agent's tmux session; in tmux, go there."""
    from maw.agents.tmux import Server

    pane = _pane_of(name)
    server = Server(pane.place.socket)
    inside = os.environ.get("TMUX", "").rsplit(",", 2)[0] == pane.place.socket
    if inside:
        server.must("switch-client", "-t", pane.place.pane)
        return
    server.must("select-window", "-t", pane.place.pane, ";", "select-pane", "-t", pane.place.pane)
    env = {key: value for key, value in os.environ.items() if key not in ("TMUX", "TMUX_PANE")}
    os.execvpe("tmux", ["tmux", "-u", "-S", server.path, "attach-session", "-t", pane.place.pane], env)  # noqa: S606


@agent_group.command("peek")
def peek(
    name: OwnAgent,
    lines: Annotated[
        int, typer.Option("--lines", metavar="N", help="So many lines above its screen too.")
    ] = 0,
    as_json: Json = False,
) -> None:
    """What is on an agent's screen, or was when it ended."""
    from maw.agents.tmux import Server

    out = Output.to_stdout(as_json)
    if lines < 0:
        raise BadInput("--lines: not below 0")
    pane = _pane_of(name)
    # what tmux writes below a program that ended pushes its last words off the screen
    text = Server(pane.place.socket).capture(pane.place.pane, max(lines, LAST_WORDS) if pane.dead else lines)
    while text and pane.dead and not text[0].strip():
        text.pop(0)
    while text and not text[-1].strip():
        text.pop()
    if out.as_json:
        out.json({"name": check_name(name), "session": pane.session, "pane": pane.place.pane, "lines": text})
        return
    for line in text:
        out.line(shown(line))


def _pane_of(name: str) -> Any:
    from maw.agents.entries import entry

    acting = acting_here()
    one = entry(acting.daemon, check_name(name))
    at = acting.look(one)
    if at.pane is None:
        raise NotFound(
            f"{one.name} has no pane now" + (f": {at.unsure}" if at.unsure else ""),
            code="no_pane",
            hint=f"`maw agent start {one.name}` starts it",
        )
    return at.pane


def _each(names: list[str] | None, everyone: bool, act: Any, as_json: bool) -> int:
    """Each of the agents named, or all; one's trouble keeps no other. The exit code of the last trouble."""
    from maw.agents.entries import entries

    out = Output.to_stdout(as_json)
    acting = acting_here()
    if everyone == bool(names):
        raise BadInput("which? give their names, or --all")
    chosen = [check_name(name) for name in names or ()]
    if everyone:
        chosen = [one.name for one in entries(acting.daemon) if one.uid == acting.host.uid]
    done, code = [], 0
    for name in chosen:
        try:
            done.append({"name": name, "ok": True, "text": act(acting, name)})
        except MawError as error:
            if len(chosen) == 1:
                raise
            code = error.exit_code
            done.append({"name": name, "ok": False, "text": error.message})
    if out.as_json:
        out.json(done)
    for one in () if out.as_json else done:
        out.line(
            f"{one['name']} {one['text'] if one['ok'] else out.style('FAILED: ' + shown(str(one['text'])), 'red')}"
        )
    return code if done else out.nothing("nobody is in the roster")
