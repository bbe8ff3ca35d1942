"""Deliberate bugs: each one small patch, and how many seeds the simulator takes to see it.

``in_model`` marks bugs that are put into the simulator's own model of runtime and store, where the daemon has
its counterpart in code that the simulator does not run. The others are put into ``maw`` itself. ``had``: maw
had it once.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median
from typing import Any, Final

from maw.core import following, progress
from maw.core.announcing import HAVE_INTERVAL_S, Announcing
from maw.core.arriving import Arriving
from maw.core.effects import Append, Effect, Send
from maw.core.entry import Entry, Head, Kind
from maw.core.following import Followed
from maw.core.frames import Credit, Follow, UpToDate
from maw.core.gossip import Gossip
from maw.core.held import HeldLogs
from maw.core.identity import NodeId
from maw.core.log import check_run
from maw.core.mending import Mending
from maw.core.redaction import Range
from maw.core.serving import Serving
from maw.errors import ProtocolViolation
from tests.simulation import forking, rules, writing
from tests.simulation.disk import Disk, Rows
from tests.simulation.knobs import Knobs, chosen, draw
from tests.simulation.marking import Marking
from tests.simulation.node import SimNode
from tests.simulation.readers import PAGE, Reader
from tests.simulation.rules import Rules
from tests.simulation.trace import Violation
from tests.simulation.world import run_knobs
from tests.simulation.writing import Writing

_link_down = Followed.link_down
_discarded = Followed.discarded
_entries = Followed.entries
_disputed = Followed.disputed
_take = Arriving.take
_mark = Marking.mark
_arriving_discarded = Arriving.discarded
_asked = Serving._asked
_post = Writing.post


def _advance_early(self: Arriving, link: int, size: int, entries: Sequence[Any], tops: Any) -> Any:
    self._held.advance(entries)
    return _take(self, link, size, entries, tops)


def _announce_early(self: Followed, link: int, frame: Any, now: float) -> list[Effect]:
    effects = _entries(self, link, frame, now)
    for effect in list(effects):
        if isinstance(effect, Append):
            self._held.advance(effect.entries)
            effects.append(Send(link, Credit(sum(entry.size for entry in effect.entries))))
    return effects


def _acknowledge_early(self: Writing, count: int, size: int) -> None:
    """Signed in memory and answered; on the disk soon."""
    node = self._node
    promised: list[Entry] = []
    before = node.before_writing

    def remember(entries: list[Entry]) -> list[Entry]:
        made = before(entries)
        promised.extend(made)
        return made

    rows, epoch_due = node.disk.rows, self.new_epoch
    node.before_writing = remember  # type: ignore[method-assign]
    node.disk.rows = self._rows = rows.copy()
    try:
        self._write(count, size)
    finally:
        node.disk.rows = self._rows = rows
        node.before_writing = before  # type: ignore[method-assign]
        self.new_epoch = epoch_due
    node.acknowledge([entry for entry in promised if entry.payload and entry.kind == Kind.POST])
    _post(self, count, size)


def _no_sync(self: Disk) -> None:
    """PRAGMA synchronous = OFF."""


def _time_page(self: Reader, rows: Rows, cursor: int) -> list[tuple[int, Entry]]:
    found = sorted(rows.visible, key=lambda entry: (entry.hlc, entry.position))
    return [(entry.hlc, entry) for entry in found if entry.hlc > cursor][:PAGE]


def _stay_on_dead_link(self: Followed, link: int, now: float) -> list[Effect]:
    stuck = [track for track in self._tracks.values() if track.link == link]
    effects = _link_down(self, link, now)
    for track in stuck:
        track.link = link
    return effects


def _never_overdue(self: Followed, author: Any, track: Any, now: float) -> list[Effect]:
    return []


def _ask_again(self: Followed, author: Any, track: Any, now: float) -> list[Effect]:
    return self._choose(author, now, moving=True)


def _never_ask(self: Gossip) -> list[Effect]:
    return []


def _tell_nobody(self: Gossip, statements: Any, source: Any) -> list[Effect]:
    self._arrived(s.id for s in statements)
    return self.trust_changed()


def _write_doomed(self: Followed, batch: int) -> bool:
    return False


def _keep_credit(self: Followed, batch: int) -> list[Effect]:
    return [e for e in _discarded(self, batch) if not (isinstance(e, Send) and isinstance(e.frame, Credit))]


def _keep_tentative(self: Arriving, number: int) -> Any:
    before = dict(self._tentative)
    answer = _arriving_discarded(self, number)
    self._tentative.update(before)
    return answer


def _check_by_batch(colony: bytes, head: Head, run: Sequence[Entry]) -> None:
    check_run(colony, head, run)
    if not all(entry.signature_holds() for entry in run):
        raise ProtocolViolation("a signature of this batch is bad", code="forged")


def _check_no_signature(colony: bytes, head: Head, run: Sequence[Entry]) -> None:
    seq, last = head
    for entry in run:
        if (entry.seq, entry.prev) != (seq + 1, last):
            check_run(colony, head, run)
        seq, last = entry.head


def _send_back(self: Serving, link: int, entries: Any) -> None:
    pass


def _same_epoch(**facts: Any) -> str | None:
    return None if facts["last"] else "first"


def _no_jump(why: str) -> bool:
    return False


def _newest_and_one(newest: int, now_ms: int, chance: int) -> int:
    return max(newest + 1, now_ms)


def _ask_from_the_first(self: Serving, outlet: Any, author: NodeId) -> Any:
    return outlet.questions.pop(author)


def _no_dispute(self: Followed, author: NodeId, epoch: int) -> list[Effect]:
    return []


def _say_once(self: Announcing, now: float) -> list[Effect]:
    """Whatever changed while the interval runs is forgotten."""
    if not self._dirty:
        return []
    dirty, self._dirty = self._dirty, {}
    if now < self._last + HAVE_INTERVAL_S:
        return []
    self._last = now
    return [effect for link in self._ears for effect in self._say(link, dirty)]


def _follow_from_nothing(self: Followed, author: NodeId, track: Any) -> list[Effect]:
    track.serial, self._next_serial = self._next_serial, self._next_serial + 1
    track.ready = False
    assert track.link is not None
    return [Send(track.link, Follow(author, track.serial, ()))]


def _no_restart_of_fork(self: SimNode, effect: Any) -> None:
    """A proof is believed and forgotten at once."""


def _search_no_further(ours: Any, theirs: Any, top: int) -> None:
    return None


def _cut_nothing(self: HeldLogs, cuts: Any) -> None:
    """A revoked key's log is held on, whatever stands above the cut."""


