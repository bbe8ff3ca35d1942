"""Test hosts on one machine: each a network namespace with an underlay and a real WireGuard `wg0`.

Every lab has names and subnets of its own, and its bridge lives in a namespace of its own, so two runs at
once do not meet. WireGuard is wireguard-go over /dev/net/tun: no kernel module is needed.
"""

from __future__ import annotations

import functools
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext, suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self

WG_PORT: Final = 51820
INSTALL: Final = "apt-get install -y wireguard-go wireguard-tools iproute2 iputils-ping nftables"
_TOOLS: Final = ("ip", "wg", "wireguard-go", "ping", "unshare", "nsenter", "setpriv")


@functools.cache
def requirements_missing() -> str | None:
    """Why no lab can be made here and what to do about it; None when one can."""
    if sys.platform != "linux":
        return "needs Linux (network namespaces)"
    if os.geteuid() != 0:
        return "needs root: sudo make test"
    if missing := [tool for tool in _TOOLS if not shutil.which(tool)]:
        return f"needs {', '.join(missing)}: {INSTALL}"
    if not Path("/dev/net/tun").exists():
        return "needs /dev/net/tun: modprobe tun (in a container: --device /dev/net/tun)"
    if subprocess.run(["unshare", "--net", "--mount", "true"], capture_output=True, check=False).returncode:
        return "needs the right to make namespaces (in a container: --privileged)"
    return None


def wait_until(condition: Callable[[], object], what: str, seconds: float = 10.0) -> None:
    """Poll ``condition`` until it holds. Raises AssertionError naming ``what`` after ``seconds``, or after up to four
    times as many where the machine has more to do than it can."""
    began = time.monotonic()
    deadline = began + seconds * patience()
    while True:
        asked = time.monotonic()
        if condition():
            return
        now = time.monotonic()
        if now > deadline:
            raise AssertionError(f"not within {seconds:g} s: {what}")
        # to ask often what is far off, or takes a command, is most of what a waiting test would do to the others
        time.sleep(min(max(0.05, 2 * (now - asked), (now - began) / 20), 1.0))


def patience() -> float:
    """How many processes share each core: a machine that is busy with something else is no fault of what is tested."""
    return min(max(os.getloadavg()[0] / (os.cpu_count() or 1), 1.0), 4.0)


class CommandError(AssertionError):
    """A command on a test host failed; the message holds all it said."""


