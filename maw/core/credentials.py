"""What looks like a credential in a text: found before it is sent, for what is sent is signed, copied and kept.

Only what is very likely one is found: a form that its giver alone uses, or a value of many kinds of characters beside a
word such as ``password``. What is made to look like nothing of the sort goes through; it is a guard against mistakes.

Linear in the length of the text: it is looked for fixed words first, and what stands at each is read a bounded way.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from math import log2
from typing import Final, NamedTuple

TOKEN_PREFIX: Final = "maw_"  # noqa: S105 - what tokens begin with is no secret
"""Of an agent's token for REST."""


class Credential(NamedTuple):
    """``kind``: with its article, for a sentence. ``line`` and ``column``: from 1. What it is stands nowhere."""

    kind: str
    line: int
    column: int


def find_credential(text: str) -> Credential | None:
    """The first that is found, if any."""
    if not _LONG.search(text):
        return None  # most of what is said: no word of it is long enough
    if (first := _first(text)) is None:
        return None
    at, _, kind = first
    return Credential(kind, text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at))


def masked(text: str) -> str:
    """The text, and for each credential in it what it was: ``[a GitHub token, masked]``."""
    done, rest = [], text
    while _LONG.search(rest) and (first := _first(rest)) is not None:
        at, end, kind = first
        done += [rest[:at], f"[{kind}, masked]"]
        rest = rest[end:]
        if len(done) >= 2 * _MASKED_ONE_BY_ONE:
            return "".join([*done, " [the rest, masked]"])
    return "".join([*done, rest])


def _first(text: str) -> tuple[int, int, str] | None:
    """From where to where the first is, and what."""
    first: tuple[int, int, str] | None = None
    for searched, looked_for in ((text, _AS_WRITTEN), (_lower(text), _IN_ANY_CASE)):
        for word, kind, ends in looked_for:
            for at in _places(searched, word):
                if first is not None and at >= first[0]:
                    break
                if (end := ends(text, at)) is not None:
                    first = (at, end, kind)
                    break
    return first


def _lower(text: str) -> str:
    """Each character where it was: a few would become two."""
    lower = text.lower()
    if len(lower) == len(text):
        return lower
    return "".join(small if len(small := char.lower()) == 1 else char for char in text)


_MASKED_ONE_BY_ONE: Final = 100


_LONG: Final = re.compile(r"\S{12}")


def _places(text: str, word: str) -> Iterator[int]:
    """The first few hundred: a text that is full of a word is none that somebody wrote."""
    at, left = text.find(word), _PLACES
    while at >= 0 and left:
        yield at
        at, left = text.find(word, at + len(word)), left - 1


_PLACES: Final = 300
Ends = Callable[[str, int], int | None]
"""Where the one ends that begins there; None where none does."""


def _form(pattern: str, *, alone: bool = True) -> Ends:
    """Whether the pattern, no part of which can be read in two ways, stands there, and (``alone``) is no piece of a
    longer word."""
    found = re.compile(pattern + (r"(?![A-Za-z0-9])" if alone else ""), re.ASCII)

    def ends(text: str, at: int) -> int | None:
        before = text[at - 1] if at else " "
        match = None if before.isalnum() or before == "_" else found.match(text, at)
        return None if match is None or _is_sample(match[0]) else match.end()

    return ends


def _is_sample(value: str) -> bool:
    """``AKIAIOSFODNN7EXAMPLE``, ``ghp_xxxxxxxx``, ``sk-ant-…0000``: what documentation shows in place of one."""
    lower = value.lower()
    tail = lower[-16:]
    return "example" in lower or "your" in lower or "xxxx" in lower or len(set(tail)) <= len(tail) // 4


def _key_block(text: str, at: int) -> int | None:
    """Its first line alone is no key: something of its body must follow. One without an end has all that follows."""
    if _KEY_BLOCK.match(text, at) is None:
        return None
    found = _KEY_ENDS.search(text, at)
    return len(text) if found is None else found.end()


