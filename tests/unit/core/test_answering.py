"""What a runner printed, understood."""

from __future__ import annotations

import json

import pytest

from maw.core.answering import FAILED, LIMITED, SIGNED_OUT, SILENT, Usage, understood


def result(**fields: object) -> str:
    return json.dumps({"type": "result", "subtype": "success", "is_error": False, "result": "hi"} | fields)


def test_text_is_the_answer() -> None:
    assert understood("hello\nthere\n", "warning: old", 0).answer == "hello\nthere"


@pytest.mark.parametrize(
    "printed",
    [
        result(),
        f'{{"type": "system"}}\n{result()}\n',
        f'[{{"type": "system"}}, {result()}]',
    ],
)
def test_json_in_each_of_its_shapes(printed: str) -> None:
    assert understood(printed, "", 0).answer == "hi"


def test_json_of_something_else_is_text() -> None:
    assert understood('{"a": 1}', "", 0).answer == '{"a": 1}'
    assert understood("[" * 100_000, "", 0).answer == "[" * 100_000


@pytest.mark.parametrize(
    ("fields", "usage"),
    [
        ({}, None),
        ({"usage": {"input_tokens": 1, "output_tokens": 2}}, Usage(1, 2, None)),
        ({"usage": {"input_tokens": -1, "output_tokens": True}, "total_cost_usd": "1"}, None),
        ({"usage": {"cache_read_input_tokens": 4, "cache_creation_input_tokens": 5}}, Usage(cache_tokens=9)),
        ({"modelUsage": {"a": {"costUSD": 0.1}, "b": {"costUSD": 0.2}, "c": 3}}, Usage(model="b")),
        ({"modelUsage": {"x" * 99: {}}}, None),
        ({"usage": [], "total_cost_usd": 0.5}, Usage(None, None, 0.5)),
        ({"total_cost_usd": float("nan")}, None),
    ],
)
def test_what_it_took(fields: dict[str, object], usage: Usage | None) -> None:
    assert understood(result(**fields), "", 0).usage == usage


@pytest.mark.parametrize(
    ("printed", "complaints", "ended", "kind"),
    [
        (result(is_error=True, result="API Error: Rate limit reached"), "", 0, LIMITED),
        (result(subtype="error_max_turns", result=None), "", 0, FAILED),
        (result(result="Invalid API key · Please run /login"), "", 1, SIGNED_OUT),
        ("API Error: Rate limit reached\n", "", 0, LIMITED),
        ("You've hit your limit · resets 1pm (Europe/Lisbon)", "", 1, LIMITED),
        ("", 'HTTP 429: {"type": "rate_limit_error"}', 1, LIMITED),
        ("", "segmentation fault", -11, FAILED),
        ("", "", 0, SILENT),
        (result(result=""), "", 0, SILENT),
    ],
)
def test_a_failure_wherever_it_is_said(printed: str, complaints: str, ended: int, kind: str) -> None:
    found = understood(printed, complaints, ended)
    assert found.answer == "" and found.failure is not None
    assert found.failure.kind == kind and found.failure.why


def test_when_a_limit_ends() -> None:
    found = understood("Claude AI usage limit reached|1764003600", "", 1).failure
    assert found is not None and found.until == 1764003600.0


def test_an_answer_that_speaks_of_errors_is_an_answer() -> None:
    text = "Error: rates\nI looked: the API says 429, rate limit reached, all night."
    assert understood(text, "", 0).answer == text
    assert understood("The build hit its rate limit.", "rate limit: 3 left", 0).failure is None


def test_what_costs_is_known_of_a_failure_too() -> None:
    found = understood(result(is_error=True, total_cost_usd=0.1), "", 1)
    assert found.usage == Usage(None, None, 0.1)


def test_why_is_one_printable_line() -> None:
    found = understood("", "first\n\x1b[31mlast\x07 line\n\n", 2).failure
    assert found is not None and found.why == "exit code 2: [31mlast line"
