"""The page over HTTPS, through the proxy and the settings that docs/operations.md tells."""

from __future__ import annotations

import re
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from tests.browser.town import Host, founded
from tests.conftest import free_port
from tests.e2e.conftest import need
from tests.e2e.lab import wait_until

pytestmark = [pytest.mark.root]

NAME = "maw.example.org"
DOCS = (Path(__file__).parents[2] / "docs" / "operations.md").read_text(encoding="utf-8")
FOR_TESTS = "{{\n\tadmin off\n\tskip_install_trust\n\thttp_port {http}\n\thttps_port {https}\n}}\n"


def told(language: str, word: str) -> str:
    """The example in the docs that has ``word`` in it."""
    examples: list[str] = re.findall(rf"```{language}\n(.*?)```", DOCS, re.DOTALL)
    return next(text for text in examples if word in text)


def with_the_settings_told(host: Host) -> None:
    """What the docs have under [rest], in this node's file."""
    wanted = dict(re.findall(r"^(\w+) = (.*)$", told("toml", NAME), re.MULTILINE))
    path = host.home / "maw.toml"
    text = path.read_text().replace(
        "anonymous = true", f"anonymous = {wanted['anonymous']}\nhosts = {wanted['hosts']}"
    )
    path.write_text(text)


def shakes_hands(root: Path, port: int) -> bool:
    """Whether it listens, and has a certificate for the name: it makes one while it listens already."""
    try:
        trust = ssl.create_default_context(cafile=str(root))
        with (
            socket.create_connection(("127.0.0.1", port), 5) as plain,
            trust.wrap_socket(plain, server_hostname=NAME),
        ):
            return True
    except OSError:
        return False


@contextmanager
def caddy(folder: Path, rest: int, port: int) -> Iterator[ssl.SSLContext]:
    """Debian's caddy with the Caddyfile of the docs, on ports of its own; what trusts its certificates."""
    folder.mkdir()
    site = told("caddyfile", NAME).replace("127.0.0.1:6291", f"127.0.0.1:{rest}")
    (folder / "Caddyfile").write_text(FOR_TESTS.format(http=free_port(), https=port) + site)
    log = folder / "log"
    with log.open("w") as written:
        process = subprocess.Popen(
            ["caddy", "run", "--config", str(folder / "Caddyfile"), "--adapter", "caddyfile"],
            env={"HOME": str(folder), "XDG_DATA_HOME": str(folder), "PATH": "/usr/bin:/bin"},
            stdout=written,
            stderr=written,
        )
    try:
        root = folder / "caddy" / "pki" / "authorities" / "local" / "root.crt"
        wait_until(
            lambda: shakes_hands(root, port) or process.poll() is not None, "caddy has a certificate", 30
        )
        assert process.poll() is None, log.read_text()
        yield ssl.create_default_context(cafile=str(root))
    finally:
        process.terminate()
        process.wait(15)


class Here(AbstractResolver):
    """Every name is this machine."""

    async def resolve(self, host: str, port: int = 0, family: int = 0) -> list[ResolveResult]:
        return [{"hostname": host, "host": "127.0.0.1", "port": port, "family": 2, "proto": 0, "flags": 0}]

    async def close(self) -> None:
        """Nothing was opened."""


async def test_through_caddy_as_the_docs_tell_it(tmp_path: Path) -> None:
    need(None if shutil.which("caddy") else "has no caddy: apt-get install caddy")
    host = founded(tmp_path, "zion")
    with_the_settings_told(host)
    port = free_port()
    with host, caddy(tmp_path / "caddy", host.rest, port) as trust:
        token = host.add("neo")
        base = f"https://{NAME}:{port}"
        signed = {"Authorization": f"Bearer {token}", "Origin": base}
        connector = aiohttp.TCPConnector(resolver=Here(), ssl=trust)
        async with aiohttp.ClientSession(base, connector=connector) as session:

            async def asked(method: str, path: str, **headers: str) -> int:
                async with session.request(method, path, headers=headers) as answer:
                    return answer.status

            async with session.get("/") as answer:
                assert answer.status == 200
                assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
            assert await asked("GET", "/api/channels") == 401, "nobody reads without a token"
            assert await asked("GET", "/api/channels", **signed) == 200
            assert await asked("GET", "/api/channels", **{**signed, "Origin": "https://evil.example"}) == 403
            assert await asked("GET", "/api/channels", **{**signed, "Origin": f"https://{NAME}"}) == 403
            async with session.post("/api/stream/ticket", headers=signed) as answer:
                ticket = (await answer.json())["ticket"]
            host.open("neo", "general")
            stream = await session.ws_connect(
                "/api/stream?after_seq=0", protocols=["maw", f"maw.ticket.{ticket}"], headers={"Origin": base}
            )
            host.say("neo", "over TLS")
            while (frame := await stream.receive_json(timeout=30))["type"] != "message":
                pass
            assert frame["message"]["text"] == "over TLS"
            await stream.close()
