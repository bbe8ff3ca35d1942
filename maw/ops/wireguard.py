"""WireGuard's peers on an interface, as its own tool tells them. Only root may ask; the daemon never does.

The daemon runs without CAP_NET_ADMIN, and showing candidates is no reason to give it that. So the command asks,
when it is root. ``wg show dump`` and netlink would hand us the private key as well: these two words do not.
"""

from __future__ import annotations

from maw.core.candidates import WireGuardPeer, parse_peers
from maw.errors import NotFound, Refused, Unavailable
from maw.ops.machine import Machine


def is_wireguard(machine: Machine, interface: str) -> bool:
    """Whether the interface is WireGuard's, in the kernel or in user space; needs no rights."""
    try:
        uevent = machine.path(f"/sys/class/net/{interface}/uevent").read_text("ascii")
    except (OSError, UnicodeDecodeError):
        uevent = ""
    return "DEVTYPE=wireguard" in uevent or machine.path(f"/run/wireguard/{interface}.sock").exists()


def wireguard_peers(machine: Machine, interface: str) -> list[WireGuardPeer]:
    """All peers of ``interface``. Raises Refused unless we may ask, NotFound without ``wg``, Unavailable."""
    if machine.euid != 0:
        raise Refused(
            f"only root may list the WireGuard peers of {interface}",
            code="not_root",
            hint="sudo maw peers candidates",
        )
    if machine.which("wg") is None:
        raise NotFound(
            "the command wg is not here", code="no_wg", hint="install wireguard-tools, which has it"
        )
    told = []
    for word in ("allowed-ips", "latest-handshakes"):
        ran = machine.run(["wg", "show", interface, word])
        if not ran.ok:
            raise Unavailable(f"wg show {interface} {word}: {ran.words}", code="wg_failed")
        told.append(ran.out)
    try:
        return parse_peers(told[0], told[1])
    except ValueError as error:
        raise Unavailable(
            f"what wg says of {interface} is not understood: {error}", code="wg_failed"
        ) from None
