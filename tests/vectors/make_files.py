"""Makes files.json: ``python -m tests.vectors.make_files > tests/vectors/files.json``. Byte strings are hexadecimal."""

from __future__ import annotations

import json
import sys
from typing import Any

from maw.core.blobs import CHUNK, blob_hash, chunk_count, chunk_hash, seal_chunk

KEY = bytes(range(32))
CONTENTS = {
    "nothing": b"",
    "short": b"hello, arthur\n",
    "two chunks": bytes(range(256)) * (CHUNK // 256) + b"!",
}
"""Of the last one: 64 KiB of the bytes from 0 to 255 over and over, and one more."""


def blob(content: bytes) -> dict[str, Any]:
    count = chunk_count(len(content))
    sealed = [
        seal_chunk(KEY, n, content[n * CHUNK : (n + 1) * CHUNK], last=n == count - 1) for n in range(count)
    ]
    hashes = b"".join(map(chunk_hash, sealed))
    return {
        "size": len(content),
        "chunks": [len(one) for one in sealed],
        "last_chunk": sealed[-1].hex(),
        "list": hashes.hex(),
        "hash": blob_hash(hashes).hex(),
    }


def vectors() -> dict[str, Any]:
    return {"key": KEY.hex(), "blobs": {name: blob(content) for name, content in CONTENTS.items()}}


if __name__ == "__main__":
    json.dump(vectors(), sys.stdout, indent=1)
    sys.stdout.write("\n")
