"""Small line charts as one SVG, in the style of docs/architecture.svg: no library, readable in light and dark."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

WIDTH: Final = 300
HEIGHT: Final = 190
_LEFT: Final = 52
_TOP: Final = 34
_WIDE: Final = 220
_HIGH: Final = 110
_STEPS: Final = (1, 2, 2.5, 5, 10)

_STYLE: Final = """
    .axis { stroke: #8b949e; } .grid { stroke: #d0d7de; stroke-dasharray: 2 3; }
    .first { fill: none; stroke: #2f6fd0; stroke-width: 2; } .second { fill: none; stroke: #b7791f; stroke-width: 2; }
    .dot-first { fill: #2f6fd0; } .dot-second { fill: #b7791f; }
    text { fill: #1f2328; } .soft { fill: #57606a; font-size: 11px; } .name { font-weight: 600; }
    .text-first { fill: #2f6fd0; font-size: 11px; } .text-second { fill: #b7791f; font-size: 11px; }
    @media (prefers-color-scheme: dark) {
      text { fill: #e6edf3; } .soft { fill: #9da7b3; } .grid { stroke: #30363d; }
      .first { stroke: #6ea8ff; } .dot-first, .text-first { fill: #6ea8ff; }
      .second { stroke: #e3b341; } .dot-second, .text-second { fill: #e3b341; }
    }"""


@dataclass(frozen=True, slots=True)
class Line:
    name: str
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Chart:
    """One or two lines over the number of nodes."""

    title: str
    lines: Sequence[Line]


def draw(charts: Sequence[Chart], title: str, about: str, columns: int = 3) -> str:
    """The whole file. ``about`` says in words what is to be seen, for who cannot see it."""
    rows = -(-len(charts) // columns)
    wide, high = WIDTH * min(columns, len(charts)), HEIGHT * rows
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {high}" width="{wide}" height="{high}"'
        ' role="img" aria-labelledby="title desc"'
        " font-family=\"ui-sans-serif, system-ui, 'Segoe UI', 'DejaVu Sans', sans-serif\" font-size=\"13\">",
        f'  <title id="title">{escape(title)}</title>',
        f'  <desc id="desc">{escape(about)}</desc>',
        f"  <style>{_STYLE}\n  </style>",
    ]
    for at, chart in enumerate(charts):
        x, y = at % columns * WIDTH, at // columns * HEIGHT
        parts += [f'  <g transform="translate({x},{y})">', *_chart(chart), "  </g>"]
    return "\n".join([*parts, "</svg>", ""])


def _chart(chart: Chart) -> list[str]:
    across = sorted({x for line in chart.lines for x, _ in line.points})
    top = nice_top(max(y for line in chart.lines for _, y in line.points))
    right = max(across)

    def place(x: float, y: float) -> tuple[float, float]:
        return _LEFT + x / right * _WIDE, _TOP + _HIGH - y / top * _HIGH

    parts = [f'    <text class="name" x="{_LEFT}" y="18">{escape(chart.title)}</text>']
    for share in (0.0, 0.5, 1.0):
        _, y = place(0, top * share)
        mark = "axis" if share == 0 else "grid"
        parts.append(
            f'    <line class="{mark}" x1="{_LEFT}" x2="{_LEFT + _WIDE}" y1="{y:.1f}" y2="{y:.1f}"/>'
        )
        parts.append(
            f'    <text class="soft" x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{top * share:g}</text>'
        )
    below = _TOP + _HIGH + 16
    parts += [
        f'    <text class="soft" x="{place(x, 0)[0]:.1f}" y="{below}" text-anchor="middle">{x:g}</text>'
        for x in _apart(across, right)
    ]
    for line, mark in zip(chart.lines, ("first", "second"), strict=False):
        places = [place(x, y) for x, y in line.points]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        parts.append(f'    <polyline class="{mark}" points="{path}"/>')
        parts += [f'    <circle class="dot-{mark}" cx="{x:.1f}" cy="{y:.1f}" r="3"/>' for x, y in places]
    if len(chart.lines) > 1:
        for at, (line, mark) in enumerate(zip(chart.lines, ("first", "second"), strict=False)):
            where = f'x="{_LEFT + at * 110}" y="{below + 18}"'
            parts.append(f'    <text class="text-{mark}" {where}>{escape(line.name)}</text>')
    return parts


def nice_top(most: float) -> float:
    """The smallest of 1, 2, 2.5, 5 and 10 times a power of ten that is at least ``most``."""
    power = 1.0
    while power * 10 < most:
        power *= 10
    while power > most > 0:
        power /= 10
    return next(power * step for step in _STEPS if power * step >= most)


def _apart(values: Sequence[float], right: float) -> list[float]:
    """Those whose labels do not run into each other; the last is always there."""
    kept: list[float] = []
    for value in reversed(values):
        if not kept or (kept[-1] - value) / right * _WIDE > 16:
            kept.append(value)
    return kept
