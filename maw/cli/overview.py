"""How this node is: ``maw`` alone in a few lines with what to do next, ``maw status`` in full."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from maw.cli.alerts import Seen, dismiss_alerts
from maw.cli.output import Output, note, parse_time, size, span, span_since, words
from maw.cli.params import Json
from maw.cli.session import plain_daemon
from maw.client import calls
from maw.core.spending import MICRO, counted, dollars

Record = Mapping[str, Any]


def overview(as_json: bool) -> int:
    """The state, what is unread, and what to do next."""
    out = Output.to_stdout(as_json)
    state: Record = plain_daemon().do(calls.status())
    if out.as_json:
        out.json(state)
        return 0
    out.line(f"{out.style(words(state.get('name')), 'bold')} · {_running(out, state)} · {_links(state)}")
    if unread := _unread(state):
        out.line(f"unread: {unread}")
    if overdue := _counted(state.get("overdue")):
        out.line(out.style(f"asks that are overdue: {overdue}", "yellow"))
    for trouble in (
        *_unkept(state),
        *_frozen(state),
        *_halted(state),
        *_troubles(state),
        *_refused(state),
        *_alerts(state),
    ):
        out.line(out.style(trouble, "yellow"))
    for step in next_steps(state):
        out.line(f"next: {step}")
    return 0


def status(
    dismiss: Seen = None,
    as_json: Json = False,
) -> int:
    """How this node is: addresses, links, messages, unread, disk, memory, alerts."""
    out = Output.to_stdout(as_json)
    if dismiss is not None:
        return dismiss_alerts(out, dismiss)
    state: Record = plain_daemon().do(calls.status())
    if out.as_json:
        out.json(state)
        return 0
    for name, value in _facts(out, state):
        out.line(f"{out.style(name.ljust(9), 'dim')} {value}")
    if out.width is not None and state.get("alerts"):
        note(f"once seen to: maw alerts --dismiss {words(state['alerts'][0].get('kind'))}   (or all)")
    return 0


def next_steps(state: Record) -> Sequence[str]:
    """What the owner would want to do now, the most pressing first; may be empty."""
    steps = []
    if state.get("state") == "read_only":
        steps.append("free some disk: the node takes no messages until then (`maw doctor`)")
    if own := [one for one in state.get("alerts") or () if _is_of_a_copy(one, state)]:
        steps.append(
            f"stop one of the two hosts with this key; then: maw alerts --dismiss {words(own[0]['kind'])}"
        )
    if any(not one.get("listening") for one in state.get("mesh") or ()) or _interface_trouble(state):
        steps.append("`maw doctor`: other nodes cannot reach this one")
    if state.get("without_keeper"):
        steps.append(
            "`maw service install` keeps the agents running, or `maw keep` by hand, as their own user"
        )
    if not state.get("peers_known"):
        steps.append("`maw invite` here, then `maw join` on the other host")
    elif not state.get("links_up"):
        steps.append("`maw peers`: none of them is linked")
    if waiting_peers := state.get("peers_pending"):
        steps.append(f"`maw peers`: {waiting_peers} to be accepted, or forgotten")
    if waiting := [name for name, count in (state.get("unread") or {}).items() if count]:
        steps.append(f"`maw inbox --as {words(waiting[0])}`")
    return steps


def _facts(out: Output, state: Record) -> list[tuple[str, str]]:
    facts = [
        ("node", f"{words(state.get('name'))} · {words(state.get('key'))}"),
        ("colony", words(state.get("colony"))),
        (
            "state",
            f"{_running(out, state)} · maw {words(state.get('version'))} · pid {words(state.get('pid'))}",
        ),
        ("home", words(state.get("home"))),
        ("mesh", _mesh(state)),
        ("rest", words(state.get("rest"))),
        ("peers", _links(state)),
        ("messages", f"{words(state.get('messages'))} · seq {words(state.get('seq'))}"),
        ("unread", _unread(state) or "nothing"),
        ("disk", f"{size(state.get('disk_free_bytes'))} free · database {size(state.get('database_bytes'))}"),
        ("search", _search(out, state.get("search") or {})),
        ("files", _files(state.get("files") or {})),
        ("memory", size(state.get("rss_bytes"))),
        ("host", _host(out, state.get("host") or {})),
        ("wakes", _wakes(state.get("wakes") or {})),
        *([("cost", _cost(state["cost"]))] if state.get("cost") else []),
        ("backup", _backup(out, state)),
    ]
    facts += [("keeper", out.style(unkept, "yellow")) for unkept in _unkept(state)]
    facts += [("frozen", out.style(freeze, "yellow")) for freeze in _frozen(state)]
    facts += [("halted", out.style(halt, "red")) for halt in _halted(state)]
    facts += [("peer", out.style(trouble, "yellow")) for trouble in _troubles(state)]
    facts += [("refused", out.style(refused, "yellow")) for refused in _refused(state)]
    return [*facts, *(("alert", out.style(alert, "yellow")) for alert in _alerts(state))]


def _files(files: Record) -> str:
    return f"{words(files.get('held'))} · {size(files.get('bytes'))} of {size(files.get('quota_bytes'))}"


def _search(out: Output, search: Record) -> str:
    """``on · index 120 MiB``; ``812 messages behind``; ``off: why``"""
    if search.get("state") == "off":
        return out.style(f"off: {words(search.get('why'))}", "yellow")
    behind = (
        f"{words(search.get('behind'))} messages behind"
        if search.get("behind")
        else words(search.get("state"))
    )
    return f"{behind} · index {size(search.get('bytes'))}"


def _host(out: Output, host: Record) -> str:
    """``load 0.4 on 2 cores · 7.2 GiB of memory left · 13 agents take 3.1 GiB, 21 more fit``"""
    if host.get("paused"):
        return out.style(f"paused: {words(host['paused'])}", "yellow")
    taken = host.get("agents_memory_bytes") or {}
    parts = [f"load {words(host.get('load'))} on {words(host.get('cpus'))} cores"]
    if host.get("memory_available_bytes") is not None:
        parts.append(f"{size(host['memory_available_bytes'])} of memory left")
    if taken:
        fit = "" if host.get("more_fit") is None else f", {host['more_fit']} more fit"
        parts.append(f"{len(taken)} agents take {size(sum(taken.values()))}{fit}")
    return " · ".join(parts)


def _wakes(wakes: Record) -> str:
    """``at most 60 an hour for each agent, 24 by one sender, 10 by groups · dnd 22:00-07:00 · held: arthur``"""
    if not wakes:
        return "as many as there are"
    hour, sender, groups = (words(wakes.get(key)) for key in ("per_hour", "per_sender", "per_groups"))
    parts = [f"at most {hour} an hour for each agent, {sender} by one sender, {groups} by groups"]
    if wakes.get("dnd") not in (None, "off"):
        parts.append(f"dnd {words(wakes['dnd'])}")
    agents = (wakes.get("agents") or {}).items()
    quiet = [words(name) for name, one in agents if one.get("quiet")]
    held = [words(name) for name, one in agents if one.get("held")]
    parts += [f"not to be disturbed now: {', '.join(quiet)}"] if quiet else []
    parts += [f"held: {', '.join(held)} (`maw wakes`)"] if held else []
    return " · ".join(parts)


def _unread(state: Record) -> str:
    """``arthur 3, neo 1``; empty when nobody has anything to read."""
    return _counted(state.get("unread"))


def _counted(waiting: Record | None) -> str:
    return ", ".join(f"{words(name)} {words(count)}" for name, count in (waiting or {}).items() if count)


def _running(out: Output, state: Record) -> str:
    word = words(state.get("state"))
    styled = out.style(word.replace("_", "-"), "green" if word == "running" else "red")
    uptime = state.get("uptime_s")
    return styled if uptime is None else f"{styled}, {span(uptime)}"


def _links(state: Record) -> str:
    known = state.get("peers_known") or 0
    linked = f"{state.get('links_up') or 0} of {known} peers linked"
    if state.get("links_bounded"):
        return f"{linked}, as many as it takes"
    return linked if known else "no peers yet"


def _mesh(state: Record) -> str:
    parts = []
    interface = state.get("interface")
    if interface:
        parts.append(f"{words(interface.get('name'))} {words(interface.get('state'))}")
    parts += [
        words(one.get("address")) + ("" if one.get("listening") else " (not listening)")
        for one in state.get("mesh") or ()
    ]
    return " · ".join(parts) or "not listening"


def _backup(out: Output, state: Record) -> str:
    last = state.get("backup") or {}
    if last.get("problem"):
        return out.style(f"the last one failed: {words(last['problem'])}", "red")
    made = parse_time(last.get("at"))
    if made is None:
        return "none yet (`maw backup`)"
    return f"{span_since(made)} ago · {words(last.get('where'))}"


def _is_of_a_copy(alert: Record, state: Record) -> bool:
    """That another running node holds this one's own key: its subject is the beginning of that."""
    subject = str(alert.get("subject") or "?")
    return alert.get("kind") == "copied_host" and str(state.get("key")).startswith(f"mk1{subject}")


