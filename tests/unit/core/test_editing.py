"""Edits: there and back, malformed refused, and of whose words."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from maw.core.colony import MAX_TEXT_BYTES, Recipient
from maw.core.editing import Edit, request_of_edit
from maw.core.entry import START, Kind, make, pack_content, pack_payload, unpack_content
from maw.core.identity import Signer, short_key

ONE, OTHER = Signer(b"1" * 32), Signer(b"2" * 32)
ID = f"{short_key(ONE.node)}-5-3"
EDIT = Edit(b"a" * 16, ID, "hej @ford", ("ford",), b"m" * 16)


def read(edit: Edit, **changed: Any) -> Edit:
    content = {**unpack_content(pack_content(edit.content())), **changed}
    return Edit.read({key: value for key, value in content.items() if value is not ...})


def test_there_and_back() -> None:
    bare = Edit(b"a" * 16, ID, "hej", ())
    assert (read(EDIT), read(bare)) == (EDIT, bare)
    assert "once" not in bare.content()
    assert read(EDIT, once="strange").once is None
    ford = Recipient(ONE.node, b"f" * 16, "ford", "mbp")
    inside = replace(bare, channel=f"plans~{'a' * 12}", to=(ford,))
    assert read(inside) == inside
    assert not {"channel", "to"} & bare.content().keys()
    malformed: list[dict[str, Any]] = [{"channel": "plans"}, {"channel": 5}, {"to": []}, {"to": ...}]
    for bad in malformed:
        with pytest.raises(ValueError, match=next(iter(bad))):
            read(inside, **bad)


@pytest.mark.parametrize(
    "changed",
    [
        {"agent": b"short"}, {"agent": ...}, {"edits": "12"}, {"edits": ...}, {"edits": 5}, {"text": ""},
        {"text": "x" * (MAX_TEXT_BYTES + 1)}, {"text": 5}, {"mentions": ["No Name"]}, {"mentions": 5},
        {"mentions": ["role:cook"]},
    ],
    ids=lambda changed: repr(changed)[:40],
)  # fmt: skip
def test_malformed(changed: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(changed))):
        read(EDIT, **changed)


@pytest.mark.parametrize(
    ("author", "epoch", "seq", "good"),
    [(ONE, 5, 4, True), (ONE, 6, 1, True), (ONE, 5, 3, False), (ONE, 5, 2, False), (ONE, 4, 9, False),
     (OTHER, 6, 1, False)],
)  # fmt: skip
def test_only_what_its_author_said_before(author: Signer, epoch: int, seq: int, good: bool) -> None:
    head = START._replace(seq=seq - 1)
    payload = pack_payload(bytes(16), EDIT.content())
    entry = make(author, b"c" * 32, epoch, head, 1 << 16, Kind.EDIT, payload)
    if good:
        assert EDIT.target(entry) == (5, 3)
    else:
        with pytest.raises(ValueError, match="it would edit"):
            EDIT.target(entry)


def test_what_was_asked_for_is_the_message_and_its_new_words() -> None:
    others = [Edit(b"a" * 16, ID, "ho", ()), Edit(b"a" * 16, f"{ID}1", "hej @ford", ())]
    assert len({request_of_edit(one) for one in (EDIT, *others)}) == 3
    assert request_of_edit(EDIT) == request_of_edit(Edit(b"a" * 16, ID, EDIT.text, (), None))


def test_a_number_beyond_all_is_what_nobody_said() -> None:
    edit = Edit(b"a" * 16, f"{short_key(ONE.node)}-5-9999999999999999999", "x", ())
    entry = make(ONE, b"c" * 32, 6, START, 1 << 16, Kind.EDIT, pack_payload(bytes(16), edit.content()))
    with pytest.raises(ValueError, match="nobody has said"):
        edit.target(entry)
