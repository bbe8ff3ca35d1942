"""How the last backups of a node went, noted beside its key: for status and doctor, daemon or not."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from datetime import datetime

from maw.node.home import NodeHome, replace_file


@dataclass(frozen=True, slots=True)
class LastBackup:
    """``good_at``: when one last succeeded; ``problem``: why the latest did not, None when it did."""

    good_at: datetime | None = None
    good_path: str | None = None
    tried_at: datetime | None = None
    problem: str | None = None


def last_backup(home: NodeHome) -> LastBackup:
    """Of nothing when nothing is known."""
    try:
        fields = json.loads(home.last_backup.read_bytes())
        return LastBackup(
            _time(fields["good_at"]), fields["good_path"], _time(fields["tried_at"]), fields["problem"]
        )
    except (OSError, ValueError, TypeError, KeyError):
        return LastBackup()


def note(home: NodeHome, now: datetime, made: str | None = None, problem: str | None = None) -> None:
    """``made``: the path of the one that was made. Best effort: a home that cannot be written tells by itself."""
    last = last_backup(home)
    if made is not None and problem is None:
        last = replace(last, good_at=now, good_path=made)
    last = replace(last, tried_at=now, problem=problem)
    fields = {k: v.isoformat() if isinstance(v, datetime) else v for k, v in asdict(last).items()}
    try:
        replace_file(home.last_backup, json.dumps(fields).encode())
    except OSError:
        return


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
