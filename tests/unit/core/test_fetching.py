"""Fetching blobs: of whom, in which order, what is believed; and giving them, a chunk at a time."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maw.core.blobs import CHUNK, blob_hash, chunk_count, chunk_hash, seal_chunk
from maw.core.effects import Effect, Hangup, KeepChunk, KeepList, ReadChunk, Send, Whole
from maw.core.fetching import ANSWER_S, INTEREST_S, WINDOW, Fetching
from maw.core.frames import (
    BlobChunk,
    BlobList,
    NoBlob,
    WantBlob,
    decode_frame,
    encode,
)
from maw.core.identity import NodeId
from maw.core.lending import MAX_ASKED, Lending
from maw.errors import ProtocolViolation

KEY: Final = bytes(32)
AUTHOR, OTHER, THIRD = NodeId(b"a" * 32), NodeId(b"o" * 32), NodeId(b"t" * 32)


class Blob:
    def __init__(self, size: int) -> None:
        self.size = size
        count = chunk_count(size)
        plain = bytes(size)
        self.chunks = [
            seal_chunk(KEY, n, plain[n * CHUNK : (n + 1) * CHUNK], last=n == count - 1) for n in range(count)
        ]
        self.hashes = b"".join(map(chunk_hash, self.chunks))
        self.name = blob_hash(self.hashes)

    def answers(self, want: WantBlob) -> list[BlobList | BlobChunk]:
        if not want.count:
            return [BlobList(self.name, self.hashes)]
        return [BlobChunk(self.name, n, self.chunks[n]) for n in range(want.first, want.first + want.count)]


SMALL: Final = Blob(3 * CHUNK + 5)
LARGE: Final = Blob(40 * CHUNK)


class Host:
    """A Fetching whose disk is a dict, and links that answer when told to."""

    def __init__(self, blob: Blob, links: dict[int, NodeId]) -> None:
        self.blob = blob
        self.machine = Fetching()
        self.disk: dict[int, bytes] = {}
        self.list: bytes | None = None
        self.wants: dict[int, list[WantBlob]] = {}
        self.coming: dict[int, list[BlobList | BlobChunk]] = {}
        self.given: dict[int, int] = {}
        self.whole = False
        self.hung: list[int] = []
        for link, peer in links.items():
            self.do(self.machine.link_up(link, peer, 0.0))

    def want(self, now: float = 0.0) -> None:
        kept = len(self.disk)
        self.do(self.machine.want(self.blob.name, self.blob.size, AUTHOR, self.list, kept, now))

    def do(self, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case Send(link, WantBlob() as want):
                    self.wants.setdefault(link, []).append(want)
                case KeepList(_, hashes):
                    self.list = hashes
                case KeepChunk(_, number, data):
                    assert number == len(self.disk), "in order, and each once"
                    self.disk[number] = data
                    self.do(self.machine.kept(self.blob.name, number, 0.0))
                case Whole():
                    self.whole = True
                    self.machine.done(self.blob.name)
                case Hangup(link):
                    self.hung.append(link)

    def answer(self, link: int, most: int = 1_000) -> None:
        """What was asked over it is given, at most so many frames."""
        while most and (self.wants.get(link) or self.coming.get(link)):
            coming = self.coming.setdefault(link, [])
            if not coming:
                coming += self.blob.answers(self.wants[link].pop(0))
            most -= 1
            self.given[link] = self.given.get(link, 0) + 1
            self.do(self.machine.received(link, coming.pop(0), 0.0))


def test_the_authors_own_node_is_asked_first_and_all_comes() -> None:
    host = Host(SMALL, {1: OTHER, 2: AUTHOR})
    host.want()
    assert host.wants == {2: [WantBlob(SMALL.name, 0, 0)]}
    host.answer(2)
    assert host.whole
    assert [host.disk[n] for n in range(4)] == SMALL.chunks
    assert not host.machine.under_way


def test_who_has_nothing_is_passed_over_and_asked_again_only_on_purpose() -> None:
    host = Host(SMALL, {1: OTHER, 2: AUTHOR})
    host.want()
    host.do(host.machine.received(2, NoBlob(SMALL.name), 0.0))
    assert list(host.wants[1]) == [WantBlob(SMALL.name, 0, 0)]
    host.do(host.machine.received(1, NoBlob(SMALL.name), 0.0))
    progress = host.machine.progress(SMALL.name)
    assert progress is not None and progress.asked and progress.through is None
    host.want()
    assert len(host.wants[2]) == 1
    host.do(host.machine.again(SMALL.name, 0.0))
    assert len(host.wants[2]) == 2
    host.wants[2].pop(0)
    host.answer(2)
    assert host.whole


def test_a_new_link_is_asked_at_once() -> None:
    host = Host(SMALL, {1: OTHER})
    host.want()
    host.do(host.machine.received(1, NoBlob(SMALL.name), 0.0))
    host.do(host.machine.link_up(3, AUTHOR, 1.0))
    host.answer(3)
    assert host.whole


def test_another_link_goes_on_where_one_ended() -> None:
    host = Host(LARGE, {1: AUTHOR, 2: OTHER})
    host.want()
    host.answer(1, most=5)
    had = len(host.disk)
    assert had == 4
    host.do(host.machine.link_down(1, 0.0))
    assert host.wants[2] == [WantBlob(LARGE.name, had, WINDOW)]
    host.answer(2)
    assert host.whole
    assert host.given[2] == 40 - had


def test_after_a_restart_only_what_is_lacking_is_asked_for() -> None:
    host = Host(LARGE, {1: AUTHOR})
    host.list = LARGE.hashes
    host.disk = dict(enumerate(LARGE.chunks[:30]))
    host.want()
    assert host.wants[1] == [WantBlob(LARGE.name, 30, 10)]
    host.answer(1)
    assert host.whole


def test_what_was_all_here_needs_nobody() -> None:
    host = Host(SMALL, {})
    host.list, host.disk = SMALL.hashes, dict(enumerate(SMALL.chunks))
    host.want()
    assert host.whole


def test_what_is_not_written_yet_is_bounded() -> None:
    machine = Fetching()
    machine.link_up(1, AUTHOR, 0.0)
    machine.want(LARGE.name, LARGE.size, AUTHOR, None, 0, 0.0)
    effects = machine.received(1, BlobList(LARGE.name, LARGE.hashes), 0.0)
    assert effects[1:] == [Send(1, WantBlob(LARGE.name, 0, WINDOW))]
    for frame in LARGE.answers(WantBlob(LARGE.name, 0, WINDOW)):
        effects = machine.received(1, frame, 0.0)
        assert [type(one) for one in effects] == [KeepChunk]
    asked = [one for n in range(WINDOW) for one in machine.kept(LARGE.name, n, 0.0)]
    assert [one.frame for one in asked if isinstance(one, Send)] == [
        WantBlob(LARGE.name, WINDOW, WINDOW // 2),
        WantBlob(LARGE.name, WINDOW + WINDOW // 2, WINDOW // 2),
    ]


def test_who_gives_something_else_loses_the_link_and_another_is_asked() -> None:
    chunk = BlobChunk(SMALL.name, 0, SMALL.chunks[0])
    for lie in (replace(chunk, data=bytes(len(chunk.data))), replace(chunk, data=chunk.data[:-1])):
        host = Host(SMALL, {1: AUTHOR, 2: OTHER})
        host.want()
        host.do(host.machine.received(1, BlobList(SMALL.name, SMALL.hashes), 0.0))
        host.do(host.machine.received(1, lie, 0.0))
        assert (host.hung, host.disk) == ([1], {})
        host.answer(2)
        assert host.whole
    host = Host(SMALL, {1: AUTHOR, 2: OTHER})
    host.want()
    host.do(host.machine.received(1, BlobList(SMALL.name, SMALL.hashes[::-1]), 0.0))
    assert (host.hung, host.list) == ([1], None)


def test_a_message_that_says_another_size_is_nobodys_fault_and_comes_to_nothing() -> None:
    machine = Fetching()
    machine.link_up(1, AUTHOR, 0.0)
    machine.want(SMALL.name, SMALL.size + CHUNK, AUTHOR, None, 0, 0.0)
    assert machine.received(1, BlobList(SMALL.name, SMALL.hashes), 0.0) == []
    progress = machine.progress(SMALL.name)
    assert progress is not None and progress.asked


@pytest.mark.parametrize("off", [-1, 1, CHUNK - 5])
def test_neither_is_a_size_of_as_many_chunks(off: int) -> None:
    host = Host(SMALL, {1: AUTHOR, 2: OTHER})
    host.do(host.machine.want(SMALL.name, SMALL.size + off, AUTHOR, None, 0, 0.0))
    for link in (1, 2):
        for _ in range(3):
            host.answer(link)
    progress = host.machine.progress(SMALL.name)
    assert progress is not None and progress.asked and not host.hung and not host.whole


def test_what_nobody_asked_for_is_not_taken() -> None:
    host = Host(LARGE, {1: AUTHOR, 2: OTHER})
    list_, chunk = BlobList(LARGE.name, LARGE.hashes), BlobChunk(LARGE.name, 0, LARGE.chunks[0])
    assert not host.machine.is_due(1, list_)
    host.want()
    assert not host.machine.is_due(2, list_) and not host.machine.is_due(1, chunk)
    host.do(host.machine.received(2, list_, 0.0) + host.machine.received(1, chunk, 0.0))
    assert (host.list, host.disk, host.hung) == (None, {}, [])
    host.do(host.machine.received(1, list_, 0.0))
    assert host.machine.is_due(1, chunk)
    assert not host.machine.is_due(1, BlobChunk(LARGE.name, 1, LARGE.chunks[1])), "in order"


def test_who_is_silent_is_passed_over() -> None:
    host = Host(SMALL, {1: AUTHOR, 2: OTHER})
    host.want()
    host.do(host.machine.tick(ANSWER_S - 1))
    assert 2 not in host.wants
    host.do(host.machine.tick(ANSWER_S))
    assert host.wants[2] == [WantBlob(SMALL.name, 0, 0)]


def test_one_blob_at_a_time_over_a_link() -> None:
    machine = Fetching()
    machine.link_up(1, AUTHOR, 0.0)
    assert machine.want(SMALL.name, SMALL.size, AUTHOR, None, 0, 0.0)
    assert machine.want(LARGE.name, LARGE.size, AUTHOR, None, 0, 0.0) == []
    effects = machine.received(1, NoBlob(SMALL.name), 0.0)
    assert effects == [Send(1, WantBlob(LARGE.name, 0, 0))]


def test_what_nobody_waits_for_any_more_is_forgotten() -> None:
    host = Host(SMALL, {1: OTHER})
    host.want()
    host.do(host.machine.received(1, NoBlob(SMALL.name), 0.0))
    host.do(host.machine.tick(INTEREST_S - 1))
    assert host.machine.under_way
    host.want(INTEREST_S - 1)
    host.do(host.machine.tick(INTEREST_S))
    assert host.machine.under_way
    host.do(host.machine.tick(2 * INTEREST_S))
    assert not host.machine.under_way


@given(st.lists(st.tuples(st.sampled_from(["answer", "down", "up", "lack", "tick"]), st.integers(1, 20))))
def test_whatever_links_do_each_chunk_is_taken_once_and_it_comes_in_the_end(
    steps: list[tuple[str, int]],
) -> None:
    host = Host(LARGE, {})
    live: list[int] = []
    number, now = 0, 0.0
    host.want()
    for what, amount in [*steps, ("up", 1), ("answer", 1_000)]:
        if host.whole:
            break
        if what == "up":
            number += 1
            live.append(number)
            host.do(host.machine.link_up(number, THIRD if amount % 2 else AUTHOR, now))
        elif what == "tick":
            now += amount
            host.want(now)
            host.do(host.machine.tick(now))
        elif live:
            link = live[amount % len(live)]
            if what == "down":
                live.remove(link)
                host.wants.pop(link, None)
                host.coming.pop(link, None)
                host.do(host.machine.link_down(link, now))
            elif what == "lack":
                host.wants.pop(link, None)
                host.coming.pop(link, None)
                host.do(host.machine.received(link, NoBlob(LARGE.name), now))
            else:
                for one in live:
                    host.answer(one, amount)
    assert host.whole
    assert [host.disk[n] for n in range(40)] == LARGE.chunks
    assert not host.hung


# -- lending ----------------------------------------------------------------------------------------


def test_a_chunk_at_a_time_is_read_and_given() -> None:
    lending = Lending()
    lending.link_up(1)
    assert lending.wanted(1, WantBlob(SMALL.name, 0, 0)) == [ReadChunk(1, SMALL.name, None)]
    assert lending.wanted(1, WantBlob(SMALL.name, 2, 2)) == []
    assert lending.read(1, SMALL.name, None, SMALL.hashes) == [
        Send(1, BlobList(SMALL.name, SMALL.hashes)), ReadChunk(1, SMALL.name, 2),
    ]  # fmt: skip
    effects = lending.read(1, SMALL.name, 2, b"two")
    assert effects == [Send(1, BlobChunk(SMALL.name, 2, b"two")), ReadChunk(1, SMALL.name, 3)]
    assert lending.read(1, SMALL.name, 3, b"three") == [Send(1, BlobChunk(SMALL.name, 3, b"three"))]


def test_what_is_not_here_is_said_once() -> None:
    lending = Lending()
    lending.link_up(1)
    lending.wanted(1, WantBlob(SMALL.name, 0, 8))
    lending.wanted(1, WantBlob(LARGE.name, 0, 0))
    assert lending.read(1, SMALL.name, 0, None) == [
        Send(1, NoBlob(SMALL.name)), ReadChunk(1, LARGE.name, None),
    ]  # fmt: skip


def test_who_asks_for_too_much_loses_the_link() -> None:
    lending = Lending()
    lending.link_up(1)
    lending.wanted(1, WantBlob(SMALL.name, 0, MAX_ASKED))
    assert lending.wanted(1, WantBlob(SMALL.name, 0, 1)) == []
    (hangup,) = lending.wanted(1, WantBlob(SMALL.name, 0, 1))
    assert isinstance(hangup, Hangup) and hangup.code == "too_many_wanted"
    lending.link_down(1)
    assert lending.wanted(1, WantBlob(SMALL.name, 0, 1)) == lending.read(1, SMALL.name, 0, b"x") == []


# -- frames -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "frame",
    [
        WantBlob(SMALL.name, 3, 16), BlobList(SMALL.name, SMALL.hashes),
        BlobChunk(SMALL.name, 3, SMALL.chunks[3]), NoBlob(SMALL.name),
    ],
)  # fmt: skip
def test_frames_there_and_back(frame: WantBlob | BlobList | BlobChunk | NoBlob) -> None:
    assert decode_frame(encode(frame)) == frame


@pytest.mark.parametrize(
    "frame",
    [
        WantBlob(b"short", 0, 1), WantBlob(SMALL.name, 0, 1025), WantBlob(SMALL.name, -1, 1),
        BlobList(SMALL.name, b""), BlobList(SMALL.name, bytes(33)), BlobList(SMALL.name, bytes(32 * 1025)),
        BlobChunk(SMALL.name, 0, bytes(15)), BlobChunk(SMALL.name, 0, bytes(CHUNK + 17)),
        BlobChunk(SMALL.name, 1025, bytes(16)),
    ],
)  # fmt: skip
def test_frames_that_no_honest_node_sends(frame: WantBlob | BlobList | BlobChunk) -> None:
    with pytest.raises(ProtocolViolation):
        decode_frame(encode(frame))
