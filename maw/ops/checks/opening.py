"""The command that opens a port, in the words of the firewall that this host uses."""

from __future__ import annotations

from maw.ops.machine import Machine


def opens(machine: Machine, interface: str | None, port: int) -> str:
    """One command line; ``interface`` None means on any."""
    if machine.which("ufw"):
        return f"ufw allow{f' in on {interface}' if interface else ''} to any port {port} proto tcp"
    if machine.which("firewall-cmd"):
        return f"firewall-cmd --permanent --add-port={port}/tcp && firewall-cmd --reload"
    if machine.which("iptables"):
        return f"iptables -I INPUT{f' -i {interface}' if interface else ''} -p tcp --dport {port} -j ACCEPT"
    on = f"iifname {interface} " if interface else ""
    return f"nft insert rule inet filter input {on}tcp dport {port} accept"
