"""What maw.toml says, a class for each of its sections, with what holds where it says nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from maw.config.endpoints import MESH_PORT, REST_PORT, Endpoint
from maw.core.budget import Limits as WakeLimits
from maw.core.hours import Hours
from maw.core.lineage import BirthRules
from maw.core.neighbours import FULL_MESH, LINKS
from maw.core.quota import Rates
from maw.core.rotation import KEEP, KEEP_WEEKS
from maw.core.spending import NOTHING_KNOWN, Limits, Unknown


@dataclass(frozen=True, slots=True)
class MeshConfig:
    """Exactly one of ``interface`` and ``listen`` is set; ``advertise`` is what invites tell to dial.

    With up to ``full_mesh`` trusted peers all are linked; with more, ``links`` of them."""

    interface: str | None = "wg0"
    listen: tuple[Endpoint, ...] = ()
    port: int = MESH_PORT
    advertise: tuple[Endpoint, ...] = ()
    links: int = LINKS
    full_mesh: int = FULL_MESH


_REST: Final = Endpoint("127.0.0.1", REST_PORT)


@dataclass(frozen=True, slots=True)
class RestConfig:
    listen: Endpoint = _REST
    anonymous: bool = True
    hosts: tuple[str, ...] = ()
    """Names under which a reverse proxy on this machine passes people on."""


@dataclass(frozen=True, slots=True)
class SocketConfig:
    """Unix groups. ``group`` may administer this node, beside its own user and root; ``users`` may open the
    socket and speak as their own agents, no more. Without ``users`` the socket is for ``group``."""

    group: str | None = None
    users: str | None = None


_RATES: Final = Rates()


@dataclass(frozen=True, slots=True)
class LimitsConfig:
    """``rates``: how much this host's own agents may say; ``crowd``: to how many at once."""

    min_free_disk_mib: int = 256
    outbound_mib: int = 32
    rates: Rates = _RATES
    crowd: int = 50


@dataclass(frozen=True, slots=True)
class BackupConfig:
    """Where `maw backup` puts them (None: the node's own directory), and what rotation keeps."""

    directory: Path | None = None
    keep: int = KEEP
    keep_weeks: int = KEEP_WEEKS


_LIMITS: Final = WakeLimits()


@dataclass(frozen=True, slots=True)
class WakesConfig:
    """How often one agent may be woken within an hour: in all, by one sender, by messages to groups; and when none of
    this host's is to be disturbed (None: never), unless it has a rule of its own."""

    limits: WakeLimits = _LIMITS
    dnd: Hours | None = None


@dataclass(frozen=True, slots=True)
class HostConfig:
    """What whoever gives this box allows agents to take of it (None: no limit), and at which sizes a human is told.

    ``alerts``: the channel in which this node says so, None where it does not."""

    agents: int | None = None
    memory_mib: int | None = None
    hours: Hours | None = None
    reserve_mib: int = 512
    session_log_mib: int = 300
    alerts: str | None = "alerts"


@dataclass(frozen=True, slots=True)
class AlertsConfig:
    """What the owner has called for each alert: a command line, an http(s) address; None: neither."""

    exec: str | None = None
    webhook: str | None = None


@dataclass(frozen=True, slots=True)
class AgentsConfig:
    """What `maw keep` is told: seconds from one start to the next, and the load a core above which starts wait."""

    stagger_s: int = 2
    load_per_core: int = 2


@dataclass(frozen=True, slots=True)
class SearchConfig:
    """Whether this node keeps a full-text index."""

    index: bool = True


@dataclass(frozen=True, slots=True)
class FilesConfig:
    """How much disk files of messages may take, how large one may be, and for how many days a copy of another host's
    is kept that nobody used (0: for ever)."""

    quota_mib: int = 2048
    max_mib: int = 64
    keep_days: int = 30


_BIRTHS: Final = BirthRules()


@dataclass(frozen=True, slots=True)
class BirthConfig:
    """What `maw birth` does beside what every birth is. ``runner``: of the newborn's agent.toml; ``packages``: of
    Debian; ``install``: shell commands, run as the newborn's user; ``login_check``: exits 0 once the runner is logged
    in; ``login``: what a human runs for that; ``login_hint``: what he is told."""

    runner: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    install: tuple[str, ...] = ()
    login_check: str | None = None
    login: str | None = None
    login_hint: str = ""


_BIRTH: Final = BirthConfig()


@dataclass(frozen=True, slots=True)
class CostConfig:
    """What may be spent a day, by unit as ``maw/core/spending.py`` has them: by this host's agents together, by each,
    and by those named, for whom it replaces what ``each`` says. ``unknown``: what a run counts as that tells nothing;
    ``keep_days``: for how long days are kept."""

    host: Limits = field(default_factory=dict)
    each: Limits = field(default_factory=dict)
    agents: Mapping[str, Limits] = field(default_factory=dict)
    unknown: Unknown = NOTHING_KNOWN
    keep_days: int = 400


@dataclass(frozen=True, slots=True)
class MovesConfig:
    """Hosts, by name or key, from which agents that move here are taken in without asking."""

    accept_from: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Config:
    """``maw.toml``. ``path`` is where it was read from."""

    path: Path
    name: str
    mesh: MeshConfig = MeshConfig()
    rest: RestConfig = RestConfig()
    socket: SocketConfig = SocketConfig()
    limits: LimitsConfig = LimitsConfig()
    search: SearchConfig = SearchConfig()
    files: FilesConfig = FilesConfig()
    moves: MovesConfig = MovesConfig()
    backup: BackupConfig = BackupConfig()
    host: HostConfig = HostConfig()
    wakes: WakesConfig = WakesConfig()
    agents: AgentsConfig = AgentsConfig()
    alerts: AlertsConfig = AlertsConfig()
    births: BirthRules = _BIRTHS
    birth: BirthConfig = _BIRTH
    cost: CostConfig = field(default_factory=CostConfig)
