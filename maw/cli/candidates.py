"""``maw peers candidates``: who is on the same WireGuard network and no node of ours yet."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from maw.cli.output import Output, note, span, words
from maw.client import calls
from maw.client.daemon import Daemon
from maw.config import MESH_PORT, parse_endpoint
from maw.core.candidates import Candidate, candidates
from maw.errors import BadInput, MawError, NotFound
from maw.home import SYSTEM_HOME
from maw.ops.checks.context import Address, Reached
from maw.ops.doctor import connect
from maw.ops.machine import Machine
from maw.ops.wireguard import is_wireguard, wireguard_peers

PROBE_S: Final = 0.8
MAX_PROBED: Final = 64
_AT_ONCE: Final = 16


def list_candidates(out: Output, daemon: Daemon) -> int:
    """Exit 1 when there are none. Raises NotFound where the node is on no WireGuard, Refused to all but root."""
    machine = Machine.here()
    peers = daemon.do(calls.peers())
    interface, known = _here(daemon, peers)
    if interface is None or not is_wireguard(machine, interface):
        raise NotFound(
            f"this node listens on {interface or 'fixed addresses'}, which is no WireGuard interface",
            code="no_wireguard",
            hint='[mesh] interface = "wg0" in maw.toml is for hosts on WireGuard',
        )
    found = candidates(wireguard_peers(machine, interface), known)
    listening = _listening(found)
    if out.as_json:
        out.json([_plain(one, listening) for one in found])
    elif found:
        _show(out, interface, found, listening)
    return 0 if found else out.nothing(f"every WireGuard peer on {interface} is a node known here")


def offer_candidates(out: Output, daemon: Daemon, peers: Sequence[Mapping[str, Any]]) -> None:
    """Below the list of peers, for a person at a terminal: who could be one. Silent where there is nothing to say."""
    machine = Machine.here()
    interface, known = _here(daemon, peers)
    if interface is None or not is_wireguard(machine, interface):
        return
    if machine.euid != 0:
        note(f"`{_as_root(daemon)}` also shows who else is on {interface}")
        return
    try:
        found = candidates(wireguard_peers(machine, interface), known)
    except MawError as error:
        note(f"who else is on {interface} cannot be told: {error.message}")
        return
    if found:
        out.line()
        _show(out, interface, found, _listening(found))


def _here(daemon: Daemon, peers: Sequence[Mapping[str, Any]]) -> tuple[str | None, set[str]]:
    """The interface this node is on, and every address that is its own or a known node's."""
    status = daemon.do(calls.status())
    known = set(_hosts(str(one.get("address")) for one in status.get("mesh") or ()))
    for peer in peers:
        told = [*(peer.get("addresses") or ()), *([peer["address"]] if peer.get("address") else ())]
        known |= set(_hosts(map(str, told)))
    return (status.get("interface") or {}).get("name"), known


def _hosts(endpoints: Iterator[str]) -> Iterator[str]:
    for text in endpoints:
        try:
            yield parse_endpoint(text, MESH_PORT).host
        except BadInput:
            continue  # what a peer said of itself need not be an address


def _listening(found: Sequence[Candidate]) -> dict[str, bool]:
    """By address: whether something takes connections on maw's port there. Each tried once, briefly, together."""
    addresses = [address for one in found for address in one.addresses][:MAX_PROBED]
    if not addresses:
        return {}
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        reached = pool.map(lambda host: connect(Address(host, MESH_PORT), PROBE_S), addresses)
        return {host: how is Reached.OPEN for host, how in zip(addresses, reached, strict=True)}


def _show(out: Output, interface: str, found: Sequence[Candidate], listening: Mapping[str, bool]) -> None:
    if out.width is not None:
        note(f"on {interface}, and no node known here:")
    out.table(
        ["address", "handshake", f"port {MESH_PORT}", "WireGuard key"],
        [_row(one, listening) for one in found],
    )
    if out.width is None:
        return
    if any(not any(listening.get(address) for address in one.addresses) for one in found):
        note(f"where nothing answers: install maw there, `maw init --interface {interface}`, `maw up`")
    note("to let one in: `maw invite` here, and on that host `maw join LINE`")


def _row(one: Candidate, listening: Mapping[str, bool]) -> list[str]:
    tried = [listening[address] for address in one.addresses if address in listening]
    return [
        ", ".join(one.addresses or one.networks) or "–",
        f"{span(time.time() - one.handshake)} ago" if one.handshake else "never",
        "–" if not tried else "listens" if any(tried) else "no answer",
        words(one.key),
    ]


def _plain(one: Candidate, listening: Mapping[str, bool]) -> dict[str, object]:
    tried = [listening[address] for address in one.addresses if address in listening]
    return {
        "addresses": list(one.addresses),
        "networks": list(one.networks),
        "wireguard_key": one.key,
        "handshake_at": one.handshake,
        "listens": any(tried) if tried else None,
    }


def _as_root(daemon: Daemon) -> str:
    """Root has another home: without saying which node is meant, sudo would ask another."""
    home = daemon.socket.parent
    if home == SYSTEM_HOME and not os.environ.get("MAW_HOME"):
        return "sudo maw peers"
    return f"sudo MAW_HOME={home} maw peers"
