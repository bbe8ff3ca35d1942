"""A node without disk or network: enough of one to stand behind the doors in tests."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from maw.api.backend import Found, Json, Named, Page, Speaker
from maw.api.schemas import SCHEMAS
from maw.core.claims import Replaced
from maw.core.highlights import Finder, snippet
from maw.core.identity import NodeId
from maw.core.intents import CHAT
from maw.core.queries import Query
from maw.core.refused import Attempt
from maw.core.roster import Plan
from maw.core.wishes import NOTHING, Wishes
from maw.core.word import OperatorWord
from maw.errors import BadInput, Conflict, NotFound, NotSignedIn, Refused
from tests.unit.api.memory_files import MemoryFiles
from tests.unit.api.memory_office import KEY, TIME, Agent, MemoryCommand, MemoryOffice


@dataclass
class MemoryListener:
    """Remembers what it was sent and what was confirmed."""

    after: int | None
    sent_seqs: list[int] = field(default_factory=list)
    heard_up_to: list[int] = field(default_factory=list)
    closed: bool = False

    async def sent(self, seqs: list[int]) -> None:
        self.sent_seqs += seqs

    async def heard(self, seq: int) -> list[int]:
        self.heard_up_to.append(seq)
        return [one for one in self.sent_seqs if one <= seq]

    def close(self) -> None:
        self.closed = True


@dataclass
class MemoryBackend(MemoryFiles, MemoryOffice):
    """``admin_uid`` administers; ``agents`` speak. Messages live in a list, by seq from 1."""

    admin_uid: int = 0
    node_name: str = "oracle-world"
    agents: dict[str, Agent] = field(default_factory=dict)
    channel_names: list[str] = field(default_factory=lambda: ["general"])
    command: MemoryCommand = field(default_factory=MemoryCommand)
    messages: list[Json] = field(default_factory=list)
    refused: list[Attempt] = field(default_factory=list)
    acked: dict[str, set[str]] = field(default_factory=dict)
    healthy: bool = True
    listeners: list[MemoryListener] = field(default_factory=list)
    panes: dict[tuple[int, str], str] = field(default_factory=dict)
    listed: dict[str, Plan] = field(default_factory=dict)
    replicates: bool = False
    calls: list[tuple[object, ...]] = field(default_factory=list)
    broken: bool = False
    _visible: asyncio.Condition = field(default_factory=asyncio.Condition)
    _by_key: dict[str, Json] = field(default_factory=dict)
    waiting: int = 0
    let_go_of: list[Speaker] = field(default_factory=list)
    gate: asyncio.Event | None = None
    scan: int | None = None
    """How many messages one page looks at, at most; None for all."""

    async def say(self, text: str, *, channel: str | None = "general", to: Sequence[str] = ()) -> Json:
        """A message from elsewhere becomes visible."""
        return await self._append("trinity@mbp", "operator key", text, channel=channel, to=to, reply_to=None)

    async def _append(
        self,
        author: str,
        known_by: str,
        text: str,
        *,
        channel: str | None,
        to: Sequence[str],
        reply_to: str | None,
        intent: str = CHAT,
    ) -> Json:
        seq = len(self.messages) + 1
        name, _, host = author.partition("@")
        message: Json = {
            "id": f"k7q2mx-1n3f9zq-{seq}",
            "seq": seq,
            "kind": "direct" if channel is None else "post",
            "channel": channel,
            "to": list(to),
            "author": author,
            "author_name": name,
            "host": host,
            "role": "agent",
            "known_by": known_by,
            "operator": None,
            "order": False,
            "intent": intent,
            "text": text,
            "mentions": [word[1:] for word in text.split() if word.startswith("@") and len(word) > 1],
            "created_at": TIME,
            "received_at": TIME,
            "reply_to": reply_to,
            "clock_suspect": False,
            "disputed": False,
        }
        self.messages.append(message)
        async with self._visible:
            self._visible.notify_all()
        return message

    def _readable(self, speaker: Speaker, message: Json) -> bool:
        if message["kind"] == "post":
            return True
        return speaker.agent is not None and (
            speaker.agent == message["author"] or speaker.agent in message["to"]
        )

    def _page(self, found: list[Json], after: int | None, limit: int, *, before: int | None = None) -> Page:
        newest = len(self.messages)
        if self.scan is not None and after is not None and newest > after + self.scan:
            reached = after + self.scan
            items = [m for m in found if after < m["seq"] <= reached][:limit]
            return Page(items, items[-1]["seq"] if len(items) == limit else reached)
        if after is None:
            items = [m for m in found if before is None or m["seq"] < before][-limit:]
            return Page(items, newest)
        items = [m for m in found if m["seq"] > after][:limit]
        return Page(items, items[-1]["seq"] if len(items) == limit else max(newest, after))

    # who ------------------------------------------------------------------------------------------

    async def speaker_for_uid(self, uid: int, name: str | None) -> Speaker:
        if self.broken:
            raise RuntimeError("secret: the disk is on fire")
        admin = uid == self.admin_uid
        if name == "~":
            apes = [agent.name for agent in self.agents.values() if agent.uid == uid and agent.role == "ape"]
            name = apes[0] if apes else None
        if name is None:
            return Speaker(None, None, "uid", uid, admin)
        if name not in self.agents:
            raise NotFound(f"no agent {name} here", hint="`maw agent add`", code="no_such_agent")
        if self.agents[name].uid != uid:
            raise Refused(f"{name} belongs to another user", code="not_your_agent")
        return Speaker(self.address(name), name.encode(), "uid", uid, admin)

    async def speaker_in_pane(self, uid: int, pane: str) -> Speaker | None:
        agent = self.panes.get((uid, pane))
        return None if agent is None else await self.speaker_for_uid(uid, agent)

    async def speaker_for_token(self, token: str, role: str | None = None) -> Speaker:
        if self.broken:
            raise RuntimeError("secret: the disk is on fire")
        for agent in self.agents.values():
            if agent.token == token:
                return Speaker(self.address(agent.name), agent.name.encode(), "token", None, False)
        raise NotSignedIn("no agent has this token", hint="`maw agent token NAME`")

    # waiting --------------------------------------------------------------------------------------

    async def wait_visible(self, after_seq: int, timeout: float) -> int:
        if len(self.messages) > after_seq or timeout <= 0:
            return len(self.messages)
        self.waiting += 1
        try:
            async with asyncio.timeout(timeout), self._visible:
                await self._visible.wait_for(lambda: len(self.messages) > after_seq)
        except TimeoutError:
            pass
        finally:
            self.waiting -= 1
        return len(self.messages)

    async def wait_reached(self, message_id: str, timeout: float, state: str = "replicated") -> Json:
        message = self._find(message_id)
        if not self.replicates:
            await asyncio.sleep(timeout)
        receipt = self._receipt(message, "replicated" if self.replicates else "stored")
        del receipt["warnings"]  # only the post itself knew them
        return receipt

    def let_go(self, speaker: Speaker, seconds: float) -> None:
        self.let_go_of.append(speaker)

    # reading --------------------------------------------------------------------------------------

    async def whoami(self, speaker: Speaker) -> Json:
        name = speaker.agent.partition("@")[0] if speaker.agent else None
        return {
            "agent": speaker.agent,
            "name": name,
            "host": self.node_name,
            "role": self.agents[name].role if name else None,
            "node_key": KEY,
            "colony": "c" * 16,
            "known_by": speaker.known_by,
            "uid": speaker.uid,
        }

    async def health(self) -> Json:
        return {"ok": self.healthy, "name": self.node_name, **({} if self.healthy else {"trouble": "disk"})}

    async def status(self, speaker: Speaker) -> Json:
        return {
            "name": self.node_name,
            "key": KEY,
            "colony": "c" * 16,
            "version": "0.1.0",
            "state": "running",
            "uptime_s": 12.5,
            "pid": 42,
            "home": "/home/neo/.local/share/maw",
            "rest": "127.0.0.1:6291",
            "mesh": [{"address": "10.0.0.1:6290", "listening": True}],
            "interface": None,
            "links_up": 1,
            "peers_known": 1,
            "messages": len(self.messages),
            "entries": len(self.messages),
            "seq": len(self.messages),
            "unread": dict.fromkeys(self.agents, 0),
            "disk_free_bytes": 10**9,
            "database_bytes": 4096,
            "files": {"held": 0, "bytes": 0, "quota_bytes": 2 << 30},
            "rss_bytes": 40_000_000,
            "backup": {"at": None, "where": None, "problem": None},
            "alerts": [],
        }

    async def peers(self, speaker: Speaker) -> list[Json]:
        return [
            {
                "name": 'mbp"\n',
                "key": KEY,
                "short": "aaaaaa",
                "addresses": ["10.0.0.2:6290"],
                "state": "linked",
                "since": TIME,
                "rtt_ms": 1.5,
                "behind": 0,
                "lacks": None,
                "how": "invited",
                "vouched_by": [],
                "last_error": None,
                "last_seen": TIME,
                "version": "0.1.0",
                "agents": 2,
                "behind_since": None,
                "lacks_since": TIME,
            }
        ]

    async def users(self, speaker: Speaker) -> list[Json]:
        return [self._user(agent) for agent in self.agents.values()]

    def _channel(self, name: str) -> Json:
        found = [m for m in self.messages if m["channel"] == name]
        last = found[-1]["seq"] if found else 0
        return {
            "id": name,
            "name": name,
            "created_at": TIME,
            "created_by": None,
            "messages": len(found),
            "last_seq": last,
        }

    async def channels(self, speaker: Speaker) -> list[Json]:
        return [self._channel(name) for name in self.channel_names]

    def _known_channel(self, channel: str) -> None:
        if channel not in self.channel_names:
            raise NotFound(f"no channel {channel}", code="no_such_channel", candidates=self.channel_names)

    async def channel_page(
        self, speaker: Speaker, channel: str, *, after_seq: int | None, before_seq: int | None, limit: int
    ) -> Page:
        self._known_channel(channel)
        found = [m for m in self.messages if m["channel"] == channel]
        return self._page(found, after_seq, limit, before=before_seq)

    async def mentions_page(
        self,
        speaker: Speaker,
        user: str,
        *,
        after_seq: int | None,
        limit: int,
        before_seq: int | None = None,
    ) -> Page:
        name = user.lstrip("@").partition("@")[0]
        found = [m for m in self.messages if name in m["mentions"] and self._readable(speaker, m)]
        return self._page(found, after_seq, limit, before=before_seq)

    def _mine(self, speaker: Speaker) -> list[Json]:
        assert speaker.agent is not None, "the API lets nobody else in here"
        acked = self.acked.get(speaker.agent, set())
        name = speaker.agent.partition("@")[0]
        return [
            {
                **m,
                "why": "direct" if speaker.agent in m["to"] else "mention",
                "delivered_at": None,
                "read_at": None,
            }
            for m in self.messages
            if (speaker.agent in m["to"] or name in m["mentions"]) and m["id"] not in acked
        ]

    async def inbox_page(
        self,
        speaker: Speaker,
        *,
        after_seq: int,
        limit: int,
        expired: bool = False,
        before_seq: int | None = None,
    ) -> Page:
        if expired:
            return Page([], after_seq)
        return self._page(self._mine(speaker), None if before_seq else after_seq, limit, before=before_seq)

    async def stream_page(
        self,
        speaker: Speaker,
        *,
        after_seq: int,
        channel: str | None,
        user: str | None,
        limit: int,
        changes: bool = False,
    ) -> Page:
        if channel is not None:
            self._known_channel(channel)
        found = [
            m
            for m in self.messages
            if self._readable(speaker, m)
            and (channel is None or m["channel"] == channel)
            and (user is None or user in m["mentions"])
        ]
        return self._page(found, after_seq, limit)

    def audit_head(self) -> Json:
        return {"colony": "mc1", "found": "", "node": "mk1", "statements": [], "logs": []}

    async def audit_page(
        self,
        speaker: Speaker,
        log: NodeId,
        epoch: int,
        *,
        after_seq: int,
        limit: int,
        query: Query | None,
        sparse: bool,
    ) -> Page:
        raise NotFound("there is no log here", code="no_such_log")

    def note_refusal(self, attempt: Attempt) -> None:
        self.refused.append(attempt)

    async def refusals(self, *, since_ms: int, limit: int) -> list[Json]:
        now = "2026-11-22T08:00:00Z"
        return [{**one._asdict(), "first": now, "last": now, "times": 1} for one in self.refused[-limit:]]

    async def search(
        self, speaker: Speaker, query: Query, *, limit: int, before_seq: int | None, newest_first: bool
    ) -> Found:
        finder = Finder(query)
        found: list[Json] = []
        for message in reversed(self.messages):
            spans = finder.spans(message["text"])
            if spans is None or not self._readable(speaker, message):
                continue
            if before_seq is None or message["seq"] < before_seq:
                cut = snippet(message["text"], spans)
                found.append({**message, "snippet": cut.text, "highlights": cut.highlights, "rank": 1.0})
        more = found[limit - 1]["seq"] if len(found) > limit else None
        return Found(found[:limit], more, len(self.messages))

    async def sent(
        self,
        speaker: Speaker,
        *,
        limit: int,
        after_seq: int | None = None,
        before_seq: int | None = None,
    ) -> list[Json]:
        mine = [m for m in self.messages if m["author"] == speaker.agent]
        mine = self._page(mine, after_seq, limit, before=before_seq).items
        hosts = [{"host": "mbp", "state": "stored", "since": None}]
        return [{**m, "state": "stored", "hosts": hosts} for m in mine]

    def version(self) -> str:
        return str(len(self.messages))

    def _find(self, ref: str) -> Json:
        for message in self.messages:
            if ref in (message["id"], str(message["seq"])):
                return message
        raise NotFound(f"no message {ref}", code="no_such_message")

    async def message(self, speaker: Speaker, ref: str) -> Json:
        found = self._find(ref)
        if not self._readable(speaker, found):
            raise NotFound(f"no message {ref}", code="no_such_message")
        thread = [{**m, "depth": 1} for m in self.messages if m["reply_to"] == found["id"]]
        around = {
            "root": found["reply_to"] or found["id"],
            "path": [],
            "replies": len(thread),
            "thread": thread,
        }
        return {**found, "state": "stored", **around}

    async def trace(self, speaker: Speaker, ref: str) -> Json:
        found = await self.message(speaker, ref)
        return {
            **found,
            "here": {"host": self.node_name, "since": TIME},
            "hosts": [],
            "recipients": [],
            "groups": [],
        }

    # writing --------------------------------------------------------------------------------------

    def _receipt(self, message: Json, state: str) -> Json:
        recipients = [
            {"agent": to, "host": to.partition("@")[2], "online": False, "last_seen": None, "state": state}
            for to in message["to"]
        ]
        return {
            "id": message["id"],
            "seq": message["seq"],
            "state": state,
            "recipients": recipients,
            "message": message,
            "warnings": [],
        }

    async def _post(self, speaker: Speaker, idempotency_key: str | None, text: str, **where: object) -> Json:
        assert speaker.agent is not None, "the API lets nobody else in here"
        if self.gate is not None:
            await self.gate.wait()
        if idempotency_key in self._by_key:
            before = self._by_key[idempotency_key]
            if before["message"]["text"] != text:
                raise Conflict("that key was used for another message", code="idempotency_conflict")
            return before
        message = await self._append(speaker.agent, speaker.known_by, text, **where)  # type: ignore[arg-type]
        receipt = self._receipt(message, "stored")
        if idempotency_key is not None:
            self._by_key[idempotency_key] = receipt
        return receipt

    async def post_channel(
        self,
        speaker: Speaker,
        channel: str,
        text: str,
        *,
        reply_to: str | None,
        idempotency_key: str | None,
        word: OperatorWord | None = None,
        intent: str = CHAT,
        wishes: Wishes = NOTHING,
        insist: bool = False,
        files: Sequence[Named] = (),
    ) -> Json:
        self._known_channel(channel)
        return await self._post(
            speaker, idempotency_key, text, channel=channel, to=(), reply_to=reply_to, intent=intent
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
        intent: str = CHAT,
        wishes: Wishes = NOTHING,
        insist: bool = False,
        in_the_open: bool = False,
        files: Sequence[Named] = (),
    ) -> Json:
        names = [name.lstrip("@") for name in to]
        whole = [name if "@" in name else self.address(name) for name in names]
        return await self._post(
            speaker, idempotency_key, text, channel=None, to=whole, reply_to=reply_to, intent=intent
        )

    async def thread_page(self, speaker: Speaker, ref: str, *, after_seq: int, limit: int) -> Page:
        found = (await self.message(speaker, ref))["thread"]
        return self._page([{**one, "replies": 0} for one in found], after_seq, limit)

    async def history(self, speaker: Speaker, ref: str) -> list[Json]:
        found = await self.message(speaker, ref)
        return [{"id": found["id"], "text": found["text"], "at": found["created_at"]}]

    async def edit(
        self, speaker: Speaker, ref: str, text: str, *, idempotency_key: str | None, insist: bool = False
    ) -> Json:
        found = self._find(ref)
        if found["author"] != speaker.agent:
            raise Refused(f"{ref} is another's", code="not_yours")
        found |= {"text": text, "edited_at": found["created_at"], "edits": found.get("edits", 0) + 1}
        return found

    def _mates(self, speaker: Speaker, message: Json) -> tuple[str, ...]:
        others = {message["author"], *message["to"]} - {speaker.agent}
        return tuple(sorted(others))

    async def talks(self, speaker: Speaker) -> list[Json]:
        found: dict[tuple[str, ...], Json] = {}
        for message in self.messages:
            if message["kind"] == "direct" and self._readable(speaker, message):
                mates = self._mates(speaker, message)
                found.pop(mates, None)
                found[mates] = {"with": list(mates), "unread": 0, "last": message}
        return list(found.values())[::-1]

    async def talk_page(
        self,
        speaker: Speaker,
        names: Sequence[str],
        *,
        after_seq: int | None,
        before_seq: int | None,
        limit: int,
    ) -> Page:
        found = [
            {**message, "unread": False}
            for message in self.messages
            if message["kind"] == "direct" and self._readable(speaker, message)
            and self._mates(speaker, message) == tuple(sorted(names))
        ]  # fmt: skip
        return self._page(found, after_seq, limit, before=before_seq)

    async def asks(self, speaker: Speaker, *, whose: str | None, overdue: bool) -> list[Json]:
        return []

    def draft_order(self, to: Sequence[str] | None, channel: str | None) -> Json:
        targets = [f"#{channel}"] if channel is not None else list(to or ())
        return {"colony": "", "author": "", "at_ms": 0, "targets": targets}

    async def answer_orders(self, speaker: Speaker, refs: Sequence[str], state: str, note: str) -> None:
        raise BadInput(f"{refs[0]} is no operator's order", code="no_order")

    async def orders(self, speaker: Speaker, *, limit: int) -> list[Json]:
        return []

    async def order(self, speaker: Speaker, ref: str) -> Json:
        raise NotFound(f"{ref} is no operator's order")

    async def hear(
        self,
        speaker: Speaker,
        via: str,
        *,
        wake: bool,
        wait: float,
        session: str | None,
        limit: int,
        gone: Callable[[], bool],
        slice_s: float,
    ) -> Json | None:
        """The first message that the agent finds in its inbox, claimed as its seq."""
        self.calls.append(("hear", speaker.agent, via, wake, wait, session, limit))
        if session == "replaced":
            raise Replaced
        for message in (await self.inbox_page(speaker, after_seq=0, limit=1)).items:
            wanted = SCHEMAS["Brief"]["properties"]
            brief = {**{key: message[key] for key in wanted if key in message}, "chars": len(message["text"])}
            text = f"[maw aaaaaa]\n{message['text']}\n[/maw aaaaaa]"
            return {
                "claim": str(message["seq"]), "agent": speaker.agent, "text": text, "messages": [brief], "more": 0,
                "lease_s": 10.0,
            }  # fmt: skip
        return None

    async def heard(self, speaker: Speaker, claim: str, *, failed: str | None, renew: bool) -> Json:
        self.calls.append(("heard", speaker.agent, claim, failed, renew))
        if not claim.isdigit():
            raise NotFound(f"no claim {claim} is open", code="no_such_claim", hint="it is announced again")
        state = "renewed" if renew else "delivered" if failed is None else "failed"
        return {"state": state, "delivered": [int(claim)] if state == "delivered" else []}

    def listener(self, speaker: Speaker, after: int | None) -> MemoryListener:
        self.listeners.append(MemoryListener(after))
        return self.listeners[-1]

    async def wakes(self, speaker: Speaker, name: str | None) -> list[Json]:
        return [self._wakes(one) for one in ([name] if name else sorted(self.agents))]

    async def release_wakes(self, speaker: Speaker, name: str) -> Json:
        self.calls.append(("release_wakes", speaker.agent, name))
        return self._wakes(name)

    async def set_dnd(self, speaker: Speaker, name: str | None, quiet: str) -> Json:
        self.calls.append(("set_dnd", speaker.agent, name, quiet))
        return {**self._wakes(name or "neo"), "dnd": quiet}

    def _wakes(self, name: str) -> Json:
        return {
            "agent": self.address(name), "used": 3.25,
            "held": [{"what": "neo@mbp", "since": TIME, "wakes": 24.0}], "dnd": "off", "quiet": False, "waiting": 2,
            "hears_by": ["rewake"],
            "since_start": {"wakes": 3, "digests": 5, "digest_bytes": 912},
            "hour": [{"at": TIME, "via": "rewake", "causes": ["neo@mbp"], "messages": 2}],
        }  # fmt: skip

    async def ack(self, speaker: Speaker, refs: Sequence[str] | None) -> Json:
        assert speaker.agent is not None, "the API lets nobody else in here"
        acked = self.acked.setdefault(speaker.agent, set())
        open_ids = [m["id"] for m in self._mine(speaker)]
        if refs is None:
            acked.update(open_ids)
            return {"acked": open_ids, "already": [], "unknown": []}
        known = {key: m["id"] for m in self.messages for key in (m["id"], str(m["seq"]))}
        ids = [known[ref] for ref in refs if ref in known]
        result = {
            "acked": [i for i in ids if i in open_ids],
            "already": [i for i in ids if i in acked],
            "unknown": [ref for ref in refs if ref not in known],
        }
        acked.update(result["acked"])
        return result

    async def read(self, speaker: Speaker, refs: Sequence[str], via: str) -> Json:
        self.calls.append(("read", speaker.agent, tuple(refs), via))
        return {"read": [m["id"] for m in self._mine(speaker) if {m["id"], str(m["seq"])} & set(refs)]}

    async def leave_channel(self, speaker: Speaker, name: str, back: bool) -> Json:
        raise NotFound(f"you never were in a private channel {name}", code="no_such_channel")

    async def change_channel(
        self, speaker: Speaker, name: str, about: str | None, archived: bool | None
    ) -> Json:
        if name not in self.channel_names:
            raise NotFound(f"no channel is called {name}", code="no_such_channel")
        told = {"about": about, "archived": bool(archived), "keep_days": None, "for": "everybody"}
        return {**self._channel(name), **told}

    async def watch(self, speaker: Speaker, name: str, wakes: bool | None) -> Json:
        if name not in self.channel_names:
            raise NotFound(f"no channel is called {name}", code="no_such_channel")
        return {**self._channel(name), "watched": wakes is not None, "wakes": bool(wakes)}

    async def change_members(
        self, speaker: Speaker, name: str, add: Sequence[str], remove: Sequence[str]
    ) -> Json:
        raise NotFound(f"no channel is called {name}", code="no_such_channel")

    async def add_channel(
        self, speaker: Speaker, name: str, about: str = "", members: Sequence[str] | None = None
    ) -> Json:
        if name in self.channel_names:
            raise Conflict(f"channel {name} is there already", code="channel_exists")
        self.channel_names.append(name)
        return self._channel(name)

    async def redact(self, speaker: Speaker, refs: Sequence[str], reason: str | None) -> Json:
        return {"redacted": list(refs), "already": []}

    async def retain(self, speaker: Speaker, channel: str, days: int) -> Json:
        if channel not in self.channel_names:
            raise NotFound(f"no channel is called {channel}", code="no_such_channel")
        return {**self._channel(channel), "keep_days": days or None, "for": "everybody"}

    # administration ---------------------------------------------------------------------------------
