"""Checks of what would bring the node back: backups, and logs that do not fill the disk."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from maw.ops import service
from maw.ops.checks.context import Context, Finding, Verdict
from maw.ops.units import Manager

OLD: Final = timedelta(days=3)


def recent_backup(context: Context) -> Finding:
    """When a backup last succeeded, and whether the latest did."""
    name = "backup"
    known = context.last_backup
    if not context.home.exists():
        return Finding(name, Verdict.SKIP, "there is no node here yet")
    if known is None:
        return Finding(
            name, Verdict.SKIP, "how the last one went is not for this user to see", "sudo maw doctor"
        )
    if known.get("problem"):
        text = f"the last one, {_ago(known.get('tried_at'))}, failed: {known['problem']}"
        return Finding(name, Verdict.FAIL, text, "`maw backup` tries again now")
    if not known.get("good_at"):
        hint = "`maw backup` makes one; `maw service install` makes one a day"
        return Finding(
            name, Verdict.WARN, "there is none: what no peer holds yet would be lost with this disk", hint
        )
    where = f"{known.get('good_path')}"
    if not Path(where).is_dir():
        text = f"the last good one is no longer where it was: {where}"
        return Finding(name, Verdict.WARN, text, "is that disk mounted? `maw backup` makes another")
    text = f"the last good one is from {_ago(known['good_at'])}: {where}"
    if _age(known["good_at"]) > OLD:
        hint = "`maw backup`; `maw service install` makes one a day (systemctl list-timers maw-backup)"
        return Finding(name, Verdict.WARN, text, hint)
    if _same_disk(Path(where), context.home):
        return Finding(name, Verdict.OK, f"{text}, on the same disk as the node")
    return Finding(name, Verdict.OK, text)


def log_rotation(context: Context) -> Finding:
    """That the daemon's log does not grow without end."""
    name = "log rotation"
    keeper = next((one.manager for one in service.installed(context.machine, context.home) if one.ours), None)
    if keeper is None:
        return Finding(name, Verdict.SKIP, "no service of maw keeps a log here")
    if keeper is not Manager.PM2:
        return Finding(name, Verdict.OK, "journald keeps the log, and its size in bounds")
    pm2_home = context.machine.path(
        context.machine.environment.get("PM2_HOME") or context.machine.home / ".pm2"
    )
    try:
        modules = json.loads((pm2_home / "module_conf.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        modules = {}
    if (pm2_home / "modules" / "pm2-logrotate").is_dir() or "pm2-logrotate" in modules:
        return Finding(name, Verdict.OK, "pm2-logrotate keeps PM2's logs in bounds")
    return Finding(name, Verdict.WARN, "PM2's logs grow without end", "pm2 install pm2-logrotate")


def _age(iso: Any) -> timedelta:
    try:
        return datetime.now(UTC) - datetime.fromisoformat(iso)
    except (TypeError, ValueError):
        return timedelta.max


def _ago(iso: Any) -> str:
    age = _age(iso)
    if age == timedelta.max:
        return "an unknown time"
    hours = age.total_seconds() / 3600
    return (
        f"{hours / 24:.0f} days ago"
        if hours >= 48
        else f"{hours:.0f} hours ago"
        if hours >= 2
        else "just now"
    )


def _same_disk(one: Path, other: Path) -> bool:
    try:
        return one.stat().st_dev == other.stat().st_dev
    except OSError:
        return False


def read_record(path: Path) -> Mapping[str, Any] | None:
    """What `maw backup` noted; empty when it never ran, None when this user may not see."""
    try:
        fields = json.loads(path.read_bytes())
    except PermissionError:
        return None
    except (OSError, ValueError):
        return {}
    return fields if isinstance(fields, dict) else {}
