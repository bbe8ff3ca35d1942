"""An agent's timers beside the service: a pulse every half hour, a dream every four hours, each a fresh process.

For each kind two template units, ``maw-pulse@.service`` and ``maw-pulse@.timer``, and for each agent a drop-in for
both, which says whose it is, where its home is, how long it may take and when it is its turn. What is there already and
is the same is not touched: installing twice changes nothing.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Final

from maw.core import period
from maw.errors import BadInput, Conflict, NotFound, Refused, Unavailable
from maw.ops.machine import Machine
from maw.ops.report import ServiceReport, Work
from maw.ops.systemd import USER, login_of, obstacle, systemctl_of, unit_path
from maw.ops.units import Manager, Record, check_words, is_ours, marked, render_file

MARGIN_S: Final = 60
"""What a pulse has beside its runner: to ask, to post, to end what hangs."""
OVERRIDES: Final = "maw.conf"
_USUAL_PATH: Final = "/usr/local/bin:/usr/bin:/bin"


class Kind(StrEnum):
    PULSE = "pulse"
    DREAM = "dream"

    @property
    def service(self) -> str:
        return f"maw-{self}@.service"

    @property
    def timer(self) -> str:
        return f"maw-{self}@.timer"

    @property
    def after_boot_s(self) -> int:
        return 60 if self is Kind.PULSE else 1800

    @property
    def every_s(self) -> int:
        """If nobody says otherwise."""
        return 1800 if self is Kind.PULSE else 14_400


@dataclass(frozen=True, slots=True)
class AgentTimer:
    """``home``: the agent's; ``user``: the Unix user it runs as, of no meaning under a user's own systemd;
    ``timeout_s``: its runner's; ``runner``: the program that begins with."""

    kind: Kind
    agent: str
    home: Path
    user: str
    every_s: int
    timeout_s: int
    runner: str

    @property
    def service(self) -> str:
        return instance(self.kind.service, self.agent)

    @property
    def timer(self) -> str:
        return instance(self.kind.timer, self.agent)


def instance(unit: str, agent: str) -> str:
    return unit.replace("@", f"@{agent}")


def choose(
    machine: Machine, wanted: str | None, timers: Sequence[AgentTimer] = (), *,
    home: Path | None = None, command: Path | None = None,
) -> Manager:  # fmt: skip
    """Which systemd. Raises BadInput; Unavailable where there is none, with the line for cron, which takes the node's
    ``home`` and the maw ``command``."""
    managers = (Manager.SYSTEM, Manager.USER)
    if wanted is not None and wanted not in list(Manager):
        raise BadInput(
            f"no such manager: {wanted}", hint=f"one of {', '.join(one.value for one in managers)}"
        )
    problems = []
    for manager in managers if wanted is None else (Manager(wanted),):
        why = "has no timers" if manager is Manager.PM2 else obstacle(machine, manager)
        if why is None:
            return manager
        problems.append(f"{manager.value}: {why}")
    raise Unavailable(
        f"timers need systemd: {'; '.join(problems)}",
        code="no_service_manager",
        hint=_cron(timers, home, command) or "without systemd, cron does it: docs/life.md",
    )


def _cron(timers: Sequence[AgentTimer], home: Path | None, command: Path | None) -> str:
    """A line for each: what `crontab -e` takes. cron knows neither the node nor where maw lies, so the line says it.
    `timeout` ends what hangs; maw's own lock keeps two apart."""
    node = "" if home is None else f"MAW_HOME={shlex.quote(str(home))} "
    maw = "maw" if command is None else shlex.quote(str(command))
    lines = [
        f"{period.crontab(one.every_s, _moment(one, ''))} "
        + f"{node}timeout -k 20 {one.timeout_s + MARGIN_S} {maw} {one.kind} {one.agent} "
        f"--dir {shlex.quote(str(one.home))}".replace("%", "\\%")  # cron ends the line at a bare one
        for one in timers
    ]
    return f"without systemd, cron does it; by `crontab -e`: {' and '.join(lines)}" if lines else ""


