"""A daemon of which only the hearing works: messages are claimed, and announced once."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.unit.cli.fake_daemon import Answer, Asked, FakeDaemon, Hangup, error


@dataclass
class Hearing:
    """``waiting`` is what arthur was not told of yet. ``bound_to``: the only pid that is his, where one is given."""

    fake: FakeDaemon
    waiting: list[str] = field(default_factory=list)
    announced: list[tuple[str, str]] = field(default_factory=list)
    """Text, and the way it was announced."""
    bound_to: int | None = None
    unread: int = 0
    slow_s: float = 0.0
    slow_heard_s: float = 0.0
    refusal: tuple[int, Any] | None = None
    down: bool = False
    """Those who wait are hung up on."""
    claims: dict[int, tuple[list[str], str]] = field(default_factory=dict)
    woken_by: threading.Condition = field(default_factory=threading.Condition)

    def __post_init__(self) -> None:
        self.fake.answers |= {
            "POST /api/session": self._session,
            "POST /api/hear": self._hear,
            "POST /api/heard": self._heard,
        }

    def post(self, text: str) -> None:
        with self.woken_by:
            self.waiting.append(text)
            self.woken_by.notify_all()

    def asked(self, path: str) -> list[Asked]:
        return [one for one in self.fake.asked if one.path == path]

    def _session(self, asked: Asked) -> tuple[int, Any]:
        time.sleep(self.slow_s)
        if self.refusal is not None:
            return self.refusal
        bound = self.bound_to in (None, asked.body["pid"])
        return 200, {
            "agent": "arthur@mbp",
            "bound": bound,
            "why": "" if bound else f"arthur is process {self.bound_to}",
            "unread": self.unread,
        }

    def _hear(self, asked: Asked) -> Answer:
        if self.refusal is not None:
            return self.refusal
        until = time.monotonic() + asked.body.get("wait", 0)
        with self.woken_by:
            while not self.waiting and not self.down and (left := until - time.monotonic()) > 0:
                self.woken_by.wait(min(left, 0.05))
            if self.down or asked.hung_up():
                return Hangup()
            if not self.waiting:
                return 204, b""
            texts, self.waiting = self.waiting, []
            claim = len(self.claims) + 1
            self.claims[claim] = (texts, asked.body["via"])
        text = f"[maw abc123] {'; '.join(texts)}"
        return 200, {"claim": claim, "agent": "arthur@mbp", "text": text, "messages": [], "more": 0}

    def _heard(self, asked: Asked) -> tuple[int, Any]:
        time.sleep(self.slow_heard_s)
        claim = self.claims.get(asked.body["claim"])
        if claim is None:
            return error(404, "no_claim", "it lapsed")
        self.announced += [(text, claim[1]) for text in claim[0]]
        return 200, {}


@contextmanager
def hearing(path: Path) -> Iterator[Hearing]:
    fake = FakeDaemon(path)
    fake.start()
    try:
        yield Hearing(fake)
    finally:
        fake.stop()