_KEY_BLOCK: Final = re.compile(
    r"-----BEGIN [A-Z0-9 ]{0,30}PRIVATE KEY(?: BLOCK)?-----(?:\\r|\\n|[\s\"'+])[^-]{0,300}?[A-Za-z0-9+/=]{32}"
)

_KEY_ENDS: Final = re.compile(r"-----END [A-Z0-9 ]{0,30}PRIVATE KEY(?: BLOCK)?-----")


def _assigned(name: str) -> Ends:
    """Whether what stands there is such a name, to which a value of a credential's looks is given."""
    found = re.compile(
        name
        + r"""["']?[ \t]{0,4}(?:=|:=|:|=>)[ \t]{0,4}["']?([^\s"'`,;<>(){}\[\]$]{12,256})(?![^\s"'`,;])""",
        re.ASCII | re.IGNORECASE,
    )

    def ends(text: str, at: int) -> int | None:
        match = found.match(text, at)
        return match.end(1) if match is not None and _is_secret(match[1], 12) else None

    return ends


def _borne(name: str) -> Ends:
    found = re.compile(name + r"[ \t]{1,4}([A-Za-z0-9._~+/=-]{20,512})", re.ASCII | re.IGNORECASE)

    def ends(text: str, at: int) -> int | None:
        match = found.match(text, at)
        return match.end(1) if match is not None and _is_secret(match[1], 20) else None

    return ends


def _url(text: str, at: int) -> int | None:
    match = _AUTHORITY.match(text, at + len("://"))
    if match is None:
        return None
    password = match[1]
    lower = password.lower()
    is_none = lower in _PLACEHOLDERS or password[0] in "$<{%*" or len(set(password)) < 3
    return None if is_none else match.end(1)


_AUTHORITY: Final = re.compile(r"[^\s/@:\"'<>]{0,64}:([^\s/@\"'<>]{4,128})@[A-Za-z0-9\[]")
_PLACEHOLDERS: Final = frozenset(
    ("pass", "password", "passwd", "pwd", "secret", "token", "user", "pw", "mypassword", "yourpassword", "example",
     "your-password", "your_password", "redacted", "hidden", "apikey", "api_key", "changeme", "foobar", "test")
)  # fmt: skip


def _is_secret(value: str, least: int) -> bool:
    """Many different characters of several kinds, in no order that words, paths, versions or names in code have."""
    value = value.rstrip(".!?:")
    if len(value) < least or _is_sample(value):
        return False
    kinds = [
        any(char.islower() for char in value),
        any(char.isupper() for char in value),
        any(char.isdigit() for char in value),
        any(not char.isalnum() for char in value),
    ]
    if not kinds[2] or sum(kinds) < 2 or not any(kinds[:2]) or _CODE.fullmatch(value):
        return False
    return _bits(value) >= (3.0 if sum(kinds) >= 3 else 3.3)


_CODE: Final = re.compile(
    r"[a-z]+://.*|[~./\\].*|(?:[A-Za-z]+[.:/_-]+)+[A-Za-z]*[0-9]{0,4}|[0-9a-f]{8}-[0-9a-f-]{27}|[0-9T:.Z+-]+"
    r"|[A-Za-z]+[0-9]{1,3}|sha(?:1|256|512)[:-].*|v?[0-9]+\.[0-9].*"
)
"""Links, paths, names with dots or dashes, uuids, times, digests, versions. Each is read one way only."""


def _bits(value: str) -> float:
    """How much one of its characters tells, by how often each comes."""
    total = len(value)
    return -sum(count / total * log2(count / total) for count in Counter(value).values())


