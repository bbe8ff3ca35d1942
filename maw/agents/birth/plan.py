"""What is wanted of a birth: checked before anything is done, and kept so that it can go on."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from maw.agents.birth.far import check_host
from maw.config.endpoints import MESH_PORT, check_interface, parse_endpoint
from maw.config.files import read_document
from maw.config.reading import read_birth
from maw.config.settings import BirthConfig
from maw.core.credentials import find_credential
from maw.core.names import check_name
from maw.core.souls import check_soul
from maw.errors import BadInput

GENERAL: Final = "general"
_USER: Final = re.compile(r"[a-z_][a-z0-9_-]{0,31}", re.ASCII)
_URL: Final = re.compile(r"[A-Za-z0-9@/~._+-][A-Za-z0-9@:/~._+%=-]{0,499}", re.ASCII)
_CLOUD: Final = re.compile(r"[a-z][a-z0-9.:-]{0,61}[a-z0-9]", re.ASCII)


@dataclass(frozen=True, slots=True)
class Machine:
    """A virtual machine of a provider."""

    project: str
    zone: str
    vm: str
    type: str = "e2-small"
    provider: str = "gcloud"


@dataclass(frozen=True, slots=True)
class Wanted:
    """``host``: as ssh takes it; None: this one. ``user``: the Unix user; ``given``: the owner named it, so that it may
    be there already. ``node``: how a new node is called; None: as the host is."""

    name: str
    host: str | None = None
    soul: str | None = None
    repo: str | None = None
    user: str = ""
    given: bool = False
    node: str | None = None
    listen: str | None = None
    interface: str | None = None
    about: str = ""
    every: str | None = None
    channel: str = GENERAL
    timers: bool = True
    machine: Machine | None = None
    runner: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    install: tuple[str, ...] = ()
    login_check: str | None = None
    login: str | None = None
    login_hint: str = ""

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def read_wanted(data: dict[str, Any]) -> Wanted:
    """What ``as_json`` gave. BadInput."""
    known = {field.name for field in fields(Wanted)}
    try:
        told: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value
            for key, value in data.items()
            if key in known
        }
        if told.get("machine") is not None:
            told["machine"] = Machine(**told["machine"])
        return checked(Wanted(**told))
    except TypeError as error:
        raise BadInput(
            f"the journal holds no plan: {error}", code="bad_journal", hint="say the options again"
        ) from None


def with_config(wanted: Wanted, config: BirthConfig) -> Wanted:
    """With what the owner has configured for every birth, or in a birth file."""
    return replace(
        wanted, runner=config.runner, packages=config.packages, install=config.install,
        login_check=config.login_check, login=config.login, login_hint=config.login_hint,
    )  # fmt: skip


def read_birth_file(path: Path) -> BirthConfig:
    """A TOML file with the one table ``[birth]``, as in maw.toml. BadConfig."""
    document = read_document(path)
    document.only("birth")
    return read_birth(document.section("birth"))


def checked(wanted: Wanted) -> Wanted:
    """With its Unix user; BadInput for what could not be, or would be taken for something else over there."""
    name = check_name(wanted.name)
    if wanted.host is not None:
        check_host(wanted.host)
    if wanted.node is not None:
        check_name(wanted.node, "node")
    if wanted.listen and wanted.interface:
        raise BadInput(
            "--listen and --interface exclude each other", code="usage", hint="leave one of them out"
        )
    listen = str(parse_endpoint(wanted.listen, MESH_PORT, ip_only=True)) if wanted.listen else None
    if wanted.interface:
        check_interface(wanted.interface)
    user = wanted.user or unix_name(name)
    if not _USER.fullmatch(user):
        raise BadInput(f"--user: {user[:40]!r} is no name of a Unix user", code="bad_user")
    if wanted.repo is not None:
        _check_repo(wanted.repo)
    if wanted.soul is not None:
        check_soul(wanted.soul)
    if wanted.machine is not None:
        _check_machine(wanted.machine)
    check_name(wanted.channel, "channel")
    return replace(wanted, name=name, user=user, listen=listen)


def unix_name(agent: str) -> str:
    """The Unix user that an agent gets: of its name, which may begin with a digit where a user's may not."""
    return agent if _USER.fullmatch(agent) else f"maw-{agent}"[:32]


def _check_repo(url: str) -> None:
    """BadInput for what git would take for an option or a command, and for a password that would be on record."""
    if not _URL.fullmatch(url) or "::" in url or url.startswith("-"):
        raise BadInput(f"--repo: {url[:80]!r} is no address that could be cloned", code="bad_repo")
    parts = urlsplit(url)
    secret = parts.password or (parts.scheme in ("http", "https") and parts.username)
    if secret or find_credential(url) is not None:
        raise BadInput(
            "--repo: there is a password or a token in that address: it would be on record here and there",
            code="credential", hint="a deploy key in the newborn's ~/.ssh, or a credential helper in [birth] install",
        )  # fmt: skip


def _check_machine(machine: Machine) -> None:
    for what, word in (("--project", machine.project), ("--zone", machine.zone), ("--vm", machine.vm),
                       ("--machine-type", machine.type)):  # fmt: skip
        if not _CLOUD.fullmatch(word):
            raise BadInput(f"{what}: {word[:60]!r} is no such name", code="bad_machine")
