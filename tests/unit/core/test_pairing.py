import base64
import dataclasses

import msgpack
import pytest

from maw.core.identity import NodeId, key_text
from maw.core.pairing import (
    RETRY_SECONDS,
    Accept,
    Denied,
    Idempotent,
    Invite,
    InviteLine,
    Use,
    _checksum,
    check_line,
    encode_line,
    invite_id,
    join_mac,
    judge,
    parse_line,
)
from maw.errors import BadInput, Refused

NOW = 1_800_000_000
ARTHUR, FORD, ZAPHOD = (NodeId(bytes([n]) * 32) for n in (1, 2, 3))
LINE = InviteLine(
    b"c" * 32, ARTHUR, "oracle-world", ("10.7.0.1:6290", "[fd00::1]:6290"), b"s" * 16, NOW + 600
)
INVITE = Invite(b"s" * 16, NOW + 600)


def line_of(body: object) -> str:
    raw: bytes = msgpack.packb(body)
    return "maw-invite-1:" + base64.urlsafe_b64encode(raw + _checksum(raw)).decode().rstrip("=")


def code_of(text: str) -> str:
    with pytest.raises(BadInput) as caught:
        parse_line(text)
    assert caught.value.hint
    return caught.value.code


def test_a_line_says_what_was_put_into_it() -> None:
    text = encode_line(LINE)
    assert text.startswith("maw-invite-1:")
    assert text.isprintable()
    assert " " not in text
    assert parse_line(text) == LINE


@pytest.mark.parametrize("dress", ["  {}\n", "'{}'", '"{}"', "`{}`", "“{}”", "<{}>", "\t'{}' \r\n"])
def test_white_space_and_quotes_around_it_do_not_matter(dress: str) -> None:
    assert parse_line(dress.format(encode_line(LINE))) == LINE


def test_a_line_that_a_terminal_wrapped_is_whole() -> None:
    text = encode_line(LINE)
    assert parse_line("\n  ".join(text[i : i + 40] for i in range(0, len(text), 40))) == LINE


@pytest.mark.parametrize(
    "text", ["", "hello", "maw-invite", "maw-invite-x:abc", "mk1abc", "\x00", "a" * 9000]
)
def test_something_else_is_not_an_invite(text: str) -> None:
    assert code_of(text) == "not_an_invite"


def test_another_version_is_named() -> None:
    with pytest.raises(BadInput, match="version 2") as caught:
        parse_line(encode_line(LINE).replace("-1:", "-2:"))
    assert caught.value.code == "invite_version"


def test_every_truncation_is_found_and_called_cut_off() -> None:
    text = encode_line(LINE)
    for end in range(len("maw-invite-1:"), len(text)):
        assert code_of(text[:end]) in ("invite_truncated", "invite_mistyped")
    # The last characters hold the checksum: without them the line is cut off and nothing else.
    assert code_of(text[:-1]) == "invite_truncated"
    assert code_of(text[:-4]) == "invite_truncated"
    assert code_of(text[:60]) == "invite_truncated"


def test_every_mistyped_character_is_found() -> None:
    text = encode_line(LINE)
    for at in range(len("maw-invite-1:"), len(text)):
        wrong = "A" if text[at] != "A" else "B"
        assert code_of(text[:at] + wrong + text[at + 1 :]) in ("invite_mistyped", "invite_truncated")
    assert code_of(text + "AAAA") == "invite_mistyped"
    assert code_of(text[:-1] + "*") == "invite_mistyped"


@pytest.mark.parametrize(
    ("field", "value"),
    [(0, b"c"), (1, b"k" * 31), (2, ""), (2, "a\x1b[2J"), (2, 7), (3, "10.0.0.1:1"), (3, [7]), (3, [""]),
     (4, b"short"), (5, -1), (5, "soon"), (5, True), (5, 2**63), (5, 1.5)],
)  # fmt: skip
def test_a_good_checksum_over_nonsense_is_still_refused(field: int, value: object) -> None:
    body: list[object] = [
        LINE.colony,
        LINE.node,
        LINE.name,
        list(LINE.addresses),
        LINE.secret,
        LINE.expires_at,
    ]
    body[field] = value
    assert code_of(line_of(body)) == "invite_malformed"


@pytest.mark.parametrize("body", [None, {}, [], 7, [b"c" * 32]])
def test_a_good_checksum_over_something_else_is_refused(body: object) -> None:
    assert code_of(line_of(body)) == "invite_malformed"


