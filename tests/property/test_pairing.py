"""Whatever is pasted after `maw join`, the answer is an invite or one clear BadInput."""

import base64

import msgpack
from hypothesis import given
from hypothesis import strategies as st

from maw.core.identity import NodeId
from maw.core.pairing import InviteLine, _checksum, encode_line, parse_line
from maw.errors import BadInput

CODES = {"not_an_invite", "invite_version", "invite_truncated", "invite_mistyped", "invite_malformed"}
WORDS = st.text(st.characters(categories=("L", "N", "P")), min_size=1, max_size=40)

lines = st.builds(
    InviteLine,
    colony=st.binary(min_size=32, max_size=32),
    node=st.binary(min_size=32, max_size=32).map(NodeId),
    name=WORDS,
    addresses=st.lists(WORDS, max_size=16).map(tuple),
    secret=st.binary(min_size=16, max_size=16),
    expires_at=st.integers(0, 253402300799),
)


def parsed(text: str) -> InviteLine | None:
    try:
        return parse_line(text)
    except BadInput as problem:
        assert problem.code in CODES
        assert problem.message.isprintable()
        return None


@given(lines)
def test_what_was_printed_is_what_is_read(line: InviteLine) -> None:
    assert parse_line(encode_line(line)) == line


@given(st.text())
def test_any_text(text: str) -> None:
    parsed(text)
    parsed("maw-invite-1:" + text)


@given(st.binary(max_size=300))
def test_any_bytes_in_the_right_dress(raw: bytes) -> None:

    parsed("maw-invite-1:" + base64.urlsafe_b64encode(raw).decode().rstrip("="))


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.binary() | st.text(),
        lambda inner: st.lists(inner, max_size=8) | st.dictionaries(st.text(), inner, max_size=4),
        max_leaves=20,
    )
)
def test_any_value_under_a_good_checksum(body: object) -> None:

    raw = msgpack.packb(body)
    assert parsed("maw-invite-1:" + base64.urlsafe_b64encode(raw + _checksum(raw)).decode()) is None


@given(lines, st.data())
def test_one_changed_character_never_passes(line: InviteLine, data: st.DataObject) -> None:
    text = encode_line(line)
    at = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.characters(exclude_characters=text[at]))
    found = parsed(text[:at] + other + text[at + 1 :])
    assert found is None
