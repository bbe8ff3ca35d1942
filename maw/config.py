"""maw.toml and peers.toml, read into frozen dataclasses; and what ``maw init`` writes into them.

Both files belong to the owner: maw writes them once, at ``maw init``, and only reads them afterwards. Every
mistake is a BadConfig that names the file, the line where that can be known, the key and the reason.
"""

from __future__ import annotations

import ipaddress
import re
import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from maw.core.budget import Limits
from maw.core.dnd import parse_quiet
from maw.core.hours import Hours, parse_hours
from maw.core.identity import NodeId, parse_key
from maw.core.names import check_name
from maw.core.neighbours import FULL_MESH, LINKS
from maw.core.quota import Rate, Rates
from maw.core.rotation import KEEP, KEEP_WEEKS
from maw.core.statement import parse_colony
from maw.core.toml import Document, Section
from maw.errors import BadConfig, BadInput
from maw.home import check_socket_path as check_socket_path
from maw.home import find_home as find_home

MESH_PORT: Final = 6290
REST_PORT: Final = 6291


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A host (IP address, or a name where one is allowed) and a TCP port; port 0 means any free one."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


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


@dataclass(frozen=True, slots=True)
class RestConfig:
    listen: Endpoint = Endpoint("127.0.0.1", REST_PORT)
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


_LIMITS: Final = Limits()


@dataclass(frozen=True, slots=True)
class WakesConfig:
    """How often one agent may be woken within an hour: in all, by one sender, by messages to groups; and when none of
    this host's is to be disturbed (None: never), unless it has a rule of its own."""

    limits: Limits = _LIMITS
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
class Config:
    """``maw.toml``. ``path`` is where it was read from."""

    path: Path
    name: str
    mesh: MeshConfig = MeshConfig()
    rest: RestConfig = RestConfig()
    socket: SocketConfig = SocketConfig()
    limits: LimitsConfig = LimitsConfig()
    search: SearchConfig = SearchConfig()
    backup: BackupConfig = BackupConfig()
    host: HostConfig = HostConfig()
    wakes: WakesConfig = WakesConfig()
    agents: AgentsConfig = AgentsConfig()
    alerts: AlertsConfig = AlertsConfig()


@dataclass(frozen=True, slots=True)
class PeerEntry:
    """One ``[[peer]]`` of peers.toml: trusted and dialled because the owner wrote it there."""

    name: str
    key: NodeId
    addresses: tuple[Endpoint, ...] = ()
    introducer: bool = False


@dataclass(frozen=True, slots=True)
class PeersFile:
    """``peers.toml``. ``colony``: the one to belong to, where peers come by hand and not by invite."""

    colony: bytes | None = None
    peers: tuple[PeerEntry, ...] = ()


def parse_endpoint(text: str, default_port: int | None = None, *, ip_only: bool = False) -> Endpoint:
    """``10.0.0.7:6290``, ``[fd00::7]:6290``, ``mbp.wg:6290``; the port may be left out if there is a default.

    Raises BadInput.
    """
    host, port_text = _host_and_port(text.strip())
    if not host or port_text == "" or any(char.isspace() or char in "/@[]" for char in host):
        raise BadInput(f"{text!r} is no address", code="bad_address", hint="write it as HOST:PORT")
    if port_text is None and default_port is None:
        raise BadInput(f"{text!r} has no port", code="bad_address", hint=f"write it as {text}:{MESH_PORT}")
    if port_text is not None and not (_PORT.fullmatch(port_text) and int(port_text) <= 65535):
        raise BadInput(f"{port_text!r} is no port: a number from 0 to 65535", code="bad_address")
    if ip_only or ":" in host:
        try:
            host = str(ipaddress.ip_address(host))
        except ValueError:
            raise BadInput(f"{host!r} is no IP address", code="bad_address") from None
    return Endpoint(host, int(port_text) if port_text is not None else default_port or 0)


def check_interface(name: str) -> str:
    """Whether a network interface may be called so. Raises BadInput."""
    if not _INTERFACE.fullmatch(name):
        raise BadInput(
            f"{name!r} is no interface name", code="bad_interface", hint="`ip link` lists the interfaces"
        )
    return name


