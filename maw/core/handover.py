"""What goes along with an agent that moves: its mailbox as it stood, the content keys of what it could read, what it
watches. Written by its old host, as a file that is sealed for the new one.

    {"v": 1, "logs": [[author, epoch, seq], ...], "mail": [[log, seq, why, delivered, via, read, acked, untold], ...],
     "keys": [[log, seq, id, key], ...], "watches": [[channel, wakes], ...], "quiet": text or nil}

Seqs of messages are one replica's own, so each is named by its place in its author's log. ``logs`` says how far the old
host had read each: what is above it the new host looks through itself, and gives again rather than not at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import msgpack

from maw.core.entry import MAX_COUNT, Position
from maw.core.lent import Loan, read_id, read_key, read_place
from maw.core.states import VIAS

VERSION: Final = 1
WHYS: Final = ("direct", "mention", "group", "watched")
MAX_QUIET: Final = 1000
MAX_BYTES: Final = 16 << 20
"""Of one packed: some 400,000 messages, or 200,000 keys. It is taken apart in memory."""


class Mail(NamedTuple):
    """One message in the mailbox; times in ms. ``untold``: up to which state (0 to 3) its author is not told yet."""

    place: Position
    why: str
    delivered: int | None
    via: str | None
    read: int | None
    acked: int | None
    untold: int | None


class Handover(NamedTuple):
    heads: tuple[Position, ...]
    mail: tuple[Mail, ...]
    keys: tuple[Loan, ...]
    watches: tuple[tuple[str, bool], ...]
    quiet: str | None

    def pack(self) -> bytes:
        logs = {(one.author, one.epoch): n for n, one in enumerate(self.heads)}
        heads = [list(one) for one in self.heads]

        def place(at: Position) -> list[int]:
            if (log := (at.author, at.epoch)) not in logs:
                logs[log] = len(heads)
                heads.append([at.author, at.epoch, 0])
            return [logs[log], at.seq]

        mail = [[*place(one.place), *one[1:]] for one in self.mail]
        keys = [[*place(one.position), one.id, one.key] for one in self.keys]
        packed: bytes = msgpack.packb(
            {
                "v": VERSION, "logs": heads, "mail": mail, "keys": keys,
                "watches": [list(one) for one in self.watches], "quiet": self.quiet,
            }
        )  # fmt: skip
        return packed

    @classmethod
    def unpack(cls, data: bytes) -> Handover:
        """Raises ValueError on anything malformed."""
        if len(data) > MAX_BYTES:
            raise ValueError(f"its mailbox is larger than {MAX_BYTES >> 20} MiB")
        try:
            content = msgpack.unpackb(data)
        except Exception as error:  # msgpack raises many kinds
            raise ValueError(f"it is no handover: {error}") from None
        if type(content) is not dict or content.get("v") != VERSION:
            raise ValueError("it is no handover that this version reads")
        heads = tuple(read_place(_listed(one, 3)) for one in _list(content, "logs"))
        quiet = content.get("quiet")
        if quiet is not None and (type(quiet) is not str or len(quiet) > MAX_QUIET):
            raise ValueError("quiet is no text")
        return cls(
            heads,
            tuple(_mail(_listed(one, 8), heads) for one in _list(content, "mail")),
            tuple(_key(_listed(one, 4), heads) for one in _list(content, "keys")),
            tuple(_watch(_listed(one, 2)) for one in _list(content, "watches")),
            quiet,
        )


def _list(content: dict[str, Any], key: str) -> list[Any]:
    value = content.get(key)
    if type(value) is not list:
        raise ValueError(f"{key} is no list")
    return value


def _listed(value: object, count: int) -> list[Any]:
    if type(value) is not list or len(value) != count:
        raise ValueError(f"a row is no list of {count}")
    return value


def _place(log: object, seq: object, heads: Sequence[Position]) -> Position:
    if type(log) is not int or not 0 <= log < len(heads):
        raise ValueError("a row is of no log that is named")
    if type(seq) is not int or not 0 < seq <= MAX_COUNT:
        raise ValueError("a row is at no place of a log")
    return heads[log]._replace(seq=seq)


def _mail(row: list[Any], heads: Sequence[Position]) -> Mail:
    log, seq, why, delivered, via, read, acked, untold = row
    if why not in WHYS or (via is not None and via not in VIAS):
        raise ValueError("mail is there for no reason that is known")
    for at in (delivered, read, acked, untold):
        if at is not None and (type(at) is not int or not 0 <= at <= MAX_COUNT):
            raise ValueError("mail was there at no time")
    return Mail(_place(log, seq, heads), why, delivered, via, read, acked, untold)


def _key(row: list[Any], heads: Sequence[Position]) -> Loan:
    return Loan(_place(row[0], row[1], heads), read_id(row[2]), read_key(row[3]))


def _watch(row: list[Any]) -> tuple[str, bool]:
    if type(row[0]) is not str or len(row[0]) > 80 or type(row[1]) is not bool:
        raise ValueError("watches holds something that is no channel")
    return row[0], row[1]
