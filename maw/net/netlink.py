"""The few words of rtnetlink that maw speaks, for `maw.net.wireguard`. Import it on Linux only.

pyroute2 encodes and decodes the messages; the sockets are ours, on the caller's event loop. Importing all of
pyroute2 costs some 9.5 MiB of memory in each daemon for parts never used (its package imports everything),
while its message classes alone cost 0.4 MiB: see `load_codec`.
"""

from __future__ import annotations

import asyncio
import errno
import importlib
import importlib.util
import os
import socket
import struct
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from types import ModuleType, TracebackType
from typing import Any, Final, Self

_HEADER: Final = struct.Struct("=IHHII")
_NLMSG_ERROR: Final = 2
_NLMSG_DONE: Final = 3
_RTM_NEWLINK: Final = 16
_RTM_DELLINK: Final = 17
_RTM_GETLINK: Final = 18
_RTM_NEWADDR: Final = 20
_RTM_DELADDR: Final = 21
_RTM_GETADDR: Final = 22
_NLM_F_REQUEST: Final = 0x01
_NLM_F_DUMP: Final = 0x300
_IFF_UP: Final = 0x01
_IFA_F_DADFAILED: Final = 0x08
_IFA_F_TENTATIVE: Final = 0x40
_GROUPS: Final = 0x01 | 0x10 | 0x100  # RTMGRP_LINK, RTMGRP_IPV4_IFADDR, RTMGRP_IPV6_IFADDR
_SOL_NETLINK: Final = 270
_NETLINK_GET_STRICT_CHK: Final = 12
_RECEIVE_BYTES: Final = 64 * 1024
_ANSWER_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class Codec:
    """The two message classes of pyroute2 that are used, and the error their ``decode`` raises."""

    link: Any
    address: Any
    decode_error: type[Exception]


def load_codec() -> Codec:
    """Import pyroute2's message classes without the rest of it; the whole of it where that does not work."""
    already = "pyroute2" in sys.modules
    if not already and (spec := importlib.util.find_spec("pyroute2")) and spec.submodule_search_locations:
        package = ModuleType("pyroute2")
        package.__path__ = list(spec.submodule_search_locations)
        package.__spec__ = spec
        sys.modules["pyroute2"] = package
        try:
            return _codec()
        except (ImportError, AttributeError):
            for name in [m for m in sys.modules if m.startswith("pyroute2.")]:
                del sys.modules[name]
        finally:
            # whoever imports pyroute2 after us gets the real package
            del sys.modules["pyroute2"]
    return _codec()


def _codec() -> Codec:
    netlink = importlib.import_module("pyroute2.netlink")
    address = importlib.import_module("pyroute2.netlink.rtnl.ifaddrmsg").ifaddrmsg
    errors = importlib.import_module("pyroute2.netlink.exceptions")
    # pyroute2's own ifinfmsg brings a plugin for every kind of interface: 0.7 MiB to read a name
    link = type(netlink.nlmsg)(
        "link_message",
        (netlink.nlmsg,),
        {
            "__slots__": (),
            "prefix": "IFLA_",
            "fields": (
                ("family", "B"),
                ("_pad", "B"),
                ("type", "H"),
                ("index", "i"),
                ("flags", "I"),
                ("change", "I"),
            ),
            "nla_map": ((3, "IFLA_IFNAME", "asciiz"),),
        },
    )
    return Codec(link, address, errors.NetlinkDecodeError)


