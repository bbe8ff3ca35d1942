"""maw.toml and peers.toml: what they mean, and how their mistakes are told."""

from __future__ import annotations

from pathlib import Path

import pytest

from maw.config import (
    Endpoint,
    HostConfig,
    LimitsConfig,
    MeshConfig,
    RestConfig,
    WakesConfig,
    load_config,
    load_peers,
    parse_endpoint,
    render_config,
    render_peers,
)
from maw.core.budget import Limits
from maw.core.hours import Hours
from maw.core.identity import key_text
from maw.core.statement import colony_text
from maw.errors import BadConfig, BadInput

KEY_A, KEY_B = key_text(bytes(32)), key_text(bytes([1]) * 32)


def config(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "maw.toml"
    path.write_text(text)
    return path


def test_all_defaults(tmp_path: Path) -> None:
    read = load_config(config(tmp_path, '[node]\nname = "MBP"'))
    assert read.name == "mbp"
    assert read.mesh == MeshConfig("wg0", (), 6290, ())
    assert read.rest == RestConfig(Endpoint("127.0.0.1", 6291), True)
    assert read.socket.group is None
    assert read.limits == LimitsConfig()
    assert read.limits.min_free_disk_mib == 256
    assert read.host == HostConfig(None, None, None, 512, 300, "alerts")


def test_everything_set(tmp_path: Path) -> None:
    text = """
    [node]
    name = "pi"
    [mesh]
    listen = ["10.0.0.7", "[fd00::7]:7000"]
    port = 6999
    advertise = "pi.wg"
    [rest]
    listen = "[::1]:8000"
    anonymous = false
    [socket]
    group = "maw"
    [limits]
    min_free_disk_mib = 1000
    [host]
    agents = 13
    memory_mib = 8192
    hours = "22:00-7:30"
    alerts = ""
    [wakes]
    per_hour = 30
    per_sender = 12
    dnd = "22:00-7:00"
    """
    read = load_config(config(tmp_path, text))
    assert read.mesh == MeshConfig(
        None, (Endpoint("10.0.0.7", 6999), Endpoint("fd00::7", 7000)), 6999, (Endpoint("pi.wg", 6999),)
    )
    assert read.rest == RestConfig(Endpoint("::1", 8000), False)
    assert read.socket.group == "maw"
    assert read.limits.min_free_disk_mib == 1000
    assert read.wakes == WakesConfig(Limits(30, 12, 10), Hours(22 * 60, 7 * 60))
    assert read.host == HostConfig(13, 8192, Hours(22 * 60, 7 * 60 + 30), 512, 300, None)


@pytest.mark.parametrize(
    ("text", "says", "hint"),
    [
        ("", "node.name is missing", "name ="),
        ("[node]\nnam = 'x'", "line 2: node.nam is not known", "name"),
        ("[node]\nname = 3", "line 2: node.name must be text in quotes, not the number 3", ""),
        ("[node]\nname = 'x y'", "line 2: node.name is wrong: a node name has ' ' at position 2", "1–32"),
        ("[node]\nname = 'all'", "reserved", "reserved"),
        ("[node]\nname='x'\n[mash]", "line 3: mash is not known", "mesh"),
        ("[node]\nname='x'\n[mesh]\nport = 70000", "line 4: mesh.port must be from 0 to 65535", ""),
        ("[node]\nname='x'\n[mesh]\nlisten = 'mbp:1'", "line 4: mesh.listen is wrong: 'mbp' is no IP", ""),
        ("[node]\nname='x'\n[mesh]\nlisten = []", "line 4: mesh.listen is empty", "10.0.0.7"),
        ("[node]\nname='x'\n[mesh]\ninterface='wg0'\nlisten='1.2.3.4'", "line 5: mesh.listen and", "leave"),
        (
            "[node]\nname='x'\n[mesh]\ninterface='a/b'",
            "line 4: mesh.interface is wrong: 'a/b' is no interface name",
            "ip link",
        ),
        ("[node]\nname='x'\n[mesh]\nadvertise='h:0'", "line 4: mesh.advertise has no port to dial", ""),
        (
            "[node]\nname='x'\n[rest]\nlisten='0.0.0.0:1'",
            "line 4: rest.listen must be an address of this",
            "ssh",
        ),
        ("[node]\nname='x'\n[rest]\nanonymous='no'", "line 4: rest.anonymous must be true or false", ""),
        (
            "[node]\nname='x'\n[limits]\nmin_free_disk_mb=1",
            "line 4: limits.min_free_disk_mb",
            "min_free_disk_mib",
        ),
        ("[node]\nname='x'\n[limits]\nmin_free_disk_mib=0", "must be from 1", ""),
        (
            "[node]\nname='x'\n[host]\nhours='8-22'",
            "line 4: host.hours is wrong: '8-22' is no span",
            "08:00-22:00",
        ),
        ("[node]\nname='x'\n[wakes]\nper_hour=1", "wakes.per_hour must be from 4", ""),
        ("[node]\nname='x'\n[wakes]\ndnd='night'", "line 4: wakes.dnd is wrong", "22:00-07:00"),
        ("[node]\nname='x'\n[cost]\nusd_per_day='5'", "line 4: cost.usd_per_day must be a number", ""),
        ("[node]\nname='x'\n[cost]\nusd=5", "line 4: cost.usd is not known", "usd_per_day"),
        ("[node]\nname='x'\n[cost]\ntokens_per_day=1.5", "cost.tokens_per_day must be a whole number", ""),
        (
            "[node]\nname='x'\n[cost.each]\nusd_per_day=-1",
            "line 4: cost.each.usd_per_day must be dollars",
            "",
        ),
        ("[node]\nname='x'\n[cost]\nagents.scout.usd=1", "cost.agents.scout.usd is not known", "usd_per_day"),
        ("[node]\nname='x'\n[cost.agents.'a b']\nusd_per_day=1", "cost.agents.a b is wrong", ""),
        ("[node]\nname='x'\n[cost]\neach=1", "line 4: cost.each must be a section", ""),
        ("[node]\nname='x'\n[host]\nagents=0", "line 4: host.agents must be from 1", ""),
        ("[node]\nname='x'\n[host]\nalerts='a b'", "line 4: host.alerts is wrong", ""),
        ("node = 1", "line 1: node must be a section", ""),
        ("[node\n", "line 1, column 6: not TOML", ""),
    ],
)
def test_each_mistake_names_file_line_key_and_reason(text: str, says: str, hint: str, tmp_path: Path) -> None:
    path = config(tmp_path, text)
    with pytest.raises(BadConfig) as caught:
        load_config(path)
    assert str(path) in caught.value.message
    assert says in caught.value.message
    assert hint in caught.value.hint
    assert caught.value.exit_code == 2


def test_no_file_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(BadConfig) as caught:
        load_config(tmp_path / "maw.toml")
    assert "maw init" in caught.value.hint


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "maw.toml").mkdir()
    with pytest.raises(BadConfig, match="cannot be read"):
        load_config(tmp_path / "maw.toml")


