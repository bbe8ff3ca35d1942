"""Saying things and what became of them: posts, direct messages, receipts, acknowledgements.

``stored`` means durable here; ``replicated`` means durable on the hosts that the message is for. Nothing
here waits for the network unless it is asked to.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from typing import Any

from maw.core.colony import GROUPS, Said
from maw.core.credentials import find_credential
from maw.core.entry import Kind, Position
from maw.core.files import File
from maw.core.identity import NodeId
from maw.core.intents import CHAT
from maw.core.message_ids import message_id
from maw.core.names import is_private, mentions
from maw.core.once import Asked, Marks, request_of
from maw.core.states import READ
from maw.core.text import check_message
from maw.core.wishes import NOTHING, Wishes
from maw.core.word import OperatorWord
from maw.errors import BadInput, Hidden, NotFound, Refused
from maw.node.authoring import Authoring, Written, recovering
from maw.node.channels import Channels
from maw.node.crowds import Crowds
from maw.node.directory import Directory, no_such_message
from maw.node.holding import refuse_held
from maw.node.marking import Marking
from maw.node.presenting import Json, Presenter, gone_words
from maw.node.rooms import Rooms
from maw.node.sealing import Sealing
from maw.node.store import Store
from maw.node.tracing import Tracing
from maw.store import pages
from maw.store.fold import Fold
from maw.store.mending import is_missing
from maw.store.pages import Shown
from maw.store.redacting import covering
from maw.store.schema import SEQ_BITS
from maw.store.state import AgentRow


class Talking:
    """What agents do with messages."""

    def __init__(
        self,
        store: Store,
        authoring: Authoring,
        directory: Directory,
        presenter: Presenter,
        tracing: Tracing,
        marks: Marks,
        marking: Marking,
        may_say: Callable[[AgentRow, Said], None],
        charge: Callable[[AgentRow, Said], None],
        crowds: Crowds,
        channels: Channels,
        sealing: Sealing,
        rooms: Rooms,
    ) -> None:
        """``may_say`` raises Refused when an agent may not say this now, ``charge`` TooMany when it has said too
        much; each message is charged once."""
        self._may_say = may_say
        self._charge = charge
        self._crowds = crowds
        self._channels = channels
        self._sealing = sealing
        self._rooms = rooms
        self._store = store
        self.authoring = authoring
        self._directory = directory
        self._presenter = presenter
        self._tracing = tracing
        self._marks = marks
        self._marking = marking

    # -- saying -----------------------------------------------------------------------------------

    async def post(
        self,
        agent: AgentRow,
        known_by: str,
        channel: str,
        text: str,
        *,
        reply_to: str | None,
        key: str | None,
        word: OperatorWord | None = None,
        intent: str = CHAT,
        wishes: Wishes = NOTHING,
        insist: bool = False,
        files: tuple[File, ...] = (),
    ) -> Json:
        """A message in a channel that exists. Returns its receipt, once it is durable.

        ``word``: an operator's signature on it.
        """
        check_message(text)
        if not insist:
            check_credential(text)
        row = self._directory.channel(channel, agent.id)
        name = row.name
        members = self._rooms.members(row) if is_private(name) else ()
        if members and word is not None:
            raise _not_signed_for(name)
        self._channels.refuse_archived(row)
        words = mentions(text)
        reply = None if reply_to is None else await self._reply(reply_to, agent)
        signed = None if word is None else word.content()
        once = None if key is None else self._marks.mark(agent.id, key)
        said = Said(
            agent.id,
            agent.name,
            agent.role,
            known_by,
            text,
            words,
            reply,
            name,
            members,
            signed,
            once,
            intent,
            *wishes,
            files,
        )
        among = (lambda one: self._rooms.is_in(row, one)) if members else None
        said, reaches = self._crowds.addressed(agent, said, among)
        hosts = self._rooms.hosts(members) if members else None
        written = await self._say(Kind.POST, agent, said, key, hosts)
        warnings = self._unknown_mentions(words) + self._directory.moved(words) + self._crowds.unmet(said)
        if among is not None:
            warnings += self._left_out(words, among)
        receipt = await self._receipt(written, said, agent, warnings)
        if hosts is not None and not written.repeated:
            receipt["message"]["sealed"] = True
        return {**receipt, "reaches": reaches}

    async def direct(
        self,
        agent: AgentRow,
        known_by: str,
        to: Sequence[str],
        text: str,
        *,
        reply_to: str | None,
        key: str | None,
        word: OperatorWord | None = None,
        intent: str = CHAT,
        wishes: Wishes = NOTHING,
        insist: bool = False,
        in_the_open: bool = False,
        files: tuple[File, ...] = (),
    ) -> Json:
        """A message to agents, each named whole, or by a group as it is now. Nothing is sent when one is unknown or
        ambiguous, or its host has no sealing key (Conflict); ``in_the_open``: every host of the Colony may read it."""
        check_message(text)
        if not insist:
            check_credential(text)
        rows = self._crowds.recipients(agent, to)
        recipients = tuple(self._directory.recipient(row) for row in rows)
        reply = None if reply_to is None else await self._reply(reply_to, agent)
        found, signed = mentions(text), None if word is None else word.content()
        once = None if key is None else self._marks.mark(agent.id, key)
        said = Said(
            agent.id,
            agent.name,
            agent.role,
            known_by,
            text,
            found,
            reply,
            None,
            recipients,
            signed,
            once,
            intent,
            *wishes,
            files,
        )
        hosts = None if in_the_open else {to.node for to in recipients}
        written = await self._say(Kind.DIRECT, agent, said, key, hosts)
        receipt = await self._receipt(written, said, agent, self._directory.moved(to))
        if hosts is not None and not written.repeated:
            receipt["message"]["sealed"] = True
        return {**receipt, "reaches": len(recipients)}

    async def _say(
        self,
        kind: Kind,
        agent: AgentRow,
        said: Said,
        key: str | None,
        hosts: Collection[NodeId] | None = None,
    ) -> Written:
        """``hosts``: who alone can read it, beside this one; None: everybody."""
        if said.word is None:
            self._may_say(agent, said)
        else:
            _check_signed(said)
        if key is None:
            self._charge(agent, said)

        content_key: bytes | None = None

        def local(fold: Fold) -> None:
            if key is not None:  # only here it is known that this is no repetition of what was taken before
                self._charge(agent, said)
            if said.word is not None:  # it counts once: it is judged here, after what its key has settled
                self._may_say(agent, said)
            row = self._store.state.agent_at.get(agent.n)
            if row is None or row.id != agent.id:  # it came back in a batch that was rolled back meanwhile
                raise recovering()
            refuse_held(self._store.state, row)
            if row.uid is None:
                raise Refused(
                    f"{row.name} is no agent of this host any more", code="not_yours",
                    hint="`maw move status` tells where it went",
                )  # fmt: skip
            fold.fresh_key = content_key

        once = None
        if key is not None and said.once is not None:
            once = Asked(said.once, request_of(kind, said), (key, agent.n))
        content: Mapping[str, Any] = said.content()
        if hosts is not None:
            content, content_key = self._sealing.seal(kind, content, hosts)
            kind = Kind.PRIVATE
        return await self.authoring.say(kind, content, said=said, once=once, local=local)

    async def _reply(self, ref: str, agent: AgentRow) -> str:
        row = await self.find(ref, agent.id)
        return message_id(self._presenter.position(row))

    def _unknown_mentions(self, words: Sequence[str]) -> list[str]:
        """A mention of nobody is no error (the agent may come later), but its author wants to know."""
        return [
            f"@{word} is not known here yet; it finds the message if it ever comes"
            for word in words
            if word not in GROUPS and not self._directory.mentioned([word])
        ]

    def _left_out(self, words: Sequence[str], is_in: Callable[[AgentRow], bool]) -> list[str]:
        """Whoever is mentioned in a private channel and not in it never hears of it."""
        called = {word: self._directory.mentioned([word]) for word in words if word not in GROUPS}
        return [
            f"@{word} is not in this channel, and does not hear of it: `maw channel invite` lets him in"
            for word, rows in called.items()
            if rows and not any(map(is_in, rows))
        ]

    async def _receipt(self, written: Written, said: Said, agent: AgentRow, warnings: list[str]) -> Json:
        assert written.seq is not None
        if written.position is None or written.repeated:
            row = await pages.at_seq(self._store.db, written.seq)
            assert row is not None
            return {**await self._tracing.receipt(row), "warnings": warnings}
        place = self._store.state.logs[written.position.author, written.position.epoch].place(
            written.position.seq
        )
        channel = self._store.state.channels[said.channel].n if said.channel else None
        direct = said.channel is None or bool(said.to)
        times = (written.said_ms, written.received_ms)
        row = Shown(written.seq, place, direct, channel, agent.n, *times, False, said.reply_to, None)
        return {**self._tracing.fresh(written.position, row, said), "warnings": warnings}

    # -- reading one --------------------------------------------------------------------------------

    async def any(self, ref: str) -> Shown:
        """A message by id or local seq, whoever may read it. Raises NotFound."""
        if ref.isascii() and ref.isdigit():
            row = await pages.at_seq(self._store.db, min(int(ref), 1 << 62))
        else:
            position = self._directory.position(ref)
            log = self._store.state.logs[position.author, position.epoch]
            row = await pages.at_place(self._store.db, log.place(position.seq))
            if row is None and (told := await self._absent(ref, position, log.place(position.seq))):
                raise told
        if row is None:
            raise no_such_message(ref)
        return row

    async def _absent(self, ref: str, position: Position, place: int) -> NotFound | None:
        """Why a message whose entry is held was never seen here, if that is known."""
        async with self._store.db.reading() as conn:
            rule = await covering(conn, place)
            missing = await is_missing(conn, place)
        if rule is not None:
            gone = self._presenter.rule(position.author, *rule)
            return NotFound(f"message {ref}: {gone_words(gone)}", code="redacted")
        if missing:
            return NotFound(
                f"message {ref} came without its text, and no redaction of it is known",
                code="payload_missing",
                hint="every host that is linked is asked for it; `maw status` names who withholds one",
            )
        return None

    async def find(self, ref: str, agent_key: bytes | None, *, all_of_ours: bool = False) -> Shown:
        """A message by id or local seq, if this agent may read it (or, ``all_of_ours``, anything that this node's
        agents said); else as if it were not there."""
        row = await self.any(ref)
        if all_of_ours and self._presenter.position(row).author == self._store.me:
            return row
        if not self._presenter.may_read(row, self._presenter.said(row), agent_key):
            raise no_such_message(ref, Hidden)
        return self._presenter.as_for(row, agent_key)

    # -- acknowledging --------------------------------------------------------------------------------

    async def ack(self, agent: AgentRow, refs: Sequence[str] | None) -> Json:
        """Mark as done, for good. ``refs`` None: everything that is unread now."""
        wanted: dict[str, int] = {}
        for ref in refs or ():
            try:
                wanted[ref] = (await self.any(ref)).seq
            except (NotFound, BadInput) as error:
                if isinstance(error, BadInput) and len(refs or ()) == 1:
                    raise
        fresh, done = await self._marking.ack(
            agent, None if refs is None else list(dict.fromkeys(wanted.values()))
        )
        settled = {*fresh, *done}
        return {
            "acked": await self._ids_of(fresh),
            "already": await self._ids_of(done),
            # as they were asked for: what is another's must look like what is not there
            "unknown": [ref for ref in refs or () if wanted.get(ref) not in settled],
        }

    async def read(self, agent: AgentRow, refs: Sequence[str], via: str) -> Json:
        """All of these messages was handed to this agent. What is not in his mailbox is passed over."""
        wanted = {}
        for ref in refs:
            with suppress(NotFound):
                wanted[(await self.any(ref)).seq] = ref
        fresh = await self._marking.mark(agent, list(wanted), READ, via)
        return {"read": await self._ids_of(fresh)}

    async def _ids_of(self, seqs: Sequence[int]) -> list[str]:
        state = self._store.state
        found = []
        for place in await pages.places(self._store.db, seqs):
            log = state.log_at[place >> SEQ_BITS]
            low = place & ((1 << SEQ_BITS) - 1)
            found.append(message_id(Position(state.node_at[log.node].key, log.epoch, low)))
        return found


def check_credential(text: str) -> None:
    """Raises BadInput, without a word of what it is."""
    found = find_credential(text)
    if found is not None:
        raise BadInput(
            f"line {found.line} of the text has what looks like {found.kind}, at character {found.column}: nothing was"
            " sent",
            code="credential",
            hint="what is sent is kept on every host: say where it is kept instead; if it is none, or meant, --insist"
            ' (API: "insist": true)',
        )


def _check_signed(said: Said) -> None:
    """Raises BadInput: with what is not signed it would be nobody's word."""
    if said.wishes() != NOTHING or said.files:
        raise BadInput(
            "an operator's word has no priority, expiry, due time, groups or files: they are not signed",
            hint="leave them out; an operator's word comes first anyway",
            code="bad_body",
        )


def _not_signed_for(channel: str) -> BadInput:
    return BadInput(
        f"an operator's word is for all to read: none stands in #{channel}, which is private",
        hint="say it in a public channel, or to agents by name",
        code="bad_body",
    )


def need_agent(agent: AgentRow | None) -> AgentRow:
    """Raises Refused when nobody in particular speaks."""
    if agent is None:
        raise Refused(
            "no agent speaks here",
            code="no_speaker",
            hint="name one: --as NAME, $MAW_AGENT, the X-Maw-Agent header, or an agent's token",
        )
    return agent
