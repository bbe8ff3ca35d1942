"""Who speaks: whoami."""

from __future__ import annotations

from maw.cli.output import Output, words
from maw.cli.params import As, Json
from maw.cli.session import how_known, reading_daemon
from maw.client import calls


def whoami(as_name: As = None, as_json: Json = False) -> None:
    """Who speaks when you do, how that is known, and on which node."""
    out = Output.to_stdout(as_json)
    me = reading_daemon(as_name).do(calls.whoami())
    if out.as_json:
        out.json({**me, "named_by": how_known(as_name, me) if me.get("agent") else None})
        return
    if me.get("agent"):
        who = f"{words(me['agent'])} ({words(me.get('role'))}), known by {words(me.get('known_by'))}"
        out.line(f"{who}, named by {words(how_known(as_name, me))}")
    else:
        out.line("nobody: say --as NAME, or set MAW_AGENT")
    out.line(f"on {words(me.get('host'))} · {words(me.get('node_key'))} · colony {words(me.get('colony'))}")