def test_no_repr_shows_the_secret() -> None:
    secret = b"0123456789abcdef"
    shown = repr(dataclasses.replace(LINE, secret=secret)) + repr(Invite(secret, NOW))
    assert secret.decode() not in shown
    assert secret.hex() not in shown


def test_the_id_is_of_the_secret_and_does_not_hold_it() -> None:
    assert LINE.invite_id == INVITE.invite_id == invite_id(b"s" * 16)
    assert len(LINE.invite_id) == 16
    assert invite_id(b"t" * 16) != LINE.invite_id


def test_the_mac_covers_all_it_is_given() -> None:
    macs = {
        join_mac(b"s" * 16, b"t", b"g", "ford"),
        join_mac(b"x" * 16, b"t", b"g", "ford"),
        join_mac(b"s" * 16, b"u", b"g", "ford"),
        join_mac(b"s" * 16, b"t", b"h", "ford"),
        join_mac(b"s" * 16, b"t", b"g", "zaphod"),
    }
    assert len(macs) == 5
    assert {len(mac) for mac in macs} == {32}


class TestJudge:
    def test_a_fresh_invite_lets_anybody_in(self) -> None:
        assert judge(INVITE, FORD, NOW) == Accept()

    def test_what_nobody_made_is_unknown(self) -> None:
        verdict = judge(None, FORD, NOW)
        assert isinstance(verdict, Denied)
        assert verdict.code == "unknown"

    def test_its_last_second_counts_and_the_next_does_not(self) -> None:
        assert judge(INVITE, FORD, NOW + 599.9) == Accept()
        verdict = judge(INVITE, FORD, NOW + 600)
        assert isinstance(verdict, Denied)
        assert verdict.code == "expired"
        assert "2027-01-15 08:10:00 UTC" in verdict.reason

    def test_the_same_key_may_come_again_for_a_day_even_after_the_expiry(self) -> None:
        used = dataclasses.replace(INVITE, used=(Use(FORD, "ford", NOW),))
        assert judge(used, FORD, NOW) == Idempotent()
        assert judge(used, FORD, NOW + RETRY_SECONDS - 1) == Idempotent()
        verdict = judge(used, FORD, NOW + RETRY_SECONDS)
        assert isinstance(verdict, Denied)
        assert verdict.code == "used"

    def test_anybody_else_is_told_who_used_it_and_when(self) -> None:
        used = dataclasses.replace(INVITE, used=(Use(FORD, "ford", NOW),))
        for now in (NOW + 1, NOW + 10_000):
            verdict = judge(used, ZAPHOD, now)
            assert isinstance(verdict, Denied)
            assert verdict.code == "used"
            assert "ford" in verdict.reason
            assert key_text(FORD) in verdict.reason
            assert "2027-01-15 08:00:00 UTC" in verdict.reason

    def test_an_invite_for_two_takes_two(self) -> None:
        two = dataclasses.replace(INVITE, uses=2, used=(Use(FORD, "ford", NOW),))
        assert judge(two, ZAPHOD, NOW) == Accept()
        three = dataclasses.replace(two, used=(*two.used, Use(ZAPHOD, "zaphod", NOW)))
        assert isinstance(judge(three, ARTHUR, NOW), Denied)

    def test_one_for_a_key_is_for_no_other(self) -> None:
        personal = dataclasses.replace(INVITE, only_for=FORD)
        assert judge(personal, FORD, NOW) == Accept()
        verdict = judge(personal, ZAPHOD, NOW)
        assert isinstance(verdict, Denied)
        assert verdict.code == "not_for_you"

    def test_one_to_confirm_waits_for_the_owner(self) -> None:
        asked = dataclasses.replace(INVITE, confirm=True)
        verdict = judge(asked, FORD, NOW)
        assert isinstance(verdict, Denied)
        assert verdict.code == "unconfirmed"
        assert key_text(FORD) in verdict.reason
        assert judge(dataclasses.replace(asked, confirmed=(FORD,)), FORD, NOW) == Accept()


class TestJoinersChecks:
    def test_a_good_line_passes(self) -> None:
        check_line(LINE, FORD, NOW)

    @pytest.mark.parametrize(
        ("line", "me", "now", "code"),
        [
            (LINE, ARTHUR, NOW, "own_invite"),
            (LINE, FORD, NOW + 600, "expired"),
            (dataclasses.replace(LINE, addresses=()), FORD, NOW, "no_address"),
        ],
    )
    def test_what_cannot_work_is_refused_before_dialling(
        self, line: InviteLine, me: NodeId, now: int, code: str
    ) -> None:
        with pytest.raises(Refused) as caught:
            check_line(line, me, now)
        assert caught.value.code == code
        assert caught.value.hint
