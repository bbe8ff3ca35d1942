"""Forks: one log in two branches. Proved, told to everybody, kept apart, and ended by the log's author.

Laws
  1. A fork is proved by two runs of one log that begin at one seq, differ there, and end each in a signature that
     holds. Only so much is carried: headers and signatures, no payloads.
  2. While an epoch is disputed its proof goes to every link that has neither shown it nor been shown it, MAX_SHOWN
     on a link at the most.
  3. Only the author ends a dispute: the ``open`` of a later epoch names, in ``adopts``, a head that the branch which
     counts runs through. Who holds another branch lets go of it from where the two part and takes that one, but not
     before all that the adopting epoch publishes again has arrived: then no message is out of sight in between.
     Nor while it has messages on its own that the author never published again: he is shown them, and does so. Who
     has no link to him shows them where his log comes from; there they are passed on likewise.
  4. Where two branches part is found by showing a ladder of one's own heads (``Locate``); the answer, a Fork, begins
     right after the highest that both hold. Where it does not reach so far, its end is shown next; and likewise where
     it does not reach the adopted head: what came is kept (MAX_GATHERED at most) until that is among it.
  5. Of our own log the others' branch is taken, and what of ours it lacks is published again. Where nobody shows it
     in KEEP_OWN_S, our own branch is adopted. What we adopted once stays adopted: put back to before we did, our chain
     is the one that gives way. Before that, later epochs of ours that are coming back are waited for (homecoming): what
     they publish again is not published once more.
  6. An adoption that was not carried out when the node ended is carried out when it starts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Final

from maw.core.colony import Open
from maw.core.effects import (
    Alert,
    CheckAdoption,
    CheckFork,
    CheckProof,
    Effect,
    Hangup,
    KeepOwn,
    Link,
    ReadBranch,
    Seek,
    Send,
    Settled,
)
from maw.core.entry import MAX_COUNT, Entry, Head, Kind, unpack_payload
from maw.core.frames import Fork, Locate, Proof
from maw.core.held import HeldLogs
from maw.core.identity import NodeId, short_key
from maw.core.log import Adoption, check_run
from maw.core.redaction import may_lack_payload
from maw.errors import ProtocolViolation

MAX_SHOWN: Final = 64
"""Proofs that are shown on one link."""
SEEK_S: Final = 2.0
KEEP_OWN_S: Final = 20.0
MAX_GATHERED: Final = 16 * 1024 * 1024
"""Bytes of a branch that are kept until it is known to be the one that counts."""
_MAX_ADOPTS: Final = 64
"""Branches that one open may adopt."""

Place = tuple[NodeId, int]
"""A log: author and epoch."""


class Verdict(Enum):
    """What to do about a run that contradicts what we hold."""

    NOTHING = "its branch was not adopted, or not as far as it shows"
    LOCATE = "it is wanted, and where it parts from ours is not known yet"
    GATHER = "it may be the branch that its author adopted, and does not reach far enough to tell"
    TAKE = "it is the branch that its author adopted"
    RECLAIM = "it is our own log, as others hold it"
    DISPUTE = "two branches, and nothing says which one counts"


@dataclass(frozen=True, slots=True)
class Parting:
    """Where two runs of one log, of which both tell, differ: ``since`` is the first seq that does.

    ``exact``: what stands below is the same. ``run``: the other branch from there. ``settled``: our own chain runs
    through what ``adoption`` names.
    """

    author: NodeId
    epoch: int
    since: int
    exact: bool
    run: tuple[Entry, ...]
    adoption: Adoption | None = None
    settled: bool = False

    @property
    def through(self) -> Head:
        """The head to adopt when this branch of our own log is taken: what we adopted before this node was put back,
        unless ``run`` goes on from there."""
        if self.adoption is None or self.settled or any(one.head == self.adoption.head for one in self.run):
            return self.run[-1].head
        return self.adoption.head


def where_they_part(ours: Sequence[Entry], theirs: Sequence[Entry]) -> tuple[int, bool] | None:
    """The first seq at which two runs that begin alike differ, and whether the branches really part there.

    None when they do not differ as far as both go.
    """
    for at, (one, other) in enumerate(zip(ours, theirs, strict=False)):
        if one.id != other.id:
            return one.seq, at > 0 or one.prev == other.prev
    return None


def common_end(ours: Sequence[Entry], theirs: Sequence[Entry], top: int) -> Head | None:
    """How far two runs that begin at one place, and do not differ, are known to be the same, where our log goes on
    beyond it, to ``top``: branches may part further up than one answer reaches."""
    both = min(len(ours), len(theirs))
    same = both > 0 and ours[both - 1].id == theirs[both - 1].id
    return ours[both - 1].head if same and ours[both - 1].seq < top else None


def judge(me: NodeId, found: Parting) -> Verdict:
    """What follows from a contradiction (laws 3 and 5)."""
    usable = found.exact and all(
        entry.payload is not None or may_lack_payload(entry.kind) for entry in found.run
    )
    if found.adoption is not None:
        head = found.adoption.head
        if found.settled and found.since <= head.seq:
            return Verdict.NOTHING
        if not found.settled and found.author != me:
            if any(entry.seq == head.seq and entry.id != head.id for entry in found.run):
                return Verdict.DISPUTE
            if not usable:
                return Verdict.LOCATE
            # a run that ends before it may be of any branch, the one we let go of last time too
            return Verdict.TAKE if found.run[-1].seq >= head.seq else Verdict.GATHER
    if found.author == me:
        # a run without any payload is what a proof is made of: whoever has it in full may show it yet
        whole = usable and any(entry.payload is not None for entry in found.run)
        return Verdict.RECLAIM if whole else Verdict.LOCATE
    return Verdict.DISPUTE


def compact(run: Sequence[Entry]) -> tuple[Entry, ...]:
    """The shortest front of ``run`` that proves it, without payloads; ``run`` ends in a signature that holds."""
    for end, entry in enumerate(run, 1):
        if entry.signature_holds():
            return tuple(replace(one, payload=None) for one in run[:end])
    return ()


def is_exact(proof: Proof) -> bool:
    """It begins where the branches part."""
    return proof.one[0].prev == proof.other[0].prev


def check_proof(colony: bytes, proof: Proof) -> None:
    """Raises ProtocolViolation when it proves nothing."""
    for run in (proof.one, proof.other):
        if not run or any((entry.author, entry.epoch) != (proof.author, proof.epoch) for entry in run):
            raise ProtocolViolation("a fork's proof holds entries of several logs, or none", code="bad_fork")
        check_run(colony, Head(run[0].seq - 1, run[0].prev), run)
    if proof.one[0].seq != proof.other[0].seq or proof.one[0].id == proof.other[0].id:
        raise ProtocolViolation("two runs that contradict nothing were shown as a fork", code="bad_fork")


def adoptions(entry: Entry) -> dict[int, Adoption]:
    """epoch -> what this entry says of it, if it is an open that adopts anything."""
    if entry.kind != Kind.OPEN or entry.payload is None:
        return {}
    try:
        said = Open.read(unpack_payload(entry.payload))
    except Exception:  # set aside where it is folded; here it adopts nothing
        return {}
    return {
        epoch: Adoption(Head(seq, head), entry.epoch, said.again)
        for epoch, seq, head in said.adopts[:_MAX_ADOPTS]
        if epoch < entry.epoch
    }


@dataclass(slots=True)
class _Search:
    next_at: float
    asked: set[Link] = field(default_factory=set)
    give_up: float = float("inf")
    """Of our own log: when our own branch is adopted."""
    since: int = 0
    """Where our own log is known to differ from what others hold."""
    gathered: tuple[Entry, ...] = ()
    """The front of a branch, as far as it was shown."""


class Forks:
    """The machine. ``wanted``: whether an author's log is followed here."""

    def __init__(self, me: NodeId, colony: bytes, held: HeldLogs, wanted: Callable[[NodeId], bool]) -> None:
        self._me = me
        self._colony = colony
        self._held = held
        self._wanted = wanted
        self._proofs: dict[Place, Proof] = {}
        self._told: dict[Link, set[tuple[Place, bool]]] = {}
        """Which proofs each link knows, and whether exact ones."""
        self._coming: dict[Place, Adoption] = {}
        self._searches: dict[Place, _Search] = {}
        self._reading: set[Link] = set()
        self._shown_at: dict[Place, float] = {}
        """When something was shown to an author, or towards him."""
        self._vague: set[tuple[Link, Place]] = set()
        """Disputes of which this link was asked once where the branches part."""

    # -- links ------------------------------------------------------------------------------------

    def link_up(self, link: Link) -> list[Effect]:
        self._told[link] = set()
        return self._tell(link, list(self._proofs)[:MAX_SHOWN])

    def link_down(self, link: Link) -> None:
        self._told.pop(link, None)
        self._reading.discard(link)
        self._vague = {(one, place) for one, place in self._vague if one != link}

    def _tell(self, link: Link, places: Iterable[Place]) -> list[Effect]:
        told = self._told[link]
        fresh = [(place, is_exact(self._proofs[place])) for place in places]
        fresh = [item for item in fresh if item not in told][: MAX_SHOWN - len(told)]
        told.update(fresh)
        return [Send(link, self._proofs[place]) for place, _ in fresh]

    # -- what is shown to us ------------------------------------------------------------------------

    def fork(self, link: Link, frame: Fork) -> list[Effect]:
        """Somebody shows a run that contradicts ours, or that follows what both hold."""
        run, place = frame.entries, (frame.author, frame.epoch)
        if not run or not self._wanted(frame.author):
            return []
        if place in self._held.disputed and place not in self._searches and (link, place) not in self._vague:
            return []
        self._vague.discard((link, place))
        if any((entry.author, entry.epoch) != place for entry in run):
            return [Hangup(link, "bad_fork", "a fork's proof holds entries of several logs")]
        try:
            check_run(self._colony, Head(run[0].seq - 1, run[0].prev), run)
        except ProtocolViolation as error:
            return [Hangup(link, error.code, error.message)]
        search = self._searches.get(place)
        if search is not None and search.gathered and run[0].prev == search.gathered[-1].id:
            run = (*search.gathered, *run)
        return [CheckFork(link, frame.author, frame.epoch, run)]

    def gather(
        self, link: Link, author: NodeId, epoch: int, run: tuple[Entry, ...], now: float
    ) -> list[Effect]:
        """``run`` parts from ours and does not tell whether it is of the branch that counts: the same link is asked
        for what follows. Of a branch that nobody looks for nothing is kept."""
        search = self._searches.get((author, epoch))
        if search is None or link not in self._told or sum(entry.size for entry in run) > MAX_GATHERED:
            return []
        search.gathered, search.next_at = run, now + SEEK_S
        return [Seek(link, author, epoch, run[-1].head)]

    def proof(self, link: Link, frame: Proof) -> list[Effect]:
        """Somebody passes on that a log has forked."""
        place, told = (frame.author, frame.epoch), self._told[link]
        if not frame.one or not frame.other:
            return [Hangup(link, "bad_fork", "a fork's proof without entries")]
        item = (place, is_exact(frame))
        if not self._wanted(frame.author) or item in told or len(told) >= MAX_SHOWN:
            return []
        told.add(item)
        known = self._proofs.get(place)
        if place in self._searches or (known and (is_exact(known) or not is_exact(frame))):
            return []
        try:
            check_proof(self._colony, frame)
        except ProtocolViolation as error:
            return [Hangup(link, error.code, error.message)]
        return [CheckProof(link, frame.author, frame.epoch, frame.one, frame.other)]

    def locate(self, link: Link, frame: Locate) -> list[Effect]:
        """One at a time: each costs a read of ours."""
        if link in self._reading:
            return []
        self._reading.add(link)
        return [ReadBranch(link, frame.author, frame.epoch, frame.heads)]

    def branch_read(self, link: Link, author: NodeId, epoch: int, entries: Sequence[Entry]) -> list[Effect]:
        self._reading.discard(link)
        return [Send(link, Fork(author, epoch, tuple(entries)))] if link in self._told else []

    def show_author(
        self, links: Iterable[Link], author: NodeId, epoch: int, run: tuple[Entry, ...], now: float
    ) -> list[Effect]:
        """A run that he let go of, with messages that he never published again; ``links`` lead to him. Now and then:
        who showed it to us does so until he has."""
        if now < self._shown_at.get((author, epoch), float("-inf")) + SEEK_S / 2:
            return []
        self._shown_at[author, epoch] = now
        return [Send(link, Fork(author, epoch, run)) for link in links]

    # -- disputes -----------------------------------------------------------------------------------

    def disputed(self, proof: Proof) -> list[Effect]:
        """The dispute is durable: tell everybody who has not told us."""
        place = (proof.author, proof.epoch)
        self._proofs[place] = proof
        return [effect for link in self._told for effect in self._tell(link, [place])]

    def narrow(self, link: Link, author: NodeId, epoch: int) -> list[Effect]:
        """A dispute was noted, but not where the branches part: whoever showed the other one is asked, once."""
        self._vague.add((link, (author, epoch)))
        return [Seek(link, author, epoch)]

    def own_disputed(self, epoch: int, since: int, now: float) -> list[Effect]:
        """A proof says that our own log has forked, and differs at ``since``: look for the branch that is not ours."""
        search = self._searches.setdefault((self._me, epoch), _Search(now))
        search.since = since
        search.give_up = min(search.give_up, now + KEEP_OWN_S)
        return self.tick(now)

    def settled(self, author: NodeId, epoch: int) -> list[Effect]:
        """What we hold of this epoch is the adopted branch, as far as it goes."""
        place = (author, epoch)
        was = place in self._held.disputed
        self._held.disputed.discard(place)
        self._proofs.pop(place, None)
        self._searches.pop(place, None)
        self._coming.pop(place, None)
        for told in self._told.values():
            told -= {(place, True), (place, False)}
        if not was or any(who == author for who, _ in self._held.disputed):
            return []
        text = f"node {short_key(author)} has said which branch of its log counts: the dispute is over"
        return [Settled("fork", short_key(author)), Alert("fork_settled", short_key(author), text)]

    # -- adoption -----------------------------------------------------------------------------------

    def committed(self, entries: Iterable[Entry]) -> list[Effect]:
        """These are durable: some may say which branch counts, or complete what such an epoch publishes again."""
        for entry in entries:
            if entry.seq == 1:
                self.adopted(entry.author, adoptions(entry))
        return self._ripe() if self._coming else []

    def adopted(self, author: NodeId, said: dict[int, Adoption]) -> None:
        """The author's word on its forked epochs; of several opens the latest counts."""
        for epoch, adoption in said.items():
            known = self._coming.get((author, epoch))
            if known is None or known.by < adoption.by:
                self._coming[author, epoch] = adoption

    def postponed(self, author: NodeId, epoch: int, adoption: Adoption) -> list[Effect]:
        """It could not be looked at, or not be noted: the next tick brings it again."""
        self.adopted(author, {epoch: adoption})
        return []

    def _ripe(self) -> list[Effect]:
        ripe = [
            (place, adoption)
            for place, adoption in self._coming.items()
            if self._held.head(place[0], adoption.by).seq >= adoption.again
        ]
        for place, _ in ripe:
            del self._coming[place]
        return [CheckAdoption(author, epoch, adoption) for (author, epoch), adoption in ripe]

    def seek(self, author: NodeId, epoch: int, now: float) -> list[Effect]:
        """Another branch than ours counts: ask one link after the other for it."""
        self._searches.setdefault((author, epoch), _Search(now))
        return self.tick(now)

    def tick(self, now: float) -> list[Effect]:
        effects = self._ripe() if self._coming else []
        for (author, epoch), search in list(self._searches.items()):
            if now >= search.give_up and author == self._me:
                del self._searches[author, epoch]
                effects.append(KeepOwn(epoch, search.since))
            elif now >= search.next_at and (link := self._next(search)) is not None:
                search.next_at = now + SEEK_S
                effects.append(Seek(link, author, epoch))
        return effects

    def _next(self, search: _Search) -> Link | None:
        left = [link for link in self._told if link not in search.asked]
        if not left:
            search.asked.clear()
            left = list(self._told)
        if not left:
            return None
        search.asked.add(left[0])
        return left[0]


def ladder(top: int) -> list[int]:
    """The seqs to show of a log that ends at ``top``: dense above, doubling below, the first last."""
    steps: list[int] = []
    at, step = top, 1
    while at > 0:
        steps.append(at)
        at, step = at - step, min(2 * step, MAX_COUNT)
    return [*steps, 1] if steps and steps[-1] != 1 else steps