class Routing:
    """Two rtnetlink sockets about one interface: one to ask, one told of changes. A context manager."""

    __slots__ = ("_codec", "_events", "_index", "_name", "_requests", "_sequence")

    def __init__(self, name: str, codec: Codec | None = None) -> None:
        """Raises OSError when netlink is out of reach (forbidden by a sandbox, no memory)."""
        self._codec = codec or load_codec()
        self._name = name
        self._index: int | None = None
        self._sequence = 0
        self._events = _open(_GROUPS)
        try:
            self._requests = _open(0)
        except OSError:
            self._events.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._events.close()
        self._requests.close()

    async def look(self) -> tuple[bool, bool, tuple[str, ...]]:
        """Ask the kernel: (there, up, addresses). Raises OSError when it does not answer."""
        link = self._codec.link()
        link["attrs"] = [("IFLA_IFNAME", self._name)]
        try:
            links = await self._ask(link, _RTM_GETLINK, 0)
        except OSError as error:
            if error.errno != errno.ENODEV:
                raise
            links = []
        if not links:
            self._index = None
            return False, False, ()
        self._index = index = int(links[0]["index"])
        address = self._codec.address()
        address["index"] = index
        found = await self._ask(address, _RTM_GETADDR, _NLM_F_DUMP)
        mine = [text for message in found if message["index"] == index and (text := _address(message))]
        mine.sort(key=lambda text: ip_address(text).version)
        return True, bool(links[0]["flags"] & _IFF_UP), tuple(dict.fromkeys(mine))

    async def nudged(self, seconds: float) -> bool:
        """True at a notification about the interface; False after ``seconds`` without one. Raises OSError."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(seconds):
                while not self._concerns(await loop.sock_recv(self._events, _RECEIVE_BYTES)):
                    pass
        except TimeoutError:
            return False
        return True

    def _concerns(self, data: bytes) -> bool:
        try:
            for kind, body in _messages(data):
                if kind in (_RTM_NEWADDR, _RTM_DELADDR):
                    index, name = _decoded(self._codec.address, body)["index"], None
                elif kind in (_RTM_NEWLINK, _RTM_DELLINK):
                    link = _decoded(self._codec.link, body)
                    index, name = link["index"], link.get_attr("IFLA_IFNAME")
                else:
                    continue
                if index == self._index or name == self._name:
                    return True
        except (self._codec.decode_error, struct.error):
            return True  # what cannot be read may be about us: look
        return False

    async def _ask(self, message: Any, kind: int, flags: int) -> list[Any]:
        loop = asyncio.get_running_loop()
        self._sequence += 1
        header = message["header"]
        header["type"], header["flags"], header["sequence_number"] = (
            kind,
            _NLM_F_REQUEST | flags,
            self._sequence,
        )
        message.encode()
        answers: list[Any] = []
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                await loop.sock_sendall(self._requests, bytes(message.data))
                while True:
                    data = await loop.sock_recv(self._requests, _RECEIVE_BYTES)
                    done = self._gathered(data, type(message), answers)
                    if done or (answers and not flags & _NLM_F_DUMP):
                        return answers
        except TimeoutError:
            raise OSError(errno.ETIMEDOUT, "the kernel does not answer on netlink") from None
        except self._codec.decode_error as error:
            raise OSError(errno.EBADMSG, f"netlink answer not understood: {error}") from error

    def _gathered(self, data: bytes, message_type: Any, answers: list[Any]) -> bool:
        """Add what ``data`` holds to ``answers``; True at the end of a dump. Raises OSError for an error."""
        for kind, body in _messages(data):
            if _HEADER.unpack_from(body)[3] != self._sequence:
                continue  # left over from a question given up
            if kind == _NLMSG_DONE:
                return True
            if kind == _NLMSG_ERROR:
                code = -struct.unpack_from("=i", body, _HEADER.size)[0]
                if code:
                    raise OSError(code, os.strerror(code))
                return True
            answers.append(_decoded(message_type, body))
        return False


def _open(groups: int) -> socket.socket:
    sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
    try:
        sock.setblocking(False)
        if not groups:
            try:
                # the kernel then sends this interface's addresses only
                sock.setsockopt(_SOL_NETLINK, _NETLINK_GET_STRICT_CHK, 1)
            except OSError as error:
                if error.errno != errno.ENOPROTOOPT:  # before Linux 4.20: all addresses come, and are sifted
                    raise
        sock.bind((0, groups))
    except OSError:
        sock.close()
        raise
    return sock


def _messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The (type, whole message) of each message in a datagram. Raises struct.error on a torn one."""
    offset = 0
    while offset < len(data):
        length, kind, *_ = _HEADER.unpack_from(data, offset)
        if not _HEADER.size <= length <= len(data) - offset:
            raise struct.error(f"a netlink message of {length} bytes in {len(data) - offset}")
        yield kind, data[offset : offset + length]
        offset += (length + 3) & ~3


def _decoded(message_type: Any, body: bytes) -> Any:
    message = message_type(body)
    message.decode()
    return message


def _address(message: Any) -> str | None:
    """The local address as text; None for link-local ones and those that cannot be bound (yet)."""
    if message["flags"] & (_IFA_F_TENTATIVE | _IFA_F_DADFAILED):
        return None
    text = message.get_attr("IFA_LOCAL") or message.get_attr("IFA_ADDRESS")
    if not text or ip_address(text).is_link_local:
        return None
    return str(text)
