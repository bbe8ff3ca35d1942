"""By what a request is known again: its mark, which tells nothing, and what was asked for."""

from __future__ import annotations

from maw.core.colony import Recipient, Said
from maw.core.entry import Kind, pack_content, unpack_content
from maw.core.identity import NodeId, Signer
from maw.core.once import MARK_BYTES, Marks, request_of
from maw.core.word import sign_word

ONE, OTHER = Signer(b"1" * 32), Signer(b"2" * 32)
AGENT = b"a" * 16
POST = Said(
    AGENT, "bot", "agent", "uid", "hi", ("neo",), "k7q2mx-syvr30-42", "general", once=b"m" * MARK_BYTES
)
TO = (Recipient(NodeId(b"n" * 32), b"b" * 16, "neo", "oracle"),)
DIRECT = POST._replace(channel=None, to=TO)


def read(said: Said) -> Said:
    return Said.read(unpack_content(pack_content(said.content())), direct=said.channel is None)


def test_a_mark_is_of_one_key_of_one_agent_of_one_node() -> None:
    mark = Marks(ONE).mark(AGENT, "key")
    assert len(mark) == MARK_BYTES
    assert mark == Marks(Signer(ONE.seed)).mark(AGENT, "key"), "the key file is all it takes"
    others = [
        Marks(OTHER).mark(AGENT, "key"),
        Marks(ONE).mark(b"b" * 16, "key"),
        Marks(ONE).mark(AGENT, "keY"),
    ]
    assert len({mark, *others}) == 4


def test_the_mark_travels_in_the_message_and_is_no_part_of_what_it_says() -> None:
    assert read(POST) == POST
    assert read(DIRECT).once == POST.once
    assert "once" not in POST._replace(once=None).content()
    for strange in (5, "text", [1], None):
        assert Said.read({**POST.content(), "once": strange}, direct=False).once is None, "whoever wrote that"


def test_what_was_asked_for_is_read_out_of_the_message() -> None:
    word = sign_word(OTHER, b"c" * 32, ONE.node, 1, b"n" * 16, True, ("#general",), "hi").content()
    for kind, said in ((Kind.POST, POST), (Kind.DIRECT, DIRECT), (Kind.POST, POST._replace(word=word))):
        assert request_of(kind, read(said)) == request_of(kind, said)
    asked = [POST, POST._replace(text="ho"), POST._replace(channel="ops"), POST._replace(reply_to=None)]
    asked += [POST._replace(word=word), DIRECT, DIRECT._replace(to=TO * 2)]
    asked.append(POST._replace(intent="ask"))
    assert len({request_of(Kind.POST, said) for said in asked}) == len(asked)
    assert request_of(Kind.POST, POST) == request_of(Kind.POST, POST._replace(once=None, known_by="token"))
