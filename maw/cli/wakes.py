"""How often agents are woken, what is held, and when they are not to be disturbed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final

import typer

from maw.cli import completing
from maw.cli.output import Output, note, words
from maw.cli.params import As, Json
from maw.cli.session import OWNER, chosen_name, owning_daemon, reading_daemon, speaking_daemon
from maw.client import calls
from maw.core.dnd import parse_quiet
from maw.errors import BadInput

Record = Mapping[str, Any]
RELEASE: Final = "release"
HOST: Final = "host"


def wakes(
    what: Annotated[
        str | None,
        typer.Argument(
            metavar="[AGENT|release]",
            help="One agent, with its last hour.",
            autocompletion=completing.own_agents,
        ),
    ] = None,
    who: Annotated[
        str | None,
        typer.Argument(metavar="[AGENT]", help="With release: whom.", autocompletion=completing.own_agents),
    ] = None,
    as_name: As = None,
    as_json: Json = False,
) -> int:
    """How often your agents were woken this hour, and what is held. `maw wakes release AGENT` lets it through."""
    out = Output.to_stdout(as_json)
    if what == RELEASE:
        if who is None:
            raise BadInput("release whom?", code="usage", hint="maw wakes release AGENT")
        answer = owning_daemon(as_name).post("/api/wakes/release", {"agent": who.removeprefix("@")}).body
        if out.as_json:
            out.json(answer)
        else:
            out.line(f"{words(answer.get('agent'))} is woken again for what comes, and for what waits")
        return 0
    if who is not None:
        raise BadInput(f"what is {who}?", code="usage", hint="maw wakes [AGENT], or maw wakes release AGENT")
    name = None if what is None else what.removeprefix("@")
    daemon = reading_daemon(as_name)
    found = daemon.get("/api/wakes", agent=name).body
    if out.as_json:
        out.json(found)
        return 0 if found else 1
    if not found:
        return out.nothing("no agents of yours are here: `maw agent add NAME` makes one")
    limits = daemon.do(calls.status()).get("wakes") or {}
    for one in found:
        _show(out, one, limits, in_full=name is not None)
    if out.width is not None and (held := next((one for one in found if one.get("held")), None)):
        note(f"to let it through: maw wakes release {words(held.get('agent')).partition('@')[0]}")
    return 0


def dnd(
    first: Annotated[
        str | None,
        typer.Argument(
            metavar="[AGENT]", help="Whom; yourself if left out.", autocompletion=completing.own_agents
        ),
    ] = None,
    second: Annotated[
        str | None,
        typer.Argument(metavar="[on|off|22:00-07:00|host]", help="When; host: as [wakes] dnd has it."),
    ] = None,
    as_name: As = None,
    as_json: Json = False,
) -> int:
    """Do not disturb: what comes waits in the inbox, and is shown afterwards. An operator's word comes through."""
    out = Output.to_stdout(as_json)
    agent, quiet = _agent_and_quiet(first, second)
    if agent is None:
        daemon = speaking_daemon(as_name)
        named = chosen_name(as_name)
        agent = words(daemon.do(calls.whoami()).get("name")) if named in (None, OWNER) else named
    else:
        daemon = reading_daemon(as_name)
    if quiet is not None:
        daemon.post("/api/dnd", {"agent": agent, "quiet": quiet})
    (one,) = daemon.get("/api/wakes", agent=agent).body
    if out.as_json:
        out.json({"agent": one["agent"], "dnd": one["dnd"], "quiet": one["quiet"]})
    else:
        out.line(f"{words(one.get('agent'))} · {_quiet(one)}")
    return 0


def _agent_and_quiet(first: str | None, second: str | None) -> tuple[str | None, str | None]:
    """``maw dnd off``, ``maw dnd neo``, ``maw dnd neo off``. Raises BadInput."""
    if second is None and first is not None and _is_quiet(first):
        return None, first
    if second is not None and second != HOST:
        parse_quiet(second)
    return None if first is None else first.removeprefix("@"), second


def _is_quiet(word: str) -> bool:
    if word == HOST:
        return True
    try:
        parse_quiet(word)
    except BadInput:
        return False
    return True


def _show(out: Output, one: Record, limits: Record, *, in_full: bool) -> None:
    used, most = one.get("used") or 0, limits.get("per_hour")
    quiet = f" · {_quiet(one)}" if one.get("dnd") not in (None, "off") else ""
    ways = ", ".join(map(words, one.get("hears_by") or ()))
    hears = f" · hears by {ways}" if ways else " · nothing wakes it while it is idle"
    name = out.style(words(one.get("agent")), "bold")
    out.line(f"{name} · woken {used:g} of {words(most)} times this hour{hears}{quiet}")
    for held in one.get("held") or ():
        what = {"groups": "messages to groups", "all": "all messages"}.get(held["what"], held["what"])
        told = f"  held since {out.when(held.get('since'))}: {words(what)}, after {held.get('wakes'):g} wakes"
        out.line(out.style(told, "yellow"))
    if waiting := one.get("waiting"):
        out.line(f"  {waiting} not announced yet")
    for wake in one.get("hour") or () if in_full else ():
        causes = ", ".join(map(words, wake.get("causes") or ()))
        count = f" · {wake['messages']} messages" if (wake.get("messages") or 0) > 1 else ""
        out.line(f"  {out.when(wake.get('at'))} · {words(wake.get('via'))} · {causes}{count}")


def _quiet(one: Record) -> str:
    now = ", now" if one.get("quiet") else ""
    return f"not to be disturbed: {words(one.get('dnd'))}{now}" if one.get("dnd") != "off" else "dnd off"
