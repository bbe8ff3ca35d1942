"""How agents are to be run, as it is said on the command line."""

from __future__ import annotations

import pytest

from maw.cli.plans import _setting
from maw.errors import BadInput


@pytest.mark.parametrize("name", ["", "a:b", "a.b", "a\nb"])
def test_what_cannot_name_a_session_is_refused(name: str) -> None:
    with pytest.raises(BadInput, match="cannot name a tmux session"):
        _setting("session", name)


def test_what_can_name_one_is_taken() -> None:
    assert _setting("session", "101-mawjs") == {"session": "101-mawjs"}