_AS_WRITTEN: Final[tuple[tuple[str, str, Ends], ...]] = (
    *((word, "an AWS access key", _form(r"A[KS]IA[A-Z2-7]{16}")) for word in ("AKIA", "ASIA")),
    *(
        (word, "a GitHub token", _form(r"gh[pousr]_[A-Za-z0-9]{36,251}"))
        for word in ("ghp_", "gho_", "ghu_", "ghs_", "ghr_")
    ),
    ("github_pat_", "a GitHub token", _form(r"github_pat_[A-Za-z0-9_]{40,100}")),
    ("glpat-", "a GitLab token", _form(r"glpat-[A-Za-z0-9_-]{20,64}")),
    ("xox", "a Slack token", _form(r"xox[abeprs]-[A-Za-z0-9-]{16,250}")),
    ("xapp-", "a Slack token", _form(r"xapp-[0-9]-[A-Za-z0-9-]{16,250}")),
    (
        "hooks.slack.com/services/",
        "a Slack webhook",
        _form(r"hooks\.slack\.com/services/T[A-Z0-9]{6,12}/B[A-Z0-9]{6,12}/[A-Za-z0-9]{16,32}"),
    ),
    ("sk-ant-", "an Anthropic key", _form(r"sk-ant-[A-Za-z0-9_-]{24,200}")),
    (
        "sk-",
        "an OpenAI key",
        _form(r"sk-(?:(?:proj|svcacct|admin)-[A-Za-z0-9_-]{24,250}|[A-Za-z0-9]{20}T3BlbkFJ[A-Za-z0-9]{20})"),
    ),
    ("AIza", "a Google API key", _form(r"AIza[A-Za-z0-9_-]{35}")),
    *((word, "a Stripe key", _form(word + r"[A-Za-z0-9]{20,200}")) for word in ("sk_live_", "rk_live_")),
    ("npm_", "an npm token", _form(r"npm_[A-Za-z0-9]{36}")),
    ("pypi-AgE", "a PyPI token", _form(r"pypi-AgE[A-Za-z0-9_-]{50,250}")),
    ("hf_", "a Hugging Face token", _form(r"hf_[A-Za-z]{34}")),
    ("SG.", "a SendGrid key", _form(r"SG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}")),
    ("AGE-SECRET-KEY-1", "an age key", _form(r"AGE-SECRET-KEY-1[A-Z0-9]{58}")),
    ("-----BEGIN ", "a private key", _key_block),
    (
        "eyJ",
        "a JSON web token",
        _form(r"eyJ[A-Za-z0-9_-]{10,2000}\.eyJ[A-Za-z0-9_-]{10,4000}\.[A-Za-z0-9_-]{16,1000}"),
    ),
    ("maw-invite-", "a maw invite", _form(r"maw-invite-[0-9]{1,6}:[A-Za-z0-9_-]{40,2000}")),
    ("maw-", "a maw key", _form(r"maw-[a-z]{1,12}-(?:sealed-)?key-1:[A-Za-z0-9+/]{40,400}={0,2}")),
    (TOKEN_PREFIX, "a maw token", _form(TOKEN_PREFIX + r"[a-z2-7]{32}")),
    ("://", "a link with a password", _url),
)
"""A word that stands in each, what it is, and where it ends, if it is one, that begins with the word."""

_IN_ANY_CASE: Final[tuple[tuple[str, str, Ends], ...]] = (
    ("passw", "a password", _assigned("passw(?:or)?d")),
    ("passphrase", "a passphrase", _assigned("passphrase")),
    ("_pwd", "a password", _assigned("_pwd")),
    ("secret", "a secret", _assigned("secret(?:[_-]?(?:access[_-]?)?key|[_-]?token)?")),
    *(
        (word, "a secret", _assigned(word))
        for word in (
            "api_key",
            "apikey",
            "api-key",
            "access_key",
            "auth_token",
            "access_token",
            "private_key",
        )
    ),
    ("bearer", "a bearer token", _borne("bearer")),
    ("authorization:", "a password", _borne("authorization:[ \t]{0,2}(?:basic|token)")),
)
