"""Keeps a link to every trusted peer: tries its addresses in turn, for ever, gently.

Each peer has its own task, which also lives through the links it dialled. A peer's fault stays with that
peer (LinkError is caught here); so does a bug, which is told.
"""

from __future__ import annotations

import asyncio
import logging
import random
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from maw.core.identity import NodeId, short_key
from maw.errors import BadInput, HandshakeRefused, LinkError
from maw.net.gatekeeper import Gatekeeper, Serve
from maw.net.link import Link

LOOK_S: Final = 5.0
"""How often it is looked whether every peer has its task, besides at every change."""
_PORT: Final = re.compile(r"(?<=[0-9\]]):[0-9]{1,5}\b")
_log = logging.getLogger(__name__)

LINKS_ENOUGH: Final = "links_enough"
"""The code by which a node declines a link for no fault: others will do."""

Dial = Callable[[str, NodeId], Awaitable[Link]]


@dataclass(frozen=True, slots=True)
class Backoff:
    """Seconds. Waits are drawn evenly from 0 to a bound that doubles from ``first`` to ``cap``.

    ``settled``: a link that lasted this long starts the bound over. ``check``: how often a peer that is
    linked by its own dialling is looked at, should nobody call ``wake``.
    """

    first: float = 0.25
    cap: float = 30.0
    settled: float = 5.0
    check: float = 5.0

    def wait(self, failures: int, rng: random.Random) -> float:
        return rng.uniform(0.0, min(self.cap, self.first * 2.0 ** min(failures, 30)))


@dataclass(frozen=True, slots=True)
class DialState:
    """One peer as ``maw peers`` shows it. ``since``: unix seconds, when it was linked or last ceased to be;
    ``attempts``: since then."""

    state: Literal["connecting", "waiting", "linked"]
    since: float
    address: str | None = None
    last_error: str | None = None
    last_error_code: str | None = None
    attempts: int = 0


class _Peer:
    """What one peer's task works on."""

    __slots__ = ("addresses", "state", "task", "wake")

    def __init__(self, addresses: Sequence[str], now: float) -> None:
        self.addresses = tuple(addresses)
        self.state = DialState("waiting", now)
        self.wake = asyncio.Event()
        self.task: asyncio.Task[None] | None = None


