"""Whatever stands in Claude Code's settings: maw's hooks go in and out, and nothing else changes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maw.agents.installing.settings import handlers, is_ours, ours, with_ours, without_ours
from maw.core import json_text
from maw.errors import BadInput

PLAIN = (
    st.none()
    | st.booleans()
    | st.integers(-5, 10**9)
    | st.text(max_size=8)
    | st.floats(allow_nan=False, allow_infinity=False)
)
JSON = st.recursive(
    PLAIN,
    lambda one: st.lists(one, max_size=3) | st.dictionaries(st.text(max_size=6), one, max_size=3),
    max_leaves=8,
)
FOREIGN = st.fixed_dictionaries(
    {
        "type": st.just("command"),
        "command": st.sampled_from(["fmt", "/x/maw hook runner", "maw hook install claude"]),
    },
    optional={"timeout": st.integers(1, 60)},
)
GROUP = st.fixed_dictionaries({"hooks": st.lists(FOREIGN, max_size=2)}, optional={"matcher": st.just("Bash")})
HOOKS = st.dictionaries(
    st.sampled_from(["SessionStart", "UserPromptSubmit", "PostToolUse", "Stop", "PreToolUse", "Own"]),
    st.lists(GROUP, max_size=2),
    max_size=6,
)
SETTINGS = st.dictionaries(st.text(max_size=6).filter(lambda key: key != "hooks"), JSON, max_size=4).flatmap(
    lambda rest: (
        st.just(rest)
        | HOOKS.map(lambda hooks: {**rest, "hooks": hooks} if len(rest) % 2 else {"hooks": hooks, **rest})
    )
)
STYLE = st.sampled_from(
    [
        {"indent": 2},
        {"indent": 4, "ensure_ascii": False},
        {"indent": "\t"},
        {},
        {"separators": (",", ":")},
        {"indent": 0},
    ]
)
TAIL = st.sampled_from(["", "\n", "\r\n", "  \n\n"])
WANTED = handlers("/home/me/.local/bin/maw")


def written(settings: Any, style: dict[str, Any], tail: str) -> str:
    text = json.dumps(settings, **style)
    return (text.replace("\n", "\r\n") if tail == "\r\n" else text) + tail


@given(SETTINGS, STYLE, TAIL)
def test_what_was_put_in_is_all_that_changed(
    settings: dict[str, Any], style: dict[str, Any], tail: str
) -> None:
    before = written(settings, style, tail)
    after = with_ours(before, WANTED)
    assert ours(after) == WANTED
    found = json.loads(after)
    assert list(found)[: len(settings)] == list(settings), "in the same order"
    for event, groups in settings.get("hooks", {}).items():
        assert found["hooks"][event][: len(groups)] == groups
    assert {key: value for key, value in found.items() if key != "hooks"} == {
        key: value for key, value in settings.items() if key != "hooks"
    }
    assert without_ours(before) == before


@given(SETTINGS, STYLE, TAIL)
def test_taken_out_again_it_is_as_it_was(settings: dict[str, Any], style: dict[str, Any], tail: str) -> None:
    before = written(settings, style, tail)
    again = without_ours(with_ours(before, WANTED), before)
    assert json.loads(again) == settings
    hooks = settings.get("hooks")
    if settings and hooks != {} and all((hooks or {"x": [1]}).values()):
        assert again == before, "byte for byte, where nothing was empty"


@given(SETTINGS, STYLE, TAIL, STYLE, JSON)
def test_edited_meanwhile_only_ours_is_taken_out(
    settings: dict[str, Any], style: dict[str, Any], tail: str, other: dict[str, Any], more: Any
) -> None:
    before = written(settings, style, tail)
    edited = json.loads(with_ours(before, WANTED))
    edited["added"] = more
    edited["hooks"]["Stop"].insert(0, {"hooks": [{"type": "command", "command": "theirs"}]})
    edited["hooks"]["PostToolUse"][-1]["hooks"].append({"type": "command", "command": "theirs too"})
    found = json.loads(without_ours(written(edited, other, tail), before))
    assert ours(json.dumps(found)) == {}
    assert found["added"] == more
    assert {"type": "command", "command": "theirs"} in found["hooks"]["Stop"][0]["hooks"]
    assert found["hooks"]["PostToolUse"][-1]["hooks"] == [{"type": "command", "command": "theirs too"}]
    del found["added"], found["hooks"]["Stop"][0], found["hooks"]["PostToolUse"][-1]
    for event in ("Stop", "PostToolUse"):
        if not found["hooks"][event] and event not in settings.get("hooks", {}):
            del found["hooks"][event]
    if "hooks" not in settings and not found["hooks"]:
        del found["hooks"]
    assert found == {key: value for key, value in settings.items() if key != "added"}


@given(st.text(max_size=40) | JSON.map(json.dumps))
def test_what_are_no_settings_is_one_clear_error(text: str) -> None:
    try:
        after = with_ours(text, WANTED)
    except BadInput as error:
        assert error.message
    else:
        assert ours(after) == WANTED


@given(JSON, STYLE)
def test_every_value_is_where_it_is_said_to_be(value: Any, style: dict[str, Any]) -> None:
    text = " \n" + json.dumps(value, **style) + " "

    def check(node: json_text.Value, wanted: Any) -> None:
        assert json_text.read(text, node) == wanted
        if isinstance(wanted, dict):
            assert [part.key for part in node.parts] == list(wanted)
            for part in node.parts:
                check(part.value, wanted[part.key])
        elif isinstance(wanted, list):
            for part, one in zip(node.parts, wanted, strict=True):
                check(part.value, one)

    check(json_text.parse(text), value)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('{"hooks": {}, "hooks": {}}', "'hooks' stands there 2 times"),
        ('{"hooks": {"Stop": [], "Stop": []}}', "'Stop' stands there 2 times"),
        ("// mine\n{}", "line 1, column 1"),
        ('{"a": 1,}', "line 1, column"),
        ('{"a": NaN}', "NaN"),
        ("[1]", "no object"),
        ('{"hooks": []}', '"hooks" is no object'),
        ('{"hooks": {"Stop": {}}}', '"hooks.Stop" is no list'),
        ('{"a": ' + "[" * 300 + "]" * 300 + "}", "nested"),
        ("{" * 100_000, "line 1"),
    ],
)
def test_the_error_says_where_and_why(text: str, why: str) -> None:
    with pytest.raises(BadInput) as raised:
        with_ours(text, WANTED)
    assert why in raised.value.message


@pytest.mark.parametrize(
    ("command", "known"),
    [
        ("/home/me/.local/bin/maw hook run Stop || true", True),
        ("'/home/my self/bin/maw' hook run wait", True),
        ("maw hook run wait; [ $? -eq 75 ] && exit 2; exit 0", True),
        ("maw hook run wait; [ $? -eq 75 ] && exit 2; rm -rf /", False),
        ("maw hook run SessionStart", True),
        ("/usr/bin/python3 -m maw.cli.entry hook run PostToolUse || true", True),
        ("/opt/notmaw hook run Stop", False),
        ("maw hook run Stop; rm -rf /", False),
        ("maw hook run Other", False),
        ("echo maw hook run", False),
        ("'maw hook run Stop", False),
    ],
)
def test_which_handlers_are_ours(command: str, known: bool) -> None:
    assert is_ours({"type": "command", "command": command}) is known
