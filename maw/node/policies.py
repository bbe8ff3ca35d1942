"""The policy in force, and which agent of the Colony runs with which version of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from maw.core.effects import Alert
from maw.core.identity import short_key
from maw.core.policy import LATE_MS, MARK_BYTES, Policy, is_late, standing
from maw.core.ruling import Ruling
from maw.errors import BadInput, NotFound
from maw.node.authoring import wall_clock_ms
from maw.node.directory import Directory
from maw.node.membership import Membership
from maw.node.presence import Presences
from maw.node.presenting import Json, iso
from maw.store.database import Database
from maw.store.state import AgentRow

DRIFT: Final = "policy"


class Policies:
    def __init__(
        self,
        db: Database,
        membership: Membership,
        directory: Directory,
        presences: Presences,
        alert: Callable[[Alert], None],
        settle: Callable[[str, str], None],
        now_ms: Callable[[], int] = wall_clock_ms,
    ) -> None:
        self._db = db
        self._membership = membership
        self._directory = directory
        self._presences = presences
        self._alert = alert
        self._settle = settle
        self._now = now_ms
        self._told: set[str] = set()

    @property
    def _ruling(self) -> Ruling:
        return self._membership.book.ruling

    async def policy(self, version: int | None = None) -> Json:
        """The one in force, or an earlier one. NotFound."""
        found = [one for one in self._ruling.policies if version in (None, one.version)]
        if not found:
            what = (
                "there is no policy" if version is None else f"no version {version} of the policy counts here"
            )
            hint = "`maw policy publish FILE`, by an operator who may order everybody"
            raise NotFound(what, code="no_policy", hint=hint)
        return await self._told_of(found[0])

    def brief(self) -> Json | None:
        """What a pulse has to know of it: whether it has that one already."""
        first = self._first()
        return None if first is None else {"version": first.version, "id": first.mark.hex()}

    async def status(self, grace_ms: int = LATE_MS) -> Json:
        """Every agent (no human), and with which version it runs."""
        first = self._first()
        told = None if first is None else await self._told_of(first)
        since = 0 if first is None else await self._heard_at(first)
        if told is not None:
            del told["text"]
        rows = sorted(
            (row for row in self._directory.agents() if row.role == "agent" and row.profile.of is None),
            key=lambda row: (row.uid is None, row.name, row.node),
        )
        agents = [self._agent(row, since, grace_ms) for row in rows] if first is not None else []
        return {"policy": told, "agents": agents}

    def _agent(self, row: AgentRow, since: int, grace_ms: int) -> Json:
        seen = self._presences.seen(row)
        state, version = standing(seen.policy, seen.pulsed, self._ruling.policies, own=row.uid is not None)
        return {
            "agent": self._directory.address(row), "state": state, "version": version,
            "late": is_late(state, since, seen.pulsed, self._now(), grace_ms), "last_pulse_at": iso(seen.pulsed),
        }  # fmt: skip

    async def look(self) -> None:
        """Of agents of this host that go on with another policy, a human is told."""
        first = self._first()
        since = 0 if first is None else await self._heard_at(first)
        late: set[str] = set()
        for row in self._directory.agents():
            if first is None or row.uid is None or row.role != "agent" or row.profile.of is not None:
                continue
            told = self._agent(row, since, LATE_MS)
            if told["late"]:
                late.add(told["agent"])
                runs = "none" if told["version"] is None else f"version {told['version']}"
                text = (
                    f"{told['agent']} pulses with {runs} of the policy, while version {first.version} is in force since"
                    f" {iso(since)}: `maw policy status`"
                )
                self._alert(Alert(DRIFT, told["agent"], text))
        for address in self._told - late:
            self._settle(DRIFT, address)
        self._told = late

    def _first(self) -> Policy | None:
        return next(iter(self._ruling.policies), None)

    async def _heard_at(self, policy: Policy) -> int:
        """When this node heard it, ms: its date is its signer's word."""
        rows = await self._db.rows("SELECT at FROM statements WHERE id = ?", (policy.id,))
        return int(rows[0][0]) if rows else policy.at_ms

    async def _told_of(self, one: Policy) -> Json:
        first = self._first()
        assert first is not None
        by = self._ruling.authority.name_of(one.issuer) or short_key(one.issuer)
        return {
            "version": one.version, "id": one.mark.hex(), "by": f"operator {by}",
            "at": iso(one.at_ms), "heard_at": iso(await self._heard_at(one)), "in_force": one.id == first.id,
            "size": len(one.text.encode()), "text": one.text,
        }  # fmt: skip


def read_mark(text: str | None) -> bytes | None:
    """Of a policy, in hex. Raises BadInput."""
    if text is None:
        return None
    try:
        mark = bytes.fromhex(text)
    except ValueError:
        mark = b""
    if len(mark) != MARK_BYTES:
        raise BadInput("field policy is no policy's id", code="bad_field", hint="`GET /api/policy` has it")
    return mark
