"""A bundle, from the command to a checker that has never heard of maw; and what each forgery costs."""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
from pathlib import Path
from typing import Any

import msgpack
from nacl.bindings import crypto_aead_xchacha20poly1305_ietf_decrypt as decrypt
from nacl.signing import VerifyKey

from tests.e2e.daemons import MAW, Daemon, MakeDaemon


def maw(node: Daemon, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*MAW, *words], env=node.environment(), capture_output=True, text=True, timeout=60)


def checked_by_hand(lines: list[bytes]) -> list[str]:
    """docs/protocol.md, word for word, and nothing of maw. The texts it proves."""
    texts, before = [], None
    first, *_ = (json.loads(line) for line in lines)
    found = base64.b64decode(first["found"])
    colony = hashlib.blake2b(b"maw-colony-v1\0" + found, digest_size=32).digest()
    assert first["colony"] == "mc1" + base64.b32encode(colony).decode().lower().rstrip("=")
    count, digest = json.loads(lines[-1])["end"]
    assert count == len(lines) - 1
    assert digest == hashlib.blake2b(b"".join(lines[:-1]), digest_size=32).hexdigest()
    key = epoch = None
    for line in map(json.loads, lines[1:-1]):
        if "log" in line:
            text, epoch = line["log"]
            raw = base64.b32decode(text.removeprefix("mk1").upper() + "=" * (-len(text[3:]) % 8))
            key, before = raw[:32], None
        elif "entry" in line:
            header, signature, *payload = map(base64.b64decode, line["entry"])
            fields = msgpack.unpackb(header)
            assert fields[1:4] == [colony, key, epoch]
            assert key is not None
            VerifyKey(key).verify(b"maw-entry-v1\0" + header, signature)
            assert before is None or (fields[4], fields[5]) == before
            before = fields[4] + 1, hashlib.blake2b(header + signature, digest_size=32).digest()
            for data in payload:
                assert (hashlib.blake2b(data, digest_size=32).digest(), len(data)) == tuple(fields[8:10])
                said = msgpack.unpackb(data[16:])
                if "key" in line:
                    said = opened_by_hand(said, fields, base64.b64decode(line["key"]))
                texts += [said["text"]] if fields[7] in (5, 6, 14) else []
    return texts


def opened_by_hand(sealed: dict[str, Any], fields: list[Any], key: bytes) -> dict[str, Any]:
    whom = hashlib.blake2b(b"".join(node + name for node, name, _ in sealed["keys"]), digest_size=32).digest()
    bound = b"maw-seal-v1\0" + fields[1] + fields[2] + sealed["agent"] + sealed["id"] + sealed["eph"] + whom
    plain = decrypt(sealed["box"], bound, sealed["id"] + bytes(8), key)
    within: dict[str, Any] = msgpack.unpackb(plain[4 : 4 + int.from_bytes(plain[:4], "big")])
    return within


def test_a_bundle_from_the_command_to_any_checker(daemon: MakeDaemon, tmp_path: Path) -> None:
    node = daemon("mbp")
    for name in ("neo", "arthur"):
        node.ask("POST", "/api/users", {"username": name}, agent="~")
    node.ask("POST", "/api/channels/general/messages", {"text": "said in public"}, agent="neo")
    node.ask("POST", "/api/direct", {"to": "arthur", "text": "said in private"}, agent="neo")
    file = tmp_path / "general.audit"
    done = maw(node, "audit", "export", "general", "--as", "neo", "--to", str(file))
    assert done.returncode == 0, done.stderr
    again = maw(node, "audit", "export", "general", "--as", "neo", "--to", str(file))
    assert (again.returncode, "is there already" in again.stderr) == (6, True)
    for nobody in ("generul", "@neoo"):
        slip = maw(node, "audit", "export", nobody, "--as", "neo")
        assert (slip.returncode, "did you mean" in slip.stderr) == (3, True), slip
    lines = file.read_bytes().splitlines(keepends=True)
    assert checked_by_hand(lines) == ["said in public"]
    everything = maw(node, "audit", "export", "--as", "arthur").stdout.encode().splitlines(keepends=True)
    assert checked_by_hand(everything) == ["said in public", "said in private"]
    node.stop()

    shown = maw(node, "audit", "check", str(file), "--show")
    assert shown.returncode == 0, shown.stderr
    assert "said in public" in shown.stdout and "asked for: channel general" in shown.stdout
    told = json.loads(maw(node, "audit", "check", str(file), "--json").stdout)
    assert told["sound"] and told["messages"] == 1 and told["left_out"]["not asked for"] >= 1

    at = next(n for n, line in enumerate(lines) if b'"entry"' in line) + 1
    file.write_bytes(b"".join([*lines[:at], *lines[at + 1 :]]))
    forged = maw(node, "audit", "check", str(file))
    assert forged.returncode == 6
    assert "were taken away" in forged.stdout and "is not as it was signed" in forged.stderr
    assert maw(node, "audit", "check", str(tmp_path / "none")).returncode == 2
    piped = subprocess.run(
        [*MAW, "audit", "check", "-"], input=b"".join(lines), capture_output=True, timeout=60
    )
    assert piped.returncode == 0, piped.stderr
