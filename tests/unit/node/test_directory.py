"""Who is meant by a name: whole names only, ambiguity shown, what is near offered."""

from __future__ import annotations

import pytest

from maw.core.entry import START, Head, Position
from maw.core.identity import NodeId, key_text, short_key
from maw.core.message_ids import message_id
from maw.errors import Ambiguous, BadInput, NotFound, NotSignedIn, Refused
from maw.node.directory import Directory, hash_token, new_token
from maw.node.name_watch import alike
from maw.store.state import AgentRow, ChannelRow, LogRow, NodeRow, State
from tests.unit.store.opened import Author

ME, MBP, ORACLE, STRANGER = (Author(n).node for n in (9, 1, 2, 3))


def world() -> tuple[Directory, State]:
    """Here: bot and human (uid 1000), other (uid 2000); mbp: arthur, bot; oracle: arthur; a stranger's neo."""
    state = State()
    for n, (key, name) in enumerate(((ME, "home"), (MBP, "mbp"), (ORACLE, "oracle"), (STRANGER, "far")), 1):
        state.add_node(NodeRow(n, key, name))
    people = [
        (1, "bot", "agent", 1000), (1, "human", "ape", 1000), (1, "other", "agent", 2000),
        (2, "arthur", "agent", None), (2, "bot", "agent", None), (3, "arthur", "agent", None),
        (4, "neo", "agent", None),
    ]  # fmt: skip
    for n, (node, name, role, uid) in enumerate(people, 1):
        state.add_agent(AgentRow(n, node, bytes([n]) * 16, name, role, 0, uid=uid))
    return Directory(ME, state, lambda: {MBP, ORACLE}), state


def test_a_name_that_one_bears() -> None:
    directory, _ = world()
    assert directory.address(directory.find_agent("@human")) == "human@home"
    assert directory.find_agent("human@home").n == directory.find_agent("HUMAN").n


@pytest.mark.parametrize("text", ["bot@home", "@bot@home", "BOT@Home"])
def test_a_name_with_its_host(text: str) -> None:
    directory, _ = world()
    assert directory.find_agent(text).n == 1


def test_a_host_by_its_key_or_a_piece_of_it() -> None:
    directory, _ = world()
    assert directory.find_agent(f"bot@{short_key(MBP)}").n == 5
    assert [row.name for row in directory.find_hosts(key_text(ORACLE))] == ["oracle"]
    assert directory.find_hosts("ora") == [], "never by substring"
    assert directory.find_hosts("mk1nonsense") == []


def test_a_name_that_two_bear_lists_both() -> None:
    directory, _ = world()
    for name, both in (("arthur", ("arthur@mbp", "arthur@oracle")), ("bot", ("bot@home", "bot@mbp"))):
        with pytest.raises(Ambiguous) as no:
            directory.find_agent(name)
        assert no.value.candidates == both
        assert both[0] in no.value.hint


def test_a_name_nobody_bears_is_answered_with_what_is_near() -> None:
    directory, _ = world()
    with pytest.raises(NotFound) as no:
        directory.find_agent("humen")
    assert no.value.candidates == ("human@home",)
    with pytest.raises(NotFound) as no:
        directory.find_agent("zzzzzz")
    assert no.value.candidates == ()
    for part in ("art", "arthu"):
        with pytest.raises(NotFound):
            directory.find_agent(part)


def test_strangers_and_the_gone_are_nobody() -> None:
    directory, state = world()
    with pytest.raises(NotFound):
        directory.find_agent("neo")
    state.agent_at[2].gone = True
    with pytest.raises(NotFound):
        directory.find_agent("human")


def test_a_group_is_no_recipient() -> None:
    directory, _ = world()
    with pytest.raises(BadInput) as no:
        directory.find_agent("@all")
    assert no.value.code == "group_not_agent"


