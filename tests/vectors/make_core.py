"""Makes core.json: ``python -m tests.vectors.make_core > tests/vectors/core.json``.

Everything follows from the seeds and numbers in "given"; byte strings are hexadecimal.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from maw.core.capping import cap_statement
from maw.core.clock import pack
from maw.core.colony import AgentCard, Recipient, Said
from maw.core.editing import Edit
from maw.core.entry import MAX_COUNT, START, Entry, Head, Kind, decode, make, pack_content, pack_payload
from maw.core.frames import (
    Ask,
    CannotFollow,
    Closed,
    Credit,
    Entries,
    Follow,
    Following,
    Fork,
    Frame,
    Have,
    Held,
    LogName,
    Mend,
    StatementDigest,
    StatementIds,
    Statements,
    Unfollow,
    UpToDate,
    encode,
)
from maw.core.identity import Signer, digest, key_text, short_key
from maw.core.ledger import Account, ledger_content
from maw.core.log import closed_digest
from maw.core.message_ids import message_id
from maw.core.policy import policy_statement
from maw.core.presence import Presence, Seen
from maw.core.profile import Profile
from maw.core.progress import Group, Progress
from maw.core.redaction import REDACTED, Redaction, redaction_statement
from maw.core.seal_keys import SealKey
from maw.core.sealing import Chances, public_of, seal
from maw.core.souls import Soul
from maw.core.spending import DAY_MS, Counts
from maw.core.statement import Statement, admit, colony_id, found
from maw.core.vouched import vouch
from maw.core.word import OperatorWord, sign_word

NODE_SEED = bytes(range(32))
OTHER_SEED = bytes(range(32, 64))
OPERATOR_SEED = bytes(range(64, 96))
NONCE = bytes(range(16))
AT_MS = 1_800_000_000_000
EPOCH = 1_800_000_000


def _entry(entry: Entry) -> dict[str, Any]:
    assert entry.payload is not None
    return {
        "header": entry.header.hex(),
        "signature": entry.signature.hex(),
        "payload": entry.payload.hex(),
        "payload_hash": entry.payload_hash.hex(),
        "id": entry.id.hex(),
    }


def _statement(statement: Statement) -> dict[str, str]:
    return {"wire": statement.wire.hex(), "id": statement.id.hex()}


def _word(word: OperatorWord) -> str:
    return pack_content({"op": word.content()}).hex()


def _frames(log: list[Entry], node: Signer, said: Statement) -> dict[str, str]:
    head = log[-1].head
    frames: tuple[Frame, ...] = (
        StatementDigest(digest(said.id)),
        StatementIds((said.id,)),
        Statements((said.wire,)),
        Have(
            (LogName(0, node.node, EPOCH),),
            (Held(0, head, True),),
            (Closed(node.node, EPOCH, closed_digest({1: head, 2: head, EPOCH: head}, EPOCH)),),
        ),
        Follow(node.node, 7, ((EPOCH, log[0].head), (EPOCH - 1, Head(MAX_COUNT, head.id)))),
        Following(node.node, 7),
        CannotFollow(node.node, 7, "nothing of this author is held here"),
        UpToDate(node.node, 7),
        Unfollow(node.node),
        Entries((log[1],)),
        Credit(log[1].size),
        Fork(node.node, EPOCH, (log[1],)),
        Ask((log[1].position, log[0].position)),
        Mend((decode(log[1].header, log[1].signature),), (log[0].position,)),
    )
    return {type(frame).__name__: encode(frame).hex() for frame in frames}


def _sealed(node: Signer, other: Signer, colony: bytes, last: Entry) -> dict[str, Any]:
    """A direct message from the one host to the other; ``secret``: the recipient's sealing key."""
    secrets = {node.node: bytes(range(96, 128)), other.node: bytes(range(128, 160))}
    to = (Recipient(other.node, NONCE, "ford", "other"),)
    said = Said(bytes(16), "arthur", "ape", "uid", "so long, and thanks", (), to=to)
    chances = Chances(bytes(range(16, 32)), bytes(range(160, 192)), bytes(range(192, 224)))
    hosts = {key: public_of(secret) for key, secret in secrets.items()}
    words = seal(Kind.DIRECT, said.content(), colony, node.node, said.agent, hosts, chances)
    payload = pack_payload(NONCE, words.content())
    entry = make(node, colony, EPOCH, last.head, pack(AT_MS, 7), Kind.PRIVATE, payload)
    return {
        "secret": secrets[other.node].hex(),
        "seal key": pack_content(SealKey(hosts[other.node], AT_MS).content()).hex(),
        "content_key": chances.key.hex(),
        "text": said.text,
        "entry": _entry(entry),
    }


