"""An agent's folder as one file: what is packed comes back, and nothing that was made to do harm is unpacked."""

from __future__ import annotations

import gzip
import io
import os
import stat
import tarfile
import tracemalloc
from pathlib import Path

import pytest

from maw.node import homes
from maw.node.homes import check_packed, pack, unpack


def packed(folder: Path) -> io.BytesIO:
    into = io.BytesIO()
    pack(folder, into)
    into.seek(0)
    return into


def forged(*members: tuple[str, bytes, str]) -> io.BytesIO:
    """(name, type, link or content) as somebody else's program would write them."""
    into = io.BytesIO()
    with tarfile.open(fileobj=into, mode="w:gz") as tar:
        for name, kind, text in members:
            info = tarfile.TarInfo(name)
            info.type = kind
            if kind == tarfile.REGTYPE:
                info.size = len(text)
                tar.addfile(info, io.BytesIO(text.encode()))
            else:
                info.linkname = text
                tar.addfile(info)
    into.seek(0)
    return into


def test_what_is_packed_comes_back(tmp_path: Path) -> None:
    home = tmp_path / "scout"
    (home / "memory" / "dreams").mkdir(parents=True)
    (home / "soul.md").write_text("who it is")
    (home / "run.sh").write_text("#!/bin/sh\n")
    (home / "run.sh").chmod(0o755)
    (home / "memory" / "log.md").write_text("é\n" * 1000)
    (home / "latest").symlink_to("memory/log.md")
    (home / "outside").symlink_to("/etc/passwd")
    (home / "above").symlink_to("../elsewhere")
    (home / "memory" / "newest").symlink_to("../latest")
    (home / "past").symlink_to("memory/dreams")
    (home / "through").symlink_to("past/first.md")
    (home / "up").symlink_to("past/../../soul.md")
    os.link(home / "soul.md", home / "again.md")
    os.mkfifo(home / "pipe")
    (home / ".maw").mkdir()
    (home / ".maw" / "lock").write_text("")
    check_packed(packed(home))
    there = tmp_path / "there" / "scout"
    assert unpack(packed(home), there) == 4
    names = {path.relative_to(there).as_posix() for path in there.rglob("*")}
    assert names == {"soul.md", "again.md", "run.sh", "memory", "memory/dreams", "memory/log.md", "latest"} | {
        "memory/newest", "past",
    }  # fmt: skip
    assert (there / "memory" / "newest").read_text() == "é\n" * 1000
    assert (there / "latest").read_text() == "é\n" * 1000
    assert (there / "again.md").read_text() == "who it is"
    assert stat.S_IMODE((there / "run.sh").stat().st_mode) == 0o700
    assert stat.S_IMODE((there / "soul.md").stat().st_mode) == 0o600, "the rights of others do not come along"


@pytest.mark.parametrize(
    "members",
    [
        [("/etc/cron.d/x", tarfile.REGTYPE, "x")],
        [("../x", tarfile.REGTYPE, "x")],
        [("a/../../x", tarfile.REGTYPE, "x")],
        [("link", tarfile.SYMTYPE, "/etc")],
        [("link", tarfile.SYMTYPE, "../..")],
        [("a/link", tarfile.SYMTYPE, "../../x")],
        [("link", tarfile.SYMTYPE, "memory"), ("link/x", tarfile.REGTYPE, "x")],
        [("d", tarfile.SYMTYPE, "."), ("e", tarfile.SYMTYPE, "d/..")],
        [("d", tarfile.SYMTYPE, "."), ("e", tarfile.SYMTYPE, "d/soul.md")],
        [("e", tarfile.SYMTYPE, "d/soul.md"), ("d", tarfile.SYMTYPE, ".")],
        [("a", tarfile.DIRTYPE, ""), ("a/d", tarfile.SYMTYPE, ".."), ("e", tarfile.SYMTYPE, "a/d/x")],
        [("a", tarfile.DIRTYPE, ""), ("e", tarfile.SYMTYPE, "a/../x")],
        [("nowhere/x", tarfile.REGTYPE, "x")],
        [("a", tarfile.REGTYPE, ""), ("a/x", tarfile.REGTYPE, "x")],
        [("holes", tarfile.GNUTYPE_SPARSE, "")],
        [("hard", tarfile.LNKTYPE, "/etc/passwd")],
        [("tty", tarfile.CHRTYPE, "")],
        [("disk", tarfile.BLKTYPE, "")],
        [("pipe", tarfile.FIFOTYPE, "")],
        [("twice", tarfile.REGTYPE, "a"), ("twice", tarfile.REGTYPE, "b")],
        [("x" * 2000, tarfile.REGTYPE, "a")],
    ],
)
def test_nothing_leads_out_of_it(tmp_path: Path, members: list[tuple[str, bytes, str]]) -> None:
    with pytest.raises(ValueError, match=r"the folder has"):
        check_packed(forged(*members))
    with pytest.raises(ValueError, match=r"the folder has"):
        unpack(forged(("first", tarfile.REGTYPE, "x"), *members), tmp_path / "there")
    assert list(tmp_path.iterdir()) == [], "nothing is left of what began well"


