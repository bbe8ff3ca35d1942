"""This host's node: init and up."""

from __future__ import annotations

import getpass
import os
import pwd
import socket
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, is_dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from maw.cli.output import Output, note
from maw.cli.params import Json
from maw.config import MESH_PORT, REST_PORT, Endpoint, parse_endpoint
from maw.core.identity import key_text
from maw.core.names import check_name, folded_name
from maw.errors import BadConfig, BadInput, Conflict
from maw.home import Home, check_socket_path, find_home

PAIRS_TRIED: Final = 50


def init(
    name: Annotated[
        str | None, typer.Option("--name", metavar="N", help="This host's name, arthur@N.")
    ] = None,
    interface: Annotated[
        str | None,
        typer.Option("--interface", metavar="wg0", help="Listen on this interface's addresses only."),
    ] = None,
    listen: Annotated[
        list[str] | None, typer.Option("--listen", metavar="A:P", help="Listen on this address instead.")
    ] = None,
    rest: Annotated[str | None, typer.Option("--rest", metavar="A:P", help="REST, on loopback.")] = None,
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
            code="exists",
            hint="MAW_HOME=DIR maw init makes another",
        )
    check_socket_path(home.socket)
    plan = _plan(name, interface, listen, rest, owner)
    from maw.node import founding  # brings in the store and the keys: only init needs them

    founded = founding.create(
        home.path,
        name=plan.name,
        interface=plan.interface,
        listen=plan.listen,
        rest=plan.rest,
        port=plan.port,
        owner_uid=plan.owner_uid,
        owner_name=plan.owner_name,
        passphrase=_passphrase() if passphrase else None,
    )
    if out.as_json:
        out.json(_plain(founded))
    else:
        _tell(out, home, plan, founded)


def up() -> int:
    """Run this host's node here, in the foreground. SIGTERM or Ctrl-C stops it cleanly."""
    home = find_home(os.environ, os.geteuid())
    if not home.exists:
        raise BadConfig(
            f"there is no node in {' or '.join(map(str, home.tried))}",
            code="no_config",
            hint="`maw init` makes one",
        )
    from maw import daemon  # the whole node: a command that only talks to it must not pay for it

    return int(daemon.run(home.path))


@dataclass(frozen=True, slots=True)
class Plan:
    """What ``maw init`` is about to make. ``why`` remarks on what was chosen without being asked for."""

    name: str
    interface: str | None
    listen: tuple[Endpoint, ...]
    rest: Endpoint
    port: int
    owner_uid: int
    owner_name: str
    why: tuple[str, ...] = ()


def _plan(
    name: str | None, interface: str | None, listen: list[str] | None, rest: str | None, owner: str | None
) -> Plan:
    if interface and listen:
        raise BadInput(
            "--interface and --listen exclude each other", code="usage", hint="leave one of them out"
        )
    why: list[str] = []
    if not interface and not listen:
        interface = _wireguard()
        if interface is None:
            why.append(
                "no WireGuard interface here, so this node listens on 127.0.0.1 only: "
                "other hosts cannot reach it. Change [mesh] in maw.toml when there is one"
            )
    mesh_port, rest_port = _free_pair()
    if (mesh_port, rest_port) != (MESH_PORT, REST_PORT):
        why.append(f"port {MESH_PORT} or {REST_PORT} is taken, so it is {mesh_port} and {rest_port}")
    addresses = tuple(_option("--listen", text, mesh_port) for text in listen or ())
    if not interface and not addresses:
        addresses = (Endpoint("127.0.0.1", mesh_port),)
    owner_uid, login = _owner(os.environ)
    return Plan(
        name=_node_name(name),
        interface=interface,
        listen=addresses,
        rest=_option("--rest", rest, rest_port) if rest else Endpoint("127.0.0.1", rest_port),
        port=addresses[0].port if addresses else mesh_port,
        owner_uid=owner_uid,
        owner_name=check_name(owner) if owner else folded_name(login) or "owner",
        why=tuple(why),
    )


