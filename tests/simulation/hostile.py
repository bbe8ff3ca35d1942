"""A node that lies: the real machines, and what leaves them is changed on its way out.

What each knob of ``HOSTILE`` does
  forger      signs two branches of its own log and shows one to half of its peers, the other to the rest
  impostor    goes on with other nodes' logs in their name, without their key
  bad_signer  signs some entries badly and a later one well, so that a run is good and a part of it is not
  liar        announces heads that nobody holds, of logs that exist and of epochs that do not
  withholder  says it follows, says it is up to date, and sends nothing of what others wrote
  censor      passes others' words on without their payloads, says it has them, and redacts in its own log what others
              said
  dripper     sends what others wrote at a few bytes a second
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import msgpack

from maw.core.effects import CheckAdoption, CheckFork, CheckProof, KeepOwn, Link, ReadBranch, Seek
from maw.core.entry import Entry, Head, Kind, decode, hash_payload, make, pack_payload
from maw.core.frames import Entries, Follow, Fork, Frame, Have, Held, LogName, Mend
from maw.core.identity import DOMAIN_ENTRY, SIGNATURE_BYTES, Signer
from tests.simulation.node import SimNode, Surroundings

DRIP_RATE: Final = 30.0
"""Bytes a second."""
LIES: Final = 0.3
"""Share of its frames of one kind to which it adds something untrue."""
FIRST_INVENTED: Final = 1_000_000
"""Numbers of logs that only the liar names."""


class HostileNode(SimNode):
    """One node that does what the knobs of its run say."""

    hostile = True

    def __init__(self, around: Surroundings, index: int, signer: Signer) -> None:
        super().__init__(around, index, signer)
        self._twins: dict[bytes, Entry] = {}
        """By the id of the entry that stands in their place on our disk."""
        self._originals: dict[bytes, Entry] = {}
        """By the id of their twin."""
        self._dripped: dict[Link, float] = {}
        """When the last of what drips will have gone out."""

    def acknowledge(self, entries: object) -> None:
        """What a hostile node promises is worth nothing."""

    # -- two branches -----------------------------------------------------------------------------------

    def before_writing(self, entries: list[Entry]) -> list[Entry]:
        if self.around.knobs.has("bad_signer"):
            entries = self._sign_badly(entries)
        if self.around.knobs.has("forger"):
            self._branch(entries)
        return entries

    def _sign_badly(self, entries: list[Entry]) -> list[Entry]:
        """The chain once more, with bad signatures before the last; ids cover them, so it is a chain."""
        head = Head(entries[0].seq - 1, entries[0].prev)
        made: list[Entry] = []
        for at, old in enumerate(entries):
            assert old.payload is not None
            entry = make(self.signer, old.colony, old.epoch, head, old.hlc, old.kind, old.payload)
            if at < len(entries) - 1 and self.around.rng.random() < 0.7:
                entry = decode(entry.header, bytes(SIGNATURE_BYTES), entry.payload)
                self.around.trace.count("entries with a bad signature within a run")
            head = entry.head
            made.append(entry)
        return made

    def _branch(self, entries: list[Entry]) -> None:
        """A second entry for each place after the first of an epoch."""
        for entry in entries:
            before = self._twins.get(entry.prev)
            if entry.kind == Kind.OPEN:
                continue
            head = before.head if before else Head(entry.seq - 1, entry.prev)
            payload = pack_payload(self.around.rng.randbytes(16), {"n": -entry.seq, "text": "y"})
            twin = make(self.signer, entry.colony, entry.epoch, head, entry.hlc, entry.kind, payload)
            self._twins[entry.id] = twin
            self._originals[twin.id] = entry

    def _shows_twins(self, link: Link) -> bool:
        peer = next((index for index, number in self.linked.items() if number == link), 0)
        return self.around.knobs.has("forger") and peer % 2 == 1

    def _changed(self, entries: tuple[Entry, ...]) -> tuple[Entry, ...]:
        changed = tuple(self._twins.get(entry.id) or entry for entry in entries)
        fresh = sum(a is not b for a, b in zip(changed, entries, strict=True))
        self.around.trace.count("entries signed twice and shown both ways", fresh)
        return changed

    def _as_twin(self, head: Head) -> Head:
        twin = self._twins.get(head.id)
        return twin.head if twin else head

    def _receive(self, link: Link, frame: Frame) -> None:
        """Who was shown the other branch asks from there: the machine is told its own."""
        if isinstance(frame, Follow) and frame.author == self.key:
            heads = tuple(
                (epoch, self._originals[head.id].head if head.id in self._originals else head)
                for epoch, head in frame.heads
            )
            frame = replace(frame, heads=heads)
        super()._receive(link, frame)

    def on_fork(self, effect: CheckFork | CheckProof | CheckAdoption | ReadBranch | Seek | KeepOwn) -> None:
        """Its own log it leaves in two branches."""
        if isinstance(effect, KeepOwn) or (effect.author == self.key and not isinstance(effect, ReadBranch)):
            return
        super().on_fork(effect)

    # -- what goes out ------------------------------------------------------------------------------------

    def send(self, link: Link, frame: Frame) -> None:
        knobs = self.around.knobs
        if self._shows_twins(link):
            if isinstance(frame, Entries):
                frame = Entries(self._changed(frame.entries))
            elif isinstance(frame, Fork) and frame.author == self.key:
                frame = replace(frame, entries=self._changed(frame.entries))
            elif isinstance(frame, Have):
                heads = tuple(replace(held, head=self._as_twin(held.head)) for held in frame.heads)
                frame = replace(frame, heads=heads)
        if isinstance(frame, Have) and knobs.has("liar") and self.around.rng.random() < LIES:
            frame = self._lie(frame)
        if isinstance(frame, Entries) and knobs.has("withholder"):
            kept = tuple(entry for entry in frame.entries if entry.author == self.key)
            self.around.trace.count("entries withheld", len(frame.entries) - len(kept))
            if not kept:
                return
            frame = Entries(kept)
        if isinstance(frame, Entries | Mend) and knobs.has("censor"):
            frame = replace(frame, entries=tuple(self._censored(entry) for entry in frame.entries))
        if isinstance(frame, Entries) and knobs.has("impostor") and self.around.rng.random() < LIES:
            frame = Entries((*frame.entries, *self._in_their_name(frame.entries[-1])))
        if isinstance(frame, Entries) and knobs.has("dripper"):
            self._drip(link, frame)
            return
        super().send(link, frame)

    def _censored(self, entry: Entry) -> Entry:
        """About half of what others say: the same each time."""
        if entry.author == self.key or entry.payload is None or entry.kind != Kind.POST or entry.id[0] % 2:
            return entry
        self.around.trace.count("payloads withheld")
        return replace(entry, payload=None)

    def _lie(self, frame: Have) -> Have:
        """One head far beyond what anybody wrote, and one of an epoch that was never opened."""
        rng, places = self.around.rng, sorted(self.disk.rows.logs)
        author, epoch = rng.choice(places) if places else (self.key, 1)
        self.around.trace.count("heads announced that nobody holds", 2)
        number = FIRST_INVENTED + rng.getrandbits(30)
        far = self.disk.rows.head(author, epoch).seq + rng.randint(1, 500)
        names = (LogName(number, author, epoch), LogName(number + 1, author, epoch + rng.randint(1, 9)))
        heads = (
            Held(number, Head(far, rng.randbytes(32)), complete=True),
            Held(number + 1, Head(rng.randint(1, 9), rng.randbytes(32)), complete=True),
        )
        return Have((*frame.names, *names), (*frame.heads, *heads), frame.closed)

    def _in_their_name(self, last: Entry) -> tuple[Entry, ...]:
        """What would come next in that log, signed with a key that is not its author's."""
        if last.author == self.key:
            return ()
        self.around.trace.count("entries forged in another's name")
        payload = pack_payload(self.around.rng.randbytes(16), {"n": 0, "text": "z"})
        head = [1, last.colony, last.author, last.epoch, last.seq + 1, last.id, last.hlc, int(Kind.POST)]
        header: bytes = msgpack.packb([*head, hash_payload(payload), len(payload)])
        return (decode(header, self.signer.sign(DOMAIN_ENTRY, header), payload),)

    def _drip(self, link: Link, frame: Entries) -> None:
        size = sum(entry.size for entry in frame.entries)
        self.around.trace.count("entries dripped", len(frame.entries))
        self._dripped[link] = max(self._dripped.get(link, 0.0), self.now) + size / DRIP_RATE
        self.around.clockwork.at(self._dripped[link], super().send, link, frame)
