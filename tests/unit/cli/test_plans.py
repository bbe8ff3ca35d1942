"""How agents are to be run, as it is said on the command line."""

from __future__ import annotations

import json

import pytest

from maw.cli.plans import _setting
from maw.errors import BadInput
from tests.unit.cli.conftest import Cli
from tests.unit.cli.fake_daemon import FakeDaemon


@pytest.mark.parametrize("name", ["", "a:b", "a.b", "a\nb"])
def test_what_cannot_name_a_session_is_refused(name: str) -> None:
    with pytest.raises(BadInput, match="cannot name a tmux session"):
        _setting("session", name)


def test_what_can_name_one_is_taken() -> None:
    assert _setting("session", "101-mawjs") == {"session": "101-mawjs"}


SCOUT = {"username": "scout", "host": "new", "address": "scout@new", "role": "agent", "status": "online",
         "local": False, "created_at": "2026-11-21T08:00:00Z", "about": "looks around"}  # fmt: skip


@pytest.mark.parametrize("word", ["scout", "scout@old", "@scout@new"])
def test_an_agent_that_moved_away_is_shown_where_it_is(cli: Cli, daemon: FakeDaemon, word: str) -> None:
    daemon.answers["GET /api/users"] = (200, [SCOUT])
    gone = {"agent": "scout", "host": "new", "leaving": True, "step": "moved"}
    daemon.answers["GET /api/moves"] = (200, [gone])
    result = cli("agent", "show", word)
    assert result.code == 0 and "scout@new" in result.out and "looks around" in result.out
    assert "uid" not in result.out, "only its own host knows that"
    assert ("has moved to scout@new" in result.err) == (word != "@scout@new")
    assert json.loads(cli("agent", "show", word, "--json").out) == {"user": SCOUT}


def test_of_one_that_is_not_here_it_is_told_who_is_called_so(cli: Cli, daemon: FakeDaemon) -> None:
    daemon.answers["GET /api/users"] = (200, [SCOUT])
    daemon.answers["GET /api/moves"] = (200, [])
    result = cli("agent", "show", "scout")
    assert result.code == 3 and "did you mean scout@new?" in result.err
    assert "did you mean scout@new?" in cli("agent", "show", "scout@elsewhere").err
