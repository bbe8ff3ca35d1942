"""Nodes whose agents may say as much as they like: for tests that post faster than people do."""

from __future__ import annotations

import re
from pathlib import Path


def unlimited(config: Path) -> None:
    """Rewrites a maw.toml as `maw init` makes it."""
    text, changed = re.subn(r"^(\w+_per_minute) = \d+", r"\1 = 0", config.read_text(), flags=re.M)
    assert changed == 3, text
    config.write_text(text)