def install(
    machine: Machine, manager: Manager, timers: Sequence[AgentTimer], *,
    home: Path, command: Path, replace: bool = False, dry_run: bool = False,
) -> ServiceReport:  # fmt: skip
    """Write them and start them; what stood in the way before anything was done raises. ``home``: the node's.
    ``dry_run``: change nothing, and report what would be done."""
    folder = unit_path(machine, manager, home).parent
    work = Work(machine, dry_run)
    for one in timers:
        _check(machine, manager, folder, one, command, replace)
    if not dry_run:
        machine.path(folder).mkdir(parents=True, exist_ok=True)
    record = Record(manager.value, str(home))
    changed: set[str] = set()
    for kind in dict.fromkeys(one.kind for one in timers):
        for name in (kind.service, kind.timer):
            text = render_file(manager, name, command=command, home=home, backups=None, record=record)
            if _write(work, folder / name, text):
                changed |= {one.timer for one in timers if one.kind is kind}
    for one in timers:
        for unit, text in _overrides(machine, manager, one).items():
            if _write(work, folder / f"{unit}.d" / OVERRIDES, marked(text, record)):
                changed.add(one.timer)
    systemctl = systemctl_of(manager)
    if changed:
        work.run("told systemd", (*systemctl, "daemon-reload"))
    for one in timers:
        _start(work, systemctl, one, again=one.timer in changed)
    _advise(work, manager, timers, home)
    names = " ".join(f"--{one.kind} {one.agent}" for one in timers)
    sudo = "sudo " if manager is Manager.SYSTEM else ""
    return work.report(
        manager, folder / timers[0].timer, timers[0].home, undo=f"{sudo}maw service remove {names}"
    )


def remove(
    machine: Machine, manager: Manager, which: Sequence[tuple[Kind, str]], *, home: Path
) -> ServiceReport:
    """Stop them, a run that is under way too, and take away what install wrote. Raises NotFound, Refused."""
    folder = unit_path(machine, manager, home).parent
    if manager is Manager.SYSTEM and machine.euid != 0:
        raise Refused("the host's timers are root's to remove", hint="sudo maw service remove --pulse NAME")
    work, systemctl = Work(machine), systemctl_of(manager)
    for kind, agent in which:
        units = [instance(kind.timer, agent), instance(kind.service, agent)]
        ours = [unit for unit in units if is_ours(machine.path(folder / f"{unit}.d" / OVERRIDES))]
        if not ours:
            raise NotFound(
                f"no {kind} of {agent} is installed here",
                code="no_service",
                hint="systemctl list-timers 'maw-*' shows who has one",
            )
        work.run(f"{agent}: no {kind} any more", (*systemctl, "disable", "--now", units[0]))
        work.run(f"ended the {kind} of {agent} that may run", (*systemctl, "stop", units[1]))
        for unit in ours:
            path = machine.path(folder / f"{unit}.d" / OVERRIDES)
            path.unlink()
            if not any(path.parent.iterdir()):  # what a person put beside it stays
                path.parent.rmdir()
            work.did(f"removed {folder / f'{unit}.d' / OVERRIDES}")
    for kind in dict.fromkeys(kind for kind, _ in which):
        if not any(one is kind for one, _ in installed(machine, folder)):
            _remove_templates(work, folder, kind)
    work.run("told systemd", (*systemctl, "daemon-reload"))
    for kind, agent in which:
        machine.run(
            (*systemctl, "reset-failed", instance(kind.service, agent))
        )  # fails where there is nothing
    work.hints.append("their homes are untouched")
    return work.report(manager, folder / instance(which[0][0].timer, which[0][1]), home)


def find(machine: Machine, which: Sequence[tuple[Kind, str]], wanted: str | None, *, home: Path) -> Manager:
    """The systemd that has them: the wanted one, else the first in which one of them is."""
    if wanted is not None:
        return choose(machine, wanted)
    for manager in (Manager.SYSTEM, Manager.USER):
        folder = unit_path(machine, manager, home).parent
        if set(which) & set(installed(machine, folder)):
            return manager
    return Manager.SYSTEM if machine.euid == 0 else Manager.USER


