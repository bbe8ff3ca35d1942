"""The demo from its first line to its last, whatever ends it."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

from maw.demo.ports import reserved_pairs
from maw.demo.screen import Screen
from maw.demo.stage import DemoError, Stage, stage
from maw.demo.story import HOSTS, Story
from maw.errors import MawError

LOG_LINES: Final = 15


def play(keep: bool, screen: Screen) -> None:
    """Plays it all; ``keep`` leaves it running until Ctrl-C. Raises DemoError when something fails."""
    began = time.monotonic()
    with _ended_by_signals(), reserved_pairs(len(HOSTS)) as ports, stage(screen) as place:
        story = Story(place, ports)
        try:
            story.play()
        except MawError:
            _show_logs(place)
            raise
        screen.heading(f"Done in {time.monotonic() - began:.0f} s")
        if keep:
            _stay(story, screen)
    screen.say(
        "Both nodes are stopped, their directory is removed. For real: `maw init`, `maw up`, `maw invite`."
    )


def _stay(story: Story, screen: Screen) -> None:
    screen.say("Both nodes and arthur stay up until Ctrl-C. In another terminal:")
    for line in [*story.preparation(), f'{story.oracle.env} maw send --as neo @arthur "and now?"']:
        screen.command(line)
    try:
        while True:
            signal.pause()
    except KeyboardInterrupt:
        screen.say("")


def _show_logs(place: Stage) -> None:
    for log in sorted(place.root.glob("*.log")):
        lines = log.read_text(errors="replace").splitlines()[-LOG_LINES:]
        place.screen.bad("\n".join([f"the end of {log.name}:", *(f"  {line}" for line in lines)]))


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """A closed terminal or a kill ends the demo as Ctrl-C does: tidily."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    numbers = (signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, stop) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


__all__ = ["DemoError", "play"]