class Redialler:
    """``linked`` says whether a peer is linked by whichever side. ``wall``: unix seconds. ``failed`` is told when
    all addresses of a peer were tried in vain, ``bug`` of a fault that is no peer's; without it, such a fault ends
    ``run``."""

    def __init__(
        self,
        dial: Dial,
        gatekeeper: Gatekeeper,
        serve: Serve,
        *,
        linked: Callable[[NodeId], bool],
        rng: random.Random,
        wall: Callable[[], float],
        backoff: Backoff | None = None,
        failed: Callable[[NodeId, DialState], None] = lambda _node, _state: None,
        bug: Callable[[str, Exception], None] | None = None,
    ) -> None:
        self._dial = dial
        self._told_failed = failed
        self._gatekeeper = gatekeeper
        self._serve = serve
        self._linked = linked
        self._rng = rng
        self._wall = wall
        self._backoff = backoff or Backoff()
        self._bug = bug
        self._peers: dict[NodeId, _Peer] = {}
        self._changed = asyncio.Event()

    def set_targets(self, targets: Mapping[NodeId, Sequence[str]]) -> None:
        """The peers to be linked with, and their addresses. Who is gone is let go, with its dialled link."""
        changed = False
        for node in [node for node in self._peers if node not in targets]:
            changed = True
            gone = self._peers.pop(node)
            if gone.task is not None:
                gone.task.cancel()
        for node, addresses in targets.items():
            peer = self._peers.get(node)
            if peer is None:
                changed = True
                self._peers[node] = _Peer(addresses, self._wall())
            elif peer.addresses != tuple(addresses):
                peer.addresses = tuple(addresses)
                peer.wake.set()
        if changed:
            self._changed.set()

    def wake(self, peer: NodeId | None = None) -> None:
        """Retries now: ``peer``, or all (the host woke, an interface came back)."""
        for node, known in self._peers.items():
            if peer is None or node == peer:
                known.wake.set()

    def states(self) -> dict[NodeId, DialState]:
        return {node: peer.state for node, peer in self._peers.items()}

    async def run(self, beat: Callable[[], None] = lambda: None) -> None:
        """Until cancelled. It may be run again after a fault: the links it dialled ended with it, and are dialled
        anew. ``beat`` is called in each round."""
        async with asyncio.TaskGroup() as group:
            while True:
                beat()
                self._changed.clear()
                for node, peer in self._peers.items():
                    if peer.task is None or peer.task.done():
                        name = f"redial {short_key(node)}"
                        peer.task = group.create_task(self._keep_going(node, peer), name=name)
                try:
                    async with asyncio.timeout(LOOK_S):
                        await self._changed.wait()
                except TimeoutError:
                    pass

    async def _keep_going(self, node: NodeId, peer: _Peer) -> None:
        """What goes wrong with one peer is not to cost the others their links."""
        while True:
            try:
                await self._keep(node, peer)
            except Exception as error:
                if self._bug is None:
                    raise
                self._bug(f"the link with {short_key(node)}", error)
                self._failed(node, peer, "a fault inside maw, see the log", "internal")
                await self._pause(peer, self._backoff.cap)

    async def _keep(self, node: NodeId, peer: _Peer) -> None:
        failures, was_linked = 0, False
        while True:
            peer.wake.clear()
            if was_linked and not self._linked(node):
                # Both sides see a link end at once: jitter keeps them from dialling each other at once.
                await asyncio.sleep(self._rng.uniform(0.0, self._backoff.first))
            if was_linked := self._linked(node):
                self._note(peer, "linked", attempts=0, last_error=None, last_error_code=None)
                failures = 0
                await self._pause(peer, self._backoff.check)
                continue
            lasted = await self._try_addresses(node, peer)
            failures = 0 if lasted >= self._backoff.settled else failures + 1
            if not lasted and peer.state.last_error is not None and not self._linked(node):
                self._told_failed(node, peer.state)
            if await self._pause(peer, self._backoff.wait(failures, self._rng)):
                failures = 0

    async def _try_addresses(self, node: NodeId, peer: _Peer) -> float:
        """Tries each address once and lives through the first link. Returns how long that lasted, or 0."""
        if not peer.addresses:
            self._failed(node, peer, "no address is known for it", "no_address")
        for address in peer.addresses:
            self._note(peer, "connecting", address=address, attempts=peer.state.attempts + 1)
            try:
                link = await self._dial(address, node)
            except (LinkError, BadInput) as problem:
                self._failed(node, peer, f"{address}: {problem.message}", problem.code)
                if self._linked(node):
                    return 0.0
                continue
            return await self._live(node, peer, link)
        return 0.0

    async def _live(self, node: NodeId, peer: _Peer, link: Link) -> float:
        """Admits the link and serves it to its end; returns the seconds it lasted."""
        begun = asyncio.get_running_loop().time()
        try:
            await self._gatekeeper.admit_link(link)
        except HandshakeRefused as no:
            await link.shut(no.message)
            if no.code != "duplicate":
                self._failed(node, peer, f"{link.remote_address}: {no.message}", no.code)
            return 0.0
        except BaseException:
            await link.shut("the node is stopping")
            raise
        self._note(peer, "linked", attempts=0, last_error=None, last_error_code=None)
        try:
            await self._serve(link)
        finally:
            self._gatekeeper.drop_link(link)
            await link.shut("the node let go of the link")
        ended = link.ended.message if link.ended else "the link ended"
        code = link.ended.code if link.ended else None
        self._note(peer, "waiting", last_error=f"{link.remote_address}: {ended}", last_error_code=code)
        return asyncio.get_running_loop().time() - begun

    async def _pause(self, peer: _Peer, seconds: float) -> bool:
        """Waits; true when woken before the time."""
        try:
            async with asyncio.timeout(seconds):
                await peer.wake.wait()
        except TimeoutError:
            return False
        return True

    def _failed(self, node: NodeId, peer: _Peer, problem: str, code: str) -> None:
        if not _alike(peer.state.last_error, problem) and code != LINKS_ENOUGH:  # once, not at each attempt
            _log.info("cannot link with %s: %s", short_key(node), problem)
        self._note(peer, "waiting", last_error=problem, last_error_code=code)

    def _note(self, peer: _Peer, state: Literal["connecting", "waiting", "linked"], **more: object) -> None:
        same = (peer.state.state == "linked") is (state == "linked")
        since = peer.state.since if same else self._wall()
        peer.state = replace(peer.state, state=state, since=since, **more)  # type: ignore[arg-type]


def _alike(one: str | None, other: str) -> bool:
    """The same trouble: the ports of connections that came from somewhere are others each time."""
    return one is not None and _PORT.sub("", one) == _PORT.sub("", other)
