"""`maw team up` and `down`: looks at what is there, has `maw.core.teams` say what is to be done, and does it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from maw.agents.acting import Acting, socket_for
from maw.agents.entries import change, entries
from maw.agents.kinds import kind_of
from maw.agents.running import where
from maw.agents.scene import Scene
from maw.agents.teams import record
from maw.agents.teams.git import Git, branches, repo_of, worktrees
from maw.agents.teams.work import bases, look
from maw.client import calls
from maw.client.daemon import Daemon, segment
from maw.core.roster import Plan
from maw.core.teams import (
    Do,
    Ground,
    Known,
    Member,
    Step,
    Team,
    Work,
    check_team,
    obstacles,
    plan_down,
    plan_up,
)
from maw.errors import BadInput, Conflict, MawError, NotFound, Refused, Unavailable

Tell = Callable[[Step], None]
"""Called as each step is done."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What was asked for; None: as it is, or what is usual."""

    agents: int | None = None
    repo: Path | None = None
    folder: Path | None = None
    command: tuple[str, ...] | None = None
    roles: tuple[str, ...] | None = None
    channel: str | None = None


@dataclass(frozen=True, slots=True)
class Teams:
    """The caller's teams on this node. ``maker``: the daemon as told who makes agents; an agent that does is asked
    whether it may."""

    acting: Acting
    maker: Daemon

    @property
    def folder(self) -> Path:
        return record.folder_of(self.acting.host.home, self.acting.node)

    def names(self) -> list[str]:
        return record.names(self.folder)

    def read(self, name: str) -> Team:
        """Raises NotFound."""
        team = record.read(self.folder, name)
        if team is None:
            known = ", ".join(self.names())
            raise NotFound(
                f"there is no team {name} of yours here",
                code="no_such_team",
                hint=f"there are {known}" if known else f"`maw team up {name} --agents 3` makes one",
            )
        return team

    def up(self, name: str, wish: Wish, *, dry: bool, tell: Tell) -> tuple[Team, list[Step]]:
        """The team, and what was done, or with ``dry`` what would be. What stands in the way raises before anything
        is done."""
        if not shutil.which("tmux"):
            raise Unavailable("tmux is not on PATH", code="no_tmux", hint="apt install tmux")
        with record.locked(self.folder, name) as lock:
            before = record.read(self.folder, name)
            team = _begun(before, wish) if before is not None else _new(name, wish)
            git = Git(Path(team.repo), lock)
            steps = plan_up(team, self._ground(team, git), begun=before.agents if before else 0)
            if dry:
                return team, steps
            if team != before:
                record.write(self.folder, team)
            for step in steps:
                self._do_up(team, step, git)
                tell(step)
        return team, steps

    def down(
        self, name: str, *, keep_work: bool, forced: Collection[str], into: str | None, dry: bool, tell: Tell
    ) -> tuple[list[Step], dict[str, list[str]]]:
        """What was done (``dry``: would be), and by member why not: then nothing was."""
        with record.locked(self.folder, name) as lock:
            team = self.read(name)
            if into is not None:
                team = replace(team, base=into)
            git = Git(Path(team.repo), lock)
            known = self.known(team)
            if keep_work:
                steps = [
                    Step(Do.STOP, one, f"stop {one.name}")
                    for one in team.members() if one.name in known and known[one.name].runs
                ]  # fmt: skip
                refused: dict[str, list[str]] = {}
            else:
                steps, refused = plan_down(team, self.works(team, git), known, forced)
            if dry or refused:
                return steps, refused
            for step in steps:
                self._do_down(team, step, git)
                tell(step)
            if not keep_work:
                record.forget(self.folder, name)
        return steps, {}

    def works(self, team: Team, git: Git | None = None) -> dict[str, Work]:
        """By member."""
        git = git or Git(Path(team.repo))
        if not git.folder.is_dir():
            raise BadInput(
                f"the repository of {team.name} is not there any more: {team.repo}",
                code="no_repo",
                hint=f"put it back; else `git worktree repair`, and remove {self.folder / team.name}.json",
            )
        merged, listed = bases(git, team), worktrees(git)
        return {one.name: look(git, one, listed, merged) for one in team.members()}

    def _ground(self, team: Team, git: Git) -> Ground:
        room = self._room(team)
        known = self.known(team)
        if room is not None:
            known = {
                one.name: replace(known[one.name], watches=bool((self._room(team, one) or {}).get("watched")))
                for one in team.members() if one.name in known and known[one.name].uid == self.acting.host.uid
            } | {name: one for name, one in known.items() if one.uid != self.acting.host.uid}  # fmt: skip
        return Ground(
            self.acting.host.uid,
            worktrees(git),
            branches(git),
            {
                one.folder
                for one in team.members()
                if os.path.lexists(one.folder) and not _is_empty(one.folder)
            },
            known,
            None if room is None else room.get("created_by") or "",
            room is not None and bool(room.get("archived")),
        )

    def _room(self, team: Team, member: Member | None = None) -> dict[str, Any] | None:
        """The team's channel, as ``member`` has it."""
        daemon = self.acting.daemon if member is None else _as(self.acting.daemon, member)
        return next((one for one in daemon.get("/api/channels").body if one["name"] == team.channel), None)

    def known(self, team: Team) -> dict[str, Known]:
        """Of the team's names, the agents that there are."""
        daemon = self.acting.daemon
        names = {one.name for one in team.members()}
        rostered = {one.name: one for one in entries(daemon) if one.name in names}
        scene = (
            Scene.now({self.acting.host.socket_of(one) for one in rostered.values()}) if rostered else None
        )
        found = {}
        for user in daemon.do(calls.users()):
            name = user.get("username")
            if not user.get("local") or name not in names:
                continue
            entry, roles = rostered.get(name), tuple(user.get("roles") or ())
            if entry is None or scene is None:
                found[name] = Known(user.get("uid"), roles)
                continue
            runs = where(entry, scene, self.acting.host).runs
            found[name] = Known(entry.uid, roles, entry.plan.cwd, entry.plan.command, runs)
        return found

    def _do_up(self, team: Team, step: Step, git: Git) -> None:
        member, daemon = step.member, self.acting.daemon
        match step.do:
            case Do.CLEAR:
                git.run("worktree", "remove", "--force", "--force", member.folder)
            case Do.WORKTREE:
                _make_worktree(team, member, git)
            case Do.AGENT:
                about = f"{member.branch} of {Path(team.repo).name}, in the team {team.name}"
                self.maker.post("/api/users", {"username": member.name, "role": "agent", "about": about})
            case Do.ROLE:
                daemon.post(f"/api/users/{segment(member.name)}", {"roles": [member.role]})
            case Do.ROSTER:
                self._enlist(team, member)
            case Do.CHANNEL:
                body = {"name": team.channel, "about": f"the team {team.name}, on {Path(team.repo).name}"}
                _as(daemon, member).post("/api/channels", body)
            case Do.OPEN:
                _as(daemon, member).post(f"/api/channels/{segment(team.channel)}", {"archived": False})
            case Do.WATCH:
                watch = {"watched": True, "wakes": False}
                _as(daemon, member).post(f"/api/channels/{segment(team.channel)}/watch", watch)
            case Do.START:
                self.acting.start(member.name)
            case _:
                raise AssertionError(step.do)

    def _enlist(self, team: Team, member: Member) -> None:
        told: dict[str, Any] = {
            "command": list(team.command), "cwd": member.folder, "kind": kind_of(team.command) or "command"
        }  # fmt: skip
        if not any(one.name == member.name for one in entries(self.acting.daemon)):
            socket = socket_for(Plan(), self.acting.host)
            told |= {"session": member.name, "up": False, "socket": socket or None}
        change(self.acting.daemon, member.name, **told)

    def _do_down(self, team: Team, step: Step, git: Git) -> None:
        member = step.member
        match step.do:
            case Do.STOP:
                self.acting.stop(member.name)
            case Do.REMOVE:
                self._must_be_done(team, member, git)
                git.run("worktree", "remove", member.folder)
            case Do.FORCE:
                git.run("worktree", "remove", "--force", "--force", member.folder)
            case Do.BRANCH:
                _delete_branch(team, member, git)
            case Do.END:
                self.acting.daemon.delete(f"/api/users/{segment(member.name)}")
            case _:
                raise AssertionError(step.do)

    def _must_be_done(self, team: Team, member: Member, git: Git) -> None:
        """Asked once more, now that its agent has ended."""
        work = look(git, member, worktrees(git), bases(git, team))
        if why := obstacles(member, work, team.base or team.start[:12]):
            raise Refused(
                f"{member.folder} changed while its agent was ended: {why[0]}",
                code="unfinished_work",
                hint=f"its agent is stopped, nothing of it is removed: see to that, then `maw team down {team.name}`",
            )


