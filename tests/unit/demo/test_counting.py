from maw.demo.counting import compare


def test_all_once_in_order_among_others_is_good() -> None:
    count = compare(["a", "b", "c"], ["x", "a", "b", "y", "c"])
    assert count.good
    assert (count.accepted, count.arrived) == (3, 3)
    assert "none missing, none twice, all in order" in str(count)


def test_one_missing_is_not_good() -> None:
    count = compare(["a", "b", "c"], ["a", "c"])
    assert not count.good
    assert count.missing == ("b",)
    assert "1 missing" in str(count)


def test_one_twice_is_not_good() -> None:
    count = compare(["a", "b"], ["a", "b", "a"])
    assert not count.good
    assert count.repeated == ("a",)
    assert "1 more than once" in str(count)


def test_another_order_is_not_good() -> None:
    count = compare(["a", "b"], ["b", "a"])
    assert not count.good
    assert "not in the order" in str(count)


def test_nothing_accepted_proves_nothing() -> None:
    assert not compare([], []).good
    assert "nothing to count" in str(compare([], []))
