"""One command brings an agent to life on a bare host that boots, over a real sshd; one ends it; killed, it goes on."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.booted import BootedHost
from tests.e2e.conftest import need
from tests.e2e.lab import Lab, TestHost, wait_until

pytestmark = [pytest.mark.root, pytest.mark.slow, pytest.mark.timeout(240)]

SSHD = "/usr/sbin/sshd"
MAW = (sys.executable, "-m", "maw.cli.main")
SSHD_CONFIG = """\
Port 22
HostKey /etc/maw-test/host_key
AuthorizedKeysFile /etc/maw-test/authorized_keys
StrictModes no
UsePAM no
PermitRootLogin prohibit-password
PasswordAuthentication no
PidFile /run/maw-sshd.pid
"""
SSH_CONFIG = """\
Host vault
  HostName {address}
  User root
  IdentityFile {folder}/key
  IdentitiesOnly yes
  UserKnownHostsFile {folder}/known_hosts
  StrictHostKeyChecking yes
"""
KILLED_AT = ("maw", "pairing", "agent")
"""At each moment of each step: tests/unit/agents/birth/test_bearing.py."""
RUNNER = 'sh -c \'cat >/dev/null; echo ">>> #general"; echo "I am scout, and I keep the vault."\''


class Mother:
    """The host from which birth is given: `maw up`, and an ssh that knows the key of the other."""

    def __init__(self, host: TestHost, folder: Path) -> None:
        self.host, self.folder = host, folder
        self.home = folder / "mbp"

    def environment(self) -> dict[str, str]:
        path = f"{self.folder}/bin:{os.environ['PATH']}"
        return {"MAW_HOME": str(self.home), "MAW_SOCKET": "", "MAW_AGENT": "", "PATH": path}

    def maw(self, *words: str, check: bool = True, timeout: float = 120) -> subprocess.CompletedProcess[str]:
        return self.host.run([*MAW, *words], check, timeout, environment=self.environment())

    def json(self, *words: str) -> Any:
        return json.loads(self.maw(*words, "--json").stdout)

    @property
    def record(self) -> Path:
        return self.home / "births" / "scout.birth.json"

    def up(self) -> None:
        """With arthur, who may give birth."""
        self.maw("init", "--name", "mbp", "--interface", "wg0")
        config = self.home / "maw.toml"
        config.write_text(config.read_text().replace("\nby = []\n", '\nby = ["arthur"]\n'))
        self.host.popen([*MAW, "up"], environment=self.environment(), log=self.folder / "mbp.log")
        wait_until(lambda: self.maw("status", "--json", check=False).returncode == 0, "mbp is up", 30)
        self.maw("agent", "add", "arthur")

    def texts(self) -> list[tuple[str, str]]:
        return [(one["author"], one["text"]) for one in self.json("read", "general")]


@pytest.fixture(scope="module")
def hosts(
    boot: Callable[..., BootedHost], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Mother, BootedHost]]:
    """mbp with a daemon, and a host with nothing but Debian, systemd and sshd."""
    need(None if Path(SSHD).exists() else "needs sshd: apt-get install -y openssh-server openssh-client git")
    folder = tmp_path_factory.mktemp("birth")
    with Lab(2) as lab:
        bare = boot(lab[1])
        mother = Mother(lab[0], folder)
        reach(bare, mother, lab[1].underlay)
        mother.up()
        yield mother, bare


def reach(bare: BootedHost, mother: Mother, address: str) -> None:
    """sshd on the one, keys and configuration on the other."""
    folder = mother.folder
    for name in ("key", "host_key"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True)
    (folder / "known_hosts").write_text(f"{address} {(folder / 'host_key.pub').read_text()}")
    (folder / "config").write_text(SSH_CONFIG.format(address=address, folder=folder))
    (folder / "bin").mkdir()
    (folder / "bin" / "ssh").write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} -F {folder}/config "$@"\n')
    (folder / "bin" / "ssh").chmod(0o755)
    files = {
        "sshd_config": SSHD_CONFIG, "host_key": (folder / "host_key").read_text(),
        "authorized_keys": (folder / "key.pub").read_text(),
    }  # fmt: skip
    for name, text in files.items():
        script = 'mkdir -p /etc/maw-test && umask 077 && cat >"/etc/maw-test/$1"'
        bare.run(["sh", "-c", script, "sh", name], input_text=text)
    bare.run(["sh", "-c", "mkdir -p /run/sshd; rm -rf ~/.local/share/maw /var/lib/maw /opt/maw"])
    bare.run(
        ["systemd-run", "--quiet", "--unit=maw-sshd", SSHD, "-D", "-e", "-f", "/etc/maw-test/sshd_config"]
    )
    bare.run(["systemctl", "reset-failed"], check=False)
    wait_until(
        lambda: mother.host.run(
            [str(folder / "bin" / "ssh"), "-o", "BatchMode=yes", "vault", "true"], check=False
        ).returncode == 0,
        f"sshd answers\n{bare.journal('maw-sshd')}", 30,
    )  # fmt: skip


def killed(mother: Mother, birth: tuple[str, ...], step: str) -> None:
    """kill -9 as soon as this step has begun; what began over there ends there by itself."""

    def begun() -> bool:
        if process.poll() is not None:
            return True  # it was faster than we looked
        return mother.record.exists() and step in json.loads(mother.record.read_text()).get("steps", {})

    log = mother.folder / f"killed-{step}.log"
    process = mother.host.popen([*MAW, *birth], environment=mother.environment(), log=log)
    wait_until(begun, f"{step} has begun\n{log.read_text()}", 60)
    process.send_signal(signal.SIGKILL)
    assert process.wait(10) in (0, -signal.SIGKILL), log.read_text()


def test_killed_again_and_again_and_a_death(
    hosts: tuple[Mother, BootedHost], capsys: pytest.CaptureFixture[str]
) -> None:
    mother, bare = hosts
    soul = mother.folder / "soul.md"
    soul.write_text("# scout\n\nIt keeps the vault.\n")
    birth = ("birth", "scout", "--host", "vault", "--soul", str(soul), "--node", "vault", "--runner", RUNNER,
             "--as", "arthur")  # fmt: skip
    before = bare.run(["sh", "-c", "ls -A /opt /home /var/lib; getent passwd | wc -l"]).stdout
    planned = mother.json(*birth, "--dry-run")
    assert planned["state"] == "planned" and {one["state"] for one in planned["steps"]} == {
        "already",
        "to do",
    }
    assert bare.run(["sh", "-c", "ls -A /opt /home /var/lib; getent passwd | wc -l"]).stdout == before

    for number, step in enumerate(KILLED_AT):
        killed(mother, ("birth", "scout", "--as", "arthur") if number else birth, step)
    born = mother.json("birth", "scout", "--as", "arthur")
    assert born["state"] == "born" and born["address"] == "scout@vault"
    with capsys.disabled():
        for step in json.loads(mother.record.read_text())["steps"].items():
            print(f"  {step[1]['seconds']:6.1f} s  {step[0]:9} {step[1]['said'][:90]}")

    author, text = mother.texts()[-1]
    assert (author, text) == ("scout@vault", "I am scout, and I keep the vault.")
    (scout,) = [one for one in mother.json("agent", "list") if one["address"] == "scout@vault"]
    assert (scout["born"]["by"], scout["born"]["generation"]) == ("arthur@mbp", 1)
    home = "/home/scout/agents/scout"
    assert bare.run(["cat", f"{home}/soul.md"]).stdout == soul.read_text()
    assert bare.run(["stat", "-c", "%U %a", f"{home}/.maw/token"]).stdout == "scout 600\n"
    for unit in ("maw-pulse@scout.timer", "maw-dream@scout.timer", "maw.service"):
        assert bare.systemctl("is-enabled", unit) == "enabled"
    token = bare.run(["cat", f"{home}/.maw/token"]).stdout.strip()
    for path in (mother.home / "births").glob("*.json"):
        assert path.stat().st_mode & 0o077 == 0
        assert token not in path.read_text() and "mi1" not in path.read_text()

    assert len([one for one in mother.texts() if one[0] == "scout@vault"]) == 1

    # a death is refused while anything would be lost, and loses nothing
    mother.maw("send", "--as", "arthur", "@scout", "are you there?")
    show = ["/usr/local/bin/maw", "agent", "show", "scout"]
    wait_until(lambda: "1 unread" in bare.run(show, check=False).stdout, "its mail is there", 30)
    refused = mother.maw("death", "scout", "--as", "~", check=False)
    assert refused.returncode == 6 and "1 unread" in refused.stderr
    bare.run(["sh", "-c", f"echo 'what I learnt' >>{home}/memory/log.md"])
    ended = mother.json("death", "scout", "--as", "~", "--force", "--why", "the vault is full")
    with tarfile.open(ended["archive"]) as kept:
        log = kept.extractfile("scout/memory/log.md")
        assert log is not None and "what I learnt" in log.read().decode()
    assert Path(ended["archive"]).stat().st_mode & 0o777 == 0o600
    assert "the vault is full" in mother.texts()[-1][1]
    assert bare.run(["test", "-e", home], check=False).returncode == 1
    assert bare.systemctl("is-enabled", "maw-pulse@scout.timer", check=False) != "enabled"
    wait_until(
        lambda: "scout@vault" not in [one["address"] for one in mother.json("agent", "list")],
        "it is gone here too",
        30,
    )
    assert {one["state"] for one in mother.json("death", "scout", "--as", "~")["steps"]} == {"already"}


def test_on_the_host_itself_with_a_user_that_ends_with_it(hosts: tuple[Mother, BootedHost]) -> None:
    """By the maw that a birth has brought; and a Unix user that no birth made is nobody's to take."""
    _, bare = hosts
    maw = "/usr/local/bin/maw"
    bare.run(["useradd", "--create-home", "nova"])
    birth = [
        maw,
        "birth",
        "--as",
        "~",
        "--local",
        "--no-timers",
        "--runner",
        RUNNER.replace("scout", "clerk"),
    ]
    refused = bare.run([*birth, "nova"], check=False)
    assert refused.returncode == 6 and "no birth of nova made" in refused.stderr
    born = json.loads(bare.run([*birth, "clerk", "--json"]).stdout)
    states = {one["step"]: one["state"] for one in born["steps"]}
    assert states["user"] == states["agent"] == states["pulse"] == "done" and "node" not in states
    assert "clerk" in bare.run(["cat", "/etc/passwd"]).stdout
    ended = json.loads(bare.run([maw, "death", "clerk", "--as", "~", "--delete-user", "--json"]).stdout)
    assert "clerk" not in bare.run(["cat", "/etc/passwd"]).stdout
    assert "clerk/agents/clerk/soul.md" in bare.run(["tar", "-tzf", ended["archive"]]).stdout
