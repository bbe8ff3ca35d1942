"""A test host that boots: a real systemd as PID 1 of its own namespaces, over an overlay of this machine.

Units, journald, Type=notify, the watchdog, a power cut and the boot after it happen for real, and nothing
outside the overlay changes: devices, cgroups and the network are the test host's own.
"""

from __future__ import annotations

import functools
import os
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from tests.e2e.lab import TestHost, requirements_missing, run_command, wait_until

INSTALL: Final = "apt-get install -y systemd dbus dbus-user-session libpam-systemd"
SYSTEMD: Final = "/lib/systemd/systemd"
_BOOT_SECONDS: Final = 60.0
_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

# They would change the kernel that is shared with the machine, or wait for devices there are none of.
_MASKED: Final = (
    "modprobe@.service", "systemd-journald-audit.socket", "systemd-sysctl.service",
    "systemd-modules-load.service", "systemd-udevd.service",
    "systemd-hwdb-update.service",
    "systemd-udev-trigger.service", "systemd-udevd-control.socket", "systemd-udevd-kernel.socket",
    "systemd-random-seed.service", "systemd-timesyncd.service", "systemd-remount-fs.service",
    "systemd-binfmt.service", "proc-sys-fs-binfmt_misc.automount", "systemd-firstboot.service",
    "systemd-update-utmp.service", "systemd-pstore.service", "getty.target", "console-getty.service",
    "dev-hugepages.mount", "sys-kernel-config.mount", "sys-kernel-debug.mount", "sys-kernel-tracing.mount",
    "sys-fs-fuse-connections.mount",
)  # fmt: skip

# $1 the directory, $2 the cgroup, $3... what to bind. Runs in new pid, mount, uts and ipc namespaces.
_BOOT: Final = r"""
set -eu
dir=$1; group=$2; shift 2
echo 0 >"$group/cgroup.procs"
exec unshare --cgroup --mount sh -euc '
  dir=$1; shift
  mount --make-rprivate /
  mount -t overlay overlay -o "lowerdir=/,upperdir=$dir/up,workdir=$dir/wk" "$dir/root"
  root=$dir/root
  mount -t proc proc "$root/proc"
  mount -t sysfs -o ro sysfs "$root/sys"
  mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
  mount -t tmpfs -o mode=755 tmpfs "$root/dev"
  mkdir -p "$root/dev/pts" "$root/dev/shm" "$root/dev/net"
  mount -t devpts -o newinstance,ptmxmode=0666,mode=0620,gid=5 devpts "$root/dev/pts"
  mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
  for node in null zero full random urandom tty net/tun; do
    [ -e "/dev/$node" ] || continue
    : >"$root/dev/$node"; mount --bind "/dev/$node" "$root/dev/$node"
  done
  ln -s pts/ptmx "$root/dev/ptmx"; ln -s /proc/self/fd "$root/dev/fd"
  for n in 0:stdin 1:stdout 2:stderr; do ln -s "/proc/self/fd/${n%%:*}" "$root/dev/${n#*:}"; done
  mount -t tmpfs -o mode=755 tmpfs "$root/run"
  mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
  for path in "$@"; do
    target=$root${path#*=}; mkdir -p "$target"
    mount --bind "${path%%=*}" "$target"; mount -o remount,ro,bind "$target"
  done
  hostname maw-test
  cd "$root"
  exec chroot . env -i container=maw PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    '"$SYSTEMD"' --system --unit=multi-user.target --log-target=journal
' boot "$dir" "$@"
"""


@functools.cache
def boot_requirements_missing() -> str | None:
    """Why no host can boot here and what to do about it; None when one can."""
    if missing := requirements_missing():
        return missing
    if not Path(SYSTEMD).exists() or not shutil.which("dbus-daemon"):
        return f"needs systemd and dbus: {INSTALL}"
    if _cgroup2() is None:
        return "needs cgroup2 mounted and writable (in a container: --privileged --cgroupns=host)"
    return None


def _cgroup2() -> Path | None:
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, where, kind, options, *_ = line.split()
        if kind == "cgroup2" and options.startswith("rw") and os.access(where, os.W_OK):
            return Path(where)
    return None


