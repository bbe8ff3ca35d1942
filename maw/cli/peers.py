"""The nodes this one knows: peers, and what is decided about one here."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final

import typer

from maw.cli import completing
from maw.cli.groups import command_group
from maw.cli.output import Output, note, parse_time, span, words
from maw.cli.params import Json
from maw.cli.session import plain_daemon
from maw.client import calls

_PAIR: Final = "`maw invite` here, then `maw join LINE` on the other host"
peers_group = command_group(
    "Nodes this one knows: links, keys, who vouched.",
    elsewhere={"add": _PAIR, "new": _PAIR, "invite": _PAIR, "join": _PAIR},
)

Who = Annotated[
    str,
    typer.Argument(metavar="WHO", help="The peer's name, or its key.", autocompletion=completing.peers),
]
Pending = Annotated[
    str,
    typer.Argument(
        metavar="WHO", help="The peer's name, or its key.", autocompletion=completing.pending_peers
    ),
]
HEAD: Final = (
    "name", "state", "since", "behind", "lacks", "agents", "version", "rtt", "key", "how", "address",
)  # fmt: skip
_HOW: Final = {"invited": "invited here", "joined": "joined from here", "accepted": "accepted here"}
_SETTLED: Final = {
    "accepted": "is accepted: this node links with it now",
    "introducer": "is an introducer now: whom it lets in is trusted here too",
    "confirmed": "is let in: it joins now",
    "forgotten": "is forgotten: there is no trust and no link any more",
}
_OURS: Final = frozenset({"invited", "joined"})
"""Two that have paired admit each other: that says nothing more."""
_MANY: Final = 3
"""Pending peers of one inviter from which they are told of together."""


@peers_group.callback(invoke_without_command=True)
def peers(ctx: typer.Context, as_json: Json = False) -> int | None:
    """Nodes this one knows: links, keys, who vouched."""
    return list_peers(as_json) if ctx.invoked_subcommand is None else None


@peers_group.command("list")
def list_peers(as_json: Json = False) -> int:
    """The replicas: link state, how far behind and since when, agents, version. Exit 1 when there are none."""
    out = Output.to_stdout(as_json)
    daemon = plain_daemon()
    found = daemon.do(calls.peers())
    if out.as_json:
        out.json(found)
        return 0 if found else 1
    if found:
        now = time.time()
        out.table(HEAD, [_peer_row(one, now) for one in found])
        _tell_pending([one for one in found if one.get("state") == "pending"])
        for one in found:
            if one.get("last_error") and one.get("state") not in ("linked", "followed"):
                note(f"{words(one.get('name'))}: {words(one['last_error'])}")
            for trouble in one.get("trouble") or ():
                note(f"{words(one.get('name'))}: {words(trouble)}")
    else:
        out.nothing("no peers yet: `maw invite` here, then `maw join` on the other host")
    if out.width is not None:
        from maw.cli.candidates import offer_candidates  # a person looks: scripts ask for `peers candidates`

        offer_candidates(out, daemon, found)
    return 0 if found else 1


@peers_group.command("candidates")
def candidates(as_json: Json = False) -> int:
    """Who else is on this WireGuard interface and no node known here. As root; exit 1 when there is nobody."""
    from maw.cli.candidates import list_candidates  # what no other command needs

    return list_candidates(Output.to_stdout(as_json), plain_daemon())


@peers_group.command("accept")
def accept(
    who: Pending,
    introducer: Annotated[
        bool, typer.Option("--introducer", help="A known peer too: and trust all whom it lets in.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Trust a pending peer, or everybody whom a peer lets in."""
    _settle("accept", {"who": who, **({"introducer": True} if introducer else {})}, as_json)


@peers_group.command("forget")
def forget(who: Who, as_json: Json = False) -> None:
    """End trust and link with a peer, here and for good; a new invite from here undoes it."""
    _settle("forget", {"who": who}, as_json)


