"""When a sealing key is made, replaced and deleted; its file."""

from __future__ import annotations

import pytest

from maw.core.seal_keys import (
    KEEP_MS,
    ROTATE_MS,
    Pair,
    Ring,
    halves,
    is_due,
    pack,
    pruned,
    public,
    renewed,
    unpack,
)
from maw.core.sealing import key_id

NOW = 1_800_000_000_000
ONE, TWO, THREE = (bytes([n]) * 32 for n in (1, 2, 3))


def test_a_week_and_thirty_days() -> None:
    ring: Ring = ()
    assert is_due(ring, None, NOW)
    ring = renewed(ring, ONE, NOW)
    assert not is_due(ring, public(ring), NOW + ROTATE_MS - 1)
    assert is_due(ring, public(ring), NOW + ROTATE_MS)
    ring = renewed(ring, TWO, later := NOW + ROTATE_MS)
    assert ring == (Pair(ONE, NOW, later), Pair(TWO, later))
    assert pruned(ring, later + KEEP_MS - 1) == ring
    assert pruned(ring, later + KEEP_MS) == (Pair(TWO, later),)
    assert pruned(ring[1:], later + 9 * KEEP_MS) == ring[1:], "the one in use stays"


def test_a_key_that_the_log_does_not_name_last_is_replaced() -> None:
    ring = renewed(renewed((), ONE, NOW), TWO, NOW)
    assert is_due(ring, public(ring[:1]), NOW), "the file, or the log, was put back"
    assert is_due(ring, None, NOW)
    assert is_due(ring, public(ring), NOW - 1), "made by a clock that was ahead"


def test_each_is_found_by_its_id() -> None:
    ring = renewed(renewed((), ONE, NOW), TWO, NOW)
    newest = public(ring)
    assert newest is not None
    assert halves(ring)[key_id(newest)] == (TWO, newest)
    assert len(halves(ring)) == 2


def test_its_file() -> None:
    ring = renewed(renewed(renewed((), ONE, NOW), TWO, NOW + 1), THREE, NOW + 2)
    assert unpack(pack(ring)) == ring
    assert unpack(pack(())) == ()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"maw-node-key-1:x",
        b"maw-seal-keys-1\nAAAA 1\n",
        b"maw-seal-keys-1\n!! 1\n",
        pack((Pair(ONE, 1), Pair(TWO, 2))),
        pack((Pair(ONE, 1, 2),)),
        pack((Pair(ONE, 1),)).replace(b" 1", b""),
        b"\xff",
    ],
)
def test_another_file_is_none(data: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        unpack(data)
