"""What maw put into the files of others: enough to put back what was there, byte for byte, and to say where it is."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

from maw.agents.hooks.notes import state_dir
from maw.agents.installing import files
from maw.errors import BadInput

NAME: Final = "installed.json"


@dataclass(frozen=True, slots=True)
class Entry:
    """``before``: the text that was there, None where the file was not. ``after``: what maw's text hashed to."""

    kind: str
    before: str | None
    after: str
    folders: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Record:
    """By path. One small file of the user's; without it only the exact way back is lost."""

    path: Path
    entries: dict[str, Entry]

    @classmethod
    def read(cls, env: Mapping[str, str]) -> Record:
        path = Path(state_dir(env)) / NAME
        try:
            told = json.loads(path.read_text())
            entries = {where: Entry(**entry) for where, entry in told["files"].items()}
        except FileNotFoundError:
            entries = {}
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise BadInput(
                f"{path} cannot be read: {error}",
                code="bad_settings",
                hint="it only remembers what was there before maw: move it aside, and try again",
            ) from None
        return cls(path, entries)

    def write(self) -> None:
        told = {"files": {where: asdict(entry) for where, entry in sorted(self.entries.items())}}
        old = os.umask(0o077)
        try:
            files.write(files.look(self.path, self.path.parent), json.dumps(told, indent=1) + "\n")
        finally:
            os.umask(old)

    def entry(self, path: Path) -> Entry | None:
        return self.entries.get(str(path))

    def is_as_left(self, path: Path, text: str | None) -> bool:
        """Whether nobody edited it since."""
        entry = self.entry(path)
        return entry is not None and text is not None and entry.after == digest(text)


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
