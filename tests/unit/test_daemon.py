"""The daemon in this process: ready when it serves, told things by signals, stopped clean. Processes: e2e."""

from __future__ import annotations

import asyncio
import grp
import logging
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest

from maw import daemon
from maw.config import load_config
from maw.errors import BadConfig, Conflict, MawError
from maw.node.home import NodeHome, hold_lock, read_key
from tests.conftest import MakeHome
from tests.integration.nodes import until


class Systemd:
    """Listens where sd_notify speaks to."""

    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self.socket.bind(str(path))
        self.heard: list[str] = []

    def listen(self) -> list[str]:
        while True:
            try:
                self.heard.append(self.socket.recv(4096).decode())
            except BlockingIOError:
                return self.heard

    def said(self, word: str) -> Callable[[], bool]:
        return lambda: any(word in text for text in self.listen())


@asynccontextmanager
async def serving(home: NodeHome) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.ensure_future(daemon._serve(home, load_config(home.config), read_key(home.key)))
    await until(lambda: home.socket.exists() or task.done(), "the socket is there")
    try:
        yield task
    finally:
        if not task.done():
            os.kill(os.getpid(), signal.SIGTERM)
            async with asyncio.timeout(10):
                await task


async def ask(home: NodeHome, path: str) -> str:
    reader, writer = await asyncio.open_unix_connection(str(home.socket))
    writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer.decode()


async def test_ready_is_said_when_it_serves_and_stopping_when_it_stops(
    make_home: MakeHome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    systemd = Systemd(tmp_path / "notify")
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    home = make_home("mbp")
    with systemd.socket:
        async with serving(home) as task:
            await until(systemd.said("READY=1"), "READY=1")
            assert " 200 " in await ask(home, "/healthz")
            assert not systemd.said("STOPPING=1")()
            os.kill(os.getpid(), signal.SIGTERM)
            async with asyncio.timeout(10):
                await task
            assert systemd.said("STOPPING=1")()
    assert not home.socket.exists()


def logged(caplog: pytest.LogCaptureFixture, words: str) -> bool:
    return words in caplog.text


async def test_sighup_reads_peers_again_and_a_broken_file_changes_nothing(
    make_home: MakeHome, caplog: pytest.LogCaptureFixture
) -> None:
    home = make_home("mbp")
    with caplog.at_level(logging.INFO):
        async with serving(home):
            for text, said in (("[[peer]]\n", "the old peers stay"), ("", "was read again")):
                home.peers.write_text(text)
                os.kill(os.getpid(), signal.SIGHUP)
                await until(partial(logged, caplog, said), said)
            assert " 200 " in await ask(home, "/healthz")


async def test_a_door_that_cannot_open_stops_the_node_with_the_reason(make_home: MakeHome) -> None:
    home = make_home("mbp")
    config = load_config(home.config)
    with socket.socket() as other:
        other.bind((config.rest.listen.host, config.rest.listen.port))
        other.listen()
        with pytest.raises(ExceptionGroup) as several:
            async with asyncio.timeout(10):
                await daemon._serve(home, config, read_key(home.key))
    assert isinstance(daemon._first_of(several.value), MawError)
    assert str(config.rest.listen.port) in daemon._first_of(several.value).message
    with hold_lock(home):
        pass


async def test_a_node_that_cannot_begin_opens_no_door(make_home: MakeHome) -> None:
    home = make_home("mbp")
    home.peers.write_text("[[peer]]\n")
    with pytest.raises(ExceptionGroup) as several:
        await daemon._serve(home, load_config(home.config), read_key(home.key))
    assert isinstance(daemon._first_of(several.value), BadConfig)
    assert not home.socket.exists()


@pytest.fixture
def own_umask() -> Iterator[None]:
    old = os.umask(0o022)
    os.umask(old)
    yield
    os.umask(old)


def test_run_refuses_with_one_plain_error(make_home: MakeHome, own_umask: None) -> None:
    home = make_home("mbp")
    home.peers.write_text("[[peer]]\n")
    with pytest.raises(BadConfig, match=r"peers\.toml"):
        daemon.run(home.path)
    with hold_lock(home), pytest.raises(Conflict) as no:
        daemon.run(home.path)
    assert no.value.code == "already_running"


def test_a_group_that_is_not_there_is_named_with_its_line(make_home: MakeHome) -> None:
    config = load_config(make_home("mbp").config)
    with pytest.raises(BadConfig) as no:
        daemon._group_id(config, "group", "no-such-group")
    assert "[socket] group" in no.value.message
    assert "groupadd no-such-group" in no.value.hint
    assert daemon._group_id(config, "group", None) is None
    mine = grp.getgrgid(os.getgid()).gr_name
    assert daemon._group_id(config, "group", mine) == os.getgid()


def test_who_administers() -> None:
    assert daemon._admins(None) == {0, os.getuid()}
    assert daemon._admins(os.getgid()) >= {0, os.getuid()}
