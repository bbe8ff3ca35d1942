"""What goes to the far side: on standard input, quoted; and what ssh is told on its command line."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from maw.agents.birth.far import AS_ROOT, PLAIN, Here, Ssh, check_host
from maw.errors import BadInput, Unavailable

HOSTILE = [
    "; touch /tmp/pwned",
    "$(id)",
    "`id`",
    "a'b\"c",
    "new\nline",
    "-rf",
    "",
    "\\",
    "ä→",
    "*",
    "~",
    "!x",
]

STAND_IN = """\
#!{python}
import json, os, subprocess, sys
with open({log!r}, "a") as log:
    log.write(json.dumps(sys.argv[1:]) + "\\n")
if {fails!r}:
    sys.stderr.write({fails!r}); sys.exit(255)
if "-O" in sys.argv:
    sys.exit(0)
os.execvp("sh", ["sh", "-c", sys.argv[-1]])
"""


def stand_in(folder: Path, fails: str = "") -> tuple[str, Path]:
    """An ssh that runs what it is given here, and notes its command line."""
    log, command = folder / "log", folder / "ssh"
    command.write_text(STAND_IN.format(python=sys.executable, log=str(log), fails=fails))
    command.chmod(0o755)
    return str(command), log


def test_arguments_come_as_they_are() -> None:
    ran = Here().run('for a; do printf "%s\\0" "$a"; done', HOSTILE)
    assert ran.out.split("\0")[:-1] == HOSTILE


def test_data_follows_the_script_to_the_byte() -> None:
    data = bytes(range(256)) * 5000
    ran = Here().run('printf "%s " "$1"; sha256sum', ["x"], data=data)
    import hashlib

    assert ran.out.split() == ["x", hashlib.sha256(data).hexdigest(), "-"]


def test_no_command_line_shows_what_is_said(tmp_path: Path) -> None:
    command, log = stand_in(tmp_path)
    far = Ssh("root@vault", command=[command], directory=tmp_path)
    ran = far.run('printf %s "$1"; cat', HOSTILE[:1], data=b"mi1secret")
    far.close()
    assert ran.out == HOSTILE[0] + "mi1secret"
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert lines[0][-3:] == ["--", "root@vault", PLAIN]
    assert "secret" not in log.read_text() and "pwned" not in log.read_text()
    options = [lines[0][n + 1] for n, word in enumerate(lines[0]) if word == "-o"]
    assert {"BatchMode=yes", "ForwardAgent=no", "ControlMaster=auto", "ClearAllForwardings=yes"} <= set(
        options
    )
    assert not any("StrictHostKeyChecking" in option for option in options), (
        "an unknown key is a human's to take"
    )
    assert not list(tmp_path.glob("maw-ssh-*"))


def test_as_root_by_sudo(tmp_path: Path) -> None:
    command, log = stand_in(tmp_path)
    (tmp_path / "bin").mkdir()
    sudo = tmp_path / "bin" / "sudo"
    sudo.write_text('#!/bin/sh\n[ "$1" = -n ] && [ "$2" = -H ] || exit 9\nshift 2\nexec "$@"\n')
    sudo.chmod(0o755)
    far = Ssh(
        "admin@vault",
        command=["env", f"PATH={tmp_path / 'bin'}:{os.environ['PATH']}", command],
        directory=tmp_path,
    )
    far.as_root(AS_ROOT)
    assert far.run("cat", data=b"payload").out == "payload"
    assert json.loads(log.read_text().splitlines()[0])[-1] == AS_ROOT
    far.close()


@pytest.mark.parametrize(
    ("said", "hint"),
    [
        ("Host key verification failed.", "ssh vault"),
        ("root@vault: Permission denied (publickey).", "ssh-copy-id"),
        ("ssh: Could not resolve hostname vault", "says more"),
    ],
)
def test_no_way_in_is_said_with_the_way_out(tmp_path: Path, said: str, hint: str) -> None:
    command, _ = stand_in(tmp_path, said)
    far = Ssh("vault", command=[command], directory=tmp_path)
    with pytest.raises(Unavailable) as failed:
        far.plain("true")
    assert failed.value.code == "ssh_failed" and said in failed.value.message and hint in failed.value.hint
    far.close()


def test_a_command_that_takes_too_long() -> None:
    assert Here().run("sleep 5", timeout=0.1).code == 124


@pytest.mark.parametrize(
    "host", ["-oProxyCommand=id", "vault;id", "a b", "", "root@-x", "$(id)", "vault\n", "@vault", "%h", "'"]
)
def test_no_host_that_ssh_would_take_for_something_else(host: str) -> None:
    with pytest.raises(BadInput):
        check_host(host)


@pytest.mark.parametrize(
    "host", ["vault", "root@10.0.0.7", "ssh://admin@vault.example.org:2222", "scout.zone-a.proj", "[::1]"]
)
def test_hosts(host: str) -> None:
    assert check_host(host) == host
