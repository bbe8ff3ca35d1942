"""The fleet's figures: taken for real at a small size, and put on the page without harm to the rest of it."""

import math
from dataclasses import asdict, replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from bench import __main__ as bench_command
from bench.fleet import __main__ as command
from bench.fleet import page
from bench.fleet.measures import Measured, measure
from bench.fleet.plot import Chart, Line, draw, nice_top

SMALL = Measured(
    nodes=5, introducers=3, pairings=8, trust_all_s=0.4, know_all_s=0.5, acked_p50_ms=4.0, half_p50_ms=8.0,
    all_p50_ms=10.0, all_p99_ms=20.0, messages=10, cpu_a_message_ms=4.0, bytes_a_message=1500.0, links=4.0,
    links_least=4, links_most=4, idle_s=60.0, idle_cpu=0.15, idle_wakeups=5.0, idle_link_bytes=15.0,
    resident=50.0, resident_most=50.4, proportional=36.0, private=33.0, threads=4.0, descriptors=23.0,
)  # fmt: skip
LARGE = replace(SMALL, nodes=30, links=8.4, links_least=8, links_most=11, resident_most=60.0)


@pytest.mark.slow
async def test_five_daemons_that_never_all_paired_know_all_and_hear_all(tmp_path: Path) -> None:
    """``measure`` raises when anybody does not get to know all, misses a message or shows one twice."""
    told: list[str] = []
    found = await measure(tmp_path, 5, introducers=2, messages=5, idle_s=2.0, told=told.append)
    assert (found.nodes, found.introducers, found.pairings) == (5, 2, 4)
    assert 0 < found.trust_all_s <= found.know_all_s
    assert found.acked_p50_ms > 0
    assert found.half_p50_ms <= found.all_p50_ms <= found.all_p99_ms
    assert 1 <= found.links_least <= found.links_most <= 4
    assert found.resident_most >= found.resident > found.private > 10
    assert all(math.isfinite(value) for value in asdict(found).values() if value is not None)
    assert any("trust all" in line for line in told)


def test_the_page_has_a_column_for_each_size() -> None:
    shown = page.table([SMALL, LARGE])
    assert "| links of a node" in shown
    assert "8.4 (8 to 11)" in shown
    assert "60.0) MiB, ≤ 54 asked: not met" in shown
    assert shown.count("asked") == 1
    assert [page.met(one) for one in (SMALL, LARGE, replace(LARGE, resident_most=54.0))] == [
        None,
        False,
        True,
    ]


def test_the_part_is_replaced_and_the_rest_stays() -> None:
    once = page.put_into("# Benchmarks\n\nwords\n", page.section([SMALL]))
    twice = page.put_into(once, page.section([SMALL, LARGE]))
    assert twice.startswith("# Benchmarks\n\nwords\n\n" + page.BEGIN)
    assert twice.count(page.BEGIN) == twice.count(page.END) == 1
    assert page.kept(twice) == page.section([SMALL, LARGE])
    assert page.put_into(twice, page.section([SMALL])) == once
    assert page.kept("nothing of it here") == ""
    below = once + "\n## By hand\n"
    assert page.from_here_on(below) == page.section([SMALL]) + "\n## By hand\n"
    assert page.from_here_on("nothing of it here") == ""


def test_the_plot_is_a_picture_that_says_what_it_shows() -> None:
    root = ElementTree.fromstring(page.picture([SMALL, replace(LARGE, bytes_a_message=None)]))
    names = [node.text or "" for node in root.iter("{http://www.w3.org/2000/svg}text")]
    assert {"a message to all, ms", "p99", "links of a node", "30"} <= set(names)
    assert len(list(root.iter("{http://www.w3.org/2000/svg}polyline"))) == 8
    about = root.find("{http://www.w3.org/2000/svg}desc")
    assert about is not None and "p50 10 to 10" in str(about.text)


def test_points_stand_where_their_values_say() -> None:
    root = ElementTree.fromstring(
        draw([Chart("x", [Line("", [(5, 0.0), (10, 50.0), (20, 100.0)])])], "t", "a")
    )
    dots = [
        (float(d.get("cx", 0)), float(d.get("cy", 0)))
        for d in root.iter("{http://www.w3.org/2000/svg}circle")
    ]
    (x1, low), (x2, middle), (x3, high) = dots
    assert low - middle == pytest.approx(middle - high)
    assert x3 - x2 == pytest.approx(2 * (x2 - x1))


@pytest.mark.parametrize(
    ("most", "top"), [(0.15, 0.2), (1.0, 1.0), (11.5, 20.0), (348.0, 500.0), (24.0, 25.0)]
)
def test_an_axis_ends_at_a_round_number(most: float, top: float) -> None:
    assert nice_top(most) == pytest.approx(top)


@pytest.mark.parametrize(
    "words", [["--nodes", "1"], ["--nodes", "many"], ["--idle", "0"], ["--messages", "0"]]
)
def test_sizes_that_are_none_are_refused(words: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        command.main(words)
    assert ended.value.code == 2


def test_writing_the_other_benchmarks_keeps_the_fleet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = tmp_path / "benchmarks.md"
    document.write_text(page.put_into("# Benchmarks\n", page.section([LARGE])))

    async def nothing(*_: object) -> dict[str, list[object]]:
        return {}

    monkeypatch.setattr(bench_command, "DOCUMENT", document)
    monkeypatch.setattr(bench_command, "measure", nothing)
    assert bench_command.main(["--write"]) == 0
    assert page.kept(document.read_text()) == page.section([LARGE])
