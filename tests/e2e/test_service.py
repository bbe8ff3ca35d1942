"""The daemon is brought back: by systemd, by a user's systemd, by PM2, and by systemd through PM2.

On a test host that boots a real systemd. `MAW_TEST_STAND_IN=1` runs them with a small daemon in place of maw.
"""

import json
import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.e2e.booted import BootedHost
from tests.e2e.conftest import need
from tests.e2e.lab import wait_until

pytestmark = [pytest.mark.root, pytest.mark.timeout(120)]

ROOT = Path(__file__).parents[2]
MAW = "/opt/maw/bin/maw"
HOME = "/var/lib/maw"
PEOPLE_HOME = "/home/nova/.local/share/maw"
COMMAND = """\
#!/opt/maw/venv/bin/python
import os, sys
sys.path.insert(0, "/opt/maw/src")
os.environ["PYTHONPATH"] = "/opt/maw/src"  # for the process that `maw up` becomes
from {module} import main
sys.exit(main())
"""
PROBE = "/opt/maw/bin/probe"
ASK = """\
#!/opt/maw/venv/bin/python
import socket, sys
with socket.socket(socket.AF_UNIX) as sock:
    sock.settimeout(2)
    sock.connect(sys.argv[1])
    sock.sendall(b"GET /healthz HTTP/1.1\\r\\nHost: maw\\r\\nConnection: close\\r\\n\\r\\n")
    sys.exit(b" 200 " not in sock.recv(100))
"""


@pytest.fixture(scope="module")
def booted(boot: Callable[..., BootedHost]) -> BootedHost:
    """A booted host with this tree's maw installed under /opt, as the README has it."""
    venv = (Path(sys.prefix), Path("/opt/maw/venv"))
    host = boot(binds=((ROOT, Path("/opt/maw/src")), venv))
    module = "tests.e2e.stand_in" if os.environ.get("MAW_TEST_STAND_IN") else "maw.cli.main"
    write(host, MAW, COMMAND.format(module=module), "755")
    # this tree's Python may lie in somebody's home: opened inside, where it is an overlay
    for parent in Path(sys.executable).resolve().parents:
        host.run(["chmod", "a+x", str(parent)])
    write(host, PROBE, ASK, "755")
    host.run(["useradd", "--create-home", "--shell", "/bin/bash", "nova"])
    return host


@pytest.fixture(scope="module")
def pm2() -> Iterator[Path]:
    """PM2 from npm, in a directory of its own."""
    need(None if shutil.which("npm") else "needs node and npm: apt-get install -y nodejs npm")
    directory = Path("/var/tmp") / f"maw-pm2-{secrets.token_hex(4)}"
    directory.mkdir()
    try:
        quiet = ["--silent", "--no-audit", "--no-fund", "--no-update-notifier"]
        done = subprocess.run(
            ["npm", "install", *quiet, "--prefix", str(directory), "pm2"],
            capture_output=True, text=True, check=False, timeout=100,
        )  # fmt: skip
        need(None if done.returncode == 0 else f"needs npm to install pm2: {done.stderr[-300:]}")
        yield directory
    finally:
        shutil.rmtree(directory)


def write(host: BootedHost, path: str, text: str, mode: str = "644") -> None:
    script = 'mkdir -p "$(dirname "$1")" && cat >"$1" && chmod "$2" "$1"'
    host.run(["sh", "-c", script, "write", path, mode], input_text=text)


def answers(host: BootedHost, home: str) -> bool:
    """The daemon serves on its socket."""
    return host.run([PROBE, f"{home}/maw.sock"], check=False).returncode == 0


def main_pid(host: BootedHost) -> int:
    return int(host.property("maw", "MainPID"))


def back(host: BootedHost, before: int, seconds: float) -> None:
    """Another process than ``before`` serves, and systemd calls the unit active."""
    wait_until(
        lambda: main_pid(host) not in (0, before) and host.property("maw", "ActiveState") == "active",
        f"systemd brings it back\n{host.journal('maw')}",
        seconds,
    )
    assert answers(host, HOME), host.journal("maw")


