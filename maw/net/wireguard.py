"""What the mesh interface is doing: there or not, up or down, which addresses; and every change, at once.

The kernel's notifications are only a nudge. Each one that concerns the interface makes us ask again what is
true, so a lost, late or doubled notification cannot leave a wrong picture; a slow poll heals what was lost
without a trace. Works for any interface (``wg0``, ``tailscale0``, ...). Linux only: elsewhere use ``listen``.
"""

from __future__ import annotations

import asyncio
import logging
import re
import sys
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from typing import Final

from maw.errors import BadConfig

POLL_SECONDS: Final = 30.0
_SETTLE_SECONDS: Final = 0.02
_FIRST_BACKOFF_SECONDS: Final = 0.1
_MAX_BACKOFF_SECONDS: Final = 10.0
_KERNEL_NAME: Final = re.compile(r"[^\s/:]{1,15}")

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class InterfaceState:
    """``addresses``: IPv4 first, then IPv6, no prefix lengths; none that is link-local or still probed."""

    name: str
    present: bool
    up: bool
    addresses: tuple[str, ...]

    @property
    def usable(self) -> tuple[str, ...]:
        """The addresses one can listen on now: empty unless the interface is there and up."""
        return self.addresses if self.present and self.up else ()

    @property
    def word(self) -> str:
        """One of ``up``, ``down``, ``missing``, ``no address``."""
        if not self.present:
            return "missing"
        if not self.up:
            return "down"
        return "up" if self.addresses else "no address"

    def describe(self) -> str:
        """One line for people: ``wg0 is up: 10.44.0.1``."""
        return {
            "missing": f"{self.name} is missing: waiting for it",
            "down": f"{self.name} is down",
            "no address": f"{self.name} has no address",
            "up": f"{self.name} is up: {', '.join(self.addresses)}",
        }[self.word]


async def watch(
    name: str, *, poll: float = POLL_SECONDS, beat: Callable[[], None] = lambda: None
) -> AsyncGenerator[InterfaceState]:
    """Yield the state of interface ``name`` at once, then each time it is another one, without end.

    ``poll`` is the longest time in seconds between two looks without a notification. States that pass while
    the consumer is busy are skipped: it gets the newest. Lost notifications and netlink errors are logged and
    survived; BadConfig is raised for a name no interface can have, and where there is no netlink. ``beat`` is
    called before each look, also one that fails.
    Close it (``contextlib.aclosing``) to let go of its sockets.
    """
    if not _KERNEL_NAME.fullmatch(name):
        raise BadConfig(
            f"{name!r} cannot be the name of an interface",
            hint="1 to 15 characters, as `ip link` shows it: wg0",
        )
    if sys.platform != "linux":
        raise BadConfig(
            f"the interface {name} cannot be watched on {sys.platform}",
            hint='use `listen = ["ADDRESS:PORT"]` in maw.toml instead of `interface`',
        )
    from maw.net.netlink import Routing

    last: InterfaceState | None = None
    backoff = _FIRST_BACKOFF_SECONDS
    while True:
        beat()
        try:
            with Routing(name) as routing:
                while True:
                    beat()
                    state = InterfaceState(name, *await routing.look())
                    backoff = _FIRST_BACKOFF_SECONDS
                    if state != last:
                        last = state
                        yield state
                    if await routing.nudged(poll):
                        await asyncio.sleep(_SETTLE_SECONDS)
        except OSError as error:
            # a buffer that ran over (ENOBUFS) heals as any other error does: new sockets, a fresh look
            log.warning("watching %s: %s; looking again in %.1f s", name, error, backoff)
        await asyncio.sleep(backoff)
        backoff = min(backoff * 2, _MAX_BACKOFF_SECONDS)