def run_command(
    command: Sequence[str],
    *,
    check: bool,
    timeout: float,
    input_text: str | None = None,
    environment: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run to the end, capturing text. Raises CommandError (when ``check``) or subprocess.TimeoutExpired."""
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        input=input_text,
        env=None if environment is None else {**os.environ, **environment},
    )
    if check and done.returncode:
        words = " ".join(command)
        raise CommandError(f"exit {done.returncode}: {words}\n{done.stdout}\n{done.stderr}")
    return done


class TestHost:
    """One host: a namespace with ``lo``, ``eth0`` (`underlay`) and, unless it was made without, ``wg0``."""

    __test__ = False

    def __init__(self, number: int, namespace: str, underlay: str, wg_address: str, directory: Path) -> None:
        self.number = number
        self.namespace = namespace
        self.underlay = underlay
        self.wg_address = wg_address
        self.directory = directory
        self.private_key = run_command(["wg", "genkey"], check=True, timeout=10).stdout.strip()
        self.public_key = run_command(
            ["wg", "pubkey"], check=True, timeout=10, input_text=self.private_key
        ).stdout.strip()
        self._wireguard: subprocess.Popen[bytes] | None = None
        self._started: list[subprocess.Popen[str]] = []

    def command(self, command: Sequence[str]) -> list[str]:
        """``command`` as an argument list that runs it on this host."""
        return ["ip", "netns", "exec", self.namespace, *command]

    def run(
        self,
        command: Sequence[str],
        check: bool = True,
        timeout: float = 30.0,
        *,
        input_text: str | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run on this host to the end; CommandError shows what it said when ``check`` and it failed."""
        return run_command(
            self.command(command),
            check=check,
            timeout=timeout,
            input_text=input_text,
            environment=environment,
        )

    def popen(
        self,
        command: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        log: Path | None = None,
    ) -> subprocess.Popen[str]:
        """Start on this host; ended with the lab at the latest. ``log`` takes its output, else pipes do.

        The pid is the command's own: it can be killed and stopped.
        """
        with log.open("ab") if log else nullcontext() as sink:
            process = subprocess.Popen(
                self.command(command),
                stdin=subprocess.DEVNULL,
                stdout=sink or subprocess.PIPE,
                stderr=subprocess.STDOUT if sink else subprocess.PIPE,
                text=True,
                env=None if environment is None else {**os.environ, **environment},
            )
        self._started.append(process)
        return process

    def ip(self, *words: str) -> None:
        """``ip WORDS`` in this host's namespace."""
        run_command(["ip", "-n", self.namespace, *words], check=True, timeout=10)

    def cut(self) -> None:
        """Take the underlay down: wg0 stays up and nothing arrives."""
        self.ip("link", "set", "eth0", "down")

    def heal(self) -> None:
        self.ip("link", "set", "eth0", "up")

    def wg_down(self) -> None:
        self.ip("link", "set", "wg0", "down")

    def wg_up(self) -> None:
        self.ip("link", "set", "wg0", "up")

    def set_wg_address(self, address: str) -> None:
        """Give wg0 ``address`` (no prefix length) instead of those it has. Peers go on routing the first."""
        self.ip("addr", "flush", "dev", "wg0")
        self.ip("addr", "add", f"{address}/24", "dev", "wg0")
        self.wg_address = address

    def wg_create(self, peers: Sequence[TestHost] = (), *, address: bool = True, up: bool = True) -> None:
        """Start wireguard-go: wg0 appears, configured for ``peers``."""
        log = (self.directory / f"wireguard-{self.number}.log").open("ab")
        # its control socket is under /run/wireguard: a mount namespace keeps the hosts apart
        script = "mkdir -p /run/wireguard && mount -t tmpfs tmpfs /run/wireguard && exec wireguard-go -f wg0"
        with log:
            self._wireguard = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *self.command(["unshare", "--mount", "sh", "-c", script])],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        wait_until(lambda: self.wg("show", "wg0", check=False).returncode == 0, "wireguard-go answers")
        conf = self.directory / f"wg-{self.number}.conf"
        conf.write_text(self._configuration(peers))
        self.wg("setconf", "wg0", str(conf))
        self.ip("link", "set", "wg0", "mtu", "1420")
        if address:
            self.ip("addr", "add", f"{self.wg_address}/24", "dev", "wg0")
        if up:
            self.wg_up()

    def wg_delete(self) -> None:
        """End wireguard-go: wg0 is gone."""
        if self._wireguard is not None:
            _end(self._wireguard)
            self._wireguard = None

    def wg(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """``wg WORDS``, beside this host's wireguard-go."""
        assert self._wireguard is not None, "wg0 was not made"
        inside = ["nsenter", "-t", str(self._wireguard.pid), "-m", "-n", "wg", *words]
        return run_command(inside, check=check, timeout=10)

    def close(self) -> None:
        """End all that was started on this host, and the host."""
        for process in self._started:
            _end(process)
        self.wg_delete()
        pids = run_command(["ip", "netns", "pids", self.namespace], check=False, timeout=10).stdout.split()
        for pid in pids:  # what those we started left behind in our own namespace
            with suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        run_command(["ip", "netns", "del", self.namespace], check=False, timeout=10)

    def _configuration(self, peers: Sequence[TestHost]) -> str:
        lines = ["[Interface]", f"PrivateKey = {self.private_key}", f"ListenPort = {WG_PORT}"]
        for peer in peers:
            lines += [
                "[Peer]",
                f"PublicKey = {peer.public_key}",
                f"AllowedIPs = {peer.wg_address}/32",
                f"Endpoint = {peer.underlay}:{WG_PORT}",
                "PersistentKeepalive = 1",
            ]
        return "\n".join(lines) + "\n"


class Lab:
    """``hosts`` test hosts in a full WireGuard mesh. A context manager; `close` ends everything it made."""

    def __init__(self, hosts: int, *, wireguard: bool = True) -> None:
        """``wireguard=False`` leaves wg0 out, for a test to make with `TestHost.wg_create`."""
        self.name = f"maw{secrets.token_hex(3)}"
        self.directory = Path(tempfile.mkdtemp(prefix=f"{self.name}-"))
        self.subnet = secrets.randbelow(254) + 1
        self.hosts: list[TestHost] = []
        self._bridge = f"{self.name}-br"
        try:
            self._make_bridge()
            for number in range(1, hosts + 1):
                self._add_host(number)
            if wireguard:
                for host in self.hosts:
                    host.wg_create([peer for peer in self.hosts if peer is not host])
        except BaseException:
            self.close()
            raise

    def __getitem__(self, index: int) -> TestHost:
        return self.hosts[index]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def wait_for_mesh(self, seconds: float = 15.0) -> None:
        """Until each host reaches each other one through WireGuard."""
        for host in self.hosts:
            for peer in self.hosts:
                if peer is not host:
                    ping = ["ping", "-c1", "-W1", peer.wg_address]
                    wait_until(
                        lambda host=host, ping=ping: host.run(ping, check=False).returncode == 0,  # type: ignore[misc]
                        f"{host.namespace} reaches {peer.wg_address}",
                        seconds,
                    )

    def close(self) -> None:
        """End every process, namespace and file of the lab. May be called twice."""
        while self.hosts:
            self.hosts.pop().close()
        run_command(["ip", "netns", "del", self._bridge], check=False, timeout=10)
        shutil.rmtree(self.directory, ignore_errors=True)

    def _make_bridge(self) -> None:
        run_command(["ip", "netns", "add", self._bridge], check=True, timeout=10)
        self._bridge_ip("link", "add", "br0", "type", "bridge")
        self._bridge_ip("link", "set", "br0", "up")

    def _add_host(self, number: int) -> None:
        namespace = f"{self.name}-{number}"
        underlay = f"198.18.{self.subnet}.{number}"
        host = TestHost(number, namespace, underlay, f"10.44.{self.subnet}.{number}", self.directory)
        run_command(["ip", "netns", "add", namespace], check=True, timeout=10)
        self.hosts.append(host)
        port = f"b{number}"
        self._bridge_ip("link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", namespace)
        self._bridge_ip("link", "set", port, "master", "br0", "up")
        host.ip("link", "set", "lo", "up")
        host.ip("addr", "add", f"{underlay}/24", "dev", "eth0")
        host.ip("link", "set", "eth0", "up")

    def _bridge_ip(self, *words: str) -> None:
        run_command(["ip", "-n", self._bridge, *words], check=True, timeout=10)


def _end(process: subprocess.Popen[bytes] | subprocess.Popen[str]) -> None:
    """Kill, reap, and close its pipes."""
    if process.poll() is None:
        process.kill()
    process.wait(10)
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()