@pytest.mark.parametrize(
    ("interface", "listen"),
    [
        ("wg0", ()),
        (None, (Endpoint("127.0.0.1", 7000),)),
        (None, (Endpoint("10.0.0.7", 7000), Endpoint("::1", 1))),
    ],
)
def test_what_init_writes_is_read_back(
    interface: str | None, listen: tuple[Endpoint, ...], tmp_path: Path
) -> None:
    rest = Endpoint("127.0.0.1", 6293)
    text = render_config("mbp", interface=interface, listen=listen, mesh_port=6292, rest=rest)
    read = load_config(config(tmp_path, text))
    assert (read.name, read.rest.listen, read.mesh.interface, read.mesh.listen) == (
        "mbp",
        rest,
        interface,
        listen,
    )
    assert read.mesh.port == (listen[0].port if listen else 6292)
    assert max(map(len, text.splitlines())) <= 110


def test_the_peers_file_of_init_holds_none_and_shows_how(tmp_path: Path) -> None:
    path = tmp_path / "peers.toml"
    path.write_text(render_peers())
    assert load_peers(path).peers == ()
    example = render_peers()[render_peers().index("# [colony]") :].replace("# ", "", 1).replace("\n# ", "\n")
    path.write_text(
        example.replace("mk1…", KEY_A).replace("mc1…", colony_text(bytes(32))).replace("\n#\n", "\n")
    )
    read = load_peers(path)
    assert [peer.name for peer in read.peers] == ["mbp"]
    assert read.colony == bytes(32)


