"""How a command gets to the host where the agent is to live: over ssh, or on this one.

What is to run goes in on standard input, then its data: no command line on either host shows more than a constant, and
nothing that is sent is read by the login shell of the other side, whichever that is.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Final, Protocol

from maw.errors import BadInput, Unavailable
from maw.ops.machine import Ran

_HEAR: Final = 'IFS= read -r n && s=$(head -c "$n") && eval "$s"'
PLAIN: Final = f"exec sh -c '{_HEAR}'"
AS_ROOT: Final = f"exec sudo -n -H sh -c '{_HEAR}'"
"""What the far login shell is given. ``head`` takes the script and not a byte more: what follows is its input."""
_HOST: Final = re.compile(
    r"(ssh://)?([A-Za-z0-9_][A-Za-z0-9_.-]{0,63}@)?[A-Za-z0-9\[][A-Za-z0-9_.:\[\]-]{0,254}", re.ASCII
)
CONNECT_S: Final = 15
RUN_S: Final = 600.0
_LOST: Final = 255
_OUT_CAP: Final = 1 << 20


class Far(Protocol):
    """The host meant. ``name``: as its user says it."""

    name: str

    def run(
        self, script: str, args: Sequence[str] = (), *, data: bytes = b"", into: IO[bytes] | None = None,
        timeout: float = RUN_S,
    ) -> Ran: ...  # fmt: skip

    def plain(self, script: str, args: Sequence[str] = ()) -> Ran:
        """As whoever ssh logs in, not as root."""

    def close(self) -> None: ...


def _short_folder() -> str:
    """Where ssh may keep its socket: its name, with what ssh puts behind it, has to fit into 107 bytes."""
    usual = tempfile.gettempdir()
    return usual if len(usual) <= 30 else "/tmp"  # noqa: S108 - mkdtemp makes a folder of our own in it


def check_host(text: str) -> str:
    """A host as ssh takes it: a name of its configuration, ``user@host``, ``ssh://user@host:port``. BadInput."""
    if not _HOST.fullmatch(text):
        raise BadInput(
            f"{text[:80]!r} is no host that ssh could be given", code="bad_host",
            hint="a name of ~/.ssh/config, user@host, or ssh://user@host:port",
        )  # fmt: skip
    return text


def spoken(script: str, args: Sequence[str], data: bytes = b"") -> bytes:
    """What goes in: how long the script is, the script with its arguments quoted, its data."""
    whole = f"set -- {shlex.join(args)}\n{script}".encode()
    return b"%d\n%s%s" % (len(whole), whole, data)


class Ssh:
    """One host, one connection for all that is said to it. The user's own ssh configuration holds; what would ask a
    human, or lend the far side his keys, is off."""

    def __init__(
        self, host: str, *, command: Sequence[str] = ("ssh",), directory: Path | None = None
    ) -> None:
        self.name = check_host(host)
        self._command = tuple(command)
        self._root = PLAIN
        self._own = Path(tempfile.mkdtemp(prefix="maw-ssh-", dir=directory or _short_folder()))

    def as_root(self, how: str) -> None:
        """How root is come by from now on: PLAIN or AS_ROOT."""
        self._root = how

    def run(
        self, script: str, args: Sequence[str] = (), *, data: bytes = b"", into: IO[bytes] | None = None,
        timeout: float = RUN_S,
    ) -> Ran:  # fmt: skip
        """To its end. Unavailable: the host cannot be reached (what the far side does itself is in the exit code)."""
        return self._run(self._root, spoken(script, args, data), into, timeout)

    def plain(self, script: str, args: Sequence[str] = ()) -> Ran:
        return self._run(PLAIN, spoken(script, args), None, 60.0)

    def close(self) -> None:
        if any(self._own.iterdir()):
            subprocess.run([*self._words(), "-O", "exit", "--", self.name], capture_output=True, check=False)
        shutil.rmtree(self._own, ignore_errors=True)

    def login(self, words: str) -> str:
        """What a human types to run ``words`` over there."""
        return f"ssh -t {shlex.quote(self.name)} {shlex.quote(words)}"

    def _words(self) -> list[str]:
        options = {
            "BatchMode": "yes", "ConnectTimeout": str(CONNECT_S), "ServerAliveInterval": "15",
            "ServerAliveCountMax": "4", "ControlMaster": "auto", "ControlPath": str(self._own / "%C"),
            "ControlPersist": "60", "ForwardAgent": "no", "ForwardX11": "no", "RequestTTY": "no",
            "ClearAllForwardings": "yes",
        }  # fmt: skip
        return [*self._command, *(word for item in options.items() for word in ("-o", "=".join(item)))]

    def _run(self, boot: str, said: bytes, into: IO[bytes] | None, timeout: float) -> Ran:
        ran = carry([*self._words(), "--", self.name, boot], said, into, timeout)
        if ran.code == _LOST:
            raise _unreachable(self.name, ran.words)
        return ran


class Here:
    """This host, as whoever runs maw."""

    name = "this host"

    def run(
        self, script: str, args: Sequence[str] = (), *, data: bytes = b"", into: IO[bytes] | None = None,
        timeout: float = RUN_S,
    ) -> Ran:  # fmt: skip
        return carry(["sh", "-c", _HEAR], spoken(script, args, data), into, timeout)

    def plain(self, script: str, args: Sequence[str] = ()) -> Ran:
        return self.run(script, args)

    def close(self) -> None:
        pass

    def login(self, words: str) -> str:
        return words


def carry(command: Sequence[str], said: bytes, into: IO[bytes] | None, timeout: float) -> Ran:
    """Run with ``said`` as its standard input. Its output is text, or goes ``into`` a file."""
    environment = {name: value for name, value in os.environ.items() if name != "MAW_AGENT"}
    try:
        done = subprocess.run(
            command, input=said, stdout=into or subprocess.PIPE, stderr=subprocess.PIPE, timeout=timeout,
            check=False, env=environment,
        )  # fmt: skip
    except FileNotFoundError:
        raise Unavailable(
            f"the command {command[0]} is not here",
            code="no_ssh",
            hint=f"apt-get install openssh-client, for {command[0]}",
        ) from None
    except subprocess.TimeoutExpired:
        return Ran(124, "", f"it did not end within {timeout:g} s")
    out = (done.stdout or b"")[:_OUT_CAP].decode(errors="replace")
    return Ran(done.returncode, out, done.stderr[-_OUT_CAP:].decode(errors="replace"))


def _unreachable(host: str, words: str) -> Unavailable:
    hint = f"`ssh {host} true` says more; nothing was changed there"
    if "Host key verification failed" in words or "host key" in words.lower():
        hint = (
            f"log in once by hand and look at its key: ssh {host}. maw never takes an unknown key by itself"
        )
    elif "Permission denied" in words:
        hint = f"maw asks for no passwords: a key must let you in (ssh-copy-id {host}; ssh-add)"
    return Unavailable(
        f"{host} cannot be reached by ssh: {words or 'it said nothing'}", code="ssh_failed", hint=hint
    )
