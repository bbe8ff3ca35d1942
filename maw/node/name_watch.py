"""Two nodes of one name are told of as long as there are two."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from maw.core.effects import Alert
from maw.core.identity import short_key
from maw.node.directory import Directory
from maw.store.state import NodeRow

KIND: Final = "name"


class NameWatch:
    """``raise_alert`` and ``settle`` as of ``Alerts``."""

    def __init__(
        self, directory: Directory, raise_alert: Callable[[Alert], None], settle: Callable[[str, str], None]
    ) -> None:
        self._directory = directory
        self._raise = raise_alert
        self._settle = settle
        self._told: set[str] = set()

    def look(self) -> None:
        """To be called when names may have changed."""
        found = {alert.subject: alert for alert in alike(self._directory.nodes())}
        for name in self._told - set(found):
            self._settle(KIND, name)
        for name in set(found) - self._told:
            self._raise(found[name])
        self._told = set(found)


def alike(nodes: Sequence[NodeRow]) -> list[Alert]:
    """An alert for each name that two trusted nodes bear: it is ambiguous until one is renamed."""
    by_name: dict[str, list[str]] = {}
    for row in nodes:
        if row.name:
            by_name.setdefault(row.name, []).append(short_key(row.key))
    return [
        Alert(
            KIND,
            name,
            f"{len(keys)} nodes are called {name} ({', '.join(sorted(keys))}): rename all but one",
        )
        for name, keys in by_name.items()
        if len(keys) > 1
    ]
