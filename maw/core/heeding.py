"""What a node says of the operators' word: which statements it keeps to, and how its agents answered orders."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from maw.core.colony import AGENT_ID_BYTES
from maw.core.content import Content
from maw.core.identity import ID_BYTES

NONCE_BYTES: Final = 16
MAX_KEEPS: Final = 200
MAX_ANSWERS: Final = 200
MAX_NOTE: Final = 300
SEEN: Final = "seen"
OBEYED: Final = "obeyed"
DECLINED: Final = "declined"
ANSWERS: Final = (SEEN, OBEYED, DECLINED)


class Answer(NamedTuple):
    """What an agent of the author's host made of the order with this nonce."""

    nonce: bytes
    agent: bytes
    state: str
    note: str


@dataclass(frozen=True, slots=True)
class Heed:
    """``keeps``: ids of statements in force on this host from now on."""

    keeps: tuple[bytes, ...] = ()
    answers: tuple[Answer, ...] = ()

    def content(self) -> dict[str, Any]:
        return {"keeps": list(self.keeps), "answers": [list(answer) for answer in self.answers]}

    @classmethod
    def read(cls, content: Content) -> Heed:
        keeps, answers = content.get("keeps", []), content.get("answers", [])
        if type(keeps) is not list or len(keeps) > MAX_KEEPS:
            raise ValueError(f"keeps is no list of at most {MAX_KEEPS}")
        if not all(type(item) is bytes and len(item) == ID_BYTES for item in keeps):
            raise ValueError("keeps holds something that is no statement's id")
        if type(answers) is not list or len(answers) > MAX_ANSWERS:
            raise ValueError(f"answers is no list of at most {MAX_ANSWERS}")
        return cls(tuple(keeps), tuple(_answer(item) for item in answers))


def _answer(item: Any) -> Answer:
    if type(item) is not list or len(item) != 4:
        raise ValueError("answers holds something that is none")
    nonce, agent, state, note = item
    if type(nonce) is not bytes or len(nonce) != NONCE_BYTES:
        raise ValueError("an answer is to no order")
    if type(agent) is not bytes or len(agent) != AGENT_ID_BYTES:
        raise ValueError("an answer is by no agent")
    if state not in ANSWERS or type(note) is not str or len(note) > MAX_NOTE:
        raise ValueError("an answer says nothing that can be understood")
    return Answer(nonce, agent, state, note)
