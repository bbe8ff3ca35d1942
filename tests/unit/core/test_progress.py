"""What a host tells of others' messages: gathered, read back, bounded; and whom a message is for."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maw.core.colony import Recipient, Said
from maw.core.entry import MAX_PAYLOAD, Head, pack_content, unpack_content
from maw.core.identity import NodeId
from maw.core.progress import MAX_BY, MAX_GROUPS, MAX_LOGS, MAX_SEQS, STATES, Mark, Progress, gather, is_for

ONE, TWO = NodeId(b"1" * 32), NodeId(b"2" * 32)
ARTHUR, FORD = b"a" * 16, b"f" * 16


def mark(seq: int = 1, **more: Any) -> Mark:
    fields = {"author": ONE, "epoch": 7, "agent": ARTHUR, "state": "read", "at_ms": 5, "by": "inbox", **more}
    return Mark(seq=seq, id=bytes([seq % 256]) * 32, **fields)


def read(progress: Progress) -> Progress:
    return Progress.read(unpack_content(pack_content(progress.content())))


def test_what_is_the_same_is_said_once() -> None:
    due = [mark(3), mark(4), mark(9), mark(5, state="acked"), mark(6, author=TWO), mark(8, agent=FORD)]
    progress, taken = gather(due)
    assert taken == due
    assert read(progress) == progress
    assert progress.logs == ((ONE, 7, Head(9, b"\x09" * 32)), (TWO, 7, Head(6, b"\x06" * 32)))
    said = [(group.log, group.agent, group.state, group.ranges) for group in progress.groups]
    assert said == [
        (0, ARTHUR, "read", ((3, 4), (9, 9))),
        (0, ARTHUR, "acked", ((5, 5),)),
        (1, ARTHUR, "read", ((6, 6),)),
        (0, FORD, "read", ((8, 8),)),
    ]


marks = st.builds(
    mark,
    seq=st.integers(1, 60),
    author=st.sampled_from([ONE, TWO]),
    epoch=st.integers(0, 3),
    agent=st.sampled_from([ARTHUR, FORD]),
    state=st.sampled_from(STATES),
    at_ms=st.integers(0, 1 << 40),
    by=st.text(max_size=100),
)


@given(st.lists(marks, max_size=80))
def test_nothing_is_added_or_lost(due: list[Mark]) -> None:
    progress, taken = gather(due)
    told = set()
    for group in read(progress).groups:
        author, epoch, head = progress.logs[group.log]
        assert max(group.seqs()) <= head.seq
        told |= {
            (author, epoch, seq, group.agent, group.state, group.at_ms, group.by) for seq in group.seqs()
        }
    assert told == {(*one[:3], one.agent, one.state, one.at_ms, one.by[:MAX_BY]) for one in taken}
    assert set(taken) == set(due), "so few fit"


def test_the_most_that_one_entry_holds_fits_into_it() -> None:
    why = "\N{GRINNING FACE}" * 100
    due = [
        mark(2 * n + 1, state="failed", by=why, at_ms=(1 << 61) + n, epoch=(1 << 61) + n % 150)
        for n in range(3 * MAX_SEQS)
    ]
    progress, taken = gather(due)
    assert (len(progress.logs), len(progress.groups)) == (MAX_LOGS, MAX_GROUPS)
    assert len(pack_content(read(progress).content())) < MAX_PAYLOAD - 1000
    assert len(gather(mark(2 * n + 1) for n in range(3 * MAX_SEQS))[1]) == MAX_SEQS
    rest = [one for one in due if one not in set(taken)]
    assert len(rest) + len(taken) == len(due), "what does not fit has its turn"


GOOD_LOG = [ONE, 7, 9, b"h" * 32]
GOOD_MARK = [0, ARTHUR, "read", 5, "inbox", [[1, 2]]]


@pytest.mark.parametrize(
    ("logs", "said"),
    [
        (None, []), ([], None), ([GOOD_LOG] * (MAX_LOGS + 1), []), ([GOOD_LOG], [GOOD_MARK] * (MAX_GROUPS + 1)),
        ([GOOD_LOG[:3]], []), ([[b"x", *GOOD_LOG[1:]]], []), ([[*GOOD_LOG[:3], b"x"]], []), ([5], []),
        ([[ONE, -1, 9, b"h" * 32]], []), ([[ONE, 7, "9", b"h" * 32]], []), ([[ONE, 7, 1 << 63, b"h" * 32]], []),
        ([GOOD_LOG], [5]), ([GOOD_LOG], [GOOD_MARK[:5]]), ([], [GOOD_MARK]), ([GOOD_LOG], [[1, *GOOD_MARK[1:]]]),
        ([GOOD_LOG], [[True, *GOOD_MARK[1:]]]), ([GOOD_LOG], [[0, b"x", *GOOD_MARK[2:]]]),
        ([GOOD_LOG], [[0, ARTHUR, "seen", *GOOD_MARK[3:]]]), ([GOOD_LOG], [[0, ARTHUR, ["read"], *GOOD_MARK[3:]]]),
        ([GOOD_LOG], [[*GOOD_MARK[:3], -1, *GOOD_MARK[4:]]]), ([GOOD_LOG], [[*GOOD_MARK[:4], "x" * 81, [[1, 2]]]]),
        ([GOOD_LOG], [[*GOOD_MARK[:4], None, [[1, 2]]]]), ([GOOD_LOG], [[*GOOD_MARK[:5], []]]),
        ([GOOD_LOG], [[*GOOD_MARK[:5], [[2, 1]]]]), ([GOOD_LOG], [[*GOOD_MARK[:5], [[1, 10]]]]),
        ([[ONE, 7, 1 << 40, b"h" * 32]], [[*GOOD_MARK[:5], [[1, 1 << 40]]]]),
        ([[ONE, 7, 5000, b"h" * 32]], [[*GOOD_MARK[:5], [[1, 200]]], [*GOOD_MARK[:5], [[201, 251]]]]),
    ],
)  # fmt: skip
def test_what_is_malformed_is_refused(logs: Any, said: Any) -> None:
    assert Progress.read({"logs": [GOOD_LOG], "marks": [GOOD_MARK]})
    with pytest.raises(ValueError, match=r"."):
        Progress.read({"logs": logs, "marks": said})


def test_whom_a_message_is_for() -> None:
    direct = Said(FORD, "ford", "agent", "uid", "hi", (), to=(Recipient(ONE, ARTHUR, "arthur", "mbp"),))
    assert is_for(direct, ARTHUR, ONE, [], "renamed", ["moved"])
    assert is_for(direct, ARTHUR, TWO, [ONE], "arthur", ["mbp"]), "its host has a new key"
    assert not is_for(direct, ARTHUR, TWO, [], "arthur", ["mbp"])
    assert not is_for(direct, FORD, ONE, [], "arthur", ["mbp"])
    for word, host, mine in [
        ("arthur", "mbp", True), ("arthur@mbp", "mbp", True), ("arthur@mbp", "pi", False), ("agents", "mbp", False),
        ("ford", "mbp", False),
    ]:  # fmt: skip
        post = Said(FORD, "ford", "agent", "uid", "hi", (word,), channel="general")
        assert is_for(post, ARTHUR, ONE, [], "arthur", [host]) is mine