def test_two_hosts_of_one_name_are_told_apart_by_their_keys() -> None:
    directory, state = world()
    state.rename_node(state.nodes[ORACLE], "mbp")
    names = {directory.host_name(state.nodes[key]) for key in (MBP, ORACLE)}
    assert names == {f"mbp~{short_key(MBP)}", f"mbp~{short_key(ORACLE)}"}
    with pytest.raises(Ambiguous):
        directory.find_agent("arthur@mbp")
    assert directory.find_hosts(f"mbp~{short_key(ORACLE)}") == [state.nodes[ORACLE]]
    (told,) = alike(directory.nodes())
    assert (told.kind, told.subject) == ("name", "mbp")
    state.rename_node(state.nodes[ORACLE], "home")
    assert directory.host_name(state.nodes[ME]) == f"home~{short_key(ME)}", "what is shown can be typed"
    state.rename_node(state.nodes[STRANGER], "mbp")
    assert directory.host_name(state.nodes[MBP]) == "mbp", "a stranger's name confuses nobody"


def test_mentioned_names_whole_words_on_known_hosts() -> None:
    directory, _ = world()
    assert {row.n for row in directory.mentioned(["arthur", "all", "nobody"])} == {4, 6}
    assert {row.n for row in directory.mentioned(["arthur@mbp", "bot@home", "bot@nowhere"])} == {4, 1}


# -- this host's own -----------------------------------------------------------------------------------------


def test_a_uid_speaks_as_its_own_agents_only() -> None:
    directory, _ = world()
    row = directory.by_uid(1000, "bot", is_root=False)
    assert row is not None
    assert row.n == 1
    with pytest.raises(Refused) as no:
        directory.by_uid(1000, "other", is_root=False)
    assert no.value.code == "not_yours"
    assert directory.by_uid(0, "other", is_root=True)
    with pytest.raises(NotFound):
        directory.by_uid(1000, "arthur", is_root=False)


def test_a_uid_is_its_ape_where_it_says_so_and_else_nobody() -> None:
    directory, _ = world()
    row = directory.by_uid(1000, "~", is_root=False)
    assert row is not None
    assert row.name == "human"
    assert directory.by_uid(2000, "~", is_root=False) is None
    assert directory.by_uid(0, "~", is_root=True) is None, "root is not taken for another human"
    assert directory.by_uid(1000, None, is_root=False) is None


def test_a_token_is_its_agents_and_no_other_is_known() -> None:
    directory, state = world()
    token = new_token()
    state.local["bot"].token_hash = hash_token(token)
    assert directory.by_token(token).name == "bot"
    for wrong in ("", token[:-1], token.upper(), new_token(), "ünïcode"):
        with pytest.raises(NotSignedIn):
            directory.by_token(wrong)
    assert token.startswith("maw_")
    assert token.encode() not in hash_token(token)


# -- channels and messages -------------------------------------------------------------------------------------


def test_channels_by_whole_name_with_or_without_the_sign() -> None:
    directory, state = world()
    state.add_channel(ChannelRow(1, "ops", 0, ""))
    assert directory.channel("#OPS").n == 1
    with pytest.raises(NotFound) as no:
        directory.channel("opps")
    assert no.value.candidates == ("ops",)
    assert directory.channel("general").messages == 0, "it is there before anybody spoke"


def test_a_message_id_finds_its_place_if_it_is_here() -> None:
    directory, state = world()
    state.add_log(MBP, LogRow(1, 2, 77, Head(5, b"h" * 32)))
    state.add_log(MBP, LogRow(2, 2, 78, START))
    here = Position(MBP, 77, 5)
    assert directory.position(message_id(here)) == here
    for absent in (Position(MBP, 77, 6), Position(MBP, 78, 1), Position(NodeId(b"z" * 32), 77, 1)):
        with pytest.raises(NotFound):
            directory.position(message_id(absent))
    for nonsense in ("", "x", "a-b-c", "k7q2mx-1-0", "../../etc"):
        with pytest.raises(BadInput):
            directory.position(nonsense)


def test_an_agent_written_like_a_channel_is_told_apart() -> None:
    directory, _ = world()
    with pytest.raises(NotFound) as no:
        directory.channel("arthur")
    assert no.value.hint.startswith("@arthur is an agent")
