"""What `maw up` becomes: a process with the daemon in it, and nothing that only a command line needs.

The process stays the same for who started it (pid, files, environment); typer and what it read are gone, and with
them 2 MiB that every daemon would keep for ever.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path


def become(home: Path) -> int:
    """Go on as the daemon of ``home``: returns only where this interpreter cannot be started anew."""
    if sys.executable:
        sys.stdout.flush()
        sys.stderr.flush()
        arguments = [sys.executable, "-P", "-m", __name__, str(home)]
        os.execv(sys.executable, arguments)  # noqa: S606 - this very interpreter, no shell
    return serve(home)


def serve(home: Path) -> int:
    """Run the daemon here; its exit code. What it could not begin with is told as every command tells it."""
    from maw.net.lean import small_tls_buffers, without_authorities

    try:
        small_tls_buffers()
        with without_authorities():
            from maw import daemon
        return daemon.run(home)
    except Exception as error:  # the last supervisor, as in maw.cli.main
        from maw.cli.main import told  # typer, for a process that is about to end

        return told(error, as_json=False)


if __name__ == "__main__":
    sys.exit(serve(Path(sys.argv[1])))
