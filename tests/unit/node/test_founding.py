"""`maw init`: everything or nothing, never over anything, on ports that are free."""

from __future__ import annotations

import socket
import sqlite3
import stat
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from maw.config import Endpoint, load_config, load_peers
from maw.core.identity import key_text
from maw.errors import BadConfig, BadInput, Conflict
from maw.node import founding
from maw.node.founding import Founded, create
from maw.node.home import NodeHome, read_key
from tests.conftest import free_port


def init(home: Path, **more: Any) -> Founded:
    options: dict[str, Any] = {
        "name": "mbp", "owner_uid": 1000, "owner_name": "nat",
        "listen": Endpoint("127.0.0.1", free_port()), "rest": Endpoint("127.0.0.1", free_port()), **more,
    }  # fmt: skip
    return create(home, **options)


def test_a_node_is_made_whole(tmp_path: Path) -> None:
    listen = Endpoint("127.0.0.1", free_port())
    founded = init(tmp_path / "deep" / "n1", listen=listen)
    home = NodeHome(founded.home)
    config = load_config(home.config)
    assert (config.name, config.mesh.listen) == ("mbp", (listen,))
    assert load_peers(home.peers).peers == ()
    assert key_text(read_key(home.key).node) == founded.key
    for path in home.path.iterdir():
        if path.name != "maw.toml":
            assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path
    assert stat.S_IMODE(home.path.stat().st_mode) == 0o700
    assert founded.operator_key_file.read_text().startswith("maw-operator-key-1:")
    assert founded.recovery_key_file.read_text().startswith("maw-recovery-key-1:")
    with closing(sqlite3.connect(home.database)) as db:
        meta = dict(db.execute("SELECT key, value FROM meta"))
        assert meta["owner"] == "1000:nat"
        assert len(meta["colony"]) == len(meta["recovery"]) == 32
        assert db.execute("SELECT count(*) FROM statements").fetchone() == (1,)
    assert founded.colony.startswith("mc1")


def test_two_nodes_have_nothing_in_common(tmp_path: Path) -> None:
    one, two = init(tmp_path / "1"), init(tmp_path / "2")
    assert one.key != two.key
    assert one.colony != two.colony


@pytest.mark.parametrize("name", ["maw.toml", "node.key", "colony.db", "peers.toml"])
def test_it_never_overwrites_a_node(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("mine")
    with pytest.raises(Conflict) as no:
        init(tmp_path)
    assert no.value.code == "already_a_node"
    assert name in no.value.message
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [(name, "mine")]


@pytest.mark.parametrize("name", ["operator.key", "recovery.key"])
def test_nor_a_key_that_was_left_there(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("mine")
    with pytest.raises(Conflict):
        init(tmp_path)
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [(name, "mine")]


def test_what_fails_in_the_middle_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise BadConfig("the disk is full")

    monkeypatch.setattr(founding, "_fill_database", full)
    with pytest.raises(BadConfig):
        init(tmp_path)
    assert list(tmp_path.iterdir()) == []
    monkeypatch.undo()
    init(tmp_path)


def test_a_bad_name_makes_nothing(tmp_path: Path) -> None:
    for name in ("", "Ärger", "all", "x" * 33, "a b"):
        with pytest.raises(BadInput):
            init(tmp_path / "n", name=name)
    assert not (tmp_path / "n").exists()


def test_a_path_too_long_for_a_socket_is_refused_with_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(BadInput) as no:
        init(tmp_path / ("x" * 120))
    assert "MAW_HOME=" in no.value.hint


def test_a_port_that_is_taken_is_refused_and_free_ones_are_found(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        for option in ("listen", "rest"):
            with pytest.raises(Conflict) as no:
                init(tmp_path / option, **{option: Endpoint("127.0.0.1", port)})
            assert no.value.code == "port_in_use"
            assert str(port) in no.value.message
    with pytest.raises(Conflict, match="both have port"):
        init(
            tmp_path / "both", listen=Endpoint("127.0.0.1", port), rest=Endpoint("127.0.0.1", port)
        )  # after it is free again


def test_the_next_free_pair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    taken = {6290, 6293}
    monkeypatch.setattr(founding, "_is_free", lambda _, port: port not in taken)
    founded = init(tmp_path / "1", listen=None, rest=None)
    assert (founded.mesh, founded.rest) == ("127.0.0.1:6294", "127.0.0.1:6295")
    monkeypatch.setattr(founding, "_is_free", lambda *_: False)
    with pytest.raises(Conflict):
        init(tmp_path / "2", listen=None, rest=None)


def test_an_interface_instead_of_an_address(tmp_path: Path) -> None:
    founded = init(tmp_path, listen=None, interface="wg0")
    mesh = load_config(NodeHome(tmp_path).config).mesh
    assert (mesh.interface, mesh.listen) == ("wg0", ())
    assert founded.mesh.startswith("wg0 (port ")


def test_a_passphrase_seals_the_keys_that_are_kept_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nacl import pwhash

    monkeypatch.setattr(pwhash.argon2id, "OPSLIMIT_MODERATE", pwhash.argon2id.OPSLIMIT_MIN)
    monkeypatch.setattr(pwhash.argon2id, "MEMLIMIT_MODERATE", pwhash.argon2id.MEMLIMIT_MIN)
    founded = init(tmp_path, passphrase="correct horse")
    assert founded.sealed
    assert founded.operator_key_file.read_text().startswith("maw-operator-sealed-key-1:")
    assert read_key(NodeHome(tmp_path).key), "the node's own is not: it must start by itself"


def test_a_directory_one_may_not_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BadConfig) as no:
        init(tmp_path / "file" / "n")
    assert no.value.code == "bad_home"