def load_config(path: Path) -> Config:
    """Read maw.toml. Raises BadConfig; a missing file says how to make one."""
    document = _read(path)
    document.only(
        "node", "mesh", "rest", "socket", "limits", "backup", "host", "agents", "wakes", "alerts", "search"
    )
    return Config(
        path=path,
        name=_node_name(document.section("node")),
        mesh=_mesh(document.section("mesh")),
        rest=_rest(document.section("rest")),
        socket=_socket(document.section("socket")),
        limits=_limits(document.section("limits")),
        backup=_backup(document.section("backup")),
        host=_host(document.section("host")),
        wakes=_wakes(document.section("wakes")),
        agents=_agents(document.section("agents")),
        alerts=_alerts(document.section("alerts")),
        search=_search(document.section("search")),
    )


def load_peers(path: Path) -> PeersFile:
    """Read peers.toml, empty when there is none. Raises BadConfig, also when two share a name or a key."""
    if not path.exists():
        return PeersFile()
    document = _read(path)
    document.only("colony", "peer")
    colony = document.section("colony")
    colony.only("id")
    colony_text = colony.text("id")
    sections = document.blocks("peer")
    peers = tuple(_peer(section) for section in sections)
    _refuse_repeats(sections, peers)
    return PeersFile(colony.parsed("id", parse_colony, colony_text) if colony_text else None, peers)


def render_config(
    name: str,
    *,
    interface: str | None = None,
    listen: Iterable[Endpoint] = (),
    mesh_port: int = MESH_PORT,
    rest: Endpoint | None = None,
) -> str:
    """What ``maw init`` writes to maw.toml; ``load_config`` reads it back to the same values."""
    addresses = [str(endpoint) for endpoint in listen]
    port = mesh_port if interface else next((endpoint.port for endpoint in listen), mesh_port)
    return _CONFIG_TEXT.format(
        name=_quoted(name),
        interface=f"interface = {_quoted(interface)}" if interface else '# interface = "wg0"',
        listen=f"listen = [{', '.join(map(_quoted, addresses))}]"
        if addresses
        else '# listen = ["10.0.0.7:6290"]',
        port=port,
        rest=_quoted(str(rest or RestConfig().listen)),
    )


def render_peers() -> str:
    """What ``maw init`` writes to peers.toml: how to add a peer by hand, and no peer."""
    return _PEERS_TEXT


