"""What is found on the host where an agent is to live, before anything is done there."""

from __future__ import annotations

import ipaddress
import time
from dataclasses import dataclass
from typing import Final

from maw.agents.birth.far import AS_ROOT, PLAIN, Far, Ssh
from maw.errors import Refused, Unavailable

VENV: Final = "/opt/maw"
LEAST_PYTHON: Final = (3, 11)
LEAST_FREE_MIB: Final = 300
LATE_S: Final = 300

_WHO: Final = """
echo "uid=$(id -u)"
echo "user=$(id -un)"
echo "connection=${SSH_CONNECTION:-}"
if [ "$(id -u)" != 0 ] && command -v sudo >/dev/null && sudo -n true 2>/dev/null; then echo sudo=yes; fi
"""

# $1 the directory that is maw's
_LOOK: Final = r"""
LC_ALL=C; export LC_ALL
say() { printf '%s=%s\n' "$1" "$(printf %s "$2" | head -n1)"; }
say host "$(uname -n)"
say machine "$(uname -m)"
say system "$(uname -s)"
say glibc "$(getconf GNU_LIBC_VERSION 2>/dev/null | sed 's/^glibc //')"
say os "$( . /etc/os-release 2>/dev/null && printf '%s' "${PRETTY_NAME:-}")"
say clock "$(date +%s)"
say free_mib "$(df -Pk /opt 2>/dev/null | awk 'NR==2 {print int($4/1024)}')"
[ -d /run/systemd/system ] && say systemd yes
[ -d /sys/class/net/wg0 ] && say wg0 yes
for tool in apt-get git useradd flock; do command -v "$tool" >/dev/null && say "has_${tool%-get}" yes; done
for python in /usr/bin/python3 /usr/local/bin/python3 /usr/bin/python3.13 /usr/bin/python3.12 /usr/bin/python3.11; do
  [ -x "$python" ] || continue
  found=$("$python" -I -c 'import sys, platform
print(platform.python_implementation(), "%d.%d" % sys.version_info[:2])
assert sys.version_info >= (3, 11)
import venv' 2>/dev/null) && { say python "$python"; say python_is "$found"; break; }
  [ -n "$found" ] && say old_python "$python $found"
done
unit=/etc/systemd/system/maw.service
[ -f "$unit" ] && maw=$(sed -n 's/^ExecStart="\{0,1\}\([^" ]*\).*/\1/p' "$unit" | head -n1)
[ -x "${maw:-}" ] || maw=$1/bin/maw
[ -x "$maw" ] || maw=$(command -v maw || true)
case $maw in "$1"/*) [ -e "$1/.maw-birth" ] && [ ! -f "$1/.wheels" ] && maw= ;; esac  # a birth is putting it there
if [ -x "${maw:-}" ]; then
  say maw "$maw"
  say maw_version "$("$maw" --version </dev/null 2>/dev/null)"
  python=${maw%/*}/python
  [ -x "$python" ] || python=$(sed -n '1s/^#!\(\/[^ ]*\).*/\1/p' "$maw")
  [ -x "$python" ] && "$python" -I -c 'import maw.agents.birth.there' 2>/dev/null </dev/null && say helper "$python"
fi
[ -f "$1/.wheels" ] && say wheels "$(cat "$1/.wheels")"
[ -e "$1" ] && [ ! -e "$1/.maw-birth" ] && say foreign yes
exit 0
"""


@dataclass(frozen=True, slots=True)
class Facts:
    """``python``: one that is new enough; ``helper``: that of the maw over there, if it knows births; ``wheels``: what
    a birth has installed there; ``address``: at which ssh reached it; ``skew_s``: how far its clock is from ours."""

    host: str
    user: str
    machine: str
    system: str
    glibc: str
    os: str
    python: str | None
    python_is: str
    old_python: str
    has_systemd: bool
    has_wireguard: bool
    tools: frozenset[str]
    maw: str | None
    maw_version: str
    helper: str | None
    wheels: str | None
    foreign: bool
    address: str | None
    skew_s: float
    free_mib: int

    @property
    def version(self) -> tuple[int, int]:
        major, _, minor = self.python_is.rpartition(" ")[2].partition(".")
        return (int(major), int(minor)) if major.isdigit() and minor.isdigit() else (0, 0)


