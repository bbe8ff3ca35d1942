"""What `maw up` becomes: a process with the daemon in it, and nothing that only a command line needs.

The process stays the same for who started it (pid, files, environment); typer and what it read are gone, and with
them 2 MiB that every daemon would keep for ever.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

ALLOCATOR: Final = {"MALLOC_ARENA_MAX": "1"}
"""For the C library, which reads it before anything else of the process runs: the daemon's few threads, of which one
runs at a time, need no heaps of their own. Nearly a MiB less; what the owner has set himself stays."""


def become(home: Path) -> int:
    """Go on as the daemon of ``home``: returns only where this interpreter cannot be started anew."""
    if sys.executable:
        sys.stdout.flush()
        sys.stderr.flush()
        more = {name: value for name, value in ALLOCATOR.items() if name not in os.environ}
        arguments = [sys.executable, "-P", "-m", __name__, str(home), *more]
        os.execve(sys.executable, arguments, {**os.environ, **more})  # noqa: S606 - this very interpreter, no shell
    return serve(home)


def quickly() -> int | None:
    """`maw up` without a word more, before typer is read; None: whatever is wrong, the full command says it."""
    from maw.errors import MawError
    from maw.home import find_home

    try:
        home = find_home(os.environ, os.geteuid())
    except MawError:
        return None
    return become(home.path) if home.exists else None


def forget(names: Iterable[str]) -> None:
    """Variables that were for this process alone: what it starts is to have the environment it was given."""
    for name in names:
        os.environ.pop(name, None)


@contextmanager
def nothing_looked_through() -> Iterator[None]:
    """What is imported within stays for ever: it is not looked through for garbage again and again as it grows (50 ms
    of 400), nor afterwards, whenever the daemon is."""
    gc.disable()
    try:
        yield
    finally:
        gc.collect()
        gc.freeze()
        gc.enable()


def serve(home: Path) -> int:
    """Run the daemon here; its exit code. What it could not begin with is told as every command tells it."""
    from maw.net.lean import small_tls_buffers, without_authorities

    try:
        small_tls_buffers()
        with without_authorities(), nothing_looked_through():
            from maw import daemon
        return daemon.run(home)
    except Exception as error:  # the last supervisor, as in maw.cli.main
        from maw.cli.main import told  # typer, for a process that is about to end

        return told(error, as_json=False)


if __name__ == "__main__":
    forget(sys.argv[2:])
    sys.exit(serve(Path(sys.argv[1])))
