"""Several sizes side by side as a table, and their part of docs/benchmarks.md between two markers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from bench.fleet.measures import Measured
from bench.fleet.plot import Chart, Line, draw
from bench.report import machine, number

BEGIN: Final = "<!-- fleet: made by `python -m bench.fleet --write` -->"
END: Final = "<!-- end of fleet -->"
PLOT: Final = "fleet.svg"
ASKED_RESIDENT_MIB: Final = 54.0
ASKED_NODES: Final = 30

_Cell = Callable[[Measured], str]


def _of(value: Callable[[Measured], float | None], unit: str) -> _Cell:
    def cell(one: Measured) -> str:
        found = value(one)
        return "?" if found is None else number(found, unit)

    return cell


_ROWS: Final[Sequence[tuple[str, _Cell]]] = (
    ("introducers, pairings", lambda one: f"{one.introducers}, {one.pairings}"),
    ("until all trust all", _of(lambda one: one.trust_all_s, "s")),
    ("until all hold the agents of all", _of(lambda one: one.know_all_s, "s")),
    ("a message, accepted (durable) on its node, p50", _of(lambda one: one.acked_p50_ms, "ms")),
    ("the same, shown by half of the nodes, p50", _of(lambda one: one.half_p50_ms, "ms")),
    ("the same, shown by all, p50", _of(lambda one: one.all_p50_ms, "ms")),
    ("the same, shown by all, p99", _of(lambda one: one.all_p99_ms, "ms")),
    ("processor time of one message on one node", _of(lambda one: one.cpu_a_message_ms, "ms")),
    ("bytes of one message at one node, both ways", _of(lambda one: one.bytes_a_message, "bytes")),
    ("links of a node", lambda one: _range(one.links, one.links_least, one.links_most)),
    ("an idle node: processor", _of(lambda one: one.idle_cpu, "% of a core")),
    ("an idle node: wake-ups", _of(lambda one: one.idle_wakeups, "/s")),
    ("an idle link, both ways", _of(lambda one: one.idle_link_bytes, "bytes/s")),
    ("an idle node, all its links, both ways", _of(lambda one: _all_links(one), "bytes/s")),
    ("resident, mean (most)", lambda one: f"{one.resident:.1f} ({one.resident_most:.1f}) MiB{_verdict(one)}"),
    ("of it nobody else's", _of(lambda one: one.private, "MiB")),
    ("threads, open descriptors", lambda one: f"{one.threads:.0f}, {one.descriptors:.0f}"),
)


def _all_links(one: Measured) -> float | None:
    return None if one.idle_link_bytes is None else one.idle_link_bytes * one.links


def met(one: Measured) -> bool | None:
    """Whether the memory asked for is enough; None for a size at which nothing is asked."""
    return None if one.nodes < ASKED_NODES else one.resident_most <= ASKED_RESIDENT_MIB


def _verdict(one: Measured) -> str:
    words = {None: "", True: "met", False: "not met"}[met(one)]
    return f", ≤ {ASKED_RESIDENT_MIB:g} asked: {words}" if words else ""


def _range(middle: float, least: int, most: int) -> str:
    return f"{most}" if least == most else f"{middle:.1f} ({least} to {most})"


def table(several: Sequence[Measured]) -> str:
    """A Markdown table with a column for each size."""
    rows = [("nodes", *(str(one.nodes) for one in several))]
    rows += [(name, *(cell(one) for one in several)) for name, cell in _ROWS]
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    lines = ["| " + " | ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)) + " |"
             for row in rows]  # fmt: skip
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


def picture(several: Sequence[Measured]) -> str:
    """The charts, as SVG."""

    def line(name: str, value: Callable[[Measured], float | None]) -> Line:
        return Line(name, [(one.nodes, found) for one in several if (found := value(one)) is not None])

    charts = [
        Chart(
            "a message to all, ms",
            [line("p50", lambda one: one.all_p50_ms), line("p99", lambda one: one.all_p99_ms)],
        ),
        Chart("its processor time on one node, ms", [line("", lambda one: one.cpu_a_message_ms)]),
        Chart("until all know all, s", [line("", lambda one: one.know_all_s)]),
        Chart(
            "memory of a node, MiB",
            [line("resident", lambda one: one.resident), line("nobody else's", lambda one: one.private)],
        ),
        Chart("links of a node", [line("", lambda one: one.links)]),
        Chart("an idle node, % of a core", [line("", lambda one: one.idle_cpu)]),
    ]
    charts = [chart for chart in charts if all(line.points for line in chart.lines)]
    sizes = ", ".join(str(one.nodes) for one in several)
    about = "; ".join(f"{chart.title}: {_ends(chart)}" for chart in charts)
    return draw(charts, f"A fleet of {sizes} nodes on one machine", about)


def _ends(chart: Chart) -> str:
    return ", ".join(
        f"{line.name} {line.points[0][1]:.3g} to {line.points[-1][1]:.3g}".strip() for line in chart.lines
    )


def section(several: Sequence[Measured]) -> str:
    """The part of docs/benchmarks.md, markers included."""
    seconds, messages = several[-1].idle_s, several[-1].messages
    return "\n".join(
        [
            BEGIN,
            _WORDS.format(machine=machine(), messages=messages, seconds=f"{seconds:g}"),
            table(several),
            "",
            f"![How a fleet grows]({PLOT})",
            END,
            "",
        ]
    )


def kept(document: str) -> str:
    """The part that stands in ``document``, markers included, for who writes the rest anew; else nothing."""
    begin, end = document.find(BEGIN), document.find(END)
    return "" if begin < 0 or end < begin else document[begin : end + len(END)] + "\n"


def from_here_on(document: str) -> str:
    """The fleet's part and what people wrote below it, for who writes the rest anew; else nothing."""
    begin = document.find(BEGIN)
    return "" if begin < 0 else document[begin:]


def put_into(document: str, part: str) -> str:
    """``document`` with ``part`` in the place of the old one, or at its end."""
    old = kept(document)
    return document.replace(old, part) if old else document.rstrip("\n") + "\n\n" + part


_WORDS: Final = """\
## fleet

Many daemons on one machine, joined through introducers (`make fleet N=30`); several sizes side by side.

{machine}. {messages} messages, one at a time, from nodes taken at random; idle for {seconds} s. All nodes share
these cores: a message to all of N nodes is N synced commits and N streams in one queue for two cores, so its
latency here grows with N and would not on hosts of their own. There, one node's processor time for a message
(which holds its stream and its receipts too) and one hop (above) are what counts.

What would stop a hundred on one machine is its cores: a message costs each of thirty nodes some 8 ms of processor here
(most of it receipts over 29 links, and the stream). Above thirty a node links with about eight others, so that this
stops growing ([a simulated thousand](testing.md#what-grows-and-how)). Memory would not stop it (36 MiB a node that
nobody else has), nor pairings, which are one for each node. Tried once at load 36: a hundred daemons were up after
624 s, then one join timed out in its handshake; the benchmark now joins again, as its hint says.
"""