def test_no_more_than_is_allowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(homes, "MAX_BYTES", 10)
    with pytest.raises(ValueError, match="more than"):
        check_packed(forged(("a", tarfile.REGTYPE, "x" * 11)))
    monkeypatch.setattr(homes, "MAX_FILES", 2)
    with pytest.raises(ValueError, match="more than"):
        check_packed(forged(*((name, tarfile.REGTYPE, "") for name in "abc")))


@pytest.mark.parametrize("data", [b"", b"no archive", b"\x1f\x8b\x08\x00" + bytes(40)])
def test_what_is_no_packed_folder(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(ValueError, match="not packed"):
        unpack(io.BytesIO(data), tmp_path / "there")


def test_one_that_is_cut_short(tmp_path: Path) -> None:
    home = tmp_path / "scout"
    home.mkdir()
    (home / "log.md").write_bytes(os.urandom(100_000))
    whole = packed(home).getvalue()
    for end in (10, 1000, len(whole) // 2):
        with pytest.raises(ValueError, match="not packed"):
            unpack(io.BytesIO(whole[:end]), tmp_path / "there")
        with pytest.raises(ValueError, match="not packed"):
            check_packed(io.BytesIO(whole[:end]))
    assert not (tmp_path / "there").exists()


def test_it_takes_no_place_that_is_taken(tmp_path: Path) -> None:
    home = tmp_path / "scout"
    home.mkdir()
    (home / "soul.md").write_text("new")
    for taken in ("full", "file", "link"):
        place = tmp_path / taken
        if taken == "full":
            place.mkdir()
            (place / "soul.md").write_text("old")
        elif taken == "file":
            place.write_text("old")
        else:
            place.symlink_to(tmp_path / "full")
        with pytest.raises(FileExistsError):
            unpack(packed(home), place)
    assert (tmp_path / "full" / "soul.md").read_text() == "old"
    (tmp_path / "empty").mkdir()
    assert unpack(packed(home), tmp_path / "empty") == 1


@pytest.mark.parametrize("kind", [*b"LKxgS"])
def test_no_header_is_read_whole_that_says_it_is_endless(kind: int) -> None:
    info = tarfile.TarInfo("././@LongLink")
    info.type, info.size = bytes([kind]), 1 << 30
    source = Counted(gzip.compress(info.tobuf(tarfile.GNU_FORMAT)) + gzip.compress(b"a" * (32 << 20)))
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match="the folder has"):
            check_packed(source)
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


class Counted(io.BytesIO):
    """Is read as a stream: nothing but ``read`` may be asked of it."""

    def seek(self, *_: object) -> int:
        raise AssertionError("it is a stream")


def test_many_and_odd_headers() -> None:
    def pax(*records: bytes) -> io.BytesIO:
        info = tarfile.TarInfo("x")
        info.type, data = tarfile.XHDTYPE, b"".join(records)
        info.size = len(data)
        block = info.tobuf(tarfile.USTAR_FORMAT) + data + bytes(-len(data) % 512)
        return io.BytesIO(gzip.compress(block * times + tarfile.TarInfo("y").tobuf() + bytes(1024)))

    times = 1
    for odd in (b"9 size=a\n", b"99 path=x\n", b"1 a\n", b"path=x\n", b"7 path\n", b"11 mtime=x\n", b"0"):
        with pytest.raises(ValueError, match="the folder"):
            check_packed(pax(odd))
    check_packed(pax(b"13 mtime=inf\n", b"22 SCHILY.xattr.a=bcd\n"))
    times = 5000
    with pytest.raises(ValueError, match="a header that is too long"):
        check_packed(pax(b"9 path=x\n"))
