"""``maw page``: where people see the node in a browser, and how they get there from another machine."""

from __future__ import annotations

import getpass
import os
import socket
import sys
from collections.abc import Mapping
from typing import Annotated, NamedTuple

import typer

from maw.cli.output import Output, note, words
from maw.cli.params import Json
from maw.cli.session import plain_daemon
from maw.client import calls
from maw.errors import Conflict

_DISPLAYS = ("DISPLAY", "WAYLAND_DISPLAY")


class Seat(NamedTuple):
    """Where the caller sits: ``remote`` when no browser of this machine is in front of him."""

    user: str
    host: str
    remote: bool


def page(
    open_it: Annotated[bool, typer.Option("--open", help="Open it in this machine's browser.")] = False,
    as_json: Json = False,
) -> None:
    """Where the page is that shows the node and the federation live, in a browser."""
    out = Output.to_stdout(as_json)
    rest = plain_daemon().do(calls.status()).get("rest")
    if not rest:
        raise Conflict("this node answers no browser", hint="[rest] listen in maw.toml", code="no_rest")
    url = f"http://{rest}/"
    seat = find_seat(os.environ)
    tunnel = tunnel_command(rest, seat)
    if out.as_json:
        out.json({"url": url, "tunnel": tunnel, "remote": seat.remote})
        return
    out.line(words(url))
    if open_it:
        _open(url)
    elif seat.remote:
        note(f"on your laptop: {words(tunnel)}")
        note(f"and there: {words(url)}")
        note("on a phone: an ssh app with the same forwarding, or a reverse proxy: docs/page.md")
    note("it reads what is public; to write there, sign in with a token: maw agent token NAME")


def find_seat(environment: Mapping[str, str]) -> Seat:
    """Of ssh the address that the caller dialled stands for this host; it reached it before."""
    over_ssh = environment.get("SSH_CONNECTION", "").split()
    host = over_ssh[2] if len(over_ssh) == 4 else socket.gethostname()
    no_screen = sys.platform != "darwin" and not any(environment.get(name) for name in _DISPLAYS)
    return Seat(getpass.getuser(), host, bool(over_ssh) or no_screen)


def tunnel_command(rest: str, seat: Seat) -> str:
    """``ssh -N -L 6291:127.0.0.1:6291 neo@oracle``: the same port on both ends, so that the address is the same."""
    port = rest.rpartition(":")[2]
    return f"ssh -N -L {port}:{rest} {seat.user}@{seat.host}"


def _open(url: str) -> None:
    import webbrowser  # slow, and hardly ever wanted

    if not webbrowser.open(url):
        note("no browser is known here: open the address yourself")
