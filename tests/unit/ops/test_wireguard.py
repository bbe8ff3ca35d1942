"""Asking wg for its peers: who may, what is run, what is never asked for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from maw.errors import NotFound, Refused, Unavailable
from maw.ops.machine import Machine, Ran
from maw.ops.wireguard import is_wireguard, wireguard_peers


def machine(root: Path, *answers: Ran, euid: int = 0, wg: bool = True) -> tuple[Machine, list[Sequence[str]]]:
    ran: list[Sequence[str]] = []
    left = list(answers)

    def run(command: Sequence[str]) -> Ran:
        ran.append(command)
        return left.pop(0)

    return Machine(euid, {}, run, root, lambda tool: f"/usr/bin/{tool}" if wg else None), ran


def test_peers_without_anybodys_private_key(tmp_path: Path) -> None:
    here, ran = machine(tmp_path, Ran(0, "K=\t10.0.0.2/32\n"), Ran(0, "K=\t7\n"))
    (peer,) = wireguard_peers(here, "wg0")
    assert (peer.key, peer.handshake) == ("K=", 7)
    assert ran == [["wg", "show", "wg0", "allowed-ips"], ["wg", "show", "wg0", "latest-handshakes"]]


def test_who_may_not_ask_is_told_who_may(tmp_path: Path) -> None:
    here, ran = machine(tmp_path, euid=1000)
    with pytest.raises(Refused, match="only root") as no:
        wireguard_peers(here, "wg0")
    assert no.value.code == "not_root"
    assert ran == []
    with pytest.raises(NotFound, match="wg is not here"):
        wireguard_peers(machine(tmp_path, wg=False)[0], "wg0")


@pytest.mark.parametrize(
    "answers",
    [
        [Ran(1, "", "Unable to access interface: No such device")],
        [Ran(0, "K=\tnonsense"), Ran(0, "")],
        [Ran(0, ""), Ran(124, "", "wg did not end")],
    ],
)
def test_what_goes_wrong_is_said(tmp_path: Path, answers: list[Ran]) -> None:
    with pytest.raises(Unavailable, match="wg"):
        wireguard_peers(machine(tmp_path, *answers)[0], "wg0")


def test_which_interfaces_are_wireguards(tmp_path: Path) -> None:
    here, _ = machine(tmp_path)
    for name, text in (("wg0", "DEVTYPE=wireguard\nINTERFACE=wg0\n"), ("eth0", "INTERFACE=eth0\n")):
        (tmp_path / "sys/class/net" / name).mkdir(parents=True)
        (tmp_path / "sys/class/net" / name / "uevent").write_text(text)
    assert is_wireguard(here, "wg0")
    assert not is_wireguard(here, "eth0")
    assert not is_wireguard(here, "wg1")
    (tmp_path / "run/wireguard").mkdir(parents=True)
    (tmp_path / "run/wireguard/wg1.sock").touch()
    assert is_wireguard(here, "wg1"), "in user space"
