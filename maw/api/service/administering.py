"""What only who runs the node may do: invites, peers, alerts, repair."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from maw.api.backend import Json, Speaker
from maw.api.service.speakers import Speakers
from maw.core.identity import key_text
from maw.core.pairing import Invite
from maw.core.statement import colony_text
from maw.errors import NotFound
from maw.node.commanding import Commanding
from maw.node.membership import Told, parse_for
from maw.node.node import Node
from maw.node.presenting import iso


class Administering(Speakers):
    @property
    def command(self) -> Commanding:
        return self._node.command

    async def invite(
        self,
        speaker: Speaker,
        *,
        ttl_s: int | None,
        uses: int | None,
        for_key: str | None,
        confirm: bool,
        introducer: bool,
    ) -> Json:
        line, record, addresses = await self._node.inviting.make(
            ttl_s=ttl_s, uses=uses, only_for=parse_for(for_key), confirm=confirm, introducer=introducer
        )
        return {
            "id": record.name,
            "line": line,
            "expires_at": iso(int(record.expires_at * 1000)),
            "addresses": list(addresses),
        }

    async def open_invites(self, speaker: Speaker) -> list[Json]:
        return [_invite(record) for record in await self._node.inviting.open_invites()]

    async def withdraw_invite(self, speaker: Speaker, invite_id: str) -> Json:
        return _invite(await self._node.inviting.withdraw(invite_id))

    async def dismiss_alerts(self, speaker: Speaker, kind: str | None, subject: str | None) -> Json:
        return {"dismissed": await self._node.alerts.dismiss(kind, subject)}

    async def join(self, speaker: Speaker, line: str) -> Json:
        joined = await self._node.joiner.join(line)
        linked = await self._linked_soon(joined.peer)
        return {
            "colony": colony_text(joined.colony),
            "peer": {"name": joined.name, "key": key_text(joined.peer)},
            "state": "linked" if linked else "connecting",
        }

    async def _linked_soon(self, peer: bytes) -> bool:
        """The answer says ``linked`` only when it is so; a moment's patience spares people a second look."""
        for _ in range(40):
            if any(link.peer == peer and link.ended is None for link in self._node.board.all()):
                return True
            await asyncio.sleep(0.05)
        return False

    async def reload_peers(self, speaker: Speaker) -> Json:
        return await reload_peers(self._node)

    async def mend(self, speaker: Speaker, refs: Sequence[str]) -> Json:
        return await self._node.scrubber.mend_these(refs)

    async def forget_peer(self, speaker: Speaker, who: str) -> Json:
        return _told(await self._node.membership.forget(who), "forgotten")

    async def accept_peer(self, speaker: Speaker, who: str, introducer: bool = False) -> Json:
        node = self._node
        if introducer:
            return _told(await node.membership.make_introducer(who), "introducer")
        try:
            return _told(await node.membership.accept(who), "accepted")
        except NotFound:
            key = node.inviting.who_asks(who)
            if key is None:
                node.membership.not_trusted_yet(who)
                key = parse_for(who) if who.startswith("mk1") else None
            if key is None:
                raise
        name = node.inviting.asking.get(key, "")
        await node.inviting.confirm(key)
        return {"name": name, "key": key_text(key), "state": "confirmed"}


async def reload_peers(node: Node) -> Json:
    """Read peers.toml again. A broken file is refused whole and the old peers stay. Raises BadConfig."""
    before = set(node.membership.book.trusted)
    file = await node.read_peers()
    after = set(node.membership.book.trusted)
    names = {key: member.name for key, member in node.membership.book.trusted.items()}
    return {
        "peers": len(file.peers),
        "added": sorted(names[key] for key in after - before),
        "removed": len(before - after),
    }


def _told(told: Told, state: str) -> Json:
    return {"name": told.name, "key": key_text(told.key), "state": state}


def _invite(record: Invite) -> Json:
    """An open invite without its secret: nobody can join with what stands here."""
    return {
        "id": record.name,
        "expires_at": iso(int(record.expires_at * 1000)),
        "uses": record.uses,
        "used": [
            {"name": use.name, "key": key_text(use.joiner), "at": iso(int(use.at * 1000))}
            for use in record.used
        ],
        "for": key_text(record.only_for) if record.only_for else None,
        "confirm": record.confirm,
        "introducer": record.introducer,
    }
