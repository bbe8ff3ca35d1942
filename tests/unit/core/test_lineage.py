"""Who may make new agents: the owner's word, an end to every chain, and a family tree that no lie makes endless."""

from __future__ import annotations

import pytest

from maw.core.identity import NodeId
from maw.core.lineage import BirthRules, Born, Line, Mother, may_bear, parse_born, read_born, tree
from maw.core.profile import Profile
from maw.errors import BadInput

NODE, AGENT = NodeId(b"n" * 32), b"a" * 16
ARTHUR = Mother("arthur", 0)
OWNER = Mother("owner", None)
FREE = BirthRules(by=("arthur",), per_day=2, depth=2, most=5)


def code(
    rules: BirthRules, mother: Mother | None, *, brought: bool = False, today: int = 0, here: int | None = 0
) -> str:
    no = may_bear(rules, mother, brought=brought, today=today, here=here)
    return "" if no is None else no.code


def test_no_agent_gives_birth_unless_the_owner_says_so() -> None:
    assert code(BirthRules(), ARTHUR) == "no_births"
    assert code(FREE, ARTHUR) == ""
    assert code(FREE, Mother("neo", 0)) == "no_births"
    assert code(BirthRules(by=("*",)), Mother("neo", 0)) == ""
    assert code(BirthRules(), OWNER) == "", "a human needs nobody's leave"
    assert code(BirthRules(), None) == "", "nor what is made by hand"
    assert code(BirthRules(), ARTHUR, brought=True) == "", "who brings it here administers this host"


def test_a_chain_of_births_has_an_end() -> None:
    assert code(FREE, Mother("arthur", 1)) == ""
    assert code(FREE, Mother("arthur", 2)) == "too_deep"
    assert code(FREE, Mother("arthur", 2), brought=True) == "too_deep", "from another host too"
    assert code(BirthRules(by=("*",), depth=0), ARTHUR) == "too_deep"
    assert OWNER.child() == 0 and ARTHUR.child() == 1


def test_so_many_a_day_and_so_many_in_all() -> None:
    assert code(FREE, ARTHUR, today=1) == "" and code(FREE, ARTHUR, today=2) == "too_many_births"
    assert code(FREE, ARTHUR, brought=True, today=2) == "too_many_births"
    assert code(FREE, OWNER, today=2) == ""
    assert code(FREE, None, here=4) == "" and code(FREE, None, here=5) == "too_many_agents"
    assert code(FREE, OWNER, here=5) == code(FREE, ARTHUR, here=5) == "too_many_agents"
    assert code(FREE, ARTHUR, here=None) == "", "how many live on another host is for that one to say"


def test_a_bomb_is_stopped_by_whichever_comes_first() -> None:
    """Each agent makes as many as it may, and so do they."""
    rules = BirthRules(by=("*",), per_day=1000, depth=3, most=40)
    living = [0]
    for generation in living:
        for _ in range(10):
            if not code(rules, Mother("x", generation), today=len(living) - 1, here=len(living)):
                living.append(generation + 1)
    assert len(living) == 40 and max(living) <= 3


def test_on_a_card_and_in_a_request() -> None:
    born = Born(NODE, AGENT, 3)
    profile = Profile(born=born)
    assert Profile.read(profile.content()) == profile
    assert "born" not in Profile().content() and read_born({}) is None
    assert read_born({"born": [*born.content(), "what a later version adds"]}) == born
    assert parse_born(born.text()) == born


@pytest.mark.parametrize(
    "said", [7, [], [NODE, AGENT], [NODE, b"short", 1], [b"", AGENT, 1], [NODE, AGENT, -1], [NODE, AGENT, True],
             [NODE, AGENT, 10**6]],
)  # fmt: skip
def test_a_card_that_is_malformed(said: object) -> None:
    with pytest.raises(ValueError, match="born"):
        read_born({"born": said})


@pytest.mark.parametrize(
    "text", ["", "::", "mk1x:00:1", f"{Born(NODE, AGENT, 1).text()}x", "mk1x:" + "aa" * 16 + ":1"]
)
def test_a_request_that_is_malformed(text: str) -> None:
    with pytest.raises(BadInput):
        parse_born(text)


def test_the_tree() -> None:
    family = {"a@m": None, "b@m": "a@m", "c@n": "b@m", "d@n": "a@m", "e@n": "gone@x"}
    assert tree(family) == [Line(0, "a@m"), Line(1, "b@m"), Line(2, "c@n"), Line(1, "d@n"), Line(0, "e@n")]
    assert tree({"a": "b", "b": "a", "c": "c"}) == [Line(0, "c"), Line(0, "a"), Line(1, "b")]
