"""The doctor: a list of small named checks over one frozen `Context`. It looks; it changes nothing."""

from __future__ import annotations

import ctypes
import errno
import socket
import struct
import sys
from collections.abc import Iterable, Sequence
from typing import Final

from maw.ops.checks import backups, here, home, network, running
from maw.ops.checks.context import Address, Check, Context, Finding, Interface, KernelClock, Reached, Verdict
from maw.ops.checks.firewall import firewall

CHECKS: Final[tuple[Check, ...]] = (
    here.python_and_sqlite,
    here.first_on_path,
    here.hooks,
    home.directory,
    home.key,
    home.settings,
    home.socket_path,
    home.disk,
    backups.recent_backup,
    backups.log_rotation,
    running.answering,
    running.same_version,
    running.alerts,
    running.kept,
    running.room_for_agents,
    network.interface,
    network.listening,
    network.rest_port,
    firewall,
    network.peers_reached,
    here.clock,
    here.open_files,
    here.kept_alive,
)

CONNECT_SECONDS: Final = 3.0
_TIME_ERROR: Final = 5
_TIMEX_BYTES: Final = 512
_MAX_ERROR_OFFSET: Final = 24


def examine(context: Context, checks: Sequence[Check] = CHECKS) -> list[Finding]:
    """Run every check, in order. A check that breaks is a finding too: the others still run."""
    findings = []
    for check in checks:
        try:
            findings.append(check(context))
        except Exception as error:  # the checks' supervisor: one broken must not hide the rest
            name = check.__name__.replace("_", " ")
            text = f"the check itself failed: {type(error).__name__}: {error}"
            findings.append(Finding(name, Verdict.SKIP, text, "this is a bug in maw: please report it"))
    return findings


def worst(findings: Iterable[Finding]) -> Verdict:
    """``fail`` if any failed, else ``warn`` if any warned, else ``ok``."""
    verdicts = {finding.verdict for finding in findings}
    return next((one for one in (Verdict.FAIL, Verdict.WARN) if one in verdicts), Verdict.OK)


def connect(address: Address, seconds: float = CONNECT_SECONDS) -> Reached:
    """Open and close a TCP connection; how that went."""
    try:
        with socket.create_connection((address.host, address.port), timeout=seconds):
            return Reached.OPEN
    except TimeoutError:
        return Reached.TIMEOUT
    except ConnectionRefusedError:
        return Reached.REFUSED
    except socket.gaierror:
        return Reached.NO_NAME
    except OSError as error:
        # a reset is what some firewalls answer; EPERM is our own firewall refusing to send
        return Reached.TIMEOUT if error.errno in (errno.EPERM, errno.ECONNRESET) else Reached.NO_ROUTE


def kernel_clock() -> KernelClock | None:
    """adjtimex(2), which anybody may ask; None where there is none, or a sandbox forbids it."""
    if sys.platform != "linux" or struct.calcsize("l") != 8:
        return None
    timex = ctypes.create_string_buffer(_TIMEX_BYTES)  # modes = 0: only read
    state = ctypes.CDLL(None, use_errno=True).adjtimex(timex)
    if state < 0:
        return None
    (max_error_us,) = struct.unpack_from("=q", timex.raw, _MAX_ERROR_OFFSET)
    return KernelClock(state != _TIME_ERROR, max_error_us / 1_000_000)


__all__ = [
    "CHECKS",
    "Address",
    "Context",
    "Finding",
    "Interface",
    "KernelClock",
    "Reached",
    "Verdict",
    "connect",
    "examine",
    "kernel_clock",
    "worst",
]
