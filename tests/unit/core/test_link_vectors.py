"""The published bytes of invite and handshake: a second implementation is checked against the same file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from maw.core.handshake import Dialler, Joining, Listener, Local
from maw.core.identity import Signer
from maw.core.pairing import InviteLine, encode_line, invite_id, parse_line
from maw.core.transcript import Hello

VECTORS: dict[str, Any] = json.loads(
    Path(__file__).parents[2].joinpath("vectors", "link.json").read_text(encoding="utf-8")
)
GIVEN = {name: bytes.fromhex(value) for name, value in VECTORS["given"].items()}

DIALLER = Local(
    Signer(GIVEN["dialler_seed"]),
    GIVEN["colony"],
    GIVEN["dialler_instance"],
    Hello("arthur", ("10.7.0.1:6290",), frozenset({"a"}), "0.1.0"),
)
LISTENER = Local(Signer(GIVEN["listener_seed"]), GIVEN["colony"], GIVEN["listener_instance"], Hello("ford"))


def test_the_invite() -> None:
    given = VECTORS["invite"]
    line = InviteLine(
        bytes.fromhex(given["colony"]),
        LISTENER.signer.node,
        given["name"],
        tuple(given["addresses"]),
        bytes.fromhex(given["secret"]),
        given["expires_at"],
    )
    assert given["node"] == line.node.hex()
    assert encode_line(line) == given["line"]
    assert parse_line(given["line"]) == line
    assert invite_id(line.secret).hex() == given["id"]


@pytest.mark.parametrize("role", ["D", "J"])
def test_the_handshake_frame_by_frame(role: str) -> None:
    joining = Joining(invite_id(GIVEN["secret"]), GIVEN["secret"]) if role == "J" else None
    dialler = Dialler(
        DIALLER,
        LISTENER.signer.node,
        GIVEN["certificate"],
        GIVEN["dialler_nonce"],
        admission=b"admission" if role == "D" else None,
        joining=joining,
    )
    listener = Listener(LISTENER, GIVEN["certificate"], GIVEN["listener_nonce"])
    frames = [*dialler.start().send]
    frames += listener.receive(frames[-1]).send
    frames += dialler.receive(frames[-1]).send
    assert listener.receive(frames[-1]).failure is None
    frames += listener.accept().send
    step = dialler.receive(frames[-1])
    if role == "D":
        frames += step.send
        assert listener.receive(frames[-1]).established is not None
        frames += listener.welcome().send
        step = dialler.receive(frames[-1])
    assert step.established is not None
    assert [frame.hex() for frame in frames] == VECTORS[role]
