"""Agents' programs hear of messages by themselves: hook, hook install, hook remove."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from maw.agents.installing import changing, claude, settings, targets, trying
from maw.agents.installing.changing import Change
from maw.agents.installing.record import Record
from maw.agents.installing.targets import KINDS, Target
from maw.cli.groups import command_group
from maw.cli.output import Output, note
from maw.cli.params import Json
from maw.cli.session import chosen_name
from maw.client import calls
from maw.client.daemon import find_daemon
from maw.client.pane import pane_of
from maw.core.text import shown
from maw.errors import MawError
from maw.ops.service import this_command

hook_group = command_group("Have Claude Code hear of messages by itself, and teach agents to use maw.")

What = Annotated[
    str,
    typer.Argument(
        metavar="|".join(KINDS),
        help="Claude Code's hooks; a skill that teaches it maw; a few lines in AGENTS.md for other programs.",
    ),
]
User = Annotated[bool, typer.Option("--user", help="For all that you run; so if nothing is said.")]
Project = Annotated[
    str | None, typer.Option("--project", metavar="DIR", help="For whoever works in this folder.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Change nothing; show what would be changed.")]

_NEXT: Final = {
    "claude": "running sessions take it up by themselves, or when they are started again; `maw hook` tells whether it "
    "works, `maw hook install skill` teaches the agent to use maw",
    "skill": "a session that is started from now on knows it",
    "agents-md": "a session that is started from now on reads it",
}


@hook_group.callback(invoke_without_command=True)
def hook(ctx: typer.Context, as_json: Json = False) -> int | None:
    """What is installed where, and whether it works."""
    return _status(as_json) if ctx.invoked_subcommand is None else None


@hook_group.command("install")
def install(
    what: What,
    user: User = False,
    project: Project = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> int:
    """Put it there, or bring it up to date. All that is not maw's stays byte for byte; `maw hook remove` undoes it."""
    waiting = True
    if what == "claude":
        version = claude.version_of_claude()
        waiting = version is None or version >= claude.WAKES_SINCE
        if not waiting:
            since = ".".join(map(str, claude.WAKES_SINCE))
            note(
                f"this Claude Code is older than {since}: idle sessions are not woken by it, until you update it"
            )
    goal = _target(what, user, project, waiting)
    record = Record.read(os.environ)
    change = changing.installing(goal.piece, goal.path, goal.within, record)
    return _carry_out(change, record, dry_run, as_json, done="installed", next_=_NEXT[what])


