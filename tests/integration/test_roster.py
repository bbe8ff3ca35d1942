"""The roster of a running node: who speaks from a pane, how agents are run, what keepers and hooks tell."""

from __future__ import annotations

import os
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from maw.api.backend import Speaker
from maw.errors import BadInput, Conflict, NotFound, Refused
from maw.node.roster import owner_of
from tests.conftest import MakeHome
from tests.integration.nodes import UID, Host, running

SOCKET = "/tmp/tmux-1000/default"
PANE = f"{SOCKET},4321,%3"
OTHER_UID = UID + 1


@pytest.fixture
async def host(make_home: MakeHome) -> AsyncIterator[Host]:
    async with running(make_home("mbp")) as one:
        await one.add("arthur", "ford")
        yield one


async def put(host: Host, name: str = "arthur", pane: str | None = PANE, **plan: object) -> dict[str, object]:
    told = {"kind": "claude", "command": ["claude"], "cwd": "/home/n", "session": name, **plan}
    return await host.service.enlist(await host.owner(), name, told, pane)


async def in_pane(host: Host, pane: str, uid: int = UID) -> str | None:
    speaker = await host.service.speaker_in_pane(uid, pane)
    return None if speaker is None else speaker.agent


async def test_a_pane_speaks_as_its_agent_at_once_and_says_so(host: Host) -> None:
    await put(host)
    speaker = await host.service.speaker_in_pane(UID, PANE)
    assert speaker is not None
    me = await host.service.whoami(speaker)
    assert (me["agent"], me["known_by"], me["pane"]) == ("arthur@mbp", "uid", "%3")


@pytest.mark.parametrize("pane", [f"{SOCKET},4322,%3", f"{SOCKET},4321,%30", "/tmp/tmux-1000/other,4321,%3"])
async def test_the_same_number_at_another_server_is_nobody(host: Host, pane: str) -> None:
    await put(host)
    assert await in_pane(host, pane) is None


async def test_a_pane_counts_for_the_uid_that_gave_it(host: Host) -> None:
    """Another user may name the same place, and takes nothing from the first."""
    await put(host)
    assert await in_pane(host, PANE, OTHER_UID) is None
    stranger = Speaker(None, None, "uid", OTHER_UID, is_admin=False)
    with pytest.raises(Refused) as refused:
        await host.service.enlist(stranger, "arthur", {}, PANE)
    assert refused.value.code == "not_yours"


async def strangers(host: Host) -> Speaker:
    """Another Unix user of this machine, who has an agent: fenchurch."""
    await host.service.add_user(await host.owner(), "fenchurch", "agent", uid=OTHER_UID)
    return Speaker(None, None, "uid", OTHER_UID, is_admin=False)


@pytest.fixture
def socket(tmp_path: Path) -> Path:
    """A file that stands for a tmux server's socket; it belongs to who runs this test."""
    made = tmp_path / "default"
    made.touch()
    return made


async def test_the_tmux_of_another_user_is_refused(host: Host, socket: Path) -> None:
    stranger, pane = await strangers(host), f"{socket},4321,%3"
    told = {"command": ["claude"], "session": "fenchurch"}
    with pytest.raises(Refused) as refused:
        await host.service.enlist(stranger, "fenchurch", told, pane)
    assert refused.value.code == "not_yours" and f"(uid {UID})" in refused.value.message
    await host.service.enlist(stranger, "fenchurch", told, None)
    with pytest.raises(Refused) as refused:
        await host.service.report(stranger, "fenchurch", {"state": "idle"}, pane)
    assert refused.value.code == "not_yours"
    await put(host, pane=pane)
    assert await in_pane(host, pane) == "arthur@mbp", "its own user's agent sits in it"


async def test_root_is_nobody_s_agent_for_a_path_that_somebody_named(host: Host, tmp_path: Path) -> None:
    """The server came after the path was named, and is not his who named it."""
    socket = tmp_path / "later"
    pane = f"{socket},4321,%3"
    await host.service.enlist(await strangers(host), "fenchurch", {"command": ["claude"]}, pane)
    assert await in_pane(host, pane, 0) is None, "there is no such server"
    socket.touch()
    assert await in_pane(host, pane, 0) is None, "the server is another's"


