"""Names that could be taken for others."""

import pytest

from maw.core.lookalikes import alike, imitated, likeness


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("operator", "operator"), ("0perator", "operator"), ("op-erator", "operator"), ("0per4t0r", "operator"),
        ("syst3m", "system"), ("sys-tem", "system"), ("system_", "system"), ("5ystern", "system"),
        ("a11", "all"), ("al-l", "all"), ("a1l", "all"), ("her-e", "here"), ("a_gents", "agents"),
        ("f0under", "founder"),
    ],
)  # fmt: skip
def test_what_stands_for_an_authority_or_a_group_is_not_imitated(name: str, word: str) -> None:
    assert imitated(name) == word


@pytest.mark.parametrize(
    "name", ["ali", "agent5", "ape5", "agent", "ape", "neo", "operations", "there", "systems"]
)
def test_ordinary_names_are_free(name: str) -> None:
    assert imitated(name) is None


def test_operators_names_are_not_imitated() -> None:
    assert imitated("ann4", {"anna"}) == "anna"
    assert imitated("anna", {"anna"}) == "anna"
    assert imitated("hanna", {"anna"}) is None


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("neo", "ne0"),
        ("arthur-2", "arthur2"),
        ("tornrny", "tommy"),
        ("vvill", "will"),
        ("c1aude", "daude"),
        ("nil", "n11"),
    ],
)
def test_names_are_alike_at_a_glance(one: str, other: str) -> None:
    assert likeness(one) == likeness(other)
    assert alike(one, {one, other, "else"}) == [other]


def test_nobody_looks_like_himself_or_a_stranger() -> None:
    assert alike("neo", {"neo", "trinity", "neon"}) == []