def sleeper(maw: Callable[..., str], folder: str) -> None:
    """An agent in tmux that the keeper is to bring back."""
    need(None if shutil.which("tmux") else "needs tmux: apt-get install -y tmux")
    maw("agent", "add", "sleeper")
    maw("agent", "set", "sleeper", "command=sleep 86399", f"cwd={folder}")
    maw("agent", "start", "sleeper")


def sleeps(host: BootedHost) -> list[str]:
    return host.run(["pgrep", "-x", "-f", "sleep 86399"], check=False).stdout.split()


@pytest.fixture
def system(booted: BootedHost) -> Iterator[BootedHost]:
    """With the system service installed by the command."""
    at = {"MAW_HOME": HOME}
    booted.run([MAW, "init", "--name", "lab", "--listen", "127.0.0.1:0"], environment=at)
    said = booted.run([MAW, "service", "install"], environment=at, check=False)
    assert said.returncode == 0, f"{said.stdout}{said.stderr}{booted.journal('maw')}"
    yield booted
    booted.run([MAW, "service", "remove"], environment=at)
    booted.run(["rm", "-r", HOME])


def test_systemd_brings_the_daemon_back(system: BootedHost) -> None:
    assert system.property("maw", "ActiveState") == "active"
    assert system.property("maw", "UnitFileState") == "enabled"
    assert system.property("maw", "User") == "maw"
    assert system.property("maw", "WatchdogUSec") == "30s"
    assert answers(system, HOME)
    # systemd says `active` only after READY=1, and listening is what makes it ready
    assert system.property("maw", "StatusText")

    first = main_pid(system)
    system.run(["kill", "-KILL", str(first)])
    back(system, first, 10)

    # more deaths in a row than systemd's default limit of 5 in 10 s: never given up
    for _ in range(6):
        pid = main_pid(system)
        system.run(["kill", "-KILL", str(pid)])
        back(system, pid, 10)

    system.power_cut()
    system.boot()
    back(system, 0, 20)


def test_a_backup_every_night_as_the_services_user(system: BootedHost) -> None:
    assert system.property("maw-backup.timer", "UnitFileState") == "enabled"
    assert system.property("maw-backup.timer", "ActiveState") == "active"
    assert system.property("maw-backup.timer", "Persistent") == "yes"
    assert system.property("maw-backup.timer", "NextElapseUSecRealtime"), "it has a next time"
    system.systemctl("start", "maw-backup.service")  # waits for its end, and fails with it
    assert system.property("maw-backup.service", "Result") == "success", system.journal("maw-backup")
    made = system.run(["find", f"{HOME}/backups", "-name", "manifest.json", "-printf", "%u %m\n"]).stdout
    assert made == "maw 600\n"
    # root's own goes to the service's user too, so that the next night can rotate it
    system.run([MAW, "backup"], environment={"MAW_HOME": HOME})
    owners = system.run(["find", f"{HOME}/backups", "-printf", "%u\n"]).stdout.split()
    assert set(owners) == {"maw"}
    listed = json.loads(
        system.run([MAW, "backup", "--list", "--json"], environment={"MAW_HOME": HOME}).stdout
    )
    assert [one["sound"] for one in listed] == [True, True]
    exposure = system.run(["systemd-analyze", "security", "--no-pager", "maw-backup"]).stdout.splitlines()[-1]
    assert "SAFE" in exposure, exposure


def test_the_timer_itself_makes_the_backup_that_was_missed(system: BootedHost) -> None:
    """The host was off at night: the timer's stamp is of three days ago, and it boots."""
    # what systemd drew as this host's minute must not keep the test waiting
    write(system, "/etc/systemd/system/maw-backup.timer.d/now.conf", "[Timer]\nRandomizedDelaySec=0\n")
    system.run(["sed", "-i", "s/^keep = 7/keep = 2/; s/^keep_weeks = 4/keep_weeks = 0/", f"{HOME}/maw.toml"])
    seen: set[str] = set()
    for night in range(3):
        system.run(["touch", "-d", "3 days ago", "/var/lib/systemd/timers/stamp-maw-backup.timer"])
        system.power_cut()
        system.boot()
        try:
            wait_until(partial(another, system, frozenset(seen)), f"a backup is made after boot {night}", 40)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{system.journal('maw-backup')}") from None
        wait_until(lambda: system.property("maw-backup.service", "ActiveState") == "inactive", "it has ended")
        assert system.property("maw-backup.service", "Result") == "success", system.journal("maw-backup")
        made = listed(system)
        assert len(made) == min(night + 1, 2), "two are kept"
        assert all(made.values()), "and all are checked"
        seen |= made.keys()
    assert len(seen) == 3


