"""Groups named by what their members are."""

import pytest

from maw.core.groups import Member, is_in
from maw.core.names import group_words, mentions, parse_group

NEO = Member("neo", "agent", ("reviewer",), False, ("mbp", "mbp~k7q2mx"))
KEEPER = Member("boonkeeper", "agent", (), True, ("mbp", "mbp~k7q2mx"))


@pytest.mark.parametrize(
    ("text", "groups", "named"),
    [
        ("@role:reviewer please", ("role:reviewer",), ()),
        ("@neo and @Role:Reviewer, @host:mbp~k7q2mx!", ("role:reviewer", "host:mbp~k7q2mx"), ("neo",)),
        ("@host:mbp.", ("host:mbp",), ()),
        ("@role: is a word here", (), ("role",)),
        ("mail me@role:x, `@role:x`, https://a.b/@role:x", (), ()),
        ("@role:reviewer @role:reviewer", ("role:reviewer",), ()),
        ("@roles:x", (), ("roles",)),
        ("no groups: here", (), ()),
        ("@role:" + "x" * 33, (), ()),
    ],
)
def test_groups_are_found_in_running_text_and_are_no_mentions(
    text: str, groups: tuple[str, ...], named: tuple[str, ...]
) -> None:
    assert (group_words(text), mentions(text)) == (groups, named)


def test_there_are_at_most_64() -> None:
    assert len(group_words(" ".join(f"@role:r{n}" for n in range(100)))) == 64


@pytest.mark.parametrize("word", ["role:reviewer", "role:agent", "host:mbp", "host:mbp~k7q2mx"])
def test_who_is_in(word: str) -> None:
    assert is_in(word, NEO) and word in NEO.groups


@pytest.mark.parametrize(
    "word", ["role:neo", "role:ape", "role:", "host:pi", "host:mbp~aaaaaa", "user:neo", "agents"]
)
def test_who_is_not(word: str) -> None:
    assert not is_in(word, NEO)


def test_a_role_is_found_by_its_own_name() -> None:
    assert is_in("role:boonkeeper", KEEPER)
    assert KEEPER.groups == [
        "agents", "all", "role:agent", "role:boonkeeper", "host:mbp", "host:mbp~k7q2mx",
    ]  # fmt: skip


def test_a_group_as_it_is_written() -> None:
    assert parse_group("@Role:Reviewer") == parse_group("role:reviewer") == "role:reviewer"
    assert parse_group("@reviewer") is parse_group("@all") is parse_group("role:") is None
