"""A team: worktrees of one repository, an agent and a branch in each, one channel for all.

Laws
  1. What is wanted is written down before the first step. Each step is found by what is there: who was killed in
     between goes on by the same command, and a second time changes nothing.
  2. What somebody else made is not taken over: a name, a branch, a folder, a channel.
  3. No work is lost. A worktree goes when all of it is in the base; else `down` refuses, says where, and changes
     nothing. By force only what was named goes, and a branch with commits of its own never does.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from maw.core.names import MAX_NAME, check_name
from maw.errors import BadInput, Conflict

MOST_AGENTS: Final = 50
UNFINISHED: Final = "initializing"
"""Why git keeps a worktree locked while it makes it: one that still is was cut short."""


@dataclass(frozen=True, slots=True)
class Member:
    """``role``: "" for none."""

    name: str
    branch: str
    folder: str
    role: str = ""


@dataclass(frozen=True, slots=True)
class Team:
    """``repo``: the main worktree; ``folder``: where the others are; ``base``: the branch that work is merged into, ""
    where none was checked out; ``start``: the commit at which branches begin."""

    name: str
    repo: str
    folder: str
    base: str
    start: str
    agents: int
    command: tuple[str, ...]
    roles: tuple[str, ...] = ()
    channel: str = ""

    def members(self) -> list[Member]:
        return [
            Member(
                f"{self.name}-{n}",
                f"{self.name}/{n}",
                f"{self.folder}/{self.name}-{n}",
                self.roles[(n - 1) % len(self.roles)] if self.roles else "",
            )
            for n in range(1, self.agents + 1)
        ]


@dataclass(frozen=True, slots=True)
class Worktree:
    """As git lists it. ``branch``: "" where none is checked out; ``locked``: why, None where it is not."""

    folder: str
    branch: str
    locked: str | None = None
    gone: bool = False
    """Its folder is not there any more."""


@dataclass(frozen=True, slots=True)
class Known:
    """An agent of this host. ``cwd``: its folder in the roster, "" where it is in none; ``runs``: its program does;
    ``watches``: the team's channel."""

    uid: int | None
    roles: tuple[str, ...] = ()
    cwd: str = ""
    command: tuple[str, ...] = ()
    runs: bool = False
    watches: bool = False


@dataclass(frozen=True, slots=True)
class Ground:
    """What is there. ``folders``: of those that the team needs, the ones that something is in; ``channel``: who made
    the team's, "" for an unknown one, None where there is none."""

    uid: int
    worktrees: Sequence[Worktree] = ()
    branches: Collection[str] = ()
    folders: Collection[str] = ()
    agents: Mapping[str, Known] = field(default_factory=dict)
    channel: str | None = None
    archived: bool = False


class Do(StrEnum):
    CLEAR = "clear"
    WORKTREE = "worktree"
    AGENT = "agent"
    ROLE = "role"
    ROSTER = "roster"
    CHANNEL = "channel"
    OPEN = "open"
    WATCH = "watch"
    START = "start"
    STOP = "stop"
    REMOVE = "remove"
    FORCE = "force"
    BRANCH = "branch"
    END = "end"


@dataclass(frozen=True, slots=True)
class Step:
    """``text``: what it does, for people."""

    do: Do
    member: Member
    text: str


def check_team(
    name: str, agents: int, roles: Sequence[str], command: Sequence[str], channel: str = ""
) -> tuple[str, tuple[str, ...], str]:
    """Its name, roles and channel as they are written. Raises BadInput."""
    clean = check_name(name)
    if not 1 <= agents <= MOST_AGENTS:
        raise BadInput(f"--agents: {agents} is not between 1 and {MOST_AGENTS}")
    longest = f"{clean}-{agents}"
    if len(longest) > MAX_NAME:
        raise BadInput(
            f"{longest} has {len(longest)} characters, a name has at most {MAX_NAME}",
            hint="choose a shorter name for the team",
        )
    if not command or not command[0].strip():
        raise BadInput("--command: it is empty", hint="--command 'claude --model opus'")
    room = check_name(channel.removeprefix("#"), "channel") if channel else clean
    return clean, tuple(check_name(one) for one in roles), check_name(room, "channel")