def another(host: BootedHost, known: frozenset[str]) -> bool:
    return not listed(host).keys() <= known


def listed(host: BootedHost) -> dict[str, bool]:
    """Each backup, and whether it is sound."""
    done = host.run([MAW, "backup", "--list", "--json"], environment={"MAW_HOME": HOME}, check=False)
    return {one["path"]: one["sound"] for one in json.loads(done.stdout or "[]")}


AGENT = "/home/nova/agents/scout"
PULSED = f"{AGENT}/pulsed"
PULSE = """\
#!/bin/sh
# stands for a pulse: says who it is, what it may, and does what the file `what` says
may="$(grep NoNewPrivs /proc/self/status | cut -f2) $(stat -c %a $MAW_HOME/node.key)"
echo "$1 $(id -un) $MAW_AGENT_HOME $PWD $may" >>pulsed
echo "pulsed $1"
case $(cat what) in
  hang) setsid sleep 86397 & trap "" TERM; sleep 86398; sleep 86398 ;;
  refused) exit 6 ;;
  fails) exit 5 ;;
esac
"""


def test_an_agent_pulses_by_the_clock_and_after_a_power_cut(system: BootedHost) -> None:
    """The whole of a timer's life, in one boot: begun, by the calendar, hanging, refused, failing, cut, removed."""
    system.run(["usermod", "-aG", "maw", "nova"])
    write(system, f"{AGENT}/agent.toml", 'name = "scout"\n[pulse]\nrunner = "sh"\ntimeout_s = 7\n')
    write(system, f"{AGENT}/soul.md", "I am scout.\n")
    write(system, "/opt/maw/bin/one-pulse", PULSE, "755")
    what(system, "quiet")
    system.run(["chown", "-R", "nova:", "/home/nova"])
    at = {"MAW_HOME": HOME}
    system.run([MAW, "agent", "add", "scout", "--user", "nova"], environment=at)
    said = service(system, "install", "--pulse", "scout", "--dream", "scout", "--user", "nova")
    assert "next:" not in said, f"nothing is left to do: {said}"
    assert "nothing changed" in service(system, "install", "--pulse", "scout", "--user", "nova")
    unit, timer = "maw-pulse@scout.service", "maw-pulse@scout.timer"
    assert system.property(unit, "TimeoutStartUSec") == "1min 7s", "the runner's limit, and a minute"
    assert system.property("maw-dream@scout.timer", "ActiveState") == "active"
    assert "OnBootUSec=30min" in system.property("maw-dream@scout.timer", "TimersMonotonic")
    monotonic = system.property(timer, "TimersMonotonic")
    assert "OnBootUSec=1min" in monotonic and "OnUnitActive" not in monotonic
    assert "/30:" in system.property(timer, "TimersCalendar")
    shown = system.run([MAW, "agent", "show", "scout"], environment=at).stdout
    assert "every 30 min" in shown and "timers   pulse in " in shown and "dream in " in shown

    # a real one, with nothing to do
    system.systemctl("start", unit)
    assert system.property(unit, "Result") == "success", system.journal(unit)
    told(system, unit, "HEARTBEAT_OK")

    # by the calendar, as nova, in scout's home; every two seconds here
    limit(system, unit, "30")
    when(system, timer, "OnCalendar=*:*:0/2")
    wait_until(lambda: len(pulsed(system)) >= 3, "it pulses by the calendar")
    assert set(pulsed(system)) == {f"scout nova {AGENT} {AGENT} 1 0"}, (
        "no root; nothing stands for the node's key"
    )

    # it hangs with a process that left its session: one at a time, then ended with all that it began
    what(system, "hang")
    wait_until(lambda: len(asleep(system)) == 2, "it hangs")
    system.systemctl("start", "--no-block", unit)
    assert len(asleep(system)) == 2 and system.property(unit, "ActiveState") == "activating", "no second one"
    last = system.property(timer, "LastTriggerUSecMonotonic")
    what(system, "quiet")
    limit(system, unit, "1")
    wait_until(lambda: not asleep(system), "it is ended, with what it began")
    told(system, unit, "timed out")
    wait_until(lambda: system.property(timer, "LastTriggerUSecMonotonic") != last, "and its timer goes on")
    limit(system, unit, "30")

    # refused is no fault, failing is; what it says is in the journal
    when(system, timer, "OnCalendar=yearly")
    what(system, "refused")
    system.systemctl("start", unit)
    assert system.property(unit, "Result") == "success"
    what(system, "fails")
    system.systemctl("start", unit, check=False)
    assert system.property(unit, "Result") == "exit-code"
    told(system, unit, "pulsed scout")
    what(system, "quiet")

    # one after the boot makes up for what was missed, and no more than one
    when(system, timer, "OnBootSec=2\nOnCalendar=yearly", now=False)
    before = len(pulsed(system))
    system.power_cut()
    system.boot()
    wait_until(lambda: len(pulsed(system)) > before, "it pulses after the boot")
    wait_until(lambda: system.property(unit, "ActiveState") == "inactive", "that one has ended")
    assert len(pulsed(system)) == before + 1
    assert system.property(timer, "NextElapseUSecMonotonic") in ("0", "infinity"), (
        "the next is the calendar's"
    )
    assert system.property(timer, "NextElapseUSecRealtime")

    what(system, "hang")
    system.systemctl("start", "--no-block", unit)
    wait_until(lambda: len(asleep(system)) == 2, "one is under way")
    service(system, "remove", "--pulse", "scout", "--dream", "scout")
    assert not asleep(system)
    found = ["find", "/etc/systemd/system", "-path", "*maw-*@*", "-name"]
    assert system.run([*found, "maw.conf"]).stdout == ""
    assert len(system.run([*found, "test.conf"]).stdout.split()) == 2, "what was put beside ours stays"
    system.run(["rm", "-r", *(f"/etc/systemd/system/{one}.d" for one in (unit, timer))])


