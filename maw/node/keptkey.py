"""Keys that are kept off the host: the operator's and the recovery key, in files, sealed by a passphrase or not."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Final

from maw.core.identity import KEY_BYTES, Signer
from maw.errors import BadConfig
from maw.node.home import key_file_bytes

OPERATOR_KEY: Final = "operator"
RECOVERY_KEY: Final = "recovery"


def kept_key_bytes(kind: str, seed: bytes, passphrase: str | None) -> bytes:
    """A key file; sealed with the passphrase when one is given."""
    if passphrase is None:
        return key_file_bytes(kind, seed)
    from nacl import pwhash
    from nacl.secret import SecretBox

    salt = secrets.token_bytes(pwhash.argon2id.SALTBYTES)
    sealed = SecretBox(_stretched(passphrase, salt)).encrypt(seed)
    return key_file_bytes(f"{kind}-sealed", salt + bytes(sealed))


def open_kept_key(path: Path, kind: str, ask: Callable[[], str]) -> Signer:
    """The key in a file of this kind; ``ask`` gives the passphrase where it is sealed. Raises BadConfig."""
    try:
        text = path.read_text("ascii").strip()
    except FileNotFoundError:
        raise BadConfig(
            f"{path} is not there", code="no_key", hint=f"say where the {kind} key is kept"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise BadConfig(f"{path} cannot be read: {error}", code="bad_key_file") from None
    prefix, _, encoded = text.partition(":")
    try:
        data = base64.b64decode(encoded, validate=True)
    except ValueError:
        data = b""
    if prefix == f"maw-{kind}-key-1" and len(data) == KEY_BYTES:
        return Signer(data)
    if prefix == f"maw-{kind}-sealed-key-1":
        return Signer(_unsealed(data, ask(), path))
    raise BadConfig(
        f"{path} holds no {kind} key",
        code="bad_key_file",
        hint=f"it begins with {prefix}" if prefix.startswith("maw-") else "is it the right file?",
    )


def _unsealed(data: bytes, passphrase: str, path: Path) -> bytes:
    from nacl import pwhash
    from nacl.exceptions import CryptoError
    from nacl.secret import SecretBox

    salt, sealed = data[: pwhash.argon2id.SALTBYTES], data[pwhash.argon2id.SALTBYTES :]
    try:
        return bytes(SecretBox(_stretched(passphrase, salt)).decrypt(sealed))
    except (CryptoError, ValueError):
        raise BadConfig(f"this passphrase does not open {path}", code="wrong_passphrase") from None


def _stretched(passphrase: str, salt: bytes) -> bytes:
    from nacl import pwhash
    from nacl.secret import SecretBox

    return bytes(
        pwhash.argon2id.kdf(
            SecretBox.KEY_SIZE, passphrase.encode(), salt,
            opslimit=pwhash.argon2id.OPSLIMIT_MODERATE, memlimit=pwhash.argon2id.MEMLIMIT_MODERATE,
        )
    )  # fmt: skip
