"""Free ports for the demo's nodes, kept from other demos for as long as this one runs."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Final

from maw.errors import Conflict

FIRST: Final = 6390  # well past 6290: whoever sets up a node of their own meanwhile is given those
PAIRS_TRIED: Final = 200
LOOPBACK: Final = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Pair:
    """A node's two ports on loopback."""

    mesh: int
    rest: int


@contextmanager
def reserved_pairs(count: int, first: int = FIRST) -> Iterator[list[Pair]]:
    """``count`` pairs of free ports, from ``first`` up. Raises Conflict when there are none."""
    with ExitStack() as held:
        found: list[Pair] = []
        for port in range(first, first + 2 * PAIRS_TRIED, 2):
            if len(found) == count:
                break
            sockets = [taken for taken in (_take(port), _take(port + 1)) if taken is not None]
            if len(sockets) < 2 or sys.platform != "linux":
                for one in sockets:
                    one.close()
            if len(sockets) == 2:
                for one in sockets:
                    held.callback(one.close)
                found.append(Pair(port, port + 1))
        if len(found) < count:
            raise Conflict(
                f"there are no {count} free pairs of ports from {first} on {LOOPBACK}",
                code="no_free_port",
                hint="`ss -ltn` shows what is listening",
            )
        yield found


def _take(port: int) -> socket.socket | None:
    """A socket that has the port, None when somebody else has it.

    It binds alone, so that two demos never get one port; then it allows sharing, and as it does not listen,
    Linux lets a daemon listen there beside it, again and again. Elsewhere it must be closed first.
    """
    taken = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        taken.bind((LOOPBACK, port))
    except OSError:
        taken.close()
        return None
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    return taken
