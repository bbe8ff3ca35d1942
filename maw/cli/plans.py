"""How an agent of this host is run: shown, and changed."""

from __future__ import annotations

import os
import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from maw.cli.agents import OwnAgent, agent_group, state_of
from maw.cli.output import Output, called, note, span, words
from maw.cli.params import Json, duration
from maw.cli.session import plain_daemon
from maw.client import calls
from maw.client.daemon import segment
from maw.core.names import check_name, nearest, parse_address
from maw.core.roster import KINDS, OnHang
from maw.core.text import shown
from maw.errors import BadInput, Conflict, NotFound
from maw.home import find_home

if TYPE_CHECKING:
    from maw.agents.acting import Acting
    from maw.client.daemon import Daemon

FLAGS: Final = {"on": True, "off": False}
SETTINGS: Final = (
    "command", "cwd", "env", "exec", "hang", "hang-after", "kind", "nudge", "respawn", "resume", "session", "socket",
    "conversation", "about", "pulse", "roles", "crowd",
)  # fmt: skip
_PROFILE: Final = ("about", "pulse", "roles", "crowd")
"""What is told of an agent to everybody; the other settings say how it is run here."""
_OURS_ALONE: Final = ("uid", "crowd", "mail")
"""Facts of an agent that its own host alone knows."""


@agent_group.command("show")
def show(name: OwnAgent, as_json: Json = False) -> None:
    """How an agent of this host is run, and how it is; of another host's (NAME@HOST), what is known of it."""
    out = Output.to_stdout(as_json)
    daemon = plain_daemon()
    user = _meant(daemon, name)
    if not user.get("local"):
        _show_far(out, user)
        return
    clean = str(user["username"])
    listed = next((one for one in daemon.get("/api/roster").body if one.get("name") == clean), None)
    if out.as_json:
        out.json({**(listed or {}), "user": user})
        return
    if user.get("halted"):
        out.line(f"{out.style('halted'.ljust(8), 'dim')} {out.style(words(user['halted']), 'red')}")
    facts = profile_facts(out, user)
    if timers := _timers(clean):
        facts.insert(5, ("timers", timers))
    for label, value in facts:
        out.line(f"{out.style(label.ljust(8), 'dim')} {value}")
    if listed is not None:
        _show_plan(out, listed)


def _meant(daemon: Daemon, word: str) -> dict[str, Any]:
    """The agent that is called so: one of this host, one of another by its address, or one that moved away from here.
    Raises NotFound, BadInput."""
    wanted = parse_address(word)
    users: list[dict[str, Any]] = daemon.do(calls.users())
    named = [one for one in users if one.get("username") == wanted.name]
    for one in named:
        if one.get("address") == str(wanted) or (wanted.host is None and one.get("local")):
            return one
    if (moved := _moved(daemon, wanted.name, named)) is not None:
        return moved
    names = [str(one.get("username")) for one in users if wanted.host is not None or one.get("local")]
    near = sorted(str(one["address"]) for one in named) or nearest(wanted.name, names)
    raise NotFound(
        f"no agent{'' if wanted.host else ' of this host'} is called {wanted}", code="no_such_agent", candidates=near,
        hint=f"did you mean {near[0]}?" if near else "`maw agent list` shows who is there",
    )  # fmt: skip


