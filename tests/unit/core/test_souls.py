"""What is a soul, and what a fault left in its place."""

from __future__ import annotations

import pytest

from maw.core.entry import Kind, pack_content, unpack_content
from maw.core.redaction import droppable, may_lack_payload
from maw.core.souls import MAX_SOUL_BYTES, Soul, check_soul, fault_of, soul_hash
from maw.errors import BadInput

AGENT = b"a" * 16
SOUND = b"# scout\n\nI look around.\n"


def test_a_soul_comes_back_as_it_was_said_and_its_words_can_be_dropped() -> None:
    soul = Soul(AGENT, "# scout\n" * 3)
    assert Soul.read(unpack_content(pack_content(soul.content()))) == soul
    assert droppable(Kind.SOUL) and may_lack_payload(Kind.SOUL)
    assert soul_hash("a") != soul_hash("b") and len(soul_hash("a")) == 32


@pytest.mark.parametrize(
    "content",
    [
        {"agent": AGENT}, {"agent": AGENT, "text": ""}, {"agent": AGENT, "text": b"x"}, {"text": "x"},
        {"agent": b"a", "text": "x"}, {"agent": AGENT, "text": "x" * (MAX_SOUL_BYTES + 1)},
        {"agent": AGENT, "text": "ö" * (MAX_SOUL_BYTES // 2 + 1)},
    ],
)  # fmt: skip
def test_what_is_malformed_is_refused(content: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        Soul.read(content)


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (None, "missing"),
        (b"", "empty"),
        (b" \n\t\n", "empty"),
        (b"x" * (MAX_SOUL_BYTES + 1), "at most"),
        (b"\0" * 40, "NUL"),
        (SOUND + b"\0", "NUL"),
        (b"# caf\xe9\n", "not UTF-8 from byte 6"),
        (SOUND[:-6], "ends after"),
        (b"# scout\n\nI lo", "ends after"),
        (b"# a\n<<<<<<< HEAD\nI am A\n=======\nI am B\n>>>>>>> theirs\n", "from line 2"),
    ],
)
def test_faults_are_known(data: bytes | None, word: str) -> None:
    found = fault_of(data, SOUND)
    assert found is not None and word in found


@pytest.mark.parametrize(
    "data",
    [
        SOUND,
        SOUND[:-1],  # an editor that ends no last line
        b"# scout\n",  # shortened, to the end of a line
        b"# other\n\nWho am I",
        "# Späher\r\n\r\nIch schaue.\r\n".encode(),
        b"# a\n<<<<<<< is how git marks a conflict\n",
        b"Title\n=======\nwords\n",
        b"x" * MAX_SOUL_BYTES,
    ],
)
def test_what_an_owner_writes_is_sound(data: bytes) -> None:
    assert fault_of(data, SOUND) is None


def test_a_cut_of_nothing_known_is_no_fault() -> None:
    assert fault_of(SOUND[:-6]) is None


def test_every_cut_within_a_line_is_noticed() -> None:
    for end in range(1, len(SOUND) - 1):
        cut = SOUND[:end]
        assert (fault_of(cut, SOUND) is None) == cut.endswith(b"\n"), cut


def test_what_is_no_soul_is_not_said() -> None:
    check_soul("# I am I\n")
    for text in ("", "\0", "\ud800", "x" * (MAX_SOUL_BYTES + 1)):
        with pytest.raises(BadInput):
            check_soul(text)
