"""A live node with something on it, and schemathesis at each of its doors."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final
from urllib.request import urlopen

from maw.api.doors import Doors, DoorSettings
from maw.config import Endpoint
from maw.core.quota import Rate, Rates
from maw.node.founding import create
from maw.node.home import NodeHome
from tests.conftest import free_port
from tests.integration.nodes import Host, config_of, running

CHECKS: Final = (
    "not_a_server_error", "status_code_conformance", "content_type_conformance", "response_headers_conformance",
    "response_schema_conformance", "negative_data_rejection", "unsupported_method", "allow_header_conformance",
    "ignored_auth",
)  # fmt: skip
HOOKS: Final = "tests.proof.hooks"
CONFIG: Final = Path(__file__).with_name("schemathesis.toml")
ROOT: Final = Path(__file__).parents[2]
_UNLIMITED: Final = Rate(0, 1)


@dataclass(frozen=True)
class Live:
    """``rest`` and ``socket`` are URLs: the socket's leads through a port of its own, as neo."""

    host: Host
    rest: str
    socket: str
    token: str


@asynccontextmanager
async def live(root: Path) -> AsyncIterator[Live]:
    """A node with two agents, channels, messages, a thread and a redaction, behind both doors."""
    home = NodeHome(root / "node")

    def found() -> None:
        create(
            home.path, name="oracle", listen=Endpoint("127.0.0.1", free_port()),
            rest=Endpoint("127.0.0.1", free_port()), owner_uid=os.getuid(), owner_name="owner",
        )  # fmt: skip

    await asyncio.to_thread(found)
    config = config_of(home)
    config = replace(config, limits=replace(config.limits, rates=Rates(_UNLIMITED, _UNLIMITED, _UNLIMITED)))
    async with running(home, config=config) as host:
        token = (await host.service.add_user(await host.owner(), "neo", "agent", uid=None))["token"]
        await host.add("arthur")
        await host.service.add_channel(await host.as_("neo"), "plans")
        first = await host.post("neo", "hello, @arthur")
        await host.post("arthur", "hello, @neo and @agents", reply_to=first["id"])
        await host.send("arthur", "neo", "between us")
        gone = await host.post("neo", "to be taken back", channel="plans")
        await host.service.redact(await host.as_("neo"), [gone["id"]], None)
        doors = Doors(host.service, DoorSettings(root / "maw.sock", rest=("127.0.0.1", 0)), grace_s=1)
        await doors.start()
        bridge = await asyncio.start_server(lambda r, w: _bridge(r, w, doors.socket_path), "127.0.0.1", 0)
        try:
            port = bridge.sockets[0].getsockname()[1]
            yield Live(host, f"http://{doors.rest_address}", f"http://127.0.0.1:{port}", token)
        finally:
            bridge.close()
            await doors.stop()


async def _bridge(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, socket: Path) -> None:
    """schemathesis speaks TCP only."""
    there, back = await asyncio.open_unix_connection(str(socket))

    async def pump(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await source.read(65536):
                target.write(data)
                await target.drain()
        target.close()

    await asyncio.gather(pump(reader, back), pump(there, writer))


@dataclass(frozen=True)
class Way:
    """One who calls: where and with which headers. ``signed_in`` by the kernel: Authorization is not looked at."""

    url: str
    headers: dict[str, str]
    signed_in: bool = False


def ways(house: Live) -> dict[str, Way]:
    return {
        "anonymous": Way(house.rest, {}),
        "token": Way(house.rest, {"Authorization": f"Bearer {house.token}"}),
        "socket": Way(house.socket, {"X-Maw-Agent": "neo"}, signed_in=True),
    }


async def prove(
    way: Way, root: Path, *, seed: int, examples: int, phases: str, more: tuple[str, ...] = ()
) -> tuple[int, str]:
    """schemathesis's exit code (0: nothing was found) and what it says."""
    file = root / "openapi.json"
    file.write_text(json.dumps(await asyncio.to_thread(_described, way)))
    said = [word for name, value in way.headers.items() for word in ("-H", f"{name}: {value}")]
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "schemathesis.cli", "--config-file", str(CONFIG),
        "run", str(file), "--url", way.url, *said, "--checks", ",".join(CHECKS),
        "--mode", "all", "--phases", phases, "--seed", str(seed), "--max-examples", str(examples),
        "--warnings", "off", "--request-timeout", "10", "--no-color", "--suppress-health-check", "all", *more,
        cwd=root, env={**os.environ, "PYTHONPATH": str(ROOT), "SCHEMATHESIS_HOOKS": HOOKS, "PYTHONWARNINGS": "ignore"},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    try:
        out, _ = await child.communicate()
    finally:
        with suppress(ProcessLookupError):
            child.kill()
    return child.returncode or 0, out.decode(errors="replace")


def _described(way: Way) -> Any:
    """openapi.json as it is served; for the socket without the tokens, which, as it says in words, are REST's."""
    with urlopen(f"{way.url}/openapi.json", timeout=10) as answer:
        document = json.load(answer)
    if way.signed_in:
        del document["components"]["securitySchemes"]
        for operations in document["paths"].values():
            for operation in operations.values():
                del operation["security"]
    return document