@peers_group.command("reload")
def reload(as_json: Json = False) -> None:
    """Read peers.toml again. A broken file is refused, and the old peers stay."""
    _settle("reload", {}, as_json)


def _tell_pending(pending: Sequence[Mapping[str, Any]]) -> None:
    """A line for each; one for all whom the same peer let in, when they are many."""
    by_voucher: dict[str, list[Mapping[str, Any]]] = {}
    for one in pending:
        by_voucher.setdefault(words(next(iter(one.get("vouched_by") or ()), None)), []).append(one)
    for voucher, some in by_voucher.items():
        if len(some) >= _MANY:
            note(
                f"{len(some)} let in by {voucher} are pending: `maw peers accept {voucher} --introducer` trusts"
                " them, and whom it lets in from now on"
            )
            continue
        for one in some:
            note(f"{words(one.get('name'))} is pending: `maw peers accept {words(one.get('short'))}`")


def _settle(action: str, body: Mapping[str, Any], as_json: bool) -> None:
    out = Output.to_stdout(as_json)
    report = plain_daemon().post(f"/api/peers/{action}", body).body
    if out.as_json:
        out.json(report)
        return
    out.line(_read_again(report) if action == "reload" else _settled(report))


def _settled(report: Mapping[str, Any]) -> str:
    """``pi (mk1…) is accepted: this node links with it now``"""
    state, key = words(report.get("state")), words(report.get("key"))
    who = f"{words(report['name'])} ({key})" if report.get("name") else key
    return f"{who} {_SETTLED.get(state, f'is {state}')}"


def _read_again(report: Mapping[str, Any]) -> str:
    """``peers.toml was read again: 3 peers; new here: pi, oracle``"""
    told = f"peers.toml was read again: {words(report.get('peers'))} peers"
    if added := report.get("added"):
        told += f"; new here: {', '.join(map(words, added))}"
    return told + (f"; {report['removed']} are gone" if report.get("removed") else "")


def _state(peer: Mapping[str, Any]) -> str:
    """``followed through mbp``: not linked, by choice, and nothing is missing."""
    state = words(peer.get("state"))
    return f"followed through {words(peer.get('through'))}" if state == "followed" else state


def _peer_row(peer: Mapping[str, Any], now: float) -> list[str]:
    rtt = peer.get("rtt_ms")
    return [
        words(peer.get("name")),
        words(peer.get("state")),
        _ago(_last(peer), now),
        _lag(peer, "behind", now),
        _lag(peer, "lacks", now),
        words(peer.get("agents")),
        words(peer.get("version")),
        f"{rtt:.1f} ms" if isinstance(rtt, int | float) else "–",
        words(peer.get("short")),
        _how(peer),
        ", ".join(map(str, peer.get("addresses") or ())) or "–",
    ]


def _last(peer: Mapping[str, Any]) -> object:
    """Since when it is linked; of others when it was linked last, or since when it is tried."""
    return peer.get("since") if peer.get("state") == "linked" else peer.get("last_seen") or peer.get("since")


def _ago(iso: object, now: float) -> str:
    at = parse_time(iso)
    return span(now - at.timestamp()) if at else "–"


def _lag(peer: Mapping[str, Any], what: str, now: float) -> str:
    """``0``, or ``17, 3 min``: so many entries, for so long."""
    since = parse_time(peer.get(f"{what}_since"))
    count = words(peer.get(what))
    return f"{count}, {span(now - since.timestamp())}" if since else count


def _how(peer: Mapping[str, Any]) -> str:
    """How this node came to know it, and who else says that it belongs here."""
    how = words(peer.get("how"))
    word = _HOW.get(how, how)
    vouched = ", ".join(words(one) for one in peer.get("vouched_by") or ())
    if not vouched or how in _OURS:
        return word
    return f"{word} by {vouched}" if how == "admitted" else f"{word}, admitted by {vouched}"
