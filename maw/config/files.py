"""Either file as a document, or one clear error."""

from __future__ import annotations

from pathlib import Path

from maw.core.toml import Document
from maw.errors import BadConfig


def read_document(path: Path) -> Document:
    """Raises BadConfig; a missing file says how to make one."""
    try:
        return Document(str(path), path.read_bytes())
    except FileNotFoundError:
        raise BadConfig(
            f"{path}: there is no such file",
            code="no_config",
            hint=f"`maw init` makes a node in {path.parent}",
        ) from None
    except OSError as error:
        raise BadConfig(f"{path}: cannot be read: {error.strerror}") from None
