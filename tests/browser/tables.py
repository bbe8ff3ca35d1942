"""The tables of maw/core/text.py as the page has them: ``python -m tests.browser.tables > maw/page/tables.js``."""

from __future__ import annotations

from maw.core import text

_HEAD = """\
// Which characters cannot be seen and which are drawn all the same: the tables of maw/core/text.py, as ranges.
// Made by `python -m tests.browser.tables`; a test compares the two.
"""


def tables() -> str:
    parts = [_HEAD]
    for name in ("IGNORABLE", "SIGNS", "PICTURES"):
        ranges: tuple[tuple[int, int], ...] = getattr(text, f"_{name}")
        rows = "".join(f"  [0x{low:04x}, 0x{high:04x}],\n" for low, high in ranges)
        parts.append(f"\nexport const {name} = [\n{rows}];\n")
    return "".join(parts)


if __name__ == "__main__":
    print(tables(), end="")
