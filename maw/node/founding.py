"""``maw init``: a new node in an empty directory, with a Colony of its own until it joins another.

Everything is written to the disk before it is reported; nothing that is there is ever overwritten.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import aiosqlite

from maw.config import Endpoint, check_interface, check_socket_path, render_config, render_peers
from maw.core.identity import Signer, digest, key_text
from maw.core.names import check_name
from maw.core.statement import Statement, colony_id, colony_text, found
from maw.errors import BadConfig, Conflict
from maw.node.authoring import wall_clock_ms
from maw.node.home import NodeHome, key_file_bytes, write_new
from maw.node.keptkey import kept_key_bytes
from maw.store import trust as rows
from maw.store.database import open_database

MESH_PORT: Final = 6290
REST_PORT: Final = 6291
PORT_TRIES: Final = 50


@dataclass(frozen=True, slots=True)
class Founded:
    """What init made. ``mesh``: where it will listen, or the interface; ``rest``: host and port."""

    home: Path
    name: str
    key: str
    colony: str
    mesh: str
    rest: str
    operator_key_file: Path
    recovery_key_file: Path
    sealed: bool


def create(
    home: Path,
    *,
    name: str,
    interface: str | None = None,
    listen: Endpoint | None = None,
    rest: Endpoint | None = None,
    owner_uid: int,
    owner_name: str,
    passphrase: str | None = None,
) -> Founded:
    """Makes a node. Raises BadInput, BadConfig or Conflict with nothing written but an empty directory."""
    name = check_name(name, "node")
    place = NodeHome(home)
    check_socket_path(place.socket)
    if interface is not None:
        check_interface(interface)
    _make_directory(place)
    mesh_port, rest = _ports(listen, rest)
    if interface is None and listen is None:
        listen = Endpoint("127.0.0.1", mesh_port)
    elif listen is not None and listen.port == 0:
        listen = Endpoint(listen.host, mesh_port)
    node, operator, recovery = (Signer(secrets.token_bytes(32)) for _ in range(3))
    founding = found(
        operator, name, secrets.token_bytes(16), wall_clock_ms(), node.node, digest(recovery.node)
    )
    config = render_config(
        name, interface=interface, listen=(listen,) if listen else (), mesh_port=mesh_port, rest=rest
    )
    files = {
        place.key: key_file_bytes("node", node.seed),
        home / "operator.key": kept_key_bytes("operator", operator.seed, passphrase),
        home / "recovery.key": kept_key_bytes("recovery", recovery.seed, passphrase),
        place.peers: render_peers().encode(),
    }
    written: list[Path] = []
    try:
        for path, data in files.items():
            write_new(path, data)
            written.append(path)
        _fill_database(place, founding, recovery, f"{owner_uid}:{owner_name}")
        # the configuration comes last: with it, the directory is a node
        write_new(place.config, config.encode())
    except BaseException:
        for path in [*written, place.database, *home.glob("colony.db-*")]:
            path.unlink(missing_ok=True)
        raise
    return Founded(
        home, name, key_text(node.node), colony_text(colony_id(founding)),
        f"{interface} (port {mesh_port})" if interface else str(listen), str(rest),
        home / "operator.key", home / "recovery.key", passphrase is not None,
    )  # fmt: skip


def _make_directory(place: NodeHome) -> None:
    for path in (place.config, place.key, place.database, place.peers):
        if path.exists():
            raise Conflict(
                f"{place.path} holds a node already ({path.name} is there); maw never overwrites one",
                code="already_a_node",
                hint="`maw status` shows it; for a second node set $MAW_HOME to another directory",
            )
    try:
        place.path.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise BadConfig(
            f"{place.path} cannot be made: {error.strerror}", code="bad_home", hint="set $MAW_HOME elsewhere"
        ) from None
    if not os.access(place.path, os.W_OK | os.X_OK):
        raise BadConfig(
            f"{place.path} cannot be written by you", code="bad_home", hint="set $MAW_HOME elsewhere"
        )


def _ports(listen: Endpoint | None, rest: Endpoint | None) -> tuple[int, Endpoint]:
    """The ports asked for, or the next free pair from 6290 on. Conflict when one asked for is taken."""
    host = listen.host if listen else "0.0.0.0"  # noqa: S104 - only to see whether anybody has the port
    for given in (listen, rest):
        if given is not None and given.port and not _is_free(given.host, given.port):
            raise Conflict(
                f"{given} is taken by another program, or is no address of this host",
                code="port_in_use",
                hint="choose another with --listen A:P or --rest A:P; `ss -ltnp` shows who has it",
            )
    if listen and rest and listen.port and listen.port == rest.port:
        raise Conflict(
            f"--listen and --rest both have port {rest.port}", code="port_in_use", hint="give each its own"
        )
    rest_host = rest.host if rest else "127.0.0.1"
    for step in range(PORT_TRIES):
        mesh = listen.port if listen and listen.port else MESH_PORT + 2 * step
        port = rest.port if rest and rest.port else REST_PORT + 2 * step
        if ((listen and listen.port) or _is_free(host, mesh)) and (
            (rest and rest.port) or _is_free(rest_host, port)
        ):
            return mesh, Endpoint(rest_host, port)
    raise Conflict(
        f"no free pair of ports from {MESH_PORT} on",
        code="port_in_use",
        hint="give --listen A:P and --rest A:P",
    )


def _is_free(host: str, port: int) -> bool:
    try:
        family, _, _, _, where = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(where)
            probe.listen(1)
    except OSError:
        return False
    return True


def _fill_database(place: NodeHome, founding: Statement, recovery: Signer, owner: str) -> None:
    async def fill() -> None:
        async with open_database(place.database) as db:
            conn = db.writing
            await conn.execute("BEGIN IMMEDIATE")
            await _first_rows(conn, founding, recovery, owner)
            await conn.execute("COMMIT")

    old = os.umask(0o077)
    try:
        asyncio.run(fill())
    except sqlite3.Error as error:
        raise BadConfig(f"{place.database} cannot be made: {error}", code="bad_database") from None
    finally:
        os.umask(old)


async def _first_rows(conn: aiosqlite.Connection, founding: Statement, recovery: Signer, owner: str) -> None:
    await rows.set_meta(conn, "colony", colony_id(founding))
    await rows.set_meta(conn, "recovery", digest(recovery.node))
    await rows.set_meta(conn, "owner", owner)
    await rows.add_statements(conn, [founding], wall_clock_ms())
