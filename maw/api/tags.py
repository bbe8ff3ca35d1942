"""ETags: who has asked before, and nothing is new, is told so in one line (304).

Of messages and channels the tag is made of what was asked, by whom, and the version of the database: that is known
before anything is read. Users and peers change with time and links (presence, round trips), which no version tells:
theirs is made of the answer, and spares what is sent, not what it costs to make.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

from maw.api.answer import Answer
from maw.api.routes import Call

MATCH: Final = "If-None-Match"


def stored_tag(call: Call) -> str:
    """Of an answer that depends on nothing but what is stored."""
    said = f"{call.backend.version()} {call.speaker.agent} {call.request.path_qs}"
    return _quoted(said.encode())


def content_tag(call: Call, answer: Answer) -> str:
    """Of this answer itself."""
    return _quoted(f"{call.speaker.agent} ".encode() + answer.whole)


def is_known(call: Call, tag: str) -> bool:
    """The caller says that it has this answer."""
    known = call.request.headers.get(MATCH)
    return known is not None and tag in [one.strip().removeprefix("W/") for one in known.split(",")]


def not_modified(call: Call, tag: str) -> Answer:
    return tagged(call, Answer(b"", 304, call.api.headers), tag)


def tagged(call: Call, answer: Answer, tag: str) -> Answer:
    """Whoever keeps it asks each time whether it still is so."""
    answer.fixed = call.api.kept_headers
    answer.headers["ETag"] = tag
    return answer


def _quoted(said: bytes) -> str:
    return f'"{blake2b(said, digest_size=12).hexdigest()}"'
