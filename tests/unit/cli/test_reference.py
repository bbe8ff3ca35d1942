"""docs/commands.md says what the commands say."""

from __future__ import annotations

from pathlib import Path

from maw.cli.main import COMMANDS
from maw.cli.reference import reference

PAGE = Path(__file__).parents[3] / "docs" / "commands.md"


def test_the_page_is_current() -> None:
    assert PAGE.read_text(encoding="utf-8") == reference(), (
        "run: python -m maw.cli.reference > docs/commands.md"
    )


def test_every_command_is_on_it() -> None:
    page = reference()
    assert all(f"\n### maw {name}\n" in page for group in COMMANDS.values() for name in group)
    for nested in ("peers forget", "agent token", "channel create", "key show", "service install"):
        assert f"\n### maw {nested}\n" in page


def test_every_option_says_what_it_does() -> None:
    rows = [line for line in reference().splitlines() if line.startswith("| `")]
    assert len(rows) > 30
    assert [row for row in rows if row.endswith("|  |")] == []
