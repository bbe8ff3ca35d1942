"""What is wanted of a birth, and what is found on the host: nothing is done with what is not checked."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from maw.agents.birth.far import Here
from maw.agents.birth.looking import Facts, look, mesh_address, warnings
from maw.agents.birth.plan import (
    Machine,
    Wanted,
    checked,
    read_birth_file,
    read_wanted,
    unix_name,
    with_config,
)
from maw.errors import BadConfig, BadInput

FULL = Wanted(
    "scout", "root@vault", "# scout", "git@example.org:vault.git", "scout", install=("a", "b"), runner=("claude", "-p"),
    machine=Machine("my-project", "europe-west1-b", "maw-scout"),
)  # fmt: skip


def test_it_is_kept_and_read_back() -> None:
    assert read_wanted(json.loads(json.dumps(checked(FULL).as_json()))) == checked(FULL)
    assert read_wanted({**FULL.as_json(), "of a later version": 1}) == checked(FULL)
    with pytest.raises(BadInput):
        read_wanted({})


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "Scout; rm -rf /"}, {"name": "../x"}, {"host": "-oProxyCommand=id"}, {"user": "a b"}, {"user": "-x"},
        {"user": "Root"}, {"repo": "--upload-pack=id"}, {"repo": "ext::sh -c id"}, {"repo": "a\nb"}, {"repo": "x y"},
        {"repo": "https://me:pw@example.org/x.git"}, {"repo": "https://ghp_0123456789abcdefABCDEF0123456789abcd@github.com/x"},
        {"listen": "vault:6290"}, {"listen": "10.0.0.7:6290", "interface": "wg0"}, {"node": "a b"}, {"soul": "x\0"},
        {"soul": "x" * 300_000}, {"machine": Machine("p; id", "z", "vm1")}, {"machine": Machine("proj", "zone", "--x")},
        {"channel": "no such"},
    ],
)  # fmt: skip
def test_hostile_values(wrong: dict[str, object]) -> None:
    with pytest.raises(BadInput):
        checked(replace(FULL, **wrong))  # type: ignore[arg-type]


def test_the_unix_user_of_an_agent() -> None:
    assert unix_name("scout") == "scout" and unix_name("101-mawjs") == "maw-101-mawjs"
    assert len(unix_name("1" * 32)) == 32


def test_a_birth_file(tmp_path: Path) -> None:
    file = tmp_path / "claude.toml"
    file.write_text(
        '[birth]\nrunner = "claude -p"\npackages = ["nodejs"]\ninstall = ["npm i -g x"]\nlogin_check = "claude auth"\n'
        'login = "claude login"\nlogin_hint = "ask anna"\n'
    )
    wanted = with_config(Wanted("scout"), read_birth_file(file))
    assert (
        wanted.runner == ("claude", "-p")
        and wanted.install == ("npm i -g x",)
        and wanted.login_hint == "ask anna"
    )
    for text in (
        '[birth]\ninstal = ["x"]\n',
        '[birth]\npackages = ["--purge"]\n',
        '[birth]\nlogin_check = ""\n',
        "x = 1\n",
    ):
        file.write_text(text)
        with pytest.raises(BadConfig):
            read_birth_file(file)


def facts(**more: object) -> Facts:
    return replace(look(Here()), **more)  # type: ignore[arg-type]


def test_this_very_host_is_looked_at() -> None:
    found = facts()
    assert found.system == "Linux" and found.host and abs(found.skew_s) < 5 and found.free_mib > 0
    assert found.address is None or "." in found.address or ":" in found.address


@pytest.mark.parametrize(
    ("address", "listens"),
    [("10.0.0.7", "10.0.0.7:6290"), ("fd00::7", "[fd00::7]:6290"), ("100.64.1.2", "100.64.1.2:6290"), ("8.8.8.8", None),
     ("127.0.0.1", None), ("169.254.1.1", None), ("nonsense", None), (None, None)],
)  # fmt: skip
def test_where_a_new_node_listens(address: str | None, listens: str | None) -> None:
    """Never by itself where everybody could reach it."""
    assert mesh_address(facts(address=address, has_wireguard=False)) == listens
    assert mesh_address(facts(address=address, has_wireguard=True)) is None, "on wg0 there"


def test_what_will_be_wrong_is_said() -> None:
    assert warnings(facts(skew_s=1.0, free_mib=5000)) == []
    assert "behind" in warnings(facts(skew_s=-4000.0, free_mib=5000))[0]
    assert "free disk" in warnings(facts(skew_s=0.0, free_mib=100))[0]


def test_a_maw_that_is_half_there_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """pip was killed, or is still at it: what it has put there so far is not used."""
    from maw.agents.birth import looking

    venv = tmp_path / "maw"
    (venv / "bin").mkdir(parents=True)
    command = venv / "bin" / "maw"
    command.write_text("#!/bin/sh\necho maw 9.9\n")
    command.chmod(0o755)
    monkeypatch.setattr(looking, "VENV", str(venv))
    assert look(Here()).maw == str(command), "installed there by hand"
    (venv / ".maw-birth").touch()
    assert look(Here()).maw is None and look(Here()).foreign is False
    (venv / ".wheels").write_text("w1")
    found = look(Here())
    assert (found.maw, found.maw_version, found.wheels) == (str(command), "maw 9.9", "w1")
