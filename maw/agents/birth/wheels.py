"""The maw that a birth carries along: wheels for the far host's Python, made of what is installed here where that is of
the same make, and fetched with pip where it is not. The far host needs no index."""

from __future__ import annotations

import ensurepip
import hashlib
import io
import os
import platform
import re
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Final

import maw
from maw.agents.birth.looking import LEAST_PYTHON, Facts
from maw.errors import Refused
from maw.ops.machine import Ran, run_command

OWN: Final = "maw-colony"
OLDEST_GLIBC: Final = 17
_NAME: Final = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)")
_FIXED: Final = (2026, 1, 1, 0, 0, 0)
"""The time of every file in a wheel that is made here: the same content is the same wheel."""


@dataclass(frozen=True, slots=True)
class Platform:
    """``python``: (3, 13); ``glibc``: (2, 36)."""

    implementation: str
    python: tuple[int, int]
    machine: str
    glibc: tuple[int, int]

    @classmethod
    def here(cls) -> Platform:
        return cls(
            platform.python_implementation(), sys.version_info[:2], platform.machine(),
            _numbers(platform.libc_ver()[1]),
        )  # fmt: skip

    @classmethod
    def there(cls, facts: Facts) -> Platform:
        return cls(facts.python_is.partition(" ")[0], facts.version, facts.machine, _numbers(facts.glibc))

    def runs(self, made_on: Platform) -> bool:
        """Whether what was made on that one runs here."""
        alike = (self.implementation, self.python, self.machine) == (
            made_on.implementation, made_on.python, made_on.machine,
        )  # fmt: skip
        return alike and self.glibc >= made_on.glibc

    def __str__(self) -> str:
        python, glibc = (".".join(map(str, one)) for one in (self.python, self.glibc))
        return f"{self.implementation} {python}, {self.machine}, glibc {glibc}"


@dataclass(frozen=True, slots=True)
class Wheels:
    """``tar``: all of them; ``id``: the same for the same content; ``how``: where they are from."""

    tar: bytes
    id: str
    count: int
    how: str


def wheels_for(facts: Facts, cache: Path, run: Callable[[Sequence[str]], Ran] | None = None) -> Wheels:
    """Made, or kept from an earlier birth in ``cache``. Refused: one of them cannot be had for that host."""
    there = Platform.there(facts)
    if there.python < LEAST_PYTHON:
        raise Refused(
            f"maw needs Python 3.11, {facts.host} has none", code="no_python", hint="see `maw birth --help`"
        )
    here = Platform.here()
    dists = list(_closure())
    own, own_name = _own_wheel()
    same = there.runs(here)
    names = "\n".join(f"{dist.metadata['Name']} {dist.version}" for dist in dists)
    mark = hashlib.sha256(f"{there} {same}\n{names}\n".encode() + hashlib.sha256(own).digest()).hexdigest()[
        :32
    ]
    kept = cache / f"{mark}.tar"
    how = "of what is installed here" if same else "fetched with pip"
    if kept.is_file():
        data = kept.read_bytes()
        if hashlib.sha256(data).hexdigest() == (cache / f"{mark}.sha256").read_text(encoding="ascii").strip():
            return Wheels(data, mark, len(dists) + 1, f"{how}, kept from before")
    found = {own_name: own}
    if same:
        found |= dict(_repacked(dist) for dist in dists)
    else:
        found |= _fetched(dists, there, run or _pip)
    if not any(name.startswith("pip-") for name in found):
        found |= dict([_bundled_pip()])
    data = _tar(found)
    _keep(cache, mark, data)
    return Wheels(data, mark, len(found), how)


# -- what is installed here -------------------------------------------------------------------------


def _closure() -> Iterator[metadata.Distribution]:
    """What maw needs, and pip, without maw itself: each distribution that is installed here."""
    waiting, seen = [OWN, "pip"], set[str]()
    while waiting:
        name = waiting.pop()
        key = _plain(name)
        if key in seen:
            continue
        seen.add(key)
        try:
            dist = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            continue  # for another system, or another Python
        if key != _plain(OWN):
            yield dist
        waiting += [found for need in dist.requires or () if (found := _needed(need)) is not None]


def _needed(requirement: str) -> str | None:
    """The name in a requirement; None for what only an extra asks for."""
    words, _, condition = requirement.partition(";")
    found = _NAME.match(words)
    return None if found is None or re.search(r"\bextra\b", condition) else found[1]


def _repacked(dist: metadata.Distribution) -> tuple[str, bytes]:
    """A wheel of an installed distribution: its files as its own record lists them."""
    files = {
        path.as_posix(): Path(str(dist.locate_file(path))).read_bytes()
        for path in dist.files or ()
        if ".." not in path.parts and "__pycache__" not in path.parts and path.name not in ("RECORD", "INSTALLER")
        and path.name not in ("REQUESTED", "direct_url.json") and not path.name.endswith(".pyc")
    }  # fmt: skip
    name, version = dist.metadata["Name"], dist.version
    tags = re.findall(r"^Tag: (\S+)$", dist.read_text("WHEEL") or "", re.MULTILINE)
    if not files or not tags:
        raise Refused(
            f"no wheel of {name} can be made of what is installed here", code="no_wheel",
            hint="install maw with pip into an environment of its own, and give birth from there",
        )  # fmt: skip
    return _wheel(name, version, tags, files)