_CONFIG_TEXT: Final = """\
# This node's settings. maw wrote this file once, at `maw init`, and only reads it from now on: it is yours.
# After a change: restart the daemon (`systemctl restart maw`, or stop and start `maw up`).

[node]
# How this host is called in addresses such as arthur@name. To change it, do so before you invite anybody.
name = {name}

[mesh]
# Where other nodes reach this one. Either an interface: maw listens on its addresses only, waits for it and
# follows it. Or fixed addresses. Not both.
{interface}
{listen}
port = {port}
# Addresses that invites tell others to dial, where they differ from the ones listened on:
# advertise = ["mbp.wg:6290"]
# With up to so many trusted peers this node links with all of them; with more, with about so many:
# full_mesh = 30
# links = 8

[rest]
# For programs on this machine; never reachable from outside.
listen = {rest}
# May public channels be read without a token?
anonymous = true
# Names under which a reverse proxy on this machine shows it to people elsewhere, each whole:
# hosts = ["maw.example.org"]

[socket]
# The Unix group that may invite, revoke and hand out tokens, beside this user and root.
# group = "maw"
# The Unix group that may use the socket at all, each user as the agents that are his: for a node that several
# users of this machine share. Without it the socket is for the group above.
# users = "agents"

[limits]
# Below this much free disk the node takes no new messages, and says so.
min_free_disk_mib = 256
# How many messages an agent of this host may say, all of them in one channel, and all of them in all: a
# minute for good, and at once. 0 a minute: no limit. Who goes beyond it is told when there is room again.
agent_per_minute = 60
agent_burst = 300
channel_per_minute = 300
channel_burst = 1000
node_per_minute = 1200
node_burst = 5000
# Who names a group of more than so many (@all, @role:reviewer) needs a right: maw agent set NAME crowd=on
crowd = 50

[search]
# Whether messages can be searched for: search.db takes about as much disk as their texts.
index = true

[backup]
# Where `maw backup` puts them: best a directory on another disk. Without it, backups/ beside this file.
# directory = "/mnt/backup/maw"
# How many are kept: the newest, and beside them the newest of each of the latest weeks.
keep = 7
keep_weeks = 4

[host]
# What whoever gives this box allows: how many agents run at once, what they take together, and when. What is
# beyond it is stopped, the youngest or the largest first, is told why, and comes back when there is room:
# `maw host` shows it.
# agents = 13
# memory_mib = 8192
# hours = "08:00-22:00"
# A human is told, once, where less memory than this is left, and where an agent's session log grows beyond:
reserve_mib = 512
session_log_mib = 300
# The channel in which this node tells it; "" for nowhere but here (`maw alerts`).
alerts = "alerts"

[wakes]
# How often one agent may be woken within an hour: in all, by one sender, by messages to groups such as
# @agents. From half of it on it is slowed, then held, and a human is told: `maw wakes`. An operator's word
# always wakes.
per_hour = 60
per_sender = 24
per_groups = 10
# When no agent here is to be disturbed, in this host's local time; `maw dnd` sets it for one agent.
# dnd = "22:00-07:00"

[alerts]
# Who is called, beside `maw alerts` and the channel, when something asks for a human: a command, with
# {{"node", "alerts": [{{"kind", "subject", "text"}}]}} on its standard input; an address this is POSTed to.
# exec = "/usr/local/bin/page-me"
# webhook = "https://example.org/maw"

[agents]
# `maw keep` starts agents one after another, so many seconds apart; later while the load a core is higher.
stagger_s = 2
load_per_core = 2
"""

_PEERS_TEXT: Final = """\
# Nodes that this one trusts and dials, written by hand as with WireGuard. Peers that came by `maw invite` and
# `maw join` are not here: `maw peers` shows them all. After a change: `maw peers reload` (or SIGHUP).
#
# A host that never linked with anybody also says which Colony it is to belong to (`maw status` over there):
#
# [colony]
# id = "mc1…"
#
# [[peer]]
# name = "mbp"
# key = "mk1…"                       # what `maw key` prints on that host
# addresses = ["10.0.0.7:6290"]      # where it listens; leave out if only it can dial
# introducer = false                 # true: also trust whom that node admits
"""


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _host_and_port(word: str) -> tuple[str, str | None]:
    """The two parts as written; ("", None) when the brackets are wrong, None for a port left out."""
    if word.startswith("["):
        host, closed, tail = word[1:].partition("]")
        good = closed and ":" in host and tail[:1] in ("", ":")
        return (host, tail[1:] if tail else None) if good else ("", None)
    if word.count(":") > 1:  # an IPv6 address without brackets holds no port
        return word, None
    host, colon, port = word.partition(":")
    return host, port if colon else None


def _read(path: Path) -> Document:
    try:
        return Document(str(path), path.read_bytes())
    except FileNotFoundError:
        raise BadConfig(
            f"{path}: there is no such file",
            code="no_config",
            hint=f"`maw init` makes a node in {path.parent}",
        ) from None
    except OSError as error:
        raise BadConfig(f"{path}: cannot be read: {error.strerror}") from None


def _node_name(section: Section) -> str:
    section.only("name")
    name = section.text("name")
    if name is None:
        raise section.wrong("name", "is missing", 'under [node], write: name = "mbp"')
    return section.parsed("name", lambda word: check_name(word, "node"), name)


