"""What lies in one worktree of a team, as git tells it now: asked anew each time, never remembered."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from maw.agents.teams.git import Git, GitFailed
from maw.core.teams import Member, Team, Work, Worktree
from maw.core.text import shown
from maw.errors import BadInput

_OPERATIONS: Final = {
    "rebase-merge": "rebase", "rebase-apply": "rebase", "MERGE_HEAD": "merge", "CHERRY_PICK_HEAD": "cherry-pick",
    "REVERT_HEAD": "revert", "BISECT_LOG": "bisect",
}  # fmt: skip
_LINK: Final = "160000"
"""The mode of a submodule."""


def bases(git: Git, team: Team) -> list[str]:
    """Commits whose history counts as merged: the base, what it follows, and where the team began. Raises BadInput."""
    found = [team.start]
    if team.base:
        tip = git.word("rev-parse", "--verify", "--quiet", f"refs/heads/{team.base}^{{commit}}")
        if not tip:
            raise BadInput(
                f"there is no branch {team.base} in {team.repo}: what counts as merged?",
                code="no_base",
                hint="--into BRANCH names the one that the team's work is merged into",
            )
        upstream = git.word("rev-parse", "--verify", "--quiet", f"{team.base}@{{upstream}}")
        found = [tip, *([upstream] if upstream else []), team.start]
    return found


def look(git: Git, member: Member, listed: list[Worktree], merged: list[str]) -> Work:
    """``listed``: the repository's worktrees; ``merged``: see `bases`."""
    tip = git.word("rev-parse", "--verify", "--quiet", f"refs/heads/{member.branch}^{{commit}}")
    entry = next((one for one in listed if one.folder == member.folder), None)
    if entry is None or entry.gone:
        ahead = _ahead(git, [tip], merged)
        return Work(
            there=False, tip=tip, ahead=ahead, held=bool(ahead) and _held(git, [tip], merged[0]),
            stashes=_stashes(git, {member.branch}),
        )  # fmt: skip
    try:
        return _inside(git.at(member.folder), member, entry, tip, merged)
    except GitFailed as error:
        return Work(there=True, tip=tip, locked=entry.locked, broken=error.message)


def _inside(git: Git, member: Member, entry: Worktree, tip: str, merged: list[str]) -> Work:
    head = git.word("symbolic-ref", "--quiet", "--short", "HEAD")
    commit = git.word("rev-parse", "--verify", "--quiet", "HEAD^{commit}")
    ahead = _ahead(git, [tip, commit], merged)
    loose = 0
    if not head and commit:
        loose = int(
            git.run("rev-list", "--count", commit, "--not", "--branches", "--remotes", "--tags", *merged)
        )
    changed, untracked, ignored = _status(git)
    hidden, submodules = _index(git)
    return Work(
        there=True, tip=tip, ahead=ahead, held=bool(ahead) and _held(git, [tip, commit], merged[0]), head=head,
        loose=loose, changed=changed, untracked=untracked, ignored=ignored, hidden=hidden,
        stashes=_stashes(git, {member.branch, head} - {""}), operation=_operation(git), locked=entry.locked,
        submodules=submodules,
    )  # fmt: skip


def _ahead(git: Git, tips: list[str], merged: list[str]) -> int:
    wanted = [one for one in dict.fromkeys(tips) if one]
    return int(git.run("rev-list", "--count", *wanted, "--not", *merged)) if wanted else 0


def _held(git: Git, tips: list[str], base: str) -> bool:
    """A merge of each would change nothing: it was squashed, or picked. False where git is too old to tell (2.38)."""
    tree = git.word("rev-parse", f"{base}^{{tree}}")
    for tip in dict.fromkeys(one for one in tips if one):
        code, out, _ = git.ask("merge-tree", "--write-tree", base, tip)
        if code != 0 or out.strip() != tree:
            return False
    return True


def _status(git: Git) -> tuple[list[str], list[str], list[str]]:
    """(changed, untracked, ignored); of a folder that is all new its name."""
    said = git.run(
        "status",
        "--porcelain",
        "-z",
        "--untracked-files=normal",
        "--ignored=traditional",
        "--ignore-submodules=none",
    )
    changed: list[str] = []
    untracked: list[str] = []
    ignored: list[str] = []
    words = iter(said.split("\0"))
    for word in words:
        if not word:
            continue
        how, path = word[:2], shown(word[3:])
        if "R" in how or "C" in how:
            next(words, None)  # its name before
        (untracked if how == "??" else ignored if how == "!!" else changed).append(path)
    return changed, untracked, ignored


def _index(git: Git) -> tuple[list[str], list[str]]:
    """(files that git was told not to look at, submodules that are there)"""
    hidden: list[str] = []
    submodules: list[str] = []
    for line in git.run("ls-files", "-v", "-s", "-z").split("\0"):
        head, _, path = line.partition("\t")
        flag, _, rest = head.partition(" ")
        if rest.startswith(_LINK):
            if (git.folder / path / ".git").exists():
                submodules.append(shown(path))
        elif flag == "h" or (flag in "Ss" and flag and (git.folder / path).exists()):
            hidden.append(shown(path))
    return hidden, submodules


def _operation(git: Git) -> str:
    own = Path(git.run("rev-parse", "--absolute-git-dir").removesuffix("\n"))
    return next((what for name, what in _OPERATIONS.items() if (own / name).exists()), "")


def _stashes(git: Git, branches: set[str]) -> int:
    begins = tuple(words for branch in branches for words in (f"WIP on {branch}:", f"On {branch}:"))
    code, out, _ = git.ask("stash", "list", "--format=%gs")
    return sum(line.startswith(begins) for line in out.splitlines()) if code == 0 else 0
