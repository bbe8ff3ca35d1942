"""``maw doctor``: gathers what the checks look at, and tells what they found."""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from contextlib import aclosing
from pathlib import Path
from typing import Any, Final

from maw import __version__
from maw.agents.hooks.notes import log_path
from maw.cli.output import Output, words
from maw.cli.params import Json
from maw.client.daemon import Daemon
from maw.config import Config, LimitsConfig, MeshConfig, load_config, load_peers
from maw.core.identity import key_text
from maw.errors import BadConfig, MawError, NotFound, Unavailable
from maw.home import find_home
from maw.net.wireguard import watch
from maw.node.home import NodeHome, read_key
from maw.ops.checks.backups import read_record
from maw.ops.checks.context import Address, Context, Finding, HookTrouble, Interface, Verdict
from maw.ops.doctor import connect, examine, kernel_clock, worst
from maw.ops.machine import Machine
from maw.ops.service import this_command

LOOK_S: Final = 3.0
_STYLE: Final = {Verdict.OK: "green", Verdict.WARN: "yellow", Verdict.FAIL: "red", Verdict.SKIP: "dim"}


def doctor(as_json: Json = False) -> int:
    """Look for what is wrong with this node, and say what to do. Changes nothing; exit 6 if a check fails."""
    out = Output.to_stdout(as_json)
    findings = examine(gather(Machine.here()))
    if out.as_json:
        out.json([finding.as_json() for finding in findings])
    else:
        _tell(out, findings)
    return Unavailable.exit_code if worst(findings) is Verdict.FAIL else 0


def gather(machine: Machine) -> Context:
    """All that the checks look at: the files of the node, what it answers, the interface."""
    home = NodeHome(find_home(machine.environment, machine.euid).path)
    config, problem = _settings(home)
    status, socket_problem = _asked(home.socket, "/api/status")
    peers, _ = _asked(home.socket, "/api/peers")
    interface = _interface(config)
    return Context(
        machine=machine,
        home=home.path,
        version=__version__,
        command=_command(),
        config_problem=problem,
        node_key=_key(home.key),
        interface=interface,
        listen=_listen(config, interface),
        mesh_port=config.mesh.port if config else MeshConfig().port,
        rest=Address(config.rest.listen.host, config.rest.listen.port) if config else None,
        min_free_mib=config.limits.min_free_disk_mib if config else LimitsConfig().min_free_disk_mib,
        status=status,
        peers=peers,
        socket_problem=socket_problem,
        connect=connect,
        last_backup=read_record(home.last_backup),
        hook_trouble=_hook_trouble(),
        clock=kernel_clock,
    )


def _tell(out: Output, findings: list[Finding]) -> None:
    for finding in findings:
        verdict = out.style(finding.verdict.value.ljust(4), _STYLE[finding.verdict])
        out.line(f"{verdict}  {finding.name}: {words(finding.text)}")
        if finding.hint:
            out.line(f"      {words(finding.hint)}")
    counts = Counter(finding.verdict for finding in findings)
    out.line(", ".join(f"{counts[verdict]} {verdict.value}" for verdict in Verdict if counts[verdict]))


def _settings(home: NodeHome) -> tuple[Config | None, str | None]:
    """The settings, and what is wrong with either file."""
    try:
        config = load_config(home.config)
    except BadConfig as error:
        return None, error.message
    try:
        load_peers(home.peers)
    except BadConfig as error:
        return config, error.message
    return config, None


def _asked(socket: Path, path: str) -> tuple[Any, str]:
    """What the daemon answers, or None and why it does not."""
    environment_socket = os.environ.get("MAW_SOCKET")
    daemon = Daemon(Path(environment_socket) if environment_socket else socket)
    try:
        return daemon.get(path, patience=LOOK_S).body, ""
    except MawError as error:
        return None, error.message


def _interface(config: Config | None) -> Interface | None:
    """The configured interface as it is now; None where none is configured."""
    if config is None or config.mesh.interface is None:
        return None
    name = config.mesh.interface
    try:
        return asyncio.run(_look(name))
    except (MawError, OSError, TimeoutError) as error:
        return Interface(name, "missing", f"{name} could not be looked at: {error}")


async def _look(name: str) -> Interface:
    async with asyncio.timeout(LOOK_S), aclosing(watch(name)) as states:
        state = await anext(states)
    return Interface(name, state.word, state.describe(), state.usable)


def _listen(config: Config | None, interface: Interface | None) -> tuple[Address, ...]:
    if config is None:
        return ()
    if interface is not None:
        return tuple(Address(one, config.mesh.port) for one in interface.addresses)
    return tuple(Address(one.host, one.port) for one in config.mesh.listen)


def _command() -> Path | None:
    try:
        return this_command()
    except NotFound:
        return None


def _hook_trouble() -> HookTrouble | None:
    """The last line of this user's log of hooks, without its time."""
    log = Path(log_path(os.environ))
    try:
        lines = log.read_text(errors="replace").splitlines()
        age = time.time() - log.stat().st_mtime
    except OSError:
        return None
    return HookTrouble(lines[-1].partition(" ")[2], max(age, 0.0), log) if lines else None


def _key(path: Path) -> str | None:
    try:
        return key_text(read_key(path).node)
    except BadConfig:
        return None
