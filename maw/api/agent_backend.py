"""What the doors need from the node about agents: where they run, how they live and move, what they cost.

Part of ``backend``, which says what goes in and comes out.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import TYPE_CHECKING, Literal, Protocol

from maw.core.spending import Run
from maw.core.vouched import Vouched

if TYPE_CHECKING:
    from maw.api.backend import Json, Speaker


class Hosted(Protocol):
    """The machine under the agents."""

    async def host(self, speaker: Speaker) -> Json: ...
    async def measured(
        self, speaker: Speaker, agents: list[Json], logs: list[Json] | None, folders: list[Json] | None
    ) -> Json:
        """A keeper's report. ``{"refused": {name: why}}``: of its agents, who is not to run. Refused: another uid's."""

    async def pause_host(self, speaker: Speaker, agent: str | None, why: str | None) -> Json:
        """``agent`` None: all of them. ``why`` None: resume. NotFound."""


class Relocating(Protocol):
    """Agents that move from this host and to it; a move by its id, the beginning of it, or the agent's name."""

    async def moves(self, speaker: Speaker) -> list[Json]:
        """The speaking user's, or all for an administrator."""

    async def offer_move(self, speaker: Speaker, agent: str, host: str) -> Json:
        """NotFound, Ambiguous, Refused: it does not move, or is another's; Conflict: it is moving elsewhere."""

    async def decide_move(
        self, speaker: Speaker, move: str, what: str, *, uid: int | None, home: str | None, why: str
    ) -> Json:
        """``what``: accept, refuse, cancel or unpacked. Conflict: it is at another step."""

    async def hand_over(
        self, speaker: Speaker, move: str, size: int | None, home: AsyncIterator[bytes] | None
    ) -> Json:
        """``home``: the bytes of its folder. Conflict, TooLarge, Unavailable: nothing was handed over."""

    async def moved_home(self, speaker: Speaker, move: str) -> tuple[int, AsyncIterator[bytes]]:
        """The size and bytes of the folder that came along. NotFound."""


class Rostering(Protocol):
    """How agents are run: on the socket, each for agents of one's own uid."""

    async def roster(self, speaker: Speaker) -> list[Json]: ...
    async def enlist(self, speaker: Speaker, name: str, plan: Json, pane: str | None) -> Json:
        """Change how an agent is run, or take it in. Conflict: its session or pane is another agent's."""

    async def strike(self, speaker: Speaker, name: str) -> None: ...
    async def report(self, speaker: Speaker, name: str, told: Json, pane: str | None) -> None: ...
    async def keep(self, speaker: Speaker, pid: int, version: str) -> Json:
        """A keeper of the speaker's uid says that it runs: whom it is to keep, and how."""

    async def hold_conversation(
        self, speaker: Speaker, session: str, pid: int, transcript: str, *, note: bool = True
    ) -> Json: ...


class Costing(Protocol):
    """What agents cost."""

    async def take_run(self, speaker: Speaker, run: Run) -> Json:
        """A run of the speaking agent ended; durable when it returns, and counted once for its id."""

    async def costs(
        self, speaker: Speaker, *, agent: str | None, since: int | None, until: int | None, colony: bool
    ) -> Json:
        """``since`` and ``until``: days of UTC, counted since 1970. NotFound, BadInput."""

    async def resume_costs(self, speaker: Speaker, agent: str | None, *, clock: bool = False) -> Json:
        """None: this host. ``clock``: instead, the day of account is the clock's again. Only ever called with
        ``speaker.is_admin``. NotFound; Refused: an agent asks."""

    async def cap_costs(self, speaker: Speaker, agent: str | None, amounts: Mapping[str, int | None]) -> Json:
        """By unit: millionths of a dollar, tokens, milliseconds; None: no more. As above."""


class Peopling(Protocol):
    """The agents and apes of this node. All but ``add_user``, ``allow_birth``, ``change_user`` and ``roles_waiting`` as
    ``Administering``."""

    async def add_user(
        self,
        speaker: Speaker,
        username: str,
        role: Literal["agent", "ape"],
        *,
        uid: int | None = None,
        of: str | None = None,
        vouched: Vouched | None = None,
        said: Json | None = None,
        born: str | None = None,
    ) -> Json:
        """The user, with its ``token``, shown this once, and ``warnings``. It belongs to ``uid``, else to
        ``speaker.uid``. ``of``: the agent whose role it is. ``said``: about, pulse_s, roles. ``born``: by whom it is
        made, where the speaker is nobody in particular. Refused: an ape for whom no operator vouches; a birth that
        [births] does not allow; who neither administers nor is an agent."""

    async def allow_birth(self, speaker: Speaker, name: str, host: str) -> Json:
        """``{"name", "host", "by", "born"}``: that the speaker may make this agent on that host. Refused."""

    async def change_user(self, speaker: Speaker, name: str, said: Json) -> Json:
        """``said``: about, pulse_s, roles, crowd; what is None stays. NotFound; Refused: another's, or a
        ``crowd`` from who does not administer."""

    async def pulse(
        self,
        speaker: Speaker,
        most: int | None,
        *,
        watch: Sequence[str] = (),
        trouble: str | None = None,
        policy: str | None = None,
        same: bool = False,
        key: str = "",
    ) -> Json:
        """The speaking agent is there: ``{"agent", "last_pulse_at", "unread", "waking", "over_budget", "roles", "held",
        "no_channel", "policy"}``. ``most``: messages that it may say until it pulses again; ``watch``: channels that it
        watches from now on; ``trouble``: why its pulses fail, "" when they do not any more; ``policy``: the id of the
        one that it has; ``same``: it is no other pulse than the last one; ``key``: who does not name it does
        not end ``most``. Refused: it is halted."""

    async def roles_waiting(self, speaker: Speaker) -> dict[str, int]:
        """How much waits for the roles of the speaking agent; only where something does."""


class Ensouling(Protocol):
    """Who agents are."""

    async def soul(self, speaker: Speaker, who: str, version: str | None) -> Json:
        """NotFound: no such agent, no soul of it, or no such version."""

    async def soul_history(self, speaker: Speaker, who: str) -> list[Json]:
        """Without the texts, the latest first."""

    async def dream(self, speaker: Speaker) -> Json:
        """``{"agent", "policy"}``, the policy None where there is none. Refused: the agent may do nothing now."""

    async def trouble(self, speaker: Speaker, kind: str, text: str) -> None:
        """An alert about the speaking agent's home; an empty ``text`` settles it."""

    async def policy(self, speaker: Speaker, version: int | None) -> Json:
        """The one in force, or that version. NotFound."""

    async def policy_status(self, speaker: Speaker, grace_s: float) -> Json:
        """``{"policy", "agents"}``: who runs which version; after ``grace_s`` who runs another is late."""

    async def say_soul(self, speaker: Speaker, who: str | None, text: str, before: str | None) -> Json:
        """As ``soul``, and whether it is another than before. Of an agent of this node: NotFound; Refused: another's;
        Conflict: ``before`` is the hash of another version than the last."""
