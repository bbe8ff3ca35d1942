"""Results as a table on the terminal, as JSON, and as docs/benchmarks.md."""

from __future__ import annotations

import inspect
import json
import os
import platform
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from types import ModuleType

import aiohttp

from bench.figure import Figure

_HEADER = ("what", "measured", "beside it", "ratio", "asked", "met")


def number(value: float, unit: str) -> str:
    """Three digits that mean something."""
    digits = 0 if abs(value) >= 1000 else 1 if abs(value) >= 100 else 2 if abs(value) < 10 else 1
    return f"{value:,.{digits}f} {unit}".strip()


def cells(figure: Figure) -> tuple[str, ...]:
    beside = "" if figure.floor is None else f"{number(figure.floor, figure.unit)} ({figure.floor_is})"
    return (
        figure.what,
        number(figure.value, figure.unit),
        beside or figure.note,
        "" if figure.ratio is None else f"{figure.ratio:.2f}",
        figure.asked,
        {None: "", True: "yes", False: "no"}[figure.met],
    )


def table(figures: Sequence[Figure]) -> str:
    """A Markdown table, which a terminal can show too."""
    rows = [_HEADER, *(cells(figure) for figure in figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADER))]
    lines = ["| " + " | ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)) + " |"
             for row in rows]  # fmt: skip
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


def as_json(results: Mapping[str, Sequence[Figure]]) -> str:
    return json.dumps(
        {"machine": machine(), "figures": {n: [asdict(f) for f in fs] for n, fs in results.items()}}, indent=1
    )


def machine() -> str:
    return (
        f"{os.cpu_count()} cores, {platform.system()} {platform.machine()},"
        f" Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, aiohttp {aiohttp.__version__},"
        f" load {os.getloadavg()[2]:.0f} in the last quarter of an hour"
    )


def document(results: Mapping[str, Sequence[Figure]], modules: Mapping[str, ModuleType], size: str) -> str:
    """The whole of docs/benchmarks.md."""
    parts = [_INTRODUCTION.format(machine=machine(), size=size)]
    for name, figures in results.items():
        first, _, bounds = (inspect.getdoc(modules[name]) or "").partition("\n\n")
        parts += [f"## {name}\n", f"{first}\n", f"{table(figures)}\n", f"{bounds}\n"]
    return "\n".join(parts)


_INTRODUCTION = """\
# Benchmarks

Made by `python -m bench --write` (`make bench` shows the same without writing); do not edit by hand.

The machine is shared and noisy: compare **ratios**, which come from one run in which maw and the floor beside
it took turns on the same disk. Absolute figures belong to this machine and the minute they were taken.
Everything is real processes, real sockets on loopback, SQLite with `synchronous=FULL`.

This run: {machine}; size `{size}`.

To repeat one: `python -m bench hop --size quick`. How each is measured stands in `bench/`, a module each.
"""
