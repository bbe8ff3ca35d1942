"""The netlink codec against hand-made messages and against this machine's own loopback."""

import socket
import struct
import subprocess
import sys

import pytest

if sys.platform != "linux":
    pytest.skip("netlink is Linux's: run it there", allow_module_level=True)

from maw.net.netlink import Codec, Routing, _address, _decoded, _messages, load_codec


@pytest.fixture(scope="module")
def codec() -> Codec:
    return load_codec()


def attribute(kind: int, value: bytes) -> bytes:
    raw = struct.pack("=HH", 4 + len(value), kind) + value
    return raw + bytes(-len(raw) % 4)


def message(kind: int, body: bytes) -> bytes:
    return struct.pack("=IHHII", 16 + len(body), kind, 0, 0, 0) + body


def link_message(kind: int, name: str, index: int) -> bytes:
    return message(kind, struct.pack("=BBHiII", 0, 0, 1, index, 1, 0) + attribute(3, name.encode() + b"\0"))


def address_message(text: str, *, flags: int = 0x80, local: str | None = None, index: int = 5) -> bytes:
    family = socket.AF_INET6 if ":" in text else socket.AF_INET
    body = struct.pack("=BBBBI", family, 24, flags, 0, index) + attribute(1, socket.inet_pton(family, text))
    if local:
        body += attribute(2, socket.inet_pton(family, local))
    return message(20, body)


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (address_message("10.44.0.1"), "10.44.0.1"),
        (address_message("10.44.0.9", local="10.44.0.1"), "10.44.0.1"),  # point to point: the far end first
        (address_message("fd00::1"), "fd00::1"),
        (address_message("fe80::1"), None),
        (address_message("169.254.7.7"), None),
        (address_message("fd00::1", flags=0x40), None),  # tentative: bind would fail
        (address_message("fd00::1", flags=0x08), None),  # somebody else has it
    ],
)
def test_the_address_one_can_bind(codec: Codec, raw: bytes, text: str | None) -> None:
    assert _address(_decoded(codec.address, raw)) == text


@pytest.mark.parametrize(
    ("raw", "concerns"),
    [
        (link_message(16, "wg0", 9), True),
        (link_message(17, "wg0", 9), True),
        (link_message(16, "wg01", 9), False),
        (link_message(16, "eth0", 9), False),
        (link_message(16, "eth0", 9) + link_message(16, "wg0", 10), True),
        (address_message("10.44.0.1", index=9), False),
        (message(24, b"\0" * 12), False),  # a route
        (b"\x07garbage", True),  # cannot be read: better look
        (struct.pack("=IHHII", 4, 16, 0, 0, 0), True),
    ],
)
async def test_which_notifications_concern_us(codec: Codec, raw: bytes, concerns: bool) -> None:
    with Routing("wg0", codec) as routing:
        assert routing._concerns(raw) is concerns


async def test_an_address_of_our_interface_concerns_us_once_its_index_is_known(codec: Codec) -> None:
    with Routing("lo", codec) as routing:
        index = socket.if_nametoindex("lo")
        assert not routing._concerns(address_message("10.44.0.1", index=index))
        await routing.look()
        assert routing._concerns(address_message("10.44.0.1", index=index))
        assert routing._concerns(link_message(16, "renamed", index))


def test_torn_datagrams_are_an_error() -> None:
    whole = link_message(16, "wg0", 9)
    assert [kind for kind, _ in _messages(whole + whole)] == [16, 16]
    with pytest.raises(struct.error):
        list(_messages(whole[:-1]))


async def test_the_loopback_of_this_machine() -> None:
    with Routing("lo") as routing:
        present, up, addresses = await routing.look()
    assert present
    assert up
    assert addresses[0] == "127.0.0.1"


async def test_an_interface_that_is_not_there() -> None:
    with Routing("maw-none0") as routing:
        assert await routing.look() == (False, False, ())
        assert await routing.nudged(0.01) is False


def test_only_the_message_classes_of_pyroute2_are_imported() -> None:
    """All of it is 9.5 MiB in every daemon; and whoever wants the real package later still gets it."""
    code = (
        "import sys\n"
        "from maw.net.netlink import load_codec\n"
        "load_codec()\n"
        "loaded = [m for m in sys.modules if m.startswith('pyroute2')]\n"
        "assert len(loaded) < 12, loaded\n"
        "import pyroute2\n"
        "assert pyroute2.IPRoute\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
