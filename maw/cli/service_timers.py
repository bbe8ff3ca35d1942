"""The timers of agents, as `maw service` has them: whose, as which Unix user, how often."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable
from pathlib import Path

from maw.cli.params import duration
from maw.client.daemon import find_daemon, segment
from maw.core.names import check_name
from maw.core.period import check_period, spoken
from maw.errors import BadInput, MawError, NotFound
from maw.home import find_home
from maw.ops import agent_timers, agent_toml, service
from maw.ops.agent_timers import AgentTimer, Kind
from maw.ops.machine import Machine
from maw.ops.report import ServiceReport, Step


def install(
    machine: Machine, pulses: Iterable[str], dreams: Iterable[str], *,
    user: str | None, folder: str | None, every: str | None, dream_every: str | None,
    manager: str | None, replace: bool, dry_run: bool = False,
) -> ServiceReport:  # fmt: skip
    which = wanted(pulses, dreams)
    if folder is not None and len({name for _, name in which}) > 1:
        raise BadInput("--dir is one agent's home: install the others by themselves")
    given = {Kind.PULSE: (every, "--every"), Kind.DREAM: (dream_every, "--dream-every")}
    often = {
        kind: kind.every_s if text is None else check_period(duration(text, option), option)
        for kind, (text, option) in given.items()
    }
    timers = [_timer(machine, kind, name, user, folder, often[kind]) for kind, name in which]
    node, command = find_home(machine.environment, machine.euid).path, service.this_command()
    chosen = agent_timers.choose(machine, manager, timers, home=node, command=command)
    report = agent_timers.install(
        machine, chosen, timers, home=node, command=command, replace=replace, dry_run=dry_run
    )
    if dry_run:
        return report
    often_told = {one.agent: one.every_s for one in timers if one.kind is Kind.PULSE}
    return _announced(machine, report, often_told)


def remove(
    machine: Machine, pulses: Iterable[str], dreams: Iterable[str], manager: str | None
) -> ServiceReport:
    which = wanted(pulses, dreams)
    node = find_home(machine.environment, machine.euid).path
    chosen = agent_timers.find(machine, which, manager, home=node)
    report = agent_timers.remove(machine, chosen, which, home=node)
    return _announced(machine, report, {name: 0 for kind, name in which if kind is Kind.PULSE})


def left_behind(machine: Machine, report: ServiceReport) -> ServiceReport:
    """Of a service that was removed: agents' timers beside it are not its own, and fail without a daemon."""
    left = agent_timers.installed(machine, report.unit.parent)
    if not left:
        return report
    words = " ".join(f"--{kind} {name}" for kind, name in left)
    hint = f"agents' timers go on, and fail while there is no daemon: maw service remove {words}"
    return dataclasses.replace(report, hints=(*report.hints, hint))


def _announced(machine: Machine, report: ServiceReport, pulses: dict[str, int]) -> ServiceReport:
    """Everybody is told how often it pulses, 0: not any more; by that they know who should have been heard of."""
    steps, hints = list(report.steps), list(report.hints)
    for name, every in pulses.items():
        told = spoken(every) if every else "off"
        try:
            daemon = find_daemon(machine.environment, machine.euid, None)
            daemon.post(f"/api/users/{segment(name)}", {"pulse_s": every})
        except NotFound as gone:
            if every:
                hints.append(f"{gone.message}: maw agent add {name} --pulse {told}, as the user it runs as")
        except MawError as error:
            hints.append(
                f"nobody is told how often it pulses ({error.message}): maw agent set {name} pulse={told}"
            )
        else:
            steps.append(Step(f"{name}: told everybody that it pulses: {told}"))
    return dataclasses.replace(report, steps=tuple(steps), hints=tuple(hints))


def wanted(pulses: Iterable[str], dreams: Iterable[str]) -> list[tuple[Kind, str]]:
    found = [(Kind.PULSE, name) for name in pulses] + [(Kind.DREAM, name) for name in dreams]
    return list(dict.fromkeys((kind, check_name(name.removeprefix("@"))) for kind, name in found))


def _timer(
    machine: Machine, kind: Kind, name: str, user: str | None, folder: str | None, every: int
) -> AgentTimer:  # fmt: skip
    login, uid, home = _login(machine, user or _whose(machine, folder))
    if uid == machine.euid:
        home = machine.home
    if machine.euid != 0 and uid != machine.euid:
        raise BadInput(f"--user: only root makes timers for {login}", hint="sudo maw service install …")
    where = Path(os.path.abspath(folder)) if folder else home / "agents" / name  # noqa: PTH100 - links are kept
    toml = agent_toml.read(machine, where, name, uid)
    running = toml.pulse if kind is Kind.PULSE else toml.dream
    return AgentTimer(kind, name, where, login, every, running.timeout_s, running.runner)


def _whose(machine: Machine, folder: str | None) -> str:
    """Who is meant where nobody is named: you; behind sudo, who called it; else whose folder it is."""
    if machine.euid != 0:
        return str(machine.euid)
    called = machine.environment.get("SUDO_USER", "")
    if called and called != "root":
        return called
    if folder is None:
        return "root"
    try:
        return str(machine.path(os.path.abspath(folder)).stat().st_uid)  # noqa: PTH100
    except OSError as error:
        raise BadInput(f"--dir: {folder}: {error.strerror}") from None


def _login(machine: Machine, login: str) -> tuple[str, int, Path]:
    """The user's name, number and home. Raises BadInput."""
    fields = machine.run(("getent", "passwd", login)).out.strip().split(":")
    if len(fields) < 7 or not fields[2].isdecimal():
        raise BadInput(f"--user: this machine has no user called {login[:40]!r}")
    return fields[0], int(fields[2]), Path(fields[5])
