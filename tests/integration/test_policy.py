"""The policy reaches every host; each agent's version of it is known on all of them; who stays behind is told of."""

from __future__ import annotations

import base64
from typing import Any

import msgpack
import pytest

from maw.api.backend import Json
from maw.core.identity import Signer, key_text
from maw.core.policy import LATE_MS
from maw.core.statement import sign_statement
from maw.errors import BadInput, Conflict, NotFound, Refused
from maw.node.authoring import wall_clock_ms
from tests.conftest import MakeHome
from tests.integration.nodes import Host, until
from tests.integration.operators import say, two_hosts, until_true


async def publish(host: Host, key: Signer, text: str, *others: Host) -> None:
    draft = await host.service.command.draft("policy", key_text(key.node), {"text": text})
    fields: Any = msgpack.unpackb(base64.b64decode(draft["fields"]))
    await say(
        host, sign_statement(key, "policy", host.node.membership.book.colony, draft["at_ms"], fields), *others
    )


async def status(host: Host, grace_s: float = 7200.0) -> dict[str, Json]:
    found = await host.service.policy_status(await host.owner(), grace_s)
    return {one["agent"]: one for one in found["agents"]}


async def test_who_runs_which_version_is_known_everywhere(make_home: MakeHome) -> None:
    async with two_hosts(make_home, "neo") as (mbp, oracle, key):
        with pytest.raises(NotFound, match="no policy"):
            await oracle.service.policy(await oracle.owner(), None)
        assert await oracle.service.policy_status(await oracle.owner(), 1.0) == {"policy": None, "agents": []}
        await publish(mbp, key, "Be kind.\n", oracle)
        first = await oracle.service.policy(await oracle.owner(), None)
        assert (first["version"], first["text"], first["by"]) == (1, "Be kind.\n", "operator founder")
        assert {name: one["state"] for name, one in (await status(mbp)).items()} == {
            "arthur@mbp": "never pulsed", "neo@oracle": "not heard yet",
        }  # fmt: skip
        neo = oracle.node.state.local["neo"]
        oracle.node.presences.pulse(neo, bytes.fromhex(first["id"]))
        assert (await status(oracle))["neo@oracle"]["state"] == "current"
        assert (await status(mbp))["neo@oracle"]["state"] == "not heard yet", "oracle has not said so"
        await oracle.node.presences.keep()
        await until(
            lambda: any(row.id == neo.id and row.seen.policy for row in mbp.node.directory.agents()), "told"
        )
        assert (await status(mbp))["neo@oracle"]["version"] == 1

        await publish(oracle, key, "Be kind, and brief.\n", mbp)
        told = (await status(mbp))["neo@oracle"]
        assert (told["state"], told["version"], told["late"]) == ("old", 1, False)
        later = wall_clock_ms() + LATE_MS + 60_000
        for part in (oracle.node.presences, oracle.node.policies):
            part._now = lambda: later
        oracle.node.presences.pulse(neo)
        assert (await status(oracle))["neo@oracle"]["late"]
        await oracle.node.policies.look()
        assert "version 1 of the policy, while version 2" in (await oracle.alert("policy"))["text"]
        second = await oracle.service.policy(await oracle.owner(), None)
        oracle.node.presences.pulse(neo, bytes.fromhex(second["id"]))
        await oracle.node.policies.look()
        assert ("policy", "neo@oracle") not in await oracle.alerts(), "it is settled"
        assert (await mbp.service.policy(await mbp.owner(), 1))["text"] == "Be kind.\n"

        async def kept() -> bool:
            found = [one for one in await mbp.service.command.statements() if one["type"] == "policy"]
            return bool(found) and found[0]["kept_by"] == ["mbp", "oracle"]

        await until_true(kept, "each host says that it has it")


async def test_what_is_no_policy_is_not_drafted(make_home: MakeHome) -> None:
    async with two_hosts(make_home, "neo") as (mbp, _, key):
        await publish(mbp, key, "Be kind.\n")
        with pytest.raises(Conflict, match="says just this"):
            await publish(mbp, key, "Be kind.\n")
        with pytest.raises(BadInput, match="looks like"):
            await publish(mbp, key, f"The key is maw_{'ab3d5f7q' * 4}\n")
        with pytest.raises(BadInput):
            await publish(mbp, key, "x" * 13_000)
        with pytest.raises(Refused, match="no right to order"):
            await publish(mbp, Signer(b"s" * 32), "Obey me.\n")
