"""Teams: what is to be done, from what is there."""

from __future__ import annotations

from dataclasses import replace

import pytest

from maw.core.teams import (
    Do,
    Ground,
    Known,
    Step,
    Team,
    Work,
    Worktree,
    check_team,
    obstacles,
    plan_down,
    plan_up,
)
from maw.errors import BadInput, Conflict

TEAM = Team(
    "vault", "/src/app", "/src/app-worktrees", "main", "a" * 40, 2, ("claude",), ("builder", "judge"), "vault"
)
EMPTY = Ground(1000)
ONE, TWO = TEAM.members()
BOTH = Ground(
    1000,
    [Worktree("/src/app", "main"), Worktree(ONE.folder, ONE.branch), Worktree(TWO.folder, TWO.branch)],
    {"main", ONE.branch, TWO.branch},
    {ONE.folder, TWO.folder},
    {one.name: Known(1000, (one.role,), one.folder, TEAM.command, True, True) for one in (ONE, TWO)},
    "vault-1@mbp",
)
DONE = Work(there=True, tip="b" * 40, head=ONE.branch)


def done(steps: list[Step]) -> list[tuple[str, str]]:
    return [(one.do.value, one.member.name) for one in steps]


def test_names_branches_folders_and_roles_in_turn() -> None:
    third = replace(TEAM, agents=3).members()[2]
    assert (third.name, third.branch, third.folder) == ("vault-3", "vault/3", "/src/app-worktrees/vault-3")
    assert [one.role for one in replace(TEAM, agents=3).members()] == ["builder", "judge", "builder"]


def test_a_team_from_nothing_and_one_that_is_whole() -> None:
    assert done(plan_up(TEAM, EMPTY, begun=0)) == [
        ("agent", "vault-1"), ("role", "vault-1"), ("worktree", "vault-1"), ("roster", "vault-1"),
        ("channel", "vault-1"), ("watch", "vault-1"), ("start", "vault-1"),
        ("agent", "vault-2"), ("role", "vault-2"), ("worktree", "vault-2"), ("roster", "vault-2"),
        ("watch", "vault-2"), ("start", "vault-2"),
    ]  # fmt: skip
    assert plan_up(TEAM, BOTH, begun=2) == []
    assert done(plan_up(replace(TEAM, agents=3), BOTH, begun=2))[0] == ("agent", "vault-3"), "it grows"
    assert {one.member.name for one in plan_up(replace(TEAM, agents=3), BOTH, begun=2)} == {"vault-3"}


def test_what_was_cut_short_is_gone_on_with() -> None:
    unfinished = replace(
        BOTH, worktrees=[Worktree(ONE.folder, ONE.branch, "initializing"), *BOTH.worktrees[2:]]
    )
    assert done(plan_up(TEAM, unfinished, begun=2)) == [("clear", "vault-1"), ("worktree", "vault-1")]
    lost = replace(
        BOTH, worktrees=[Worktree(ONE.folder, ONE.branch, gone=True), *BOTH.worktrees[2:]], folders=set()
    )
    assert done(plan_up(TEAM, lost, begun=2)) == [("worktree", "vault-1")]
    stopped = {
        **BOTH.agents,
        "vault-2": replace(BOTH.agents["vault-2"], runs=False, watches=False, cwd="/else"),
    }
    assert done(plan_up(TEAM, replace(BOTH, agents=stopped, archived=True), begun=2)) == [
        ("roster", "vault-2"), ("open", "vault-1"), ("watch", "vault-2"), ("start", "vault-2")
    ]  # fmt: skip


def after(ground: Ground, step: Step) -> Ground:
    """What is there when this was done."""
    member = step.member
    known = ground.agents.get(member.name, Known(1000))
    match step.do:
        case Do.CLEAR:
            return replace(ground, worktrees=[one for one in ground.worktrees if one.folder != member.folder])
        case Do.WORKTREE:
            made = Worktree(member.folder, member.branch)
            others = [one for one in ground.worktrees if one.folder != member.folder]
            return replace(
                ground, worktrees=[*others, made], branches={*ground.branches, member.branch},
                folders={*ground.folders, member.folder},
            )  # fmt: skip
        case Do.CHANNEL:
            return replace(ground, channel=f"{member.name}@mbp")
        case Do.OPEN:
            return replace(ground, archived=False)
        case Do.ROLE:
            known = replace(known, roles=(member.role,))
        case Do.ROSTER:
            known = replace(known, cwd=member.folder, command=TEAM.command)
        case Do.WATCH:
            assert ground.channel is not None and member.name in ground.agents
            known = replace(known, watches=True)
        case Do.START:
            assert known.cwd == member.folder and member.folder in ground.folders
            known = replace(known, runs=True)
    return replace(ground, agents={**ground.agents, member.name: known})


def test_killed_after_any_step_it_ends_the_same() -> None:
    whole = plan_up(TEAM, EMPTY, begun=0)
    for many in range(len(whole) + 1):
        ground = EMPTY
        for step in whole[:many]:
            ground = after(ground, step)
        for step in plan_up(TEAM, ground, begun=2):
            ground = after(ground, step)
        assert plan_up(TEAM, ground, begun=2) == []
        assert set(ground.branches) == {ONE.branch, TWO.branch}


