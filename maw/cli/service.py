"""Keeping the node running, and agents pulsing: service install, service remove."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from maw.cli.groups import command_group
from maw.cli.output import Output
from maw.cli.params import Json
from maw.config import load_config
from maw.errors import BadInput, Unavailable
from maw.home import find_home
from maw.ops import service
from maw.ops.machine import Machine
from maw.ops.timer import Nightly

service_group = command_group("Keep the node running: systemd (system or user), or PM2.")

Manager = Annotated[
    str | None,
    typer.Option(
        "--manager", metavar="systemd|systemd-user|pm2", help="Which one; the first there is if left out."
    ),
]
Pulses = Annotated[
    list[str] | None,
    typer.Option(
        "--pulse", metavar="AGENT", help="The timer of this agent's pulse; several times for several."
    ),
]
Dreams = Annotated[
    list[str] | None,
    typer.Option(
        "--dream", metavar="AGENT", help="The timer of this agent's dream; several times for several."
    ),
]


@service_group.command("install")
def install(
    manager: Manager = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Put a unit of that name that is not maw's aside.")
    ] = False,
    no_backup: Annotated[
        bool, typer.Option("--no-backup", help="No backup every night: see `maw backup`.")
    ] = False,
    keep: Annotated[
        list[str] | None,
        typer.Option(
            "--keep", metavar="USER", help="A service of the whole host: keep this user's agents running too."
        ),
    ] = None,
    pulse: Pulses = None,
    dream: Dreams = None,
    user: Annotated[
        str | None,
        typer.Option(
            "--user", metavar="USER", help="With --pulse, --dream: the Unix user the agent runs as."
        ),
    ] = None,
    folder: Annotated[
        str | None, typer.Option("--dir", metavar="HOME", help="The agent's home; else ~/agents/NAME.")
    ] = None,
    every: Annotated[
        str | None, typer.Option("--every", metavar="TIME", help="How often it pulses; 30m if left out.")
    ] = None,
    dream_every: Annotated[
        str | None, typer.Option("--dream-every", metavar="TIME", help="How often it dreams; 4h if left out.")
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="With --pulse, --dream: show what would be written and run; change nothing."
        ),
    ] = False,
    as_json: Json = False,
) -> int:
    """Start the node now and at every boot; again, to bring the unit up to date. Says how to undo it.

    With --pulse or --dream: instead, an agent's timer. systemd runs it from then on, and after each boot.
    """
    if pulse or dream:
        if keep or no_backup:
            raise BadInput("--pulse and --dream make an agent's timers: no --keep or --no-backup beside them")
        from maw.cli import service_timers  # the daemon's service needs none of it

        report = service_timers.install(
            Machine.here(), pulse or (), dream or (), user=user, folder=folder, every=every,
            dream_every=dream_every, manager=manager, replace=replace, dry_run=dry_run,
        )  # fmt: skip
        return _tell(Output.to_stdout(as_json), report, dry_run)
    if dry_run:
        raise BadInput("--dry-run is for agents' timers: say --pulse NAME or --dream NAME beside it")
    for option, value in {
        "--user": user,
        "--dir": folder,
        "--every": every,
        "--dream-every": dream_every,
    }.items():
        if value is not None:
            raise BadInput(f"{option}: whose timer? say --pulse NAME or --dream NAME beside it")
    home = find_home(os.environ, os.geteuid())
    config = load_config(home.path / "maw.toml")
    report = service.install(
        Machine.here(),
        home=home.path,
        command=service.this_command(),
        manager=manager,
        group=config.socket.group,
        replace=replace,
        nightly=None if no_backup else Nightly(config.backup.directory),
        keep=keep or _whoever_asked(os.environ),
    )
    return _tell(Output.to_stdout(as_json), report)


@service_group.command("remove")
def remove(manager: Manager = None, pulse: Pulses = None, dream: Dreams = None, as_json: Json = False) -> int:
    """Stop the service and undo what install did. The node's directory stays.

    With --pulse or --dream: instead, an agent's timer; a run that is under way is ended.
    """
    from maw.cli import service_timers

    if pulse or dream:
        report = service_timers.remove(Machine.here(), pulse or (), dream or (), manager)
        return _tell(Output.to_stdout(as_json), report)
    home = find_home(os.environ, os.geteuid())
    report = service.remove(Machine.here(), home=home.path, manager=manager)
    report = service_timers.left_behind(Machine.here(), report)
    return _tell(Output.to_stdout(as_json), report)


def _whoever_asked(env: Mapping[str, str]) -> list[str]:
    """Behind sudo, for a service of the whole host: whose agents these are, most likely. None elsewhere."""
    user = env.get("SUDO_USER", "")
    return [user] if os.geteuid() == 0 and user not in ("", "root") else []


def _tell(out: Output, report: Any, dry_run: bool = False) -> int:
    """Each step with whether it worked, what is left to do, how to undo it. 6 when a step failed."""
    if out.as_json:
        out.json({**_plain(report), **({"dry_run": True} if dry_run else {})})
    else:
        for step in report.steps:
            done = out.style("to do", "yellow") if dry_run else out.style("done", "green")
            mark = done if step.ok else out.style("FAILED", "red")
            out.line(f"{mark}  {step.text}" + (f"   (undo: {step.undo})" if step.undo else ""))
        for hint in report.hints:
            out.line(f"next: {hint}")
        if dry_run:
            out.line("nothing was changed")
        elif report.undo:
            out.line(f"undo: {report.undo}")
    return 0 if report.ok else Unavailable.exit_code


def _plain(report: Any) -> dict[str, object]:
    return {
        "ok": report.ok,
        "manager": report.manager.value,
        "unit": str(report.unit),
        "home": str(report.home),
        "steps": [{"text": step.text, "ok": step.ok, "undo": step.undo} for step in report.steps],
        "hints": list(report.hints),
        "undo": report.undo,
    }
