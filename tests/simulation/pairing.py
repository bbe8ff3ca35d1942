"""Pairing over the modelled network, step by step, with either side falling over between any two steps.

The steps and what each commits are those of docs/protocol.md; who may use an invite is decided by the real
``judge``. The joiner tries again until it has heard that the inviter is done.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from maw.core.members import INVITED, JOINED, Pin
from maw.core.pairing import Denied, Invite, Use, judge
from maw.core.statement import Statement, admit
from tests.simulation.disk import Job, RefusedError
from tests.simulation.trace import Violation

if TYPE_CHECKING:
    from tests.simulation.node import SimNode

RETRY_S = 1.5
BREAK = 0.2
FALL = 0.1
ATTEMPTS_THAT_FAIL = 4
"""After so many tries the simulation stops breaking them off."""


class Pairing:
    """One invite of ``inviter``, carried to ``joiner``; ``start`` when the owner types ``maw join``."""

    def __init__(self, inviter: SimNode, joiner: SimNode, restart: Callable[[SimNode], None]) -> None:
        self.inviter = inviter
        self.joiner = joiner
        self._around = joiner.around
        self._restart = restart
        self._invite = Invite(self._around.rng.randbytes(16), expires_at=1e9)
        self._attempts = 0

    def start(self) -> None:
        """One try; tries follow each other until the join is done."""
        if self.joiner.disk.rows.joining == "done":
            return
        self._around.clockwork.after(RETRY_S * self._around.rng.uniform(0.5, 2), self.start)
        reachable = self._around.network.can_dial(self.joiner.index, self.inviter.index)
        if self.joiner.alive and self.inviter.alive and reachable:
            self._attempts += 1
            _Attempt(self, self._attempts, self._invite, self._restart).begin()


class _Attempt:
    """One connection: ends for good when it breaks or when either side's process ends."""

    def __init__(
        self, pairing: Pairing, number: int, invite: Invite, restart: Callable[[SimNode], None]
    ) -> None:
        self._inviter, self._joiner = pairing.inviter, pairing.joiner
        self._around = pairing.joiner.around
        self._number = number
        self._invite = invite
        self._restart = restart
        self._processes = (self._inviter.incarnation, self._joiner.incarnation)

    def begin(self) -> None:
        def pending() -> None:
            self._joiner.disk.rows.joining = self._joiner.disk.rows.joining or "begun"

        self._commit(self._joiner, pending, partial(self._hop, self._claim))

    def _claim(self) -> None:
        """The inviter commits *claimed by this key*."""

        def claimed() -> None:
            rows = self._inviter.disk.rows
            used = rows.used.get(self._invite.invite_id, ())
            invite = Invite(self._invite.secret, 1e9, used=tuple(Use(key, "", 0.0) for key in used))
            verdict = judge(invite, self._joiner.key, self._around.clockwork.now)
            if isinstance(verdict, Denied):
                raise Violation(
                    "alarmed", f"n{self._joiner.index} was denied its own invite: {verdict.reason}"
                )
            if self._joiner.key not in used:
                rows.used[self._invite.invite_id] = (*used, self._joiner.key)

        def welcome() -> None:
            self._hop(self._welcomed, list(self._inviter.book.statements().values()))

        self._commit(self._inviter, claimed, welcome)

    def _welcomed(self, told: list[Statement]) -> None:
        """The joiner commits the pin and what it was told; its answer admits the inviter."""
        joiner, inviter = self._joiner, self._inviter
        said = [s for s in joiner.book.statements().values() if s.issuer == joiner.key]
        answer = next((s for s in said if s.fields["key"] == inviter.key), None) or self._word(
            joiner, inviter
        )

        def pinned() -> None:
            rows = joiner.disk.rows
            rows.pins[inviter.key] = Pin(inviter.key, f"n{inviter.index}", (), JOINED)
            rows.statements |= {item.id: item for item in (*told, answer)}
            rows.joining = "pinned"

        def believe() -> None:
            joiner.believe([*told, answer], joiner.disk.rows.pins[inviter.key])

        self._commit(joiner, pinned, partial(self._hop, self._accepted, answer), believe)

    def _accepted(self, answer: Statement) -> None:
        """The inviter commits pin and admit; done again, nothing changes."""
        joiner, inviter = self._joiner, self._inviter
        rows = inviter.disk.rows
        if joiner.key in rows.pins and answer.id in rows.statements:
            self._hop(self._paired)
            return
        word = self._word(inviter, joiner)
        pin = Pin(joiner.key, f"n{joiner.index}", (), INVITED)

        def paired() -> None:
            if self._joiner.key not in rows.used.get(self._invite.invite_id, ()):
                raise RefusedError("never claimed")
            rows.pins[joiner.key] = pin
            rows.statements |= {word.id: word, answer.id: answer}

        believe = partial(inviter.believe, [word, answer], pin)
        self._commit(inviter, paired, partial(self._hop, self._paired), believe)

    def _paired(self) -> None:
        def finished() -> None:
            self._joiner.disk.rows.joining = "done"

        self._commit(self._joiner, finished, lambda: None)

    def _word(self, issuer: SimNode, subject: SimNode) -> Statement:
        at_ms = int(self._around.clockwork.now * 1000)
        return admit(issuer.signer, self._around.colony, subject.key, f"n{subject.index}", (), True, at_ms)

    # -- the connection ---------------------------------------------------------------------------------

    def _commit(
        self,
        node: SimNode,
        work: Callable[[], None],
        then: Callable[[], None],
        believe: Callable[[], None] = lambda: None,
    ) -> None:
        """``believe`` follows the commit even when the connection is gone by then; ``then`` does not."""
        go_on = self._while_up(then)

        def done(_: None) -> None:
            believe()
            go_on()

        node.disk.submit(Job(work, done, lambda: None))

    def _hop(self, what: Callable[..., None], *args: Any) -> None:
        rng = self._around.rng
        if self._number <= ATTEMPTS_THAT_FAIL and rng.random() < BREAK:
            self._break_off("the connection breaks")
            return
        if self._number <= ATTEMPTS_THAT_FAIL and rng.random() < FALL:
            node = rng.choice((self._inviter, self._joiner))
            self._break_off(f"n{node.index} falls over")
            node.crash()
            self._around.clockwork.after(rng.uniform(0.05, 3), self._restart, node)
            return
        delay = self._around.network.latency * rng.uniform(0.5, 2)
        self._around.clockwork.after(delay, self._while_up(partial(what, *args)))

    def _break_off(self, why: str) -> None:
        self._around.trace.count("pairings broken off")
        self._around.trace.note(
            self._around.clockwork.now, f"pairing n{self._joiner.index} with n{self._inviter.index}: {why}"
        )

    def _while_up(self, what: Callable[..., None]) -> Callable[..., None]:
        def run(*args: Any) -> None:
            if self._processes == (self._inviter.incarnation, self._joiner.incarnation):
                what(*args)

        return run
