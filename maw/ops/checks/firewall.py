"""Whether this host's own firewall blocks the mesh port."""

from __future__ import annotations

import json

from maw.ops.checks.context import Context, Finding, Verdict
from maw.ops.checks.opening import opens
from maw.ops.checks.ruleset import ACCEPT, DROP, Packet, Ruleset, from_iptables, from_nft

_NAME = "firewall"


def firewall(context: Context) -> Finding:
    """The mesh port is open in nftables and iptables."""
    if context.listen and all(address.loopback for address in context.listen):
        return Finding(_NAME, Verdict.SKIP, "listening on loopback only: none is in between")
    interface = context.interface.name if context.interface else None
    family = "ip6" if context.listen and ":" in context.listen[0].host else "ip"
    packet = Packet(context.mesh_port, interface, family)
    iptables = _iptables(context, packet)
    read = [rules for rules in (_nft(context, packet, iptables is not None), iptables) if rules is not None]
    if not read:
        hint = "" if context.machine.euid == 0 else "sudo maw doctor reads them"
        return Finding(_NAME, Verdict.SKIP, "its rules cannot be read by this user", hint)
    verdicts = [rules.judge() for rules in read]
    on = f" on {interface}" if interface else ""
    hint = opens(context.machine, interface, context.mesh_port)
    for verdict, why in verdicts:
        if verdict == DROP:
            return Finding(_NAME, Verdict.FAIL, f"this host drops TCP {context.mesh_port}{on}: {why}", hint)
    for verdict, why in verdicts:
        if verdict != ACCEPT:
            text = f"whether TCP {context.mesh_port}{on} comes in depends on: {why}"
            return Finding(_NAME, Verdict.WARN, text, f"if others cannot connect: {hint}")
    return Finding(_NAME, Verdict.OK, f"this host lets TCP {context.mesh_port}{on} in")


def _nft(context: Context, packet: Packet, iptables_read: bool) -> Ruleset | None:
    ran = context.machine.run(("nft", "--json", "list", "ruleset"))
    if not ran.ok:
        return None
    try:
        rules = from_nft(json.loads(ran.out or "{}"), packet)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None  # a form of nft's answer not known here: better no word than a wrong one
    if iptables_read:
        # iptables keeps its rules in nft, where its matches cannot be read: iptables-save tells them better
        rules.bases = [base for base in rules.bases if base.chain != f"{packet.family} filter INPUT"]
    return rules


def _iptables(context: Context, packet: Packet) -> Ruleset | None:
    ran = context.machine.run(("ip6tables-save" if packet.family == "ip6" else "iptables-save",))
    if not ran.ok:
        return None
    try:
        return from_iptables(ran.out, packet)
    except (ValueError, IndexError):
        return None
