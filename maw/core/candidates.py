"""Which WireGuard peers are not ours yet, and may be asked to join. Being on wg0 is not being trusted. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

Network = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class WireGuardPeer:
    """One peer of the interface. ``handshake``: unix seconds of the last one, None when there was none yet."""

    key: str
    allowed: tuple[Network, ...]
    handshake: int | None


@dataclass(frozen=True, slots=True)
class Candidate:
    """A WireGuard peer that is no node known here. ``addresses``: its own, the rest of what it routes left out."""

    key: str
    addresses: tuple[str, ...]
    networks: tuple[str, ...]
    handshake: int | None


def candidates(peers: Iterable[WireGuardPeer], known: Collection[str]) -> list[Candidate]:
    """Those of ``peers`` none of whose addresses is among ``known``: addresses of nodes, trusted or not, and ours.

    A peer that routes whole networks only (a gateway) is known when a known address lies in one of them. The
    one heard of last comes first.
    """
    ours = {ip_address(text) for text in known if _is_address(text)}
    found = []
    for peer in peers:
        hosts = [net for net in peer.allowed if net.num_addresses == 1]
        reached = hosts or peer.allowed
        if any(address.version == net.version and address in net for address in ours for net in reached):
            continue
        addresses = tuple(str(net.network_address) for net in hosts)
        networks = tuple(str(net) for net in peer.allowed if net.num_addresses > 1)
        found.append(Candidate(peer.key, addresses, networks, peer.handshake))
    return sorted(found, key=lambda one: (-(one.handshake or 0), one.addresses, one.key))


def parse_peers(allowed_ips: str, handshakes: str) -> list[WireGuardPeer]:
    """From what ``wg show wg0 allowed-ips`` and ``latest-handshakes`` print. Raises ValueError on anything else."""
    last = {key: int(at) for key, at in (line.split("\t") for line in handshakes.splitlines())}
    found = []
    for line in allowed_ips.splitlines():
        key, _, nets = line.partition("\t")
        allowed = tuple(ip_network(net) for net in nets.split() if net != "(none)")
        found.append(WireGuardPeer(key, allowed, last.get(key) or None))
    return found


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False  # a name: it may be anybody's, and pairing by invite finds that out
    return True
