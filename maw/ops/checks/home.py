"""Checks of the node's directory."""

from __future__ import annotations

import os
import shutil
import stat
from typing import Final

from maw.ops.checks.context import Context, Finding, Verdict

_SOCKET_PATH_BYTES: Final = 107
_MIB: Final = 1024 * 1024


def directory(context: Context) -> Finding:
    """It is there, and only its owner writes in it."""
    name = "directory"
    try:
        found = context.home.stat()
    except FileNotFoundError:
        return Finding(name, Verdict.FAIL, f"{context.home} is not there", "maw init makes a node")
    except OSError as error:
        return Finding(name, Verdict.SKIP, f"{context.home}: {error.strerror}", "sudo maw doctor sees more")
    mode = stat.S_IMODE(found.st_mode)
    if mode & (stat.S_IWGRP | stat.S_IWOTH):
        text = (
            f"others can write in {context.home} (mode {mode:04o}): they could put their key in place of ours"
        )
        return Finding(name, Verdict.FAIL, text, f"chmod go-w {context.home}")
    if mode & stat.S_IROTH:
        text = f"everybody can list {context.home} (mode {mode:04o})"
        return Finding(name, Verdict.WARN, text, f"chmod o-r {context.home}")
    return Finding(name, Verdict.OK, f"{context.home}, mode {mode:04o}")


def key(context: Context) -> Finding:
    """node.key is there, nobody else reads it, and it is the running daemon's."""
    name = "key"
    path = context.home / "node.key"
    if not context.home.exists():
        return _no_node(name)
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
    except FileNotFoundError:
        hint = "put it back from a backup; else `maw key rotate --recovery FILE --old KEY`, or this is another node"
        return Finding(name, Verdict.FAIL, f"{path} is not there", hint)
    except OSError as error:
        return Finding(name, Verdict.SKIP, f"{path}: {error.strerror}", "sudo maw doctor sees more")
    if mode & 0o077:
        text = f"others can use {path} (mode {mode:04o}): who reads it speaks as this node"
        return Finding(name, Verdict.FAIL, text, f"chmod 600 {path}; and rotate the key if others had access")
    if not os.access(path, os.R_OK):
        return Finding(name, Verdict.SKIP, f"{path} is another user's", "sudo maw doctor sees more")
    if context.node_key is None:
        return Finding(name, Verdict.FAIL, f"{path} holds no key", "put it back from a backup")
    if context.status and context.status.get("key") not in (None, context.node_key):
        text = f"the daemon runs with another key than {path} holds"
        return Finding(
            name, Verdict.FAIL, text, "restart the daemon; or $MAW_HOME names another node than meant"
        )
    return Finding(name, Verdict.OK, f"{path}, mode {mode:04o}, {context.node_key[:9]}…")


def settings(context: Context) -> Finding:
    """maw.toml and peers.toml read without a mistake."""
    if not context.home.exists():
        return _no_node("settings")
    if context.config_problem is None:
        return Finding("settings", Verdict.OK, "maw.toml and peers.toml are fine")
    return Finding(
        "settings", Verdict.FAIL, context.config_problem, "mend it; then restart, or `maw peers reload`"
    )


def socket_path(context: Context) -> Finding:
    """The socket's path fits into a Unix address."""
    size = len(os.fsencode(context.socket))
    if size <= _SOCKET_PATH_BYTES:
        return Finding("socket path", Verdict.OK, f"{size} of {_SOCKET_PATH_BYTES} bytes")
    text = f"{context.socket} is {size} bytes long, a Unix socket allows {_SOCKET_PATH_BYTES}"
    return Finding(
        "socket path", Verdict.FAIL, text, "move the node to a shorter path and set MAW_HOME to it"
    )


def disk(context: Context) -> Finding:
    """Room for what is said here: below the limit the node turns read-only."""
    name = "disk"
    if not context.home.exists():
        return _no_node(name)
    try:
        free = shutil.disk_usage(context.home).free // _MIB
    except OSError as error:
        return Finding(name, Verdict.SKIP, f"{context.home}: {error.strerror}")
    text = f"{free} MiB free in {context.home}"
    if free < context.min_free_mib:
        text = f"{text}, below {context.min_free_mib}: the node takes no new messages"
        return Finding(name, Verdict.FAIL, text, "make room; it goes on by itself then")
    if free < 4 * context.min_free_mib:
        text = f"{text}; below {context.min_free_mib} the node takes no new messages"
        return Finding(name, Verdict.WARN, text, "make room")
    return Finding(name, Verdict.OK, text)


def _no_node(name: str) -> Finding:
    """One missing directory is one finding, not one in each check."""
    return Finding(name, Verdict.SKIP, "there is no node here yet")
