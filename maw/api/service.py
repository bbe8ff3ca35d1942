"""The node as its doors see it: implements ``Backend`` over a running node.

Three halves by what they do, each a thin layer: rules live in maw.node, shapes in docs/api.md.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from maw import __version__
from maw.api.backend import Json, Page, Speaker
from maw.core.colony import GROUPS
from maw.core.effects import Alert
from maw.core.identity import key_text
from maw.core.names import parse_address
from maw.core.pairing import Invite
from maw.core.statement import colony_text
from maw.core.word import OperatorWord
from maw.errors import BadInput, NotFound
from maw.node.authoring import recovering
from maw.node.backup_record import LastBackup, last_backup
from maw.node.commanding import Commanding
from maw.node.directory import new_token
from maw.node.membership import Told, parse_for
from maw.node.node import Node
from maw.node.presenting import iso
from maw.node.talking import need_agent
from maw.store import pages
from maw.store.shrinking import free_bytes
from maw.store.state import AgentRow

_STREAM_SCAN = 500
"""Rows looked at for one stream page: direct messages of others are passed over, but not without end."""


_OWNERS_AFFAIR = frozenset({"uid", "has_token", "unread"})


class _Base:
    def __init__(self, node: Node, *, admins: frozenset[int], rest: str | None = None) -> None:
        """``admins``: uids that may administer (the daemon's own, root, the group's)."""
        self._node = node
        self._admins = admins
        self.rest = rest

    @property
    def node_name(self) -> str:
        return self._node.config.name

    @property
    def command(self) -> Commanding:
        return self._node.command

    def _agent(self, speaker: Speaker) -> AgentRow | None:
        if speaker.agent_key is None:
            return None
        own = self._node.state.nodes.get(self._node.me)
        row = self._node.state.agents.get((own.n, speaker.agent_key)) if own else None
        return None if row is None or row.gone else row

    def _speaker(self, row: AgentRow | None, known_by: Literal["uid", "token"], uid: int | None) -> Speaker:
        address = self._node.directory.address(row) if row else None
        return Speaker(
            address, row.id if row else None, known_by, uid, uid is not None and uid in self._admins
        )

    async def speaker_for_uid(self, uid: int, name: str | None) -> Speaker:
        try:
            row = self._node.directory.by_uid(uid, name, is_root=uid == 0)
        except NotFound:
            if self._node.authoring.recovering:  # agents come back with the log that named them
                raise recovering() from None
            raise
        return self._speaker(row, "uid", uid)

    async def speaker_for_token(self, token: str) -> Speaker:
        return self._speaker(self._node.directory.by_token(token), "token", None)


class _Reading(_Base):
    def _check_cursor(self, after_seq: int | None) -> None:
        """A cursor beyond all that was ever visible is another replica's: waiting for it would skip messages."""
        # a page may show what was committed this instant, before ``visible`` has heard of it: the writer's own
        # count is never behind
        newest = max(self._node.visible.seq, self._node.state.seq)
        if after_seq is not None and after_seq > newest:
            raise BadInput(
                f"after_seq: {after_seq} is beyond this replica's newest, {newest}",
                code="cursor_ahead",
                hint="a cursor belongs to the replica that gave it (X-Maw-Replica); begin at 0 or without one",
            )

    async def wait_visible(self, after_seq: int, timeout: float) -> int:
        return await self._node.visible.wait(after_seq, timeout)

    async def wait_replicated(self, message_id: str, timeout: float) -> Json:
        return await self._node.talking.wait_replicated(message_id, timeout)

    def let_go(self, speaker: Speaker, seconds: float) -> None:
        who = speaker.agent or ("somebody without a token" if speaker.uid is None else f"uid {speaker.uid}")
        text = (
            f"a stream for {who} took no message for {seconds:g} s and was ended: its program hangs, or is too slow."
            " Nothing is lost, it goes on where it was when it asks again"
        )
        self._node.alerts.raise_alert(Alert("slow_reader", who, text))

    async def whoami(self, speaker: Speaker) -> Json:
        row = self._agent(speaker)
        return {
            "agent": speaker.agent,
            "name": row.name if row else None,
            "host": self.node_name,
            "role": row.role if row else None,
            "node_key": key_text(self._node.me),
            "colony": colony_text(self._node.membership.book.colony),
            "known_by": speaker.known_by,
            "uid": speaker.uid,
        }

    async def health(self) -> Json:
        trouble = self._node.authoring.read_only or self._node.writer.trouble
        return {"ok": trouble is None, "name": self.node_name, **({"trouble": trouble} if trouble else {})}

    async def status(self, speaker: Speaker) -> Json:
        node = self._node
        unread = await pages.unread_counts(node.db)
        interface = node.mesh.interface
        return {
            "name": self.node_name,
            "key": key_text(node.me),
            "colony": colony_text(node.membership.book.colony),
            "version": __version__,
            "state": "read_only" if node.authoring.read_only else "running",
            "trouble": node.authoring.read_only or node.writer.trouble,
            "uptime_s": round(time.time() - node.started_at, 1),
            "pid": os.getpid(),
            "home": str(node.home.path),
            "rest": self.rest,
            "mesh": [
                {"address": item.address, "listening": item.listening, "error": item.error}
                for item in node.mesh.bindings
            ],
            "interface": None
            if interface is None
            else {
                "name": interface.name,
                "state": interface.word,
                "since": iso(int((node.mesh.interface_since or 0) * 1000)),
            },
            "links_up": len(node.board.all()),
            "links_bounded": node.mesh.linking.bounded,
            "peers_known": len(node.membership.book.trusted),
            "peers_pending": len(node.membership.book.pending) + len(node.inviting.asking),
            "messages": node.state.messages,
            "entries": node.runtime.held.total(),
            "entries_repeated": node.runtime.machine.followed.discarded_entries,
            "follows_moved": node.runtime.machine.followed.moves,
            "seq": node.visible.seq,
            "unread": {
                row.name: unread.get(row.n, 0)
                for row in node.state.local.values()
                if self._may_see(row, speaker)
            },
            "disk_free_bytes": node.disk.free,
            "database_bytes": _database_bytes(node.db.path),
            "database_free_bytes": await free_bytes(node.db),
            "rss_bytes": _resident_bytes(),
            "backup": _backup(last_backup(node.home)),
            "trouble_with": node.peering.troubles(),
            "alerts": await node.alerts.recent(node.db, iso),
        }

    def _may_see(self, row: AgentRow, speaker: Speaker) -> bool:
        """How much is unread is the owner's own affair; an administrator sees it for all."""
        return speaker.is_admin or row.uid == speaker.uid or row.id == speaker.agent_key

    async def peers(self, speaker: Speaker) -> list[Json]:
        return self._node.peering.listing()

    async def users(self, speaker: Speaker) -> list[Json]:
        users = await self._node.people.listing()
        if speaker.known_by == "nobody":
            return [
                {key: value for key, value in user.items() if key not in _OWNERS_AFFAIR} for user in users
            ]
        return users

    async def channels(self, speaker: Speaker) -> list[Json]:
        return [self._node.talking.channel_json(name) for name in sorted(self._node.state.channels)]

    async def channel_page(
        self, speaker: Speaker, channel: str, *, after_seq: int | None, before_seq: int | None, limit: int
    ) -> Page:
        self._check_cursor(after_seq)
        seen = self._node.visible.seq
        row = self._node.directory.channel(channel)
        rows = await pages.in_channel(self._node.db, row.n, after=after_seq, before=before_seq, limit=limit)
        return _page([self._node.presenter.message(item) for item in rows], seen, after_seq, limit)

    async def mentions_page(self, speaker: Speaker, user: str, *, after_seq: int | None, limit: int) -> Page:
        self._check_cursor(after_seq)
        seen = self._node.visible.seq
        words = self._words(user)
        rows = await pages.mentioning(self._node.db, words, after=after_seq, limit=limit)
        return _page([self._node.presenter.message(item) for item in rows], seen, after_seq, limit)

    def _words(self, user: str) -> list[str]:
        """How ``user`` may have been mentioned: by name, with its host, or in a group of its role."""
        wanted = parse_address(user)
        if wanted.name in GROUPS:
            return [wanted.name]
        directory = self._node.directory
        rows = directory.agents_called(wanted.name, wanted.host)
        if not rows:
            directory.find_agent(user)  # says what is near
        words = {wanted.name: None}
        for row in rows:
            words |= dict.fromkeys((directory.address(row), *_groups_of(row)))
        return list(words)

    async def inbox_page(self, speaker: Speaker, *, after_seq: int, limit: int) -> Page:
        self._check_cursor(after_seq)
        agent = need_agent(self._agent(speaker))
        seen = self._node.visible.seq
        rows = await pages.unread(self._node.db, agent.n, after=after_seq, limit=limit)
        items = [self._node.presenter.message(item) for item in rows]
        self._node.orders.handed(agent, items)
        return _page(items, seen, after_seq, limit)

    async def orders(self, speaker: Speaker, *, limit: int) -> list[Json]:
        return await self._node.orders.listing(speaker.agent_key, limit)

    async def order(self, speaker: Speaker, ref: str) -> Json:
        return await self._node.orders.one(ref, speaker.agent_key)

    async def stream_page(
        self, speaker: Speaker, *, after_seq: int, channel: str | None, user: str | None, limit: int
    ) -> Page:
        self._check_cursor(after_seq)
        seen = self._node.visible.seq
        scan = _STREAM_SCAN
        if user is not None:
            agent = self._own(speaker, user)
            rows = await pages.mailbox(self._node.db, agent.n, after=after_seq, limit=limit)
            scan = limit
        elif channel is not None:
            row = self._node.directory.channel(channel)
            rows = await pages.in_channel(self._node.db, row.n, after=after_seq, before=None, limit=limit)
            scan = limit
        else:
            rows = await pages.since(self._node.db, after_seq, min(limit, scan))
            scan = min(limit, scan)
        items = self._node.presenter.readable(rows, speaker.agent_key)
        if user is not None:
            self._node.orders.handed(agent, items)
        next_seq = rows[-1].seq if len(rows) == scan else max(after_seq, seen, rows[-1].seq if rows else 0)
        return Page(items, next_seq)

    def _own(self, speaker: Speaker, user: str) -> AgentRow:
        agent = need_agent(self._agent(speaker))
        wanted = self._node.directory.find_agent(user)
        if wanted.n != agent.n:
            raise BadInput(
                "user: a stream for a user shows that user's mailbox, so only its own", code="not_yours"
            )
        return agent

    async def sent(self, speaker: Speaker, *, limit: int) -> list[Json]:
        return await self._node.talking.sent(need_agent(self._agent(speaker)), limit)

    async def message(self, speaker: Speaker, ref: str) -> Json:
        node = self._node
        row = await node.talking.find(ref, speaker.agent_key)
        shown = node.presenter.message(row)
        replies = await pages.replies(node.db, shown["id"], 500)
        shown["thread"] = node.presenter.readable(replies, speaker.agent_key)
        if node.presenter.position(row).author == node.me:
            receipt = await node.talking.receipt(ref, speaker.agent_key)
            shown |= {"state": receipt["state"], "recipients": receipt["recipients"]}
        return shown


