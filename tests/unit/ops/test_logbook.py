"""The log of a daemon that nobody reads stops nothing and says what was lost."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator

import pytest

from maw.ops.logbook import MAX_LINES, Logbook


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reading, writing = os.pipe()
    yield reading, writing
    for handle in (reading, writing):
        try:
            os.close(handle)
        except OSError:
            continue


def record(text: str) -> logging.LogRecord:
    return logging.LogRecord("maw", logging.INFO, __file__, 1, text, (), None)


def drain(reading: int, until: bytes) -> bytes:
    found = b""
    while until not in found:
        found += os.read(reading, 1 << 16)
    return found


def test_lines_are_written_whole_and_in_order(pipe: tuple[int, int]) -> None:
    logbook = Logbook(pipe[1])
    for n in range(100):
        logbook.emit(record(f"line {n} \ud800"))
    logbook.close()
    lines = drain(pipe[0], b"line 99 ").decode().splitlines()
    assert lines == [f"line {n} \\ud800" for n in range(100)]


def test_a_reader_that_stands_still_holds_up_nobody_and_hears_what_it_missed(pipe: tuple[int, int]) -> None:
    logbook = Logbook(pipe[1])
    begun = time.monotonic()
    for n in range(MAX_LINES * 3):
        logbook.emit(record(f"{n} " + "x" * 200))
    assert time.monotonic() - begun < 5
    assert logbook._lines.qsize() == MAX_LINES, "what waits is bounded"
    drain(pipe[0], f"{MAX_LINES - 1} ".encode())
    deadline = time.monotonic() + 5
    while not logbook._lines.empty() and time.monotonic() < deadline:
        time.sleep(0.01)
    logbook.emit(record("there again"))
    assert b" lines of this log were lost" in drain(pipe[0], b"there again")
    logbook.close()


def test_closing_does_not_wait_for_a_reader_that_is_stuck(pipe: tuple[int, int]) -> None:
    logbook = Logbook(pipe[1])
    for _ in range(MAX_LINES * 2):
        logbook.emit(record("x" * 200))
    begun = time.monotonic()
    logbook.close()
    assert time.monotonic() - begun < 4


def test_a_closed_or_full_log_is_no_error(pipe: tuple[int, int]) -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    gone = Logbook(pipe[1])
    os.close(pipe[0])
    for logbook in (gone, Logbook(full)):
        for _ in range(10):
            logbook.emit(record("nobody hears"))
        logbook.close()
        assert not logbook._writer.is_alive()
    os.close(full)
