"""What a node says of itself and its agents when it starts, and when it has moved."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress

from maw.core.colony import AgentCard, Card
from maw.core.entry import Kind
from maw.core.identity import NodeId
from maw.errors import MawError
from maw.node.authoring import Authoring
from maw.node.belonging import Belonging
from maw.node.people import People
from maw.node.rotating import REANNOUNCE
from maw.store import trust as rows
from maw.store.state import State
from maw.store.writer import Writer


class Introducing:
    """``card`` gives name, addresses and version as they are now."""

    def __init__(
        self,
        me: NodeId,
        state: State,
        writer: Writer,
        authoring: Authoring,
        belonging: Belonging,
        people: People,
        card: Callable[[], Card],
        say_seal_key: Callable[[], Awaitable[None]],
    ) -> None:
        self._me = me
        self._state = state
        self._writer = writer
        self._authoring = authoring
        self._belonging = belonging
        self._people = people
        self._card = card
        self._say_seal_key = say_seal_key

    async def start(self) -> None:
        """All there is to say after a start."""
        await self.say_card()
        with suppress(MawError):  # of a disk that takes nothing: it is tried again
            await self._say_seal_key()  # before any agent: who knows one can seal for it
        await self._say_agents_again()
        await self._make_owner()

    async def say_card(self) -> None:
        """Say name and addresses when they are not what our log says.

        An address that is only gone for now (wg0 down) is not taken back: nobody is helped by not knowing it.
        """
        if self._authoring.read_only or self._authoring.barred:
            return
        own = self._state.nodes.get(self._me)
        card = self._card()
        moved = own is not None and bool(card.addresses) and own.addresses != card.addresses
        if own is None or moved or (own.name, own.version) != (card.name, card.version):
            await self._authoring.say(Kind.CARD, card.content())

    async def _say_agents_again(self) -> None:
        """After a rotation, in the new key's log."""
        if not await self._belonging.meta(REANNOUNCE):
            return
        for row in list(self._state.local.values()):
            await self._authoring.say(
                Kind.AGENT, AgentCard(row.id, row.name, row.role, profile=row.profile).content()
            )
        await self._writer.submit(lambda conn: rows.set_meta(conn, REANNOUNCE, 0))

    async def _make_owner(self) -> None:
        """The owner of the host speaks as an ape of his own name, made once."""
        owner = await self._belonging.meta("owner")
        if owner and not any(row.uid is not None for row in self._state.agent_at.values()):
            uid, _, name = str(owner).partition(":")
            await self._people.add(name, "ape", int(uid))
