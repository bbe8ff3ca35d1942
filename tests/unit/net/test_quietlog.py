import logging

import pytest

from maw.net.quietlog import QuietLog


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def messages(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records]


def test_one_line_for_a_subject_and_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    quiet = QuietLog(logging.getLogger("t"), clock)
    spoken = [quiet.say(logging.WARNING, "10.0.0.1", "refused") for _ in range(10)]
    assert spoken == [True] + [False] * 9
    assert quiet.say(logging.WARNING, "10.0.0.2", "another")
    clock.now = 59.9
    assert not quiet.say(logging.WARNING, "10.0.0.1", "refused")
    clock.now = 60.0
    assert quiet.say(logging.WARNING, "10.0.0.1", "refused")
    assert messages(caplog) == ["refused", "another", "refused (10 more like this since the last line)"]


def test_ten_thousand_subjects_are_not_remembered(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)
    quiet = QuietLog(logging.getLogger("t"), Clock())
    for n in range(10_000):
        quiet.say(logging.INFO, str(n), "x")
    assert len(quiet._spoken) == 1024
    assert not quiet.say(logging.INFO, "9999", "x")
    assert quiet.say(logging.INFO, "0", "forgotten, so said again")
