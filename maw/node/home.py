"""A node's directory: its files, their permissions, and the lock that keeps a second daemon out.

maw.toml, peers.toml   the owner's; read, never written after init
node.key               the private key, 0600
seal.keys              private halves of the sealing keys, 0600; until when: maw/core/seal_keys.py
node.mark              the newest (epoch, seq) this node ever committed: a database put back from an
                       older copy is noticed by it
trust.copy             statements, pins and tombstones, so that a lost database does not lose trust
backups, backup.last    what `maw backup` made here, and how the last one went
blobs                   files that go with messages, encrypted: whole, and as far as they are fetched
search.db               the full-text index: made of the database, and made again when it is gone
restore.unfinished      a restore was cut short: nothing starts before it is done
colony.db, maw.sock, maw.lock
"""

from __future__ import annotations

import base64
import fcntl
import os
import stat
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from maw.core.identity import KEY_BYTES, Signer
from maw.errors import BadConfig, Conflict, Unavailable

_MARK: Final = struct.Struct(">QQ")
_MARK_LIMIT: Final = 1 << 53


@dataclass(frozen=True, slots=True)
class NodeHome:
    path: Path

    @property
    def config(self) -> Path:
        return self.path / "maw.toml"

    @property
    def peers(self) -> Path:
        return self.path / "peers.toml"

    @property
    def key(self) -> Path:
        return self.path / "node.key"

    @property
    def seal_keys(self) -> Path:
        return self.path / "seal.keys"

    @property
    def mark(self) -> Path:
        return self.path / "node.mark"

    @property
    def trust_copy(self) -> Path:
        return self.path / "trust.copy"

    @property
    def database(self) -> Path:
        return self.path / "colony.db"

    @property
    def search(self) -> Path:
        return self.path / "search.db"

    @property
    def blobs(self) -> Path:
        return self.path / "blobs"

    @property
    def backups(self) -> Path:
        return self.path / "backups"

    @property
    def last_backup(self) -> Path:
        return self.path / "backup.last"

    @property
    def unfinished_restore(self) -> Path:
        return self.path / "restore.unfinished"

    @property
    def socket(self) -> Path:
        return self.path / "maw.sock"

    @property
    def lock(self) -> Path:
        return self.path / "maw.lock"


def write_new(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Write a file that must not exist yet, and have it on the disk before returning."""
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except FileExistsError:
        raise Conflict(
            f"{path} is there already; maw does not overwrite it", hint="choose another $MAW_HOME"
        ) from None
    with os.fdopen(handle, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def replace_file(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Put ``data`` in the place of ``path``: a reader, or a power cut, sees the old or the new, whole."""
    fresh = path.with_name(path.name + ".new")
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(handle, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    fresh.rename(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def key_file_bytes(kind: str, seed: bytes) -> bytes:
    """A private key as a file holds it: one line, its kind in front."""
    return f"maw-{kind}-key-1:{base64.b64encode(seed).decode('ascii')}\n".encode("ascii")


def _without_key(path: Path) -> str:
    """The ways out: where a database is beside it, a node was here."""
    if not path.with_name("colony.db").exists():
        return "`maw init` makes a node"
    return (
        "put it back from a backup (`maw restore`); with this node's recovery key, `maw key rotate --recovery FILE"
        " --old KEY` gives this host another (`maw peers` on another host shows the old one); or make a new node with"
        " `maw init` in an empty directory"
    )


def read_key(path: Path) -> Signer:
    """The node's key. Raises BadConfig when it is missing, damaged, or open to others."""
    try:
        mode = path.stat().st_mode
        text = path.read_text("ascii").strip()
    except FileNotFoundError:
        raise BadConfig(f"{path} is not there", code="no_key", hint=_without_key(path)) from None
    except (OSError, UnicodeDecodeError) as error:
        raise BadConfig(
            f"{path} cannot be read: {error}",
            code="bad_key_file",
            hint="it must belong to the user that runs maw",
        ) from None
    if stat.S_IMODE(mode) & 0o077:
        raise BadConfig(
            f"{path} can be read by others (mode {stat.S_IMODE(mode):04o})",
            code="key_is_open",
            hint=f"chmod 600 {path}; if others did read it, they can speak as this node",
        )
    prefix, _, encoded = text.partition(":")
    try:
        seed = base64.b64decode(encoded, validate=True)
    except ValueError:
        seed = b""
    if prefix != "maw-node-key-1" or len(seed) != KEY_BYTES:
        raise BadConfig(
            f"{path} holds no node key",
            code="bad_key_file",
            hint="restore it from your backup; it cannot be made again",
        )
    return Signer(seed)


def _open_own(path: Path) -> int:
    """A small file of ours to be read and written, made when it is not there. A link is not followed: what it
    points to is none of ours. Raises BadConfig."""
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise BadConfig(
            f"{path} cannot be opened: {error.strerror}",
            code="bad_home",
            hint="it must be a plain file of the user that runs maw; move away what is there",
        ) from None


@contextmanager
def hold_lock(home: NodeHome) -> Iterator[None]:
    """Keeps every other daemon off this directory while the block runs. Raises Conflict naming who has it."""
    handle = _open_own(home.lock)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.read(handle, 32).decode("ascii", "replace").strip() or "unknown"
            raise Conflict(
                f"another maw daemon (pid {owner}) runs on {home.path}",
                code="already_running",
                hint="`maw status` shows it; stop that one first, or set $MAW_HOME for a second node",
            ) from None
        except OSError as error:
            raise Unavailable(
                f"{home.lock} cannot be locked: {error}", hint="is it on a network file system?"
            ) from None
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{os.getpid()}\n".encode("ascii"), 0)
        yield
    finally:
        os.close(handle)


class HighWaterMark:
    """The newest (epoch, seq) of our own log, beside the key.

    Written after each commit without a sync: it then survives everything but a power cut, and after a power
    cut the boot id differs, which opens a new epoch anyway.
    """

    def __init__(self, path: Path) -> None:
        """Raises BadConfig when the file cannot be had."""
        self._handle = _open_own(path)
        self._too_long = False
        self.damaged = False
        """What was read last is nothing that was ever written."""

    def read(self) -> tuple[int, int]:
        """(0, 0) when nothing is there, or nothing of use: a number out of reach would end our log for good."""
        data = os.pread(self._handle, _MARK.size + 1, 0)
        epoch, seq = _MARK.unpack(data) if len(data) == _MARK.size else (0, 0)
        self._too_long = len(data) > _MARK.size
        self.damaged = bool(data) and (len(data) != _MARK.size or max(epoch, seq) >= _MARK_LIMIT)
        return (0, 0) if self.damaged else (epoch, seq)

    def write(self, epoch: int, seq: int) -> None:
        if self._too_long:
            os.ftruncate(self._handle, _MARK.size)
            self._too_long = False
        os.pwrite(self._handle, _MARK.pack(epoch, seq), 0)

    def close(self) -> None:
        os.close(self._handle)
