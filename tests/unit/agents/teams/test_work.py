"""What lies in a worktree, as real git says it; and what git is kept from running."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from maw.agents.teams.git import Git, GitFailed, branches, repo_of, worktrees
from maw.agents.teams.work import bases, look
from maw.core.teams import Team, Work, obstacles
from maw.errors import BadInput

pytestmark = pytest.mark.skipif(not shutil.which("git"), reason="needs git: apt-get install -y git")
WHO = ("-c", "user.name=nova", "-c", "user.email=nova@example.org", "-c", "protocol.file.allow=always")


class Yard:
    """A repository with one worktree of the team vault."""

    def __init__(self, folder: Path) -> None:
        self.main = folder / "app"
        self.main.mkdir()
        self.git(self.main, "init", "--quiet", "--initial-branch", "main")
        self.commit(self.main, "first.txt")
        repo = repo_of(Git(self.main))
        self.team = Team(
            "vault", str(repo.main), str(folder / "trees"), repo.base, repo.start, 1, ("true",), (), "vault"
        )
        (self.member,) = self.team.members()
        self.tree = Path(self.member.folder)
        self.git(self.main, "worktree", "add", "--quiet", "-b", self.member.branch, str(self.tree))

    def git(self, at: Path, *words: str) -> str:
        done = subprocess.run(
            ["git", *WHO, "-C", str(at), *words], capture_output=True, text=True, check=True, stdin=subprocess.DEVNULL
        )  # fmt: skip
        return done.stdout.strip()

    def commit(self, at: Path, name: str, text: str = "x\n") -> str:
        (at / name).write_text(text)
        self.git(at, "add", name)
        self.git(at, "commit", "--quiet", "-m", name)
        return self.git(at, "rev-parse", "HEAD")

    def work(self) -> Work:
        git = Git(self.main)
        return look(git, self.member, worktrees(git), bases(git, self.team))

    def kept_by(self) -> str:
        return "; ".join(obstacles(self.member, self.work(), "main"))


@pytest.fixture
def yard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Yard:
    for name in [one for one in os.environ if one.startswith("GIT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", os.devnull)
    return Yard(tmp_path)


def test_files(yard: Yard) -> None:
    assert yard.kept_by() == "" and yard.work().tip
    yard.git(yard.main, "config", "status.showUntrackedFiles", "no")
    (yard.tree / "notes").mkdir()
    (yard.tree / "notes/new.txt").write_text("x")
    assert yard.work().untracked == ["notes/"], "whatever the configuration leaves out"
    (yard.tree / "first.txt").write_text("other\n")
    yard.git(yard.tree, "add", "--all")
    yard.git(yard.tree, "mv", "notes/new.txt", "notes/newer.txt")
    assert set(yard.work().changed) == {"first.txt", "notes/newer.txt"}
    yard.git(yard.tree, "reset", "--quiet", "--hard")
    (yard.main / ".git/info/exclude").write_text("*.env\nbuild/\n")
    (yard.tree / "a.env").write_text("SECRET")
    assert (yard.work().ignored, yard.kept_by()) == (["a.env"], "")
    yard.git(yard.tree, "update-index", "--assume-unchanged", "first.txt")
    (yard.tree / "first.txt").write_text("unseen\n")
    assert yard.work().hidden == ["first.txt"] and "told not to look" in yard.kept_by()


def test_commits(yard: Yard) -> None:
    yard.commit(yard.tree, "two.txt")
    assert "1 commit of vault/1 not in main" in yard.kept_by()
    yard.git(yard.main, "merge", "--quiet", "--no-ff", "-m", "merged", "vault/1")
    assert yard.work().ahead == 0 and yard.kept_by() == ""
    yard.commit(yard.tree, "three.txt")
    yard.git(yard.main, "merge", "--quiet", "--squash", "vault/1")
    yard.git(yard.main, "commit", "--quiet", "-m", "squashed")
    work = yard.work()
    assert (work.ahead, work.held, yard.kept_by()) == (1, True, ""), "all of it is in main, its commit is not"
    yard.git(yard.tree, "checkout", "--quiet", "-b", "mine")
    yard.commit(yard.tree, "four.txt")
    assert "of mine not in main" in yard.kept_by()


def test_a_base_that_was_rewritten_makes_no_work_of_what_was_there_before(yard: Yard) -> None:
    yard.git(yard.main, "commit", "--quiet", "--amend", "-m", "first, in other words")
    assert yard.work().ahead == 0
    yard.git(yard.main, "branch", "--move", "main", "trunk")
    with pytest.raises(BadInput) as gone:
        yard.work()
    assert "--into" in gone.value.hint


def test_a_head_of_its_own(yard: Yard) -> None:
    yard.git(yard.tree, "checkout", "--quiet", "--detach")
    assert yard.kept_by() == ""
    yard.commit(yard.tree, "loose.txt")
    assert "1 commit on no branch" in yard.kept_by()
    yard.git(yard.tree, "branch", "kept")
    assert yard.work().loose == 0 and yard.kept_by(), "on a branch, not merged"


def test_stashes_and_what_is_under_way(yard: Yard) -> None:
    (yard.tree / "first.txt").write_text("mine\n")
    yard.git(yard.tree, "stash", "push", "--quiet")
    (yard.main / "first.txt").write_text("of main\n")
    yard.git(yard.main, "stash", "push", "--quiet", "-m", "not the team's")
    assert yard.work().stashes == 1 and "1 stashed" in yard.kept_by()
    yard.git(yard.tree, "stash", "drop", "--quiet", "stash@{1}")
    assert yard.kept_by() == ""
    yard.commit(yard.tree, "first.txt", "theirs\n")
    yard.commit(yard.main, "first.txt", "ours\n")
    with pytest.raises(subprocess.CalledProcessError):
        yard.git(yard.tree, "rebase", "--quiet", "main")
    assert yard.work().operation == "rebase"


def test_submodules_locks_and_what_is_gone(yard: Yard, tmp_path: Path) -> None:
    library = tmp_path / "library"
    library.mkdir()
    yard.git(library, "init", "--quiet", "--initial-branch", "main")
    yard.commit(library, "lib.txt")
    yard.git(yard.tree, "submodule", "--quiet", "add", str(library), "lib")
    yard.git(yard.tree, "commit", "--quiet", "-m", "a library")
    (yard.tree / "lib/dirty.txt").write_text("x")
    assert yard.work().changed == ["lib"] and yard.work().submodules == ["lib"]
    yard.git(yard.main, "worktree", "lock", "--reason", "on a stick", str(yard.tree))
    assert "on a stick" in yard.kept_by()
    (yard.tree / ".git").write_text("gitdir: /nowhere\n")
    assert "cannot read it" in yard.kept_by()
    shutil.rmtree(yard.tree)
    work = yard.work()
    assert not work.there and work.ahead == 1, "its branch is not merged, whatever became of the folder"


def test_what_no_worktree_can_be_made_of(yard: Yard, tmp_path: Path) -> None:
    empty, bare, plain = tmp_path / "empty", tmp_path / "bare", tmp_path / "plain"
    plain.mkdir()
    yard.git(tmp_path, "init", "--quiet", str(empty))
    yard.git(tmp_path, "init", "--quiet", "--bare", str(bare))
    for folder, code in (
        (plain, "no_repo"),
        (empty, "no_commits"),
        (bare, "bare_repo"),
        (tmp_path / "none", "bad_input"),
    ):
        with pytest.raises(BadInput) as refused:
            repo_of(Git(folder))
        assert refused.value.code == code, folder
    assert repo_of(Git(yard.tree)).main == yard.main, "of a worktree, the main one"


def test_nothing_of_the_repository_is_run(
    yard: Yard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = tmp_path / "ran"
    hook = tmp_path / "hooks/post-checkout"
    hook.parent.mkdir()
    hook.write_text(f"#!/bin/sh\ntouch {ran}\nexit 1\n")
    hook.chmod(0o755)
    shutil.copy(hook, yard.main / ".git/hooks/post-checkout")
    for key, value in (("core.hooksPath", str(hook.parent)), ("core.fsmonitor", str(hook))):
        yard.git(yard.main, "config", key, value)
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "another"))
    git = Git(yard.main)
    git.run("worktree", "add", "-b", "vault/2", str(tmp_path / "second"))
    assert len(worktrees(git)) == 3 and "vault/2" in branches(git)
    assert yard.work().there
    assert not ran.exists()
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(GitFailed) as none:
        git.run("status")
    assert none.value.code == "no_git"
