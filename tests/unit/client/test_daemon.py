"""Whether somebody listens on a socket: in doubt somebody does."""

from __future__ import annotations

import socket
from contextlib import ExitStack
from pathlib import Path

from maw.client.daemon import may_be_listening


def test_a_socket_that_is_not_there_or_was_left_behind_is_nobody_s(tmp_path: Path) -> None:
    path = tmp_path / "s"
    assert not may_be_listening(path)
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(path))
        one.listen()
        assert may_be_listening(path)
    assert not may_be_listening(path)


def test_a_daemon_that_is_too_busy_to_answer_is_one_all_the_same(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with ExitStack() as held:
        busy = held.enter_context(socket.socket(socket.AF_UNIX))
        busy.bind(str(path))
        busy.listen(0)
        for _ in range(8):
            waiting = held.enter_context(socket.socket(socket.AF_UNIX))
            waiting.setblocking(False)
            try:
                waiting.connect(str(path))
            except BlockingIOError:
                break
        else:
            raise AssertionError("its queue never filled: this tests nothing")
        assert may_be_listening(path)
