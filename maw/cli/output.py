"""What maw prints: colour and tables for people, plain lines for pipes, JSON for programs.

Everything that a peer or an agent wrote goes through ``shown``: it can colour nothing, move nothing, hide
nothing. JSON is written in ASCII for the same reason.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, TextIO

from maw.core.text import cells, one_line, pieces, shown

_STYLES: Final = {
    "dim": "2",
    "bold": "1",
    "red": "31",
    "green": "32",
    "yellow": "33",
    "cyan": "36",
    "reverse": "7",
}
_GAP: Final = "  "
_LEAST_LAST: Final = 14
"""Columns below which the last one of a table is not worth cutting to."""


@dataclass(frozen=True, slots=True)
class Output:
    """Where answers go. ``width`` is in columns, None in a pipe: nothing is cut there."""

    stream: TextIO
    as_json: bool = False
    colour: bool = False
    width: int | None = None

    @classmethod
    def to_stdout(cls, as_json: bool = False) -> Output:
        terminal = sys.stdout.isatty()
        colour = terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
        width = shutil.get_terminal_size().columns if terminal else None
        return cls(sys.stdout, as_json, colour, width)

    def line(self, text: str = "") -> None:
        """One line that maw itself composed; words of others in it have been through ``shown``."""
        self.stream.write(text + "\n")
        self.stream.flush()

    def json(self, data: object) -> None:
        self.line(json.dumps(data, separators=(",", ":")))

    def style(self, text: str, *styles: str) -> str:
        if not self.colour or not text:
            return text
        return f"\x1b[{';'.join(_STYLES[style] for style in styles)}m{text}\x1b[0m"

    def table(self, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Aligned columns. No heading in a pipe, and nothing cut; a terminal is not overrun: the last column is
        cut at its edge, and columns for which there is no room stand below their row, by name."""
        clean = [[one_line(cell, 400) for cell in row] for row in rows]
        titled = [list(head), *clean] if self.width else clean
        widths = [max((cells(row[column]) for row in titled), default=0) for column in range(len(head))]
        room = len(head) if self.width is None else _columns_that_fit(widths, self.width)
        for number, row in enumerate(titled):
            padded = [cell + " " * (width - cells(cell)) for cell, width in zip(row, widths, strict=True)]
            text = self._cut(_GAP.join(padded[:room]).rstrip())
            if self.width and number == 0:
                self.line(self.style(text, "dim"))
                continue
            self.line(text)
            for more in _stacked(head[room:], row[room:], (self.width or 0) - len(_GAP)):
                self.line(self._cut(_GAP + more))

    def nothing(self, text: str) -> int:
        """Says that there is nothing, to a person at a terminal only; the exit code for that."""
        if self.width is not None and not self.as_json:
            note(text)
        return 1

    def moment(self, iso: str | None) -> str:
        """As ``when``, to the second everywhere; – where it is not known."""
        moment = parse_time(iso)
        if moment is None or self.width is None:
            return "–" if iso is None else self.when(iso)
        return moment.astimezone().strftime("%d %b %H:%M:%S")

    def _cut(self, text: str) -> str:
        return one_line_kept(text, self.width) if self.width else text

    def when(self, iso: str | None) -> str:
        """A time as people read it here in a terminal, and in UTC to the second in a pipe."""
        moment = parse_time(iso)
        if moment is None:
            return "?" if iso is None else one_line(iso, 40)
        if self.width is None:
            return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return moment.astimezone().strftime("%d %b %H:%M")


def _columns_that_fit(widths: Sequence[int], width: int) -> int:
    """How many of the leading columns stand side by side; all of them where only the last is to be cut."""
    used = 0
    for number, column in enumerate(widths):
        last = number == len(widths) - 1
        used += (len(_GAP) if number else 0) + (min(column, _LEAST_LAST) if last else column)
        if used > width:
            return max(number, 1)
    return len(widths)


def _stacked(names: Sequence[str], row: Sequence[str], width: int) -> list[str]:
    """``name value · name value`` in lines of at most ``width`` columns where that can be; no empty ones."""
    lines: list[str] = []
    for name, cell in zip(names, row, strict=True):
        if cell in ("", "–"):
            continue
        part = f"{name} {cell}"
        if lines and cells(lines[-1]) + 3 + cells(part) <= width:
            lines[-1] += f" · {part}"
        else:
            lines.append(part)
    return lines


def note(text: str) -> None:
    """A remark beside the answer, on standard error, so that the answer can be piped."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def one_line_kept(text: str, width: int) -> str:
    """Cut at ``width`` columns, spaces kept: for lines that are aligned already."""
    if cells(text) <= width:
        return text
    kept = ""
    used = 0
    for char in text:
        used += cells(char)
        if used > width - 1:
            break
        kept += char
    return kept + "…"


def block(text: str, indent: str = "  ", width: int | None = None) -> str:
    """Someone's words, each line indented, so that no line of theirs looks like one of maw's. ``width``: of the
    terminal, which would begin the rest of a longer line at its edge."""
    lines = shown(text).expandtabs(4).split("\n")
    if width is not None:
        room = max(MIN_ROOM, width - len(indent))
        lines = [piece for line in lines for piece in pieces(line, room)]
    return "\n".join(indent + line for line in lines)


MIN_ROOM: Final = 20
"""Columns: on a terminal that is narrower still, lines are as long as that."""


def parse_time(iso: object) -> datetime | None:
    """The moment of an ISO 8601 time from the daemon, or None when it is not one."""
    if not isinstance(iso, str):
        return None
    try:
        moment = datetime.fromisoformat(iso)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def span(seconds: float) -> str:
    """``40 s``, ``12 min``, ``3 h``, ``5 d``."""
    for size, unit in ((86400.0, "d"), (3600.0, "h"), (60.0, "min")):
        if seconds >= size * 1.5 or (unit != "min" and seconds >= size):
            return f"{seconds / size:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"


def span_since(moment: datetime) -> str:
    """How long ago that was."""
    return span((datetime.now(UTC) - moment).total_seconds())


def size(count: float | None) -> str:
    """``512 B``, ``54 MiB``, ``3.2 GiB``."""
    if count is None:
        return "?"
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if count >= 10 or unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"


def called(who: Mapping[str, Any], by: str = "address") -> str | None:
    """``boonkeeper@mbp (neo)`` for a role of neo; and whom one of another host may be taken for. ``who``: a
    message or a user; ``by``: which of its keys is the address."""
    name = who.get(by)
    if name and who.get("of"):
        name = f"{name} ({who['of']})"
    return f"{name} [NOT {who['looks_like']}]" if name and who.get("looks_like") else name


def words(value: Any) -> str:
    """Any value from the daemon as one safe line."""
    return "–" if value is None or value == "" else one_line(str(value), 400)
