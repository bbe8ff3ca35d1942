"""Locks between commands of one user: a file each, let go by the kernel when whoever holds it ends."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from maw.errors import MawError

LOOK_S: Final = 0.05


@contextlib.contextmanager
def waited_for(path: Path, seconds: float, busy: MawError) -> Iterator[int]:
    """The lock, as soon as nobody else has it; the descriptor that holds it. Its folder is made. Raises ``busy`` when
    another has it for so long."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        deadline = time.monotonic() + seconds
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise busy from None
                time.sleep(LOOK_S)
        yield handle
    finally:
        os.close(handle)
