"""Every benchmark runs, at a size that only shows that it does. What it measures is not looked at: a test
must not depend on how busy the machine is."""

import json
import math
from pathlib import Path

import pytest

from bench import __main__ as command
from bench import pulses, report
from bench.figure import Figure, percentile
from bench.load import is_whole, post_request, texts
from bench.sizes import SIZES


@pytest.mark.slow
@pytest.mark.parametrize(
    "names",
    [
        ["hop"],
        ["posts"],
        ["catchup", "memory"],
        ["cli"],
        ["idle"],
        ["hooks"],
        ["pulse"],
        ["hearing"],
        ["colony"],
        ["files"],
    ],
)
async def test_each_runs_and_yields_figures(names: list[str]) -> None:
    heard: list[str] = []
    results = await command.measure(names, SIZES["tiny"], lambda name, _: heard.append(name))
    assert list(results) == heard == names
    for figures in results.values():
        assert figures
        assert all(math.isfinite(figure.value) and figure.value >= 0 for figure in figures)
    assert json.loads(report.as_json(results))["figures"].keys() == results.keys()


@pytest.mark.slow
async def test_agents_that_pulse_together(tmp_path: Path) -> None:
    figures = {one.what: one.value for one in await pulses.run(tmp_path, 2, 2 / 60, every_s=1)}
    assert figures["2 agents, each every minute"] >= 2
    assert all(math.isfinite(value) for value in figures.values())


def test_what_is_asked_for_is_in_the_sizes_that_count() -> None:
    full = SIZES["full"]
    assert (full.messages, full.peers, full.clients) == (100_000, 5, 64)


def test_an_unknown_benchmark_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        command.main(["hops"])
    assert ended.value.code == 2
    assert "hops" in capsys.readouterr().err


def test_percentiles_are_values_that_were_measured() -> None:
    values = [5.0, 1.0, 4.0, 2.0, 3.0]
    assert [percentile(values, share) for share in (0.0, 0.5, 0.99, 1.0)] == [1.0, 3.0, 5.0, 5.0]


def test_texts_differ_and_repeat_with_the_seed() -> None:
    assert texts(50) == texts(50) != texts(50, seed=2)
    assert len(set(texts(50))) == 50
    assert sum(text.startswith("@neo ") for text in texts(50)) == 5


def test_a_request_is_whole_http() -> None:
    head, _, body = post_request("hé").partition(b"\r\n\r\n")
    assert f"Content-Length: {len(body)}".encode() in head
    assert json.loads(body) == {"text": "hé"}


@pytest.mark.parametrize(
    ("answer", "whole"),
    [
        (b"HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\n{}", True),
        (b"HTTP/1.1 201 Created\r\nContent-Length: 3\r\n\r\n{}", False),
        (b"HTTP/1.1 201 Created\r\ncontent-length: 2\r\n", False),
        (b"", False),
    ],
)
def test_an_answer_is_whole_with_its_body(answer: bytes, whole: bool) -> None:
    assert is_whole(answer) is whole


def test_the_document_has_each_table_and_what_bounds_it() -> None:
    figure = Figure("a hop", 2.5, "ms", 1.0, "a floor", 2.5, "≤ 3 ms", True)
    document = report.document({"hop": [figure]}, command.BENCHMARKS, "tiny")
    assert "| a hop | 2.50 ms  | 1.00 ms (a floor) | 2.50  | ≤ 3 ms | yes |" in document
    assert "synced commits" in document
    assert "`tiny`" in document


def test_there_is_a_document_made_by_the_benchmarks() -> None:
    document = Path(command.DOCUMENT).read_text()
    for name in command.BENCHMARKS:
        assert f"\n## {name}\n" in document
