"""What a firewall does with a new TCP connection to one port: nft and iptables rules in one small model.

A rule that cannot be judged from here (a source address, a counter match, a set kept elsewhere) may match or
not, so the answer has three values; only what drops for sure is called blocked.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

ACCEPT, DROP, UNSURE = "accept", "drop", "unsure"
_NEVER_NEW: Final = frozenset({"established", "related", "invalid", "untracked"})
_DEPTH: Final = 16


@dataclass(frozen=True, slots=True)
class Packet:
    """The first packet of a TCP connection to ``port``, coming in on ``interface`` (None: not known).

    ``family``: ``ip`` or ``ip6``.
    """

    port: int
    interface: str | None
    family: str = "ip"


@dataclass(frozen=True, slots=True)
class Rule:
    """``matches``: True, False, or None where it cannot be told.

    ``verdict``: accept, drop, return, or empty; ``target``: the chain that is jumped to.
    """

    matches: bool | None
    verdict: str
    target: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True)
class Base:
    """A chain that the kernel enters for incoming packets, and what it does at its end."""

    chain: str
    policy: str


@dataclass(slots=True)
class Ruleset:
    chains: dict[str, list[Rule]] = field(default_factory=dict)
    bases: list[Base] = field(default_factory=list)

    def judge(self) -> tuple[str, str]:
        """(accept | drop | unsure, the rule or policy that decides). Every base chain must accept."""
        unsure = ""
        for base in self.bases:
            verdict, text = self._walk(base.chain, 0)
            if verdict == "" and base.policy == DROP:
                verdict, text = (UNSURE, text) if text else (DROP, f"policy drop of chain {base.chain}")
            if verdict == DROP:
                return DROP, text
            if verdict == UNSURE:
                unsure = text
        return (UNSURE, unsure) if unsure else (ACCEPT, "")

    def _walk(self, chain: str, depth: int) -> tuple[str, str]:
        """The verdict of a chain and what gave it; at its end nothing, and what may have accepted before.

        A rule that only may drop is passed over (a ban list is no closed port), one that may accept is kept
        in mind: a drop after it is unsure.
        """
        if depth > _DEPTH:
            return UNSURE, f"chain {chain} is too deep"
        doubt = ""
        for rule in self.chains.get(chain, ()):
            verdict, text = rule.verdict, rule.text
            if rule.target and rule.matches is not False:
                verdict, text = self._walk(rule.target, depth + 1)
                doubt = doubt or (text if verdict == "" else "")
            if rule.matches is False or verdict == "":
                continue
            if rule.matches is None:
                doubt = doubt or (rule.text if verdict in (ACCEPT, UNSURE) else "")
            elif verdict == "return":
                break
            else:
                return (UNSURE, doubt) if verdict == DROP and doubt else (verdict, text)
        return "", doubt


def from_nft(document: Mapping[str, Any], packet: Packet) -> Ruleset:
    """Read ``nft --json list ruleset``."""
    rules = Ruleset()
    bases: list[tuple[int, Base]] = []
    for item in document.get("nftables", ()):
        if chain := item.get("chain"):
            name = _nft_name(chain, chain["name"])
            rules.chains.setdefault(name, [])
            if chain.get("hook") == "input" and chain.get("family") in ("inet", packet.family):
                bases.append((int(chain.get("prio") or 0), Base(name, str(chain.get("policy", ACCEPT)))))
        elif rule := item.get("rule"):
            name = _nft_name(rule, rule["chain"])
            rules.chains.setdefault(name, []).append(_nft_rule(rule, packet))
    rules.bases = [base for _, base in sorted(bases, key=lambda pair: pair[0])]
    return rules


def _nft_name(item: Mapping[str, Any], chain: str) -> str:
    return f"{item.get('family')} {item.get('table')} {chain}"


def _nft_rule(rule: Mapping[str, Any], packet: Packet) -> Rule:
    matches: bool | None = True
    verdict = target = ""
    for part in rule.get("expr", ()):
        (kind, body), *_ = part.items()
        if kind in ("accept", "drop", "return"):
            verdict = kind
        elif kind == "reject":
            verdict = DROP
        elif kind in ("jump", "goto"):
            target = _nft_name(rule, body["target"])
        elif kind == "match":
            matches = _both(matches, _nft_match(body, packet))
        elif kind not in ("counter", "log", "comment", "meta"):
            matches = _both(matches, None)
    return Rule(matches, verdict, target, f"a rule in chain {_nft_name(rule, rule['chain'])}")


def _nft_match(body: Mapping[str, Any], packet: Packet) -> bool | None:
    left, right = body.get("left"), body.get("right")
    if not isinstance(left, dict):
        return None
    found: bool | None = None
    if (payload := left.get("payload")) and payload.get("field") == "dport":
        found = payload.get("protocol") in ("tcp", "th") and _nft_holds(right, packet.port)
    elif payload and payload.get("protocol") in ("udp", "icmp", "icmpv6", "sctp"):
        return False
    elif (meta := left.get("meta")) and meta.get("key") in ("iifname", "iif"):
        found = _same_interface(right, packet.interface)
    elif meta and meta.get("key") == "l4proto":
        found = _nft_holds(right, "tcp", 6)
    elif meta and meta.get("key") == "nfproto":
        found = _nft_holds(right, "ipv6" if packet.family == "ip6" else "ipv4")
    elif (ct := left.get("ct")) and ct.get("key") == "state":
        states = {right} if isinstance(right, str) else set(_members(right))
        return True if "new" in states and body.get("op") != "!=" else False if states <= _NEVER_NEW else None
    return None if found is None else found != (body.get("op") == "!=")


def _members(right: Any) -> list[Any]:
    if isinstance(right, dict):
        right = right.get("set", [right])
    return right if isinstance(right, list) else [right]


def _nft_holds(right: Any, *wanted: object) -> bool | None:
    """Whether one of ``wanted`` is in a value, range or set; None for a named set (kept elsewhere)."""
    for member in _members(right):
        if isinstance(member, str) and member.startswith("@"):
            return None
        if isinstance(member, dict) and (ends := member.get("range")):
            if any(isinstance(one, int) and ends[0] <= one <= ends[1] for one in wanted):
                return True
        elif member in wanted:
            return True
    return False


def _same_interface(right: Any, interface: str | None) -> bool | None:
    names = [str(name) for name in _members(right)]
    if names == ["lo"]:
        return False
    if interface is None or any(name.startswith("@") for name in names):
        return None
    return any(interface.startswith(n[:-1]) if n.endswith("*") else n == interface for n in names)


def from_iptables(text: str, packet: Packet) -> Ruleset:
    """Read ``iptables-save``: its filter table."""
    rules = Ruleset()
    table = ""
    for line in text.splitlines():
        if line.startswith("*"):
            table = line[1:].strip()
        elif table == "filter" and line.startswith(":"):
            name, policy, *_ = line[1:].split()
            rules.chains.setdefault(name, [])
            if name == "INPUT":
                rules.bases.append(Base(name, policy.lower()))
        elif table == "filter" and line.startswith("-A "):
            words = shlex.split(line)
            rules.chains.setdefault(words[1], []).append(_iptables_rule(words[2:], packet, line))
    return rules


def _iptables_rule(words: Sequence[str], packet: Packet, line: str) -> Rule:
    matches: bool | None = True
    verdict = target = ""
    negate = False
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word == "!":
            negate = True
            continue
        value = rest.pop(0) if rest and not rest[0].startswith("-") and rest[0] != "!" else ""
        if word in ("-j", "-g"):
            verdict = {"ACCEPT": ACCEPT, "DROP": DROP, "REJECT": DROP, "RETURN": "return"}.get(value, "")
            target = "" if verdict or value.isupper() else value
            break  # what follows belongs to the target
        found = _iptables_match(word, value, packet)
        matches = _both(matches, None if found is None else found != negate)
        negate = False
    return Rule(matches, verdict, target, line)


def _iptables_match(word: str, value: str, packet: Packet) -> bool | None:
    if word in ("-m", "--comment"):
        return True
    if word == "-p":
        return value in ("tcp", "all", "6")
    if word in ("--dport", "--dports", "--destination-port"):
        ends = [part.split(":") for part in value.split(",")]
        return any(int(pair[0] or 0) <= packet.port <= int(pair[-1] or 65535) for pair in ends)
    if word == "-i":
        return _same_interface(value.replace("+", "*"), packet.interface)
    if word in ("--ctstate", "--state"):
        states = set(value.lower().split(","))
        return True if "new" in states else False if states <= _NEVER_NEW else None
    return None


def _both(one: bool | None, other: bool | None) -> bool | None:
    if one is False or other is False:
        return False
    return None if one is None or other is None else True