def _begun(team: Team, wish: Wish) -> Team:
    """A team that there is, with what was asked for. Raises BadInput, Conflict."""
    if wish.agents is not None and wish.agents < team.agents:
        raise BadInput(
            f"--agents: {team.name} has {team.agents} already, and is made no smaller",
            hint=f"`maw agent stop {team.name}-{team.agents}`, or `maw team down {team.name}`",
        )
    if wish.repo is not None and str(repo_of(Git(wish.repo)).main) != team.repo:
        raise Conflict(
            f"{team.name} is a team of {team.repo}",
            code="name_taken",
            hint="choose another name for this one",
        )
    if wish.folder is not None and str(wish.folder) != team.folder:
        raise Conflict(f"--in: the worktrees of {team.name} are in {team.folder}", code="folder_taken")
    if wish.channel is not None and wish.channel.removeprefix("#") != team.channel:
        raise Conflict(f"--channel: that of {team.name} is #{team.channel}", code="channel_exists")
    agents, command = wish.agents or team.agents, wish.command or team.command
    roles = team.roles if wish.roles is None else wish.roles
    _, roles, channel = check_team(team.name, agents, roles, command, team.channel)
    return replace(team, agents=agents, command=command, roles=roles, channel=channel)


def _new(name: str, wish: Wish) -> Team:
    if wish.agents is None:
        raise BadInput(f"how many? there is no team {name} yet", hint=f"maw team up {name} --agents 3")
    command = wish.command or ("claude",)
    clean, roles, channel = check_team(name, wish.agents, wish.roles or (), command, wish.channel or "")
    repo = repo_of(Git(wish.repo or Path.cwd()))
    folder = wish.folder or repo.main.parent / f"{repo.main.name}-worktrees"
    if not str(folder).isprintable():
        raise BadInput(f"{str(folder)!r} cannot be a team's folder", hint="--in DIR puts it elsewhere")
    return Team(
        clean, str(repo.main), str(folder), repo.base, repo.start, wish.agents, command, roles, channel
    )