def installed(machine: Machine, folder: Path) -> list[tuple[Kind, str]]:
    """Whose timers `install` wrote in this folder of units."""
    found: list[tuple[Kind, str]] = []
    for kind in Kind:
        before, _, after = kind.timer.partition("@")
        ours = [
            path for path in machine.path(folder).glob(f"{before}@*{after}.d/{OVERRIDES}") if is_ours(path)
        ]
        names = sorted(
            path.parent.name.removeprefix(f"{before}@").removesuffix(f"{after}.d") for path in ours
        )
        found += [(kind, name) for name in names]
    return found


def next_times(machine: Machine, agent: str, *, home: Path) -> list[tuple[Kind, int | None]]:
    """Of the agent's timers that are installed here, when each is due by the calendar: seconds since 1970, None where
    it is stopped. Nothing is run where there is none."""
    found: list[tuple[Kind, int | None]] = []
    for manager in (Manager.SYSTEM, Manager.USER):
        folder = unit_path(machine, manager, home).parent
        for kind in Kind:
            unit = instance(kind.timer, agent)
            if is_ours(machine.path(folder / f"{unit}.d" / OVERRIDES)):
                asked = ("show", unit, "--property=NextElapseUSecRealtime", "--value")
                found.append(
                    (kind, _moment_in(machine.run(("env", "TZ=UTC", *systemctl_of(manager), *asked)).out))
                )
    return found


def _moment_in(said: str) -> int | None:
    """Of ``Sun 2026-11-22 09:07:41 UTC``, as systemd writes times."""
    try:
        return int(datetime.strptime(f"{said.strip()[4:23]} +0000", "%Y-%m-%d %H:%M:%S %z").timestamp())
    except ValueError:
        return None


def _check(
    machine: Machine, manager: Manager, folder: Path, one: AgentTimer, command: Path, replace: bool
) -> None:
    """Raises Conflict, BadInput, Refused."""
    check_words(str(one.home), one.user, str(command))
    names = (
        one.kind.service,
        one.kind.timer,
        *(f"{unit}.d/{OVERRIDES}" for unit in (one.service, one.timer)),
    )
    for name in names:
        path = machine.path(folder / name)
        if path.exists() and not is_ours(path) and not replace:
            raise Conflict(
                f"{folder / name} is there already, and was not written by `maw service install`",
                code="foreign_unit",
                hint="maw service install --replace writes over it",
            )
    if manager is not Manager.SYSTEM:
        return
    if one.user == USER:
        raise Refused(
            f"{one.agent} must not run as {USER}: that user is the daemon's, and could read the node's key",
            code="daemons_user",
            hint=f"give it another: maw service install --{one.kind} {one.agent} --user NAME",
        )
    if not machine.run(("getent", "passwd", one.user)).ok:
        raise BadInput(f"--user: this machine has no user called {one.user[:40]!r}")
    if not machine.run((*_as(manager, one.user), "test", "-x", str(command))).ok:
        raise Refused(
            f"{one.user} could not run {command}: it, or a directory on the way, is closed to others",
            code="command_out_of_reach",
            hint="/usr/bin/python3 -m venv /opt/maw && /opt/maw/bin/pip install maw-colony && "
            f"sudo /opt/maw/bin/maw service install --{one.kind} {one.agent}",
        )


def _overrides(machine: Machine, manager: Manager, one: AgentTimer) -> dict[str, str]:
    """The drop-ins, by unit."""
    path = _path_of(machine, manager, one)
    whose = [f"User={one.user}"] if manager is Manager.SYSTEM else []
    service = [
        "[Service]",
        *whose,
        f'Environment="MAW_AGENT_HOME={one.home}"',
        f'Environment="PATH={path}"',
        f"WorkingDirectory={one.home}",
        f"TimeoutStartSec={one.timeout_s + MARGIN_S}",
    ]
    begun = "OnBootSec" if manager is Manager.SYSTEM else "OnStartupSec"
    spread = period.jitter(one.every_s)
    timer = [
        "[Timer]",
        "# an empty one takes away all that the template says",
        "OnCalendar=",
        f"{begun}={one.kind.after_boot_s}",
        f"OnCalendar={period.calendar(one.every_s, _moment(one, _machine_id(machine)))}",
        f"RandomizedDelaySec={spread}",
    ]
    return {one.service: "\n".join(service), one.timer: "\n".join(timer)}


