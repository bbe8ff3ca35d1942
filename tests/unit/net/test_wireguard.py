"""The interface's state in words, and that watching goes on through whatever netlink does."""

import errno
from collections.abc import Iterator
from contextlib import aclosing
from types import TracebackType
from typing import ClassVar, Self

import pytest

from maw.errors import BadConfig
from maw.net import netlink, wireguard
from maw.net.wireguard import InterfaceState, watch

UP = (True, True, ("10.44.0.1",))
DOWN = (True, False, ("10.44.0.1",))
MISSING = (False, False, ())


@pytest.mark.parametrize(
    ("state", "word", "text", "usable"),
    [
        (InterfaceState("wg0", *MISSING), "missing", "wg0 is missing: waiting for it", ()),
        (InterfaceState("wg0", *DOWN), "down", "wg0 is down", ()),
        (InterfaceState("wg0", True, True, ()), "no address", "wg0 has no address", ()),
        (InterfaceState("wg0", *UP), "up", "wg0 is up: 10.44.0.1", ("10.44.0.1",)),
        (
            InterfaceState("ts0", True, True, ("100.64.0.1", "fd7a::1")),
            "up",
            "ts0 is up: 100.64.0.1, fd7a::1",
            ("100.64.0.1", "fd7a::1"),
        ),
    ],
)
def test_states_in_words(state: InterfaceState, word: str, text: str, usable: tuple[str, ...]) -> None:
    assert (state.word, state.describe(), state.usable) == (word, text, usable)


@pytest.mark.parametrize("name", ["", "a name", "wg0/1", "x" * 16, "wg0:1", "wg0\n"])
async def test_a_name_no_interface_can_have_is_refused(name: str) -> None:
    async with aclosing(watch(name)) as states:
        with pytest.raises(BadConfig, match="cannot be the name"):
            await anext(states)


async def test_elsewhere_than_linux_it_says_what_to_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "darwin")
    async with aclosing(watch("wg0")) as states:
        with pytest.raises(BadConfig) as refused:
            await anext(states)
    assert "listen" in refused.value.hint


class Script:
    """Stands in for `Routing`: plays looks and nudges; an OSError among them is raised."""

    looks: ClassVar[Iterator[tuple[bool, bool, tuple[str, ...]] | OSError]]
    nudges: ClassVar[Iterator[bool | OSError]]
    opened: ClassVar[int]
    closed: ClassVar[int]

    def __init__(self, name: str) -> None:
        type(self).opened += 1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        type(self).closed += 1

    async def look(self) -> tuple[bool, bool, tuple[str, ...]]:
        found = next(self.looks)
        if isinstance(found, OSError):
            raise found
        return found

    async def nudged(self, seconds: float) -> bool:
        found = next(self.nudges)
        if isinstance(found, OSError):
            raise found
        return found


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> type[Script]:
    Script.opened = Script.closed = 0
    monkeypatch.setattr(netlink, "Routing", Script)
    monkeypatch.setattr(wireguard, "_FIRST_BACKOFF_SECONDS", 0.001)
    monkeypatch.setattr(wireguard, "_SETTLE_SECONDS", 0.0)
    return Script


async def words(count: int) -> list[str]:
    got = []
    async with aclosing(watch("wg0")) as states:
        async for state in states:
            got.append(state.word)
            if len(got) == count:
                return got
    raise AssertionError("watch ended by itself")


async def test_only_changes_are_yielded(script: type[Script]) -> None:
    script.looks = iter([MISSING, MISSING, UP, UP, DOWN])
    script.nudges = iter([True, False, True, True])
    assert await words(3) == ["missing", "up", "down"]
    assert (script.opened, script.closed) == (1, 1)


async def test_a_lost_notification_is_healed_by_the_poll(script: type[Script]) -> None:
    script.looks = iter([MISSING, UP])
    script.nudges = iter([False])
    assert await words(2) == ["missing", "up"]


async def test_an_overrun_buffer_means_a_new_socket_and_a_fresh_look(script: type[Script]) -> None:
    script.looks = iter([UP, DOWN])
    script.nudges = iter([OSError(errno.ENOBUFS, "No buffer space available")])
    assert await words(2) == ["up", "down"]
    assert (script.opened, script.closed) == (2, 2)


async def test_netlink_errors_are_survived_and_logged(
    script: type[Script], caplog: pytest.LogCaptureFixture
) -> None:
    script.looks = iter([OSError(errno.ENOMEM, "no memory"), OSError(errno.EPERM, "no"), UP])
    script.nudges = iter([])
    assert await words(1) == ["up"]
    assert script.opened == script.closed == 3
    assert [r.levelname for r in caplog.records] == ["WARNING", "WARNING"]


async def test_it_beats_at_each_look_also_where_nothing_changes_or_looking_fails(
    script: type[Script],
) -> None:
    script.looks = iter([UP, UP, OSError(errno.ENOMEM, "no memory"), DOWN])
    script.nudges = iter([False, False])
    beats: list[int] = []
    async with aclosing(watch("wg0", beat=lambda: beats.append(1))) as states:
        assert (await anext(states)).word == "up"
        before = len(beats)
        assert (await anext(states)).word == "down"
        assert len(beats) - before >= 4
