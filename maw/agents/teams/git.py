"""git, with nothing of the repository's being run: no hooks, no file watcher, no question at a terminal.

Filters that the user's own configuration names (git-lfs) are git's business and run.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from maw.core.teams import Worktree
from maw.errors import BadInput, Unavailable

SECONDS: Final = 600.0
"""For a checkout of a large repository."""
_QUIET: Final = (
    "-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false", "-c", "gc.auto=0", "-c", "maintenance.auto=false",
    "-c", "status.showUntrackedFiles=all", "-c", "advice.detachedHead=false", "-c", "submodule.recurse=false",
)  # fmt: skip
"""`git worktree remove` asks `git status`: what that leaves out by somebody's configuration would be lost."""
_WHERE: Final = frozenset({
    "GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_NAMESPACE", "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_PREFIX", "GIT_CONFIG_PARAMETERS", "GIT_CONFIG_COUNT",
})  # fmt: skip
"""Set for who runs in a hook: they would have git act on another repository than the one that is meant."""


class GitFailed(Unavailable):
    default_code = "git_failed"


@dataclass(frozen=True, slots=True)
class Git:
    """git in ``folder``. ``lock``: a descriptor that it inherits, so that a lock on it lasts as long as git runs, also
    when maw is killed meanwhile."""

    folder: Path
    lock: int | None = None

    def at(self, folder: Path | str) -> Git:
        return replace(self, folder=Path(folder))

    def run(self, *words: str, ok: Collection[int] = (0,)) -> str:
        """What it printed. Raises GitFailed with what it said."""
        code, out, said = self.ask(*words)
        if code in ok:
            return out
        why = next(
            (line for line in said.splitlines() if line.startswith(("fatal:", "error:"))), said.strip()
        )
        raise GitFailed(f"git {words[0]} in {self.folder}: {why or f'exit code {code}'}"[:600])

    def ask(self, *words: str) -> tuple[int, str, str]:
        """Exit code, output, errors. Raises GitFailed where git is not there, or does not end."""
        env = {name: value for name, value in os.environ.items() if name not in _WHERE}
        env |= {
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_OPTIONAL_LOCKS": "0",
            "LC_ALL": "C.UTF-8",
            "GIT_EDITOR": "false",
        }
        try:
            done = subprocess.run(
                ["git", *_QUIET, "-C", str(self.folder), *words], env=env, stdin=subprocess.DEVNULL,
                capture_output=True, timeout=SECONDS, check=False, pass_fds=() if self.lock is None else (self.lock,),
            )  # fmt: skip
        except FileNotFoundError:
            raise GitFailed("git is not on PATH", code="no_git", hint="apt install git") from None
        except subprocess.TimeoutExpired:
            raise GitFailed(f"git {words[0]} in {self.folder} did not end within {SECONDS:g} s") from None
        return done.returncode, _text(done.stdout), _text(done.stderr)

    def word(self, *words: str) -> str:
        """One line; "" where git has none."""
        code, out, _ = self.ask(*words)
        return out.strip() if code == 0 else ""


@dataclass(frozen=True, slots=True)
class Repo:
    """``main``: its first worktree; ``base``: the branch checked out where it was asked, "" for none; ``start``: the
    commit there."""

    main: Path
    base: str
    start: str


def repo_of(git: Git) -> Repo:
    """The repository that the folder is in. Raises BadInput where no worktree can be made of it."""
    if not git.folder.is_dir():
        raise BadInput(f"--repo: {git.folder} is no folder")
    code, _, said = git.ask("rev-parse", "--git-dir")
    if code:
        first = said.strip().splitlines()[:1]
        raise BadInput(
            f"{git.folder}: {first[0].removeprefix('fatal: ') if first else 'no repository'}",
            code="no_repo",
            hint="--repo DIR names the git repository; or go there",
        )
    listed = git.run("worktree", "list", "--porcelain")
    main = Path(_paths(listed)[0])
    if "bare" in listed.split("\n\n")[0].splitlines()[1:]:
        raise BadInput(
            f"{main} is a bare repository: there is no branch checked out that work could be merged into",
            code="bare_repo",
            hint="clone it, and make the team of the clone",
        )
    start = git.word("rev-parse", "--verify", "--quiet", "HEAD^{commit}")
    if not start:
        raise BadInput(
            f"{main} has no commit yet: a worktree needs one", code="no_commits", hint="git commit the first"
        )
    return Repo(main, git.word("symbolic-ref", "--quiet", "--short", "HEAD"), start)


def worktrees(git: Git) -> list[Worktree]:
    """All of the repository, the main one first."""
    found = []
    for block in git.run("worktree", "list", "--porcelain").split("\n\n"):
        lines = [line.partition(" ") for line in block.splitlines()]
        told = {key: value for key, _, value in lines}
        if "worktree" in told:
            branch = told.get("branch", "").removeprefix("refs/heads/")
            gone = not Path(told["worktree"]).is_dir()
            found.append(Worktree(told["worktree"], branch, told.get("locked"), gone))
    return found


def branches(git: Git) -> set[str]:
    listed = git.run("for-each-ref", "--format=%(refname)", "refs/heads/")
    return {line.removeprefix("refs/heads/") for line in listed.splitlines()}


def _paths(listed: str) -> list[str]:
    return [line.removeprefix("worktree ") for line in listed.splitlines() if line.startswith("worktree ")]


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")
