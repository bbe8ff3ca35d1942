"""A node's files: never overwritten, replaced whole, the key kept closed, one daemon a directory."""

from __future__ import annotations

import base64
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from maw.core.identity import Signer
from maw.errors import BadConfig, Conflict
from maw.node.home import (
    HighWaterMark,
    NodeHome,
    hold_lock,
    key_file_bytes,
    read_key,
    replace_file,
    write_new,
)


def test_a_new_file_is_the_owners_only_and_never_overwrites(tmp_path: Path) -> None:
    path = tmp_path / "node.key"
    write_new(path, b"one")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(Conflict) as no:
        write_new(path, b"two")
    assert str(path) in no.value.message
    assert path.read_bytes() == b"one"


def test_a_replaced_file_is_whole_old_or_new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "trust.copy"
    replace_file(path, b"old")
    replace_file(path, b"new")
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]

    def dies(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", dies)
    with pytest.raises(OSError, match="No space"):
        replace_file(path, b"half")
    monkeypatch.undo()
    assert path.read_bytes() == b"new"
    replace_file(path, b"next")
    assert path.read_bytes() == b"next", "what a crash left behind is in nobody's way"


def test_a_key_is_read_back(tmp_path: Path) -> None:
    seed = os.urandom(32)
    path = tmp_path / "node.key"
    write_new(path, key_file_bytes("node", seed))
    assert read_key(path).node == Signer(seed).node


@pytest.mark.parametrize("mode", [0o604, 0o640, 0o660, 0o644, 0o601])
def test_a_key_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "node.key"
    write_new(path, key_file_bytes("node", os.urandom(32)))
    path.chmod(mode)
    with pytest.raises(BadConfig) as no:
        read_key(path)
    assert no.value.code == "key_is_open"
    assert f"{mode:04o}" in no.value.message
    assert "chmod 600" in no.value.hint


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff\xfe", b"maw-node-key-1:", b"maw-node-key-1:!!!", key_file_bytes("operator", bytes(32)),
     b"maw-node-key-1:" + base64.b64encode(bytes(31)), b"maw-node-key-1:" + base64.b64encode(bytes(33))],
)  # fmt: skip
def test_what_is_no_key_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "node.key"
    write_new(path, content)
    with pytest.raises(BadConfig) as no:
        read_key(path)
    assert no.value.code == "bad_key_file"


def test_a_missing_key_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(BadConfig) as no:
        read_key(tmp_path / "node.key")
    assert (no.value.code, "maw init" in no.value.hint) == ("no_key", True)


def test_one_daemon_a_directory(tmp_path: Path) -> None:
    home = NodeHome(tmp_path)
    with hold_lock(home):
        with pytest.raises(Conflict) as no, hold_lock(home):
            pass
        assert no.value.code == "already_running"
        assert f"pid {os.getpid()}" in no.value.message
    with hold_lock(home):
        pass


def test_the_lock_ends_with_the_process_that_had_it(tmp_path: Path) -> None:
    code = (
        "import sys, os, signal; from pathlib import Path; from maw.node.home import *\n"
        f"with hold_lock(NodeHome(Path({str(tmp_path)!r}))): os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False)
    assert done.returncode == -9
    with hold_lock(NodeHome(tmp_path)):
        pass


def test_the_mark_is_read_back_and_survives_being_cut_short(tmp_path: Path) -> None:
    path = tmp_path / "node.mark"
    mark = HighWaterMark(path)
    assert mark.read() == (0, 0)
    mark.write(5, 17)
    assert mark.read() == (5, 17)
    mark.close()
    mark = HighWaterMark(path)
    assert mark.read() == (5, 17)
    mark.close()
    path.write_bytes(path.read_bytes()[:9])
    mark = HighWaterMark(path)
    assert mark.read() == (0, 0)
    mark.close()


def test_where_everything_is(tmp_path: Path) -> None:
    home = NodeHome(tmp_path)
    names = {
        home.config, home.peers, home.key, home.mark, home.trust_copy, home.database, home.socket, home.lock
    }  # fmt: skip
    assert {path.name for path in names} == {
        "maw.toml", "peers.toml", "node.key", "node.mark", "trust.copy", "colony.db", "maw.sock", "maw.lock"
    }  # fmt: skip
