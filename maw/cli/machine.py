"""The machine under the agents: what it has left, who takes how much, what its giver allows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final

import typer

from maw.cli import completing
from maw.cli.groups import command_group
from maw.cli.output import Output, parse_time, size, span_since, words
from maw.cli.params import As, Json
from maw.cli.session import owning_daemon, plain_daemon
from maw.core.names import check_name

Record = Mapping[str, Any]

SHOWN: Final = 10
"""Folders and session logs that a person is shown; --json gives all."""

host_group = command_group(
    "This machine: memory, load, disk, what agents take of it, and its giver's limits."
)


@host_group.callback(invoke_without_command=True)
def host(ctx: typer.Context, as_json: Json = False) -> None:
    """This machine: memory, load, disk, what agents take of it, and its giver's limits."""
    if ctx.invoked_subcommand is None:
        _show(Output.to_stdout(as_json), plain_daemon().get("/api/host").body)


@host_group.command("pause")
def pause(
    agent: Annotated[
        str | None,
        typer.Argument(
            metavar="[AGENT]", help="This one; all if left out.", autocompletion=completing.own_agents
        ),
    ] = None,
    *,
    why: Annotated[str, typer.Option("--why", metavar="TEXT", help="What agents and their owners are told.")],
    as_json: Json = False,
) -> None:
    """Let no agent (or not this one) run on this machine until `maw host resume`. Conversations and mail stay."""
    out = Output.to_stdout(as_json)
    told = plain_daemon().post("/api/host/pause", {"why": why, **_only(agent)}).body
    if out.as_json:
        out.json(told)
    elif agent is not None:
        out.line(f"{words(agent)} does not run on {words(told['name'])} until it is resumed: {words(why)}")
    else:
        out.line(f"{words(told['name'])} is paused: {words(told['paused'])}")


@host_group.command("resume")
def resume(
    agent: Annotated[
        str | None,
        typer.Argument(
            metavar="[AGENT]", help="This one; all if left out.", autocompletion=completing.own_agents
        ),
    ] = None,
    as_name: As = None,
    as_json: Json = False,
) -> None:
    """Let agents run again: those that a pause stopped come back with their conversations."""
    out = Output.to_stdout(as_json)
    told = owning_daemon(as_name).post("/api/host/resume", _only(agent)).body
    if out.as_json:
        out.json(told)
    else:
        out.line(f"{words(told['name'])} takes {'agents' if agent is None else words(agent)} again")


def _only(agent: str | None) -> dict[str, str]:
    return {} if agent is None else {"agent": check_name(agent.removeprefix("@"))}


def _show(out: Output, told: Record) -> None:
    if out.as_json:
        out.json(told)
        return
    for name, value in _facts(out, told):
        out.line(f"{out.style(name.ljust(9), 'dim')} {value}")
    agents = told.get("agents") or ()
    if agents:
        out.line()
        out.table(
            ["agent", "memory", "a day", "processes", "up", "note"], [_agent(one, told) for one in agents]
        )
    _largest(out, "session logs", told.get("session_logs") or (), _log)
    _largest(out, "folders", told.get("folders") or (), _folder)


def _facts(out: Output, told: Record) -> list[tuple[str, str]]:
    available, memory = told.get("memory_available_bytes"), told.get("memory_bytes")
    left = (
        "" if told.get("days_left") is None else f" · lasts {told['days_left']:g} d if all go on as they do"
    )
    fit = "" if told.get("more_fit") is None else f" · {told['more_fit']} more agents fit"
    facts = [
        ("host", words(told.get("name"))),
        ("load", f"{words(told.get('load'))} on {words(told.get('cpus'))} cores"),
        ("memory", f"{size(available)} of {size(memory)} left{left}{fit}"),
        ("disk", f"{size(told.get('disk_free_bytes'))} free"),
        ("limits", _limits(told.get("limits") or {})),
    ]
    if told.get("swap_used_bytes"):
        facts.append(("swap", f"{size(told['swap_used_bytes'])} used"))
    if told.get("paused"):
        facts.append(("paused", out.style(words(told["paused"]), "yellow")))
    return facts


def _limits(limits: Record) -> str:
    said = [
        f"{limits['agents']} agents" if limits.get("agents") else "",
        f"{size(limits['memory_mib'] * 1024 * 1024)} together" if limits.get("memory_mib") else "",
        words(limits["hours"]) if limits.get("hours") else "",
    ]
    return " · ".join(one for one in said if one) or "none ([host] in maw.toml)"


def _agent(one: Record, told: Record) -> list[str]:
    name = words(one.get("agent"))
    per_day = one.get("per_day_bytes")
    grown = "–" if per_day is None else f"{'-' if per_day < 0 else '+'}{size(abs(per_day))}"
    note = (told.get("refused") or {}).get(one.get("agent")) or ("leaks" if one.get("leaking") else "")
    since = parse_time(one.get("since"))
    return [
        name,
        size(one.get("memory_bytes")),
        grown,
        words(one.get("processes")),
        "–" if since is None else span_since(since),
        words(note) if note else "",
    ]


def _largest(out: Output, what: str, found: Sequence[Record], row: Any) -> None:
    if found:
        out.line()
        out.table(["size", what], [row(one) for one in found[:SHOWN]])


def _log(one: Record) -> list[str]:
    whose = f"{words(one['agent'])} · " if one.get("agent") else ""
    many = f" · {one['files']} files, largest {size(one['largest_bytes'])}"
    return [size(one.get("bytes")), f"{whose}{words(one.get('path'))}{many}"]


def _folder(one: Record) -> list[str]:
    return [size(one.get("bytes")), words(one.get("path"))]
