"""Names, addresses, suggestions, mentions."""

from __future__ import annotations

import time

import pytest

from maw.core.names import (
    MAX_MENTIONS,
    RESERVED,
    Address,
    NameKind,
    check_name,
    folded_name,
    mentions,
    nearest,
    parse_address,
)
from maw.errors import BadInput


@pytest.mark.parametrize(
    ("word", "name"),
    [
        ("arthur", "arthur"),
        ("DustBoy", "dustboy"),
        ("101-mawjs", "101-mawjs"),
        ("a_b-c", "a_b-c"),
        ("a" * 32, "a" * 32),
        ("0", "0"),
        ("a-", "a-"),
    ],
)
def test_a_good_name_is_folded(word: str, name: str) -> None:
    assert check_name(word) == name


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("", "is empty"),
        ("a" * 33, "33 characters"),
        ("ar thur", "' ' at position 3"),
        ("arthur!", "'!' at position 7"),
        ("-arthur", "begins with '-'"),
        ("_a", "begins with '_'"),
        ("é", "U+00E9 at position 1"),
        ("a\u202eb", "U+202E at position 2"),
        ("a\nb", "U+000A at position 2"),
        ("\u212aim", "U+212A at position 1"),  # KELVIN SIGN, which str.lower makes a k
        ("١", "U+0661"),  # a digit, and no ASCII one
        ("a.b", "'.' at position 2"),
        ("arthur@mbp", "'@' at position 7"),
    ],
)
def test_a_bad_name_is_refused_with_the_character_and_its_place(word: str, says: str) -> None:
    with pytest.raises(BadInput) as caught:
        check_name(word)
    assert says in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize("word", sorted(RESERVED))
@pytest.mark.parametrize("kind", ["agent", "node"])
def test_reserved_names_are_for_nobody(word: str, kind: NameKind) -> None:
    with pytest.raises(BadInput) as caught:
        check_name(word.upper(), kind)
    assert caught.value.code == "reserved_name"


def test_a_channel_may_be_called_system() -> None:
    assert check_name("System", "channel") == "system"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("oracle-world", "oracle-world"),
        ("MBP", "mbp"),
        ("Nat's MacBook", "nat-s-macbook"),
        ("-_x_-", "x"),
        ("กขค", ""),
        ("all", ""),
        ("a" * 40, "a" * 32),
    ],
)
def test_a_host_name_becomes_the_nearest_allowed_one(text: str, name: str) -> None:
    assert folded_name(text) == name


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("arthur", Address("arthur")),
        ("@arthur", Address("arthur")),
        ("arthur@mbp", Address("arthur", "mbp")),
        (" @Arthur@MBP ", Address("arthur", "mbp")),
        ("@agents", Address("agents")),
        ("@All@mbp", Address("all", "mbp")),
    ],
)
def test_an_address_is_read(text: str, address: Address) -> None:
    assert parse_address(text) == address


def test_an_address_is_written_as_it_is_read() -> None:
    assert str(Address("arthur", "mbp")) == "arthur@mbp"
    assert str(Address("arthur")) == "arthur"


@pytest.mark.parametrize("text", ["", "@", "@@a", "a@", "a@b@c", "@operator", "a@all", "a b"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(BadInput):
        parse_address(text)


@pytest.mark.parametrize(
    ("word", "known", "expected"),
    [
        ("sned", ["send", "read", "sent"], ["send"]),
        ("arthru", ["neo", "arthur"], ["arthur"]),
        ("art", ["arthur", "dart"], ["arthur", "dart"]),
        ("ARTHUR", ["arthur"], ["arthur"]),
        ("xyz", ["arthur"], []),
        ("adress", ["name", "addresses"], ["addresses"]),
        ("x", [], []),
    ],
)
def test_the_nearest_known_words(word: str, known: list[str], expected: list[str]) -> None:
    assert nearest(word, known) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("hi @arthur", ("arthur",)),
        ("@Arthur, and @neo@Oracle-World!", ("arthur", "neo@oracle-world")),
        ("@arthur @ARTHUR (@arthur)", ("arthur",)),
        ("@b then @a", ("b", "a")),
        ("@agents @apes @all", ("agents", "apes", "all")),
        ("cc:@arthur; .@neo -@pi *@x*", ("arthur", "neo", "pi", "x")),
        ("@arthur's, @neo.", ("arthur", "neo")),
        ("ถึง@arthurช่วยดู", ("arthur",)),
        ("@arthurさん", ("arthur",)),
        ("@arthuré", ()),
        ("@arthure\u0301", ()),
        ("@" + "a" * 33, ()),
        ("@" + "a" * 32, ("a" * 32,)),
        ("mail bob@arthur.com, x+y@neo", ()),
        ("https://medium.com/@arthur/post?x=@neo", ()),
        ("www.example.org/@arthur", ()),
        ("[@arthur](https://x.org/@neo) @pi", ("arthur", "pi")),
        ("npm i @types/node", ()),
        ("@arthur.example.org", ()),
        ("@a@b@c", ()),
        ("@@arthur", ()),
        ("@ arthur", ()),
        ("`@arthur` @neo", ("neo",)),
        ("``@a ` @b`` @neo", ("neo",)),
        ("a ` stray @neo", ("neo",)),
        ("a ` stray @neo\n\nand ` another", ("neo",)),
        ("x\n```py\n@arthur\n```\n@neo", ("neo",)),
        ("~~~\n@arthur\n```\n@pi\n~~~\n@neo", ("neo",)),
        ("```\nnever closed @arthur", ()),
        ("````\n```\n@arthur\n````\n@neo", ("neo",)),
        ("nothing", ()),
        ("", ()),
    ],
)
def test_mentions(text: str, expected: tuple[str, ...]) -> None:
    assert mentions(text) == expected


def test_mentions_are_at_most_64() -> None:
    text = " ".join(f"@a{number}" for number in range(100))
    assert mentions(text) == tuple(f"a{number}" for number in range(MAX_MENTIONS))


@pytest.mark.parametrize(
    "text",
    [
        "@a" * 32_000,
        "@" + "a" * 64_000,
        "` `` " * 13_000 + "@x",
        "```\n" * 16_000 + "@",
        "http" * 16_000 + "@",
    ],
)
def test_no_text_makes_looking_for_mentions_slow(text: str) -> None:
    # Quadratic behaviour would take tens of seconds here; linear takes a few hundredths of one.
    started = time.process_time()
    mentions(text)
    assert time.process_time() - started < 2.0


def test_an_address_may_say_which_of_two_hosts_with_one_name() -> None:
    assert parse_address("@neo@hosta~627rh7") == Address("neo", "hosta~627rh7")
    key = "mk1" + "a" * 56
    assert parse_address(f"neo@{key}") == Address("neo", key)
    with pytest.raises(BadInput, match="piece of a key"):
        parse_address("neo@hosta~8")
