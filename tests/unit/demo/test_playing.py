import io
import os
import signal

import pytest

from maw.demo.playing import play
from maw.demo.screen import Screen
from maw.demo.stage import DemoError
from maw.demo.story import Story


def test_what_fails_is_told_with_the_end_of_the_logs(monkeypatch: pytest.MonkeyPatch) -> None:
    roots = []

    def broken(self: Story) -> None:
        roots.append(self.oracle.root)
        self.oracle.log.write_text("a reason\n")
        raise DemoError("nothing arrived")

    monkeypatch.setattr(Story, "play", broken)
    seen = io.StringIO()
    with pytest.raises(DemoError) as failed:
        play(False, Screen(seen))
    assert failed.value.exit_code == 70
    assert "the end of oracle-world.log:\n  a reason" in seen.getvalue()
    assert "Done" not in seen.getvalue()
    assert not roots[0].exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_tidily_and_the_old_handler_is_back(
    number: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    roots = []

    def interrupted(self: Story) -> None:
        roots.append(self.oracle.root)
        os.kill(os.getpid(), number)

    before = signal.getsignal(number)
    monkeypatch.setattr(Story, "play", interrupted)
    with pytest.raises(SystemExit) as ended:
        play(False, Screen(io.StringIO()))
    assert ended.value.code == 128 + number
    assert not roots[0].exists()
    assert signal.getsignal(number) is before


def test_kept_it_stays_until_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    def ctrl_c() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Story, "play", lambda self: None)
    monkeypatch.setattr(signal, "pause", ctrl_c)
    seen = io.StringIO()
    play(True, Screen(seen))
    assert "until Ctrl-C" in seen.getvalue()
    assert "export D=" in seen.getvalue()
    assert "are stopped" in seen.getvalue()