@pytest.mark.parametrize(
    ("ground", "code"),
    [
        (replace(EMPTY, branches={"vault"}), "branch_taken"),
        (replace(EMPTY, branches={"vault/2"}), "branch_taken"),
        (replace(EMPTY, worktrees=[Worktree("/else", "vault/1")], branches={"vault/1"}), "branch_taken"),
        (replace(EMPTY, folders={TWO.folder}), "folder_taken"),
        (replace(EMPTY, worktrees=[Worktree(ONE.folder, "other")]), "folder_taken"),
        (replace(EMPTY, worktrees=[Worktree(ONE.folder, "", "initializing")]), "folder_taken"),
        (replace(EMPTY, agents={"vault-1": Known(1001)}), "name_taken"),
        (replace(EMPTY, agents={"vault-2": Known(1000, cwd="/my/own")}), "name_taken"),
        (replace(EMPTY, channel="neo@mbp"), "channel_exists"),
    ],
)
def test_what_somebody_else_made_is_not_taken_over(ground: Ground, code: str) -> None:
    with pytest.raises(Conflict) as taken:
        plan_up(TEAM, ground, begun=0)
    assert taken.value.code == code


def test_who_joins_a_team_later_takes_over_nothing_either() -> None:
    theirs = replace(BOTH, agents={**BOTH.agents, "vault-3": Known(1000, cwd="/my/own")})
    with pytest.raises(Conflict):
        plan_up(replace(TEAM, agents=3), theirs, begun=2)


@pytest.mark.parametrize(
    ("work", "words"),
    [
        ({"changed": ["a.py"]}, "1 changed file (a.py)"),
        ({"untracked": list("abcde")}, "5 new files (a, b, c, …)"),
        ({"hidden": [".env"]}, "told not to look at"),
        ({"ahead": 2}, "2 commits of vault/1 not in main: merge vault/1 into main"),
        ({"ahead": 1, "head": "mine"}, "1 commit of mine not in main"),
        ({"ahead": 1, "head": "", "loose": 1}, "1 commit on no branch"),
        ({"stashes": 1}, "1 stashed"),
        ({"operation": "rebase"}, "a rebase is under way"),
        ({"locked": "on a stick"}, "it is locked: on a stick"),
        ({"submodules": ["lib"]}, "by force only"),
        ({"broken": "no such file"}, "git cannot read it: no such file"),
    ],
)
def test_what_keeps_a_worktree_and_what_to_do(work: dict[str, object], words: str) -> None:
    found = replace(DONE, **work)  # type: ignore[arg-type]
    assert any(words in one for one in obstacles(ONE, found, "main"))
    steps, refused = plan_down(TEAM, {"vault-1": found, "vault-2": DONE}, BOTH.agents)
    assert list(refused) == ["vault-1"]
    steps, refused = plan_down(TEAM, {"vault-1": found, "vault-2": DONE}, BOTH.agents, ["vault-1"])
    assert not refused
    assert ("force", "vault-1") in done(steps) and ("remove", "vault-2") in done(steps)
    if found.ahead:
        assert ("branch", "vault-1") not in done(steps), "a branch with commits of its own never goes"


def test_down_ends_all_then_removes() -> None:
    steps, refused = plan_down(TEAM, {"vault-1": DONE, "vault-2": DONE}, BOTH.agents)
    assert not refused
    assert done(steps) == [
        ("stop", "vault-1"), ("stop", "vault-2"),
        ("remove", "vault-1"), ("branch", "vault-1"), ("end", "vault-1"),
        ("remove", "vault-2"), ("branch", "vault-2"), ("end", "vault-2"),
    ]  # fmt: skip
    half = replace(DONE, locked="initializing", changed=["first.txt"])
    steps, refused = plan_down(TEAM, {"vault-1": half, "vault-2": DONE}, {})
    assert not refused and done(steps)[0] == ("force", "vault-1"), "nobody has worked there"
    gone = Work(there=False)
    assert plan_down(TEAM, {"vault-1": gone, "vault-2": gone}, {}) == ([], {})
    squashed = replace(DONE, ahead=3, held=True)
    steps, refused = plan_down(TEAM, {"vault-1": squashed, "vault-2": DONE}, {})
    assert not refused and ("branch", "vault-1") not in done(steps), "its commits are nowhere else"
    ignored = replace(DONE, ignored=["node_modules/", ".env"])
    assert ".env" in plan_down(TEAM, {"vault-1": ignored, "vault-2": DONE}, {})[0][0].text
    with pytest.raises(BadInput, match="--force"):
        plan_down(TEAM, {"vault-1": DONE, "vault-2": DONE}, {}, ["somebody"])


@pytest.mark.parametrize(
    ("name", "agents", "command", "channel"),
    [
        ("../up", 2, ("x",), ""),
        ("all", 2, ("x",), ""),
        ("vault", 0, ("x",), ""),
        ("vault", 51, ("x",), ""),
        ("v" * 31, 2, ("x",), ""),
        ("vault", 2, (), ""),
        ("vault", 2, ("x",), "no room"),
    ],
)
def test_what_is_no_team(name: str, agents: int, command: tuple[str, ...], channel: str) -> None:
    with pytest.raises(BadInput):
        check_team(name, agents, (), command, channel)


def test_as_it_is_written() -> None:
    assert check_team("Vault", 2, ["Builder"], ["x"], "#Room") == ("vault", ("builder",), "room")
    assert Do("worktree") is Do.WORKTREE