class _Writing(_Base):
    async def post_channel(
        self,
        speaker: Speaker,
        channel: str,
        text: str,
        *,
        reply_to: str | None,
        idempotency_key: str | None,
        word: OperatorWord | None = None,
    ) -> Json:
        agent = need_agent(self._agent(speaker))
        return await self._node.talking.post(
            agent, speaker.known_by, channel, text, reply_to=reply_to, key=idempotency_key, word=word
        )

    async def post_direct(
        self,
        speaker: Speaker,
        to: Sequence[str],
        text: str,
        *,
        reply_to: str | None,
        idempotency_key: str | None,
        word: OperatorWord | None = None,
    ) -> Json:
        agent = need_agent(self._agent(speaker))
        return await self._node.talking.direct(
            agent, speaker.known_by, to, text, reply_to=reply_to, key=idempotency_key, word=word
        )

    def draft_order(self, to: Sequence[str] | None, channel: str | None) -> Json:
        return self._node.orders.draft(to, channel)

    async def answer_orders(self, speaker: Speaker, refs: Sequence[str], state: str, note: str) -> None:
        agent = need_agent(self._agent(speaker))
        if note:  # whether he obeys he may always say
            self._node.keeping.refuse_frozen(agent, None)
        await self._node.orders.answer(agent, refs, state, note)

    async def ack(self, speaker: Speaker, refs: Sequence[str] | None) -> Json:
        return await self._node.talking.ack(need_agent(self._agent(speaker)), refs)

    async def add_channel(self, speaker: Speaker, name: str) -> Json:
        return await self._node.talking.create_channel(need_agent(self._agent(speaker)), name)

    async def redact(self, speaker: Speaker, refs: Sequence[str], reason: str | None) -> Json:
        agent = self._agent(speaker) if speaker.is_admin else need_agent(self._agent(speaker))
        if agent is not None:
            self._node.keeping.refuse_frozen(agent, None)
        return await self._node.redacting.redact(agent, refs, reason, is_admin=speaker.is_admin)

    async def retain(self, speaker: Speaker, channel: str, days: int) -> Json:
        agent = self._agent(speaker) if speaker.is_admin else need_agent(self._agent(speaker))
        if agent is not None:
            self._node.keeping.refuse_frozen(agent, channel)
        return await self._node.redacting.retain(agent, channel, days, is_admin=speaker.is_admin)


