"""Two running nodes with one key, as whoever sees both tells it, and as one of the two does: it may be the copy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from maw.core.effects import Alert
from maw.core.identity import NodeId, key_text, short_key
from maw.net.link import Link
from maw.net.redialler import DialState
from maw.node.alerts import Alerts

_KIND: Final = "copied_host"


class CopyWatch:
    """``name_of``: what a peer is called. ``me``: the first characters of this node's key, the alert's subject."""

    def __init__(self, alerts: Alerts, me: str, name_of: Callable[[NodeId], str]) -> None:
        self._alerts = alerts
        self._me = me
        self._name_of = name_of
        self._told = False

    def look(self, dialled: Mapping[NodeId, DialState]) -> None:
        """Raises the alert when the first peer refuses us so, and settles it when none does any more."""
        refusing = [peer for peer, state in dialled.items() if state.last_error_code == _KIND]
        if bool(refusing) is self._told:
            return
        self._told = bool(refusing)
        if not refusing:
            self._alerts.settle(_KIND, self._me)
            return
        names = ", ".join(sorted(map(self._name_of, refusing)))
        text = (
            f"another running node holds this node's key: {names} is linked with that one and refuses this one."
            " One of the two is a copy, or the key was stolen. If it is this one: `maw service remove`, remove"
            " its directory, `maw init` anew; if it is the other, stop that one"
        )
        self._alerts.raise_alert(Alert(_KIND, self._me, text))

    def seen(self, old: Link, new: Link) -> None:
        """One peer is linked twice, by two nodes that run at the same time."""
        peer = old.peer
        text = (
            f"two running nodes hold the key of {self._name_of(peer)} ({key_text(peer)}),"
            f" one at {old.remote_address} and one at {new.remote_address}: a host was copied, or the key was"
            " stolen; the newer of the two is refused"
        )
        self._alerts.raise_alert(Alert(_KIND, short_key(peer), text))
