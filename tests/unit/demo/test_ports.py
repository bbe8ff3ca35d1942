import os
import socket

import pytest

from maw.demo.ports import LOOPBACK, reserved_pairs
from maw.errors import Conflict

FIRST = 12_000 + 8 * (os.getpid() % 1_000)  # whoever else runs these tests now has others


def test_two_demos_at_once_get_different_ports() -> None:
    with reserved_pairs(2, FIRST) as ours, reserved_pairs(2, FIRST) as theirs:
        ports = [port for pair in ours + theirs for port in (pair.mesh, pair.rest)]
        assert len(set(ports)) == 8


def test_a_pair_of_which_one_port_is_taken_is_passed_over() -> None:
    with reserved_pairs(1, FIRST) as (free,):
        pass
    with socket.create_server((LOOPBACK, free.rest)), reserved_pairs(1, FIRST) as (next_one,):
        assert free.rest not in (next_one.mesh, next_one.rest)
        assert next_one.rest == next_one.mesh + 1


def test_a_daemon_can_listen_on_a_reserved_port_again_and_again() -> None:
    with reserved_pairs(1, FIRST) as (pair,):
        for _ in range(2):
            with (
                socket.create_server((LOOPBACK, pair.rest)) as server,
                socket.create_connection((LOOPBACK, pair.rest)),
                server.accept()[0],
            ):
                pass


def test_no_free_ports_is_an_error_that_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("maw.demo.ports.PAIRS_TRIED", 0)
    with pytest.raises(Conflict) as refused, reserved_pairs(1, FIRST):
        pass
    assert refused.value.code == "no_free_port"
