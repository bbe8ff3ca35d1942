"""A stand-in for the `maw` command: just enough daemon to try units and managers without the real one.

`MAW_TEST_STAND_IN=1 pytest tests/e2e/test_service.py` runs the service tests with it, which tells a broken
unit from a broken daemon. Needs nothing but maw.ops and maw.node.sdnotify.
"""

import asyncio
import json
import os
import signal
import socket
import sys
from pathlib import Path


def main() -> int:
    words = sys.argv[1:]
    home = Path(os.environ.get("MAW_HOME", "/var/lib/maw"))
    if words[0] == "init":
        home.mkdir(parents=True)
        (home / "maw.toml").write_text("")
        (home / "node.key").write_text("")
        (home / "node.key").chmod(0o600)
        return 0
    if words[0] == "service":
        return service(words[1:], home)
    return up(home)


def service(words: list[str], home: Path) -> int:
    from maw.errors import MawError
    from maw.ops import service as ops
    from maw.ops.machine import Machine

    manager = words[words.index("--manager") + 1] if "--manager" in words else None
    try:
        if words[0] == "install":
            report = ops.install(Machine.here(), home=home, command=ops.this_command(), manager=manager)
        else:
            report = ops.remove(Machine.here(), home=home, manager=manager)
    except MawError as error:
        print(json.dumps(error.as_json()), file=sys.stderr)
        return error.exit_code
    for step in report.steps:
        print("ok  " if step.ok else "FAIL", step.text)
    print("\n".join(report.hints))
    return 0 if report.ok else 6


def up(home: Path) -> int:
    """Serve one-line answers on maw.sock, tell systemd, ping its watchdog."""
    # what the real daemon loads, so that a sandbox that forbids any of it shows
    import aiohttp.web
    import nacl.bindings

    from maw.net.netlink import Routing
    from maw.node.sdnotify import Notifier, watchdog_interval

    print(aiohttp.web.__name__, nacl.bindings.__name__, flush=True)
    with Routing("wg0") as routing:
        asyncio.run(routing.look())
    (home / "maw.sock").unlink(missing_ok=True)
    notifier, pause = Notifier.from_environment(), watchdog_interval() or 1.0
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        server.bind(str(home / "maw.sock"))
        (home / "maw.sock").chmod(0o660)
        server.listen()
        server.settimeout(min(pause, 0.5))
        for name in (signal.SIGTERM, signal.SIGINT):
            signal.signal(name, lambda *_: sys.exit(notifier.stopping() and 0))
        signal.signal(signal.SIGHUP, lambda *_: None)
        notifier.ready("stand-in")
        while True:
            notifier.watchdog()
            try:
                connection, _ = server.accept()
            except TimeoutError:
                continue
            with connection:
                connection.recv(65536)
                connection.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n{"ok":true}')


if __name__ == "__main__":
    sys.exit(main())
