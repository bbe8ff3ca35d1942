"""The checks of a chaos run bite: each thing that may go wrong is found in evidence that is good but for it."""

from collections.abc import Callable

import pytest

from tests.chaos.faults import is_kept
from tests.chaos.schedule import CLOCK, FULL, KILL, ROLLBACK
from tests.chaos.verdict import Evidence, Finding, Read, Word, judge, table

LOG = {"x@h1": "aaaaaa-e1", "y@h2": "bbbbbb-e1"}


def word(agent: str, n: int, where: str = "general", to: str | None = None) -> Word:
    return Word(f"{agent}#{n} {where} hello", agent, n, to, f"{LOG[agent]}-{n}")


def read(said: Word) -> Read:
    assert said.id is not None
    return Read(said.text, said.id)


def good() -> Evidence:
    """Two hosts: each agent said three things in general and one to the other."""
    posts = [word(agent, n) for agent in LOG for n in (1, 2, 3)]
    directs = [word("x@h1", 4, "direct", "y@h2"), word("y@h2", 4, "direct", "x@h1")]
    found = Evidence(["h1", "h2"], accepted=[*posts, *directs])
    for host in found.hosts:
        found.shown[f"{host} general"] = [read(one) for one in posts]
        found.replicas[host] = [b"1", b"2"]
        found.alerts[host] = []
    found.effects = [("h1 cut", "nobody heard it"), ("h2 kill -9", "away")]
    found.planned = 2
    found.mailboxes = {str(one.to): [read(one)] for one in directs}
    found.asked = {one.text: 5.0 for one in directs}
    found.confirmed = set(found.asked)
    found.told = [(directs[0].text, "read", 6.0)]
    found.known = dict.fromkeys(found.asked, "read")
    found.cursors = {place: list(reads) for place, reads in [*found.shown.items(), *found.mailboxes.items()]}
    return found


def bad(evidence: Evidence) -> dict[str, Finding]:
    return {
        finding.what.split(",")[0].split(" ")[0]: finding for finding in judge(evidence) if not finding.good
    }


def test_all_is_well() -> None:
    assert bad(good()) == {}
    assert "FAILED" not in table(judge(good()))


def _lose(e: Evidence) -> None:
    for kept in (e.shown["h2 general"], e.cursors["h2 general"]):
        del kept[1]


def _lose_direct(e: Evidence) -> None:
    e.mailboxes["x@h1"].clear()


def _twice(e: Evidence) -> None:
    e.shown["h1 general"].append(e.shown["h1 general"][0])


def _invented(e: Evidence) -> None:
    more = Read("z@h1#1 general hm", "aaaaaa-e2-9")
    e.shown["h1 general"].append(more)
    e.cursors["h1 general"].append(more)


def _diverged(e: Evidence) -> None:
    e.replicas["h2"] = [b"1"]


def _swapped(e: Evidence) -> None:
    reads = e.shown["h1 general"]
    reads[0], reads[1] = reads[1], reads[0]


def _skipped(e: Evidence) -> None:
    del e.cursors["h1 general"][2]


def _skipped_direct(e: Evidence) -> None:
    e.cursors["y@h2"].clear()


def _repeated(e: Evidence) -> None:
    e.cursors["h2 general"].append(e.cursors["h2 general"][0])


def _wrong_alert(e: Evidence) -> None:
    e.faults = {KILL}
    e.alerts["h1"] = [("recovery", "the database is older than it should be")]


def _stale_alert(e: Evidence) -> None:
    e.faults = {FULL}
    e.alerts["h1"] = [("disk", "no space left")]


def _without_effect(e: Evidence) -> None:
    e.effects[0] = ("h1 cut", None)


def _left_out(e: Evidence) -> None:
    e.effects.pop()


def _never_right_alert(e: Evidence) -> None:
    e.faults = {KILL, FULL, CLOCK, ROLLBACK}
    e.alerts["h2"] = [("copied_host", "two running nodes")]


def _told_early(e: Evidence) -> None:
    e.told[0] = (*e.told[0][:2], 4.0)


def _told_of_what_was_not_read(e: Evidence) -> None:
    del e.asked[word("y@h2", 4, "direct").text]


def _told_too_much(e: Evidence) -> None:
    e.told.append((word("x@h1", 4, "direct").text, "acked", 9.0))


def _never_told(e: Evidence) -> None:
    e.known[word("x@h1", 4, "direct").text] = "replicated"


@pytest.mark.parametrize(
    ("spoil", "finding"),
    [
        (_lose, "accepted"), (_lose_direct, "accepted"), (_twice, "accepted"), (_invented, "accepted"),
        (_diverged, "entries"), (_swapped, "messages"), (_skipped, "cursors"), (_skipped_direct, "cursors"),
        (_repeated, "cursors"), (_wrong_alert, "hosts"), (_stale_alert, "hosts"), (_never_right_alert, "hosts"),
        (_without_effect, "faults"), (_left_out, "faults"), (_told_early, "states"),
        (_told_of_what_was_not_read, "states"), (_told_too_much, "states"), (_never_told, "marks"),
    ],
)  # fmt: skip
def test_each_fault_is_found(spoil: Callable[[Evidence], None], finding: str) -> None:
    evidence = good()
    spoil(evidence)
    assert set(bad(evidence)) == {finding}
    assert "FAILED" in table(judge(evidence))


def test_a_run_in_which_nothing_was_said_has_shown_nothing() -> None:
    assert len(bad(Evidence(["h1", "h2"]))) > 3


def test_what_went_away_with_the_only_disk_is_excused_and_nothing_else() -> None:
    evidence = good()
    _lose(evidence)
    evidence.excused = {word("x@h1", 2).text}
    assert bad(evidence) == {}
    evidence.excused = {word("x@h1", 3).text}
    assert set(bad(evidence)) == {"accepted"}


def test_a_cursor_may_repeat_over_a_loss_and_not_skip() -> None:
    evidence = good()
    evidence.disasters = {"h2": {ROLLBACK}}
    _repeated(evidence)
    assert bad(evidence) == {}
    del evidence.cursors["h2 general"][2]
    assert set(bad(evidence)) == {"cursors"}


def test_order_within_a_log_holds_even_for_who_lost_a_database() -> None:
    evidence = good()
    evidence.disasters = {"h1": {ROLLBACK}}
    _swapped(evidence)
    assert set(bad(evidence)) == {"messages"}


def test_what_a_lost_database_had_not_told_is_not_asked_for() -> None:
    evidence = good()
    evidence.known[word("y@h2", 4, "direct").text] = "replicated"
    assert set(bad(evidence)) == {"marks"}
    evidence.disasters = {"h1": {ROLLBACK}}
    assert bad(evidence) == {}


def test_kept_is_what_a_head_reaches() -> None:
    heads = [{("aaaaaa", 7): 3}, {("aaaaaa", 8): 9}]
    assert is_kept(7, 3, "aaaaaa", heads)
    assert not is_kept(7, 4, "aaaaaa", heads)
    assert not is_kept(8, 1, "bbbbbb", heads)
