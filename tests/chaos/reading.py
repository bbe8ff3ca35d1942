"""Readers on every node: a cursor each, kept through everything that happens to the node. Some of what comes into a
mailbox they say is read; and they look how far what their agents sent is said to have come."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any, Final
from zlib import crc32

from tests.chaos.box import Box
from tests.chaos.door import AwayError, Door
from tests.chaos.talking import CHANNELS, DIRECT
from tests.chaos.verdict import Read

PAGE: Final = 500
LOOK_S: Final = 0.5
LOOKS_A_RECEIPT: Final = 4
"""So many looks there are to one at what was sent."""
SENT: Final = 50
ONE_IN: Final = 5
"""Of so many direct messages one is said to be read."""


class Reader(threading.Thread):
    """All of one node's cursors: its channels, and its agents' mailboxes."""

    def __init__(self, box: Box) -> None:
        super().__init__(name=f"reader {box.name}", daemon=True)
        self.given: dict[str, list[Read]] = {}
        self.refused: dict[str, int] = {}
        self.asked: dict[str, float] = {}
        """Texts that this host was asked to mark as read, and when first (monotonic)."""
        self.confirmed: set[str] = set()
        """Those for which it said that it did."""
        self.told: list[tuple[str, str, float]] = []
        """Text, state and when, of what an author here was told: more than that it is on a disk."""
        self._box = box
        self._places: list[tuple[str, Door, str]] = [
            (f"{box.name} {channel}", Door(box.socket), f"/api/channels/{channel}/messages")
            for channel in CHANNELS
        ]
        self._doors = [Door(box.socket, agent) for agent in box.agents]
        self._places += [
            (f"{agent}@{box.name}", door, "/api/inbox")
            for agent, door in zip(box.agents, self._doors, strict=True)
        ]
        self._cursors = dict.fromkeys((name for name, _, _ in self._places), 0)
        self._over = threading.Event()

    def finish(self) -> None:
        """Read all there is once more, then end."""
        self._over.set()

    def run(self) -> None:
        looks = 0
        while True:
            last = self._over.is_set()
            for name, door, path in self._places:
                self._catch_up(name, door, path)
            looks += 1
            if looks % LOOKS_A_RECEIPT == 0:
                for door in self._doors:
                    self._look_at_sent(door)
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
            if path == "/api/inbox":
                self._mark(door, page)

    def _mark(self, door: Door, page: list[dict[str, Any]]) -> None:
        wanted = {message["text"]: message["id"] for message in page if is_marked(message["text"])}
        if not wanted:
            return
        now = time.monotonic()
        for text in wanted:
            self.asked.setdefault(text, now)
        try:
            status, _ = door.ask("POST", "/api/read", {"ids": list(wanted.values()), "via": "inbox"})
        except AwayError:
            return
        if status == 200:
            self.confirmed.update(wanted)

    def _look_at_sent(self, door: Door) -> None:
        try:
            status, page = door.ask("GET", f"/api/sent?limit={SENT}")
        except AwayError:
            return
        if status == 200:
            now = time.monotonic()
            self.told += [
                (one["text"], one["state"], now)
                for one in page
                if one["state"] not in ("stored", "replicated")
            ]


def is_marked(text: str) -> bool:
    return f" {DIRECT}" in text and crc32(text.encode()) % ONE_IN == 0


def state_of(box: Box, agent: str, message: str) -> str | None:
    """How far a message is said to have come; None where it cannot be told now."""
    door = Door(box.socket, agent)
    try:
        status, shown = door.ask("GET", f"/api/messages/{message}")
    except AwayError:
        return None
    finally:
        door.close()
    return str(shown["state"]) if status == 200 else None


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
