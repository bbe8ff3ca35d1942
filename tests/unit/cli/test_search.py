"""maw search: what is asked, and how hits look."""

from __future__ import annotations

import json
import sys

from maw.cli.output import Output
from maw.cli.search import marked
from tests.unit.cli.conftest import Cli
from tests.unit.cli.fake_daemon import FakeDaemon, a_message


def hit(snippet: str, *spans: tuple[int, int]) -> dict[str, object]:
    return {**a_message(17), "snippet": snippet, "highlights": [list(span) for span in spans], "rank": 1.5}


def test_words_and_options_are_asked_and_hits_coloured_on_a_terminal_only(
    cli: Cli, daemon: FakeDaemon
) -> None:
    daemon.answers["GET /api/search"] = (200, [hit("the disk is full\x1b[2J", (4, 8), (12, 16))])
    words = [
        "search",
        "disk",
        "full",
        "--from",
        "neo",
        "--channel",
        "dev",
        "--since",
        "7d",
        "--newest",
        "-n",
        "5",
    ]
    plain = cli(*words)
    assert (plain.code, plain.out.splitlines()[1:]) == (0, ["  the disk is full⟨U+001B⟩[2J"])
    asked = {"q": "disk full", "author": "neo", "channel": "dev", "since": "7d", "order": "new", "limit": "5"}
    assert daemon.last.query == asked
    coloured = marked(Output(sys.stdout, colour=True), "the disk is full\x1b[2J", [[4, 8], [12, 16]])
    assert coloured == "the \x1b[1;33mdisk\x1b[0m is \x1b[1;33mfull\x1b[0m⟨U+001B⟩[2J"
    assert json.loads(cli(*words, "--json").out)[0]["rank"] == 1.5


def test_nothing_is_exit_1(cli: Cli, daemon: FakeDaemon) -> None:
    daemon.answers["GET /api/search"] = (200, [])
    result = cli("search", "nowhere", tty=True, width=80)
    assert (result.code, result.err) == (1, "nothing was found\n")
    assert cli("search", "nowhere", "--json").out == "[]\n"
