"""The unit files that keep the daemon alive: where their templates are, and how they are filled in.

What `maw service install` writes bears a mark and a record of what was there before, in comments that only
the file's owner can change: `maw service remove` reads the record back and undoes exactly that.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from itertools import dropwhile
from pathlib import Path
from typing import Final

import maw
from maw.errors import BadInput, InternalError

MARK: Final = "written by `maw service install`; `maw service remove` takes it away"
_RECORD: Final = "maw-record: "


class Manager(StrEnum):
    """What keeps the daemon alive; the values are the words of ``--manager``."""

    SYSTEM = "systemd"
    USER = "systemd-user"
    PM2 = "pm2"


@dataclass(frozen=True, slots=True)
class Record:
    """What install changed beside the unit, so that remove can change it back."""

    manager: str
    home: str
    home_before: str | None = None
    owner_before: tuple[int, int] | None = None
    mode_before: int | None = None
    made_user: bool = False
    replaced: str | None = None


_TEMPLATES: Final = {
    Manager.SYSTEM: "systemd/maw.service",
    Manager.USER: "systemd/user/maw.service",
    Manager.PM2: "pm2/ecosystem.config.cjs",
}


def template(manager: Manager) -> str:
    """The unit's text with its placeholders: from the installed package, else from the source tree."""
    return _text(_TEMPLATES[manager])


def _text(name: str) -> str:
    package = Path(maw.__file__).parent
    for base in (package / "units", package.parent):
        file = base / name
        if file.is_file():
            return file.read_text(encoding="utf-8")
    raise InternalError(f"{name} is missing from this installation", code="units_missing")


def render(manager: Manager, *, command: Path, home: Path, groups: tuple[str, ...], record: Record) -> str:
    """The file to write. Raises BadInput for a path or group that cannot stand in such a file."""
    values = {
        "@MAW@": str(command),
        "@HOME@": str(home),
        "@GROUPS@": f"SupplementaryGroups={' '.join(groups)}" if groups else "# no SupplementaryGroups=",
    }
    check_words(str(command), str(home), *groups)
    return _fill(template(manager), values, "//" if manager is Manager.PM2 else "#", record)


def render_file(
    manager: Manager, name: str, *, command: Path, home: Path, backups: Path | None, record: Record
) -> str:
    """A unit beside the service's, such as ``maw-backup.timer``, for one of the two systemds. Raises BadInput."""
    check_words(str(command), str(home), *([str(backups)] if backups else []))
    values = {
        "@MAW@": str(command),
        "@HOME@": str(home),
        "@BACKUPS@": f'ReadWritePaths="{backups}"' if backups else "# no ReadWritePaths= of another disk",
    }
    return _fill(_text(str(Path(_TEMPLATES[manager]).with_name(name))), values, "#", record)


def check_words(*words: str) -> None:
    for word in words:
        if not word or any(c in "\"\\%$'`" or not c.isprintable() for c in word):
            raise BadInput(
                f"{word!r} cannot be written into a unit file: it holds a quote, %, $ or the like",
                hint="install maw, and keep its directory, under a plainer path",
            )


def marked(text: str, record: Record) -> str:
    """``text`` as the whole of a file of ours."""
    return f"{_head('#', record)}\n{text}\n"


def _head(comment: str, record: Record) -> str:
    return f"{comment} {MARK}\n{comment} {_RECORD}{json.dumps(asdict(record))}"


def _fill(text: str, values: Mapping[str, str], comment: str, record: Record) -> str:
    # the template's own head explains the placeholders: of no use once they are filled in
    body = dropwhile(lambda line: line.startswith(comment), text.splitlines())
    filled = "\n".join(body)
    for placeholder, value in values.items():
        filled = filled.replace(placeholder, value)
    return _head(comment, record) + "\n" + filled.strip("\n") + "\n"


def read_record(text: str) -> Record | None:
    """The record in a file that install wrote; None when it is not ours. Raises BadInput for a broken one."""
    lines = text.splitlines()[:2]
    if len(lines) < 2 or MARK not in lines[0] or _RECORD not in lines[1]:
        return None
    try:
        fields = json.loads(lines[1].partition(_RECORD)[2])
        if fields.get("owner_before") is not None:
            uid, gid = fields["owner_before"]
            fields["owner_before"] = (int(uid), int(gid))
        return Record(**fields)
    except (ValueError, TypeError, AttributeError) as error:
        raise BadInput(
            f"the record in the unit file is broken: {error}", hint="remove the unit by hand"
        ) from None


def is_ours(path: Path) -> bool:
    """Whether `maw service install` wrote this file; False where there is none."""
    try:
        return read_record(path.read_text(encoding="utf-8", errors="replace")) is not None
    except OSError:
        return False
