"""The wheels that a birth carries: of what is installed here, or fetched; the same content is the same wheel."""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from importlib import metadata
from pathlib import Path

import pytest

from maw.agents.birth import wheels
from maw.agents.birth.far import Here
from maw.agents.birth.looking import Facts, look
from maw.agents.birth.wheels import Platform, wheels_for
from maw.errors import Refused
from maw.ops.machine import Ran


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few stand for all."""
    monkeypatch.setattr(
        wheels, "_closure", lambda: iter([metadata.distribution(n) for n in ("aiosqlite", "idna", "pip")])
    )


def like_here() -> Facts:
    here = Platform.here()
    return replace(
        look(Here()), machine=here.machine, glibc=".".join(map(str, here.glibc)),
        python_is=f"{here.implementation} {'.'.join(map(str, here.python))}",
    )  # fmt: skip


def names(tar: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(tar)) as packed:
        return {one.name: packed.extractfile(one).read() for one in packed}  # type: ignore[union-attr]


def test_of_what_is_installed_here(tmp_path: Path) -> None:
    made = wheels_for(like_here(), tmp_path)
    found = names(made.tar)
    assert made.count == len(found) == 4 and made.how == "of what is installed here"
    own = next(data for name, data in found.items() if name.startswith("maw_colony-"))
    with zipfile.ZipFile(io.BytesIO(own)) as packed:
        inside = set(packed.namelist())
        assert {"maw/agents/birth/there.py", "maw/units/systemd/maw.service", "maw/page/index.html"} <= inside
        assert any(name.endswith(".dist-info/RECORD") for name in inside)
        assert not [name for name in inside if "__pycache__" in name]
        entry = next(name for name in inside if name.endswith("entry_points.txt"))
        assert b"maw = maw.cli.entry:main" in packed.read(entry)
    assert any(name.startswith("idna-") and name.endswith("-py3-none-any.whl") for name in found)


def test_kept_for_the_next_birth_and_made_anew_when_it_is_damaged(tmp_path: Path) -> None:
    first = wheels_for(like_here(), tmp_path)
    again = wheels_for(like_here(), tmp_path)
    assert again.tar == first.tar and again.id == first.id and "kept" in again.how
    (tmp_path / f"{first.id}.tar").write_bytes(b"damaged")
    assert wheels_for(like_here(), tmp_path).tar == first.tar


def test_for_another_python_they_are_fetched(tmp_path: Path) -> None:
    asked: list[Sequence[str]] = []

    def pip(command: Sequence[str]) -> Ran:
        asked.append(command)
        folder = Path(command[command.index("--dest") + 1])
        for wanted in (word for word in command if "==" in word):
            name, _, version = wanted.partition("==")
            (folder / f"{name}-{version}-py3-none-any.whl").write_bytes(b"a wheel")
        return Ran(0, "")

    facts = replace(like_here(), python_is="CPython 3.13", machine="aarch64", glibc="2.41")
    made = wheels_for(facts, tmp_path, pip)
    assert made.how == "fetched with pip" and made.count == 4
    (words,) = asked
    assert {word.partition("==")[0] for word in words if "==" in word} == {"aiosqlite", "idna", "pip"}
    assert list(words[words.index("--python-version") :][:2]) == ["--python-version", "3.13"]
    assert "manylinux_2_41_aarch64" in words and "manylinux_2_17_aarch64" in words and ":all:" in words


def test_pip_goes_along_where_none_is_beside_maw(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wheels, "_closure", lambda: iter([metadata.distribution("idna")]))
    found = names(wheels_for(like_here(), tmp_path).tar)
    assert any(name.startswith("pip-") for name in found) and len(found) == 3


def test_what_there_is_no_wheel_of_is_named(tmp_path: Path) -> None:
    facts = replace(like_here(), machine="riscv64")
    with pytest.raises(Refused) as refused:
        wheels_for(
            facts, tmp_path, lambda _: Ran(1, "", "ERROR: No matching distribution found for aiosqlite==9")
        )
    assert refused.value.code == "no_wheel"
    assert "aiosqlite==" in refused.value.message and "riscv64" in refused.value.message
    with pytest.raises(Refused, match="glibc 0"):
        wheels_for(
            replace(like_here(), machine="x86_64", glibc="", python_is="CPython 3.13"),
            tmp_path,
            lambda _: Ran(0, ""),
        )
    with pytest.raises(Refused) as old:
        wheels_for(replace(like_here(), python_is="CPython 3.9"), tmp_path)
    assert old.value.code == "no_python"


def test_what_runs_where() -> None:
    here = Platform("CPython", (3, 11), "x86_64", (2, 36))
    assert here.runs(here) and replace(here, glibc=(2, 41)).runs(here)
    assert not replace(here, glibc=(2, 31)).runs(here), "made on a newer one than that"
    assert not replace(here, python=(3, 12)).runs(here) and not replace(here, machine="aarch64").runs(here)


def test_what_an_extra_asks_for_stays_here() -> None:
    assert wheels._needed("mcp>=2.3; extra == 'mcp'") is None
    assert wheels._needed("pyroute2>=0.9.1; sys_platform == 'linux'") == "pyroute2"
    assert wheels._needed("typing-extensions (>=4)") == "typing-extensions"
