"""What the doors need from the node, and nothing else.

Shapes are those of docs/api.md: what goes in is validated (types, lengths, ranges), what comes out is ready
for ``json.dumps``. Refusals are MawErrors: NotFound, Ambiguous, Refused, Conflict, BadInput, Unavailable.
Every method that shows messages takes the speaker and shows only what that speaker may read.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol

from maw.api.agent_backend import Costing, Ensouling, Hosted, Peopling, Relocating, Rostering
from maw.core.identity import NodeId
from maw.core.intents import CHAT
from maw.core.queries import Query
from maw.core.refused import Attempt
from maw.core.wishes import NOTHING, Wishes
from maw.core.word import OperatorWord

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Speaker:
    """Who is at the door.

    ``agent`` is the address ``arthur@mbp``; None where nobody in particular speaks (a uid that named no
    agent, a REST call without a token). ``agent_key`` is its stable id, opaque to the API. ``is_admin``
    is said of a uid (the daemon's, root, the configured group), never of a token.
    """

    agent: str | None
    agent_key: bytes | None
    known_by: Literal["uid", "token", "operator key", "nobody"]
    uid: int | None
    is_admin: bool
    pane: str | None = None
    """The tmux pane (``%3``) that says so, where it does."""
    himself: bool = False
    """He says that he is the human whose account it is, and that one has no name here: ``agent`` is None."""


Named = tuple[bytes, str | None]
"""An uploaded file that a message is to have: its hash, and another name for it."""

ANONYMOUS = Speaker(agent=None, agent_key=None, known_by="nobody", uid=None, is_admin=False)


class Page(NamedTuple):
    """Messages by ascending ``seq``, and the ``after_seq`` of the next call.

    ``next_seq`` is how far this page looked: the last item's seq when there may be more, the last row's
    when only so many rows were looked at (``items`` may then be empty), otherwise the newest seq visible in
    the same read, so that a quiet reader does not look at the same rows again. Never below the
    ``after_seq`` asked for, and never above what the read could have seen.
    """

    items: list[Json]
    next_seq: int
    expired: int = 0
    """Of an inbox: messages that expired before they were acknowledged."""
    overdue: int = 0
    """Of an inbox: asks of the agent that wait for his answer although their time has passed."""
    before_seq: int | None = None
    """Of a page that goes downward: where to look on, None where nothing is left."""
    changes: Sequence[tuple[int, Json]] = ()
    """Of a stream: messages from before that were edited or taken back, as they are now, each with the number of that
    change; ascending, from the same count as ``seq``."""


class Found(NamedTuple):
    """Messages that fit a search. ``before_seq``: where the next page begins, None at the end; ``indexed_seq``: what
    is above it cannot be found yet."""

    items: list[Json]
    before_seq: int | None
    indexed_seq: int


class Listener(Protocol):
    """A stream whose reader says what it has put in front of the speaking agent."""

    async def sent(self, seqs: list[int]) -> None: ...
    async def heard(self, seq: int) -> list[int]:
        """Everything up to ``seq`` was: delivered, durably. Raises Unavailable."""

    def close(self) -> None: ...


class Command(Protocol):
    """Statements: drafted for a key that is elsewhere, taken in signed, and who keeps to them."""

    async def draft(self, kind: str, issuer: str, asked: Json) -> Json: ...
    async def submit(self, wire: bytes) -> Json: ...
    async def revoke(self, who: str, why: str, void_since_ms: int | None = None) -> Json: ...
    async def statements(self) -> list[Json]: ...
    def operators(self) -> list[Json]: ...


class Speaking(Protocol):
    """Who is at the door."""

    async def speaker_for_uid(self, uid: int, name: str | None) -> Speaker:
        """``name``: a local agent, folded to lower case; ``~``: the uid's own ape, if any; None: nobody.

        NotFound; Refused when it is another uid's.
        """

    async def speaker_in_pane(self, uid: int, pane: str) -> Speaker | None:
        """The agent to whom this uid's tmux pane belongs: ``SOCKET,SERVERPID,%PANE``. None: nobody. BadInput."""

    async def speaker_for_token(self, token: str, role: str | None = None) -> Speaker:
        """NotSignedIn when no agent has this token. ``role``: as which role of that agent, where it is one; else as
        the agent."""


class Waiting(Protocol):
    """Until something is there."""

    async def wait_visible(self, after_seq: int, timeout: float) -> int:
        """The newest visible seq, at once when it is above ``after_seq``, else after ``timeout`` seconds.

        0 when nothing was ever visible. ``timeout=0`` just tells. Safe to cancel.
        """

    async def wait_reached(self, message_id: str, timeout: float, state: str = "replicated") -> Json:
        """The receipt once the message has come to ``state`` for every recipient, or after ``timeout`` as it stands;
        at once where it never will.

        Its ``state`` says which. What only the post itself knew
        (``warnings``) may be left out. Safe to cancel.
        """

    def let_go(self, speaker: Speaker, seconds: float) -> None:
        """A stream of the speaker's was ended, since it took no message for so long: its owner should hear of it."""


class Reading(Protocol):
    """What was said, and how the node is."""

    async def whoami(self, speaker: Speaker) -> Json: ...
    async def health(self) -> Json:
        """``{"ok": bool, …}``: the answer is 503 when not ok."""

    async def status(self, speaker: Speaker) -> Json: ...
    async def peers(self, speaker: Speaker) -> list[Json]: ...
    async def users(self, speaker: Speaker) -> list[Json]: ...
    async def channels(self, speaker: Speaker) -> list[Json]: ...

    async def channel_page(
        self, speaker: Speaker, channel: str, *, after_seq: int | None, before_seq: int | None, limit: int
    ) -> Page:
        """Ascending. Neither cursor: the latest ``limit``. ``before_seq``: the latest ones below it."""

    async def mentions_page(
        self,
        speaker: Speaker,
        user: str,
        *,
        after_seq: int | None,
        limit: int,
        before_seq: int | None = None,
    ) -> Page:
        """Mentions of ``user`` (or its groups) that the speaker may read. Cursors as for a channel."""

    async def inbox_page(
        self,
        speaker: Speaker,
        *,
        after_seq: int,
        limit: int,
        expired: bool = False,
        before_seq: int | None = None,
    ) -> Page:
        """Unacknowledged messages for the speaking agent, each with ``why``, that have not expired, or (``expired``)
        those that have: the oldest above ``after_seq``, or the latest below ``before_seq``."""

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
        """All that the speaker may read after ``after_seq``; ``user`` narrows to what is for that user. ``changes``:
        what was edited or taken back since, too."""

    async def sent(
        self,
        speaker: Speaker,
        *,
        limit: int,
        after_seq: int | None = None,
        before_seq: int | None = None,
    ) -> list[Json]:
        """Cursors as for a channel."""

    def version(self) -> str:
        """Another word whenever a message, a channel, a name or what is known of them may be another than before, also
        after a restart."""

    async def trace(self, speaker: Speaker, ref: str) -> Json:
        """The way of a message, as far as this node knows it. NotFound as for ``message``."""

    async def message(self, speaker: Speaker, ref: str) -> Json:
        """``ref``: an id, or a local seq as decimal digits. NotFound also when it is not theirs to read."""


class Auditing(Protocol):
    """The signed history, for bundles."""

    def audit_head(self) -> Json: ...

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
        """Lines of a bundle; ``next_seq`` counts in the log. NotFound: there is no such log."""

    def note_refusal(self, attempt: Attempt) -> None: ...
    async def refusals(self, *, since_ms: int, limit: int) -> list[Json]:
        """The last first."""


class Searching(Protocol):
    """Finding what was said."""

    async def search(
        self, speaker: Speaker, query: Query, *, limit: int, before_seq: int | None, newest_first: bool
    ) -> Found:
        """The best first, or the newest. NotFound: a name in it; Unavailable: there is no index, or it takes long."""


class Hearing(Protocol):
    """What is put in front of agents, and how often."""

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
        """What was not announced to the speaking agent yet, under a claim; None when there is nothing for this caller
        within ``wait`` seconds. ``gone()``: the caller has hung up. Raises Replaced for a newer waiter."""

    async def heard(self, speaker: Speaker, claim: str, *, failed: str | None, renew: bool) -> Json:
        """NotFound when the claim is not known any more."""

    def listener(self, speaker: Speaker, after: int | None) -> Listener:
        """``after``: the speaking agent is sent all its mail above this seq; None: only a part of it."""

    async def wakes(self, speaker: Speaker, name: str | None) -> list[Json]:
        """Of this agent, or of all that the speaker may look after. NotFound, Refused."""

    async def release_wakes(self, speaker: Speaker, name: str) -> Json: ...
    async def set_dnd(self, speaker: Speaker, name: str | None, quiet: str) -> Json:
        """``name`` None: the speaking agent. BadInput, NotFound, Refused."""


class Writing(Protocol):
    """What agents say and settle: durable on this node once a method returns."""

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
        """The receipt, once the message is durable here. ``word``: an operator's signature on it. ``insist``: although
        it may hold a credential. BadInput."""

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
        """``to`` as the caller wrote it: ``arthur``, ``@arthur``, ``arthur@mbp``. The receipt, as above.
        ``in_the_open``: not sealed. Conflict: a host of theirs has no sealing key."""

    async def answer_orders(self, speaker: Speaker, refs: Sequence[str], state: str, note: str) -> None:
        """What the speaking agent made of operators' orders: ``obeyed`` or ``declined``. BadInput: one is none."""

    def draft_order(self, to: Sequence[str] | None, channel: str | None) -> Json: ...
    async def orders(self, speaker: Speaker, *, limit: int) -> list[Json]: ...
    async def order(self, speaker: Speaker, ref: str) -> Json: ...

    async def ack(self, speaker: Speaker, refs: Sequence[str] | None) -> Json:
        """Ids or seqs as decimal digits; None means all. ``{"acked", "already", "unknown"}``."""

    async def read(self, speaker: Speaker, refs: Sequence[str], via: str) -> Json:
        """All of these was handed to the speaking agent. ``{"read"}``: of which it is new; others are passed over."""

    async def add_channel(
        self, speaker: Speaker, name: str, about: str = "", members: Sequence[str] | None = None
    ) -> Json:
        """Needs a speaking agent. Conflict when it is there already. ``members``: a private one, with these in it."""

    async def change_members(
        self, speaker: Speaker, name: str, add: Sequence[str], remove: Sequence[str]
    ) -> Json:
        """Who is in a private channel; by who made it. NotFound, Refused."""

    async def leave_channel(self, speaker: Speaker, name: str, back: bool) -> Json:
        """The speaking agent hears nothing of a private channel any more, or ``back``: again. NotFound."""

    async def change_channel(
        self, speaker: Speaker, name: str, about: str | None, archived: bool | None
    ) -> Json:
        """The channel, and for whom it counts; what is None stays. By whom as ``retain``."""

    async def watch(self, speaker: Speaker, name: str, wakes: bool | None) -> Json:
        """What is said there is in the speaking agent's inbox from now on, and ``wakes`` it; None: no more."""

    async def redact(self, speaker: Speaker, refs: Sequence[str], reason: str | None) -> Json:
        """Their author, or whoever administers this node. ``{"redacted", "already"}``; all or none."""

    async def retain(self, speaker: Speaker, channel: str, days: int) -> Json:
        """The channel, and for whom it counts. The channel's maker, or whoever administers this node."""


class Conversing(Protocol):
    """What belongs together."""

    async def thread_page(self, speaker: Speaker, ref: str, *, after_seq: int, limit: int) -> Page:
        """The answers to a message, by ascending seq, each with its number of ``replies``. NotFound."""

    async def history(self, speaker: Speaker, ref: str) -> list[Json]:
        """What a message said at first, and by each edit. NotFound."""

    async def edit(
        self, speaker: Speaker, ref: str, text: str, *, idempotency_key: str | None, insist: bool = False
    ) -> Json:
        """The message, once the edit is durable here. Only its author: Refused; BadInput, NotFound, Conflict."""

    async def talks(self, speaker: Speaker) -> list[Json]:
        """The speaking agent's conversations by direct messages, newest first."""

    async def talk_page(
        self,
        speaker: Speaker,
        names: Sequence[str],
        *,
        after_seq: int | None,
        before_seq: int | None,
        limit: int,
    ) -> Page:
        """Messages of the conversation with these. Cursors as for a channel; at the end ``before_seq`` is None.
        NotFound, Ambiguous, BadInput."""

    async def asks(self, speaker: Speaker, *, whose: str | None, overdue: bool) -> list[Json]:
        """Open asks by (``mine``) and of (``of_me``) the speaking agent, oldest first."""


class Filing(Protocol):
    """Files that go with messages."""

    async def upload(
        self, speaker: Speaker, name: str, kind: str, size: int | None, stream: AsyncIterator[bytes]
    ) -> Json:
        """Durable here, for a message of the speaking agent's. TooLarge; Unavailable: quota, disk."""

    async def files(self, speaker: Speaker, ref: str) -> list[Json]:
        """Of a message, and where each is. NotFound as for ``message``."""

    async def fetch_file(self, speaker: Speaker, ref: str, n: int, *, seconds: float, anew: bool) -> Json:
        """Have it here; as ``files`` once it is, once all were asked in vain, or after ``seconds``."""

    async def open_file(
        self, speaker: Speaker, ref: str, n: int, span: Callable[[int], tuple[int, int]]
    ) -> tuple[Json, AsyncIterator[bytes]]:
        """Its bytes from and to where ``span`` says, given its size. Unavailable: it is not here, or damaged."""


class Administering(Protocol):
    """Only ever called with ``speaker.is_admin``, from the socket."""

    async def remove_user(self, speaker: Speaker, name: str) -> None: ...
    async def new_token(self, speaker: Speaker, name: str) -> str:
        """A fresh token; the old one ends."""

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
        """``{"id", "line", "expires_at", "addresses"}``. None: the node's own default."""

    async def open_invites(self, speaker: Speaker) -> list[Json]: ...
    async def withdraw_invite(self, speaker: Speaker, invite_id: str) -> Json: ...
    async def dismiss_alerts(self, speaker: Speaker, kind: str | None, subject: str | None) -> Json: ...

    async def join(self, speaker: Speaker, line: str) -> Json: ...
    async def reload_peers(self, speaker: Speaker) -> Json: ...
    async def mend(self, speaker: Speaker, refs: Sequence[str]) -> Json:
        """Fetch these damaged entries, named as messages are, from the peers: ``{"mended", "left"}``."""

    async def forget_peer(self, speaker: Speaker, who: str) -> Json: ...
    async def accept_peer(self, speaker: Speaker, who: str, introducer: bool = False) -> Json: ...


class Backend(
    Speaking,
    Waiting,
    Reading,
    Searching,
    Auditing,
    Hearing,
    Writing,
    Conversing,
    Filing,
    Hosted,
    Relocating,
    Rostering,
    Costing,
    Peopling,
    Ensouling,
    Administering,
    Protocol,
):
    """The node, as seen from its doors. The runtime implements it; tests have one in memory."""

    @property
    def node_name(self) -> str:
        """This node's short name, for the X-Maw-Replica header."""

    @property
    def command(self) -> Command: ...