def _mesh(section: Section) -> MeshConfig:
    section.only("interface", "listen", "port", "advertise", "links", "full_mesh")
    port = section.number("port", MESH_PORT, 0, 65535)
    interface, listen = section.text("interface"), section.texts("listen")
    if interface is not None and listen:
        raise section.wrong("listen", "and mesh.interface exclude each other", "leave one of them out")
    if "listen" in section and not listen:
        raise section.wrong(
            "listen", "is empty", 'give an address, such as "10.0.0.7:6290", or an interface instead'
        )
    if interface is not None:
        section.parsed("interface", check_interface, interface)
    return MeshConfig(
        interface=None if listen else interface or MeshConfig().interface,
        listen=tuple(
            section.parsed("listen", lambda w: parse_endpoint(w, port, ip_only=True), a) for a in listen
        ),
        port=port,
        advertise=_dialled(section, "advertise", port),
        links=section.number("links", LINKS, 4, 1000),
        full_mesh=section.number("full_mesh", FULL_MESH, 1, 1000),
    )


def _dialled(section: Section, key: str, default_port: int) -> tuple[Endpoint, ...]:
    """Addresses that somebody is to dial: port 0 is none."""
    found = tuple(
        section.parsed(key, lambda word: parse_endpoint(word, default_port), text)
        for text in section.texts(key)
    )
    for endpoint in found:
        if endpoint.port == 0:
            raise section.wrong(key, f"has no port to dial: {endpoint}")
    return found


def _rest(section: Section) -> RestConfig:
    section.only("listen", "anonymous", "hosts")
    default = RestConfig()
    anonymous = section.flag("anonymous", default.anonymous)
    hosts = tuple(section.parsed("hosts", _whole_name, text) for text in section.texts("hosts"))
    text = section.text("listen")
    if text is None:
        return RestConfig(default.listen, anonymous, hosts)
    listen = section.parsed("listen", lambda word: parse_endpoint(word, REST_PORT, ip_only=True), text)
    if not ipaddress.ip_address(listen.host).is_loopback:
        raise section.wrong(
            "listen",
            f"must be an address of this machine only, such as 127.0.0.1:{REST_PORT}, not {listen}",
            "from elsewhere, reach it through ssh -L, or through a proxy that checks who asks",
        )
    return RestConfig(listen, anonymous, hosts)


def _whole_name(text: str) -> str:
    """``maw.example.org`` or ``maw.example.org:8443``, lower case. Raises BadInput."""
    if not _HOST_NAME.fullmatch(text.lower()):
        raise BadInput(
            f'"{text}" is no host\'s name', hint="the whole name that people type, such as maw.example.org"
        )
    return text.lower()


def _socket(section: Section) -> SocketConfig:
    section.only("group", "users")
    return SocketConfig(section.text("group") or None, section.text("users") or None)


def _limits(section: Section) -> LimitsConfig:
    default = LimitsConfig()
    section.only(
        "min_free_disk_mib",
        "outbound_mib",
        "crowd",
        *(f"{what}_{unit}" for what in _COUNTED for unit in _UNITS),
    )
    return LimitsConfig(
        min_free_disk_mib=section.number("min_free_disk_mib", default.min_free_disk_mib, 1, 1 << 20),
        outbound_mib=section.number("outbound_mib", default.outbound_mib, 2, 1 << 12),
        rates=Rates(
            _rate(section, "agent", default.rates.agent),
            _rate(section, "channel", default.rates.channel),
            _rate(section, "node", default.rates.node),
        ),
        crowd=section.number("crowd", default.crowd, 0, 1_000_000),
    )


_COUNTED: Final = ("agent", "channel", "node")
_UNITS: Final = ("per_minute", "burst")


def _rate(section: Section, what: str, default: Rate) -> Rate:
    return Rate(
        section.number(f"{what}_per_minute", default.per_minute, 0, 1_000_000),
        section.number(f"{what}_burst", default.burst, 1, 1_000_000),
    )


def _alerts(section: Section) -> AlertsConfig:
    section.only("exec", "webhook")
    command, webhook = section.text("exec"), section.text("webhook")
    if command is not None:
        section.parsed("exec", _command, command)
    if webhook is not None:
        section.parsed("webhook", _web_address, webhook)
    return AlertsConfig(command, webhook)