def _live_without_queue(self: Serving, link: int, author: NodeId, cursor: Any) -> list[Effect]:
    cursor.live = True
    if cursor.told:
        return self._pump(link)
    cursor.told = True
    return [Send(link, UpToDate(author, cursor.serial)), *self._pump(link)]


def _blind_clock(self: Writing) -> None:
    pass


def _nothing_ahead(self: Rules, position: Any) -> bool:
    return False


def _anybody_may(entry: Entry, rule: Any) -> bool:
    return True


def _want_nothing(self: Mending, wanted: Any, now: float) -> list[Effect]:
    return []


def _mark_early(self: Marking, entry: Entry, rank: int) -> None:
    """The author is told although the disk may refuse it."""
    rows = self._node.disk.rows
    if rows.marks.get(entry.id, 0) < rank:
        rows.untold[entry.id] = rank
        _mark(self, entry, rank)


def _as_one_range(seqs: Iterable[int]) -> list[Range]:
    """What lies between is told too."""
    found = list(seqs)
    return [(min(found), max(found))]


def _tell_the_first(self: Marking, entries: Sequence[Entry]) -> None:
    """What speaks of a message that is not here is passed over."""
    for entry in entries:
        if entry.kind == Kind.PROGRESS and entry.author != self._node.key:
            self._take(entry)


def _look_on(self: Mending, *_: Any) -> list[Effect]:
    return []


@dataclass(frozen=True, slots=True)
class Mutant:
    """``owner.name`` is replaced by ``bug``; caught within ``bound`` seeds from any start.

    ``aim``: knobs that are on in each of its seeds; the others are as drawn. ``rare``: it takes so many seeds that
    only the report looks for it, not the tests.
    """

    what: str
    owner: Any
    name: str
    bug: Callable[..., Any]
    bound: int
    aim: tuple[str, ...] = ()
    nodes: int = 3
    in_model: bool = False
    had: bool = False
    rare: bool = False

    def knobs(self, seed: int) -> Knobs:
        drawn = draw(seed, self.nodes)
        return chosen(drawn, drawn.faults | set(self.aim))


