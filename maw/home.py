"""Where a node's directory is, and so its socket. Imports little: every command begins here."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from maw.errors import BadInput

SYSTEM_HOME: Final = Path("/var/lib/maw")
SOCKET_PATH_BYTES: Final = 107
"""The longest path that fits a Unix socket address on Linux."""


@dataclass(frozen=True, slots=True)
class Home:
    """A node's directory, what chose it, and everything that was looked at, in order."""

    path: Path
    because: str
    tried: tuple[Path, ...]

    @property
    def exists(self) -> bool:
        return os.path.isfile(self.path / "maw.toml")  # noqa: PTH113 - False, not an error, where not permitted

    @property
    def socket(self) -> Path:
        return self.path / "maw.sock"


def find_home(env: Mapping[str, str], euid: int, system: Path = SYSTEM_HOME) -> Home:
    """The directory of the node meant: $MAW_HOME and nothing else if set, else the user's, else the system's.

    Where neither holds a node yet, the user's own is given: that is where ``maw init`` makes one.
    """
    homes = candidate_homes(env, euid, system)
    tried = tuple(path for path, _ in homes)
    found = [Home(path, because, tried) for path, because in homes]
    return next((home for home in found if home.exists), found[0])


def candidate_homes(env: Mapping[str, str], euid: int, system: Path = SYSTEM_HOME) -> list[tuple[Path, str]]:
    """Directories a node may be in, the first choice first, each with why.

    An explicit $MAW_HOME stands alone: falling through to another node would speak on the wrong one.
    """
    if env.get("MAW_HOME"):
        return [(Path(env["MAW_HOME"]).expanduser().absolute(), "$MAW_HOME")]
    own = Path(env["HOME"] if env.get("HOME") else _login_home(euid)) / ".local" / "share" / "maw"
    return [(own, "your own"), (system, "the system's")]


def check_socket_path(path: Path) -> None:
    """Raises BadInput when the path is too long to be a Unix socket."""
    size = len(os.fsencode(path))
    if size > SOCKET_PATH_BYTES:
        raise BadInput(
            f"the socket's path is {size} bytes long, a Unix socket allows {SOCKET_PATH_BYTES}: {path}",
            code="socket_path_too_long",
            hint="choose a shorter directory: MAW_HOME=/short/path maw init",
        )


def _login_home(euid: int) -> str:
    import pwd  # only where $HOME is not set

    try:
        return pwd.getpwuid(euid).pw_dir
    except KeyError:
        return "/nonexistent"