def _own_wheel() -> tuple[bytes, str]:
    """Of the maw that runs: also where it runs from its source."""
    dist = metadata.distribution(OWN)
    package = Path(maw.__file__).parent
    files = {
        f"maw/{path.relative_to(package).as_posix()}": path.read_bytes()
        for path in package.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    if not (package / "units").is_dir():
        for part in ("systemd", "pm2", "peers.example.toml"):
            base = package.parent / part
            for path in [base] if base.is_file() else base.rglob("*"):
                if path.is_file():
                    files[f"maw/units/{path.relative_to(package.parent).as_posix()}"] = path.read_bytes()
    info = f"maw_colony-{dist.version}.dist-info"
    for name in ("METADATA", "entry_points.txt"):
        files[f"{info}/{name}"] = (dist.read_text(name) or "").encode()
    files[f"{info}/WHEEL"] = (
        b"Wheel-Version: 1.0\nGenerator: maw birth\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    )
    name, data = _wheel(OWN, dist.version, ["py3-none-any"], files)
    return data, name


def _wheel(name: str, version: str, tags: Sequence[str], files: dict[str, bytes]) -> tuple[str, bytes]:
    parts = [sorted({tag.split("-")[column] for tag in tags}) for column in range(3)]
    plain = re.sub(r"[-_.]+", "_", name)
    record = f"{plain}-{version}.dist-info/RECORD"
    info = next((path.split("/")[0] for path in files if path.endswith(".dist-info/METADATA")), None)
    if info is not None:
        record = f"{info}/RECORD"
    lines = [f"{path},," for path in sorted(files)] + [f"{record},,"]
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for path, data in [*sorted(files.items()), (record, "\n".join(lines).encode() + b"\n")]:
            entry = zipfile.ZipInfo(path, _FIXED)
            entry.external_attr = 0o644 << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, data)
    whole = f"{plain}-{version}-{'-'.join('.'.join(part) for part in parts)}.whl"
    return whole, packed.getvalue()


def _bundled_pip() -> tuple[str, bytes]:
    """Of this Python's own, where no pip is installed beside maw (uv, pipx). Refused: there is none either."""
    folders = (Path(ensurepip.__file__).parent / "_bundled", Path("/usr/share/python-wheels"))
    for path in (path for folder in folders for path in sorted(folder.glob("pip-*.whl"))):
        return path.name, path.read_bytes()
    raise Refused(
        "there is no pip here that could go along",
        code="no_wheel",
        hint="apt-get install python3-pip-whl; or put pip beside maw",
    )


# -- what has to be fetched ---------------------------------------------------------------------------


def _fetched(
    dists: Sequence[metadata.Distribution], there: Platform, run: Callable[[Sequence[str]], Ran]
) -> dict[str, bytes]:
    """The same versions, as wheels for another platform. Refused, naming what there is no wheel of."""
    major, minor = there.python
    platforms = [f"manylinux_2_{n}_{there.machine}" for n in range(there.glibc[1], OLDEST_GLIBC - 1, -1)]
    platforms += [f"manylinux2014_{there.machine}", "any"]
    if there.glibc < (2, OLDEST_GLIBC):
        raise Refused(
            f"no wheels are made for a host with {there}", code="no_wheel",
            hint="install maw there by hand (README.md), pair it, and give birth again: it then gets only the agent",
        )  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="maw-wheels-") as folder:
        options = [
            "--quiet", "--disable-pip-version-check", "--no-deps", "--only-binary", ":all:", "--dest", folder,
            "--implementation", "cp", "--python-version", f"{major}.{minor}",
            *(word for abi in (f"cp{major}{minor}", "abi3", "none") for word in ("--abi", abi)),
            *(word for one in platforms for word in ("--platform", one)),
        ]  # fmt: skip
        pinned = [f"{dist.metadata['Name']}=={dist.version}" for dist in dists]
        download = [sys.executable, "-m", "pip", "download", *options]
        if not (ran := run([*download, *pinned])).ok:
            raise Refused(
                f"not all wheels could be fetched for a host with {there}: {ran.words[-400:]}", code="no_wheel",
                hint="an index must be reached from here, once; or install maw there by hand (README.md),"
                " pair it, and it gets only the agent",
            )  # fmt: skip
        return {path.name: path.read_bytes() for path in Path(folder).glob("*.whl")}


def _pip(command: Sequence[str]) -> Ran:
    return run_command(command)


# -- kept ---------------------------------------------------------------------------------------------


def _tar(files: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, data in sorted(files.items()):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(data), 0o644
            archive.addfile(entry, io.BytesIO(data))
    return packed.getvalue()


def _keep(cache: Path, mark: str, data: bytes) -> None:
    """For the next birth; of others nothing is kept. What cannot be kept is made again then."""
    try:
        cache.mkdir(mode=0o700, parents=True, exist_ok=True)
        for old in cache.iterdir():
            old.unlink()
        new = cache / f"{mark}.new"
        new.write_bytes(data)
        (cache / f"{mark}.sha256").write_text(hashlib.sha256(data).hexdigest(), encoding="ascii")
        os.replace(new, cache / f"{mark}.tar")  # noqa: PTH105
    except OSError:
        return


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _numbers(text: str) -> tuple[int, int]:
    found = re.match(r"(\d+)\.(\d+)", text)
    return (int(found[1]), int(found[2])) if found else (0, 0)
