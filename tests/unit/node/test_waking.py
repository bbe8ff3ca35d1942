"""The wake detector, fed made-up clocks; the reader, against the real ones."""

import time

import pytest

from maw.node.waking import Clocks, Slept, WakeDetector, WallJumped, read_clocks


def detector(mono: float = 100.0, boot: float | None = 100.0, wall: float = 1e9) -> WakeDetector:
    made = WakeDetector()
    assert made.tick(mono, boot, wall) == []
    return made


def test_nothing_happens_while_all_clocks_run_alike() -> None:
    waking = detector()
    for step in range(1, 50):
        assert waking.tick(100.0 + step, 100.0 + step, 1e9 + step * 1.0005) == []


def test_a_suspend_is_told_with_its_length() -> None:
    waking = detector()
    assert waking.tick(101.0, 3701.0, 1e9 + 3601) == [Slept(3600.0)]
    assert waking.tick(102.0, 3702.0, 1e9 + 3602) == []


@pytest.mark.parametrize("seconds", [3600.0, -3600.0, 2.5, -2.5])
def test_a_clock_set_is_told_with_its_direction(seconds: float) -> None:
    waking = detector()
    assert waking.tick(101.0, 101.0, 1e9 + 1 + seconds) == [WallJumped(seconds)]
    assert waking.tick(102.0, 102.0, 1e9 + 2 + seconds) == []


def test_a_suspend_and_a_clock_set_are_told_apart() -> None:
    assert detector().tick(101.0, 161.0, 1e9 + 61 - 7200) == [Slept(60.0), WallJumped(-7200.0)]


def test_a_stopped_process_is_no_suspend() -> None:
    """SIGSTOP for an hour: all three clocks went on."""
    assert detector().tick(3700.0, 3700.0, 1e9 + 3600) == []


def test_slewing_and_jitter_stay_unsaid() -> None:
    waking = detector()
    assert waking.tick(101.0, 101.4, 1e9 + 2.9) == []


def test_without_a_boot_clock_a_sleep_shows_as_a_jump_forward() -> None:
    assert detector(boot=None).tick(101.0, None, 1e9 + 601) == [WallJumped(600.0)]


@pytest.mark.parametrize(
    ("event", "text"),
    [
        (Slept(90.4), "slept 90 seconds"),
        (WallJumped(-3600.0), "the wall clock was set back by 3600 seconds"),
        (WallJumped(5.0), "the wall clock was set forward by 5 seconds"),
    ],
)
def test_events_in_words(event: Slept | WallJumped, text: str) -> None:
    assert event.describe() == text


def test_the_real_clocks_agree_with_the_system() -> None:
    before = time.time()
    clocks = read_clocks()
    assert before <= clocks.wall <= time.time()
    assert clocks.boot is None or clocks.boot >= clocks.mono - 0.001


def test_macos_clocks_are_read_by_their_own_names(monkeypatch: pytest.MonkeyPatch) -> None:
    readings = {8: 50.0, 4: 90.0}
    monkeypatch.delattr(time, "CLOCK_BOOTTIME", raising=False)
    monkeypatch.setattr(time, "CLOCK_UPTIME_RAW", 8, raising=False)
    monkeypatch.setattr(time, "CLOCK_MONOTONIC_RAW", 4, raising=False)
    monkeypatch.setattr(time, "clock_gettime", readings.__getitem__)
    monkeypatch.setattr(time, "time", lambda: 7.0)
    assert read_clocks() == Clocks(50.0, 90.0, 7.0)


def test_with_neither_there_is_no_boot_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CLOCK_BOOTTIME", "CLOCK_UPTIME_RAW"):
        monkeypatch.delattr(time, name, raising=False)
    assert read_clocks().boot is None
