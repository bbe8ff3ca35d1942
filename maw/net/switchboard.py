"""All live links of a node, at most one to each peer, and which of two stays.

the new link's instance   and                                        stays
another than the old's    the old one answers a ping                 the old; the new is refused, loudly
another than the old's    it does not                                the new
the same                  dialled by the same side                   the new: who dialled lost the old
the same                  dialled by the smaller key                 the new, on both sides alike
the same                  dialled by the larger key, old answers     the old
the same                  dialled by the larger key, old is silent   the new
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from maw.core.identity import NodeId, short_key
from maw.errors import HandshakeRefused, LinkError
from maw.net.link import Link
from maw.net.quietlog import QuietLog

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_log = logging.getLogger(__name__)


class Switchboard:
    """``changed`` is told the peer whenever a link comes or goes; ``copied`` the old and the refused new link
    when two running nodes have one key: the owner should hear of it. ``ping_timeout``: seconds."""

    def __init__(
        self,
        me: NodeId,
        *,
        changed: Callable[[NodeId], None] | None = None,
        copied: Callable[[Link, Link], None] | None = None,
        ping_timeout: float = 2.0,
    ) -> None:
        self._me = me
        self._changed = changed
        self._copied = copied
        self._quiet = QuietLog(_log, time.monotonic)
        self._ping_timeout = ping_timeout
        self._links: dict[NodeId, Link] = {}
        self._deciding: dict[NodeId, tuple[asyncio.Lock, int]] = {}

    async def admit(self, link: Link) -> None:
        """Takes the link in, ending another to the same peer if the table says so. Raises HandshakeRefused.

        Codes: copied_host (two running nodes have one key), duplicate (harmless: there is a link already).
        """
        async with self._one_at_a_time(link.peer):
            old = self._links.get(link.peer)
            if old is not None and old.ended is None:
                await self._choose(old, link)
            self._links[link.peer] = link
            self._tell(link.peer)

    def drop(self, link: Link) -> None:
        """Forgets a link that has ended, unless another has taken its place."""
        if self._links.get(link.peer) is link:
            del self._links[link.peer]
            self._tell(link.peer)

    def get(self, peer: NodeId) -> Link | None:
        return self._links.get(peer)

    def linked(self, peer: NodeId) -> bool:
        """Whether a live link to ``peer`` is there: what the redialler asks."""
        link = self._links.get(peer)
        return link is not None and link.ended is None

    def all(self) -> tuple[Link, ...]:
        """The links, oldest first."""
        return tuple(self._links.values())

    def close(self, peer: NodeId, reason: str) -> bool:
        """Ends the link to ``peer``, if there is one: true then."""
        link = self._links.get(peer)
        if link is None:
            return False
        link.close(reason)
        return True

    async def probe(self, timeout: float = 2.0) -> None:
        """Pings every link and ends those that stay silent: for when the host has been asleep."""
        async with asyncio.TaskGroup() as group:
            for link in self.all():
                group.create_task(self._probe(link, timeout))

    async def _probe(self, link: Link, timeout: float) -> None:
        try:
            await link.ping(timeout)
        except LinkError as silent:
            link.close(silent.message)

    async def _choose(self, old: Link, new: Link) -> None:
        """Ends the old link, or raises HandshakeRefused for the new one."""
        copied = old.instance != new.instance
        if not copied and (old.outbound == new.outbound or self._dialled_by_smaller(new)):
            old.close("replaced by a newer link to the same node")
            return
        if not await self._answers(old):
            old.close("silent, and replaced by a newer link")
            return
        if not copied:
            raise HandshakeRefused("these two nodes are linked already", code="duplicate")
        where = f"{old.remote_address} and {new.remote_address}"
        self._quiet.say(
            logging.ERROR,
            short_key(old.peer),
            f"two running nodes have the key of {old.peer_name} ({short_key(old.peer)}), at {where}:"
            " one is a copied host; the newer is refused",
        )
        if self._copied is not None:
            self._copied(old, new)
        raise HandshakeRefused(
            f"another running node has this key and is linked: {where}",
            code="copied_host",
            hint="stop one of the two; give a copied host a key of its own with `maw init`",
        )

    def _dialled_by_smaller(self, link: Link) -> bool:
        return (self._me < link.peer) is link.outbound

    async def _answers(self, link: Link) -> bool:
        try:
            await link.ping(self._ping_timeout)
        except LinkError:
            return False
        return True

    @asynccontextmanager
    async def _one_at_a_time(self, peer: NodeId) -> AsyncIterator[None]:
        """A lock for each peer, there only while somebody needs it."""
        lock, waiting = self._deciding.get(peer, (asyncio.Lock(), 0))
        self._deciding[peer] = (lock, waiting + 1)
        try:
            async with lock:
                yield
        finally:
            lock, waiting = self._deciding[peer]
            if waiting == 1:
                del self._deciding[peer]
            else:
                self._deciding[peer] = (lock, waiting - 1)

    def _tell(self, peer: NodeId) -> None:
        if self._changed is not None:
            self._changed(peer)
