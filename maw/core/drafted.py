"""What a daemon drafted, beside what a person asked for: nothing else comes under an operator's key.

The daemon resolves names and knows the logs, so it drafts; the key is elsewhere, in the hands of who asked. All that
can be told here is compared. What cannot: which key a name stands for (``compare`` says it, to be looked at), and in
a revocation or dismissal the heads, grants and statements that the host knows of.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgpack

from maw.core.authority import DISMISS, OPERATOR, grant_fields
from maw.core.capping import CAP, cap_fields
from maw.core.freezing import AGENT, ALL, CHANNEL, FREEZE, MAX_WHY, NODE, THAW, Target, freeze_fields
from maw.core.identity import ID_BYTES, KEY_BYTES, OPERATOR_NEW, NodeId, key_text, parse_key, short_key
from maw.core.message_ids import parse_message_id
from maw.core.names import check_name, parse_address
from maw.core.policy import POLICY, policy_fields
from maw.core.redaction import REDACT, as_ranges, redaction_fields
from maw.core.revocation import REVOKE
from maw.core.spending import parse_amount
from maw.errors import Refused

MAX_APART_MS: Final = 300_000
"""Between the draft's date and the clock of who signs it."""

BY_NAME: Final = "what is signed names hosts: @AGENT@HOST, not a piece of a key. Was that not it, "

Asked = Mapping[str, Any]
Fields = dict[str, Any]


def compare(
    type_: str, asked: Asked, *, drafted: object, colony: object, at_ms: object, fields: object, now_ms: int
) -> list[str]:
    """Raises Refused, naming the first field of a draft that is not as ``asked`` for. Returns what each name that the
    daemon resolved was taken for, one line each."""
    _same("type", type_, drafted)
    _head(colony, at_ms, now_ms)
    if type(fields) is not dict:
        raise _other("fields", "a map", fields)
    wanted, resolved = _EXPECTED[type_](asked, fields)
    wanted = msgpack.unpackb(msgpack.packb(wanted))
    for name in wanted:
        _same(name, wanted[name], fields.get(name))
    for name in fields.keys() - wanted.keys():
        raise _other(str(name), "nothing", fields[name])
    return resolved


def compare_word(
    asked: Asked, *, colony: object, author: object, at_ms: object, targets: object, now_ms: int
) -> tuple[str, ...]:
    """The same for an operator's message: where it goes, ``channel`` or ``to``. Returns the targets."""
    _head(colony, at_ms, now_ms)
    if type(author) is not bytes or len(author) != KEY_BYTES:
        raise _other("author", "a key", author)
    if type(targets) is not list or not all(type(one) is str for one in targets):
        raise _other("targets", "a list of names", targets)
    if "channel" in asked:
        _same("targets", [f"#{asked['channel']}"], targets)
        return tuple(targets)
    wanted = list(dict.fromkeys(asked["to"]))
    meant = all(any(_is_for(one, word) for word in wanted) for one in targets)
    if (
        not meant
        or len(targets) > len(wanted)
        or not all(any(_is_for(t, word) for t in targets) for word in wanted)
    ):
        raise _other("targets", ", ".join(wanted), ", ".join(targets), hint=BY_NAME)
    return tuple(targets)


def _is_for(target: str, word: str, node: NodeId | None = None) -> bool:
    """Whether ``arthur@mbp`` is whom ``@arthur`` or ``@arthur@mbp`` means, on ``node`` where that is known."""
    name, _, host = target.partition("@")
    asked = parse_address(word)
    called, _, piece = host.partition("~")
    of, _, wanted = (asked.host or "").partition("~")
    if not host or name != asked.name or (piece and wanted and piece != wanted):
        return False
    if node is not None and of in (short_key(node), key_text(node)):
        return True
    return not of or called == of


# -- what each type has to say -------------------------------------------------------------------------


def _grant(asked: Asked, fields: Fields) -> tuple[Fields, list[str]]:
    rights, hosts = _listed(asked.get("rights")), _listed(asked.get("hosts"))
    named = _keys(fields, "hosts")
    key, name = parse_key(asked["key"], printed_by=OPERATOR_NEW), check_name(asked["name"], "operator")
    exact = [parse_key(word) for word in hosts if word.startswith("mk1")]
    if len(named) != len(hosts) or not set(exact) <= set(named):
        raise _other("hosts", ", ".join(hosts) or "all", [key_text(one) for one in named])
    resolved = [key_text(one) for one in named if one not in exact]
    names = [word for word in hosts if not word.startswith("mk1")]
    told = [f"{', '.join(names)}: {', '.join(resolved)}"] if names else []
    return grant_fields(key, name, rights, asked.get("until_ms"), named), told


def _dismissal(asked: Asked, fields: Fields) -> tuple[Fields, list[str]]:
    wanted = {"key": fields.get("key"), "grants": fields.get("grants"), "stands": fields.get("stands")}
    return wanted, [_who(asked["who"], fields, "key")]


def _revocation(asked: Asked, fields: Fields) -> tuple[Fields, list[str]]:
    wanted = {
        "key": fields.get("key"),
        "cut": fields.get("cut"),
        "stands": fields.get("stands"),
        "why": _why(asked),
    }
    return wanted, [_who(asked["who"], fields, "key")]


