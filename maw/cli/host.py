"""This host's node: init and up."""

from __future__ import annotations

import getpass
import os
import pwd
import socket
import sys
from collections.abc import Mapping
from typing import Annotated, Any, Final

import typer

from maw.cli.output import Output, note
from maw.cli.params import Json
from maw.config import MESH_PORT, Endpoint, parse_endpoint
from maw.core.names import check_name, folded_name
from maw.errors import BadConfig, BadInput, Conflict
from maw.home import check_socket_path, find_home

ANY_PORT: Final = 0


def init(
    name: Annotated[
        str | None, typer.Option("--name", metavar="N", help="This host's name, arthur@N.")
    ] = None,
    interface: Annotated[
        str | None,
        typer.Option("--interface", metavar="wg0", help="Listen on this interface's addresses only."),
    ] = None,
    listen: Annotated[
        str | None, typer.Option("--listen", metavar="A:P", help="Listen on this address instead.")
    ] = None,
    rest: Annotated[
        str | None, typer.Option("--rest", metavar="A:P", help="REST for this machine, on loopback.")
    ] = None,
    owner: Annotated[
        str | None, typer.Option("--owner", metavar="NAME", help="Your own name as a speaker.")
    ] = None,
    passphrase: Annotated[
        bool, typer.Option("--passphrase", help="Ask for a passphrase that protects the operator key.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Make this host a node: its keys, its Colony, its settings. Never overwrites anything."""
    out = Output.to_stdout(as_json)
    home = find_home(os.environ, os.geteuid())
    if os.path.lexists(home.path / "maw.toml"):
        raise Conflict(
            f"there is a node in {home.path} already",
            code="already_a_node",
            hint="`maw status` shows it; for a second one: MAW_HOME=DIR maw init",
        )
    check_socket_path(home.socket)
    if interface and listen:
        raise BadInput(
            "--interface and --listen exclude each other", code="usage", hint="leave one of them out"
        )
    guessed = None if interface or listen else wireguard_interface()
    owner_uid, login = _owner(os.environ)
    owner_name = check_name(owner) if owner else folded_name(login) or "owner"
    address, rest_address = _option("--listen", listen), _option("--rest", rest)
    node_name = _node_name(name)
    from maw.node import founding  # brings in the store and the keys: only init needs them

    founded = founding.create(
        home.path,
        name=node_name,
        interface=interface or guessed,
        listen=address,
        rest=rest_address,
        owner_uid=owner_uid,
        owner_name=owner_name,
        passphrase=_passphrase() if passphrase else None,
    )
    if out.as_json:
        out.json({**_plain(founded), "owner": f"{owner_name}@{founded.name}"})
    else:
        _tell(out, founded, owner_name)
    if not (interface or listen or guessed):
        note("note: no WireGuard interface here, so this node listens on 127.0.0.1 only: other hosts cannot")
        note("      reach it. When there is one, say so under [mesh] in maw.toml")
    if (address is None or address.port == ANY_PORT) and str(MESH_PORT) not in founded.mesh:
        note(f"note: port {MESH_PORT} or the one after it is taken by another program, so these are the next")


def up() -> int:
    """Run this host's node here, in the foreground. SIGTERM or Ctrl-C stops it cleanly."""
    home = find_home(os.environ, os.geteuid())
    if not home.exists:
        raise BadConfig(
            f"there is no node in {' or '.join(map(str, home.tried))}",
            code="no_config",
            hint="`maw init` makes one",
        )
    from maw.cli.serving import become

    return become(home.path)


def wireguard_interface() -> str | None:
    """wg0 if it is here, else the first wg interface, else None."""
    try:
        names = sorted(name for _, name in socket.if_nameindex())
    except OSError:
        return None
    found = [name for name in names if name.startswith("wg")]
    return "wg0" if "wg0" in found else next(iter(found), None)


def _option(option: str, text: str | None) -> Endpoint | None:
    """The address given; port 0 where none is, for the next free one."""
    if text is None:
        return None
    try:
        return parse_endpoint(text, ANY_PORT, ip_only=True)
    except BadInput as error:
        hint = error.hint or f"{option} 10.0.0.7:{MESH_PORT}"
        raise BadInput(f"{option}: {error.message}", hint=hint, code=error.code) from None


def _node_name(given: str | None) -> str:
    if given is not None:
        return check_name(given, "node")
    host = socket.gethostname().split(".")[0]
    name = folded_name(host)
    if not name:
        raise BadInput(f"this host's name, {host!r}, cannot name a node", hint="maw init --name NAME")
    return name


def _owner(env: Mapping[str, str]) -> tuple[int, str]:
    """The human behind this command: under sudo, the one who called it."""
    uid = os.geteuid()
    if uid == 0 and env.get("SUDO_UID", "").isdecimal():
        uid = int(env["SUDO_UID"])
    try:
        return uid, pwd.getpwuid(uid).pw_name
    except KeyError:
        return uid, "owner"


def _passphrase() -> str:
    """Asked for twice on a terminal; one line of standard input otherwise."""
    if not sys.stdin.isatty():
        phrase = sys.stdin.readline().rstrip("\n")
    else:
        phrase = getpass.getpass("passphrase for the operator key: ")
        if phrase != getpass.getpass("once more: "):
            raise BadInput("the two passphrases differ")
    if not phrase:
        raise BadInput("an empty passphrase protects nothing", hint="leave --passphrase out for none")
    return phrase


def _tell(out: Output, founded: Any, owner_name: str) -> None:
    out.line(f"{out.style(founded.name, 'bold')} is a node now, in {founded.home}")
    out.line(f"  key       {founded.key}")
    out.line(f"  mesh      {founded.mesh}")
    out.line(f"  rest      {founded.rest}")
    out.line(f"  you are   {owner_name}@{founded.name}")
    out.line("keep these two files off this host; they rule the Colony and win back a stolen node:")
    out.line(f"  {founded.operator_key_file}")
    out.line(f"  {founded.recovery_key_file}")
    out.line("next:")
    out.line("  maw up                run it here, or")
    out.line("  maw service install   keep it running")
    out.line("  maw invite            let another host join")


def _plain(founded: Any) -> dict[str, object]:
    """What was founded as JSON takes it: paths as text."""
    fields = {name: getattr(founded, name) for name in founded.__dataclass_fields__}
    return {
        name: value if isinstance(value, bool | int) or value is None else str(value)
        for name, value in fields.items()
    }
