"""File descriptors: whether this process can still open anything, told as long as it cannot.

What is open goes on then: the database, the links, callers that are connected. New ones wait in the kernel's queue.
"""

from __future__ import annotations

import errno
import os
import resource
from collections.abc import Callable
from typing import Final

from maw.core.effects import Alert

DESCRIPTORS: Final = "descriptors"
USED_UP: Final = frozenset({errno.EMFILE, errno.ENFILE})


class DescriptorWatch:
    """``name``: of this node, the alert's subject."""

    def __init__(self, name: str, alert: Callable[[Alert], None], settle: Callable[[str, str], None]) -> None:
        self._name = name
        self._alert = alert
        self._settle = settle
        self._used_up = False

    def look(self) -> None:
        """Opens something, to see whether it can be done."""
        try:
            os.close(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))
            used_up = False
        except OSError as error:
            used_up = error.errno in USED_UP
        if used_up and not self._used_up:
            most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
            text = (
                f"all file descriptors are in use (this process may have {most}): who is connected goes on, who is"
                " new waits. Raise LimitNOFILE of the service, or `ulimit -n`"
            )
            self._alert(Alert(DESCRIPTORS, self._name, text))
        elif self._used_up and not used_up:
            self._settle(DESCRIPTORS, self._name)
        self._used_up = used_up
