"""What is said in the hour: a schedule that a seed gives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

MIX: Final = (("direct", 55), ("mention", 20), ("inform", 12), ("ack", 5), ("channel", 5), ("group", 3))
"""Of a hundred messages: direct ones that want something, mentions in a channel, direct ones that want nothing, words
to nobody in particular, and to all agents."""


@dataclass(frozen=True, slots=True)
class Word:
    """``at``: seconds from the start. ``to``: whom it is for by name, nobody where it is for none or all."""

    at: float
    author: str
    to: str | None
    kind: str
    text: str

    @property
    def wakes(self) -> bool:
        return self.kind in ("direct", "mention", "group")


def schedule(seed: int, agents: Sequence[str], seconds: float, count: int) -> list[Word]:
    """By time. Bursts as well as silence: every tenth message has three more on its heels."""
    chance = Random(seed)
    kinds, weights = zip(*MIX, strict=True)
    words: list[Word] = []
    at = 0.0
    moments: list[float] = []
    while len(moments) < count:
        at = chance.uniform(0, seconds)
        moments += [at, *(at + chance.uniform(0, 0.5) for _ in range(3))] if chance.random() < 0.1 else [at]
    for number, moment in enumerate(sorted(moments[:count])):
        author, other = chance.sample(list(agents), 2)
        kind = chance.choices(kinds, weights)[0]
        to = None if kind in ("channel", "group") else other
        words.append(Word(moment, author, to, kind, f"message {number:04}: {_BODIES[kind]}"))
    return words


_BODIES: Final = {
    "direct": "is the branch of yesterday merged, and if not, what is in its way?",
    "mention": "please look at the failing build, it began with the last change of yours.",
    "inform": "for your information, the nightly run was green on both hosts.",
    "ack": "thank you, I have read it.",
    "channel": "the release is tagged; notes are in the wiki.",
    "group": "in ten minutes the database is restarted, save what you have open.",
}