def _option(option: str, text: str, port: int) -> Endpoint:
    try:
        return parse_endpoint(text, port, ip_only=True)
    except BadInput as error:
        raise BadInput(f"{option}: {error.message}", hint=error.hint or f"{option} 10.0.0.7:{port}") from None


def _node_name(given: str | None) -> str:
    if given is not None:
        return check_name(given, "node")
    host = socket.gethostname().split(".")[0]
    name = folded_name(host)
    if not name:
        raise BadInput(f"this host's name, {host!r}, cannot name a node", hint="maw init --name NAME")
    return name


def _wireguard() -> str | None:
    """wg0 if it is here, else the first wg interface, else None."""
    try:
        names = sorted(name for _, name in socket.if_nameindex())
    except OSError:
        return None
    found = [name for name in names if name.startswith("wg")]
    return "wg0" if "wg0" in found else next(iter(found), None)


def _free_pair() -> tuple[int, int]:
    """The first pair of ports from 6290 and 6291 on of which nobody listens on either."""
    for step in range(0, PAIRS_TRIED * 2, 2):
        pair = (MESH_PORT + step, REST_PORT + step)
        if all(map(_is_free, pair)):
            return pair
    raise Conflict(
        f"no two free ports from {MESH_PORT} to {MESH_PORT + PAIRS_TRIED * 2}",
        code="no_free_port",
        hint="choose them: maw init --listen 10.0.0.7:PORT --rest 127.0.0.1:PORT",
    )


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _owner(env: Mapping[str, str]) -> tuple[int, str]:
    """The human behind this command: under sudo, the one who called it."""
    uid = int(env["SUDO_UID"]) if os.geteuid() == 0 and env.get("SUDO_UID", "").isdecimal() else os.geteuid()
    try:
        return uid, pwd.getpwuid(uid).pw_name
    except KeyError:
        return uid, "owner"


def _passphrase() -> str:
    """Asked twice on a terminal; one line of standard input otherwise."""
    if not sys.stdin.isatty():
        phrase = sys.stdin.readline().rstrip("\n")
    else:
        phrase = getpass.getpass("passphrase for the operator key: ")
        if phrase != getpass.getpass("once more: "):
            raise BadInput("the two passphrases differ")
    if not phrase:
        raise BadInput("an empty passphrase protects nothing", hint="leave --passphrase out for none")
    return phrase


def _tell(out: Output, home: Home, plan: Plan, founded: Any) -> None:
    out.line(f"{out.style(str(founded.name), 'bold')} is a node now, in {home.path}")
    out.line(f"  key       {_text(founded.key)}")
    out.line(f"  mesh      {_text(founded.mesh)}")
    out.line(f"  rest      {_text(founded.rest)}")
    out.line(f"  you are   {plan.owner_name}@{founded.name}")
    for remark in plan.why:
        note(f"note: {remark}")
    out.line(f"  operator  {founded.operator_key_file}")
    out.line(f"  recovery  {founded.recovery_key_file}")
    out.line(
        "            keep these two files off this host: they rule the Colony, and win back a stolen node"
    )
    out.line(
        "next: `maw up` runs it here; `maw service install` keeps it running; `maw invite` lets a host join"
    )


def _plain(founded: Any) -> dict[str, Any]:
    fields = asdict(founded) if is_dataclass(founded) and not isinstance(founded, type) else vars(founded)
    return {name: _jsonable(value) for name, value in fields.items()}


def _jsonable(value: Any) -> Any:
    if isinstance(value, tuple | list):
        return [_jsonable(one) for one in value]
    return value if isinstance(value, bool | int | float) or value is None else _text(value)


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return key_text(value)
    if isinstance(value, dict) and set(value) == {"host", "port"}:
        return str(Endpoint(value["host"], value["port"]))
    if isinstance(value, tuple | list):
        return ", ".join(_text(one) for one in value)
    return str(value) if not isinstance(value, Path) else os.fspath(value)