@hook_group.command("remove")
def remove(
    what: What,
    user: User = False,
    project: Project = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> int:
    """Take it out again: what was there before comes back, where nobody edited the file since."""
    goal = _target(what, user, project)
    record = Record.read(os.environ)
    change = changing.removing(goal.piece, goal.path, goal.within, record)
    return _carry_out(change, record, dry_run, as_json, done="removed", next_="")


@hook_group.command("run", hidden=True)
def run(word: Annotated[str, typer.Argument(metavar="EVENT")]) -> int:
    """What is installed runs this at its events."""
    from maw.agents.hooks.run import main

    return main([word])


def _target(what: str, user: bool, project: str | None, waiting: bool = True) -> Target:
    if user and project is not None:
        raise typer.BadParameter("--user and --project exclude each other")
    folder = None if project is None else Path(project)
    return targets.target(what, os.environ, str(this_command()), project=folder, waiting=waiting)


def _carry_out(change: Change, record: Record, dry_run: bool, as_json: bool, *, done: str, next_: str) -> int:
    out = Output.to_stdout(as_json)
    changed = not change.is_none
    if not dry_run:
        changing.carry_out(change, record)
    if out.as_json:
        out.json({"path": str(change.path), "changed": changed, "dry_run": dry_run, "diff": change.diff()})
        return 0
    path = shown(str(change.path))
    if not changed:
        out.line(f"nothing to do: {path} is as it should be")
    elif dry_run:
        for line in change.diff().splitlines():
            out.line(shown(line))
    else:
        out.line(f"{done}: {path}" + (" (the file is gone again)" if change.new is None else ""))
        if next_:
            out.line(f"next: {next_}")
    return 0


def _status(as_json: bool) -> int:
    """Exit 1 where nothing is installed."""
    out = Output.to_stdout(as_json)
    places = _places()
    tried: dict[str, trying.Tried] = {}
    for place in places:
        for command in place["commands"][:1]:
            tried.setdefault(command, trying.try_hook(command, os.environ))
    obstacles = claude.obstacles({one["path"]: one["text"] for one in places if one["kind"] == "claude"})
    told = [
        {"kind": one["kind"], "path": one["path"], "state": one["state"], "trouble": one["trouble"]}
        for one in places
    ]
    who = _who()
    if out.as_json:
        runs = [
            {"command": command, "ms": round(one.ms, 1), "trouble": one.trouble}
            for command, one in tried.items()
        ]
        out.json({"installed": told, "runs": runs, "obstacles": obstacles, "here": who})
    else:
        _tell(out, told, tried, obstacles)
        out.line(f"a session that is started here {_hears(who)}")
    return 0 if any(one["state"] != "not installed" for one in told) else 1


def _tell(
    out: Output, told: list[dict[str, Any]], tried: dict[str, trying.Tried], obstacles: list[str]
) -> None:
    out.table(
        ("what", "state", "file"),
        [(one["kind"], one["trouble"] or one["state"], shown(one["path"])) for one in told],
    )
    for command, one in tried.items():
        if one.trouble:
            out.line(f"{out.style('it does not work', 'red')}: {shown(command)}: {shown(one.trouble)}")
        else:
            out.line(f"it runs, in {one.ms:.0f} ms: {shown(command)}")
    for obstacle in obstacles:
        out.line(f"{out.style('nothing will be heard', 'red')}: {shown(obstacle)}")
    if all(one["state"] == "not installed" for one in told):
        out.line("next: maw hook install claude")


def _who() -> dict[str, str]:
    """As whom a session that is started in this shell would hear: ``agent``, or the ``trouble`` with it."""
    try:
        name, pane = chosen_name(None), pane_of(os.environ)
        daemon = replace(find_daemon(os.environ, os.geteuid(), name), pane=None if name else pane)
        if name is None and pane is None:
            return {"trouble": "its environment has no MAW_AGENT, and it is in no tmux pane"}
        agent = daemon.do(calls.whoami()).get("agent")
    except MawError as error:
        return {"trouble": error.message}
    return {"agent": agent} if agent else {"trouble": "its tmux pane is no agent's: `maw agent adopt`"}


def _hears(who: dict[str, str]) -> str:
    if "agent" in who:
        return f"hears as {shown(who['agent'])}"
    return f"hears nothing: {shown(who['trouble'])}"


def _places() -> list[dict[str, Any]]:
    """The user's own files, those of this folder, and all where something was installed."""
    command = str(this_command())
    record = Record.read(os.environ)
    here = Path.cwd()
    seen: dict[Path, tuple[Target, bool]] = {}
    for kind in KINDS:
        goal = targets.target(kind, os.environ, command)
        seen[goal.path] = (goal, True)
        own = targets.target(kind, os.environ, command, project=here)
        seen.setdefault(own.path, (own, False))
    for where, entry in record.entries.items():
        goal = targets.target(entry.kind, os.environ, command)
        seen.setdefault(Path(where), (Target(goal.piece, Path(where), Path(where).parent), True))
    found = [_place(goal, always) for goal, always in seen.values()]
    return [one for one in found if one is not None]


def _place(goal: Target, always: bool) -> dict[str, Any] | None:
    """One file's state; None where there is nothing to say of it."""
    from maw.agents.installing.files import look

    told: dict[str, Any] = {"kind": goal.piece.kind, "path": str(goal.path), "trouble": "", "text": None}
    told |= {"state": "not installed", "commands": []}
    try:
        text = look(goal.path, goal.within).text
        told["text"] = text
        if text is not None and goal.piece.is_there(text):
            told["state"] = "installed" if goal.piece.is_current(text) else "of another version of maw"
            if goal.piece.kind == "claude":
                handlers = [one for own in settings.ours(text).values() for one in own]
                told["commands"] = [one["command"] for one in handlers if one["command"].endswith("|| true")]
    except MawError as error:
        told["trouble"] = error.message
    return told if always or told["trouble"] or told["state"] != "not installed" else None
