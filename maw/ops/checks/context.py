"""What every check gets, and what it answers. Nothing here looks at the world: who calls fills it in."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from maw.ops.machine import Machine


class Verdict(StrEnum):
    """``skip``: it could not be looked at; the text says why."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"
    SKIP = "skip"


@dataclass(frozen=True, slots=True)
class Finding:
    """``name`` is stable, for scripts; ``text`` one sentence; ``hint`` what to do, empty when nothing."""

    name: str
    verdict: Verdict
    text: str
    hint: str = ""

    def as_json(self) -> dict[str, str]:
        return {"name": self.name, "verdict": self.verdict.value, "text": self.text, "hint": self.hint}


@dataclass(frozen=True, slots=True)
class Address:
    """An IP address (or, of a peer, a name) and a TCP port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def loopback(self) -> bool:
        return self.host.startswith("127.") or self.host in ("::1", "localhost")

    @property
    def everywhere(self) -> bool:
        return self.host in ("0.0.0.0", "::")  # noqa: S104 - this is what is looked for

    @classmethod
    def parse(cls, text: str, default_port: int = 0) -> Address:
        """``10.44.0.1:6290``, ``[fd00::1]:6290``, ``fd00::1``. Raises ValueError."""
        if text.startswith("["):
            host, _, tail = text[1:].partition("]")
            return cls(host, int(tail.removeprefix(":") or default_port))
        if text.count(":") > 1:
            return cls(text, default_port)
        host, _, port = text.partition(":")
        return cls(host, int(port or default_port))


class Reached(StrEnum):
    """How a TCP connect ended."""

    OPEN = "open"
    REFUSED = "refused"
    TIMEOUT = "timeout"
    NO_ROUTE = "no route"
    NO_NAME = "no such name"


@dataclass(frozen=True, slots=True)
class Interface:
    """``word``: ``up``, ``down``, ``missing`` or ``no address``; ``text`` the same as a sentence."""

    name: str
    word: str
    text: str
    addresses: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class KernelClock:
    """What adjtimex(2) says: whether something keeps the clock right, and by how much it may be off."""

    synchronised: bool
    max_error_s: float


@dataclass(frozen=True, slots=True)
class HookTrouble:
    """What the hooks of this user's agents stumbled over last: the line, how long ago, and the file with more."""

    line: str
    seconds_ago: float
    log: Path


@dataclass(frozen=True, slots=True)
class Context:
    """All that the checks look at.

    ``config_problem``: why maw.toml or peers.toml could not be read, None when they could. ``node_key``: the
    public key of node.key as text, None when it could not be read. ``listen``: the configured mesh addresses;
    with an ``interface``, its addresses now. ``status`` and ``peers``: the daemon's answers, as in the API;
    None when it does not answer. ``command``: the `maw` that runs this check. ``last_backup``: how the
    last ones went, as noted in the home; empty when none was ever made, None when this user may not see.
    ``hook_trouble``: None where no hook ever stumbled.
    """

    machine: Machine
    home: Path
    version: str
    command: Path | None = None
    config_problem: str | None = None
    node_key: str | None = None
    interface: Interface | None = None
    listen: tuple[Address, ...] = ()
    mesh_port: int = 6290
    rest: Address | None = None
    min_free_mib: int = 256
    status: Mapping[str, Any] | None = None
    peers: Sequence[Mapping[str, Any]] | None = None
    socket_problem: str = ""
    connect: Callable[[Address], Reached] = field(default=lambda _: Reached.OPEN)
    last_backup: Mapping[str, Any] | None = field(default_factory=dict)
    hook_trouble: HookTrouble | None = None
    clock: Callable[[], KernelClock | None] = field(default=lambda: None)

    @property
    def socket(self) -> Path:
        return self.home / "maw.sock"


Check = Callable[[Context], Finding]
