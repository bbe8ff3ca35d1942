"""Opening and closing the doors: what is in the way is said, what is ours is cleaned up."""

from __future__ import annotations

import os
import socket
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from maw.api.doors import Doors, DoorSettings
from maw.errors import BadConfig, Conflict
from tests.unit.api.house import new_backend, opened


@pytest.fixture
def home() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="maw") as path:
        yield Path(path)


def doors_at(path: Path, rest: tuple[str, int] | None = None, group: int | None = None) -> Doors:
    return Doors(new_backend(), DoorSettings(path, group=group, rest=rest))


async def test_the_doors_tell_where_they_are() -> None:
    async with opened() as house:
        host, _, port = str(house.doors.rest_address).rpartition(":")
        assert host == "127.0.0.1"
        assert int(port) > 0
        mode = house.doors.socket_path.lstat().st_mode
        assert stat.S_ISSOCK(mode)
        assert stat.S_IMODE(mode) == 0o660
        path = house.doors.socket_path
    assert house.doors.rest_address is None
    assert not path.exists()


async def test_without_rest_there_is_only_the_socket(home: Path) -> None:
    doors = doors_at(home / "maw.sock")
    await doors.start()
    assert doors.rest_address is None
    await doors.stop()
    await doors.stop()


async def test_rest_over_ipv6(home: Path) -> None:
    doors = doors_at(home / "maw.sock", ("::1", 0))
    try:
        await doors.start()
    except BadConfig as error:
        pytest.skip(f"no IPv6 on loopback here ({error.message}); run it on a host that has it")
    assert doors.rest_address is not None
    assert doors.rest_address.startswith("[::1]:")
    await doors.stop()


async def test_a_path_of_107_bytes_works_and_of_108_is_refused(home: Path) -> None:
    fits = home / ("x" * (107 - len(str(home)) - 1))
    doors = doors_at(fits)
    await doors.start()
    await doors.stop()
    with pytest.raises(BadConfig, match="108 bytes") as refused:
        await doors_at(Path(f"{fits}y")).start()
    assert refused.value.code == "socket_path_too_long"
    assert "MAW_HOME" in refused.value.hint


async def test_a_stale_socket_file_is_replaced(home: Path) -> None:
    path = home / "maw.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    doors = doors_at(path)
    await doors.start()
    with socket.socket(socket.AF_UNIX) as probe:
        probe.connect(str(path))
    await doors.stop()


async def test_a_live_socket_is_never_replaced(home: Path) -> None:
    path = home / "maw.sock"
    first = doors_at(path)
    await first.start()
    before = path.stat().st_ino
    with pytest.raises(Conflict) as refused:
        await doors_at(path).start()
    assert refused.value.code == "already_running"
    assert path.stat().st_ino == before
    await first.stop()


async def test_a_live_socket_with_a_full_queue_is_not_taken_for_dead(home: Path) -> None:
    path = home / "maw.sock"
    waiting: list[socket.socket] = []
    with socket.socket(socket.AF_UNIX) as hung:
        hung.bind(str(path))
        hung.listen(0)
        for _ in range(3):
            caller = socket.socket(socket.AF_UNIX)
            caller.setblocking(False)
            waiting.append(caller)
            try:
                caller.connect(str(path))
            except BlockingIOError:
                break
        with pytest.raises(Conflict):
            await doors_at(path).start()
        for caller in waiting:
            caller.close()


async def test_a_file_that_is_no_socket_is_left_alone(home: Path) -> None:
    path = home / "maw.sock"
    path.write_text("precious")
    with pytest.raises(Conflict, match="not a socket"):
        await doors_at(path).start()
    assert path.read_text() == "precious"


async def test_a_link_to_something_is_left_alone(home: Path) -> None:
    (home / "target").write_text("precious")
    (home / "maw.sock").symlink_to(home / "target")
    with pytest.raises(Conflict):
        await doors_at(home / "maw.sock").start()
    assert (home / "target").read_text() == "precious"


async def test_a_directory_that_is_not_there(home: Path) -> None:
    with pytest.raises(BadConfig, match="No such file") as refused:
        await doors_at(home / "none" / "maw.sock").start()
    assert refused.value.code == "socket_unusable"


async def test_a_port_in_use_names_the_port_and_the_way_out(home: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(Conflict, match=str(port)) as refused:
            await doors_at(home / "maw.sock", ("127.0.0.1", port)).start()
    assert refused.value.code == "port_in_use"
    assert "[rest] listen" in refused.value.hint
    assert not (home / "maw.sock").exists(), "neither door is open, nothing is left"


@pytest.mark.parametrize(
    ("host", "port"), [("203.0.113.7", 6291), ("127.0.0.1", 70000), ("not an address", 1)]
)
async def test_an_address_that_cannot_be_had(home: Path, host: str, port: int) -> None:
    with pytest.raises(BadConfig) as refused:
        await doors_at(home / "maw.sock", (host, port)).start()
    assert refused.value.code == "cannot_listen"
    assert str(port) in refused.value.message
    assert not (home / "maw.sock").exists()


async def test_doors_can_open_again_on_the_same_port(home: Path) -> None:
    first = doors_at(home / "maw.sock", ("127.0.0.1", 0))
    await first.start()
    assert first.rest_address is not None
    port = int(first.rest_address.rpartition(":")[2])
    await first.stop()
    second = doors_at(home / "maw.sock", ("127.0.0.1", port))
    await second.start()
    await second.stop()


async def test_another_daemons_socket_file_is_not_removed_at_stop(home: Path) -> None:
    path = home / "maw.sock"
    doors = doors_at(path)
    await doors.start()
    path.unlink()
    path.write_text("someone else's")
    await doors.stop()
    assert path.read_text() == "someone else's"


async def test_two_nodes_in_one_process() -> None:
    async with opened() as one, opened() as two:
        two.backend.node_name = "mbp"
        await one.backend.say("only here")
        assert len((await one.caller("rest")("GET", "/api/channels/general/messages")).json) == 1
        assert (await two.caller("rest")("GET", "/api/channels/general/messages")).json == []


@pytest.mark.root
@pytest.mark.skipif(os.getuid() != 0, reason="needs root: sudo -E make test ARGS='-m root'")
async def test_a_group_may_open_the_socket_and_others_may_not(home: Path) -> None:
    doors = doors_at(home / "maw.sock", group=12345)
    await doors.start()
    found = (home / "maw.sock").stat()
    assert (found.st_gid, stat.S_IMODE(found.st_mode)) == (12345, 0o660)
    await doors.stop()


async def test_a_pane_says_who_speaks_where_no_name_does_and_before_the_own_ape() -> None:
    async with opened() as house:
        here = (os.getuid(), "/tmp/tmux-0/default,17,%3")
        house.backend.panes[here] = "neo"
        caller = house.caller("socket", None)

        async def speaker(**headers: str) -> object:
            answer = await caller("GET", "/api/whoami", headers=headers)
            return answer.json["agent"]

        assert await speaker(**{"X-Maw-Pane": here[1]}) == "neo@oracle-world"
        assert await speaker(**{"X-Maw-Pane": here[1], "X-Maw-Agent": "~"}) == "neo@oracle-world"
        assert await speaker(**{"X-Maw-Pane": here[1], "X-Maw-Agent": "arthur"}) == "arthur@oracle-world"
        elsewhere = {"X-Maw-Pane": "/tmp/tmux-0/default,18,%3"}
        assert await speaker(**elsewhere) is None, "a pane of nobody's names nobody"
        assert await speaker(**elsewhere, **{"X-Maw-Agent": "arthur"}) == "arthur@oracle-world"
