"""maw.toml, read section by section."""

from __future__ import annotations

import ipaddress
import re
import shlex
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from maw.config.costs import read_cost
from maw.config.endpoints import MESH_PORT, REST_PORT, check_interface, dialled, parse_endpoint
from maw.config.files import read_document
from maw.config.settings import (
    AgentsConfig,
    AlertsConfig,
    BackupConfig,
    BirthConfig,
    Config,
    FilesConfig,
    HostConfig,
    LimitsConfig,
    MeshConfig,
    MovesConfig,
    RestConfig,
    SearchConfig,
    SocketConfig,
    WakesConfig,
)
from maw.core.budget import Limits
from maw.core.dnd import parse_quiet
from maw.core.hours import parse_hours
from maw.core.lineage import EVERYBODY, MAX_GENERATION, BirthRules
from maw.core.names import check_name
from maw.core.neighbours import FULL_MESH, LINKS
from maw.core.quota import Rate, Rates
from maw.core.rotation import KEEP, KEEP_WEEKS
from maw.core.toml import Section
from maw.errors import BadInput


def load_config(path: Path) -> Config:
    """Read maw.toml. Raises BadConfig; a missing file says how to make one."""
    document = read_document(path)
    document.only(
        "node",
        "mesh",
        "rest",
        "socket",
        "limits",
        "backup",
        "host",
        "agents",
        "wakes",
        "alerts",
        "search",
        "files",
        "births",
        "birth",
        "cost",
        "moves",
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
        files=_files(document.section("files")),
        births=_births(document.section("births")),
        birth=read_birth(document.section("birth")),
        cost=read_cost(document, document.section("cost")),
        moves=_moves(document.section("moves")),
    )


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
        advertise=dialled(section, "advertise", port),
        links=section.number("links", LINKS, 4, 1000),
        full_mesh=section.number("full_mesh", FULL_MESH, 1, 1000),
    )


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


def _files(section: Section) -> FilesConfig:
    default = FilesConfig()
    section.only("quota_mib", "max_mib", "keep_days")
    return FilesConfig(
        section.number("quota_mib", default.quota_mib, 1, 1 << 24),
        section.number("max_mib", default.max_mib, 1, default.max_mib),
        section.number("keep_days", default.keep_days, 0, 36_500),
    )


def _births(section: Section) -> BirthRules:
    default = BirthRules()
    section.only("by", "per_day", "depth", "most")
    return BirthRules(
        tuple(section.parsed("by", _who_bears, name) for name in section.texts("by")),
        section.number("per_day", default.per_day, 0, 100_000),
        section.number("depth", default.depth, 0, MAX_GENERATION),
        section.number("most", default.most, 1, 1_000_000),
    )


def _who_bears(name: str) -> str:
    return name if name == EVERYBODY else check_name(name)


def read_birth(section: Section) -> BirthConfig:
    """``[birth]`` of maw.toml, and of a birth file."""
    section.only("runner", "packages", "install", "login_check", "login", "login_hint")
    runner = section.text("runner")
    return BirthConfig(
        () if runner is None else tuple(shlex.split(section.parsed("runner", _command, runner))),
        tuple(section.parsed("packages", _package, name) for name in section.texts("packages")),
        tuple(section.parsed("install", _shell_line, line) for line in section.texts("install")),
        _optional(section, "login_check"),
        _optional(section, "login"),
        section.text("login_hint") or "",
    )


def _optional(section: Section, key: str) -> str | None:
    text = section.text(key)
    return None if text is None else section.parsed(key, _shell_line, text)


def _shell_line(text: str) -> str:
    if not text.strip() or not text.isprintable():
        raise BadInput(f"{text!r} is no command on one line", code="bad_command")
    return text


def _package(name: str) -> str:
    if not _PACKAGE.fullmatch(name):
        raise BadInput(f"{name!r} is no name of a Debian package", code="bad_package")
    return name


def _moves(section: Section) -> MovesConfig:
    section.only("accept_from")
    return MovesConfig(tuple(section.texts("accept_from")))


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


_PACKAGE: Final = re.compile(r"[a-z0-9][a-z0-9+.-]{1,100}", re.ASCII)
_HOST_NAME: Final = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?(:[0-9]{1,5})?", re.ASCII)
