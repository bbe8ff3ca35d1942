"""The tmux pane that a command runs in, as the daemon is told of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

_SHAPE: Final = re.compile(r"(/[ -~]{1,400}),([0-9]{1,10}),[0-9]+", re.ASCII)
_PANE: Final = re.compile(r"%[0-9]{1,9}", re.ASCII)


def pane_of(env: Mapping[str, str]) -> str | None:
    """``SOCKET,SERVERPID,%PANE`` from $TMUX and $TMUX_PANE; None outside of tmux, and where they are not as tmux
    writes them. That its server still runs is not looked at: a pane of one that does not is nobody's."""
    server, pane = _SHAPE.fullmatch(env.get("TMUX", "")), env.get("TMUX_PANE", "")
    if server is None or not _PANE.fullmatch(pane):
        return None
    return f"{server[1]},{server[2]},{pane}"