@pytest.mark.skipif(UID != 0, reason="a file is given to another user")
async def test_root_speaks_as_the_agent_in_whose_users_tmux_it_is(host: Host, socket: Path) -> None:
    os.chown(socket, OTHER_UID, -1)
    pane = f"{socket},4321,%3"
    await host.service.enlist(await strangers(host), "fenchurch", {"command": ["claude"]}, pane)
    assert await in_pane(host, pane, 0) == "fenchurch@mbp"


@pytest.mark.parametrize(("folder", "owner"), [(1000, 1000), (0, None)])
def test_a_socket_that_may_not_be_looked_at_is_the_closed_folder_s_owner_s(
    monkeypatch: pytest.MonkeyPatch, folder: int, owner: int | None
) -> None:
    """tmux keeps its sockets in a folder closed to others, and the daemon is a user of its own. Root's folder is how a
    service does not see homes."""

    def stat(path: Path) -> os.stat_result:
        if str(path) == "/tmp/tmux-1000":
            return os.stat_result((0o40700, 1, 1, 2, folder, folder, 0, 0, 0, 0))
        raise PermissionError(13, "Permission denied", path)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "stat", stat)
        found = owner_of("/tmp/tmux-1000/default")
    assert found == owner


async def test_a_pane_of_who_had_the_agents_number_before_is_nobodys(make_home: MakeHome) -> None:
    home = make_home("mbp")
    async with running(home) as host:
        await host.add("arthur")
        await put(host)
        await host.node.writer.submit(lambda conn: conn.execute(f"UPDATE panes SET uid = {OTHER_UID}"))
    async with running(home) as host:
        assert await in_pane(host, PANE, OTHER_UID) is None
        assert await in_pane(host, PANE) is None


@pytest.mark.parametrize(
    "told",
    [
        {"exec": ["sh", "-c", "id"]},
        {"command": ["sh"]},
        {"env": ["PATH=/x"]},
        {"cwd": "/x"},
        {"resume": ["sh"]},
        {"socket": "/x/s"},
        {"session": "x"},
        {"kind": "codex"},
        {"nudge": True},
        {"pane": PANE},
        {"exec": []},
        {"up": True, "exec": ["sh"]},
    ],
    ids=str,
)
async def test_what_a_users_keeper_runs_is_said_by_that_user_alone(host: Host, told: dict[str, Any]) -> None:
    """Not by those who administer, nor by root: it would be a way to run commands as somebody else."""
    stranger = await strangers(host)
    before = await host.service.enlist(stranger, "fenchurch", {"command": ["claude"], "nudge": True}, None)
    plan = {name: value for name, value in told.items() if name != "pane"}
    for uid in (UID, 0, OTHER_UID + 1):
        admin = Speaker(None, None, "uid", uid, is_admin=True)
        with pytest.raises(Refused) as refused:
            await host.service.enlist(admin, "fenchurch", plan, told.get("pane"))
        assert refused.value.code == "not_yours" and f"(uid {OTHER_UID})" in refused.value.message
        with pytest.raises(Refused) as refused:
            await host.service.report(admin, "fenchurch", {"state": "idle"}, None)
        assert refused.value.code == "not_yours"
    assert await host.service.roster(stranger) == [before]


async def test_who_administers_may_stop_start_and_remove_anybody_s_agent(host: Host) -> None:
    stranger = await strangers(host)
    await host.service.enlist(stranger, "fenchurch", {"command": ["claude"], "nudge": True}, None)
    unset = {"command": None, "exec": None, "cwd": None}
    told = {**unset, "up": False, "respawn": False, "hang": "off", "hang_after_s": 20, "nudge": False}
    plan = (await host.service.enlist(await host.owner(), "fenchurch", told, None))["plan"]
    assert {name: plan[name] for name in told if name not in unset} == {
        name: value for name, value in told.items() if name not in unset
    }
    assert plan["command"] == ["claude"]
    assert (await host.service.enlist(await host.owner(), "fenchurch", {"up": True}, None))["plan"]["up"]
    await host.service.strike(await host.owner(), "fenchurch")
    assert await host.service.roster(stranger) == []


