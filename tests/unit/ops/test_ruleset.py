"""What a firewall's rules mean for one port, in nft's JSON and in iptables-save's text."""

from typing import Any

import pytest

from maw.ops.checks.ruleset import Packet, from_iptables, from_nft

MESH = Packet(6290, "wg0")


def match(left: dict[str, Any], right: Any, op: str = "==") -> dict[str, Any]:
    return {"match": {"op": op, "left": left, "right": right}}


def dport(right: Any, op: str = "==") -> dict[str, Any]:
    return match({"payload": {"protocol": "tcp", "field": "dport"}}, right, op)


def iif(name: str, op: str = "==") -> dict[str, Any]:
    return match({"meta": {"key": "iifname"}}, name, op)


def state(*states: str) -> dict[str, Any]:
    return match({"ct": {"key": "state"}}, {"set": list(states)}, "in")


SADDR = match({"payload": {"protocol": "ip", "field": "saddr"}}, "203.0.113.7")
ACCEPT: dict[str, Any] = {"accept": None}
DROP: dict[str, Any] = {"drop": None}
REJECT: dict[str, Any] = {"reject": {"type": "icmpx"}}


def nft(
    *rules: list[dict[str, Any]],
    policy: str = "accept",
    family: str = "inet",
    **chains: list[list[dict[str, Any]]],
) -> dict[str, Any]:
    where = {"family": family, "table": "filter"}
    base = {**where, "name": "input", "hook": "input", "prio": 0, "policy": policy}
    items: list[dict[str, Any]] = [{"metainfo": {}}, {"chain": base}]
    items += [{"rule": {**where, "chain": "input", "expr": rule}} for rule in rules]
    for name, body in chains.items():
        items.append({"chain": {**where, "name": name}})
        items += [{"rule": {**where, "chain": name, "expr": rule}} for rule in body]
    return {"nftables": items}


@pytest.mark.parametrize(
    ("document", "verdict"),
    [
        ({"nftables": []}, "accept"),
        (nft(), "accept"),
        (nft(policy="drop"), "drop"),
        (nft([dport(6290), ACCEPT], policy="drop"), "accept"),
        (nft([dport(6290), DROP]), "drop"),
        (nft([dport(6290), {"counter": {}}, REJECT]), "drop"),
        (nft([dport(22), ACCEPT], policy="drop"), "drop"),
        (nft([dport(6290, "!="), DROP]), "accept"),
        (nft([dport({"set": [22, 6290]}), ACCEPT], policy="drop"), "accept"),
        (nft([dport({"range": [6000, 7000]}), DROP]), "drop"),
        (nft([dport({"set": [{"range": [1, 5]}]}), DROP]), "accept"),
        (nft([dport("@open"), ACCEPT], policy="drop"), "unsure"),
        (nft([iif("wg0"), ACCEPT], policy="drop"), "accept"),
        (nft([iif("wg*"), ACCEPT], policy="drop"), "accept"),
        (nft([iif("eth0"), ACCEPT], policy="drop"), "drop"),
        (nft([iif("lo"), ACCEPT], policy="drop"), "drop"),
        (nft([iif("wg0", "!="), ACCEPT], [DROP]), "drop"),
        (nft([state("established", "related"), ACCEPT], policy="drop"), "drop"),
        (nft([state("new"), dport(6290), ACCEPT], policy="drop"), "accept"),
        (nft([SADDR, DROP]), "accept"),  # a ban list is no closed port
        (nft([SADDR, ACCEPT], policy="drop"), "unsure"),
        (nft([SADDR, ACCEPT], [DROP]), "unsure"),
        (nft([SADDR, ACCEPT], [dport(6290), ACCEPT], [DROP]), "accept"),
        (nft([{"jump": {"target": "mesh"}}], policy="drop", mesh=[[dport(6290), ACCEPT]]), "accept"),
        (nft([{"jump": {"target": "mesh"}}], policy="drop", mesh=[[{"return": None}], [ACCEPT]]), "drop"),
        (nft([{"jump": {"target": "mesh"}}], policy="drop", mesh=[[SADDR, ACCEPT]]), "unsure"),
        (nft([{"jump": {"target": "loop"}}], loop=[[{"jump": {"target": "loop"}}]]), "unsure"),
        (nft(policy="drop", family="ip6"), "accept"),  # nothing to do with an IPv4 address
        (nft([match({"meta": {"key": "l4proto"}}, "udp"), ACCEPT], policy="drop"), "drop"),
        (nft([match({"meta": {"key": "nfproto"}}, "ipv6"), ACCEPT], policy="drop"), "drop"),
    ],
)
def test_nft(document: dict[str, Any], verdict: str) -> None:
    assert from_nft(document, MESH).judge()[0] == verdict


def test_every_base_chain_must_accept() -> None:
    document = nft([dport(6290), ACCEPT])
    document["nftables"] += nft(policy="drop", family="ip")["nftables"]
    verdict, why = from_nft(document, MESH).judge()
    assert verdict == "drop"
    assert why == "policy drop of chain ip filter input"


@pytest.mark.parametrize(
    ("rules", "policy", "verdict"),
    [
        ([], "ACCEPT", "accept"),
        ([], "DROP", "drop"),
        (["-A INPUT -p tcp -m tcp --dport 6290 -j ACCEPT"], "DROP", "accept"),
        (["-A INPUT -p tcp -m tcp --dport 6290 -j DROP"], "ACCEPT", "drop"),
        (["-A INPUT -p udp -m udp --dport 6290 -j ACCEPT"], "DROP", "drop"),
        (["-A INPUT -p tcp -m multiport --dports 22,6000:7000 -j ACCEPT"], "DROP", "accept"),
        (["-A INPUT -i wg+ -j ACCEPT"], "DROP", "accept"),
        (["-A INPUT ! -i wg0 -j ACCEPT"], "DROP", "drop"),
        (["-A INPUT -i lo -j ACCEPT"], "DROP", "drop"),
        (["-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"], "DROP", "drop"),
        (["-A INPUT -s 203.0.113.7/32 -j DROP"], "ACCEPT", "accept"),
        (["-A INPUT -s 203.0.113.0/24 -j ACCEPT"], "DROP", "unsure"),
        (["-A INPUT -j REJECT --reject-with icmp-port-unreachable"], "ACCEPT", "drop"),
        (["-A INPUT -j LOG --log-prefix x"], "DROP", "drop"),
        (["-A INPUT -j ufw", "-A ufw -p tcp --dport 6290 -j ACCEPT"], "DROP", "accept"),
        (["-A INPUT -j ufw", "-A ufw -j RETURN", "-A ufw -j ACCEPT"], "DROP", "drop"),
    ],
)
def test_iptables(rules: list[str], policy: str, verdict: str) -> None:
    chains = {line.split()[1] for line in rules} - {"INPUT"}
    head = ["*nat", ":INPUT DROP [0:0]", "COMMIT", "*filter", f":INPUT {policy} [0:0]"]
    text = "\n".join([*head, *(f":{chain} - [0:0]" for chain in chains), *rules, "COMMIT"])
    assert from_iptables(text, MESH).judge()[0] == verdict