def _command(text: str) -> str:
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise BadInput(f"{text!r} is no command: {str(error).lower()}", code="bad_command") from None
    if not words:
        raise BadInput("the command is empty", code="bad_command", hint="leave the key out instead")
    return text


def _web_address(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise BadInput(f"{text!r} is no http or https address", code="bad_address")
    return text


def _agents(section: Section) -> AgentsConfig:
    default = AgentsConfig()
    section.only("stagger_s", "load_per_core")
    return AgentsConfig(
        stagger_s=section.number("stagger_s", default.stagger_s, 0, 600),
        load_per_core=section.number("load_per_core", default.load_per_core, 1, 1000),
    )


def _search(section: Section) -> SearchConfig:
    section.only("index")
    return SearchConfig(section.flag("index", True))


def _backup(section: Section) -> BackupConfig:
    section.only("directory", "keep", "keep_weeks")
    directory = section.text("directory")
    if directory is not None and not Path(directory).is_absolute():
        raise section.wrong("directory", "must begin with /", 'such as "/mnt/backup/maw"')
    return BackupConfig(
        Path(directory) if directory is not None else None,
        section.number("keep", KEEP, 1, 1000),
        section.number("keep_weeks", KEEP_WEEKS, 0, 1000),
    )


def _host(section: Section) -> HostConfig:
    default = HostConfig()
    section.only("agents", "memory_mib", "hours", "reserve_mib", "session_log_mib", "alerts")
    hours, alerts = section.text("hours"), section.text("alerts")
    return HostConfig(
        agents=section.number("agents", 0, 1, 10_000) if "agents" in section else None,
        memory_mib=section.number("memory_mib", 0, 64, 1 << 24) if "memory_mib" in section else None,
        hours=None if hours is None else section.parsed("hours", parse_hours, hours),
        reserve_mib=section.number("reserve_mib", default.reserve_mib, 16, 1 << 20),
        session_log_mib=section.number("session_log_mib", default.session_log_mib, 1, 1 << 20),
        alerts=default.alerts
        if alerts is None
        else section.parsed("alerts", lambda word: check_name(word.removeprefix("#"), "channel"), alerts)
        if alerts
        else None,
    )


def _wakes(section: Section) -> WakesConfig:
    default = Limits()
    section.only("per_hour", "per_sender", "per_groups", "dnd")
    dnd = section.text("dnd")
    return WakesConfig(
        Limits(
            section.number("per_hour", default.per_hour, 4, 3600),
            section.number("per_sender", default.per_sender, 2, 3600),
            section.number("per_groups", default.per_groups, 2, 3600),
        ),
        section.parsed("dnd", parse_quiet, dnd) if dnd is not None else None,
    )


def _peer(section: Section) -> PeerEntry:
    section.only("name", "key", "addresses", "introducer")
    name, key = section.text("name"), section.text("key")
    if name is None or key is None:
        raise section.wrong(
            "name" if name is None else "key", "is missing", "each [[peer]] needs a name and a key"
        )
    return PeerEntry(
        name=section.parsed("name", lambda word: check_name(word, "node"), name),
        key=section.parsed("key", parse_key, key),
        addresses=_dialled(section, "addresses", MESH_PORT),
        introducer=section.flag("introducer", False),
    )


def _refuse_repeats(sections: list[Section], peers: tuple[PeerEntry, ...]) -> None:
    names: dict[str, int] = {}
    keys: dict[NodeId, int] = {}
    for at, (section, peer) in enumerate(zip(sections, peers, strict=True)):
        if names.setdefault(peer.name, at) != at:
            raise section.wrong("name", f"{peer.name!r} stands twice", "two peers need two names")
        if keys.setdefault(peer.key, at) != at:
            other = peers[keys[peer.key]].name
            raise section.wrong("key", f"is the same as that of {other!r}", "one node is one [[peer]]")


_PORT: Final = re.compile(r"[0-9]{1,5}", re.ASCII)
_INTERFACE: Final = re.compile(r"[^\s/:]{1,15}")
_HOST_NAME: Final = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?(:[0-9]{1,5})?", re.ASCII)