@pytest.mark.parametrize(
    "text", ["", "x,1,%3", "/x,1,3", "/x,-1,%3", "/x,1,%", f"/{'x' * 600},1,%3", "/x,1,%٣"]
)
async def test_what_is_no_pane_is_refused(host: Host, text: str) -> None:
    with pytest.raises(BadInput) as refused:
        await host.service.speaker_in_pane(UID, text)
    assert refused.value.code == "bad_pane"


async def test_a_pane_moves_with_its_agent_and_ends_with_it(host: Host) -> None:
    await put(host)
    await put(host, pane=f"{SOCKET},4321,%9")
    assert await in_pane(host, PANE) is None
    assert await in_pane(host, f"{SOCKET},4321,%9") == "arthur@mbp"
    await host.service.remove_user(await host.owner(), "arthur")
    assert await in_pane(host, f"{SOCKET},4321,%9") is None
    assert await host.service.roster(await host.owner()) == []
    await put(host, "ford", f"{SOCKET},4321,%9")
    assert await in_pane(host, f"{SOCKET},4321,%9") == "ford@mbp"


async def test_one_pane_one_session_one_agent(host: Host) -> None:
    await put(host)
    with pytest.raises(Conflict) as refused:
        await put(host, "ford")
    assert refused.value.code == "pane_taken"
    with pytest.raises(Conflict) as refused:
        await put(host, "ford", None, session="arthur")
    assert refused.value.code == "session_taken"


async def test_all_of_it_outlasts_the_daemon(make_home: MakeHome) -> None:
    home = make_home("mbp")
    async with running(home) as host:
        await host.add("arthur")
        await put(host, env=["PATH=/x"], hang="respawn")
        arthur = await host.as_("arthur")
        await host.service.hold_conversation(arthur, "1f2e", os.getpid(), "/x/1f2e.jsonl")
        await host.service.report(
            await host.owner(), "arthur", {"state": "down", "given_up": "died", "deaths": 5}, None
        )
        (before,) = await host.service.roster(await host.owner())
    async with running(home) as host:
        (after,) = await host.service.roster(await host.owner())
        assert after == before
        assert after["pane"] is None, "the keeper said that it sits nowhere"
        assert after["plan"]["env"] == ["PATH=/x"]
        assert after["conversation"]["session"] == "1f2e"
        assert after["report"]["given_up"] == "died"


async def test_panes_of_an_earlier_boot_are_nobodys(make_home: MakeHome) -> None:
    home = make_home("mbp")
    async with running(home) as host:
        await host.add("arthur")
        await put(host)
        await host.node.writer.submit(lambda conn: _at_another_boot(conn))
    async with running(home) as host:
        assert await in_pane(host, PANE) is None
        (one,) = await host.service.roster(await host.owner())
        assert one["plan"]["session"] == "arthur"


async def _at_another_boot(conn: object) -> None:
    await conn.execute("UPDATE panes SET boot = 'another'")  # type: ignore[attr-defined]


async def test_a_program_beside_the_one_that_is_known_does_not_take_its_place(host: Host) -> None:
    await put(host)
    arthur = await host.as_("arthur")
    outer = subprocess.Popen(["sleep", "60"])
    try:
        assert (await host.service.hold_conversation(arthur, "outer", outer.pid, ""))["bound"]
        nested = await host.service.hold_conversation(arthur, "nested", os.getpid(), "")
        assert nested["bound"] is False and f"process {outer.pid}" in nested["why"]
        assert (await host.service.roster(arthur))[0]["conversation"]["session"] == "outer"
        cleared = await host.service.hold_conversation(arthur, "after-clear", outer.pid, "")
        assert cleared["bound"], "the same program began another conversation"
    finally:
        outer.kill()
        outer.wait()
    assert (await host.service.hold_conversation(arthur, "next", os.getpid(), ""))["bound"], (
        "the first is gone"
    )


