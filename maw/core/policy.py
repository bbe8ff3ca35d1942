"""The Colony's policy: one text for all agents, signed by an operator, in versions.

    policy   {"version": 1 to 1000000, "text": 1 byte to 12 KiB}   a statement; the highest that counts is in force

Who may give orders to everybody may say it (the right ``order``, not over some hosts alone). Of two of one version the
later is in force, so a version alone does not say which text it was: what runs is told by its ``mark``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from maw.core.identity import NodeId, Signer
from maw.core.statement import Statement, sign_statement
from maw.errors import BadInput, ProtocolViolation

POLICY: Final = "policy"
MAX_POLICY_BYTES: Final = 12 * 1024
MAX_VERSION: Final = 1_000_000
MARK_BYTES: Final = 16
LATE_MS: Final = 2 * 3_600_000
"""An agent that pulses and still runs another version, so long after the policy was heard, is late."""

CURRENT: Final = "current"
OLD: Final = "old"
NONE: Final = "none"
UNKNOWN: Final = "unknown"
NEVER: Final = "never pulsed"
UNHEARD: Final = "not heard yet"
"""Of another host's agent: it never pulsed, or its host, which says so every quarter of an hour, has not yet."""


@dataclass(frozen=True, slots=True)
class Policy:
    id: bytes
    issuer: NodeId
    version: int
    text: str
    at_ms: int

    @property
    def mark(self) -> bytes:
        """The first bytes of the statement's id: what an agent runs with is told by these."""
        return self.id[:MARK_BYTES]


def check_policy(text: str) -> None:
    """Raises BadInput for what no policy may be."""
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        raise BadInput("the policy is not valid Unicode", code="bad_policy") from None
    check_policy_size(size)
    if not text.strip() or "\0" in text:
        raise BadInput(
            f"the policy is {'text with a zero byte in it' if text.strip() else 'empty'}", code="bad_policy"
        )


def check_policy_size(size: int) -> None:
    """Bytes. Raises BadInput."""
    if size > MAX_POLICY_BYTES:
        raise BadInput(
            f"the policy has {size:,} bytes; it may have {MAX_POLICY_BYTES:,}",
            code="bad_policy",
            hint="it stands in the prompt of every pulse: the shorter, the cheaper; say where more is to be read",
        )


def policy_fields(version: int, text: str) -> dict[str, Any]:
    """What is signed."""
    return {"version": version, "text": text}


def policy_statement(issuer: Signer, colony: bytes, version: int, text: str, at_ms: int) -> Statement:
    return sign_statement(issuer, POLICY, colony, at_ms, policy_fields(version, text))


def read_policy(statement: Statement) -> Policy:
    """Raises ProtocolViolation."""
    version, text = statement.fields.get("version"), statement.fields.get("text")
    if type(version) is not int or not 0 < version <= MAX_VERSION:
        raise _bad(f"its version is no number from 1 to {MAX_VERSION}")
    if type(text) is not str:
        raise _bad("it has no text")
    try:
        check_policy(text)
    except BadInput as error:
        raise _bad(error.message) from None
    return Policy(statement.id, statement.issuer, version, text, statement.at_ms)


def in_order(policies: Iterable[Policy]) -> tuple[Policy, ...]:
    """The one in force first."""
    return tuple(sorted(policies, key=lambda one: (one.version, one.at_ms, one.id), reverse=True))


def standing(
    ran: bytes | None, pulsed: int | None, policies: Sequence[Policy], *, own: bool = True
) -> tuple[str, int | None]:  # fmt: skip
    """How an agent stands to the policy in force, and which version it runs, where that is known. ``ran``: the mark
    that it told last; ``pulsed``: when it last did, ms; ``policies``: those that count, the one in force first;
    ``own``: it is of this host, and no other has to say it."""
    if pulsed is None:
        return (NEVER if own else UNHEARD), None
    if ran is None:
        return NONE, None
    version = next((one.version for one in policies if one.mark == ran), None)
    if version is None:
        return UNKNOWN, None
    return (CURRENT if policies[0].mark == ran else OLD), version


def is_late(state: str, since_ms: int, pulsed: int | None, now_ms: int, grace_ms: int = LATE_MS) -> bool:
    """Whether a human should look: it pulsed since the policy in force was heard (at ``since_ms``) a while ago, and
    runs another. Of who pulses seldom nothing is to be expected before his next pulse."""
    if state not in (OLD, NONE, UNKNOWN) or pulsed is None:
        return False
    return pulsed > since_ms and now_ms - since_ms > grace_ms


def _bad(what: str) -> ProtocolViolation:
    return ProtocolViolation(f"a policy is malformed: {what}", code="bad_statement")
