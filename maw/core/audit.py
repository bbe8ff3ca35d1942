"""A bundle of signed history that anybody can check without a node: one JSON value a line.

    {"maw-audit": 1, "colony": "mc1…", "found": F, "node": "mk1…", "at": MS, "asked": {…}, "sparse": false}
    {"statement": S}                       who was admitted, revoked, appointed: as many as are known
    {"log": ["mk1…", EPOCH]}               the entries that follow stand in this log
    {"entry": [HEADER, SIGNATURE, PAYLOAD]}
    {"entry": [HEADER, SIGNATURE, PAYLOAD], "key": KEY}     sealed: its content key opens the payload
    {"entry": [HEADER, SIGNATURE], "why": "not asked for"}
    {"end": [LINES, HASH]}                 so many lines before this one, and BLAKE2b-256 of them, each with its "\\n"

F, S, HEADER, SIGNATURE, PAYLOAD and KEY are bytes in base64. An entry proves itself: who said it, where in which log,
what; a payload is left out where it was not asked for, may not be read by who asked, or is gone. Unless the bundle is
sparse, the entries of a log are without gaps, so nothing between the first and the last can have been taken away.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, Final

from maw.core.colony import Said
from maw.core.entry import START, Entry, Head, Kind, decode
from maw.core.identity import ID_BYTES, NodeId, key_text, parse_key
from maw.core.revocation import Revocation, read_revocation
from maw.core.rooms import read_said
from maw.core.sealing import words_of
from maw.core.statement import Statement, colony_id, colony_text, founding_node, read_statement
from maw.errors import MawError

FORMAT: Final = 1
MAX_LINE: Final = 256 * 1024
MAX_PROBLEMS: Final = 100
_MESSAGES: Final = (Kind.POST, Kind.DIRECT)

NOT_ASKED: Final = "not asked for"
NOT_YOURS: Final = "not yours to read"
GONE: Final = ("redacted", "retention", "missing")
"""Why a payload is left out."""

Line = dict[str, Any]


def head_line(
    founding: Statement, node: NodeId, at_ms: int, asked: Mapping[str, Any], *, sparse: bool
) -> Line:
    return {
        "maw-audit": FORMAT, "colony": colony_text(colony_id(founding)), "found": _text(founding.wire),
        "node": key_text(node), "at": at_ms, "asked": dict(asked), "sparse": sparse,
    }  # fmt: skip


def statement_line(wire: bytes) -> Line:
    return {"statement": _text(wire)}


def log_line(author: NodeId, epoch: int) -> Line:
    return {"log": [key_text(author), epoch]}


def entry_line(entry: Entry, why: str | None, key: bytes | None = None) -> Line:
    """``why``: the payload is left out for this reason. ``key``: its content key, where it is sealed."""
    parts = [_text(entry.header), _text(entry.signature)]
    if why is not None or entry.payload is None:
        return {"entry": parts, "why": why or "missing"}
    line: Line = {"entry": [*parts, _text(entry.payload)]}
    return line if key is None else line | {"key": _text(key)}


class Writer:
    """Lines as they are written; ``end`` is the last."""

    def __init__(self) -> None:
        self._hash = blake2b(digest_size=ID_BYTES)
        self._lines = 0

    def line(self, value: Line) -> bytes:
        raw = json.dumps(value, separators=(",", ":")).encode() + b"\n"
        self._hash.update(raw)
        self._lines += 1
        return raw

    def end(self) -> bytes:
        return (
            json.dumps({"end": [self._lines, self._hash.hexdigest()]}, separators=(",", ":")).encode() + b"\n"
        )


@dataclass(frozen=True, slots=True)
class Word:
    """A message that the bundle proves: its place, when its author says it was said (hlc), what it says."""

    author: NodeId
    epoch: int
    seq: int
    hlc: int
    said: Said


@dataclass(slots=True)
class Report:
    """``problems`` empty: all that is there is as it was signed. ``left_out``: payloads, by why."""

    colony: str = ""
    node: str = ""
    asked: dict[str, Any] = field(default_factory=dict)
    sparse: bool = False
    statements: int = 0
    logs: int = 0
    entries: int = 0
    messages: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    beyond: int = 0
    """Entries above the cut of a revocation that stands in the bundle: who held the stolen key may have said them."""
    problems: list[str] = field(default_factory=list)


class Checker:
    """Feed it every line, then ``finish``."""

    def __init__(self) -> None:
        self.report = Report()
        self._number = 0
        self._hash = blake2b(digest_size=ID_BYTES)
        self._colony = b""
        self._members: set[NodeId] = set()
        self._cuts: dict[NodeId, list[Revocation]] = {}
        self._log: tuple[NodeId, int] | None = None
        self._seen: set[tuple[NodeId, int]] = set()
        self._head: Head | None = None
        self._ended = False

    def feed(self, raw: bytes) -> Word | None:
        """One line with its line break. The message it proves, if it is one."""
        self._number += 1
        if self._ended:
            self._problem("something stands behind the end")
            return None
        try:
            line = self._read(raw)
            word = self._take(line, raw)
        except (ValueError, TypeError, KeyError, MawError) as error:
            self._problem(
                error.message if isinstance(error, MawError) else str(error) or type(error).__name__
            )
            word = None
        if not self._ended:
            self._hash.update(raw)
        return word

    def finish(self) -> Report:
        if not self._ended:
            self._problem("the bundle has no end: it was cut off")
        return self.report

    def _read(self, raw: bytes) -> Line:
        if len(raw) > MAX_LINE:
            raise ValueError("the line is too long to be one of a bundle")
        line = json.loads(raw)
        if type(line) is not dict:
            raise ValueError("the line is no JSON object")
        return line

    def _take(self, line: Line, raw: bytes) -> Word | None:
        if self._number == 1:
            self._begin(line)
        elif "statement" in line:
            self._statement(read_statement(_bytes(line["statement"])))
        elif "log" in line:
            self._begin_log(*line["log"])
        elif "entry" in line:
            return self._entry(line)
        elif "end" in line:
            self._end(*line["end"])
        else:
            raise ValueError("the line is none that a bundle has")
        return None

    def _begin(self, line: Line) -> None:
        if line.get("maw-audit") != FORMAT:
            raise ValueError(f"this is no bundle of format {FORMAT}")
        founding = read_statement(_bytes(line["found"]))
        self._colony = colony_id(founding)
        if line["colony"] != colony_text(self._colony):
            raise ValueError("the founding statement is of another Colony than the bundle says")
        if (node := founding_node(founding)) is not None:
            self._members.add(node)
        self.report.colony, self.report.node = str(line["colony"]), str(line["node"])
        self.report.asked, self.report.sparse = dict(line["asked"]), line["sparse"] is True

    def _statement(self, statement: Statement) -> None:
        if statement.colony not in (b"", self._colony):
            raise ValueError("a statement of another Colony")
        self.report.statements += 1
        for name in ("key", "new"):
            if statement.type in ("admit", "rotate") and type(key := statement.fields.get(name)) is bytes:
                self._members.add(NodeId(key))
        if statement.type in ("revoke", "rotate"):
            said = read_revocation(statement)
            self._cuts.setdefault(said.key, []).append(said)

    def _begin_log(self, author: str, epoch: int) -> None:
        self._log = None  # what follows belongs to no log, unless this one is sound
        about = (parse_key(author), epoch)
        if type(epoch) is not int or about in self._seen:
            raise ValueError("a log without an epoch, or a second time")
        self._seen.add(about)
        self._log, self._head = about, None
        self.report.logs += 1
        if about[0] not in self._members:
            raise ValueError(f"{author} was admitted by nobody in this bundle")

    def _entry(self, line: Line) -> Word | None:
        if self._log is None:
            raise ValueError("an entry that stands in no log")
        parts = line["entry"]
        entry = decode(*map(_bytes, parts))
        author, epoch = self._log
        if (entry.author, entry.epoch, entry.colony) != (author, epoch, self._colony):
            raise ValueError("an entry of another log or Colony")
        before, self._head = self._head, entry.head
        self.report.entries += 1
        if not entry.signature_holds():
            raise ValueError(f"entry {entry.seq}: its signature does not hold")
        self._follows(entry, before)
        if any(
            (last := cut.cut.get(epoch)) is None or entry.seq > last.seq for cut in self._cuts.get(author, ())
        ):
            self.report.beyond += 1
        if entry.payload is None:
            self.report.left_out[str(line.get("why"))[:40]] += 1
            return None
        if entry.kind not in _MESSAGES and entry.kind != Kind.PRIVATE:
            return None
        if entry.kind == Kind.PRIVATE and "key" not in line:
            self.report.left_out[NOT_YOURS] += 1
            return None
        kind, content = words_of(entry, _bytes(line["key"]) if "key" in line else None)
        if kind not in _MESSAGES:
            return None
        self.report.messages += 1
        said = read_said(kind, content, sealed=entry.kind == Kind.PRIVATE)
        return Word(author, epoch, entry.seq, entry.hlc, said)

    def _follows(self, entry: Entry, before: Head | None) -> None:
        if before is None:
            if entry.seq == 1 and entry.prev != START.id:
                raise ValueError("the first entry of a log follows another")
            return
        if self.report.sparse and entry.seq > before.seq + 1:
            return
        if entry.seq != before.seq + 1:
            raise ValueError(
                f"entries {before.seq + 1} to {entry.seq - 1} were taken away, or they are out of order"
            )
        if entry.prev != before.id:
            raise ValueError(f"entry {entry.seq} does not follow the one before it")

    def _end(self, lines: int, said: str) -> None:
        self._ended = True
        if (lines, said) != (self._number - 1, self._hash.hexdigest()):
            raise ValueError(
                "what stands before the end is not what was written: a line was changed or taken away"
            )

    def _problem(self, text: str) -> None:
        if len(self.report.problems) < MAX_PROBLEMS:
            self.report.problems.append(f"line {self._number}: {text}")


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _bytes(text: object) -> bytes:
    if type(text) is not str:
        raise ValueError("something is not in base64")
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        raise ValueError("something is not in base64") from None
