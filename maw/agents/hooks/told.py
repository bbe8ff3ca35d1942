"""What Claude Code tells a hook on its standard input."""

from __future__ import annotations

import json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final

LARGEST: Final = 64 * 1024 * 1024
LONGEST_ID: Final = 128
LONGEST_PATH: Final = 4096


class Told:
    """The fields that maw needs. ``subagent``: it happens inside one, whose context is not the agent's."""

    __slots__ = ("compacted", "event", "session", "stopping_again", "subagent", "transcript")

    def __init__(self, fields: dict[str, Any]) -> None:
        self.event = _text(fields, "hook_event_name")
        self.session = _text(fields, "session_id")
        path = _text(fields, "transcript_path")
        self.transcript = path if path.isprintable() and len(path) < LONGEST_PATH else ""
        self.subagent = bool(fields.get("agent_id"))
        self.compacted = fields.get("source") == "compact"
        self.stopping_again = fields.get("stop_hook_active") is True


def read(data: bytes) -> Told:
    """Raises ValueError on what no hook is told."""
    if len(data) > LARGEST:
        raise ValueError(f"standard input is {len(data)} bytes long")
    fields = json.loads(data)
    if not isinstance(fields, dict):
        raise ValueError("standard input is no JSON object")
    told = Told(fields)
    if not told.event or not 0 < len(told.session) <= LONGEST_ID or not told.session.isprintable():
        raise ValueError("standard input names no event and session")
    return told


def _text(fields: dict[str, Any], name: str) -> str:
    value = fields.get(name, "")
    return value if isinstance(value, str) else ""
