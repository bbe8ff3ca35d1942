"""Runners whose starter was killed: they go on, and would act beside the next one.

Before a runner begins there is a mark beside the answer it is to give, and every process of its tree has that answer's
path in its environment: so they are found whatever became of their numbers, groups and sessions.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from maw.agents.life import durable

if TYPE_CHECKING:
    import psutil

VARIABLE: Final = "MAW_RUNNER"
SUFFIX: Final = ".runner"
GONE_S: Final = 10.0
LOOK_S: Final = 0.02


def mark_of(answer: Path) -> Path:
    return answer.with_name(answer.name + SUFFIX)


def end(folder: Path) -> None:
    """No runner of this ``.maw`` is left when this returns. To be called under its lock. Raises OSError."""
    for mark in sorted(folder.glob("*" + SUFFIX)):
        end_of(mark.with_name(mark.name.removesuffix(SUFFIX)))


def end_of(answer: Path) -> None:
    """No process is left of the runner that was to give this answer. Raises OSError."""
    mark = mark_of(answer)
    if not mark.exists():
        return
    until = time.monotonic() + GONE_S
    while found := list(_processes(answer)):  # whoever was forked meanwhile is found at the next look
        for process in found:
            with contextlib.suppress(Exception):  # gone already, or not ours to end: then the next look tells
                process.kill()
        if time.monotonic() > until:  # in the middle of something the kernel does not break off
            break
        time.sleep(LOOK_S)
    durable.remove(mark)


def _processes(answer: Path) -> Iterator[psutil.Process]:
    import psutil  # only where a starter was killed

    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            ours = process.environ().get(VARIABLE) == str(answer) and process.pid != os.getpid()
            if ours and process.status() != psutil.STATUS_ZOMBIE:
                yield process
