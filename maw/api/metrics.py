"""Figures for Prometheus, out of what status and peers say anyway."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from maw.api.backend import Json

_NODE: Final = (
    # name, type, key of status, help
    ("maw_uptime_seconds", "gauge", "uptime_s", "seconds since this daemon started"),
    ("maw_links_up", "gauge", "links_up", "live links to other nodes"),
    ("maw_peers_known", "gauge", "peers_known", "nodes known here"),
    ("maw_messages", "gauge", "messages", "messages in this replica"),
    ("maw_entries", "gauge", "entries", "entries held, of all logs"),
    ("maw_entries_repeated_total", "counter", "entries_repeated", "entries that arrived and were of no use"),
    ("maw_follows_moved_total", "counter", "follows_moved", "logs that were taken from a link that was up"),
    ("maw_seq", "counter", "seq", "the newest seq made visible here"),
    ("maw_disk_free_bytes", "gauge", "disk_free_bytes", "free space where the database lives"),
    ("maw_database_bytes", "gauge", "database_bytes", "size of the database with its write-ahead log"),
    ("maw_resident_bytes", "gauge", "rss_bytes", "resident memory of the daemon"),
)


def exposition(status: Json, peers: Sequence[Json]) -> str:
    """The text format, version 0.0.4. What status does not know (null) is left out."""
    lines: list[str] = []
    info = {"name": status.get("name"), "colony": status.get("colony"), "version": status.get("version")}
    lines += _metric("maw_info", "gauge", "what this node is", [(info, 1)])
    lines += _metric(
        "maw_running", "gauge", "1 when it takes messages", [({}, status.get("state") == "running")]
    )
    for name, sort, key, about in _NODE:
        lines += _metric(name, sort, about, [({}, status.get(key))])
    unread = status.get("unread") or {}
    lines += _metric(
        "maw_unread",
        "gauge",
        "unacknowledged messages",
        [({"agent": a}, n) for a, n in sorted(unread.items())],
    )
    lines += _of_host(status.get("host") or {})
    lines += _of_wakes((status.get("wakes") or {}).get("agents") or {})
    lines += _of_costs(status.get("cost") or {}, status.get("halted") or [])
    lines += _of_search(status.get("search") or {})
    alerts = status.get("alerts") or []
    lines += _metric("maw_alerts", "gauge", "alerts that status shows", [({}, len(alerts))])
    return "\n".join([*lines, *_of_peers(peers)]) + "\n"


def _of_search(search: Json) -> list[str]:
    on = None if not search else search.get("state") != "off"
    return [
        *_metric("maw_search_on", "gauge", "1 when messages can be searched for", [({}, on)]),
        *_metric(
            "maw_search_seq",
            "gauge",
            "what is above it cannot be found yet",
            [({}, search.get("indexed_seq"))],
        ),
        *_metric(
            "maw_search_behind", "gauge", "messages that cannot be found yet", [({}, search.get("behind"))]
        ),
        *_metric("maw_search_bytes", "gauge", "size of the search index", [({}, search.get("bytes"))]),
    ]


def _of_host(host: Json) -> list[str]:
    taken = sorted((host.get("agents_memory_bytes") or {}).items())
    refused = sorted(host.get("refused") or {})
    return [
        *_metric("maw_host_load", "gauge", "the load of the last minute", [({}, host.get("load"))]),
        *_metric(
            "maw_host_memory_available_bytes",
            "gauge",
            "memory that is left on this machine",
            [({}, host.get("memory_available_bytes"))],
        ),
        *_metric(
            "maw_agent_memory_bytes",
            "gauge",
            "what an agent's processes take",
            [({"agent": name}, size) for name, size in taken],
        ),
        *_metric(
            "maw_agents_more_fit",
            "gauge",
            "how many more agents like these fit into memory",
            [({}, host.get("more_fit"))],
        ),
        *_metric("maw_host_paused", "gauge", "1 when no agent may run", [({}, bool(host.get("paused")))]),
        *_metric(
            "maw_agent_refused",
            "gauge",
            "1 for an agent that the host gives no room",
            [({"agent": name}, 1) for name in refused],
        ),
    ]


def _of_wakes(agents: Json) -> list[str]:
    def each(key: str) -> list[tuple[Json, object]]:
        return [({"agent": name}, one["since_start"][key]) for name, one in sorted(agents.items())]

    held: list[tuple[Json, object]] = [
        ({"agent": name}, len(one["held"])) for name, one in sorted(agents.items())
    ]
    return [
        *_metric("maw_wakes_total", "counter", "times an agent was woken", each("wakes")),
        *_metric("maw_digests_total", "counter", "digests made for an agent", each("digests")),
        *_metric("maw_digest_bytes_total", "counter", "bytes of those", each("digest_bytes")),
        *_metric("maw_wakes_held", "gauge", "senders (or groups) that do not wake it any more", held),
    ]


def _of_costs(cost: Json, halted: Sequence[str]) -> list[str]:
    """Counters that begin anew at midnight, UTC, as a restart makes others do."""

    def each(key: str) -> list[tuple[Json, object]]:
        return [({"agent": name}, one[key]) for name, one in sorted((cost.get("agents") or {}).items())]

    caps: list[tuple[Json, object]] = [
        ({"of": cap["of"], "unit": cap["unit"]}, cap["percent"] / 100) for cap in cost.get("caps") or ()
    ]
    return [
        *_metric("maw_cost_runs_total", "counter", "runs that ended, today (UTC)", each("runs")),
        *_metric(
            "maw_cost_unpriced_runs_total", "counter", "runs that told no money, today", each("unpriced_runs")
        ),
        *_metric("maw_cost_runner_seconds_total", "counter", "how long runners ran, today", each("runner_s")),
        *_metric("maw_cost_tokens_total", "counter", "tokens as runners told them, today", each("tokens")),
        *_metric("maw_cost_usd_total", "counter", "dollars as runners told them, today", each("usd")),
        *_metric("maw_cost_cap_spent_ratio", "gauge", "how much of a cap is spent; from 1 on it halts", caps),
        *_metric("maw_cost_halted", "gauge", "agents of this host that are halted", [({}, len(halted))]),
    ]


def _of_peers(peers: Sequence[Json]) -> list[str]:
    def each(value: str, scale: float = 1) -> list[tuple[Json, object]]:
        return [
            (
                {"peer": peer["name"], "key": peer["short"]},
                None if peer.get(value) is None else peer[value] * scale,
            )
            for peer in peers
        ]

    linked: list[tuple[Json, object]] = [
        ({"peer": peer["name"], "key": peer["short"], "state": peer["state"]}, peer["state"] == "linked")
        for peer in peers
    ]
    return [
        *_metric("maw_peer_linked", "gauge", "1 when there is a live link", linked),
        *_metric("maw_peer_behind_entries", "gauge", "entries of theirs that we lack", each("behind")),
        *_metric("maw_peer_lacks_entries", "gauge", "entries of ours that they lack", each("lacks")),
        *_metric("maw_peer_rtt_seconds", "gauge", "round-trip time", each("rtt_ms", 0.001)),
    ]


def _metric(name: str, sort: str, about: str, samples: Iterable[tuple[Json, object]]) -> list[str]:
    lines = [
        f"{name}{_labels(labels)} {float(value):g}"
        if isinstance(value, float)
        else f"{name}{_labels(labels)} {value:d}"
        for labels, value in samples
        if isinstance(value, int | float)
    ]
    return [f"# HELP {name} {about}", f"# TYPE {name} {sort}", *lines] if lines else []


def _labels(labels: Json) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{key}="{_escaped(str(value))}"' for key, value in labels.items()) + "}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
