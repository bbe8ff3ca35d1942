"""A dream loses nothing and does nothing twice, wherever it is killed; what is no answer changes nothing."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from maw.agents.life import consolidating, durable
from maw.agents.life.dream import Outcome, dream
from maw.agents.life.home import AgentHome, read_home, write_home
from maw.agents.life.pulse import only_pulse
from maw.agents.life.souls import check_soul, note_synced
from maw.core.souls import soul_hash
from maw.errors import Refused, Unavailable

SOUL = "# scout\n\nI look around.\n"
BEFORE = "# What I know\n\n- arthur likes tea\n"
NEW = "# What I know\n\n- arthur likes tea\n- the build is green\n"
ANSWER = f"<summary>\n{NEW}</summary>\n<dream>\nI saw the build.\n</dream>\n"
OTHER = "# scout\n\nI look around, gladly.\n"
ENTRIES = "".join(
    f"\n## 2026-11-22 08:{n:02d} UTC, pulse {n}\n\n- noted: {'x' * 60} {n}\n" for n in range(20)
)


class Body:
    def __init__(self, body: Any) -> None:
        self.body = body


class Daemon:
    """As far as a dream needs one; what it is told is on the disk, for a child of this process tells it."""

    def __init__(self, told: Path) -> None:
        self.told = told
        self.refuse = False

    def post(self, path: str, body: Any) -> Body:
        if path == "/api/dream" and self.refuse:
            raise Refused("scout is frozen", code="frozen")
        word = body.get("run") or body.get("text", "")
        with self.told.open("a") as file:
            file.write(f"{path} {' '.join(str(word).split())}\n")
        if path == "/api/souls":
            return Body({"hash": soul_hash(body["text"]), "changed": True})
        return Body({"policy": None})

    def lines(self, path: str) -> list[str]:
        lines = self.told.read_text().splitlines() if self.told.exists() else []
        return [line.partition(" ")[2] for line in lines if line.startswith(f"{path} ")]


def make(folder: Path, answer: str = ANSWER, *, allow: bool = False) -> AgentHome:
    (folder.parent / "answer").write_text(answer)
    script = folder.parent / "runner"
    here = "${MAW_AGENT_HOME%/*}"
    script.write_text(f'#!/bin/sh\ncat > "{here}/given"\necho ran >> "{here}/ran"\ncat "{here}/answer"\n')
    script.chmod(0o755)
    write_home(folder, "scout", soul=SOUL, runner=(str(script),))
    with (folder / "agent.toml").open("a") as file:
        file.write(f"change_soul = {'true' if allow else 'false'}\nkeep_days = 0\n")
    home = read_home(folder)
    durable.write(home.log, f"# What scout did and heard\n{ENTRIES}".encode())
    durable.write(home.summary, BEFORE.encode())
    check_soul(home, now=time.time() + 10)
    note_synced(home, soul_hash(SOUL))
    return home


@pytest.fixture
def home(tmp_path: Path) -> AgentHome:
    return make(tmp_path / "scout")


@pytest.fixture
def daemon(tmp_path: Path) -> Any:
    return Daemon(tmp_path / "told")


def run(home: AgentHome, daemon: Any, **more: Any) -> Outcome:
    return dream(home, lambda: daemon, dict(os.environ), lambda _: None, **more)


def runs(home: AgentHome) -> int:
    path = home.folder.parent / "ran"
    return len(path.read_text().split()) if path.exists() else 0


def texts(folder: Path) -> list[str]:
    return [one.read_text() for one in sorted(folder.glob("*"))] if folder.is_dir() else []


def shape(home: AgentHome) -> dict[str, list[str]]:
    """All of its memory, without the times in names."""
    archive = consolidating.archive(home)
    sorts = {name: sorted(archive.glob(f"{name}-*")) for name in ("log", "summary")}
    return {
        "log": [home.log.read_text()],
        "summary": [home.summary.read_text()],
        "dreams": [text.partition("\n\n")[2].partition("\n\n")[2] for text in texts(home.dreams)],
        "proposals": sorted(set(texts(home.proposals))),
        "soul": [home.soul.read_text()],
        "old souls": [one.read_text() for one in sorted(home.folder.glob("soul.md.*-*"))],
        "left": sorted(one.name for one in home.own.glob("dream*") if one.name != "dreaming.json"),
        "log lines": [str(home.pulse_log.read_text().count("DREAM run="))],
        **{f"archived {name}": [one.read_text() for one in found] for name, found in sorts.items()},
    }


def test_memory_is_consolidated_and_nothing_of_it_is_lost(home: AgentHome, daemon: Any) -> None:
    log = home.log.read_text()
    with home.log.open("a") as file:
        file.write("- half a li")
    outcome = run(home, daemon)
    assert outcome.word == "dreamt" and outcome.told["consolidated_bytes"] == len(log)
    assert shape(home) == {
        "log": ["# What scout did and heard\n- half a li"], "summary": [NEW], "dreams": ["I saw the build.\n"],
        "proposals": [], "soul": [SOUL], "old souls": [], "left": [], "log lines": ["1"],
        "archived log": [log], "archived summary": [BEFORE],
    }  # fmt: skip
    given = (home.folder.parent / "given").read_text()
    assert SOUL.strip() in given and "arthur likes tea" in given and "half a li" not in given
    assert len(daemon.lines("/api/costs")) == 1 and daemon.lines("/api/costs")[0].startswith("dream-")
    assert daemon.lines("/api/souls") == []


def test_nothing_to_consolidate_asks_nobody(home: AgentHome) -> None:
    home.log.write_text("# What scout did and heard\n- tea\n")

    def no_door() -> Any:
        raise AssertionError("nobody is asked")

    outcome = dream(home, no_door, {}, lambda _: None)
    assert (outcome.word, runs(home)) == ("ok", 0) and outcome.line.startswith("DREAM_OK scout")
    assert "DREAM_OK" in home.pulse_log.read_text()


@pytest.mark.parametrize(
    "broken", [b"", None, b"\xff\xfe", b"<<<<<<< ours\nI\n=======\nII\n>>>>>>> theirs\n"]
)
def test_a_quiet_dream_looks_after_the_soul_too(home: AgentHome, broken: bytes | None) -> None:
    home.log.write_text("# What scout did and heard\n")
    if broken is None:
        home.soul.unlink()
    else:
        home.soul.write_bytes(broken)
    said: list[str] = []

    def no_door() -> Any:
        raise Unavailable("the daemon is not running")

    assert dream(home, no_door, {}, said.append).word == "ok"
    assert home.soul.read_text() == SOUL
    assert any("restored from" in line for line in said)


@pytest.mark.parametrize("answer", ["", "Sorry, I can not.", "<summary>\n</summary>\n", "<summary>\ncut"])
def test_an_answer_that_is_none_leaves_memory_as_it_was(tmp_path: Path, daemon: Any, answer: str) -> None:
    home = make(tmp_path / "scout", answer)
    before = shape_of_memory(home)
    with pytest.raises(Unavailable, match="dream of scout failed"):
        run(home, daemon)
    assert shape_of_memory(home) == before
    assert run(home, daemon).word == "waits" and runs(home) == 1
    for _ in range(2):
        with pytest.raises(Unavailable):
            run(home, daemon, insist=True)
    assert "3 times" in daemon.lines("/api/trouble")[-1]
    assert len(set(daemon.lines("/api/costs"))) == 3, "what failed has cost something too"
    (home.folder.parent / "answer").write_text(ANSWER)
    assert run(home, daemon, insist=True).word == "dreamt"
    assert daemon.lines("/api/trouble")[-1] == "", "it is over"


def shape_of_memory(home: AgentHome) -> dict[str, str]:
    own = {home.pulse_log}
    return {
        str(one): one.read_text() for one in home.folder.rglob("*")
        if one.is_file() and one not in own and home.own not in one.parents
    }  # fmt: skip


def test_who_is_frozen_does_not_dream_and_no_two_at_once(home: AgentHome, daemon: Any) -> None:
    daemon.refuse = True
    with pytest.raises(Refused, match="frozen"):
        run(home, daemon)
    daemon.refuse = False
    with only_pulse(home) as alone:
        assert alone and run(home, daemon).word == "running"
    durable.write(home.own / "pulse.json", b"{}")
    assert run(home, daemon).word == "waits"
    assert runs(home) == 0


def test_a_soul_that_it_would_rather_have_is_a_proposal(tmp_path: Path, daemon: Any) -> None:
    home = make(tmp_path / "scout", f"{ANSWER}<soul>\n{OTHER}</soul>\n")
    outcome = run(home, daemon)
    assert "proposes another soul" in outcome.line
    assert shape(home)["proposals"] == [OTHER] and home.soul.read_text() == SOUL
    assert daemon.lines("/api/souls") == []


def test_where_its_owner_allows_it_the_old_one_is_kept_and_the_colony_told(
    tmp_path: Path, daemon: Any
) -> None:
    home = make(tmp_path / "scout", f"{ANSWER}<soul>\n{OTHER}</soul>\n", allow=True)
    run(home, daemon)
    found = shape(home)
    assert (found["soul"], found["old souls"], found["proposals"]) == ([OTHER], [SOUL], [OTHER])
    assert daemon.lines("/api/souls") == [" ".join(OTHER.split())]


def test_what_looks_like_a_credential_comes_into_no_summary(tmp_path: Path, daemon: Any) -> None:
    token = "ghp_" + "aB3dE6gH9" * 4
    home = make(tmp_path / "scout", ANSWER.replace("the build is", f"{token} the build is"))
    run(home, daemon)
    assert "[a GitHub token, masked] the build is green" in home.summary.read_text()
    kept = [one for one in home.folder.rglob("*") if one.is_file() and token in one.read_text()]
    assert kept == []


def test_a_soul_with_a_key_in_it_is_never_taken(tmp_path: Path, daemon: Any) -> None:
    home = make(tmp_path / "scout", f"{ANSWER}<soul>\nmaw_{'ab3d5f7q' * 4}\n</soul>\n", allow=True)
    assert "looks like" in run(home, daemon).line
    assert home.soul.read_text() == SOUL


def test_what_the_runner_writes_into_the_soul_itself_is_a_proposal(tmp_path: Path, daemon: Any) -> None:
    home = make(tmp_path / "scout")
    script = home.folder.parent / "runner"
    script.write_text(script.read_text() + f"echo 'I am king' > {home.soul}\n")
    run(home, daemon)
    found = shape(home)
    assert found["soul"] == [SOUL] and found["proposals"] == ["I am king\n"]
    assert daemon.lines("/api/souls") == [], "nobody is told of it"


def test_what_its_owner_writes_into_the_log_meanwhile_stays(tmp_path: Path, daemon: Any) -> None:
    home = make(tmp_path / "scout")
    script = home.folder.parent / "runner"
    script.write_text(script.read_text() + f"echo '- meanwhile' >> {home.log}\n")
    run(home, daemon)
    assert home.log.read_text() == "# What scout did and heard\n- meanwhile\n"
    script.write_text(script.read_text() + f"echo 'all else is gone' > {home.log}\n")
    home.log.write_text("# What scout did and heard\n" + ENTRIES)
    outcome = run(home, daemon)
    assert home.log.read_text() == "all else is gone\n" and "nothing was taken out" in outcome.line


def test_the_archive_goes_by_its_owners_rule_and_never_what_is_new(home: AgentHome, daemon: Any) -> None:
    archive = consolidating.archive(home)
    archive.mkdir()
    for n in (1, 2):
        (archive / f"log-2020010{n}T000000Z.md").write_text("old")
        os.utime(archive / f"log-2020010{n}T000000Z.md", (n * 86_400, n * 86_400))
    text = (home.folder / "agent.toml").read_text().replace("keep_days = 0", "keep_days = 30")
    (home.folder / "agent.toml").write_text(text)
    home.pulse_log.write_text("x" * (consolidating.LARGEST_PULSE_LOG + 1))
    outcome = run(read_home(home.folder), daemon)
    assert outcome.told["let_go"] == ["log-20200101T000000Z.md"], (
        "the newest of what was there stays for once"
    )
    names = sorted(one.name.partition("-")[0] for one in archive.iterdir())
    assert names == ["log", "log", "pulse", "summary"]


# -- kill -9 ---------------------------------------------------------------------------------------------


def killed(work: Callable[[], object], at: int) -> bool:
    """Runs ``work`` in a child that kills itself with SIGKILL when it is about to change the disk for the ``at``-th
    time, in one half of all cases just after. True when it was killed."""
    pid = os.fork()
    if pid == 0:
        try:
            count = [0]

            def deadly(real: Callable[..., Any]) -> Callable[..., Any]:
                def call(*args: Any, **more: Any) -> Any:
                    count[0] += 1
                    if count[0] == at:
                        os.kill(os.getpid(), signal.SIGKILL)
                    return real(*args, **more)

                return call

            for name in ("rename", "fsync", "unlink", "link", "mkdir"):
                setattr(os, name, deadly(getattr(os, name)))
            Daemon.post = deadly(Daemon.post)  # type: ignore[method-assign]
            work()
            os._exit(0)
        except BaseException:
            os._exit(1)
    _, status = os.waitpid(pid, 0)
    assert status in (0, signal.SIGKILL), status
    return status != 0


@pytest.mark.parametrize("allow", [True, False])
def test_killed_at_each_step_the_next_one_finishes_it(tmp_path: Path, allow: bool) -> None:
    """Where the soul may not be changed its runner writes it all the same; of those steps each third."""
    answer = f"{ANSWER}<soul>\n{OTHER}</soul>\n"
    (tmp_path / "new").mkdir()
    make(tmp_path / "new" / "scout", answer, allow=allow)
    if not allow:
        script = tmp_path / "new" / "runner"
        script.write_text(script.read_text() + "echo 'I am king' > \"$MAW_AGENT_HOME/soul.md\"\n")
    wanted: dict[str, list[str]] | None = None
    for at in range(0, 200, 1 if allow else 3):
        folder = tmp_path / str(at)
        shutil.copytree(tmp_path / "new", folder)
        home, daemon = read_home(folder / "scout"), Daemon(folder / "told")
        log = home.log.read_text()
        was_killed = at > 0 and killed(partial(run, home, daemon), at)
        if was_killed or at == 0:
            assert log in home.log.read_text() or log in texts(consolidating.archive(home)), at
            assert run(home, daemon).word in ("dreamt", "ok"), at
        found = shape(home)
        wanted = wanted or found
        assert found == wanted, at
        assert found["archived log"] == [log] and found["summary"] == [NEW], at
        assert found["soul"] == [OTHER if allow else SOUL], at
        assert found["old souls"] == ([SOUL] if allow else ["I am king\n"]), at
        assert sorted(found["proposals"]) == ([OTHER] if allow else [OTHER, "I am king\n"]), at
        assert runs(home) <= 2 and len(set(daemon.lines("/api/costs"))) <= runs(home), at
        assert len(set(daemon.lines("/api/costs"))) >= 1, at
        if at and not was_killed:
            assert at > 25, "there are so many steps at least"
            return
    raise AssertionError("it never came to its end")


def test_killed_again_and_again_while_its_runner_runs_it_waits(home: AgentHome, daemon: Any) -> None:
    script = home.folder.parent / "runner"
    works = script.read_text()
    script.write_text("#!/bin/sh\ncat > /dev/null\nkill -9 $PPID\nsleep 60\n")
    for _ in range(3):
        pid = os.fork()
        if pid == 0:
            run(home, daemon)
            os._exit(3)
        assert os.waitpid(pid, 0)[1] == signal.SIGKILL
    with pytest.raises(Unavailable, match="killed 3 times"):
        run(home, daemon)
    assert run(home, daemon).word == "waits"
    script.write_text(works)
    assert run(home, daemon, insist=True).word == "dreamt"
    assert not any(one.name.endswith(".runner") for one in home.own.iterdir())