def _make_worktree(team: Team, member: Member, git: Git) -> None:
    if any(one.folder == member.folder and one.gone for one in worktrees(git)):
        git.run("worktree", "remove", member.folder)  # only what git remembers of it
    Path(member.folder).parent.mkdir(parents=True, exist_ok=True)
    if member.branch in branches(git):
        git.run("worktree", "add", member.folder, member.branch)
    else:
        git.run("worktree", "add", "--no-track", "-b", member.branch, member.folder, team.start)


def _delete_branch(team: Team, member: Member, git: Git) -> None:
    """Only as it was found merged, and only where it still is; git's own word for what changed meanwhile."""
    work = look(git, member, worktrees(git), bases(git, team))
    if work.there or not work.tip or work.ahead:
        return
    git.run("update-ref", "-d", f"refs/heads/{member.branch}", work.tip)
    git.ask("config", "--local", "--remove-section", f"branch.{member.branch}")  # most have none


def _is_empty(folder: str) -> bool:
    try:
        return not any(Path(folder).iterdir())
    except OSError:
        return False


def _as(daemon: Daemon, member: Member) -> Daemon:
    return replace(daemon, speaker=member.name, pane=None)


def refusal(team: str, refused: Mapping[str, Sequence[str]]) -> MawError:
    """All of it in one error: where, and what to do."""
    lines = [f"{name}: {why}" for name, reasons in refused.items() for why in reasons]
    listed = "".join(f"\n  {line}" for line in lines)
    return Refused(
        f"there is unfinished work in {team}; nothing was changed{listed}",
        code="unfinished_work",
        hint=f"see to it; or --keep-work ends the agents alone; --force {next(iter(refused))} throws that one's away",
    )
