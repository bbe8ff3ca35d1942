"""Each check of the doctor, healthy and ill, on a made-up machine."""

import json
import socket
import struct
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from maw.ops import doctor, units
from maw.ops.checks import backups, here, home, network, running
from maw.ops.checks.context import Finding, HookTrouble
from maw.ops.checks.firewall import firewall
from maw.ops.doctor import Address, Context, Interface, KernelClock, Reached, Verdict, examine, worst
from maw.ops.machine import Machine, Ran
from maw.ops.units import Manager, Record

OK, WARN, FAIL, SKIP = Verdict.OK, Verdict.WARN, Verdict.FAIL, Verdict.SKIP
MESH = Address("10.44.0.1", 6290)
REST = Address("127.0.0.1", 6291)
HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
CHAIN = {"family": "inet", "table": "f", "name": "in", "hook": "input", "prio": 0, "policy": "drop"}
DROP_ALL = json.dumps({"nftables": [{"chain": CHAIN}]}, separators=(",", ":"))


class World:
    """A directory that stands for /, with a healthy node in it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.answers: dict[str, Ran] = {}
        self.home = root / "home"
        self.home.mkdir(mode=0o700)
        (self.home / "node.key").write_text("k")
        (self.home / "node.key").chmod(0o600)
        (root / "bin").mkdir()
        self.command = self.program("bin/maw", "#!/usr/bin/python3\n")
        self.listeners([("10.44.0.1", 6290, 11), ("127.0.0.1", 6291, 12)])

    def program(self, path: str, text: str) -> Path:
        file = self.root / path
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
        file.chmod(0o755)
        return file

    def listeners(self, sockets: list[tuple[str, int, int]]) -> None:
        """Write /proc/net/tcp and tcp6: (address, port, inode)."""
        rows: dict[str, list[str]] = {"tcp": [], "tcp6": []}
        for address, port, inode in sockets:
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            raw = socket.inet_pton(family, address)
            kernel = "".join(f"{word:08X}" for word in struct.unpack(f"={len(raw) // 4}I", raw))
            rest = f"00000000:0000 0A 00000000:00000000 00:00000000 00000000  0 0 {inode} 1\n"
            row = f"   0: {kernel}:{port:04X} {rest}"
            rows["tcp6" if family == socket.AF_INET6 else "tcp"].append(row)
        (self.root / "proc/net").mkdir(parents=True, exist_ok=True)
        for file, lines in rows.items():
            (self.root / "proc/net" / file).write_text(HEAD + "".join(lines))

    def run(self, command: Sequence[str]) -> Ran:
        return self.answers.get(command[0], Ran(127, ""))

    def context(self, **changes: Any) -> Context:
        environment = {"PATH": str(self.root / "bin"), "HOME": str(self.root)}
        machine = Machine(0, environment, self.run, self.root, lambda _: None)
        status = {"pid": 4711, "version": "0.1.0", "state": "running", "key": "mk1abc", "alerts": []}
        interface = Interface("wg0", "up", "wg0 is up: 10.44.0.1", ("10.44.0.1",))
        healthy = Context(
            machine, self.home, "0.1.0", command=self.command, node_key="mk1abc", interface=interface,
            listen=(MESH,), rest=REST, status=status, peers=(), min_free_mib=0,
            clock=lambda: KernelClock(True, 0.01),
        )  # fmt: skip
        return replace(healthy, **changes)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def is_(finding: Finding, verdict: Verdict, *words: str) -> bool:
    said = f"{finding.text} | {finding.hint}"
    assert finding.verdict is verdict, finding
    assert all(word in said for word in words), said
    assert finding.verdict in (OK, SKIP) or finding.hint, "an ill finding says what to do"
    return True


def test_a_healthy_node_has_nothing_ill_but_no_keeper(world: World) -> None:
    ill = [finding for finding in examine(world.context()) if finding.verdict not in (OK, SKIP)]
    assert [finding.name for finding in ill] == ["backup", "kept alive"]
    assert worst(examine(world.context())) is WARN
    assert worst([]) is OK


def test_hooks_that_stumbled_are_told_for_a_day(world: World) -> None:
    assert is_(here.hooks(world.context()), OK)
    trouble = HookTrouble("waiter: no answer from /s: it hung up", 180.0, Path("/log"))
    assert is_(here.hooks(world.context(hook_trouble=trouble)), WARN, "3 min ago: waiter: no answer", "/log")
    long_ago = HookTrouble("x", 90_000.0, Path("/log"))
    assert is_(here.hooks(world.context(hook_trouble=long_ago)), OK)


def test_names_are_stable_and_each_once(world: World) -> None:
    names = [finding.name for finding in examine(world.context())]
    assert len(set(names)) == len(doctor.CHECKS)
    assert {"daemon", "mesh port", "firewall", "clock", "maw on PATH"} <= set(names)
    assert set(examine(world.context())[0].as_json()) == {"name", "verdict", "text", "hint"}


def test_a_check_that_breaks_does_not_hide_the_others(world: World) -> None:
    def broken(_: Context) -> Finding:
        raise ZeroDivisionError("oh")

    first, second = examine(world.context(), [broken, here.python_and_sqlite])
    assert is_(first, SKIP, "ZeroDivisionError: oh", "bug")
    assert second.verdict is OK


# the directory


def test_a_directory_others_write_in(world: World) -> None:
    world.home.chmod(0o770)
    assert is_(home.directory(world.context()), FAIL, "0770", "chmod go-w")
    world.home.chmod(0o755)
    assert is_(home.directory(world.context()), WARN, "list")
    world.home.chmod(0o751)
    assert is_(home.directory(world.context()), OK)
    assert is_(home.directory(world.context(home=world.root / "none")), FAIL, "maw init")


def test_a_key_others_read_or_that_is_gone_or_anothers(world: World) -> None:
    assert is_(home.key(world.context()), OK)
    assert is_(home.key(world.context(node_key="mk1other")), FAIL, "another key")
    assert is_(home.key(world.context(node_key=None)), FAIL, "holds no key")
    (world.home / "node.key").chmod(0o640)
    assert is_(home.key(world.context()), FAIL, "0640", "chmod 600")
    (world.home / "node.key").unlink()
    assert is_(home.key(world.context()), FAIL, "not there", "backup")


def test_settings_socket_path_and_disk(world: World) -> None:
    assert is_(home.settings(world.context(config_problem="maw.toml:3: no such key")), FAIL, "maw.toml:3")
    assert is_(home.socket_path(world.context(home=Path("/" + "x" * 100))), FAIL, "110 bytes", "MAW_HOME")
    assert is_(home.socket_path(world.context(home=Path("/" + "x" * 97))), OK)
    assert is_(home.disk(world.context(min_free_mib=1 << 40)), FAIL, "no new messages")


def test_where_there_is_no_node_one_check_says_so(world: World) -> None:
    context = world.context(
        home=world.home / "none", status=None, peers=None, node_key=None, config_problem="maw.toml: no such file",
        socket_problem="the daemon is not running",
    )  # fmt: skip
    failed = [finding for finding in examine(context) if finding.verdict is FAIL]
    assert [(finding.name, finding.hint) for finding in failed] == [("directory", "maw init makes a node")]


# the daemon


def test_no_daemon(world: World) -> None:
    assert is_(running.answering(world.context(status=None)), FAIL, "maw up")
    shut = world.context(status=None, socket_problem="Permission denied")
    assert is_(running.answering(shut), FAIL, "usermod -aG")
    read_only = world.context(status={"state": "read_only", "pid": 1})
    assert is_(running.answering(read_only), WARN, "read_only")


def test_another_version_runs(world: World) -> None:
    assert is_(running.same_version(world.context()), OK)
    assert is_(running.same_version(world.context(version="0.2.0")), WARN, "0.1.0", "restart")


def test_room_for_agents(world: World) -> None:
    host: dict[str, object] = {
        "memory_available_bytes": 8 << 30,
        "more_fit": 20,
        "days_left": None,
        "paused": None,
        "refused": {},
    }

    def found(**other: object) -> Finding:
        return running.room_for_agents(world.context(status={"host": {**host, **other}}))

    assert is_(found(), OK, "8192 MiB of memory are left, 20 more agents fit")
    assert is_(found(paused="a new disk"), WARN, "a new disk", "maw host resume")
    assert is_(found(refused={"neo": "no room"}), WARN, "neo does not run: no room", "maw.toml")
    assert is_(found(more_fit=0), WARN, "0 more agents fit", "maw host")
    assert is_(found(days_left=2.5), WARN, "lasts for 2.5 days", "respawn")
    assert is_(found(days_left=30.0), OK, "20 more")
    assert is_(found(memory_available_bytes=None), SKIP, "does not say")
    assert is_(running.room_for_agents(world.context(status=None)), SKIP, "no daemon")


def test_alerts(world: World) -> None:
    alerts = [{"text": "a fork of mbp"}, {"text": "b"}]
    assert is_(running.alerts(world.context(status={"alerts": alerts})), WARN, "a fork of mbp (and 1 more)")


def test_open_files(world: World) -> None:
    limits = world.root / "proc/4711/limits"
    assert is_(here.open_files(world.context()), SKIP)
    limits.parent.mkdir()
    limits.write_text("Limit  Soft  Hard\nMax open files            256                 524288     files\n")
    assert is_(here.open_files(world.context()), WARN, "256", "ulimit -n")
    limits.write_text("Max open files            65536                65536     files\n")
    assert is_(here.open_files(world.context()), OK)


# the network


@pytest.mark.parametrize(
    ("word", "hint"), [("missing", "wg-quick up wg0"), ("down", "ip link set"), ("no address", "Address =")]
)
def test_an_interface_in_trouble(world: World, word: str, hint: str) -> None:
    context = world.context(interface=Interface("wg0", word, f"wg0 is {word}"), listen=())
    assert is_(network.interface(context), FAIL, word, hint)


def test_listening_where_it_should(world: World) -> None:
    assert is_(network.listening(world.context()), OK, "10.44.0.1:6290 only")
    assert is_(network.rest_port(world.context()), OK)
    world.listeners([])
    assert is_(network.listening(world.context()), FAIL, "nothing listens on 10.44.0.1:6290")
    assert is_(network.rest_port(world.context()), FAIL)


@pytest.mark.parametrize("address", ["0.0.0.0", "::"])
def test_a_listener_on_every_address(world: World, address: str) -> None:
    world.listeners([(address, 6290, 77), (address, 6291, 78)])
    (world.root / "proc/99/fd").mkdir(parents=True)
    (world.root / "proc/99/comm").write_text("nginx\n")
    (world.root / "proc/99/fd/3").symlink_to("socket:[77]")
    assert is_(network.listening(world.context()), FAIL, "nginx listens", "every address", "end it")
    assert is_(network.rest_port(world.context()), FAIL, "every address")
    mine = {"pid": 99, "version": "0.1.0"}
    assert is_(network.listening(world.context(status=mine)), FAIL, "the daemon listens", "maw.toml")


def test_rest_reachable_from_outside(world: World) -> None:
    world.listeners([("10.44.0.1", 6291, 1)])
    assert is_(network.rest_port(world.context()), FAIL, "others can reach")


def test_ipv6_mesh_addresses(world: World) -> None:
    world.listeners([("fd44::1", 6290, 1)])
    assert is_(network.listening(world.context(listen=(Address("fd44::1", 6290),))), OK, "[fd44::1]:6290")


def test_a_port_chosen_by_the_system_is_the_one_the_daemon_tells(world: World) -> None:
    world.listeners([("127.0.0.1", 40001, 1), ("127.0.0.1", 40002, 2)])
    status = {
        "pid": 1,
        "mesh": [{"address": "127.0.0.1:40001", "listening": True}],
        "rest": "127.0.0.1:40002",
    }
    any_port = Address("127.0.0.1", 0)
    context = world.context(listen=(any_port,), rest=any_port, mesh_port=0, status=status)
    assert is_(network.listening(context), OK, "127.0.0.1:40001 only")
    assert is_(network.rest_port(context), OK, "127.0.0.1:40002")


def test_our_own_port_behind_a_firewall(world: World) -> None:
    context = world.context(connect=lambda _: Reached.TIMEOUT)
    assert is_(network.listening(context), FAIL, "cannot connect", "nft insert rule")


@pytest.mark.parametrize(
    ("reached", "text", "hint"),
    [
        (Reached.REFUSED, "no maw listens there", "on mbp: maw status"),
        (Reached.TIMEOUT, "a firewall drops it, on this host or there", "6290 accept"),
        (Reached.NO_ROUTE, "no way to 10.44.0.2:6290", "AllowedIPs"),
        (Reached.NO_NAME, "no name this host knows", "IP address"),
        (Reached.OPEN, "reached at 10.44.0.2:6290, but there is no link: wrong key", "maw peers"),
    ],
)
def test_a_peer_that_is_not_linked(world: World, reached: Reached, text: str, hint: str) -> None:
    linked = {"name": "oracle-world", "state": "linked", "addresses": ["10.44.0.9:6290"]}
    apart = {"name": "mbp", "state": "unreachable", "addresses": ["10.44.0.2"], "last_error": "wrong key"}
    gone = {"name": "gone", "state": "forgotten", "addresses": ["10.44.0.8:1"]}
    tried: list[Address] = []

    def connect(address: Address) -> Reached:
        tried.append(address)
        return reached

    context = world.context(peers=[linked, apart, gone], connect=connect)
    assert is_(network.peers_reached(context), FAIL, text, hint)
    assert tried == [Address("10.44.0.2", 6290)]
    assert is_(network.peers_reached(world.context(peers=[linked])), OK)


# the firewall


def test_the_firewall(world: World) -> None:
    assert is_(firewall(world.context()), SKIP)
    world.answers["nft"] = Ran(0, '{"nftables": []}')
    assert is_(firewall(world.context()), OK, "6290 on wg0")
    world.answers["nft"] = Ran(0, DROP_ALL)
    assert is_(firewall(world.context()), FAIL, "drops TCP 6290 on wg0", "nft insert rule", "iifname wg0")
    assert is_(firewall(world.context(listen=(Address("127.0.0.1", 6290),))), SKIP)


def test_iptables_rules_are_read_by_iptables_where_it_is(world: World) -> None:
    unreadable = DROP_ALL.replace('"inet"', '"ip"').replace('"f"', '"filter"').replace('"in"', '"INPUT"')
    world.answers["nft"] = Ran(0, unreadable)
    assert is_(firewall(world.context()), FAIL)
    world.answers["iptables-save"] = Ran(0, "*filter\n:INPUT DROP [0:0]\n-A INPUT -i wg0 -j ACCEPT\nCOMMIT\n")
    assert is_(firewall(world.context()), OK)


@pytest.mark.parametrize(
    ("tool", "command"),
    [
        ("ufw", "ufw allow in on wg0 to any port 6290 proto tcp"),
        ("firewall-cmd", "firewall-cmd --permanent --add-port=6290/tcp"),
        ("iptables", "iptables -I INPUT -i wg0 -p tcp --dport 6290 -j ACCEPT"),
    ],
)
def test_the_hint_speaks_the_hosts_own_firewall(world: World, tool: str, command: str) -> None:
    world.answers["nft"] = Ran(0, DROP_ALL)
    machine = replace(world.context().machine, which=lambda name: f"/sbin/{name}" if name == tool else None)
    assert is_(firewall(world.context(machine=machine)), FAIL, command)


# this installation


def test_another_maw_first_on_path(world: World) -> None:
    assert is_(here.first_on_path(world.context()), OK)
    world.program("other/maw", "#!/usr/bin/env node\n")
    path = f"{world.root}/other:{world.root}/bin"
    machine = replace(world.context().machine, environment={"PATH": path})
    assert is_(here.first_on_path(world.context(machine=machine)), FAIL, "the old JavaScript maw", "PATH")
    world.program("other/maw", "#!/bin/sh\n")
    assert is_(here.first_on_path(world.context(machine=machine)), FAIL, "another program")
    nowhere = replace(machine, environment={"PATH": "/none"})
    assert is_(here.first_on_path(world.context(machine=nowhere)), WARN, "not on PATH")


def test_the_clock(world: World) -> None:
    assert is_(here.clock(world.context()), OK)
    assert is_(here.clock(world.context(clock=lambda: KernelClock(False, 16.0))), WARN, "NTP", "timedatectl")
    assert is_(here.clock(world.context(clock=lambda: None)), SKIP)
    one = {"name": "mbp", "clock_skew_ms": -90_000}
    assert is_(here.clock(world.context(peers=[one, {"name": "b"}])), WARN, "clocks differ: mbp -90.0 s")
    assert is_(here.clock(world.context(peers=[one, {**one, "name": "b"}])), WARN, "this host's clock is off")


def test_kept_alive(world: World) -> None:
    assert is_(here.kept_alive(world.context()), WARN, "maw service install")
    unit = world.root / "etc/systemd/system/maw.service"
    unit.parent.mkdir(parents=True)
    unit.write_text("[Service]\n")
    world.answers["systemctl"] = Ran(0, "")
    assert is_(here.kept_alive(world.context()), OK, "systemd")
    world.answers["systemctl"] = Ran(1, "")
    assert is_(here.kept_alive(world.context()), WARN, "not started at boot", "systemctl enable maw")


# the real ones


def test_connect_tells_open_from_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert doctor.connect(Address("127.0.0.1", port), 2) is Reached.OPEN
    assert doctor.connect(Address("127.0.0.1", port), 2) is Reached.REFUSED


@pytest.mark.skipif(sys.platform != "linux", reason="/proc and adjtimex are Linux's: run it there")
def test_the_kernels_own_tables() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        found = [one.address for one in network.tcp_listeners(Machine.here())]
        assert Address("127.0.0.1", server.getsockname()[1]) in found
    clock = doctor.kernel_clock()
    assert clock is None or 0 <= clock.max_error_s < 3600


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("10.0.0.1:7", Address("10.0.0.1", 7)),
        ("10.0.0.1", Address("10.0.0.1", 6290)),
        ("[fd00::1]:7", Address("fd00::1", 7)),
        ("[fd00::1]", Address("fd00::1", 6290)),
        ("fd00::1", Address("fd00::1", 6290)),
    ],
)
def test_addresses(text: str, address: Address) -> None:
    assert Address.parse(text, 6290) == address


# -- backups ------------------------------------------------------------------------------------------------


def test_backups(world: World) -> None:
    where = world.root / "backups/maw-x"
    where.mkdir(parents=True)
    now = datetime.now(UTC)

    def told(**record: Any) -> Finding:
        return backups.recent_backup(world.context(last_backup=record))

    assert is_(told(), WARN, "there is none", "maw backup")
    good = {"good_at": now.isoformat(), "good_path": str(where), "tried_at": now.isoformat(), "problem": None}
    assert is_(told(**good), OK, "just now", "")
    assert is_(
        told(**{**good, "good_at": (now - timedelta(days=9)).isoformat()}), WARN, "9 days ago", "maw backup"
    )
    assert is_(told(**{**good, "good_path": "/nowhere"}), WARN, "no longer where it was", "mounted")
    assert is_(told(**{**good, "problem": "no room"}), FAIL, "no room", "maw backup")
    assert is_(told(**{**good, "good_at": "yesterday"}), WARN, "an unknown time", "maw backup")
    assert is_(backups.recent_backup(world.context(last_backup=None)), SKIP, "not for this user", "sudo")


def test_logs_are_kept_in_bounds(world: World) -> None:
    assert is_(backups.log_rotation(world.context()), SKIP, "no service", "")
    record = units.render(
        Manager.PM2, command=Path("/m"), home=world.home, groups=(), record=Record("pm2", "/h")
    )
    (world.home / "ecosystem.config.cjs").write_text(record)
    inside = world.root / str(world.home).lstrip("/")
    inside.mkdir(parents=True, exist_ok=True)
    (inside / "ecosystem.config.cjs").write_text(record)
    assert is_(backups.log_rotation(world.context()), WARN, "grow without end", "pm2 install pm2-logrotate")
    module = world.root / str(world.root).lstrip("/") / ".pm2/modules/pm2-logrotate"
    module.mkdir(parents=True)
    assert is_(backups.log_rotation(world.context()), OK, "pm2-logrotate", "")