class _Administering(_Base):
    async def add_user(
        self, speaker: Speaker, username: str, role: Literal["agent", "ape"], *, uid: int | None
    ) -> Json:
        token = new_token()
        uid = next(owner for owner in (uid, speaker.uid, os.getuid()) if owner is not None)
        row = await self._node.people.add(username, role, uid, token=token)
        return {**self._node.people.user_json(row, 0), "token": token}

    async def remove_user(self, speaker: Speaker, name: str) -> None:
        await self._node.people.remove(name)

    async def new_token(self, speaker: Speaker, name: str) -> str:
        return await self._node.people.fresh_token(name)

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


class Service(_Reading, _Writing, _Administering):
    """Everything a door may ask of a node."""


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


def _groups_of(row: AgentRow) -> list[str]:
    return [group for group, roles in GROUPS.items() if row.role in roles]


def _page(items: list[Json], seen: int, after: int | None, limit: int) -> Page:
    """``seen`` was read before the rows were: nothing above it can have been passed over."""
    if len(items) == limit:
        return Page(items, items[-1]["seq"])
    return Page(items, max(after or 0, seen, items[-1]["seq"] if items else 0))


def _database_bytes(path: Path) -> int:
    total = 0
    for end in ("", "-wal", "-shm"):  # listing the directory would take a file descriptor
        with contextlib.suppress(FileNotFoundError):
            total += path.with_name(path.name + end).stat().st_size
    return total


def _backup(last: LastBackup) -> Json:
    """When a backup last succeeded and where it is; why the latest did not."""
    at = None if last.good_at is None else iso(int(last.good_at.timestamp() * 1000))
    return {"at": at, "where": last.good_path, "problem": last.problem}


def _resident_bytes() -> int:
    try:
        return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * resource.getpagesize()
    except OSError:  # no /proc on macOS: the peak is what can be had
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024