def told(host: BootedHost, unit: str, words: str) -> None:
    """It is in the unit's journal, which journald writes in its own time."""
    wait_until(lambda: words in host.journal(unit), f"{unit} says {words!r}: {host.journal(unit)}")


def service(host: BootedHost, *words: str) -> str:
    return host.run([MAW, "service", *words], environment={"MAW_HOME": HOME}).stdout


def what(host: BootedHost, word: str) -> None:
    write(host, f"{AGENT}/what", word)


def limit(host: BootedHost, unit: str, seconds: str) -> None:
    """It runs our script, at most so long; for one that runs already too."""
    lines = ("[Service]", "ExecStart=", "ExecStart=/opt/maw/bin/one-pulse %i", f"TimeoutStartSec={seconds}")
    text = "\n".join((*lines, "TimeoutStopSec=1", ""))
    write(host, f"/etc/systemd/system/{unit}.d/test.conf", text)
    host.systemctl("daemon-reload")


def when(host: BootedHost, timer: str, lines: str, *, now: bool = True) -> None:
    """``now`` False: from the next boot on."""
    text = f"[Timer]\nOnCalendar=\n{lines}\nRandomizedDelaySec=0\n"
    write(host, f"/etc/systemd/system/{timer}.d/test.conf", text)
    if now:
        host.systemctl("daemon-reload")
        host.systemctl("restart", timer)


def pulsed(host: BootedHost) -> list[str]:
    return host.run(["cat", PULSED], check=False).stdout.splitlines()


def asleep(host: BootedHost) -> list[str]:
    return host.run(["pgrep", "-x", "-f", "sleep 8639[78]"], check=False).stdout.split()


