"""The keeper: `maw keep`."""

from __future__ import annotations

import os
import signal
import sys
import threading
from typing import Final

from maw.cli.output import note
from maw.cli.session import plain_daemon
from maw.client import calls
from maw.client.daemon import Daemon
from maw.errors import NotRunning, Refused, Unavailable

PAUSE_S: Final = 1.0
LONG_PAUSE_S: Final = 30.0
"""For what a person has to mend, without filling the log."""


def keep() -> int:
    """Keep your agents of the roster running: started after a boot, respawned, watched. Until it is stopped.

    What `maw service install` runs beside the daemon, for each Unix user who has agents.
    """
    import logging  # with all that follows: no other command needs it

    from maw.agents.keeper import Keeper, only_keeper
    from maw.agents.running import Host

    logging.basicConfig(
        level=os.environ.get("MAW_LOG", "INFO").upper(), stream=sys.stderr, format="%(levelname)s %(message)s"
    )
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    found = _found(stop)
    if found is None:
        return 0
    daemon, node = found
    host = Host.here()
    with only_keeper(host, node):
        note(f"keeping the agents of uid {host.uid} on {node}")
        Keeper(daemon, host, node).run(stop)
    return 0


def _found(stop: threading.Event) -> tuple[Daemon, str] | None:
    """The daemon and its name, waited for: at a boot both are started at once. None: it was stopped meanwhile."""
    told = False
    while True:
        try:
            daemon = plain_daemon()
            return daemon, str(daemon.do(calls.whoami())["host"])
        except (NotRunning, Unavailable) as error:
            if not told:
                note(f"waiting for the daemon: {error.message}")
            told = True
            if stop.wait(PAUSE_S):
                return None
        except Refused as error:
            if error.code != "not_permitted":
                raise
            if not told:
                note(f"{error.message}; {error.hint}")
            told = True
            if stop.wait(LONG_PAUSE_S):
                return None