class BootedHost:
    """Boots at once; a context manager. What is written inside lasts from boot to boot, not past `wipe`.

    ``binds``: directories shown inside, read-only: ``path``, or ``(path, where)``. /run and /tmp are fresh on
    each boot, so what lies there on the machine is seen inside only when bound.
    """

    def __init__(
        self, host: TestHost | None = None, *, binds: Sequence[Path | tuple[Path, Path]] = ()
    ) -> None:
        """``host``: boot in that lab host's network; else in one of its own with ``lo`` alone."""
        self.name = f"maw-boot-{secrets.token_hex(3)}"
        self._host = host
        self._binds = [b if isinstance(b, tuple) else (b, b) for b in binds]
        cgroups = _cgroup2()
        assert cgroups is not None, boot_requirements_missing()
        self._cgroup = cgroups / self.name
        self.directory = Path(tempfile.mkdtemp(prefix=f"{self.name}-", dir="/run"))
        self._outer: subprocess.Popen[bytes] | None = None
        self._pid = 0
        run_command(
            ["mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", str(self.directory)], check=True, timeout=10
        )
        try:
            for part in ("up", "wk", "root"):
                (self.directory / part).mkdir()
            self._prepare()
            self.boot()
        except BaseException:
            self.wipe()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.wipe()

    @property
    def upper(self) -> Path:
        """What was written inside, and where to put files before (or between) boots."""
        return self.directory / "up"

    def boot(self) -> None:
        """Boot, and wait until systemd says it is done. Raises AssertionError with its log if not."""
        assert self._outer is None, "it is running"
        self._cgroup.mkdir(exist_ok=True)
        binds = [f"{source}={where}" for source, where in self._binds]
        script = _BOOT.replace("'\"$SYSTEMD\"'", SYSTEMD)
        inner = ["sh", "-euc", script, "boot", str(self.directory), str(self._cgroup), *binds]
        unshare = ["unshare", "--mount", "--pid", "--fork", "--uts", "--ipc", "--kill-child"]
        command = [*unshare, *inner] if self._host else [*unshare, "--net", *inner]
        if self._host:
            # not `ip netns exec`: that hides the cgroups behind a fresh /sys
            command = ["nsenter", f"--net=/run/netns/{self._host.namespace}", *command]
        with (self.directory / "boot.log").open("ab") as log:
            self._outer = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *command],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        try:
            wait_until(self._started, "systemd runs", _BOOT_SECONDS)
            wait_until(self._done, "systemd has booted", _BOOT_SECONDS)
        except AssertionError as error:
            raise AssertionError(
                f"{error}\n{(self.directory / 'boot.log').read_text()}\n{self._jobs()}"
            ) from error
        if self._host is None:
            self.run(["ip", "link", "set", "lo", "up"])

    def command(self, command: Sequence[str]) -> list[str]:
        """``command`` as an argument list that runs it inside, as root."""
        inside = ["nsenter", "-t", str(self._pid), "-m", "-n", "-p", "-u", "-i", "-C", "-r", "-w"]
        return [*inside, "env", "-i", "HOME=/root", f"PATH={_PATH}", *command]

    def run(
        self,
        command: Sequence[str],
        check: bool = True,
        timeout: float = 30.0,
        *,
        input_text: str | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run inside as root with a bare environment; CommandFailed shows what it said."""
        extra = [f"{name}={value}" for name, value in (environment or {}).items()]
        whole = self.command([*extra, *command])
        return run_command(whole, check=check, timeout=timeout, input_text=input_text)

    def systemctl(self, *words: str, check: bool = True) -> str:
        """``systemctl WORDS``: what it printed, stripped."""
        return self.run(["systemctl", *words], check=check).stdout.strip()

    def property(self, unit: str, name: str) -> str:
        return self.systemctl("show", unit, "--property", name, "--value")

    def journal(self, unit: str) -> str:
        return self.run(["journalctl", "--no-pager", "-o", "short-monotonic", "-u", unit], check=False).stdout

    def power_cut(self) -> None:
        """Everything inside dies at the same moment, without a word; `boot` afterwards is the reboot."""
        if self._cgroup.exists():
            (self._cgroup / "cgroup.kill").write_text("1")
        if self._outer is not None:
            self._outer.kill()
            self._outer.wait(10)
            self._outer = None
        if self._cgroup.exists():
            wait_until(lambda: "populated 0" in (self._cgroup / "cgroup.events").read_text(), "all is dead")
            for below, _, _ in os.walk(self._cgroup, topdown=False):
                Path(below).rmdir()

    def wipe(self) -> None:
        """Power off and forget what was written. May be called twice."""
        self.power_cut()
        if self.directory.exists():
            run_command(["umount", "-l", str(self.directory)], check=False, timeout=10)
            self.directory.rmdir()

    def _prepare(self) -> None:
        """What this machine would start at boot stays off inside; machine id and host name are its own."""
        units = self.upper / "etc/systemd/system"
        units.mkdir(parents=True)
        for unit in _MASKED:
            (units / unit).symlink_to("/dev/null")
        for wants in Path("/etc/systemd/system").glob("*.wants"):
            for link in wants.iterdir():
                if not (units / link.name).is_symlink():
                    (units / link.name).symlink_to("/dev/null")
        (self.upper / "etc/machine-id").write_text(secrets.token_hex(16) + "\n")
        (self.upper / "etc/hostname").write_text("maw-test\n")

    def _started(self) -> bool:
        assert self._outer is not None
        if self._outer.poll() is not None:
            raise AssertionError(f"the boot ended with {self._outer.returncode}")
        children = Path(f"/proc/{self._outer.pid}/task/{self._outer.pid}/children").read_text().split()
        if not children:
            return False
        self._pid = int(children[0])
        return Path(f"/proc/{self._pid}/comm").read_text() == "systemd\n"

    def _done(self) -> bool:
        state = self.systemctl("is-system-running", check=False)
        return state in ("running", "degraded")

    def _jobs(self) -> str:
        if not self._pid:
            return ""
        return self.systemctl("list-jobs", "--no-pager", check=False)