def test_systemd_ends_a_daemon_that_hangs(system: BootedHost) -> None:
    write(
        system,
        "/etc/systemd/system/maw.service.d/quick.conf",
        "[Service]\nWatchdogSec=2\nTimeoutAbortSec=1\n",
    )
    system.systemctl("daemon-reload")
    system.systemctl("restart", "maw")
    pid = main_pid(system)
    system.run(["kill", "-STOP", str(pid)])
    back(system, pid, 15)
    assert "watchdog" in system.journal("maw").lower()
    system.run(["rm", "-r", "/etc/systemd/system/maw.service.d"])
    system.systemctl("daemon-reload")


def test_stopping_reloading_and_the_sandbox(system: BootedHost) -> None:
    pid = main_pid(system)
    system.systemctl("reload", "maw")
    assert main_pid(system) == pid
    assert system.run(["stat", "-c", "%U:%G %a", HOME]).stdout.strip() == "maw:maw 751"
    # a member of the group reaches the socket; anybody else does not; neither sees the key
    group = system.run(["stat", "-c", "%G", f"{HOME}/maw.sock"]).stdout.strip()
    stranger = ["setpriv", "--reuid", "nova", "--regid", "nova", "--clear-groups", "--"]
    member = ["setpriv", "--reuid", "nova", "--regid", "nova", "--groups", group, "--"]
    probe, key = [PROBE, f"{HOME}/maw.sock"], ["cat", f"{HOME}/node.key"]
    assert system.run([*member, *probe], check=False).returncode == 0
    assert "PermissionError" in system.run([*stranger, *probe], check=False).stderr
    assert "Permission denied" in system.run([*member, *key], check=False).stderr
    exposure = system.run(["systemd-analyze", "security", "--no-pager", "maw"]).stdout.splitlines()[-1]
    assert "OK" in exposure, exposure
    system.systemctl("stop", "maw")
    assert system.property("maw", "Result") == "success"
    assert not answers(system, HOME)
    system.systemctl("start", "maw")
    assert answers(system, HOME)


def test_a_unit_of_somebody_elses_is_not_overwritten(booted: BootedHost) -> None:
    theirs = "[Service]\nExecStart=/bin/true\n"
    write(booted, "/etc/systemd/system/maw.service", theirs)
    at = {"MAW_HOME": HOME}
    booted.run([MAW, "init", "--name", "lab", "--listen", "127.0.0.1:0"], environment=at)
    for words in (["install"], ["remove"]):
        said = booted.run([MAW, "service", *words], check=False, environment=at)
        assert said.returncode == 6
        assert "not written by" in said.stdout + said.stderr
    assert booted.run(["cat", "/etc/systemd/system/maw.service"]).stdout == theirs
    booted.run(["rm", "-r", HOME, "/etc/systemd/system/maw.service"])


