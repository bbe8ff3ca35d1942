"""The agents of this host and all that are known: listed, made, ended."""

from __future__ import annotations

import time
from typing import Annotated, Any, Final

import typer

from maw.cli import completing
from maw.cli.groups import command_group
from maw.cli.output import Output, called, note, parse_time, size, span, words
from maw.cli.params import Json, Yes, duration
from maw.cli.session import confirm, making_daemon, plain_daemon
from maw.client import calls
from maw.client.daemon import segment
from maw.core.names import check_name
from maw.errors import BadInput, MawError

ROLES: Final = ("agent", "ape")
STALE_S: Final = 60.0
"""What a keeper said earlier than this is not known to be so still."""

agent_group = command_group("Agents: those of this host, and all that are known.")

Name = Annotated[str, typer.Argument(metavar="NAME")]
OwnAgent = Annotated[str, typer.Argument(metavar="NAME", autocompletion=completing.own_agents)]


@agent_group.callback(invoke_without_command=True)
def agent(ctx: typer.Context, as_json: Json = False) -> int | None:
    """Agents: those of this host, and all that are known."""
    return list_agents(False, False, as_json) if ctx.invoked_subcommand is None else None


@agent_group.command("list")
def list_agents(
    here: Annotated[bool, typer.Option("--here", help="Only those of this host.")] = False,
    tree: Annotated[bool, typer.Option("--tree", help="Each below whoever made it.")] = False,
    as_json: Json = False,
) -> int:
    """All agents and apes that this node knows of; of those that run in tmux here, how they are. Exit 1: none."""
    out = Output.to_stdout(as_json)
    daemon = plain_daemon()
    if tree:
        return family(out, [one for one in daemon.do(calls.users()) if one.get("local") or not here])
    rostered = {one["agent"]: one for one in daemon.get("/api/roster").body}
    found = [
        {**one, "roster": rostered.get(one["address"])}
        for one in daemon.do(calls.users())
        if one.get("local") or not here
    ]
    if out.as_json:
        out.json(found)
    elif found:
        out.table(
            ["agent", "state", "up", "att", "memory", "active", "unread", "log", "role"],
            [_agent_row(one) for one in found],
        )
        if any(is_stale(one["roster"]) for one in found if one["roster"]):
            note(
                "? was so when a keeper last looked: none runs now. `maw service install`, or `maw keep` by hand"
            )
    return 0 if found else out.nothing("no agents yet: `maw agent add NAME` makes one")


def family(out: Output, users: list[dict[str, Any]]) -> int:
    """Who made whom: each agent below its mother, with its generation; exit 1: nobody there."""
    from maw.core.lineage import tree

    mothers = {str(one["address"]): (one.get("born") or {}).get("by") for one in users}
    by_address = {str(one["address"]): one for one in users}
    lines = tree(mothers)
    if out.as_json:
        out.json([{"address": line.address, "depth": line.depth, "born": by_address[line.address].get("born")}
                  for line in lines])  # fmt: skip
    for line in () if out.as_json else lines:
        born = by_address[line.address].get("born")
        by = f", born of {words(born['by'])}" if born and born["by"] not in mothers else ""
        made = "made by hand" if born is None else f"generation {words(born['generation'])}{by}"
        out.line(f"{'  ' * line.depth}{words(line.address)} · {made}")
    return 0 if lines else out.nothing("no agents yet: `maw agent add NAME` makes one")


