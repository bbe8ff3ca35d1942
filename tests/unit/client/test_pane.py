"""Which tmux pane a command runs in."""

from __future__ import annotations

import pytest

from maw.client.pane import pane_of


def test_a_pane_is_named_with_its_server() -> None:
    env = {"TMUX": "/tmp/tmux-1000/default,4321,7", "TMUX_PANE": "%12"}
    assert pane_of(env) == "/tmp/tmux-1000/default,4321,%12"
    assert pane_of({"TMUX": "/tmp/a,b,4321,7", "TMUX_PANE": "%0"}) == "/tmp/a,b,4321,%0"


@pytest.mark.parametrize("tmux", ["", "x", "relative,1,0", "/a,1", "/a,b,c", "/a\n,1,0", "/ü,1,0"])
@pytest.mark.parametrize("pane", ["%1", "", "1", "%", "%1\n", "%x"])
def test_what_tmux_does_not_write_is_no_pane(tmux: str, pane: str) -> None:
    assert pane_of({"TMUX": tmux, "TMUX_PANE": pane}) is None
    assert pane_of({"TMUX_PANE": "%1"}) is None