def test_a_users_own_systemd_keeps_it(booted: BootedHost) -> None:
    booted.run(["loginctl", "enable-linger", "nova"])
    uid = booted.run(["id", "-u", "nova"]).stdout.strip()
    wait_until(
        lambda: booted.run(["test", "-S", f"/run/user/{uid}/systemd/private"], check=False).returncode == 0,
        "nova's systemd runs",
    )
    as_nova = ["setpriv", "--reuid", "nova", "--regid", "nova", "--init-groups", "env", "HOME=/home/nova",
               f"XDG_RUNTIME_DIR=/run/user/{uid}"]  # fmt: skip

    def pid() -> int:
        show = ["systemctl", "--user", "show", "maw", "--property", "MainPID", "--value"]
        return int(booted.run([*as_nova, *show]).stdout.strip())

    booted.run([*as_nova, MAW, "init", "--name", "nova", "--listen", "127.0.0.1:0"],
               environment={"MAW_HOME": PEOPLE_HOME})  # fmt: skip
    booted.run([*as_nova, f"MAW_HOME={PEOPLE_HOME}", MAW, "service", "install"])
    assert answers(booted, PEOPLE_HOME)
    sleeper(
        lambda *words: booted.run([*as_nova, f"MAW_HOME={PEOPLE_HOME}", MAW, *words]).stdout, "/home/nova"
    )
    write(booted, "/home/nova/agents/own/agent.toml", 'name = "own"\n')
    booted.run(["chown", "-R", "nova:", "/home/nova/agents/own"])
    booted.run([*as_nova, f"MAW_HOME={PEOPLE_HOME}", MAW, "service", "install", "--pulse", "own"])
    pulses = ["systemctl", "--user", "is-active", "maw-pulse@own.timer"]
    assert booted.run([*as_nova, *pulses]).stdout == "active\n"
    before = pid()
    booted.run(["kill", "-KILL", str(before)])
    wait_until(lambda: pid() not in (0, before) and answers(booted, PEOPLE_HOME), "nova's daemon is back")
    booted.power_cut()
    booted.boot()
    wait_until(lambda: answers(booted, PEOPLE_HOME), "nova's daemon is back after the reboot", 20)
    wait_until(lambda: len(sleeps(booted)) == 1, "and nova's agent, by its keeper", 30)
    agents = sleeps(booted)
    booted.run([*as_nova, "systemctl", "--user", "restart", "maw-keep"])
    assert sleeps(booted) == agents, "the agent, and its tmux server, outlive their keeper"
    assert booted.run([*as_nova, *pulses]).stdout == "active\n", "nova's timer is there after the reboot"
    booted.run([*as_nova, f"MAW_HOME={PEOPLE_HOME}", MAW, "service", "remove", "--pulse", "own"])
    assert booted.run([*as_nova, *pulses], check=False).stdout == "inactive\n"
    booted.run([*as_nova, f"MAW_HOME={PEOPLE_HOME}", MAW, "service", "remove"])
    assert not answers(booted, PEOPLE_HOME)
    assert sleeps(booted) == agents, "and the service"
    booted.run(["pkill", "-x", "-f", "sleep 86399"])


def test_pm2_brings_the_daemon_back_and_systemd_brings_pm2_back(booted: BootedHost, pm2: Path) -> None:
    home = "/root/node"
    path = f"{pm2}/node_modules/.bin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    at = {"MAW_HOME": home, "PATH": path, "PM2_HOME": "/root/.pm2"}

    def do(*words: str) -> str:
        return booted.run(words, environment=at, timeout=60).stdout

    def daemon() -> int:
        found = next((app for app in json.loads(do("pm2", "jlist")) if app["name"] == "maw"), None)
        return int(found["pid"]) if found and found["pm2_env"]["status"] == "online" else 0

    def serves(before: int) -> Callable[[], bool]:
        return lambda: answers(booted, home) and daemon() not in (0, before)

    do(MAW, "init", "--name", "lab", "--listen", "127.0.0.1:0")
    do(MAW, "service", "install", "--manager", "pm2")
    wait_until(serves(0), "PM2 started it", 20)
    sleeper(lambda *words: do(MAW, *words), "/root")
    wait_until(lambda: sleeps(booted), "the agent runs")
    agents = sleeps(booted)
    do("pm2", "restart", "maw-keep")
    assert sleeps(booted) == agents, "the agent, and its tmux server, outlive their keeper"
    before = daemon()
    do("kill", "-KILL", str(before))
    wait_until(serves(before), "PM2 brings it back after kill -9", 20)

    do("pm2", "kill")
    assert not answers(booted, home)
    do("pm2", "resurrect")
    wait_until(serves(0), "`pm2 resurrect` brings it back", 20)

    do("pm2", "startup", "systemd", "-u", "root", "--hp", "/root")
    do("pm2", "save")
    do("pm2", "kill")
    booted.power_cut()
    booted.boot()
    wait_until(lambda: answers(booted, home), "systemd brought PM2 back, and PM2 the daemon", 30)
    wait_until(lambda: len(sleeps(booted)) == 1, "and the keeper, which brought the agent back", 30)
    booted.run(["kill", "-KILL", booted.property("pm2-root", "MainPID")])
    wait_until(serves(0), "systemd brings a killed PM2 back", 30)

    do(MAW, "service", "remove")
    assert not answers(booted, home)
    do("pm2", "unstartup", "systemd")
