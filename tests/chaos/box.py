"""One host of the run: its namespace, its home on a small disk of its own, its daemon, its database from outside."""

from __future__ import annotations

import os
import re
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from maw.core.identity import short_key
from tests.chaos.door import AwayError, Door
from tests.e2e.lab import TestHost, run_command, wait_until
from tests.unlimited import unlimited

MAW: Final = Path(sys.executable).with_name("maw")
DISK_MIB: Final = 512
MIN_FREE_MIB: Final = 16
UP_S: Final = 40.0
FAKETIME: Final = (
    Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1"),
    Path("/usr/lib/aarch64-linux-gnu/faketime/libfaketime.so.1"),
)

Heads = dict[tuple[str, int], int]
"""(short key of an author, epoch) -> seq of the newest entry held."""


def faketime() -> Path | None:
    """The library that gives one process a wall clock of its own (Debian: libfaketime); None without it."""
    return next((path for path in FAKETIME if path.exists()), None)


class Box:
    """``losses`` is counted up at each loss of the database: an answer owed from before never comes."""

    def __init__(self, host: TestHost, name: str, root: Path) -> None:
        self.host = host
        self.name = name
        self.root = root / name
        self.home = self.root / "home"
        self.agents = tuple(f"{name}-{letter}" for letter in "abcd")
        self.key = ""
        """Short, as in the ids of its messages."""
        self.losses = 0
        self.lock = threading.Lock()
        """Held while the database is exchanged."""
        self._copies = root / f"{name}-copies"
        self._clock = root / f"{name}.clock"
        self._log = root / f"{name}.log"
        self._daemon: subprocess.Popen[str] | None = None
        self.root.mkdir()
        self._copies.mkdir()
        self._clock.write_text("+0s\n")
        run_command(
            ["mount", "-t", "tmpfs", "-o", f"size={DISK_MIB}m", "tmpfs", str(self.root)],
            check=True,
            timeout=10,
        )

    @property
    def socket(self) -> Path:
        return self.home / "maw.sock"

    @property
    def database(self) -> Path:
        return self.home / "colony.db"

    def environment(self) -> dict[str, str]:
        env = {"MAW_HOME": str(self.home), "MAW_SOCKET": "", "MAW_LOG": "INFO"}
        if library := faketime():
            env |= {
                "LD_PRELOAD": str(library),
                "FAKETIME_TIMESTAMP_FILE": str(self._clock),
                "FAKETIME_CACHE_DURATION": "1",
                "FAKETIME_DONT_FAKE_MONOTONIC": "1",
                "NO_FAKE_STAT": "1",
            }
        return env

    # -- the daemon -----------------------------------------------------------------------------------

    def found(self) -> None:
        self.maw("init", "--name", self.name, "--interface", "wg0")
        config = self.home / "maw.toml"
        text, changed = re.subn(
            r"^#?\s*min_free_disk_mib = \d+",
            f"min_free_disk_mib = {MIN_FREE_MIB}",
            config.read_text(),
            flags=re.M,
        )
        assert changed == 1, text
        config.write_text(text)
        unlimited(config)

    def maw(self, *words: str) -> str:
        env = {"MAW_HOME": str(self.home), "MAW_SOCKET": ""}
        return self.host.run([str(MAW), *words], environment=env, timeout=60).stdout

    def up(self) -> None:
        """Serving when it returns."""
        self._daemon = self.host.popen([str(MAW), "up"], environment=self.environment(), log=self._log)
        wait_until(self.answers, f"{self.name} answers: {self.tail()}", UP_S)
        self.key = self.key or self.get("/api/whoami")["node_key"].removeprefix("mk1")[:6]

    def answers(self) -> bool:
        assert self.ended() is None, f"{self.name} ended: {self.tail()}"
        door = Door(self.socket)
        try:
            return door.ask("GET", "/healthz")[0] in (200, 503)
        except AwayError:
            return False
        finally:
            door.close()

    def kill(self) -> None:
        assert self._daemon is not None
        self._daemon.kill()
        self._daemon.wait(20)

    def terminate(self) -> None:
        assert self._daemon is not None
        self._daemon.terminate()
        assert self._daemon.wait(60) == 0, f"{self.name} ended with {self._daemon.returncode}: {self.tail()}"

    def signal(self, number: signal.Signals) -> None:
        assert self._daemon is not None
        self._daemon.send_signal(number)

    def ended(self) -> int | None:
        """How the daemon ended, as subprocess has it (-9: killed); None while there is one."""
        assert self._daemon is not None
        return self._daemon.poll()

    def state(self) -> str:
        """Of the daemon, a letter as proc(5) has it: T is stopped."""
        assert self._daemon is not None
        return Path(f"/proc/{self._daemon.pid}/stat").read_text().rpartition(")")[2].split()[0]

    def tail(self) -> str:
        return self._log.read_text()[-1500:] if self._log.exists() else ""

    def traces(self) -> str:
        """What the daemons' log says of faults of their own, from the first on; short."""
        text = self._log.read_text() if self._log.exists() else ""
        _, found, rest = text.partition("ERROR a fault in")
        return f"{found}{rest}"[:6000] if found else self.tail()

    def set_clock(self, ahead_s: int) -> None:
        new = self._clock.with_suffix(".new")
        new.write_text(f"{ahead_s:+d}s\n")
        new.rename(self._clock)

    def get(self, path: str, agent: str | None = None) -> Any:
        return self._ask("GET", path, None, agent)

    def post(self, path: str, body: object) -> Any:
        return self._ask("POST", path, body, None)

    def _ask(self, method: str, path: str, body: object, agent: str | None) -> Any:
        door = Door(self.socket, agent)
        try:
            status, answer = door.ask(method, path, body)
        finally:
            door.close()
        assert status < 400, (self.name, path, answer)
        return answer

    # -- the disk -------------------------------------------------------------------------------------

    def fill(self) -> None:
        """Until not one byte more goes onto the disk."""
        with (self.root / "filler").open("wb", buffering=0) as filler:
            size, block = 0, DISK_MIB << 20
            while block:
                try:
                    os.posix_fallocate(filler.fileno(), size, block)
                    size += block
                except OSError:
                    block //= 2

    def free(self) -> None:
        (self.root / "filler").unlink()

    # -- the database, from outside ---------------------------------------------------------------------

    def _reading(self) -> closing[sqlite3.Connection]:
        return closing(sqlite3.connect(f"file:{self.database}?mode=ro", uri=True, timeout=20))

    def copy_database(self, name: str) -> Path:
        """As a snapshot of the disk would have it: consistent, and no more than durable."""
        target = self._copies / name
        with self._reading() as source, closing(sqlite3.connect(target)) as copy:
            source.backup(copy)
        return target

    def put_back(self, copy: Path | None) -> None:
        """The daemon is dead; ``copy`` (or nothing) takes the place of the database."""
        with self.lock:
            for suffix in ("", "-wal", "-shm"):
                self.database.with_name(self.database.name + suffix).unlink(missing_ok=True)
            if copy is not None:
                self.database.write_bytes(copy.read_bytes())
                os.chmod(self.database, 0o600)
                copy.unlink()
            self.losses += 1

    def heads(self) -> Heads:
        with self.lock, self._reading() as conn:
            return heads_in(conn)

    def headers(self) -> set[bytes]:
        """Of every entry held."""
        with self._reading() as conn:
            return {
                header for (header,) in conn.execute("SELECT header FROM entries WHERE payload IS NOT NULL")
            }

    def close(self) -> None:
        run_command(["umount", "-l", str(self.root)], check=False, timeout=10)


def heads_in(conn: sqlite3.Connection) -> Heads:
    """Of a database file, whoever wrote it."""
    rows = conn.execute("SELECT n.key, l.epoch, l.seq FROM logs l JOIN nodes n ON n.n = l.node")
    return {(short_key(key), epoch): seq for key, epoch, seq in rows}


def patiently(what: str, seconds: float, look: Callable[[], bool]) -> float:
    """How long it took until ``look()`` was true. Raises AssertionError."""
    began = time.monotonic()
    wait_until(look, what, seconds)
    return time.monotonic() - began
