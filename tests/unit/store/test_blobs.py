"""Blobs on the disk: made, fetched in parts, damaged, counted."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from maw.core.blobs import CHUNK, HASH_BYTES, SEALED_CHUNK, blob_hash, chunk_count, seal_chunk
from maw.store.blobs import BlobFolder, Draft

KEY = bytes(32)


def sealed(size: int) -> list[bytes]:
    count = chunk_count(size)
    plain = os.urandom(size)
    return [seal_chunk(KEY, n, plain[n * CHUNK : (n + 1) * CHUNK], last=n == count - 1) for n in range(count)]


def made(folder: BlobFolder, chunks: list[bytes]) -> bytes:
    draft = Draft(folder)
    for chunk in chunks:
        draft.add(chunk)
    name = draft.finish()
    draft.drop()
    return name


@pytest.fixture
def folder(tmp_path: Path) -> BlobFolder:
    return BlobFolder(tmp_path / "blobs")


@pytest.mark.parametrize("size", [0, 1, CHUNK, CHUNK + 1, 3 * CHUNK])
def test_what_was_made_is_read_back(folder: BlobFolder, size: int) -> None:
    chunks = sealed(size)
    name = made(folder, chunks)
    hashes = folder.hashes(name)
    assert hashes is not None and blob_hash(hashes) == name
    assert [folder.chunk(name, n) for n in range(len(chunks))] == chunks
    assert folder.chunk(name, len(chunks)) is None and folder.damaged(name) is None
    file = folder.file(name)
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.stat().st_size == size + len(chunks) * 48
    assert list(folder.scan()) == [name] and folder.scan()[name].whole


def test_what_was_cut_short_is_gone_after_a_start(folder: BlobFolder) -> None:
    draft = Draft(folder)
    draft.add(sealed(10)[0])
    assert folder.scan() == {}
    assert list(folder.path.iterdir()) == []
    draft.drop()


def test_parts_stay_and_are_looked_through(folder: BlobFolder, tmp_path: Path) -> None:
    chunks = sealed(3 * CHUNK + 9)
    whole = BlobFolder(tmp_path / "other")
    name = made(whole, chunks)
    hashes = whole.hashes(name)
    assert hashes is not None and folder.begun(name) == (None, 0)
    folder.keep_list(name, hashes)
    assert folder.begun(name) == (hashes, 0)
    for n in range(3):
        folder.keep_chunk(name, n, chunks[n])
    part = folder.file(name).with_suffix(".part")
    with part.open("ab") as file:
        file.write(chunks[3][:5])  # cut in the middle of one
    assert folder.begun(name) == (hashes, 3) and part.stat().st_size == 3 * SEALED_CHUNK
    held = folder.scan()[name]
    assert (held.whole, held.size) == (False, 3 * SEALED_CHUNK + 4 * HASH_BYTES) and folder.hashes(
        name
    ) is None
    flip(part, SEALED_CHUNK + 7)
    assert folder.begun(name) == (hashes, 1)
    for n in range(1, 4):
        folder.keep_chunk(name, n, chunks[n])
    folder.finish(name)
    assert folder.file(name).read_bytes() == whole.file(name).read_bytes()
    assert [path.name for path in folder.file(name).parent.iterdir()] == [folder.file(name).name]


def test_a_list_that_is_not_its_own_is_none(folder: BlobFolder) -> None:
    folder.keep_list(b"x" * 32, bytes(64))
    folder.keep_chunk(b"x" * 32, 0, b"noise")
    assert folder.begun(b"x" * 32) == (None, 0)
    assert folder.scan()[b"x" * 32].size == 64


def test_of_a_damaged_one_what_is_sound_stays(folder: BlobFolder) -> None:
    chunks = sealed(4 * CHUNK)
    name = made(folder, chunks)
    hashes = folder.hashes(name)
    flip(folder.file(name), 2 * SEALED_CHUNK + 100)
    assert [folder.chunk(name, n) is None for n in range(4)] == [False, False, True, False]
    assert folder.damaged(name) == 2
    assert folder.demote(name, aside=False)
    assert folder.begun(name) == (hashes, 2)
    folder.drop(name)
    assert folder.scan() == {} and folder.look_at(name) is None
    assert not folder.demote(made(folder, chunks), aside=False), "what is sound stays"
    assert folder.damaged(name) is None


def test_a_list_that_is_damaged_alone_is_made_again(folder: BlobFolder) -> None:
    name = made(folder, sealed(3 * CHUNK + 7))
    before = folder.file(name).read_bytes()
    flip(folder.file(name), len(before) - 40)
    assert folder.hashes(name) is None and not folder.demote(name, aside=False)
    assert folder.file(name).read_bytes() == before
    flip(folder.file(name), len(before) - 40)
    flip(folder.file(name), 9)
    assert folder.demote(name, aside=False) and folder.begun(name) == (None, 0)


def test_an_original_is_kept_aside_until_it_is_here_again(folder: BlobFolder) -> None:
    chunks = sealed(3 * CHUNK)
    name = made(folder, chunks)
    hashes = folder.hashes(name)
    assert hashes is not None
    for at in (7, 3 * SEALED_CHUNK + 3):  # a chunk, and the list
        flip(folder.file(name), at)
    before = folder.file(name).read_bytes()
    assert folder.demote(name, aside=True)
    aside = folder.file(name).with_suffix(".damaged")
    assert aside.read_bytes() == before and folder.chunk(name, 1) is None
    held = folder.scan()[name]
    assert held == folder.look_at(name) and (held.size, held.whole) == (len(before), False)
    folder.keep_list(name, hashes)
    for n in range(3):
        folder.keep_chunk(name, n, chunks[n])
    folder.finish(name)
    assert folder.damaged(name) is None and not aside.exists()


def test_new_folders_are_synced_by_whoever_makes_them(
    folder: BlobFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[Path] = []
    monkeypatch.setattr("maw.store.blobs._sync_folder", synced.append)
    folder.keep_list(b"x" * 32, bytes(64))
    assert synced == [folder.path.parent, folder.path]
    folder.keep_list(b"x" * 32, bytes(64))
    assert len(synced) == 2


def flip(path: Path, at: int) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        old = file.read(1)
        file.seek(at)
        file.write(bytes([old[0] ^ 1]))
