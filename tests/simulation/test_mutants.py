"""The simulator bites: deliberate bugs are caught within their bound, by runs that are clean without them."""

from __future__ import annotations

import pytest

from tests.simulation.checkers import CHECKERS
from tests.simulation.mutants import MUTANTS, Mutant, applied, caught


@pytest.mark.parametrize(
    "mutant",
    [mutant for mutant in MUTANTS if not mutant.rare],
    ids=lambda mutant: mutant.bug.__name__.lstrip("_"),
)
def test_a_bug_is_caught(mutant: Mutant) -> None:
    found = caught(mutant, 0, mutant.bound)
    assert found is not None, f"{mutant.what}: not seen in {mutant.bound} seeds"
    assert found[1] in CHECKERS


def test_a_bug_is_gone_afterwards() -> None:
    for mutant in MUTANTS:
        right = getattr(mutant.owner, mutant.name)
        with applied(mutant):
            assert getattr(mutant.owner, mutant.name) is mutant.bug
        assert getattr(mutant.owner, mutant.name) is right


def test_there_are_at_least_fifteen_bugs_each_another() -> None:
    assert len({mutant.what for mutant in MUTANTS}) == len(MUTANTS) >= 15
    assert sum(not mutant.in_model for mutant in MUTANTS) >= 15
