"""Teams: worktrees of one repository, an agent in each, one channel."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from maw.cli.groups import command_group
from maw.cli.output import Output, words
from maw.cli.params import Json, Yes
from maw.cli.plans import acting_here
from maw.cli.session import confirm, making_daemon
from maw.core.names import check_name
from maw.core.text import shown
from maw.errors import BadInput

if TYPE_CHECKING:
    from maw.agents.teams.acting import Teams
    from maw.core.teams import Step, Team, Work

team_group = command_group("Teams: worktrees of one git repository, an agent in each, one channel.")

Name = Annotated[str, typer.Argument(metavar="TEAM")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")]


@team_group.command("up")
def up(
    name: Name,
    agents: Annotated[
        int | None, typer.Option("--agents", "-n", metavar="N", help="How many; more than before: it grows.")
    ] = None,
    repo: Annotated[
        str | None,
        typer.Option("--repo", metavar="DIR", help="The git repository; the current one if left out."),
    ] = None,
    folder: Annotated[
        str | None,
        typer.Option("--in", metavar="DIR", help="Where the worktrees are; else beside the repository."),
    ] = None,
    command: Annotated[
        str | None, typer.Option("--command", metavar="'CMD …'", help="What each runs; claude if left out.")
    ] = None,
    role: Annotated[
        str | None,
        typer.Option("--role", metavar="R,R…", help="Their roles, in turn: builder,reviewer."),
    ] = None,
    channel: Annotated[
        str | None, typer.Option("--channel", metavar="NAME", help="Their channel; #TEAM if left out.")
    ] = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Make a team, or what is missing of it: worktrees, branches, agents, sessions, a channel. Also grows one."""
    from maw.agents.teams.acting import Wish

    out = Output.to_stdout(as_json)
    wish = Wish(
        agents, _path(repo), _path(folder), _command(command), None if role is None else _roles(role), channel
    )
    team, steps = _teams().up(check_name(name), wish, dry=dry_run, tell=_teller(out, dry_run))
    _tell(out, team.name, steps, dry_run, channel=team.channel, folder=team.folder)
    if not out.as_json and not dry_run:
        out.line(f"{team.name} is up: {team.agents} in {shown(team.folder)}, #{team.channel}")


@team_group.command("down")
def down(
    name: Name,
    keep_work: Annotated[
        bool, typer.Option("--keep-work", help="Stop the agents; worktrees and branches stay.")
    ] = False,
    force: Annotated[
        list[str] | None,
        typer.Option(
            "--force",
            metavar="NAME",
            help="Throw away what lies in this one's worktree; the team's name: in all.",
        ),
    ] = None,
    into: Annotated[
        str | None,
        typer.Option(
            "--into", metavar="BRANCH", help="What counts as merged; else the branch it began from."
        ),
    ] = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """End a team: agents, worktrees, merged branches. Refuses while work is unmerged or uncommitted, and says where."""
    from maw.agents.teams.acting import refusal

    out = Output.to_stdout(as_json)
    clean, forced = check_name(name), [check_name(one) for one in force or ()]
    if keep_work and forced:
        raise BadInput("--keep-work keeps what --force throws away: one of them")
    teams = _teams()
    if forced and not dry_run:
        confirm(f"throw away what lies in the worktrees of {', '.join(forced)}?", yes)
    steps, refused = teams.down(
        clean, keep_work=keep_work, forced=forced, into=into, dry=dry_run, tell=_teller(out, dry_run)
    )
    if refused:
        raise refusal(clean, refused)
    _tell(out, clean, steps, dry_run)
    if not out.as_json and not dry_run:
        out.line(f"{clean} rests: `maw team up {clean}` goes on" if keep_work else f"{clean} is gone")


@team_group.command("list")
def list_teams(
    name: Annotated[str | None, typer.Argument(metavar="[TEAM]")] = None, as_json: Json = False
) -> int:
    """Your teams: who runs, and what lies in each worktree. Exit 1: there is none."""
    out = Output.to_stdout(as_json)
    teams = _teams()
    chosen = [teams.read(check_name(name))] if name else [teams.read(one) for one in teams.names()]
    if not chosen:
        return out.nothing("no teams yet: `maw team up NAME --agents 3` makes one")
    told = [_told(teams, one) for one in chosen]
    if out.as_json:
        out.json(told)
        return 0
    for team in told:
        out.line(f"{out.style(team['name'], 'bold')} · #{team['channel']} · {shown(team['repo'])}")
        out.table(
            ["agent", "role", "runs", "branch", "work"],
            [
                [one["name"], one["role"] or "–", "yes" if one["runs"] else "no", one["branch"], one["work"]]
                for one in team["members"]
            ],
        )
    return 0


def _told(teams: Teams, team: Team) -> dict[str, Any]:
    works, known = teams.works(team), teams.known(team)
    return {
        "name": team.name,
        "channel": team.channel,
        "repo": team.repo,
        "base": team.base,
        "members": [
            {
                "name": one.name,
                "role": one.role or None,
                "runs": one.name in known and known[one.name].runs,
                "branch": one.branch,
                "folder": one.folder,
                "ahead": works[one.name].ahead,
                "changed": len(works[one.name].changed) + len(works[one.name].untracked),
                "work": _work(works[one.name]),
            }
            for one in team.members()
        ],
    }


def _work(work: Work) -> str:
    if not work.there:
        return "no worktree"
    parts = [
        (work.ahead, "ahead"), (len(work.changed), "changed"), (len(work.untracked), "new"),
        (work.stashes, "stashed"),
    ]  # fmt: skip
    found = [f"{number} {word}" for number, word in parts if number]
    return ", ".join([*found, *([work.operation] if work.operation else [])]) or "–"


def _teams() -> Teams:
    from maw.agents.teams.acting import Teams

    return Teams(acting_here(), making_daemon(""))


def _teller(out: Output, dry_run: bool) -> Any:
    return lambda step: None if out.as_json or dry_run else out.line(words(step.text))


def _tell(out: Output, name: str, steps: list[Step], dry_run: bool, **more: object) -> None:
    if out.as_json:
        told = [{"do": str(one.do), "agent": one.member.name, "text": one.text} for one in steps]
        out.json({"team": name, "dry_run": dry_run, "steps": told, **more})
    elif dry_run:
        for step in steps:
            out.line(f"would {words(step.text)}")
    if not steps and not out.as_json:
        out.line("nothing is to be done")


def _path(text: str | None) -> Path | None:
    return None if text is None else Path(text).expanduser().absolute().resolve()


def _command(text: str | None) -> tuple[str, ...] | None:
    if text is None:
        return None
    try:
        return tuple(shlex.split(text)) or ("",)
    except ValueError as error:
        raise BadInput(
            f"--command: {error}", hint="quote it as for a shell: --command 'claude --model opus'"
        ) from None


def _roles(text: str) -> tuple[str, ...]:
    return tuple(check_name(one) for one in text.replace(",", " ").split())
