"""Files between real daemons: kill -9 in the middle, on either side; a damaged disk; what the command says."""

from __future__ import annotations

import os
import subprocess
from functools import partial
from pathlib import Path

from maw.client import Colony
from tests.e2e.daemons import MAW, Daemon, MakeDaemon
from tests.e2e.lab import wait_until

SIZE = 16 << 20
PATIENCE_S = 60.0


def fetching(host: Daemon, ref: str, place: Path, *more: str) -> subprocess.Popen[str]:
    words = [*MAW, "fetch", ref, "--as", "arthur", "--to", str(place), *more]
    return subprocess.Popen(
        words, env=host.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def parts(host: Daemon) -> int:
    """Bytes of what is being fetched there."""
    return sum(path.stat().st_size for path in (host.home / "blobs").glob("*/*.part"))


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    out, err = process.communicate(timeout=PATIENCE_S)
    return process.returncode, out + err


def killed_midway(victim: Daemon, fetcher: Daemon, ref: str, place: Path) -> subprocess.Popen[str] | None:
    """A fetch that is under way, and ``victim`` killed when a part of the file is there; None: it was too quick."""
    process = fetching(fetcher, ref, place, "--wait")
    wait_until(lambda: parts(fetcher) > 1 << 20 or process.poll() is not None, "some of it came", PATIENCE_S)
    victim.kill()
    if 0 < parts(fetcher) < SIZE and process.poll() is None:
        return process
    ended(process)
    return None


def replaced(place: Path) -> None:
    place.unlink(missing_ok=True)


def test_files_cross_once_whatever_is_killed(daemon: MakeDaemon, tmp_path: Path) -> None:
    nova, mbp = daemon("nova"), daemon("mbp")
    mbp.maw("join", nova.ask("POST", "/api/invites", {})[1]["line"])
    nova.maw("agent", "add", "neo")
    mbp.maw("agent", "add", "arthur")
    wait_until(lambda: "arthur@mbp" in str(nova.ask("GET", "/api/users")[1]), "nova knows arthur", PATIENCE_S)
    source, place = tmp_path / "build.log", tmp_path / "got.log"

    def sent() -> str:
        source.write_bytes(os.urandom(SIZE))
        told = nova.maw("send", "@arthur", "the log", "--attach", str(source), "--as", "neo")
        return told.split(" · ")[-1].strip()

    def came(ref: str) -> bool:
        return any(one["id"] == ref for one in mbp.ask("GET", "/api/inbox", agent="arthur")[1])

    for victim in (mbp, nova):
        for _ in range(5):  # it may cross before anybody can be killed: then with another
            ref = sent()
            wait_until(partial(came, ref), "the message came", PATIENCE_S)
            if (process := killed_midway(victim, mbp, ref, place)) is not None:
                break
            victim.start()
            replaced(place)
        assert process is not None, "never in the middle"
        had = parts(mbp) // (64 * 1024 + 16) * 64 * 1024
        victim.start()
        if victim is mbp:
            # what it had it does not ask for again
            status, told = mbp.ask("POST", f"/api/messages/{ref}/files/1/fetch", {}, agent="arthur")
            assert status == 200 and told["fetched"] >= had > 0, told
        code, said = ended(process)
        assert code == 0, said
        assert place.read_bytes() == source.read_bytes()
        assert "16 MiB" in said
        replaced(place)

    (blob,) = [path for path in (mbp.home / "blobs").glob("*/*") if path.stat().st_mtime == newest(mbp)]
    with blob.open("r+b") as file:
        file.seek(SIZE // 2)
        byte = file.read(1)
        file.seek(SIZE // 2)
        file.write(bytes([byte[0] ^ 1]))
    assert ended(fetching(mbp, ref, place))[0] == 0
    assert place.read_bytes() == source.read_bytes()
    assert ended(fetching(mbp, ref, place))[0] == 6, "nothing is written over"

    # without the host that has it: what is here is enough, and what is not is told
    neo = speaking(nova, "neo")
    other = neo.send(
        "@arthur", "another", files=[neo.attach(source)], wait="replicated", timeout=PATIENCE_S
    ).id
    nova.stop()
    colony = speaking(mbp, "arthur")
    got = tmp_path / "by-client.log"
    assert colony.fetch(ref, got) == SIZE and got.read_bytes() == source.read_bytes()
    code, said = ended(fetching(mbp, other, tmp_path / "no.log"))
    assert code == 6 and "nova has build.log and is not linked" in said and "--wait" in said
    assert not (tmp_path / "no.log").exists()


def newest(host: Daemon) -> float:
    return max(path.stat().st_mtime for path in (host.home / "blobs").glob("*/*"))


def speaking(host: Daemon, name: str) -> Colony:
    """Over REST, with a fresh token."""
    status, told = host.ask("POST", f"/api/users/{name}/token", {})
    assert status == 201, told
    return Colony(url=f"http://{host.ask('GET', '/api/status')[1]['rest']}", token=told["token"])
