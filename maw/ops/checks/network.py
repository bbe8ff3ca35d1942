"""Checks of the mesh: the interface, who listens where, and whether others are reached."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

from maw.ops.checks.context import Address, Context, Finding, Reached, Verdict
from maw.ops.checks.opening import opens
from maw.ops.machine import Machine

_LISTEN: Final = "0A"
_AT_ONCE: Final = 8


@dataclass(frozen=True, slots=True)
class Listener:
    """A TCP socket of this host that listens; ``inode`` leads to whose it is."""

    address: Address
    inode: int


def interface(context: Context) -> Finding:
    """The mesh interface is there, up, and has an address."""
    name = "interface"
    if context.interface is None:
        return Finding(name, Verdict.OK, f"none; listening on {_joined(context.listen) or 'nothing'}")
    word, text, of = context.interface.word, context.interface.text, context.interface.name
    if word == "up":
        return Finding(name, Verdict.OK, text)
    hint = {
        "missing": f"wg-quick up {of}, or tailscale up: maw goes on by itself then; local talk works",
        "down": f"ip link set {of} up, or: wg-quick up {of}",
        "no address": f"give it one in /etc/wireguard/{of}.conf: Address = 10.44.0.1/24",
    }
    return Finding(name, Verdict.FAIL, text, hint.get(word, ""))


def listening(context: Context) -> Finding:
    """The mesh port listens, on the mesh addresses only."""
    name = "mesh port"
    listeners = list(tcp_listeners(context.machine))
    ports = {one.port for one in _settled(context)} or {context.mesh_port}
    ours = [one for one in listeners if one.address.port in ports]
    if wide := [one for one in ours if one.address.everywhere]:
        return _listens_everywhere(context, name, wide[0])
    if context.status is None:
        return Finding(name, Verdict.SKIP, "no daemon answers")
    wanted = _settled(context)
    missing = [one for one in wanted if one not in [listener.address for listener in listeners]]
    if not wanted:
        return Finding(name, Verdict.SKIP, "the mesh interface has no address to listen on")
    if missing:
        text = f"nothing listens on {_joined(missing)}"
        return Finding(
            name, Verdict.FAIL, text, "maw status says what the daemon waits for; is the port taken?"
        )
    shut = [one for one in wanted if context.connect(one) is not Reached.OPEN]
    if shut:
        hint = opens(context.machine, _interface_name(context), context.mesh_port)
        text = f"{_joined(shut)} listens, but this host itself cannot connect to it"
        return Finding(name, Verdict.FAIL, text, f"a firewall on this host: {hint}")
    return Finding(name, Verdict.OK, f"listening on {_joined(wanted)} only")


def rest_port(context: Context) -> Finding:
    """REST is on loopback only."""
    name = "REST port"
    if context.rest is None:
        return Finding(name, Verdict.SKIP, "not configured")
    port = context.rest.port
    if not port and context.status is not None:
        port = Address.parse(str(context.status.get("rest") or "127.0.0.1")).port
    ours = [one for one in tcp_listeners(context.machine) if one.address.port == port]
    if outside := [one for one in ours if not one.address.loopback]:
        return _listens_everywhere(context, name, outside[0])
    if context.status is not None and not ours:
        return Finding(name, Verdict.FAIL, f"nothing listens on {context.rest}", "maw status says why")
    if context.status is None:
        return Finding(name, Verdict.SKIP, "no daemon answers")
    return Finding(name, Verdict.OK, f"listening on {_joined([one.address for one in ours])} only")


def _settled(context: Context) -> tuple[Address, ...]:
    """The configured addresses; where port 0 asks for any free one, those that the daemon says it got."""
    if all(address.port for address in context.listen):
        return context.listen
    told = (context.status or {}).get("mesh") or ()
    return tuple(Address.parse(str(one["address"])) for one in told if one.get("listening"))


def peers_reached(context: Context) -> Finding:
    """Each peer that is not linked is tried: refused and silent are different troubles."""
    name = "peers"
    if context.peers is None:
        return Finding(name, Verdict.SKIP, "no daemon answers")
    known = [peer for peer in context.peers if peer.get("state") not in ("forgotten", "pending")]
    if not known:
        return Finding(name, Verdict.OK, "none yet", "maw invite lets another host join")
    apart = [peer for peer in known if peer.get("state") != "linked"]
    if not apart:
        return Finding(name, Verdict.OK, f"all {len(known)} linked")
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        troubles = list(pool.map(lambda peer: _trouble(context, peer), apart))
    text = "; ".join(trouble for trouble, _ in troubles)
    hints = dict.fromkeys(hint for _, hint in troubles if hint)
    return Finding(name, Verdict.FAIL, text, "; ".join(hints))


def _trouble(context: Context, peer: Mapping[str, Any]) -> tuple[str, str]:
    """What is wrong with one peer, and what to do."""
    who = str(peer.get("name"))
    if not peer.get("addresses"):
        return f"{who} has no address here: it must dial us", ""
    tried = [Address.parse(str(text), context.mesh_port) for text in peer["addresses"]]
    reached = [(address, context.connect(address)) for address in tried]
    open_ones = [address for address, how in reached if how is Reached.OPEN]
    if open_ones:
        said = peer.get("last_error")
        why = f": {said}" if said else ""
        return f"{who} is reached at {open_ones[0]}, but there is no link{why}", "maw peers, on both hosts"
    address, how = reached[0]
    return {
        Reached.REFUSED: (f"{who} refuses at {address}: no maw listens there", f"on {who}: maw status"),
        Reached.TIMEOUT: (
            f"{who} does not answer at {address}: a firewall drops it, on this host or there",
            f"on {who}: {opens(context.machine, _interface_name(context), address.port)}",
        ),
        Reached.NO_ROUTE: (f"there is no way to {address} ({who})", "wg show: is the peer in AllowedIPs?"),
        Reached.NO_NAME: (f"{address.host} ({who}) is no name this host knows", "write its IP address"),
    }.get(how, (f"{who} at {address}: {how.value}", ""))


def _listens_everywhere(context: Context, name: str, listener: Listener) -> Finding:
    owner = _owner(context.machine, listener.inode)
    pid = context.status.get("pid") if context.status else None
    whose = "the daemon" if owner and pid and owner[0] == pid else owner[1] if owner else "a program"
    text = f"{whose} listens on {listener.address}, which is every address, not only the mesh's"
    if not listener.address.everywhere:
        text = f"{whose} listens on {listener.address}, which others can reach"
    if whose == "the daemon":
        return Finding(name, Verdict.FAIL, text, "name the mesh's own address in maw.toml, or set interface")
    return Finding(name, Verdict.FAIL, text, f"end it, or give maw another port in {context.home}/maw.toml")


def tcp_listeners(machine: Machine) -> Iterator[Listener]:
    """Every listening TCP socket in this network namespace, from /proc/net/tcp and tcp6."""
    for file in ("tcp", "tcp6"):
        try:
            lines = machine.path(f"/proc/net/{file}").read_text(encoding="ascii").splitlines()[1:]
        except OSError:
            continue  # no IPv6, or no /proc: macOS
        for words in map(str.split, lines):
            if len(words) > 9 and words[3] == _LISTEN:
                yield Listener(_kernel_address(words[1]), int(words[9]))


def _kernel_address(text: str) -> Address:
    """``0100007F:1893``: each 32 bits in this machine's byte order."""
    host, _, port = text.partition(":")
    words = [int(host[i : i + 8], 16) for i in range(0, len(host), 8)]
    family = socket.AF_INET if len(words) == 1 else socket.AF_INET6
    return Address(socket.inet_ntop(family, struct.pack(f"={len(words)}I", *words)), int(port, 16))


def _owner(machine: Machine, inode: int) -> tuple[int, str] | None:
    """(pid, command) of whose socket it is, where this user may see it."""
    wanted = f"socket:[{inode}]"
    for directory in machine.path("/proc").glob("[0-9]*"):
        try:
            if any(str(link.readlink()) == wanted for link in (directory / "fd").iterdir()):
                return int(directory.name), (directory / "comm").read_text(encoding="utf-8").strip()
        except OSError:
            continue  # another user's, or gone meanwhile
    return None


def _interface_name(context: Context) -> str | None:
    return context.interface.name if context.interface else None


def _joined(addresses: tuple[Address, ...] | list[Address]) -> str:
    return ", ".join(map(str, addresses))
