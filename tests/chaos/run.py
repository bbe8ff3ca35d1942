"""One run: hosts are made and paired, the load begins, faults come and go, all heals, all is looked at."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Final

from tests.chaos import schedule
from tests.chaos.box import Box, Heads, faketime, patiently
from tests.chaos.faults import Faults, is_kept
from tests.chaos.reading import Reader, read_all, state_of
from tests.chaos.schedule import Fault, plan
from tests.chaos.talking import CHANNELS, Speaker
from tests.chaos.verdict import OVER, Evidence, Finding, Word, judge
from tests.e2e.lab import Lab, wait_until

HOSTS: Final = 5
HEAL_S: Final = 180.0
SETTLE_S: Final = 60.0
HEAR_S: Final = 30.0
SAMPLE: Final = 500
"""Direct messages that nobody said were read, and of which that is looked at."""

Told = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Outcome:
    seed: int
    faults: Sequence[Fault]
    findings: Sequence[Finding]
    accepted: int
    seconds: float
    """Of load."""
    healed_s: float
    """From the end of the load until every replica was the same."""
    refusals: dict[str, int]

    @property
    def good(self) -> bool:
        return all(finding.good for finding in self.findings)


def missing_kinds() -> dict[str, str]:
    """Kinds of fault that this machine cannot have, and why."""
    return {} if faketime() else {schedule.CLOCK: "needs libfaketime: apt-get install -y libfaketime"}


def carry_out(seed: int, seconds: float, rate: float, told: Told) -> Outcome:
    """A whole run. Raises AssertionError when it cannot even be carried out."""
    faults = plan(seed, seconds, HOSTS, without=missing_kinds())
    with ExitStack() as stack:
        lab = stack.enter_context(Lab(HOSTS))
        boxes = _boxes(lab, stack)
        lab.wait_for_mesh()
        pair(boxes)
        told(f"{HOSTS} hosts know each other; {len(faults)} faults to come in {seconds:g} s of load")
        return Run(seed, boxes, faults, seconds, rate, told).all()


def _boxes(lab: Lab, stack: ExitStack) -> list[Box]:
    boxes = []
    for number, host in enumerate(lab.hosts):
        box = Box(host, f"h{number + 1}", lab.directory)
        stack.callback(box.close)
        boxes.append(box)
    return boxes


def pair(boxes: Sequence[Box]) -> None:
    """The first invites all others; every host has its agents, and all know all."""
    for box in boxes:
        box.found()
        box.up()
    line = boxes[0].maw("invite", "--uses", str(len(boxes))).strip()
    for box in boxes[1:]:
        box.maw("join", line)
    boxes[0].maw("channel", "create", CHANNELS[1], "--as", "root")
    for box in boxes:
        for agent in box.agents:
            box.post("/api/users", {"username": agent})
    names = {f"{agent}@{box.name}" for box in boxes for agent in box.agents}
    for box in boxes:
        wait_until(lambda box=box: names <= _users(box), f"{box.name} knows every agent", SETTLE_S)  # type: ignore[misc]
        wait_until(
            lambda box=box: {item["name"] for item in box.get("/api/channels")} >= {CHANNELS[1]},  # type: ignore[misc]
            f"{box.name} knows the channels",
            SETTLE_S,
        )


def _users(box: Box) -> set[str]:
    return {user["address"] for user in box.get("/api/users")}


class Run:
    """What one run keeps while it goes on."""

    def __init__(
        self,
        seed: int,
        boxes: Sequence[Box],
        faults: Sequence[Fault],
        seconds: float,
        rate: float,
        told: Told,
    ) -> None:
        self._seed = seed
        self._boxes = boxes
        self._plan = faults
        self._seconds = seconds
        self._told = told
        self._began = 0.0
        self._evidence = Evidence([box.name for box in boxes])
        self._evidence.planned = len(faults)
        self._evidence.faults = {fault.kind for fault in faults}
        everybody = [(box, agent) for box in boxes for agent in box.agents]
        self._speakers = [
            Speaker(
                box, agent, [f"{name}@{other.name}" for other, name in everybody if name != agent],
                rate / len(everybody), seed,
            )
            for box, agent in everybody
        ]  # fmt: skip
        self._readers = [Reader(box) for box in boxes]
        self._faults = Faults(boxes, self._lost)
        self._struck = [threading.Lock() for _ in boxes]
        """Held by the one fault that a host has."""
        self._disaster = threading.Lock()
        self._broken: list[Exception] = []

    def all(self) -> Outcome:
        self._began = time.monotonic()
        threads: list[threading.Thread] = [*self._speakers, *self._readers]
        for thread in threads:
            thread.start()
        self._strike()
        self._sleep_until(self._seconds)
        for speaker in self._speakers:
            speaker.finish()
        for speaker in self._speakers:
            speaker.join(SETTLE_S)
            assert not speaker.is_alive(), f"{speaker.name} cannot say its last word: {speaker.refusals}"
        said = sum(speaker.accepted_count for speaker in self._speakers)
        self._say(f"the load is over: {said:,} words accepted, {said / self._seconds:.0f}/s")
        healed = self._heal()
        for reader in self._readers:
            reader.finish()
            reader.join(SETTLE_S)
            assert not reader.is_alive(), f"{reader.name} does not come to its end"
        self._hear()
        self._settle()
        self._collect()
        refusals: dict[str, int] = {}
        for speaker in self._speakers:
            for code, times in speaker.refusals.items():
                refusals[code] = refusals.get(code, 0) + times
        return Outcome(self._seed, self._plan, judge(self._evidence), said, self._seconds, healed, refusals)

    # -- faults ---------------------------------------------------------------------------------------

    def _strike(self) -> None:
        """Every fault has a thread, so that one whose end takes long (a start, a full disk) delays only those
        that are to strike the same host after it. Returns when all have ended; raises what went wrong first."""
        threads = [
            threading.Thread(target=self._carry, args=(fault,), name=fault.describe()) for fault in self._plan
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if self._broken:
            raise self._broken[0]

    def _carry(self, fault: Fault) -> None:
        try:
            if fault.kind == schedule.ROLLBACK:
                self._sleep_until(fault.at - fault.amount)
                with self._struck[fault.hosts[0]]:
                    self._faults.prepare(fault)
                self._say(f"{fault.describe()}: the copy is taken")
            self._sleep_until(fault.at)
            with ExitStack() as stack:
                if fault.kind in schedule.DISASTERS:
                    stack.enter_context(self._disaster)
                for host in sorted(fault.hosts):
                    stack.enter_context(self._struck[host])
                    assert self._boxes[host].ended() is None, (
                        f"it ended by itself: {self._boxes[host].tail()}"
                    )
                self._say(f"+ {fault.describe()} for {fault.lasts:g} s")
                self._faults.begin(fault)
                time.sleep(fault.lasts)
                seen = self._faults.seen(fault)
                self._evidence.effects.append((fault.describe(), seen))
                self._faults.end(fault)
                self._say(f"- {fault.describe()}: {seen or 'NO EFFECT SEEN'}")
        except Exception as error:
            self._say(f"! {fault.describe()}: {error}")
            self._broken.append(error)

    def _lost(self, box: Box, kind: str, kept: Sequence[Heads]) -> None:
        """Words that no disk holds any more are excused, whoever said them."""
        self._evidence.disasters.setdefault(box.name, set()).add(kind)
        gone = [word for word in self._accepted() if not is_kept(*_place(word), kept)]
        self._evidence.excused |= {word.text for word in gone}
        self._say(f"  {len(gone)} accepted words were on that disk only")

    def _accepted(self) -> list[Word]:
        return [word for speaker in self._speakers for word in list(speaker.accepted)]

    # -- the end ---------------------------------------------------------------------------------------

    def _heal(self) -> float:
        """Until every replica has the same heads."""
        before: list[Heads] = []

        def same() -> bool:
            nonlocal before
            before = [box.heads() for box in self._boxes]
            return all(heads == before[0] for heads in before)

        try:
            seconds = patiently("every replica has the same heads", HEAL_S, same)
        except AssertionError as error:
            for box, heads in zip(self._boxes, before, strict=True):
                lacking = {
                    place for other in before for place, seq in other.items() if heads.get(place, 0) < seq
                }
                self._say(f"  {box.name} lacks {sorted(lacking)} peers: {_peers(box)}")
            self._say(f"  {error}")
            return HEAL_S
        self._say(f"all replicas are the same after {seconds:.1f} s")
        return seconds

    def _hear(self) -> None:
        """What authors know in the end of what was read; it takes a second or two until the last is told."""
        found = self._evidence
        for reader in self._readers:
            found.asked |= reader.asked
            found.confirmed |= reader.confirmed
            found.told += reader.told
        boxes = {box.name: box for box in self._boxes}
        directs = [word for word in self._accepted() if word.to is not None]
        others = [word for word in directs if word.text not in found.asked][:SAMPLE]
        waiting = [word for word in directs if word.text in found.confirmed]

        def ask(word: Word) -> str | None:
            agent, _, host = word.agent.rpartition("@")
            return state_of(boxes[host], agent, str(word.id))

        def all_told() -> bool:
            for word in list(waiting):
                state = ask(word)
                if state is not None:
                    found.known[word.text] = state
                if state == "read":
                    waiting.remove(word)
            return not waiting

        try:
            patiently("authors know what was read", HEAR_S, all_told)
        except AssertionError as error:
            self._say(f"  {error}")
        found.known |= {word.text: state for word in others if (state := ask(word)) is not None}
        self._say(
            f"authors know of {len(found.known) - len(others):,} that were read, {len(waiting):,} are not"
        )
        self._heal()

    def _settle(self) -> None:
        """Alerts of what is over go away by themselves; those that do not are for the verdict to name."""

        def settled() -> bool:
            return not any(
                alert["kind"] in OVER for box in self._boxes for alert in box.get("/api/status")["alerts"]
            )

        try:
            patiently("no alert of what is over is shown", SETTLE_S, settled)
        except AssertionError as error:
            self._say(f"  {error}")

    def _collect(self) -> None:
        found = self._evidence
        found.accepted = self._accepted()
        found.uncertain = {text for speaker in self._speakers for text in speaker.uncertain}
        for box, reader in zip(self._boxes, self._readers, strict=True):
            for channel in CHANNELS:
                found.shown[f"{box.name} {channel}"] = read_all(box, f"/api/channels/{channel}/messages")
            for agent in box.agents:
                found.mailboxes[f"{agent}@{box.name}"] = read_all(box, "/api/inbox", agent)
            found.cursors |= reader.given
            found.alerts[box.name] = [
                (alert["kind"], alert["text"] + (f"\n{box.traces()}" if alert["kind"] == "bug" else ""))
                for alert in box.get("/api/status")["alerts"]
            ]
            found.replicas[box.name] = box.headers()

    def _now(self) -> float:
        return time.monotonic() - self._began

    def _sleep_until(self, at: float) -> None:
        while (left := at - self._now()) > 0:
            time.sleep(min(left, 0.5))

    def _say(self, what: str) -> None:
        self._told(f"{self._now():6.1f} s  {what}")


def _peers(box: Box) -> list[str]:
    return [
        f"{peer['name']} {peer['state']} behind {peer['behind']} {peer['last_error'] or ''}"
        for peer in box.get("/api/peers")
    ]


def _place(word: Word) -> tuple[int, int, str]:
    """(epoch, seq, short key of the author) of an accepted word."""
    assert word.id is not None
    short, epoch, seq = word.id.split("-")
    return int(epoch, 36), int(seq), short
