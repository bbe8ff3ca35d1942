"""Binding the two doors' sockets: who may open the file, what is in the way, and what to do about it."""

from __future__ import annotations

import errno
import os
import socket
import stat
from pathlib import Path
from typing import Final

from maw.client.daemon import may_be_listening
from maw.errors import BadConfig, Conflict

MAX_SOCKET_PATH: Final = 107
"""Bytes that a Unix socket's path may have on Linux (sun_path less its NUL; macOS: 103)."""

BACKLOG: Final = 512
_MODE: Final = 0o660


def bind_unix(path: Path, *, group: int | None) -> socket.socket:
    """A listening Unix socket at ``path``, mode 0660, of ``group`` (a gid) where one is given.

    A socket file that nobody answers is replaced. Raises BadConfig: the path cannot be used; Conflict: a
    daemon answers there, or something that is no socket has the name.
    """
    raw = os.fsencode(path)
    if len(raw) > MAX_SOCKET_PATH:
        raise BadConfig(
            f"the socket's path is {len(raw)} bytes long, and Unix allows {MAX_SOCKET_PATH}: {path}",
            hint="choose a shorter directory: MAW_HOME=/shorter/path",
            code="socket_path_too_long",
        )
    _clear(path)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _bind_private(sock, path)
        try:
            if group is not None:
                os.chown(path, -1, group)
            path.chmod(_MODE)
            sock.listen(BACKLOG)
        except OSError:
            path.unlink(missing_ok=True)
            raise
    except OSError as error:
        sock.close()
        raise BadConfig(
            f"cannot make the socket {path}: {error.strerror}",
            hint="its directory must be there and be the daemon's own",
            code="socket_unusable",
        ) from error
    sock.setblocking(False)
    return sock


def bind_tcp(host: str, port: int) -> socket.socket:
    """A listening TCP socket. Raises Conflict when the port is taken, BadConfig when it cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
        sock.listen(BACKLOG)
    except (OSError, OverflowError) as error:
        sock.close()
        raise _cannot_bind(host, port, error) from error
    sock.setblocking(False)
    return sock


def address_text(sock: socket.socket) -> str:
    """``127.0.0.1:6291`` or ``[::1]:6291``, as bound."""
    host, port = sock.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _cannot_bind(host: str, port: int, error: Exception) -> BadConfig | Conflict:
    number = error.errno if isinstance(error, OSError) else None
    if number == errno.EADDRINUSE:
        other = port + 2 if port < 65533 else port - 2
        return Conflict(
            f"port {port} on {host} is in use by another program",
            hint=f'choose another in maw.toml: [rest] listen = "{host}:{other}"',
            code="port_in_use",
        )
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return BadConfig(
        f"cannot listen on {host} port {port}: {reason}",
        hint="an address of this host and a port from 1024 to 65535: see [rest] listen in maw.toml",
        code="cannot_listen",
    )


def _bind_private(sock: socket.socket, path: Path) -> None:
    """Binds so that nobody can connect before the mode is set: the file begins as 0600."""
    before = os.umask(0o177)
    try:
        sock.bind(str(path))
    finally:
        os.umask(before)


def _clear(path: Path) -> None:
    """Removes a socket file that nobody answers. Raises Conflict when somebody does, or it is no socket."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    except OSError as error:
        raise BadConfig(
            f"cannot look at {path}: {error.strerror}",
            hint="its directory must be there and be the daemon's own",
            code="socket_unusable",
        ) from error
    if not stat.S_ISSOCK(mode):
        raise Conflict(f"{path} is there and is not a socket", hint="move it away", code="socket_path_taken")
    if may_be_listening(path):
        raise Conflict(
            f"a daemon already answers on {path}", hint="`maw status` asks it", code="already_running"
        )
    path.unlink(missing_ok=True)
