"""peers.toml: who is trusted and dialled because the owner wrote it there."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from maw.config.endpoints import MESH_PORT, Endpoint, dialled
from maw.config.files import read_document
from maw.core.identity import NodeId, parse_key
from maw.core.names import check_name
from maw.core.statement import parse_colony
from maw.core.toml import Section


@dataclass(frozen=True, slots=True)
class PeerEntry:
    """One ``[[peer]]`` of peers.toml: trusted and dialled because the owner wrote it there."""

    name: str
    key: NodeId
    addresses: tuple[Endpoint, ...] = ()
    introducer: bool = False


@dataclass(frozen=True, slots=True)
class PeersFile:
    """``peers.toml``. ``colony``: the one to belong to, where peers come by hand and not by invite."""

    colony: bytes | None = None
    peers: tuple[PeerEntry, ...] = ()


def load_peers(path: Path) -> PeersFile:
    """Read peers.toml, empty when there is none. Raises BadConfig, also when two share a name or a key."""
    if not path.exists():
        return PeersFile()
    document = read_document(path)
    document.only("colony", "peer")
    colony = document.section("colony")
    colony.only("id")
    colony_text = colony.text("id")
    sections = document.blocks("peer")
    peers = tuple(_peer(section) for section in sections)
    _refuse_repeats(sections, peers)
    return PeersFile(colony.parsed("id", parse_colony, colony_text) if colony_text else None, peers)


def _peer(section: Section) -> PeerEntry:
    section.only("name", "key", "addresses", "introducer")
    name, key = section.text("name"), section.text("key")
    if name is None or key is None:
        raise section.wrong(
            "name" if name is None else "key", "is missing", "each [[peer]] needs a name and a key"
        )
    return PeerEntry(
        name=section.parsed("name", lambda word: check_name(word, "node"), name),
        key=section.parsed("key", parse_key, key),
        addresses=dialled(section, "addresses", MESH_PORT),
        introducer=section.flag("introducer", False),
    )


def _refuse_repeats(sections: list[Section], peers: tuple[PeerEntry, ...]) -> None:
    names: dict[str, int] = {}
    keys: dict[NodeId, int] = {}
    for at, (section, peer) in enumerate(zip(sections, peers, strict=True)):
        if names.setdefault(peer.name, at) != at:
            raise section.wrong("name", f"{peer.name!r} stands twice", "two peers need two names")
        if keys.setdefault(peer.key, at) != at:
            other = peers[keys[peer.key]].name
            raise section.wrong("key", f"is the same as that of {other!r}", "one node is one [[peer]]")