def vectors() -> dict[str, Any]:
    node, other, operator = Signer(NODE_SEED), Signer(OTHER_SEED), Signer(OPERATOR_SEED)
    founding = found(operator, "vectors", NONCE, AT_MS)
    colony = colony_id(founding)
    said = admit(node, colony, other.node, "other", ["10.7.0.2:6290"], True, AT_MS)
    bound = admit(
        node, colony, other.node, "other", [], False, AT_MS + 1,
        recovery=digest(operator.node), own=digest(node.node),
    )  # fmt: skip
    opening = make(
        node, colony, EPOCH, START, pack(AT_MS), Kind.OPEN,
        pack_payload(NONCE, {"prev": None, "instance": bytes(16), "recovery": None, "why": "new"}),
    )  # fmt: skip
    post = make(
        node, colony, EPOCH, opening.head, pack(AT_MS, 1), Kind.POST,
        pack_payload(
            NONCE[::-1],
            {
                "agent": bytes(16), "name": "arthur", "role": "agent", "known": "uid", "text": "hej @ford",
                "mentions": ["ford"], "channel": "general",
            },
        ),
    )  # fmt: skip
    rule = Redaction(node.node, EPOCH, ((post.seq, post.seq),), REDACTED, "arthur@node", "a secret")
    redact = make(
        node, colony, EPOCH, post.head, pack(AT_MS, 2), Kind.REDACT, pack_payload(NONCE, rule.content())
    )
    asking = make(
        node, colony, EPOCH, redact.head, pack(AT_MS, 3), Kind.DIRECT,
        pack_payload(
            NONCE,
            {
                "agent": bytes(16), "name": "arthur", "role": "agent", "known": "uid", "text": "tea?",
                "mentions": [], "intent": "ask", "to": [[other.node, NONCE, "ford", "other"]],
            },
        ),
    )  # fmt: skip
    group = Group(0, NONCE, "read", AT_MS, "inbox", ((2, 2), (4, 4)))
    progress = Progress(((other.node, EPOCH, Head(9, digest(b"head"))),), (group,))
    told = make(
        node,
        colony,
        EPOCH,
        asking.head,
        pack(AT_MS, 4),
        Kind.PROGRESS,
        pack_payload(NONCE, progress.content()),
    )
    wishing = make(
        node, colony, EPOCH, told.head, pack(AT_MS, 5), Kind.POST,
        pack_payload(
            NONCE,
            {
                "agent": bytes(16), "name": "arthur", "role": "agent", "known": "uid", "text": "who has a towel?",
                "mentions": [], "intent": "ask", "prio": "high", "expires": AT_MS + 86_400_000,
                "due": AT_MS + 7_200_000, "groups": ["role:cook", "host:other"], "channel": "general",
            },
        ),
    )  # fmt: skip
    said_so = message_id(post.position)
    edit = Edit(bytes(16), said_so, "hej @ford, @trillian", ("ford", "trillian"))
    editing = make(
        node, colony, EPOCH, wishing.head, pack(AT_MS, 6), Kind.EDIT, pack_payload(NONCE, edit.content())
    )
    where = (colony, node.node, AT_MS, NONCE)
    stated = redaction_statement(operator, colony, node.node, EPOCH, rule.ranges, "a secret", AT_MS)
    return {
        "given": {
            "node_seed": NODE_SEED.hex(),
            "other_seed": OTHER_SEED.hex(),
            "operator_seed": OPERATOR_SEED.hex(),
            "nonce": NONCE.hex(),
            "at_ms": AT_MS,
            "epoch": EPOCH,
        },
        "keys": {
            "node": {"key": node.node.hex(), "text": key_text(node.node), "short": short_key(node.node)},
            "other": {"key": other.node.hex(), "text": key_text(other.node), "short": short_key(other.node)},
        },
        "digest": {"of": b"maw".hex(), "is": digest(b"maw").hex()},
        "statements": {
            "found": _statement(founding),
            "admit": _statement(said),
            "admit with recovery keys": _statement(bound),
            "redact": _statement(stated),
            "policy": _statement(policy_statement(operator, colony, 3, "Say who you are.\n", AT_MS)),
            "cap": _statement(cap_statement(operator, colony, "usd", 50_000_000, [digest(b"maw")], AT_MS)),
        },
        "colony": colony.hex(),
        "entries": [
            _entry(opening),
            _entry(post),
            _entry(redact),
            _entry(asking),
            _entry(told),
            _entry(wishing),
            _entry(editing),
        ],
        "sealed": _sealed(node, other, colony, editing),
        "words": {
            "order": _word(sign_word(operator, *where, True, ("#general",), "stop")),
            "said to inform": _word(sign_word(operator, *where, False, ("ford@other",), "tea", "inform")),
        },
        "payloads": {
            "presence": pack_content(
                Presence(((bytes(16), Seen(AT_MS, AT_MS - 1)), (NONCE, Seen(AT_MS, None, True)))).content()
            ).hex(),
            "presence, with a policy": pack_content(
                Presence(((bytes(16), Seen(AT_MS, AT_MS, False, NONCE)),)).content()
            ).hex(),
            "soul": pack_content(Soul(bytes(16), "# arthur\n\nI look for tea.\n").content()).hex(),
            "ledger": pack_content(
                ledger_content(
                    [
                        Account(
                            AT_MS // DAY_MS, bytes(16), 7, "opus", Counts(runs=1, runner_ms=1500, usd=12_300)
                        ),
                        Account(
                            AT_MS // DAY_MS,
                            bytes(16),
                            7,
                            "",
                            Counts(wakes=2, pulses=3, messages=4, bytes=512),
                        ),
                    ]
                )
            ).hex(),
            "agent, a role": pack_content(
                AgentCard(
                    bytes(16), "judge", "agent", False, Profile("judges", NONCE, 1800, ("reviewer",))
                ).content()
            ).hex(),
        },
        "vouched": vouch(operator, colony, node.node, "anna", 1000, AT_MS).wire.hex(),
        "closed_digest": closed_digest({1: opening.head, 2: post.head, 9: post.head}, 9).hex(),
        "frames": _frames([opening, post], node, said),
    }


if __name__ == "__main__":
    json.dump(vectors(), sys.stdout, indent=1)
    sys.stdout.write("\n")
