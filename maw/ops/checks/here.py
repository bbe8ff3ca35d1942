"""Checks of this installation and this machine, daemon or not."""

from __future__ import annotations

import os
import sqlite3
import sys
from pathlib import Path
from typing import Final

from maw.ops import service
from maw.ops.checks.context import Context, Finding, Verdict
from maw.ops.units import Manager

_SQLITE: Final = (3, 35, 0)
_FILES: Final = 1024
_UNSURE_SECONDS: Final = 1.0
_SKEW_MS: Final = 1000
_HOOKS_LOOKED_AT_S: Final = 24 * 3600.0


def python_and_sqlite(_: Context) -> Finding:
    """The versions maw runs on."""
    name = "python and SQLite"
    text = f"Python {sys.version.split()[0]}, SQLite {sqlite3.sqlite_version}"
    if sqlite3.sqlite_version_info < _SQLITE:
        wanted = ".".join(map(str, _SQLITE))
        return Finding(name, Verdict.FAIL, f"{text}: maw needs SQLite {wanted}", "use a newer Python build")
    return Finding(name, Verdict.OK, text)


def first_on_path(context: Context) -> Finding:
    """Whether the word `maw` in a shell is this program."""
    name = "maw on PATH"
    found = _on_path(context)
    if context.command is None:
        return Finding(name, Verdict.SKIP, "this was not run as the command maw")
    if not found:
        where = context.command.parent
        return Finding(
            name, Verdict.WARN, f"maw is not on PATH; it is {context.command}", f"add {where} to PATH"
        )
    first = found[0]
    if _same(first, context.command):
        return Finding(name, Verdict.OK, f"{first} is this program")
    what = "the old JavaScript maw" if _is_javascript(first) else "another program"
    return Finding(
        name,
        Verdict.FAIL,
        f"{first}, {what}, comes before this maw ({context.command})",
        f"put {context.command.parent} before {first.parent} in PATH, or remove the other one. "
        "The old maw keeps ~/.maw; this one does not touch it",
    )


def hooks(context: Context) -> Finding:
    """Whether what Claude Code runs at its events went well in the last day."""
    name = "hooks"
    trouble = context.hook_trouble
    if trouble is None or trouble.seconds_ago > _HOOKS_LOOKED_AT_S:
        return Finding(name, Verdict.OK, "none of yours stumbled in the last day")
    minutes = trouble.seconds_ago / 60
    text = f"the last one that stumbled, {minutes:.0f} min ago: {trouble.line}"
    return Finding(name, Verdict.WARN, text, f"more in {trouble.log}; `maw hook` tries one")


def _on_path(context: Context) -> list[Path]:
    directories = context.machine.environment.get("PATH", "").split(os.pathsep)
    candidates = [Path(directory) / "maw" for directory in directories if directory]
    return [one for one in candidates if one.is_file() and os.access(one, os.X_OK)]


def _same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return False


def _is_javascript(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            first = file.readline(200)
    except OSError:
        return False
    interpreted = first.startswith(b"#!") and any(word in first for word in (b"node", b"bun", b"deno"))
    return interpreted or path.resolve().suffix in (".js", ".mjs", ".cjs", ".ts")


def open_files(context: Context) -> Finding:
    """How many files and connections the daemon may have open."""
    name = "open files"
    pid = context.status.get("pid") if context.status else None
    if pid is None:
        return Finding(name, Verdict.SKIP, "no daemon is running")
    try:
        limits = context.machine.path(f"/proc/{pid}/limits").read_text(encoding="ascii")
    except OSError:
        return Finding(name, Verdict.SKIP, f"the limits of process {pid} are not for this user to see")
    line = next((line for line in limits.splitlines() if line.startswith("Max open files")), "")
    soft = line.removeprefix("Max open files").split()[:1]
    if not soft or soft[0] == "unlimited" or int(soft[0]) >= _FILES:
        return Finding(name, Verdict.OK, f"the daemon may open {soft[0] if soft else 'many'} files")
    return Finding(
        name,
        Verdict.WARN,
        f"the daemon may open {soft[0]} files only: each link and each waiting agent takes one",
        f"ulimit -n {_FILES} before `maw up`, or `maw service install`, which raises it",
    )


def clock(context: Context) -> Finding:
    """Whether this host's clock is right. Time gates nothing in maw, but people read the times."""
    name = "clock"
    skewed = [peer for peer in context.peers or () if abs(int(peer.get("clock_skew_ms") or 0)) > _SKEW_MS]
    if skewed:
        told = ", ".join(f"{peer['name']} {int(peer['clock_skew_ms']) / 1000:+.1f} s" for peer in skewed)
        everybody = len(skewed) > 1 and len(skewed) == len(context.peers or ())
        whose = "this host's clock is off" if everybody else "clocks differ"
        return Finding(
            name, Verdict.WARN, f"{whose}: {told}", "timedatectl set-ntp true, on the host that is off"
        )
    state = context.clock()
    if state is None:
        return Finding(name, Verdict.SKIP, "this system does not say whether its clock is kept right")
    if not state.synchronised or state.max_error_s > _UNSURE_SECONDS:
        return Finding(
            name,
            Verdict.WARN,
            "nothing keeps this host's clock right (NTP is not synchronised)",
            "timedatectl set-ntp true, or install chrony",
        )
    return Finding(name, Verdict.OK, f"kept right by NTP, within {state.max_error_s:.2f} s")


def kept_alive(context: Context) -> Finding:
    """Whether something brings the daemon back when it dies, and after a reboot."""
    name = "kept alive"
    if not context.home.exists():
        return Finding(name, Verdict.SKIP, "there is no node here yet")
    units = [one for one in service.installed(context.machine, context.home) if _is_for(one, context)]
    if not units:
        return Finding(
            name,
            Verdict.WARN,
            "nothing brings the daemon back when it dies or the host reboots",
            "maw service install",
        )
    one = next((unit for unit in units if unit.enabled), units[0])
    if not one.enabled:
        start = {Manager.SYSTEM: "systemctl enable maw", Manager.USER: "systemctl --user enable maw"}
        hint = start.get(one.manager, "pm2 save")
        return Finding(name, Verdict.WARN, f"{one.unit} is there, but not started at boot", hint)
    if not one.active:
        hint = "pm2 resurrect" if one.manager is Manager.PM2 else f"{_systemctl(one.manager)} status maw"
        return Finding(name, Verdict.FAIL, f"{one.manager.value} should run the daemon, and does not", hint)
    return Finding(name, Verdict.OK, f"by {one.manager.value}: {one.unit}")


def _is_for(unit: service.Installed, context: Context) -> bool:
    return unit.home is None or unit.home == context.home


def _systemctl(manager: Manager) -> str:
    return "systemctl --user" if manager is Manager.USER else "systemctl"