async def test_whom_the_keeper_sees_in_the_pane_may_speak_for_it(host: Host) -> None:
    """A pid that was used again by a stranger must not keep the agent's own program out."""
    await put(host)
    arthur = await host.as_("arthur")
    stranger = subprocess.Popen(["sleep", "60"])
    try:
        await host.service.hold_conversation(arthur, "old", stranger.pid, "")
        report = {"state": "alive", "pid": os.getpid()}
        await host.service.report(await host.owner(), "arthur", report, PANE)
        assert (await host.service.hold_conversation(arthur, "new", os.getpid(), ""))["bound"]
    finally:
        stranger.kill()
        stranger.wait()


async def test_who_is_given_up_or_hangs_is_an_alert_until_it_runs(host: Host) -> None:
    await put(host)
    owner = await host.owner()
    await host.service.report(owner, "arthur", {"state": "down", "why": "died 5 times in a row"}, None)
    assert "arthur is down: died 5 times in a row" in (await host.alert("agent_down"))["text"]
    await host.service.report(owner, "arthur", {"state": "hung", "why": "no output"}, PANE)
    assert "arthur hangs: no output" in (await host.alert("agent_hung"))["text"]
    await host.service.report(owner, "arthur", {"state": "idle"}, PANE)
    assert not await host.alerts()


async def test_a_stopped_one_is_no_alert(host: Host) -> None:
    await put(host, up=False)
    await host.service.report(await host.owner(), "arthur", {"state": "down", "why": "stopped"}, None)
    assert not await host.alerts()


async def test_that_nobody_keeps_them_is_told(host: Host) -> None:
    await put(host)
    status = await host.service.status(await host.owner())
    assert status["without_keeper"] == [{"uid": UID, "agents": ["arthur"]}]
    kept = await host.service.keep(await host.owner(), 17, "0.1.0")
    assert [one["name"] for one in kept["agents"]] == ["arthur"]
    assert (kept["stagger_s"], kept["load_per_core"]) == (2, 2)
    assert (await host.service.status(await host.owner()))["without_keeper"] == []


async def test_changes_at_once_are_all_kept(host: Host) -> None:
    import asyncio

    await put(host)
    owner = await host.owner()
    await asyncio.gather(
        host.service.enlist(owner, "arthur", {"nudge": True}, None),
        host.service.report(owner, "arthur", {"state": "idle", "respawns": 3}, PANE),
        host.service.enlist(owner, "arthur", {"hang": "off"}, None),
    )
    (one,) = await host.service.roster(owner)
    assert (one["plan"]["nudge"], one["plan"]["hang"], one["report"]["respawns"]) == (True, "off", 3)


async def test_unread_is_counted_for_who_is_watched(host: Host) -> None:
    await put(host)
    await host.send("ford", "arthur", "one")
    sent = await host.send("ford", "arthur", "two")
    (one,) = await host.service.roster(await host.owner())
    assert (one["unread"], one["newest_unread"]) == (2, sent["seq"])


async def test_who_is_not_in_the_roster_is_not_struck_or_reported(host: Host) -> None:
    for call in (
        host.service.strike(await host.owner(), "ford"),
        host.service.report(await host.owner(), "ford", {"state": "idle"}, None),
    ):
        with pytest.raises(NotFound) as refused:
            await call
        assert refused.value.code == "not_in_roster"


async def test_a_token_runs_nobody(host: Host) -> None:
    token = await host.service.new_token(await host.owner(), "arthur")
    speaker = await host.service.speaker_for_token(token)
    with pytest.raises(Refused) as refused:
        await host.service.roster(speaker)
    assert refused.value.code == "socket_only"
