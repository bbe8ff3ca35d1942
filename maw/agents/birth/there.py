"""The far side: one act a call, asked for on standard input as JSON, answered on standard output as JSON.

Each act looks first and does only what is not done, so it may be broken off anywhere and asked for again; asked with
``dry`` it only looks. It runs in the maw that lives there, as root; what belongs to the agent it does as the agent's
Unix user. Nothing secret is on a command line: an invite comes in on standard input, a token never leaves the host.
"""

from __future__ import annotations

import fcntl
import json
import os
import sys
from collections.abc import Callable, Mapping
from typing import Any, Final

from maw.agents.birth import acts, ends
from maw.agents.birth.site import Site
from maw.errors import BadInput, MawError

ACTS: Final[Mapping[str, Callable[[Site, dict[str, Any]], dict[str, Any]]]] = {
    "node": acts.node,
    "service": acts.service,
    "status": acts.status,
    "join": acts.join,
    "linked": acts.linked,
    "user": acts.user,
    "home": acts.home,
    "write-home": acts.write_own_home,
    "repo": acts.repo,
    "install": acts.install,
    "login": acts.login,
    "agent": acts.agent,
    "keep-token": acts.keep_token,
    "timers": acts.timers,
    "hello": acts.hello,
    "look": ends.look,
    "quiet": ends.quiet,
    "goodbye": ends.goodbye,
    "archive": ends.archive,
    "gone": ends.gone,
    "erase": ends.erase,
    "node-off": ends.node_off,
}
_LOCK: Final = "/run/lock/maw-birth.lock"
_ASKS_NOBODY: Final = frozenset({"write-home", "keep-token"})
"""Acts of the agent's own user, called by another act that holds the lock."""


def answer(site: Site, asked: dict[str, Any]) -> dict[str, Any]:
    """``{"done", "said", …}``, or ``{"error": …}`` as everywhere. ``done``: there was nothing to do (any more)."""
    act = ACTS.get(str(asked.get("do")))
    if act is None:
        return BadInput(
            f"the maw there does not know how to {str(asked.get('do'))[:40]!r}", code="old_maw",
            hint="bring it up to date: both hosts need the same version for a birth",
        ).as_json()  # fmt: skip
    try:
        return act(site, asked)
    except MawError as error:
        return error.as_json()


def main() -> int:
    asked = json.loads(sys.stdin.buffer.readline())
    site = Site.here()
    if site.euid == 0 and asked.get("do") not in _ASKS_NOBODY and os.path.isdir("/run/lock"):  # noqa: PTH112
        lock = os.open(_LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX)  # of a birth whose connection broke, one act may still be under way
    said = answer(site, asked)
    # an archive is the act's output itself, and its answer goes beside it
    stream = sys.stderr if asked.get("do") == "archive" else sys.stdout
    stream.write(json.dumps(said) + "\n")
    stream.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