def plan_up(team: Team, ground: Ground, *, begun: int) -> list[Step]:
    """What is to be done so that the team is up. ``begun``: of so many members it was written down before, so what is
    there under their names is theirs. Raises Conflict for the first thing that is somebody else's."""
    steps: list[Step] = []
    if not begun:
        _check_strange(team, ground)
    for number, member in enumerate(team.members(), 1):
        steps += _up(team, member, ground, begun=number <= begun)
    first = team.members()[0]
    room: list[Step] = []
    if ground.channel is None:
        room = [Step(Do.CHANNEL, first, f"open #{team.channel}")]
    elif ground.archived:
        room = [Step(Do.OPEN, first, f"open #{team.channel} again")]
    at = next((i for i, step in enumerate(steps) if step.do is Do.WATCH), len(steps))
    return [*steps[:at], *room, *steps[at:]]


def _check_strange(team: Team, ground: Ground) -> None:
    """Of a team that is begun: its branches and its channel would have to be made."""
    if team.name in ground.branches:
        raise Conflict(
            f"there is a branch {team.name}, so git can make no {team.name}/1",
            code="branch_taken",
            hint="choose another name for the team, or rename the branch",
        )
    if ground.channel is not None and ground.channel.partition("@")[0] not in {
        one.name for one in team.members()
    }:
        raise Conflict(
            f"there is a channel #{team.channel} already" + (f", made by {ground.channel}" if ground.channel else ""),
            code="channel_exists",
            hint="--channel NAME gives the team another one",
        )  # fmt: skip


def _up(team: Team, member: Member, ground: Ground, *, begun: bool) -> list[Step]:
    tree = _worktree(member, ground, begun=begun)
    steps: list[Step] = []
    known = ground.agents.get(member.name)
    if known is None:
        steps.append(Step(Do.AGENT, member, f"make the agent {member.name}"))
    elif known.uid != ground.uid or not (begun or known.cwd == member.folder):
        raise Conflict(
            f"there is an agent {member.name} already"
            + ("" if known.uid == ground.uid else ", of another user of this host"),
            code="name_taken",
            hint=f"choose another name for the team, or `maw agent remove {member.name}`",
        )
    if member.role and (known is None or member.role not in known.roles):
        steps.append(Step(Do.ROLE, member, f"give {member.name} the role {member.role}"))
    steps += tree  # whether an agent may be made at all is told by then
    if known is None or (known.cwd, known.command) != (member.folder, team.command):
        steps.append(
            Step(Do.ROSTER, member, f"{member.name} runs {' '.join(team.command)} in {member.folder}")
        )
    if known is None or not known.watches:
        steps.append(Step(Do.WATCH, member, f"{member.name} watches #{team.channel}"))
    if known is None or not known.runs:
        steps.append(Step(Do.START, member, f"start {member.name} in a tmux session of its own"))
    return steps


def _worktree(member: Member, ground: Ground, *, begun: bool) -> list[Step]:
    made = Step(Do.WORKTREE, member, f"make the worktree {member.folder}, branch {member.branch}")
    there = next((one for one in ground.worktrees if one.folder == member.folder), None)
    if there is not None and there.locked == UNFINISHED and begun:
        return [Step(Do.CLEAR, member, f"take away the unfinished worktree {member.folder}"), made]
    if there is not None and there.gone:
        return [made]
    if there is not None:
        if begun or there.branch == member.branch:
            return []
        raise Conflict(
            f"{member.folder} is a worktree already, with {there.branch or 'no branch'}",
            code="folder_taken",
            hint="--in DIR puts the team's worktrees elsewhere",
        )
    if member.folder in ground.folders:
        raise Conflict(
            f"{member.folder} is there already, and is no worktree of this repository",
            code="folder_taken",
            hint="--in DIR puts the team's worktrees elsewhere",
        )
    held = next((one for one in ground.worktrees if one.branch == member.branch and not one.gone), None)
    if held is not None:
        raise Conflict(
            f"the branch {member.branch} is checked out in {held.folder}",
            code="branch_taken",
            hint="check out another one there, or choose another name for the team",
        )
    if member.branch in ground.branches and not begun:
        raise Conflict(
            f"there is a branch {member.branch} already",
            code="branch_taken",
            hint=f"choose another name for the team; if its work is done: git branch -d {member.branch}",
        )
    return [made]


