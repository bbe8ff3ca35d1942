"""The souls of agents: said in this host's log for its own, read for all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from maw.core.colony import Said
from maw.core.credentials import find_credential
from maw.core.entry import Kind, Position
from maw.core.message_ids import message_id
from maw.core.names import parse_address
from maw.core.redaction import RETENTION, Redaction, as_ranges
from maw.core.souls import KEPT, Soul, check_soul, soul_hash
from maw.errors import Ambiguous, BadInput, Conflict, NotFound
from maw.node.authoring import Authoring
from maw.node.directory import Directory
from maw.node.presenting import Json, iso
from maw.node.store import Store
from maw.store.souls import Version, versions
from maw.store.state import AgentRow

_SYNC: Final = "`maw soul sync` on its host says it"


class Souls:
    """``refuse_frozen`` and ``charge`` raise for who may say nothing now."""

    def __init__(
        self,
        store: Store,
        authoring: Authoring,
        directory: Directory,
        refuse_frozen: Callable[[AgentRow, str | None], None],
        charge: Callable[[AgentRow, Said], None],
    ) -> None:
        self._store = store
        self._authoring = authoring
        self._directory = directory
        self._refuse_frozen = refuse_frozen
        self._charge = charge

    # -- read ---------------------------------------------------------------------------------------

    async def soul(self, who: str, ref: str | None = None) -> Json:
        """The latest version, or the one that ``ref`` (its id, or the beginning of its hash) names. NotFound."""
        row = self._find(who)
        for one in await self._versions(row):
            try:
                told = self._told(row, one)
            except ValueError:
                continue  # damaged: the scrubber tells, and it is fetched from peers
            if ref is None or ref == told["id"] or (len(ref) >= 6 and told["hash"].startswith(ref)):
                return told
        address = self._directory.address(row)
        if ref is None:
            raise NotFound(f"no soul of {address} is known here", code="no_soul", hint=_SYNC)
        hint = f"`maw soul history {address}` lists those that are"
        raise NotFound(f"no version {ref} of the soul of {address} is kept", code="no_soul", hint=hint)

    async def history(self, who: str) -> list[Json]:
        """The versions that are kept, the latest first, without their words."""
        row = self._find(who)
        found: list[Json] = []
        for one in await self._versions(row):
            try:
                told = self._told(row, one)
            except ValueError:
                continue
            del told["text"]
            found.append(told)
        return found

    def _find(self, who: str) -> AgentRow:
        """Who lives; else who lived: a soul outlasts its agent. NotFound, Ambiguous, BadInput."""
        try:
            return self._directory.find_agent(who)
        except NotFound:
            wanted = parse_address(who)
            state = self._store.state
            hosts = (
                None if wanted.host is None else {row.n for row in self._directory.find_hosts(wanted.host)}
            )
            gone = [
                row for row in state.agents_named.get(wanted.name, {}).values()
                if row.gone and (hosts is None or row.node in hosts)
                and self._directory.counts(state.node_at[row.node].key)
            ]  # fmt: skip
            if not gone:
                raise
            if len({row.node for row in gone}) > 1:
                names = sorted({self._directory.address(row) for row in gone})
                raise Ambiguous(f"{who} may be {' or '.join(names)}", candidates=names) from None
            return gone[-1]

    async def _versions(self, row: AgentRow) -> list[Version]:
        """Of its host's log, and of the keys that its host had before."""
        state = self._store.state
        present = state.node_at[row.node].key
        former = [
            state.nodes[key].n for key, heir in state.heirs.items() if heir == present and key in state.nodes
        ]
        return await versions(self._store.db, [row.node, *sorted(former, reverse=True)], row.id)

    def _told(self, row: AgentRow, one: Version) -> Json:
        """Raises ValueError when it is damaged."""
        text = one.read()
        position = Position(self._store.state.node_at[one.node].key, one.epoch, one.seq)
        return {
            "agent": self._directory.address(row), "id": message_id(position), "hash": soul_hash(text),
            "size": len(text.encode()), "said_at": iso(one.at), "text": text,
        }  # fmt: skip

    # -- said ---------------------------------------------------------------------------------------

    async def say(self, agent: AgentRow, text: str, before: str | None) -> Json:
        """The soul of an agent of this host is this from now on, for everybody. Nothing is written where it is that
        already (``changed`` says so). ``before``: the hash of the version that this one follows; Conflict where another
        one was said meanwhile. BadInput, Refused, TooMany."""
        self._refuse_frozen(agent, None)
        check_soul(text)
        check_secrets(text)
        held = await self._versions(agent)
        latest = held[0].read() if held else None
        if before is not None and before != (None if latest is None else soul_hash(latest)):
            raise Conflict(
                f"the soul of {agent.name} was changed by somebody else meanwhile",
                code="changed",
                hint=f"`maw soul show {agent.name}` shows it; put the two together, and sync again",
            )
        changed = latest != text
        if changed:
            self._charge(agent, Said(agent.id, agent.name, agent.role, "uid", text, ()))
            await self._authoring.say(Kind.SOUL, Soul(agent.id, text).content())
            await self._let_go(agent)
        told = await self.soul(self._directory.address(agent))
        return {**told, "changed": changed}

    async def _let_go(self, agent: AgentRow) -> None:
        """The words of all but the latest versions: each host would keep them for good."""
        own = [one for one in await self._versions(agent) if one.node == agent.node]
        epochs: dict[int, list[int]] = {}
        for one in own[KEPT:]:
            epochs.setdefault(one.epoch, []).append(one.seq)
        for epoch, seqs in epochs.items():
            rule = Redaction(self._store.me, epoch, tuple(as_ranges(seqs)), RETENTION, "")
            await self._authoring.say(Kind.REDACT, rule.content())


def check_secrets(text: str) -> None:
    """Raises BadInput, without a word of what it is: there is no way around it, for nobody needs to be told it."""
    if (found := find_credential(text)) is not None:
        raise BadInput(
            f"line {found.line} of the text has what looks like {found.kind}, at character {found.column}: nothing was"
            " said",
            code="credential",
            hint="everybody in the Colony reads it: say where it is kept instead",
        )
