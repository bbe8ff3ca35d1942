"""What an author wishes beside his words: there and back, left out where it is not wished for, malformed refused."""

from __future__ import annotations

from typing import Any

import pytest

from maw.core.colony import Said
from maw.core.entry import MAX_COUNT, Kind, pack_content, unpack_content
from maw.core.identity import Signer
from maw.core.intents import PRIORITIES
from maw.core.once import request_of
from maw.core.wishes import NOTHING, WISHED, Wishes
from maw.core.word import sign_word, word_of

POST = Said(b"a" * 16, "arthur", "agent", "uid", "tea?", (), channel="general")
ALL = Wishes("high", 1_800_000_000_000, 1_700_000_000_000, ("role:cook", "host:mbp", "host:mbp~k7q2mx"))
COLONY, OPERATOR, NODE = b"c" * 32, Signer(b"2" * 32), Signer(b"1" * 32)


def wishing(**wishes: Any) -> Said:
    return POST._replace(**wishes)


def read(said: Said, **changed: Any) -> Said:
    return Said.read({**unpack_content(pack_content(said.content())), **changed}, direct=False)


def test_there_and_back() -> None:
    said = POST._replace(**ALL._asdict())
    assert read(said) == said
    assert said.wishes() == ALL
    assert set(ALL.content()) == WISHED


def test_what_is_not_wished_for_is_left_out() -> None:
    assert POST.wishes() == NOTHING
    assert not WISHED & POST.content().keys()
    for key, wish in ALL._asdict().items():
        said = wishing(**{key: wish})
        assert WISHED & said.content().keys() == {key}
        assert read(said) == said


def test_a_word_of_a_later_version_is_passed_over() -> None:
    strange: Any
    for strange in ("urgent", "normal", "", 5, None, ["high"], {}, b"high"):
        assert read(POST, prio=strange) == POST
    assert read(POST, groups=["team:a", "role:Cook", "role:", "host:mbp", "x"]).groups == ("host:mbp",)
    assert read(POST, groups=[], expires=None, due=None) == POST


@pytest.mark.parametrize(
    "changed",
    [
        {"expires": -1}, {"expires": 1.5}, {"expires": "soon"}, {"expires": True}, {"expires": MAX_COUNT + 1},
        {"due": -1}, {"due": b"1"}, {"due": []}, {"groups": "role:cook"}, {"groups": [5]}, {"groups": None},
        {"groups": ["role:a"] * 65}, {"groups": ["x" * 81]}, {"groups": [""]},
    ],
    ids=repr,
)  # fmt: skip
def test_malformed(changed: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(changed))):
        read(POST, **changed)


def test_an_operator_has_signed_no_wish() -> None:
    signed = sign_word(OPERATOR, COLONY, NODE.node, 1, b"n" * 16, True, ("#general",), POST.text).content()
    assert word_of(POST._replace(word=signed), COLONY, NODE.node) is not None
    for key, wish in ALL._asdict().items():
        assert word_of(wishing(word=signed, **{key: wish}), COLONY, NODE.node) is None


def test_what_is_asked_for_under_a_key_but_for_the_very_times() -> None:
    asked = [POST, *(wishing(**{key: wish}) for key, wish in ALL._asdict().items())]
    asked += [wishing(prio=word) for word in PRIORITIES if word not in ("normal", "high")]
    asked.append(wishing(groups=("role:cook",)))
    assert len({request_of(Kind.POST, said) for said in asked}) == len(asked)
    assert request_of(Kind.POST, wishing(due=1)) == request_of(Kind.POST, wishing(due=2)), "in two hours"
