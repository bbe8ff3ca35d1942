"""Disks that are full, fail or are given back, and descriptors that are used up, under real daemons."""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from tests.conftest import MakeHome
from tests.e2e.conftest import need
from tests.e2e.daemons import Daemon, request
from tests.e2e.lab import run_command, wait_until

CHANNEL: Final = "/api/channels/general/messages"
BIG: Final = "x" * 30_000


def missing() -> str | None:
    if os.geteuid() != 0:
        return "needs root: sudo make test"
    if tools := [tool for tool in ("mount", "umount", "mkfs.ext4", "fsck.ext4") if not shutil.which(tool)]:
        return f"needs {', '.join(tools)}: apt-get install -y mount e2fsprogs"
    done = subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False)
    return "needs the right to mount (in a container: --privileged)" if done.returncode else None


@contextmanager
def mounted(place: Path, *how: str) -> Iterator[Path]:
    """Something mounted there for as long as the block lasts."""
    need(missing())
    place.mkdir(exist_ok=True)
    run_command(["mount", *how, str(place)], check=True, timeout=10)
    try:
        yield place
    finally:
        # first in earnest, so that it is free to be mended; whoever holds on to it must not keep it from going
        busy = run_command(["umount", str(place)], check=False, timeout=10).returncode
        if busy:
            run_command(["umount", "-l", str(place)], check=False, timeout=10)


def say(daemon: Daemon, text: str) -> tuple[int, Any]:
    return daemon.ask("POST", CHANNEL, {"text": text}, agent="owner")


def texts(daemon: Daemon) -> list[str]:
    return [item["text"] for item in daemon.channel()]


def fill(place: Path, *, leave: int = 0, name: str = "ballast") -> Path:
    """All that is left there, but ``leave`` bytes, goes into a file."""
    ballast = place / name
    with ballast.open("wb", buffering=0) as file:
        left = os.statvfs(place).f_bavail * os.statvfs(place).f_frsize - leave
        try:
            while left > 0:
                left -= file.write(bytes(min(left, 1 << 16)))
        except OSError:
            assert not leave
    return ballast


def with_reserve(home: Path, mib: int) -> Path:
    """Its home, configured to keep so much of the disk free."""
    config = home / "maw.toml"
    text = config.read_text()
    changed = re.sub(r"(?m)^#? ?min_free_disk_mib = .*$", f"min_free_disk_mib = {mib}", text)
    assert changed != text
    config.write_text(changed)
    return home


def write_until_refused(daemon: Daemon) -> tuple[list[str], Any]:
    """What was accepted, and the first refusal."""
    accepted: list[str] = []
    while True:
        text = f"{len(accepted)} {BIG}"
        status, said = say(daemon, text)
        if status != 201:
            return accepted, said["error"]
        accepted.append(text)
        assert len(accepted) < 5_000, "the disk never refused: this tests nothing"


def joined(one: Daemon, other: Daemon) -> None:
    other.maw("join", json.loads(one.maw("invite", "--json"))["line"])


def is_well(daemon: Daemon) -> bool:
    return bool(daemon.ask("GET", "/healthz")[0] == 200)


NO_ROOM: Final = ("cannot_write", "read_only")


@pytest.mark.root
def test_a_full_disk_refuses_and_when_there_is_room_again_nothing_is_missing(
    make_home: MakeHome, tmp_path: Path
) -> None:
    with (
        mounted(tmp_path / "mbp", "-t", "tmpfs", "-o", "size=24m,mode=0700", "tmpfs") as disk,
        Daemon(with_reserve(make_home("mbp").path, 1)) as mbp,
        Daemon(make_home("oracle").path) as oracle,
    ):
        joined(mbp, oracle)
        ballast = fill(disk, leave=2 << 20)
        accepted, refusal = write_until_refused(mbp)
        assert accepted
        assert refusal["code"] in NO_ROOM
        assert refusal["hint"]
        spilled = fill(disk, name="spilled")
        for n in range(5):
            assert say(oracle, f"from oracle {n} {BIG}")[0] == 201
        wait_until(lambda: not is_well(mbp), "it says so")
        assert "disk" in mbp.maw("status", check=False)
        assert texts(mbp)[: len(accepted)] == accepted, "reading goes on"
        mbp.kill()
        mbp.start()
        assert texts(mbp)[: len(accepted)] == accepted, "also after a start on a full disk"
        assert say(mbp, "no")[1]["error"]["code"] in NO_ROOM
        ballast.unlink()
        spilled.unlink()
        wait_until(lambda: is_well(mbp), "it comes back by itself", 30)
        assert say(mbp, "there is room")[0] == 201
        everything = sorted([*accepted, *(f"from oracle {n} {BIG}" for n in range(5)), "there is room"])
        for daemon in (mbp, oracle):
            wait_until(lambda d=daemon: sorted(texts(d)) == everything, "all is everywhere, once", 20)  # type: ignore[misc]


