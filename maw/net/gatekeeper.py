"""Who decides, when somebody stands at the door: the seams the node fills in."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

from maw.core.identity import NodeId
from maw.net.link import Link

Serve = Callable[[Link], Awaitable[None]]
"""Lives as long as an admitted link: runs it (``Link.run``) and returns when it has ended."""


class Gatekeeper(Protocol):
    """Asked at each handshake. ``Switchboard`` does the second and third; trust is the first."""

    def judge(self, peer: NodeId, admission: bytes | None) -> None:
        """Raises HandshakeRefused (code ``unknown_key``, ``revoked``, …) unless ``peer`` is trusted.

        ``peer`` has proved its key; ``admission`` is what it showed beside it, not yet looked at.
        """

    async def admit_link(self, link: Link) -> None:
        """Raises HandshakeRefused when another link stays instead; may end that other one."""

    def drop_link(self, link: Link) -> None:
        """The link has ended. Called once for every admitted link."""
