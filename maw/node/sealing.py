"""This host's sealing keys, and sealing with those of others.

A key is in the file, on the disk, before our log names it; the one it replaces is deleted from the file 30 days later.
What was opened until then stays readable (``maw/store/opened.py``).
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from maw.core.entry import Kind
from maw.core.identity import KEY_BYTES, NodeId
from maw.core.seal_keys import Ring, SealKey, halves, is_due, pack, pruned, public, renewed, unpack
from maw.core.sealing import SEALED_ID_BYTES, Chances, Sealed, seal
from maw.errors import BadConfig, Conflict, Unavailable
from maw.node.authoring import Authoring, wall_clock_ms
from maw.node.home import NodeHome, replace_file
from maw.node.store import Store

SURE_S: Final = 3600.0
"""So long must a key be too old by the clock before it is deleted: a clock that is ahead at a start is put right."""
_CHANCES: Final = SEALED_ID_BYTES + 2 * KEY_BYTES


class Sealing:
    """Made when the node is opened: reads the file. Raises BadConfig when it is damaged, or open to others."""

    def __init__(
        self,
        home: NodeHome,
        store: Store,
        authoring: Callable[[], Authoring],
        name: Callable[[NodeId], str],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """``name``: what a node is called."""
        self._home = home
        self._store = store
        self._authoring = authoring
        self._name = name
        self._monotonic = monotonic
        self._ring = _read(home)
        self._old_since: float | None = None
        """Since when keys were too old at every look, monotonic."""
        self._unsaid: bytes | None = None
        """A key that is in the file and could not be named yet: the disk did not take the entry."""
        store.state.halves = halves(self._ring)

    async def keep(self) -> None:
        """Makes and names a new key when it is time, and deletes old ones. Raises Unavailable, Refused."""
        authoring, now = self._authoring(), wall_clock_ms()
        if authoring.read_only or authoring.barred:
            return
        ring = self._without_old(now)
        if self._unsaid is None and is_due(ring, self._said(), now):
            ring = renewed(ring, os.urandom(KEY_BYTES), now)
            self._write(ring)
            self._unsaid = public(ring)
        elif ring != self._ring:
            self._write(ring)
        if self._unsaid is not None:
            await authoring.say(Kind.SEAL_KEY, SealKey(self._unsaid, now).content())
            self._unsaid = None

    def _without_old(self, now_ms: int) -> Ring:
        left = pruned(self._ring, now_ms)
        if left == self._ring:
            self._old_since = None
            return left
        now = self._monotonic()
        if self._old_since is None:
            self._old_since = now
        return left if now - self._old_since >= SURE_S else self._ring

    def _said(self) -> bytes | None:
        return self._key_of(self._store.me)

    def _key_of(self, node: NodeId) -> bytes | None:
        row = self._store.state.nodes.get(node)
        named = None if row is None else self._store.state.seal_keys.get(row.n)
        return None if named is None else named.key

    def _write(self, ring: Ring) -> None:
        try:
            replace_file(self._home.seal_keys, pack(ring))
        except OSError as error:
            raise Unavailable(
                f"{self._home.seal_keys} cannot be written: {error.strerror}", code="read_only"
            ) from None
        self._ring = ring
        self._store.state.halves = halves(ring)

    # -- sealing --------------------------------------------------------------------------------------

    def seal(
        self, kind: Kind, content: Mapping[str, Any], nodes: Iterable[NodeId], *, itself: bool = True
    ) -> tuple[Mapping[str, Any], bytes]:
        """What an entry of kind PRIVATE says that these hosts, and (``itself``) this one, can open; and its content
        key. Raises Conflict when one of them has not named a key that is known here."""
        own = (self._store.me,) if itself else ()
        keys = {node: self._key_of(node) for node in (*nodes, *own)}
        without = [node for node, key in keys.items() if key is None]
        if without:
            raise self._no_key(without[0])
        chance = os.urandom(_CHANCES)
        chances = Chances(chance[:SEALED_ID_BYTES], chance[SEALED_ID_BYTES:-KEY_BYTES], chance[-KEY_BYTES:])
        colony, hosts = self._authoring().colony, {node: key for node, key in keys.items() if key is not None}
        sealed: Sealed = seal(kind, content, colony, self._store.me, content["agent"], hosts, chances)
        return sealed.content(), chances.key

    def check_key(self, node: NodeId) -> None:
        """Raises Conflict where nothing can be sealed for this node."""
        if self._key_of(node) is None:
            raise self._no_key(node)

    def _no_key(self, node: NodeId) -> Conflict:
        if node == self._store.me:
            return Conflict(
                "this node has not named its own sealing key yet: nothing was sent",
                code="no_seal_key",
                hint="it does within a second of its start, when its disk takes it: try again",
            )
        host = self._name(node)
        return Conflict(
            f"{host} has not named a key to seal for, as far as is known here: nothing was sent",
            code="no_seal_key",
            hint=f"a maw from before sealing runs there, or its log has not come yet (`maw peers`): update {host} and"
            ' try again; or send it so that every host of the Colony can read it: --open (API: "open": true)',
        )


def _read(home: NodeHome) -> Ring:
    path = home.seal_keys
    try:
        mode, data = path.stat().st_mode, path.read_bytes()
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise BadConfig(
            f"{path} cannot be read: {error.strerror}",
            code="bad_key_file",
            hint="it must belong to the user that runs maw",
        ) from None
    if stat.S_IMODE(mode) & 0o077:
        raise BadConfig(
            f"{path} can be read by others (mode {stat.S_IMODE(mode):04o})",
            code="key_is_open",
            hint=f"chmod 600 {path}; who did read it can read what was sealed for this host",
        )
    try:
        return unpack(data)
    except ValueError:
        raise BadConfig(
            f"{path} holds no sealing keys",
            code="bad_key_file",
            hint="move it away: new keys are made; what was opened here stays readable, and who sent what comes later"
            " for the old ones is told that it could not be opened",
        ) from None
