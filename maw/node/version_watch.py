"""Peers that speak no version of the protocol that this node speaks: told to people on both sides.

A handshake without a common version ends before anybody has said who he is. Whom we dialled we know; of who dials
us only the address, so that is told where dialling does not tell more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from maw.core.effects import Alert
from maw.core.identity import NodeId, short_key
from maw.errors import LinkError
from maw.net.redialler import DialState

KIND: Final = "version"
MISMATCH: Final = "version_mismatch"
MAX_SOURCES: Final = 16
"""Addresses of strangers that are told of: anybody may knock."""


class VersionWatch:
    """``raise_alert`` and ``settle`` as of ``Alerts``; ``describe``: a peer's name and the maw it last said it runs."""

    def __init__(
        self,
        running: str,
        raise_alert: Callable[[Alert], None],
        settle: Callable[[str, str], None],
        describe: Callable[[NodeId], tuple[str, str]],
    ) -> None:
        self._running = running
        self._raise = raise_alert
        self._settle = settle
        self._describe = describe
        self._peers: dict[NodeId, tuple[str, str]] = {}
        """Whom we dialled in vain: what was said, and at which host."""
        self._sources: set[str] = set()

    def look(self, dialled: Mapping[NodeId, DialState]) -> None:
        """At how it stands with those we dial; what has been told is told again only when it changes."""
        for peer, state in dialled.items():
            if state.last_error_code != MISMATCH or state.last_error is None:
                continue
            host = _host(state.address or "")
            if self._peers.get(peer) != (state.last_error, host):
                self._peers[peer] = (state.last_error, host)
                self._tell(peer, state.last_error)
                self._forget(host)

    def _tell(self, peer: NodeId, problem: str) -> None:
        name, theirs = self._describe(peer)
        text = (
            f"no link with {name} at {problem}. This host runs maw {self._running}, {name} when last heard"
            f" {theirs or 'an unknown version'}: update the older of the two. Until then what one says waits for the"
            " other, or goes through a host that speaks with both"
        )
        self._raise(Alert(KIND, short_key(peer), text))

    def refused(self, source: str, why: LinkError) -> None:
        """A connection from this IP address was refused, here."""
        told = source in self._sources or any(host == source for _, host in self._peers.values())
        if why.code != MISMATCH or told or len(self._sources) >= MAX_SOURCES:
            return
        self._sources.add(source)
        text = (
            f"a node at {source} was refused: {why.message}. This host runs maw {self._running}:"
            " update the older of the two"
        )
        self._raise(Alert(KIND, source, text))

    def met(self, peer: NodeId, address: str) -> None:
        """A link came up: whatever was told of this peer is over, also what was told before a restart."""
        self._peers.pop(peer, None)
        self._settle(KIND, short_key(peer))
        self._forget(_host(address))

    def _forget(self, host: str) -> None:
        self._sources.discard(host)
        if host:
            self._settle(KIND, host)


def _host(address: str) -> str:
    return address.rpartition(":")[0].strip("[]")