def _moved(daemon: Daemon, name: str, named: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Who of these was an agent of this host before."""
    if not named:
        return None
    moves = daemon.get("/api/moves").body
    there = {
        one["host"] for one in moves if one["agent"] == name and one["leaving"] and one["step"] == "moved"
    }
    found = [one for one in named if one.get("host") in there]
    if len(found) != 1:
        return None
    note(f"{name} has moved to {words(called(found[0]))}")
    return found[0]


def _show_far(out: Output, user: dict[str, Any]) -> None:
    if out.as_json:
        out.json({"user": user})
        return
    for label, value in profile_facts(out, user):
        if label not in _OURS_ALONE:
            out.line(f"{out.style(label.ljust(8), 'dim')} {value}")


def _timers(name: str) -> str:
    """When systemd wakes it next; "" where it has no timers of ours."""
    from maw.ops.agent_timers import next_times
    from maw.ops.machine import Machine

    found = next_times(Machine.here(), name, home=find_home(os.environ, os.geteuid()).path)
    told = [f"{kind} in {span(at - time.time())}" if at else f"{kind} stopped" for kind, at in found]
    return ", ".join(told)


def _born(out: Output, user: dict[str, Any]) -> str:
    at = out.when(user["created_at"]) if user.get("created_at") else "–"
    born = user.get("born")
    if not born:
        return f"{at}, made by hand"
    return f"{at} of {words(born.get('by') or 'somebody unknown here')}, generation {words(born.get('generation'))}"


def profile_facts(out: Output, user: dict[str, Any]) -> list[tuple[str, str]]:
    """Who an agent is, line by line."""
    pulse = f"every {span(user['pulse_s'])}, " if user.get("pulse_s") else ""
    pulsed = out.when(user["last_pulse_at"]) if user.get("last_pulse_at") else "never"
    return [
        ("who", f"{words(called(user))} · {words(user.get('role'))} · {words(user.get('status'))}"),
        ("active", out.when(user["last_active_at"]) if user.get("last_active_at") else "–"),
        ("about", words(user.get("about"))),
        ("born", _born(out, user)),
        ("roles", ", ".join(map(words, user.get("roles") or ())) or "–"),
        ("pulse", f"{pulse}last {pulsed}"),
        ("uid", f"{words(user.get('uid'))} · {'has a token' if user.get('has_token') else 'no token'}"),
        ("crowd", "may speak to as many at once as it likes" if user.get("crowd") else "–"),
        ("mail", f"{words(user.get('unread'))} unread, seen up to {words(user.get('last_seen_seq'))}"),
    ]


def _show_plan(out: Output, listed: dict[str, Any]) -> None:
    plan, held, told = listed["plan"], listed.get("conversation") or {}, listed.get("report") or {}
    pane = listed.get("pane")
    facts = [
        ("agent", f"{words(listed['agent'])} · {words(plan['kind'])}"),
        ("state", " · ".join(one for one in (state_of(listed), words(told.get("why"))) if one != "–")),
        ("wanted", "up" if plan["up"] else "down"),
        ("command", shown(shlex.join(plan["command"])) or "–"),
        ("folder", words(plan["cwd"])),
        (
            "session",
            words(plan["session"]) + (f" · {words(pane['pane'])} at {words(pane['socket'])}" if pane else ""),
        ),
        (
            "talk",
            words(held.get("session"))
            + (f" · {words(held['transcript'])}" if held.get("transcript") else ""),
        ),
        ("resume", shown(shlex.join(plan["resume"])) or "as its kind does"),
        ("env", ", ".join(words(one) for one in plan["env"]) or "–"),
        ("respawn", "on" if plan["respawn"] else "off"),
        ("hang", f"{words(plan['hang'])} after {plan['hang_after_s']} s"),
        ("nudge", "on" if plan["nudge"] else "off"),
        ("exec", shown(shlex.join(plan["exec"])) or "–"),
        ("unread", words(listed.get("unread"))),
    ]
    for label, value in facts:
        out.line(f"{out.style(label.ljust(8), 'dim')} {value}")


@agent_group.command("set")
def set_agent(
    name: OwnAgent,
    settings: Annotated[list[str], typer.Argument(metavar="KEY=VALUE…", help=", ".join(SETTINGS))],
    as_json: Json = False,
) -> None:
    """Say how an agent is run: command='…', cwd=…, env=NAME=VALUE, respawn=on|off, hang=report|respawn|off …

    And what everybody is told of it: about='…', pulse=30m, roles=reviewer,judge. crowd=on: it may name large groups.
    """
    from maw.agents.acting import socket_for
    from maw.agents.entries import change, entries

    out = Output.to_stdout(as_json)
    clean = check_name(name)
    profile = [one for one in settings if one.partition("=")[0] in _PROFILE]
    if profile:
        changed_user = plain_daemon().post(f"/api/users/{segment(clean)}", _profile(profile)).body
        if len(profile) == len(settings):
            if out.as_json:
                out.json(changed_user)
            else:
                out.line(f"{clean} changed; everybody is told")
            return
    acting = acting_here()
    before = next((one for one in entries(acting.daemon) if one.name == clean), None)
    told: dict[str, Any] = {} if before else {"session": clean, "up": False, "cwd": str(Path.cwd())}
    env = list(before.plan.env) if before else []
    conversation = None
    for setting in settings:
        if setting in profile:
            continue
        key, given, value = setting.partition("=")
        if not given or key not in SETTINGS:
            raise BadInput(f"{setting[:60]!r} is no setting", hint=f"KEY=VALUE, of: {', '.join(SETTINGS)}")
        if key == "conversation":
            conversation = value
        elif key == "env":
            env = told["env"] = _with_variable(env, value)
        else:
            told |= _setting(key, value)
    changed = change(acting.daemon, clean, **told)
    if (socket := socket_for(changed.plan, acting.host)) != changed.plan.socket:
        changed = change(acting.daemon, clean, socket=socket)
    if conversation is not None:
        bound = acting.hold(clean, conversation)
        if not bound.get("bound"):
            raise Conflict(
                f"the conversation stays: {words(bound.get('why'))}",
                code="runs_already",
                hint="stop it first",
            )
    if out.as_json:
        out.json(changed.plan.as_json())
    elif before is None:
        out.line(f"{clean} is in the roster; `maw agent start {clean}` starts it")
    else:
        out.line(f"{clean} changed; what runs now goes on as it is until `maw agent respawn {clean}`")


def _profile(settings: list[str]) -> dict[str, Any]:
    """The body of a request, of ``KEY=VALUE``."""
    told: dict[str, Any] = {}
    for setting in settings:
        key, _, value = setting.partition("=")
        if key == "pulse":
            told["pulse_s"] = 0 if value in ("", "off") else int(duration(value, "pulse"))
        elif key == "crowd":
            if value not in FLAGS:
                raise BadInput(f"crowd: {value[:20]!r} is neither on nor off")
            told["crowd"] = FLAGS[value]
        elif key == "roles":
            told["roles"] = [check_name(name) for name in value.replace(",", " ").split()]
        else:
            told[key] = value
    return told


def _setting(key: str, value: str) -> dict[str, Any]:
    if key in ("command", "resume", "exec"):
        try:
            return {key: shlex.split(value)}
        except ValueError as error:
            raise BadInput(
                f"{key}: {error}", hint='quote it as for a shell: command="claude --model opus"'
            ) from None
    if key in ("nudge", "respawn"):
        if value not in FLAGS:
            raise BadInput(f"{key}: {value[:20]!r} is neither on nor off")
        return {key: FLAGS[value]}
    if key == "hang-after":
        return {"hang_after_s": int(duration(value, "hang-after"))}
    if key == "hang" and value not in tuple(OnHang):
        raise BadInput(f"hang: {value[:20]!r} is unknown", hint=", ".join(OnHang))
    if key == "kind" and value not in KINDS:
        raise BadInput(f"kind: {value[:20]!r} is unknown", hint=", ".join(KINDS))
    if key == "session" and (not value or not value.isprintable() or set(value) & set(":.")):
        raise BadInput(f"session: {value[:40]!r} cannot name a tmux session", hint="one line without : and .")
    if key == "cwd":
        return {key: os.path.abspath(os.path.expanduser(value))}  # noqa: PTH100, PTH111 - as typed, links kept
    return {key: value}


def _with_variable(env: list[str], value: str) -> list[str]:
    """``A=1`` sets it, ``A`` takes it from whoever starts the agent, ``-A`` takes it away."""
    name = value.removeprefix("-").partition("=")[0]
    if not name.replace("_", "a").isalnum() or not name.isascii() or name[0].isdigit():
        raise BadInput(
            f"env: {value[:40]!r} names no variable", hint="env=NAME=VALUE, env=NAME, or env=-NAME"
        )
    kept = [one for one in env if one.partition("=")[0] != name]
    return kept if value.startswith("-") else [*kept, value]


def acting_here() -> Acting:
    """For acts on agents of this user, through the daemon that is meant here."""
    from maw.agents.acting import Acting
    from maw.agents.running import Host

    daemon = plain_daemon()
    me = daemon.do(calls.whoami())
    return Acting(daemon, Host.here(), str(me["host"]))
