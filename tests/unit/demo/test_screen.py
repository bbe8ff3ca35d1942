import io
import time

import pytest

from maw.demo.screen import Screen


def shown(screen: Screen) -> str:
    screen.heading("one")
    screen.command("maw status")
    screen.answer("fine\n")
    screen.answer("")
    screen.good("yes")
    assert isinstance(screen.stream, io.StringIO)
    return screen.stream.getvalue()


def test_a_pipe_gets_plain_text_without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout", io.StringIO())
    screen = Screen.to_stdout()
    began = time.monotonic()
    assert shown(screen) == "\none\n$ maw status\nfine\nyes\n"
    assert (screen.colour, screen.pace) == (False, 0.0)
    assert time.monotonic() - began < 1


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_colour_and_time_to_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr("sys.stdout", Terminal())
    screen = Screen.to_stdout()
    assert screen.pace > 0
    screen.heading("one")
    assert "\x1b[" in screen.stream.getvalue()  # type: ignore[attr-defined]


def test_no_color_is_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setattr("sys.stdout", Terminal())
    assert not Screen.to_stdout().colour