def look(far: Far, now: float | None = None) -> Facts:
    """Raises Unavailable (no way in), Refused (not root there, or no host that maw runs on)."""
    who = _read(_said(far, far.plain(_WHO).out))
    if isinstance(far, Ssh):
        if who.get("uid") != "0" and who.get("sudo") != "yes":
            raise Refused(
                f"{who.get('user', 'that user')} on {far.name} is not root, and sudo there asks for a password",
                code="not_root_there",
                hint="--host root@HOST, or let that user sudo without one (NOPASSWD in /etc/sudoers.d)",
            )
        far.as_root(PLAIN if who.get("uid") == "0" else AS_ROOT)
    asked = time.time() if now is None else now
    told = _read(_said(far, far.run(_LOOK, [VENV]).out))
    if told.get("system") != "Linux":
        raise Refused(
            f"{far.name} runs {told.get('system', '?')}: agents are born on Linux", code="not_linux"
        )
    connection = who.get("connection", "").split()
    clock, free = told.get("clock", ""), told.get("free_mib", "")
    return Facts(
        host=told.get("host", ""), user=who.get("user", ""), machine=told.get("machine", ""),
        system=told.get("system", ""), glibc=told.get("glibc", ""), os=told.get("os", ""),
        python=told.get("python"), python_is=told.get("python_is", ""), old_python=told.get("old_python", ""),
        has_systemd="systemd" in told, has_wireguard="wg0" in told,
        tools=frozenset(key.removeprefix("has_") for key in told if key.startswith("has_")),
        maw=told.get("maw"), maw_version=told.get("maw_version", ""), helper=told.get("helper"),
        wheels=told.get("wheels"), foreign="foreign" in told and "maw" not in told,
        address=connection[2] if len(connection) == 4 else None,
        skew_s=float(clock) - asked if clock.isdigit() else 0.0,
        free_mib=int(free) if free.isdigit() else LEAST_FREE_MIB,
    )  # fmt: skip


def warnings(facts: Facts) -> list[str]:
    """What is not wrong yet, and will be."""
    found = []
    if abs(facts.skew_s) > LATE_S:
        found.append(
            f"its clock is {abs(facts.skew_s):.0f} s {'ahead of' if facts.skew_s > 0 else 'behind'} this one's:"
            " its messages will seem to be of another time"
        )
    if facts.free_mib < LEAST_FREE_MIB:
        found.append(f"it has {facts.free_mib} MiB of free disk: a node takes no messages below 256")
    return found


def mesh_address(facts: Facts) -> str | None:
    """Where a new node there is to listen: the address that ssh reached, if it is a private one. None: on ``wg0`` if
    there is one, else on loopback: it dials, and what is reached from everywhere is for its owner to open."""
    if facts.has_wireguard or facts.address is None:
        return None
    try:
        address = ipaddress.ip_address(facts.address)
    except ValueError:
        return None
    if address.is_global or address.is_loopback or address.is_link_local:
        return None
    return f"[{address}]:6290" if address.version == 6 else f"{address}:6290"


def _said(far: Far, out: str) -> str:
    if "=" not in out:
        raise Unavailable(
            f"{far.name} answered nothing that could be read", code="ssh_failed",
            hint="does its login shell print something of its own, or end at once? `ssh HOST true` should be silent",
        )  # fmt: skip
    return out


def _read(out: str) -> dict[str, str]:
    """``KEY=VALUE`` lines; a banner of the login shell among them is passed over."""
    pairs = (line.partition("=") for line in out.splitlines() if "=" in line)
    return {key: value.strip()[:300] for key, _, value in pairs if key.isidentifier() and value.strip()}
