"""What looks like a credential is found; what developers write all day is not."""

from __future__ import annotations

import base64
import hashlib
import random
import time
import uuid
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maw.core.credentials import TOKEN_PREFIX, find_credential, masked
from maw.core.identity import Signer
from maw.core.pairing import InviteLine, encode_line
from maw.node.directory import new_token
from maw.node.home import key_file_bytes

CHANCE = random.Random(7)
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"


def some(count: int, letters: str = LETTERS) -> str:
    return "".join(CHANCE.choice(letters) for _ in range(count))


BODY = base64.b64encode(CHANCE.randbytes(600)).decode()
FOUND = [
    ("AKIA" + some(16, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"), "an AWS access key"),
    ("ghp_" + some(36), "a GitHub token"),
    ("github_" + "pat_" + some(22) + "_" + some(59), "a GitHub token"),
    ("glpat-" + some(20), "a GitLab token"),
    ("xoxb-" + "123456789012-" + some(24), "a Slack token"),
    ("https://hooks.slack.com/services/T" + some(8, "ABC0123") + "/B" + some(8, "ABC0123") + "/" + some(24),
     "a Slack webhook"),
    ("sk-" + "ant-api03-" + some(90), "an Anthropic key"),
    ("sk-" + "proj-" + some(100), "an OpenAI key"),
    ("sk-" + some(20) + "T3Blbk" + "FJ" + some(20), "an OpenAI key"),
    ("AIza" + some(35), "a Google API key"),
    ("sk_" + "live_" + some(24), "a Stripe key"),
    ("npm_" + some(36), "an npm token"),
    ("eyJ" + some(20) + ".eyJ" + some(60) + "." + some(43), "a JSON web token"),
    ("-----BEGIN " + "OPENSSH PRIVATE KEY-----\n" + BODY, "a private key"),
    ("-----BEGIN " + "PRIVATE KEY-----\\n" + BODY, "a private key"),
    (new_token(), "a maw token"),
    (key_file_bytes("node", CHANCE.randbytes(32)).decode(), "a maw key"),
    (key_file_bytes("operator-sealed", CHANCE.randbytes(80)).decode(), "a maw key"),
    ("password = 'tR0ub4dor&3xy'", "a password"),
    ("export DB_PASSWORD=Zk3-92ma_Qp1x", "a password"),
    ('"client_secret": "' + some(32) + '"', "a secret"),
    ("AWS_SECRET_ACCESS_KEY=" + some(40, LETTERS + "/+"), "a secret"),
    ("API_KEY: " + hashlib.sha256(b"x").hexdigest(), "a secret"),
    ("Authorization: Bearer " + some(40), "a bearer token"),
    ("authorization: Basic " + base64.b64encode(b"arthur:Dont-Panic-42x").decode(), "a password"),
    ("postgres://maw:s3cr3tPa55@db.example.org/maw", "a link with a password"),
    ("git clone https://arthur:" + some(20) + "@github.com/x/y", "a link with a password"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "kind"), FOUND, ids=[f"{at}-{kind}" for at, (_, kind) in enumerate(FOUND)])
def test_it_is_found_wherever_it_stands(text: str, kind: str) -> None:
    for before, after in (
        ("", ""),
        ("the log says\n  see: ", " and then\nmore"),
        ("`", "`"),
        ("x=1;\n", ","),
    ):
        found = find_credential(before + text + after)
        assert found is not None and found.kind == kind, (before, found)
        assert found.line >= before.count("\n") + 1


def test_it_is_told_where_it_stands_and_the_first_is_told() -> None:
    text = "one\ntwo AKIA" + some(16, "ABCDEFGH234567") + "\nghp_" + some(36)
    assert find_credential(text) == ("an AWS access key", 2, 5)
    assert find_credential("é" * 20 + " ghp_" + some(36)) == ("a GitHub token", 1, 22)


def test_an_invite_is_found() -> None:
    line = InviteLine(
        b"c" * 32, Signer(b"1" * 32).node, "mbp", ("10.0.0.1:6290",), CHANCE.randbytes(16), 1_800_000_000
    )
    found = find_credential("join with " + encode_line(line))
    assert found is not None and found.kind == "a maw invite"


def _ordinary() -> list[str]:
    chance = random.Random(11)
    sha = [hashlib.sha1(bytes([n])).hexdigest() for n in range(100)]
    return [
        "\n".join(f"commit {one}\nAuthor: Arthur <arthur@example.org>\nMerge: {one[:7]} {one[8:15]}" for one in sha),
        "\n".join(str(uuid.UUID(int=chance.getrandbits(128))) for _ in range(100)),
        f"![towel](data:image/png;base64,{base64.b64encode(chance.randbytes(40_000)).decode()})",
        "\n".join(
            f"foo=={n}.{n}.1 \\\n    --hash=sha256:{hashlib.sha256(bytes([n])).hexdigest()}" for n in range(100)
        ),
        "\n".join(
            f"2026-11-22T10:00:{n:02}Z INFO [worker-{n}] GET /api/v1/things/{chance.randrange(10**9)}?token_id={n} 200"
            for n in range(60)
        ),
        "PASS tests/auth/password.test.ts (password: string) => boolean; const password = await ask('Password: ')",
        "password=$PASSWORD secret=${SECRET} api_key=<your key> token={token} passwd: ******** PASSWORD=changeme",
        "secret_key = settings.secret_key; password = os.environ['DB_PASSWORD_2'] ; passwd=getpass.getpass()",
        "the file begins with -----BEGIN PRIVATE KEY----- and ends with -----END PRIVATE KEY-----",
        "AKIAIOSFODNN7EXAMPLE sk-ant-xxxxxxxxxxxxxxxxxxxxxxxxxxxx ghp_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
        "postgres://user:password@localhost/db http://localhost:6291/x@y redis://:$PW@h https://a:<pw>@b",
        "mk1" + "abcdefghijklmnopqrstuvwxyz234567" * 2 + " k7q2mx-syvr30-42 maw_agents_2 maw-colony-1.0.0",
        "password: the one from yesterday, of 2025-11-21; secrets: see https://wiki.example.org/how-to-rotate-2",
        "bearer of good news 2026, Bearer token required, authorization: see RFC6750",
    ]  # fmt: skip


@pytest.mark.parametrize("text", _ordinary(), ids=lambda text: text[:30].split("\n")[0])
def test_what_is_written_all_day_is_none(text: str) -> None:
    assert find_credential(text) is None


def test_hardly_any_of_the_projects_own_text_is_taken_for_one() -> None:
    root, taken, looked = Path(__file__).parents[3], [], 0
    for path in [*root.glob("docs/*.md"), *root.glob("maw/**/*.py"), root / "requirements.lock"]:
        text = path.read_text(encoding="utf-8")
        for at in range(0, len(text), 4000):
            looked += 1
            if (found := find_credential(text[at : at + 4000])) is not None:
                taken.append((path.name, found))
    assert looked > 200
    assert not taken


@given(st.text(max_size=200) | st.text(alphabet="password=:'\"-_eyJ./@ AKIA0123456789", max_size=300))
def test_nothing_is_raised_and_places_are_in_the_text(text: str) -> None:
    found = find_credential(text)
    if found is not None:
        lines = text.split("\n")
        assert 1 <= found.line <= len(lines)
        assert 1 <= found.column <= len(lines[found.line - 1])


@pytest.mark.parametrize(
    "piece",
    ["AKIA ", "eyJ", "password=", "secret: ", "-----BEGIN PRIVATE KEY----- ", "://", "://a:", "bearer ", "a_", "a.",
     "secret=" + "a." * 120, TOKEN_PREFIX, "ghp_" + "a" * 40 + " ", "password=aB3" + "x-" * 100 + " "],
)  # fmt: skip
def test_it_takes_time_by_the_length_alone(piece: str) -> None:
    """Twice the text takes about twice as long: a pattern that tries many ways would take hours."""
    text = (piece * (65_536 // len(piece) + 1))[:65_536]
    begun = time.process_time()
    find_credential(text)
    assert time.process_time() - begun < 5


@pytest.mark.parametrize(("text", "kind"), FOUND, ids=[f"{at}-{kind}" for at, (_, kind) in enumerate(FOUND)])
def test_nothing_of_it_is_left_where_it_is_masked(text: str, kind: str) -> None:
    told = masked(f"İt is {text}\nand so on")
    assert f"[{kind}, masked]" in told
    assert find_credential(told) is None
    secret = text.partition("@")[0] if "://" in text and "@" in text else text
    assert secret.strip("'\"")[-8:] not in told


def test_what_stands_around_is_left() -> None:
    one, other = "ghp_" + some(36), "password=Zk3-92ma_Qp1x"
    key = "-----BEGIN PRIVATE KEY-----\n" + BODY + "\n-----END PRIVATE KEY-----"
    told = masked(f"use {one}, or\n{other} here\n{key}\nbye")
    assert told == "use [a GitHub token, masked], or\n[a password, masked] here\n[a private key, masked]\nbye"
    assert masked("nothing of the sort") == "nothing of the sort"


def test_what_is_full_of_them_is_cut_short() -> None:
    assert masked((" ghp_" + some(36)) * 500).endswith("[the rest, masked]")