def _interface_trouble(state: Record) -> bool:
    return bool((state.get("interface") or {}).get("state", "up") != "up")


def _unkept(state: Record) -> list[str]:
    """``no keeper runs for uid 1000, whose agents nobody would bring back: neo, arthur``"""
    return [
        f"no keeper runs for uid {words(one.get('uid'))}, and nobody would bring back"
        f" {', '.join(words(name) for name in (one.get('agents') or ())[:5])}"
        + (f" and {len(one['agents']) - 5} more" if len(one.get("agents") or ()) > 5 else "")
        for one in state.get("without_keeper") or ()
    ]


def _frozen(state: Record) -> list[str]:
    """``#noise is frozen (too loud)``: what explains a refusal, on every host."""
    return [words(one) for one in state.get("frozen") or ()]


def _halted(state: Record) -> list[str]:
    """``scout is halted: its $2.00 a day are spent; until …``"""
    return [words(one) for one in state.get("halted") or ()]


def _cost(cost: Record) -> str:
    """What today came to, and the cap that is spent furthest."""
    agents = (cost.get("agents") or {}).values()
    usd, runs = sum(one["usd"] for one in agents), sum(one["runs"] for one in agents)
    unpriced = sum(one["unpriced_runs"] for one in agents)
    more = f" and {counted(unpriced, 'run')} that told none" if unpriced else ""
    caps = sorted(cost.get("caps") or (), key=lambda cap: -cap["percent"])
    cap = (
        f" · {caps[0]['percent']} % of the {words(caps[0]['unit'])} of {words(caps[0]['of'])}" if caps else ""
    )
    return f"{dollars(round(usd * MICRO))}{more} in {counted(runs, 'run')} today (UTC){cap}"


def _troubles(state: Record) -> list[str]:
    """``oracle: slow: 3.1 MiB waiting for it``"""
    return [
        f"{words(one.get('peer'))}: {', '.join(words(word) for word in one.get('trouble') or ())}"
        for one in state.get("trouble_with") or ()
    ]


def _refused(state: Record) -> list[str]:
    """``203.0.113.7: 812 connections refused in the last minute (too many half-open)``"""
    refused = state.get("refused_connections") or {}
    worst = refused.get("worst") or ()
    lines = [
        f"{words(one.get('address'))}: {one.get('count')} connections refused in the last minute"
        f" ({words(one.get('why'))})"
        for one in worst
    ]
    others = (refused.get("count") or 0) - sum(one.get("count") or 0 for one in worst)
    return [
        *lines,
        *([f"other addresses: {others} connections refused in the last minute"] if others else []),
    ]


def _alerts(state: Record) -> list[str]:
    return [
        f"{words(one.get('kind'))}: {words(one.get('text'))}"
        + (f" (×{one['count']})" if (one.get("count") or 1) > 1 else "")
        for one in state.get("alerts") or ()
    ]