@agent_group.command("add")
def add_agent(
    name: Name,
    role: Annotated[str, typer.Option("--role", metavar="agent|ape", help="ape: a human.")] = "agent",
    user: Annotated[
        str | None, typer.Option("--user", metavar="USER", help="The Unix user who speaks as it; else you.")
    ] = None,
    of: Annotated[
        str | None,
        typer.Option(
            "--of",
            metavar="AGENT",
            help="A role of this agent: who speaks as that one may speak as it.",
            autocompletion=completing.own_agents,
        ),
    ] = None,
    about: Annotated[str, typer.Option("--about", metavar="TEXT", help="What it is for, on one line.")] = "",
    pulse: Annotated[
        str | None, typer.Option("--pulse", metavar="TIME", help="How often it pulses: 30m.")
    ] = None,
    key: Annotated[
        str | None,
        typer.Option("--key", metavar="FILE", help="For an ape: an operator's key. Else as `maw operator`."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Add an agent of this host. It belongs to your uid; the token, for REST, is shown this once.

    An ape is a human: an operator who may give orders here vouches for him, with his key.
    """
    out = Output.to_stdout(as_json)
    if role not in ROLES:
        raise BadInput(f"--role: {role!r} is no role", hint="agent, or ape for a human")
    clean = check_name(name)
    asked: dict[str, Any] = {"username": clean, "role": role}
    if user is not None:
        asked["uid"] = _uid_of(user)
    if of is not None:
        asked["of"] = check_name(of.removeprefix("@"))
    if about:
        asked["about"] = about
    if pulse is not None:
        asked["pulse_s"] = int(duration(pulse, "--pulse"))
    daemon = making_daemon(clean)
    if role == "ape":
        from maw.cli.vouching import vouched_here  # keys are needed by few commands

        asked["vouched"] = vouched_here(daemon, clean, asked.get("uid"), key)
    made = daemon.post("/api/users", asked).body
    if out.as_json:
        out.json(made)
        return
    out.line(f"{words(called(made))} · {words(made.get('role'))}")
    out.line(f"token {words(made.get('token'))}")
    for warning in made.get("warnings") or ():
        note(f"note: {words(warning)}")
    note("the token is shown this once (`maw agent token` makes another); on this host MAW_AGENT is enough")


@agent_group.command("remove")
def remove_agent(
    name: OwnAgent,
    keep: Annotated[
        bool, typer.Option("--keep", help="Only out of the roster: it stays an agent, and nobody starts it.")
    ] = False,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """End an agent of this host. What it said stays, and its tmux session runs on. A terminal is asked first."""
    out = Output.to_stdout(as_json)
    clean = check_name(name)
    daemon = plain_daemon()
    if not keep:
        confirm(f"end {clean}? Its inbox and token end with it; what it said stays.", yes)
    listed = next((one for one in daemon.get("/api/roster").body if one.get("name") == clean), None)
    report = daemon.delete(f"/api/roster/{segment(clean)}" if keep else f"/api/users/{segment(clean)}").body
    if listed is not None and listed.get("pane"):
        _unmark(listed)
    if out.as_json:
        out.json(report)
    else:
        out.line(f"{clean} {'taken out of the roster' if keep else 'removed'}")


def _unmark(listed: dict[str, Any]) -> None:
    from maw.agents.adopt import release  # only where there is a pane
    from maw.agents.entries import read_entry

    try:
        release(read_entry(listed))
    except MawError as error:
        note(f"the mark is still on its pane: {error.message}")


@agent_group.command("token")
def token(name: OwnAgent, as_json: Json = False) -> None:
    """Make a fresh token for an agent and print it; the old one ends."""
    out = Output.to_stdout(as_json)
    made = plain_daemon().post(f"/api/users/{segment(check_name(name))}/token", {}).body
    if out.as_json:
        out.json(made)
    else:
        out.line(words(made.get("token")))


def _uid_of(user: str) -> int:
    import pwd  # only where somebody else's agent is made

    try:
        return pwd.getpwnam(user).pw_uid
    except KeyError:
        raise BadInput(f"--user: this machine has no user called {user!r}") from None


def is_stale(listed: dict[str, Any]) -> bool:
    """Whether nobody has looked at this one lately."""
    told = parse_time((listed.get("report") or {}).get("at"))
    return told is None or time.time() - told.timestamp() > STALE_S


def state_of(listed: dict[str, Any]) -> str:
    """``idle``; ``idle?`` where that is long ago; ``?`` where nobody ever looked; ``exec`` for who is no program that
    runs, and has a command run for its mail."""
    state = (listed.get("report") or {}).get("state")
    plan = listed.get("plan") or {}
    if state == "down" and plan.get("exec") and not plan.get("command"):
        state = "exec"
    return f"{words(state)}?" if state and is_stale(listed) else words(state) if state else "?"


def _agent_row(user: dict[str, Any]) -> list[str]:
    row = [
        words(called(user)),
        words(user.get("status")),
        "–",
        "–",
        "–",
        _since(user.get("last_active_at")),
        words(user.get("unread")),
        "–",
    ]
    listed = user.get("roster")
    if listed:
        told = listed.get("report") or {}
        row[1:6] = [
            state_of(listed),
            _ago(told.get("started")),
            words(told.get("attached")),
            size(told["memory_bytes"]) if told.get("memory_bytes") else "–",
            _ago(told.get("active")),
        ]
        row[7] = size(told["log_bytes"]) if told.get("log_bytes") else "–"
    return [*row, words(user.get("role"))]


def _since(at: Any) -> str:
    found = parse_time(at)
    return "–" if found is None else span(time.time() - found.timestamp())


def _ago(at_ms: Any) -> str:
    return span(time.time() - at_ms / 1000) if isinstance(at_ms, int) and at_ms else "–"