def _freeze(asked: Asked, fields: Fields) -> tuple[Fields, list[str]]:
    word, why = asked["who"], _why(asked)
    if word in ("all", "@all"):
        return freeze_fields(Target(ALL, name="all"), why), []
    if word.startswith("#"):
        name = check_name(word.lstrip("#"), "channel")
        return freeze_fields(Target(CHANNEL, channel=name, name=f"#{name}"), why), []
    name, what = str(fields.get("name")), fields.get("what")
    if what == NODE and "@" not in word:
        if name.partition("~")[0] != word.partition("~")[0] and not word.startswith("mk1"):
            _same("node", word, short_key(_key(fields, "node")))
        return freeze_fields(Target(NODE, _key(fields, "node"), name=name), why), [_who(word, fields, "node")]
    agent = fields.get("agent")
    if type(agent) is not bytes:
        raise _other("agent", "an agent's id", agent)
    node = _key(fields, "node")
    if what != AGENT or not _is_for(name, word, node):
        raise _other("what", word, f"{what} {name}")
    return freeze_fields(Target(AGENT, node, agent, name=name), why), [f"{word}: {name} on {key_text(node)}"]


def _thaw(asked: Asked, fields: Fields) -> tuple[Fields, list[str]]:
    lifts = [str(one.hex()[:12]) for one in _list(fields, "lifts", ID_BYTES)]
    word = asked["who"]
    if not lifts or (_is_statement(word) and set(lifts) != {word}):
        raise _other("lifts", word, ", ".join(lifts))
    return {"lifts": fields["lifts"]}, [] if _is_statement(word) else [f"{word}: lifts {', '.join(lifts)}"]


def _redaction(asked: Asked, fields: Fields) -> tuple[Fields, list[str]]:
    places = [parse_message_id(one) for one in asked["ids"]]
    author = _key(fields, "author")
    if any(one.node_prefix != short_key(author) for one in places):
        raise _other("author", places[0].node_prefix, key_text(author))
    return redaction_fields(author, places[0].epoch, as_ranges(one.seq for one in places), _why(asked)), []


def _policy(asked: Asked, fields: Fields) -> tuple[Fields, list[str]]:
    version = fields.get("version")
    if type(version) is not int:
        raise _other("version", "a number", version)
    return policy_fields(version, asked["text"]), [f"version {version} of the policy"]


def _cap(asked: Asked, fields: Fields) -> tuple[Fields, list[str]]:
    lifts = _list(fields, "lifts", ID_BYTES)
    lifted = [f"the {asked['unit']} cap: lifts {', '.join(one.hex()[:12] for one in lifts)}"] if lifts else []
    return cap_fields(asked["unit"], parse_amount(asked["unit"], asked["amount"]), lifts), lifted


_EXPECTED: Final[Mapping[str, Callable[[Asked, Fields], tuple[Fields, list[str]]]]] = {
    OPERATOR: _grant, DISMISS: _dismissal, REVOKE: _revocation, FREEZE: _freeze, THAW: _thaw, REDACT: _redaction,
    POLICY: _policy, CAP: _cap,
}  # fmt: skip


def _head(colony: object, at_ms: object, now_ms: int) -> None:
    if type(colony) is not bytes or len(colony) != ID_BYTES:
        raise _other("colony", "a Colony's id", colony)
    if type(at_ms) is not int or abs(at_ms - now_ms) > MAX_APART_MS:
        raise _other("at_ms", f"about {now_ms}", at_ms)


def _why(asked: Asked) -> str:
    return (asked.get("why") or "")[:MAX_WHY]


def _listed(value: str | None) -> list[str]:
    return [word for word in (value or "").replace(",", " ").split() if word]


def _is_statement(word: str) -> bool:
    """Whether it is a piece of a statement's id, as `maw freeze` lists it."""
    return len(word) == 12 and set(word) <= set("0123456789abcdef")


def _who(word: str, fields: Fields, name: str) -> str:
    """Which key was taken for ``word``, in one line."""
    key = _key(fields, name)
    _, tilde, piece = word.partition("~")
    if (word.startswith("mk1") and key != parse_key(word)) or (tilde and piece != short_key(key)):
        raise _other(name, word, key_text(key))
    return f"{word}: {key_text(key)}"


def _key(fields: Fields, name: str) -> NodeId:
    value = fields.get(name)
    if type(value) is not bytes or len(value) != KEY_BYTES:
        raise _other(name, "a key", value)
    return NodeId(value)


def _keys(fields: Fields, name: str) -> list[NodeId]:
    return [NodeId(one) for one in _list(fields, name, KEY_BYTES)]


def _list(fields: Fields, name: str, size: int) -> list[bytes]:
    value = fields.get(name)
    if type(value) is not list or not all(type(one) is bytes and len(one) == size for one in value):
        raise _other(name, f"a list of {size} bytes each", value)
    return value


def _same(name: str, wanted: object, got: object) -> None:
    if wanted != got or type(wanted) is not type(got):
        raise _other(name, wanted, got)


def malformed(error: Exception) -> Refused:
    return _other("it", "a draft", f"malformed ({type(error).__name__})")


def _other(name: str, wanted: object, got: object, *, hint: str = "") -> Refused:
    return Refused(
        f"the daemon drafted something else than was asked: {name} is {_words(got)} instead of {_words(wanted)};"
        " nothing was signed",
        code="draft_differs",
        hint=f"{hint}do not sign on this host until it is clear why (`maw --version`, `maw doctor`)",
    )


def _words(value: object) -> str:
    if isinstance(value, bytes):
        return key_text(NodeId(value)) if len(value) == KEY_BYTES else value.hex()
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= 120 else f"{text[:120]}…"
