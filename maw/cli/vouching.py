"""An operator's word for a human, signed here: the daemon never reads the key."""

from __future__ import annotations

import base64
import os
import time

from maw.cli.operator import read_signer
from maw.cli.output import note
from maw.client import calls
from maw.client.daemon import Daemon


def vouched_here(daemon: Daemon, name: str, uid: int | None, file: str | None) -> str:
    """In base64, for this host's daemon and these minutes. ``uid``: None is the caller's. Raises BadInput: no key."""
    from maw.core.identity import parse_key
    from maw.core.statement import parse_colony
    from maw.core.vouched import vouch

    signer = read_signer(file)
    me = daemon.do(calls.whoami())
    node, colony = parse_key(str(me["node_key"])), parse_colony(str(me["colony"]))
    owner = os.geteuid() if uid is None else uid
    word = vouch(signer, colony, node, name, owner, int(time.time() * 1000))
    note(f"signed for {name}, a human of uid {owner} on {me['node_key']}")
    return base64.b64encode(word.wire).decode("ascii")