def test_peers_are_read(tmp_path: Path) -> None:
    path = tmp_path / "peers.toml"
    path.write_text(
        f"[[peer]]\nname = 'mbp'\nkey = '{KEY_A}'\naddresses = ['10.0.0.7', 'mbp.wg:7']\n"
        f"[[peer]]\nname = 'pi'\nkey = '{KEY_B}'\nintroducer = true\n"
    )
    first, second = load_peers(path).peers
    assert (first.name, first.key, first.introducer) == ("mbp", bytes(32), False)
    assert first.addresses == (Endpoint("10.0.0.7", 6290), Endpoint("mbp.wg", 7))
    assert (second.name, second.addresses, second.introducer) == ("pi", (), True)


def test_no_peers_file_is_no_peers(tmp_path: Path) -> None:
    assert load_peers(tmp_path / "peers.toml").peers == ()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            f"[[peer]]\nname='a'\nkey='{KEY_A}'\n[[peer]]\nname='A'\nkey='{KEY_B}'",
            "line 5: peer.name 'a' stands twice",
        ),
        (
            f"[[peer]]\nname='a'\nkey='{KEY_A}'\n[[peer]]\nname='b'\nkey='{KEY_A}'",
            "line 6: peer.key is the same",
        ),
        ("[[peer]]\nname='a'", "line 1: peer.key is missing"),
        (f"[[peer]]\nkey='{KEY_A}'", "line 1: peer.name is missing"),
        (f"[[peer]]\nname='a'\nkey='{KEY_A}'\nadresses='x'", "line 4: peer.adresses is not known"),
        ("[[peer]]\nname='a'\nkey='mk1xyz'", "line 3: peer.key is wrong"),
        (f"[[peer]]\nname='a'\nkey='{KEY_A}'\naddresses='h:99999'", "line 4: peer.addresses is wrong"),
        ("[peer]\nname='a'", "line 1: peer is written as [[peer]]"),
        ("[[peers]]\nname='a'", "line 1: peers is not known"),
        ("peer = 3", "line 1: peer is written as [[peer]]"),
        ("[colony]\nid = 'mc1wrong'", "line 2: colony.id is wrong"),
        ("[colony]\nid = 7", "line 2: colony.id must be text"),
        ("[colony]\nname = 'x'", "line 2: colony.name is not known"),
    ],
)
def test_each_mistake_in_peers(text: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "peers.toml"
    path.write_text(text)
    with pytest.raises(BadConfig) as caught:
        load_peers(path)
    assert says in caught.value.message
    assert str(path) in caught.value.message


def test_a_wireguard_key_is_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "peers.toml"
    path.write_text(f"[[peer]]\nname='a'\nkey='{'A' * 43}='")
    with pytest.raises(BadConfig) as caught:
        load_peers(path)
    assert "WireGuard" in caught.value.hint


@pytest.mark.parametrize(
    ("text", "endpoint"),
    [
        ("10.0.0.7:6290", Endpoint("10.0.0.7", 6290)),
        ("[fd00::7]:1", Endpoint("fd00::7", 1)),
        ("fd00::7", Endpoint("fd00::7", 5)),
        ("[::1]", Endpoint("::1", 5)),
        ("mbp.wg", Endpoint("mbp.wg", 5)),
        ("127.0.0.1:0", Endpoint("127.0.0.1", 0)),
    ],
)
def test_endpoints(text: str, endpoint: Endpoint) -> None:
    assert parse_endpoint(text, 5) == endpoint
    assert parse_endpoint(str(endpoint), None) == endpoint


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":1",
        "a b:1",
        "a:",
        "a:x",
        "a:65536",
        "a:-1",
        "a:²",
        "[::1",
        "[x]:1",
        "u@h:1",
        "h",
        "[::1]1",
        "a:" + "1" * 5000,
    ],
)
def test_what_is_no_endpoint(text: str) -> None:
    with pytest.raises(BadInput):
        parse_endpoint(text)


def test_a_listener_needs_an_ip_address() -> None:
    with pytest.raises(BadInput, match="no IP address"):
        parse_endpoint("localhost:1", ip_only=True)


def test_what_may_be_spent(tmp_path: Path) -> None:
    text = """[node]
name='x'
[cost]
usd_per_day = 20
runner_s_per_day = 1.5
unknown_usd = 0.5
agents.scout.usd_per_day = 0.10
[cost.each]
tokens_per_day = 1000
"""
    cost = load_config(config(tmp_path, text)).cost
    assert cost.host == {"usd": 20_000_000, "runner_s": 1500}
    assert (cost.each, cost.agents) == ({"tokens": 1000}, {"scout": {"usd": 100_000}})
    assert (cost.unknown.usd, cost.unknown.tokens, cost.keep_days) == (500_000, None, 400)
