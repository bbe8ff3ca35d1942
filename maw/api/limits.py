"""The sizes and times that the doors keep to. docs/api.md tells them; openapi.json carries them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

MAX_BODY_BYTES: Final = 512 * 1024
"""One request. JSON may write a byte of text as six (``\\u0007``), so this holds any text allowed."""

MAX_SEQ: Final = 2**63 - 1
DEFAULT_PAGE: Final = 50
MAX_PAGE: Final = 500
MAX_WAIT_S: Final = 60.0
"""A long poll; callers who want to wait longer ask again."""

MAX_CONFIRM_S: Final = 3600.0
DEFAULT_CONFIRM_S: Final = 10.0
"""``?wait=`` on a post."""

MAX_REFS: Final = 1000
MAX_IDEMPOTENCY_KEY: Final = 128
MAX_WAITING: Final = 1024
"""Long polls and streams at once, over both doors; more are refused with 503."""

MAX_WAITING_ANONYMOUS: Final = 256
"""Of those, for callers without a token: nobody who is nobody keeps agents from waiting."""

MAX_REST_CONNECTIONS: Final = 512
MAX_SOCKET_CONNECTIONS: Final = 4096
"""Open at once; one more is closed unanswered. Idle ones are closed after 75 s."""

KEPT_DESCRIPTORS: Final = 384
"""File descriptors that callers leave to the database, links, strangers on the mesh and the log."""


LARGE_TEXT: Final = 8 * 1024
"""Characters of a message,"""
LARGE_AT_ONCE: Final = 16
"""and how many longer ones are on their way to the disk at once: each takes about ten times its length of memory
meanwhile. Others wait for their turn."""


def door_shares(descriptors: int) -> tuple[int, int]:
    """Connections at once over REST and over the socket, for a process that may have so many ``descriptors``."""
    left = max(64, descriptors - KEPT_DESCRIPTORS)
    return min(MAX_REST_CONNECTIONS, left // 4), min(MAX_SOCKET_CONNECTIONS, left * 3 // 4)


BODY_S: Final = 15.0
"""How long a request's body may take to arrive."""

FILE_IDLE_S: Final = 30.0
"""How long nothing may come of a file that is being uploaded,"""
FILE_S: Final = 600.0
"""and how long may be waited for all of it: who is slow keeps others waiting."""

POLL_SLICE_S: Final = 5.0
"""How often a long poll looks whether its caller is still there."""


@dataclass(frozen=True, slots=True)
class Pace:
    """A stream's times in seconds, and how many messages it reads at once."""

    page: int = 100
    idle_s: float = 15.0
    """Between heartbeats; also how often it asks again whether the speaker may still listen."""
    send_s: float = 10.0
    """How long a subscriber may take for one message before it is let go."""
    close_s: float = 2.0