@dataclass(frozen=True, slots=True)
class Work:
    """What lies in one member's worktree and branch. ``there``: its folder is; ``tip``: of its branch, "" for none;
    ``ahead``: commits of the branch, or of what is checked out, that the base has not; ``held``: though, all that they
    change is in the base (squashed); ``head``: the branch checked out, "" for none; ``loose``: commits that no branch
    has; ``ignored``: what git does not look at, and goes along; ``hidden``: files that git was told not to look at."""

    there: bool
    tip: str = ""
    ahead: int = 0
    held: bool = False
    head: str = ""
    loose: int = 0
    changed: Sequence[str] = ()
    untracked: Sequence[str] = ()
    ignored: Sequence[str] = ()
    hidden: Sequence[str] = ()
    stashes: int = 0
    operation: str = ""
    locked: str | None = None
    submodules: Sequence[str] = ()
    broken: str = ""


def obstacles(member: Member, work: Work, base: str) -> list[str]:
    """Why this worktree must not go yet, each with what to do. In one that git never finished nobody has worked."""
    if work.locked == UNFINISHED:
        return []
    at = f"git -C {member.folder}"
    found = []
    if work.broken:
        found.append(f"git cannot read it: {work.broken}")
    if work.operation:
        found.append(f"a {work.operation} is under way: `{at} status` says how to go on")
    if work.changed:
        found.append(f"{_several(work.changed, 'changed file')}: `{at} commit` or `{at} restore`")
    if work.untracked:
        found.append(f"{_several(work.untracked, 'new file')}: `{at} add` and commit, or remove")
    if work.hidden:
        found.append(f"{_several(work.hidden, 'file')} git was told not to look at: `{at} ls-files -v`")
    if work.stashes:
        found.append(f"{work.stashes} stashed: `{at} stash list`; pop and commit, or drop")
    if work.loose:
        found.append(f"{_count(work.loose, 'commit')} on no branch: `{at} branch NAME`")
    elif work.ahead and not work.held:
        branch = work.head or member.branch
        found.append(f"{_count(work.ahead, 'commit')} of {branch} not in {base}: merge {branch} into {base}")
    if work.locked is not None:
        found.append(f"it is locked{f': {work.locked}' if work.locked else ''}: `git worktree unlock` it")
    if work.submodules:
        found.append(
            f"{_several(work.submodules, 'submodule')}, which git removes by force only: push what is in it, then force"
        )
    return found


def plan_down(
    team: Team, works: Mapping[str, Work], known: Mapping[str, Known], forced: Collection[str] = ()
) -> tuple[list[Step], dict[str, list[str]]]:
    """What is to be done so that the team is gone, and, by member, why it must not be. ``works``: by member;
    ``forced``: names of members, or the team's own, whose work is not asked about. Raises BadInput for another."""
    names = {one.name for one in team.members()}
    if strange := [one for one in forced if one != team.name and one not in names]:
        raise BadInput(f"--force: {strange[0][:40]!r} is no member of {team.name}, nor the team")
    base = team.base or team.start[:12]
    refused: dict[str, list[str]] = {}
    steps = [
        Step(Do.STOP, one, f"stop {one.name}")
        for one in team.members() if one.name in known and known[one.name].runs
    ]  # fmt: skip
    for member in team.members():
        work = works[member.name]
        why = obstacles(member, work, base)
        force = member.name in forced or team.name in forced
        if why and not force:
            refused[member.name] = why
        if work.there:
            do, how = (Do.FORCE, " BY FORCE, with what is in it") if why else (Do.REMOVE, "")
            if work.locked == UNFINISHED:
                do, how = Do.FORCE, ", which was never finished"
            steps.append(Step(do, member, f"remove the worktree {member.folder}{how}{_along(work)}"))
        if work.tip and not work.ahead:
            steps.append(Step(Do.BRANCH, member, f"delete the branch {member.branch}, which is merged"))
        if member.name in known:
            steps.append(Step(Do.END, member, f"end the agent {member.name}"))
    return steps, refused


def _along(work: Work) -> str:
    return f" (and what git ignores: {_several(work.ignored, 'path')})" if work.ignored else ""


def _count(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")


def _several(names: Sequence[str], what: str) -> str:
    shown = ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
    return f"{_count(len(names), what)} ({shown})"
