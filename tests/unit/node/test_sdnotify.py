"""sd_notify against a real datagram socket standing in for systemd."""

import os
import secrets
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from maw.node.sdnotify import Notifier, watchdog_interval


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "notify"))
        sock.settimeout(5)
        yield sock


@pytest.fixture
def notifier(manager: socket.socket) -> Notifier:
    return Notifier.from_environment({"NOTIFY_SOCKET": manager.getsockname()})


def said(manager: socket.socket) -> list[str]:
    return manager.recv(4096).decode().splitlines()


def test_the_words_systemd_knows(notifier: Notifier, manager: socket.socket) -> None:
    assert notifier.listening
    assert notifier.ready("listening on 10.44.0.1:6290")
    assert said(manager) == ["READY=1", "STATUS=listening on 10.44.0.1:6290"]
    assert notifier.status("2 peers")
    assert said(manager) == ["STATUS=2 peers"]
    assert notifier.watchdog()
    assert said(manager) == ["WATCHDOG=1"]
    assert notifier.stopping()
    assert said(manager) == ["STOPPING=1"]
    assert notifier.extend_timeout(1.5)
    assert said(manager) == ["EXTEND_TIMEOUT_USEC=1500000"]


def test_a_reload_carries_the_time_it_began(notifier: Notifier, manager: socket.socket) -> None:
    before = time.monotonic_ns() // 1000
    assert notifier.reloading()
    first, second = said(manager)
    assert first == "RELOADING=1"
    name, _, usec = second.partition("=")
    assert name == "MONOTONIC_USEC"
    assert before <= int(usec) <= time.monotonic_ns() // 1000


def test_a_status_cannot_smuggle_another_line(notifier: Notifier, manager: socket.socket) -> None:
    assert notifier.status("peer says\nSTOPPING=1\x1b[31m" + "x" * 5000)
    (line,) = said(manager)
    assert line.startswith("STATUS=peer says STOPPING=1 [31mxxx")
    assert len(line) <= 520


@pytest.mark.skipif(sys.platform != "linux", reason="abstract sockets are Linux's: run it there")
def test_abstract_sockets() -> None:
    name = f"maw-test-{secrets.token_hex(8)}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind("\0" + name)
        sock.settimeout(5)
        assert Notifier("@" + name).ready()
        assert said(sock) == ["READY=1"]


def test_nobody_listening_is_no_error(tmp_path: Path) -> None:
    assert not Notifier.from_environment({}).ready()
    assert not Notifier("").listening
    assert not Notifier(str(tmp_path / "gone")).ready()


def test_a_full_socket_does_not_block(notifier: Notifier, manager: socket.socket) -> None:
    assert any(not notifier.watchdog() for _ in range(100_000))


@pytest.mark.parametrize(
    ("variables", "seconds"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 10.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "4711"}, 10.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "4712"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({"WATCHDOG_USEC": "-3"}, None),
    ],
)
def test_watchdog_interval(variables: dict[str, str], seconds: float | None) -> None:
    assert watchdog_interval(variables, pid=4711) == seconds


def test_watchdog_interval_reads_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "3000000")
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
    assert watchdog_interval() == 1.0
