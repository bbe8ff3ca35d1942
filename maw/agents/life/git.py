"""What git has of a file: its last committed words, without running anything that the repository asks for.

A repository's configuration can name programs (hooks, monitors, pagers, transports of a partial clone). Whoever wrote
it may not be who reads it: only two commands are run, which start none of them, and what could is turned off besides.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Final

from maw.core.souls import MAX_SOUL_BYTES

TIMEOUT_S: Final = 10.0
_OFF: Final = (
    "core.fsmonitor=false", "core.hooksPath=/dev/null", "core.pager=cat", "core.sshCommand=false", "gc.auto=0",
    "maintenance.auto=false", "protocol.allow=never", "core.alternateRefsCommand=false",
)  # fmt: skip


def committed(path: Path) -> bytes | None:
    """The bytes of ``path`` as HEAD has them; of a link, those of what it leads to. None where there is no git, no
    repository, no commit, no such file in it, or it is larger than a soul may be."""
    found = _blob(path.parent, path.name)
    if found is None and path.is_symlink():
        target = Path(os.path.realpath(path))
        found = _blob(target.parent, target.name)
    return found


def _blob(folder: Path, name: str) -> bytes | None:
    listed = _git(folder, "ls-tree", "-l", "-z", "HEAD", "--", name)
    if not listed:
        return None
    about = listed.split(b"\0", 1)[0].partition(b"\t")[0].split()
    if len(about) != 4 or about[0] not in (b"100644", b"100755") or about[1] != b"blob":
        return None  # a link is a blob too, and its words are a path
    if not about[3].isdigit() or int(about[3]) > MAX_SOUL_BYTES:
        return None
    return _git(folder, "cat-file", "blob", about[2].decode("ascii"))


def _git(folder: Path, *words: str) -> bytes | None:
    options = [word for one in _OFF for word in ("-c", one)]
    env = {
        "PATH": os.environ.get("PATH", os.defpath), "HOME": os.environ.get("HOME", "/"), "LC_ALL": "C",
        "GIT_ALLOW_PROTOCOL": "none", "GIT_NO_LAZY_FETCH": "1", "GIT_TERMINAL_PROMPT": "0",
        "GIT_OPTIONAL_LOCKS": "0", "GIT_LITERAL_PATHSPECS": "1",
    }  # fmt: skip
    try:
        done = subprocess.run(
            ["git", "--no-pager", *options, *words], cwd=folder, env=env, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=TIMEOUT_S, start_new_session=True,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None
