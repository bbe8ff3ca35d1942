"""The host that an act is done on: who we are there, its files, its commands, its daemon. Replaced in tests."""

from __future__ import annotations

import os
import pwd
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from maw.client.daemon import Daemon, find_daemon
from maw.core.text import one_line
from maw.errors import NotFound, Refused, Unavailable
from maw.home import SYSTEM_HOME, find_home
from maw.ops.machine import Ran

USUAL_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
ACT_S: Final = 300.0
FIRST_UID: Final = 1000
_OUT: Final = 4000


@dataclass(frozen=True, slots=True)
class Person:
    """A Unix user."""

    name: str
    uid: int
    gid: int
    home: Path
    comment: str


@dataclass(slots=True)
class Site:
    """``system``: where a node of the whole host is; ``marks``: where acts note what they have made."""

    euid: int
    environment: Mapping[str, str]
    system: Path = SYSTEM_HOME
    marks: Path = Path("/opt/maw")
    python: str = sys.executable
    running: list[str] = field(default_factory=list)

    @classmethod
    def here(cls) -> Site:
        return cls(os.geteuid(), os.environ)

    @property
    def command(self) -> str:
        """The maw beside this Python."""
        return str(Path(self.python).with_name("maw"))

    @property
    def node_home(self) -> Path:
        """Of the node that is meant here."""
        return find_home(self.environment, self.euid, self.system).path

    def daemon(self, speaker: str | None = None) -> Daemon:
        return find_daemon(self.environment, self.euid, speaker, self.system)

    def person(self, name: str) -> Person | None:
        try:
            row = pwd.getpwnam(name)
        except KeyError:
            return None
        return Person(row.pw_name, row.pw_uid, row.pw_gid, Path(row.pw_dir), row.pw_gecos.partition(",")[0])

    def run(
        self, command: Sequence[str], *, as_user: Person | None = None, data: bytes = b"", cwd: Path | None = None,
        more: Mapping[str, str] | None = None, timeout: float = ACT_S,
    ) -> Ran:  # fmt: skip
        """To its end, without a terminal, in a process group of its own that is ended with it. ``as_user``: with
        nothing of ours in its environment."""
        environment = {"PATH": USUAL_PATH, "LANG": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"}
        if as_user is not None:
            environment |= {
                "HOME": str(as_user.home),
                "USER": as_user.name,
                "LOGNAME": as_user.name,
                "SHELL": "/bin/sh",
            }
            environment["PATH"] = f"{as_user.home}/.local/bin:{as_user.home}/bin:{USUAL_PATH}"
        else:
            environment["HOME"] = str(Path.home())
        for name in ("MAW_HOME", "MAW_SOCKET"):
            if self.environment.get(name):
                environment[name] = self.environment[name]
        switch: dict[str, Any] = {}
        if as_user is not None and self.euid == 0 and as_user.uid != 0:
            groups = os.getgrouplist(as_user.name, as_user.gid)
            switch = {"user": as_user.uid, "group": as_user.gid, "extra_groups": groups}
        try:
            process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                cwd=cwd or (as_user.home if as_user else None), env={**environment, **(more or {})},
                start_new_session=True, **switch,
            )  # fmt: skip
        except OSError as error:
            return Ran(127, "", f"{command[0]}: {error.strerror}")
        try:
            out, err = process.communicate(data, timeout)
            code = process.returncode
        except subprocess.TimeoutExpired:
            out, err, code = b"", f"it did not end within {timeout:g} s".encode(), 124
        finally:
            _end(process)
        return Ran(code, out.decode(errors="replace"), err.decode(errors="replace"))


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def need(ran: Ran, what: str, code: str, hint: str = "") -> Ran:
    """Raises Unavailable with what the command said last, where it failed."""
    if ran.ok:
        return ran
    words = one_line((ran.err.strip() or ran.out.strip())[-_OUT:], 600)
    raise Unavailable(f"{what}: {words or f'it ended with {ran.code}'}", code=code, hint=hint)


def need_person(site: Site, name: str) -> Person:
    found = site.person(name)
    if found is None:
        raise NotFound(
            f"there is no Unix user {name}", code="no_user", hint="give birth again: that makes it"
        )
    return found


def refuse_root(person: Person) -> None:
    if person.uid == 0:
        raise Refused(
            "no agent is born as root: what it is told comes from others",
            code="daemons_user",
            hint="--user NAME",
        )