MUTANTS: Final = (
    Mutant("acknowledged before the commit", Writing, "post", _acknowledge_early, 10, in_model=True),
    Mutant("a commit without its sync", Disk, "flush", _no_sync, 20, ("power_cut",), in_model=True),
    Mutant("a head moved before its append", Arriving, "take", _advance_early, 10),
    Mutant("held and credited before the commit", Followed, "entries", _announce_early, 10),
    Mutant("a cursor by time", Reader, "page", _time_page, 10, in_model=True),
    Mutant("cursors go on below a restored database", writing, "cursors_may_be_ahead", _no_jump, 20, ("restored",)),
    Mutant("the same epoch after a restored database", writing, "why_new_epoch", _same_epoch, 20, ("restored",)),
    Mutant("a clock that jumped is not looked at", Writing, "look_at_clocks", _blind_clock, 60, ("snapshot",),
           in_model=True),
    Mutant("two copies count their epochs alike", writing, "fresh_epoch", _newest_and_one, 80,
           ("copied", "clock_jump", "power_cut"), had=True, rare=True),
    Mutant("a follow stayed on a dead link", Followed, "link_down", _stay_on_dead_link, 10),
    Mutant("an overdue follow is not moved", Followed, "_overdue", _never_overdue, 20, ("withholder",), 6),
    Mutant("an overdue follow begins again over the same link", Followed, "_overdue", _ask_again, 60,
           ("slow_link",), had=True, rare=True),
    Mutant("statements passed over are never asked for again", Gossip, "trust_changed", _never_ask, 80,
           had=True, rare=True),
    Mutant("new statements are not passed on", Gossip, "committed", _tell_nobody, 20, ("pairing",)),
    Mutant("written though the batch before was lost", Followed, "doomed", _write_doomed, 80,
           ("disk_refuses", "deleted", "power_cut", "clock_jump"), had=True, rare=True),
    Mutant("credit is not returned on a discard", Followed, "discarded", _keep_credit, 20, ("disk_refuses",)),
    Mutant("tentative heads outlive a discard", Arriving, "discarded", _keep_tentative, 20, ("disk_refuses",)),
    Mutant("validity by batch", following, "check_run", _check_by_batch, 20, ("bad_signer",)),
    Mutant("no signature is checked", following, "check_run", _check_no_signature, 40, ("impostor",)),
    Mutant("entries go back to where they came from", Serving, "heard_from", _send_back, 40),
    Mutant("live before the backlog is sent", Serving, "_proceed", _live_without_queue, 10),
    Mutant("a moved follow begins at nothing", Followed, "_refollow", _follow_from_nothing, 30),
    Mutant("a have said too soon is forgotten", Announcing, "tick", _say_once, 10),
    Mutant("a question about a fork reads older epochs", Serving, "_next_question", _ask_from_the_first, 80,
           ("forger", "bursts", "power_cut"), had=True, rare=True),
    Mutant("a proof of a fork is passed over", SimNode, "on_fork", _no_restart_of_fork, 20, ("forger",),
           in_model=True),
    Mutant("a parting further up than an answer reaches is not found", forking, "common_end", _search_no_further, 80,
           ("forked", "bursts", "apart"), had=True, rare=True),
    Mutant("what is above a revocation's cut is held on", HeldLogs, "cut", _cut_nothing, 60, ("revoked",)),
    Mutant("a rule that comes before what it names is forgotten", Rules, "covers", _nothing_ahead, 30, ("redacted",),
           in_model=True),
    Mutant("anybody may redact", rules, "may_redact", _anybody_may, 20, ("censor",)),
    Mutant("a payload that is missing is not asked for", Mending, "want", _want_nothing, 20, ("censor",)),
    Mutant("an author hears of a mark before it is on the disk", Marking, "mark", _mark_early, 20,
           ("marked", "disk_refuses"), in_model=True),
    Mutant("what lies between two marks is told too", progress, "as_ranges", _as_one_range, 10, ("marked",)),
    Mutant("what is told of messages that are coming back is passed over", Marking, "fold", _tell_the_first, 40,
           ("marked", "deleted"), in_model=True),
    Mutant("what was redacted is looked for on", Mending, "ruled", _look_on, 60, ("redacted", "censor"),
           rare=True),
)  # fmt: skip


@contextmanager
def applied(mutant: Mutant) -> Iterator[None]:
    """The bug is in while the block lasts."""
    right = getattr(mutant.owner, mutant.name)
    setattr(mutant.owner, mutant.name, mutant.bug)
    try:
        yield
    finally:
        setattr(mutant.owner, mutant.name, right)


def caught(mutant: Mutant, start: int, bound: int) -> tuple[int, str] | None:
    """After how many seeds from ``start``, and by which checker; None when it escaped.

    An exception of the machine's own (an assertion, a missing key) is noticed too: as "broken". The seed that
    sees the bug is run without it as well, and does not count when something is seen then too: that is told.
    """
    for seed in range(start, start + bound):
        checker = ""
        with applied(mutant):
            try:
                run_knobs(mutant.knobs(seed))
            except Violation as violation:
                checker = violation.checker
            except Exception:
                checker = "broken"
        if checker and _is_clean(mutant.knobs(seed)):
            return seed - start + 1, checker
    return None


def _is_clean(knobs: Knobs) -> bool:
    try:
        run_knobs(knobs)
    except Violation as violation:
        print(f"without any bug: {violation}\n{knobs}", file=sys.stderr)
        return False
    return True


STARTS: Final = (0, 1_000, 2_000)


def report(skip: int = 0) -> int:
    """Prints the table of docs/testing.md, without the first ``skip`` rows; 1 when a bug escaped."""
    escaped = 0
    print(
        "| bug | in | knobs always on | caught by | seeds: median | most |\n|---|---|---|---|---|---|",
        flush=True,
    )
    for mutant in MUTANTS[skip:]:
        found = [caught(mutant, start, mutant.bound) for start in STARTS]
        seeds = [hit[0] if hit else mutant.bound + 1 for hit in found]
        checkers = Counter(hit[1] for hit in found if hit)
        where = "model" if mutant.in_model else "maw"
        by = ", ".join(name for name, _ in checkers.most_common()) or "ESCAPED"
        what = mutant.what + (" (maw had it)" if mutant.had else "")
        most = str(max(seeds)) if None not in found else f"> {mutant.bound}"
        escaped += None in found
        aim = ", ".join(mutant.aim) or "–"
        print(f"| {what} | {where} | {aim} | {by} | {median(seeds):g} | {most} |", flush=True)
    return 1 if escaped else 0
