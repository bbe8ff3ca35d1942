"""Readers on every node: a cursor each, kept through everything that happens to the node."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any, Final

from tests.chaos.box import Box
from tests.chaos.door import AwayError, Door
from tests.chaos.talking import CHANNELS, DIRECT
from tests.chaos.verdict import Read

PAGE: Final = 500
LOOK_S: Final = 0.5


class Reader(threading.Thread):
    """All of one node's cursors: its channels, and its agents' mailboxes."""

    def __init__(self, box: Box) -> None:
        super().__init__(name=f"reader {box.name}", daemon=True)
        self.given: dict[str, list[Read]] = {}
        self.refused: dict[str, int] = {}
        self._box = box
        self._places: list[tuple[str, Door, str]] = [
            (f"{box.name} {channel}", Door(box.socket), f"/api/channels/{channel}/messages")
            for channel in CHANNELS
        ]
        self._places += [
            (f"{agent}@{box.name}", Door(box.socket, agent), "/api/inbox") for agent in box.agents
        ]
        self._cursors = dict.fromkeys((name for name, _, _ in self._places), 0)
        self._over = threading.Event()

    def finish(self) -> None:
        """Read all there is once more, then end."""
        self._over.set()

    def run(self) -> None:
        while True:
            last = self._over.is_set()
            for name, door, path in self._places:
                self._catch_up(name, door, path)
            if last:
                break
            self._over.wait(LOOK_S)
        for _, door, _ in self._places:
            door.close()

    def _catch_up(self, name: str, door: Door, path: str) -> None:
        while True:
            try:
                status, page = door.ask("GET", f"{path}?after_seq={self._cursors[name]}&limit={PAGE}")
            except AwayError:
                return
            if status != 200:
                code = f"{status} {page.get('error', {}).get('code')}"
                self.refused[code] = self.refused.get(code, 0) + 1
                return
            if not page:
                return
            self.given.setdefault(name, []).extend(_ours(page))
            self._cursors[name] = page[-1]["seq"]


def read_all(box: Box, path: str, agent: str | None = None) -> list[Read]:
    """From the beginning, of a node that is well."""
    door = Door(box.socket, agent)
    after = 0
    found: list[Read] = []
    deadline = time.monotonic() + 60
    while True:
        try:
            status, page = door.ask("GET", f"{path}?after_seq={after}&limit={PAGE}")
        except AwayError as error:
            assert time.monotonic() < deadline, f"{box.name} {path}: {error}"
            continue
        assert status == 200, (box.name, path, page)
        if not page:
            door.close()
            return found
        found += _ours(page)
        after = page[-1]["seq"]


def _ours(page: list[dict[str, Any]]) -> Iterator[Read]:
    """What the load said; a mailbox has no mentions of it."""
    for message in page:
        words = message["text"].split(" ", 2)
        if "#" in words[0] and len(words) > 1 and words[1] in (*CHANNELS, DIRECT):
            yield Read(message["text"], message["id"])
