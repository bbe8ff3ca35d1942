"""The load: agents that talk at their own pace, each word until it is accepted."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Sequence
from random import Random
from typing import Final

from tests.chaos.box import Box
from tests.chaos.door import AwayError, Door
from tests.chaos.verdict import Word

CHANNELS: Final = ("general", "ops")
DIRECT: Final = "direct"
RETRY_S: Final = 0.2
_FILLER: Final = "the colony hears what each host said and keeps all of it " * 4


class Speaker(threading.Thread):
    """One agent. Everything here is read by others only after it has ended, but ``accepted_count``."""

    def __init__(self, box: Box, agent: str, others: Sequence[str], rate: float, seed: int) -> None:
        super().__init__(name=f"speaker {agent}", daemon=True)
        self.accepted: list[Word] = []
        self.uncertain: set[str] = set()
        self.refusals: dict[str, int] = {}
        self.slowest_s = 0.0
        self.trouble: str | None = None
        self._box = box
        self._agent = agent
        self._others = others
        self._pause = 1.0 / rate
        self._random = Random(f"{seed} {agent}")
        self._over = threading.Event()

    @property
    def accepted_count(self) -> int:
        return len(self.accepted)

    def finish(self) -> None:
        """Say what was begun, then end."""
        self._over.set()

    def run(self) -> None:
        door = Door(self._box.socket, self._agent)
        n, due = 0, time.monotonic()
        while not self._over.is_set():
            n += 1
            self._say(door, n)
            due = max(due + self._pause, time.monotonic() - 1.0)  # what was missed is not made up for
            self._over.wait(max(0.0, due - time.monotonic()))
        door.close()

    def _say(self, door: Door, n: int) -> None:
        address = f"{self._agent}@{self._box.name}"
        to = self._random.choice(self._others) if self._random.random() < 0.2 else None
        where = DIRECT if to else self._random.choice(CHANNELS)
        text = f"{address}#{n} {where} {_FILLER[: self._random.randrange(20, 200)]}".strip()
        path, body = f"/api/channels/{where}/messages", {"text": text}
        if to:
            path, body = "/api/direct", {"to": to, "text": text}
        key = {"Idempotency-Key": uuid.UUID(int=self._random.getrandbits(128)).hex}
        began, losses = time.monotonic(), self._box.losses
        while True:
            try:
                status, answer = door.ask("POST", path, body, key)
            except AwayError:
                status, answer = 0, None
            if status == 201:
                self.accepted.append(Word(text, address, n, to, answer["id"]))
                self.slowest_s = max(self.slowest_s, time.monotonic() - began)
                return
            if self._box.losses != losses:
                self.uncertain.add(text)  # its key is as lost as its answer
                return
            self._note(status, answer)
            time.sleep(RETRY_S)

    def _note(self, status: int, answer: object) -> None:
        code = "away"
        if isinstance(answer, dict) and isinstance(answer.get("error"), dict):
            code = f"{status} {answer['error'].get('code')}"
        self.refusals[code] = self.refusals.get(code, 0) + 1