def _moment(one: AgentTimer, host: str) -> int:
    """The agent's own within the period: another on each host, and always the same one."""
    return period.phase(one.every_s, host, one.kind, one.agent)


def _machine_id(machine: Machine) -> str:
    try:
        return machine.path("/etc/machine-id").read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def _path_of(machine: Machine, manager: Manager, one: AgentTimer) -> str:
    """Where its user finds programs after a login: systemd's own PATH has none of a home's."""
    said = machine.environment.get("PATH", "")
    if manager is Manager.SYSTEM:
        said = ""
        ran = machine.run(("runuser", "-l", one.user, "-c", 'printf "\\n%s" "$PATH"'))
        if ran.ok:
            said = ran.out.rpartition("\n")[2]  # a profile may have printed something before it
    kept = [word for word in said.split(":") if word.startswith("/") and not set(word) & set("\"\\%$'` \t\n")]
    return ":".join(dict.fromkeys(kept)) or _USUAL_PATH


def _write(work: Work, path: Path, text: str) -> bool:
    """Whether it was not so before."""
    target = work.machine.path(path)
    if target.is_file() and target.read_text(encoding="utf-8", errors="replace") == text:
        return False
    if work.dry_run:
        work.did(f"write {path}")
        return True
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text, encoding="utf-8")
    work.did(f"wrote {path}", f"rm {path}")
    return True


def _start(work: Work, systemctl: Sequence[str], one: AgentTimer, *, again: bool) -> None:
    machine, undo = work.machine, f"{' '.join(systemctl)} disable --now {one.timer}"
    runs = machine.run((*systemctl, "is-active", "--quiet", one.timer)).ok
    if not again and runs and machine.run((*systemctl, "is-enabled", "--quiet", one.timer)).ok:
        work.did(f"{one.agent}: the {one.kind} timer runs already, nothing changed")
        return
    work.run(f"{one.agent}: will {one.kind} after each boot", (*systemctl, "enable", one.timer), undo)
    text = f"{one.agent}: {one.kind} every {period.spoken(one.every_s)} from now on"
    work.run(text, (*systemctl, "restart" if runs else "start", one.timer), undo)


def _remove_templates(work: Work, folder: Path, kind: Kind) -> None:
    for name in (kind.timer, kind.service):
        path = work.machine.path(folder / name)
        if is_ours(path):
            path.unlink()
            work.did(f"removed {folder / name}")


def _advise(work: Work, manager: Manager, timers: Sequence[AgentTimer], home: Path) -> None:
    """What a run will miss, said now and not in the journal at night."""
    for one in {(one.user, one.runner): one for one in timers}.values():
        path = _path_of(work.machine, manager, one)
        asked = ("env", f"PATH={path}", "sh", "-c", 'command -v "$1" >/dev/null', "sh", one.runner)
        if not work.machine.run((*_as(manager, one.user), *asked)).ok:
            work.hints.append(
                f"no {one.runner} is found for {one.agent}: its {one.kind} fails until it is installed"
                " (then this command again)"
            )
    if manager is Manager.USER:
        _advise_linger(work)
        return
    socket = home / "maw.sock"
    for user in dict.fromkeys(one.user for one in timers):
        may_open = work.machine.run((*_as(manager, user), "test", "-w", str(socket))).ok
        if user == "root":
            work.hints.append(
                "who writes to an agent that runs as root writes to root; --user gives it another"
            )
        elif not may_open and work.machine.path(socket).exists():
            work.hints.append(f"{user} may not open the node's socket yet: usermod -aG {USER} {user}")


def _as(manager: Manager, user: str) -> tuple[str, ...]:
    return ("runuser", "-u", user, "--") if manager is Manager.SYSTEM else ()


def _advise_linger(work: Work) -> None:
    name = login_of(work.machine)
    ran = work.machine.run(("loginctl", "show-user", name, "--property=Linger", "--value"))
    if ran.out.strip() != "yes":
        work.hints.append(
            f"timers end when you log out, and do not start at boot, until: sudo loginctl enable-linger {name}"
        )


def _systemctl(manager: Manager) -> tuple[str, ...]:
    return ("systemctl",) if manager is Manager.SYSTEM else ("systemctl", "--user")
