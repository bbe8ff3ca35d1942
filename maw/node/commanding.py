"""Statements as people give and see them: drafted from names, signed elsewhere, taken in, and who keeps to them.

An operator's key never comes to the daemon: it drafts what is to be signed, with names resolved by the one way
there is, and whoever holds the key signs it and brings it back.
"""

from __future__ import annotations

from collections.abc import Callable

from maw.core.identity import Signer, short_key
from maw.core.revocation import REVOKE
from maw.core.statement import read_statement, sign_statement
from maw.errors import BadInput, ProtocolViolation, Refused
from maw.node.authoring import wall_clock_ms
from maw.node.directory import Directory
from maw.node.drafting import Drafting
from maw.node.membership import Membership
from maw.node.presenting import Json
from maw.node.runtime import Runtime
from maw.node.telling import Telling
from maw.store.database import Database
from maw.store.state import State


class Commanding:
    """What operators, and whoever runs the node, do with statements."""

    def __init__(
        self,
        signer: Signer,
        db: Database,
        state: State,
        membership: Membership,
        directory: Directory,
        runtime: Runtime,
        clock: Callable[[], int] = wall_clock_ms,
    ) -> None:
        self._signer = signer
        self._membership = membership
        self._clock = clock
        self._drafting = Drafting(db, state, membership, directory, runtime, clock)
        self._telling = Telling(db, membership, directory, clock)

    async def draft(self, kind: str, issuer: str, asked: Json) -> Json:
        """See ``Drafting.draft``; the two below stand in ``Telling``."""
        return await self._drafting.draft(kind, issuer, asked)

    async def statements(self) -> list[Json]:
        return await self._telling.statements()

    def operators(self) -> list[Json]:
        return self._telling.operators()

    async def submit(self, wire: bytes) -> Json:
        """A statement that was signed elsewhere. Durable when it returns. Raises BadInput, Refused."""
        try:
            statement = read_statement(wire)
        except ProtocolViolation as error:
            raise BadInput(f"no good statement: {error.message}", code="bad_statement") from None
        book = self._membership.book
        if statement.id not in book.statements():
            if not book.acceptable(statement):
                if book.is_full_for(statement):
                    raise Refused(
                        f"nobody would take more of what {short_key(statement.issuer)} says: it has said all that is"
                        " kept of one key, or the book of statements is full",
                        code="too_many_statements",
                        hint="sign it with another key: the founder's is always heard; `maw operator add` makes one",
                    )
                raise Refused(
                    "nobody would keep to this: it is of another Colony, malformed, or by a key unknown here",
                    code="no_operator",
                    hint="`maw operator list` shows who may do what",
                )
            await self._membership.keep([statement])
        return self._telling.one(statement)

    async def revoke(self, who: str, why: str, void_since_ms: int | None = None) -> Json:
        """By this node's own word: it must stand above the other, by having invited it or whoever did."""
        subject = self._drafting.node(who)
        fields, _ = self._drafting.revoking(subject, why, await self._drafting.heard_since(void_since_ms))
        book = self._membership.book
        statement = sign_statement(self._signer, REVOKE, book.colony, self._clock(), fields)
        if not book.would_count(statement):
            raise Refused(
                f"this node did not invite {who}, nor did anybody whom it invited",
                code="not_above",
                hint="sign it with an operator key, or that node's recovery key: `maw revoke --key FILE`",
            )
        await self._membership.keep([statement])
        return self._telling.one(statement)
