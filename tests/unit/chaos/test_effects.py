"""What counts as the effect of a fault."""

from tests.chaos.effects import lost, until_seen


def test_a_lost_database_is_counted_by_entries() -> None:
    before = {("aaaaaa", 1): 10, ("aaaaaa", 2): 4, ("bbbbbb", 1): 3}
    assert lost(before, {}) == 17
    assert lost(before, {("aaaaaa", 1): 10, ("aaaaaa", 2): 1, ("bbbbbb", 1): 3}) == 3
    assert lost(before, {**before, ("cccccc", 1): 9}) == 0


def test_an_effect_may_come_late_and_has_to_come() -> None:
    answers = iter([None, None, "there"])
    assert until_seen(lambda: next(answers), 10.0) == "there"
    assert until_seen(lambda: None, 0.5) is None