def test_a_disk_that_takes_no_more_for_a_while(make_home: MakeHome) -> None:
    """From one moment to the next, in the middle of what is being written, and without a word before."""
    with Daemon(make_home("mbp").path) as mbp:
        assert mbp.process is not None
        accepted = ["before"]
        assert say(mbp, "before")[0] == 201
        written = max(path.stat().st_size for path in mbp.home.iterdir())
        limits = resource.prlimit(mbp.process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(mbp.process.pid, resource.RLIMIT_FSIZE, (written + (1 << 20), limits[1]))
        more, refusal = write_until_refused(mbp)
        accepted += more
        assert refusal["code"] == "cannot_write"
        assert refusal["message"].startswith("the database could not be written: ")
        assert "nothing was accepted" in refusal["hint"]
        assert texts(mbp) == accepted, "reading goes on"
        assert mbp.ask("GET", "/healthz")[0] == 503
        resource.prlimit(mbp.process.pid, resource.RLIMIT_FSIZE, limits)
        wait_until(lambda: is_well(mbp), "it comes back by itself")
        assert say(mbp, "after")[0] == 201
        mbp.kill()
        mbp.start()
        assert texts(mbp) == [*accepted, "after"]


@pytest.mark.root
def test_a_file_system_that_fails_and_goes_read_only(make_home: MakeHome, tmp_path: Path) -> None:
    """As the kernel does it when the disk under it fails: it is mended, mounted again, and all is there."""
    need(missing())
    image = tmp_path / "image"
    with image.open("wb") as file:
        file.truncate(48 << 20)
    run_command(["mkfs.ext4", "-q", "-F", str(image)], check=True, timeout=20)
    how = ("-o", "loop,errors=remount-ro", str(image))
    with mounted(tmp_path / "disk", *how) as disk:
        home = disk / "mbp"
        shutil.move(make_home("mbp").path, home)
        os.sync()  # what `maw init` does for each file that it makes
        mbp = Daemon(with_reserve(home, 1))
        mbp.log = tmp_path / "mbp.log"
        with mbp:
            accepted = [f"before {n}" for n in range(20)]
            assert {say(mbp, text)[0] for text in accepted} == {201}
            device = run_command(
                ["findmnt", "-no", "SOURCE", str(disk)], check=True, timeout=5
            ).stdout.strip()
            Path(f"/sys/fs/ext4/{Path(device).name}/trigger_fs_error").write_text("1")
            status, said = say(mbp, "no")
            assert (status, said["error"]["code"] in NO_ROOM) == (503, True), said
            assert said["error"]["hint"]
            assert texts(mbp) == accepted, "reading goes on"
            wait_until(lambda: not is_well(mbp), "and it says so")
            assert "cannot be written" in mbp.maw("status", check=False)
            mbp.kill()
            code, words = mbp.fails()
            assert code not in (0, 1), words
            assert "Traceback" not in words
            assert str(home) in words, "the one error says where"
    # another test's namespace may hold on to the mount: then the same file would be mounted read-only again
    mended = str(shutil.copy(image, tmp_path / "mended"))
    run_command(["fsck.ext4", "-fy", mended], check=False, timeout=20)
    with mounted(disk, "-o", "loop,errors=remount-ro", mended), mbp:
        assert texts(mbp) == accepted
        assert say(mbp, "mended")[0] == 201


def test_without_descriptors_what_is_open_goes_on_and_new_callers_wait(make_home: MakeHome) -> None:
    with Daemon(make_home("mbp").path) as mbp, closing(mbp.connect()) as connection:
        assert mbp.process is not None

        def post(text: str) -> int:
            return request(connection, "POST", CHANNEL, {"text": text}, agent="owner")[0]

        def told() -> bool:
            status, said = request(connection, "GET", "/api/status")
            assert status == 200, said
            return "descriptors" in [alert["kind"] for alert in said["alerts"]]

        assert post("before") == 201
        limits = resource.prlimit(mbp.process.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(mbp.process.pid, resource.RLIMIT_NOFILE, (3, limits[1]))
        try:
            wait_until(told, "it is told")
            assert post("meanwhile") == 201, "the database is open: this is written, and on the disk"
            with closing(mbp.connect()) as late:
                late.request("GET", "/healthz")
                assert late.sock is not None
                late.sock.settimeout(1.5)
                with pytest.raises(TimeoutError):
                    late.getresponse()
        finally:
            resource.prlimit(mbp.process.pid, resource.RLIMIT_NOFILE, limits)
        wait_until(lambda: is_well(mbp), "new callers are answered again")
        wait_until(lambda: not told(), "and it is over")
        mbp.kill()
        mbp.start()
        assert texts(mbp) == ["before", "meanwhile"]
        log = mbp.log.read_text()
        assert log.count("all file descriptors are in use") == 1
        assert "Traceback" not in log
