"""Runs that differ in their seed alone become one line, with a name that tells it from others."""

from typing import Any

from made_records import make_record

from essential.records import Record
from essential.report import ReportedRun
from essential.report.lines import frames_kept_figure
from essential.report.page import group_runs
from essential.results.runs import spread_of


def _set(record: Record, **settings: Any) -> Record:
    return record.model_copy(update={"method": record.method.model_copy(update={"config": settings})})


def _group(*runs: tuple[str, Record]) -> Any:
    [group] = group_runs([ReportedRun(*run) for run in runs])
    return group


def test_seeds_are_one_line_and_other_runs_each_their_own() -> None:
    group = _group(
        ("a", make_record(seed=0)),
        ("x", make_record(method="joint")),
        ("b", make_record(seed=1)),
        ("y", make_record(method="other")),
        ("again", make_record(method="other")),
    )
    assert [(line.name, line.seeds) for line in group.lines] == [("essential", 2), ("x", 1), ("y", 1), ("again", 1)]
    assert [line.style.number for line in group.lines] == [0, 1, 2, 3]
    assert [run.style.swatch for run in group.runs] == ["line-1", "line-1", "line-2", "line-3", "line-4"]
    assert [run.anchor for run in group.runs] == [f"run-{number}" for number in range(1, 6)]


def test_lines_of_one_method_are_named_by_the_settings_that_differ() -> None:
    runs = [
        (f"{kept}-{seed}", _set(make_record(seed=seed), same=1, memory={"policy": "herding"}, frames_kept=kept))
        for kept in (1, 2)
        for seed in range(2)
    ]
    assert [line.name for line in _group(*runs).lines] == ["essential, frames_kept=1", "essential, frames_kept=2"]


def test_a_budget_that_sets_runs_apart_is_said_as_one() -> None:
    sizes = (153_600, None)
    runs = [(f"{size}-{seed}", _set(make_record(seed=seed), budget_bytes=size)) for size in sizes for seed in range(2)]
    assert [line.name for line in _group(*runs).lines] == ["essential, budget 150\u00a0KiB", "essential, no budget"]


def test_a_line_ends_where_one_of_its_seeds_has_no_number() -> None:
    group = _group(("a", make_record(seed=0)), ("b", make_record(seed=1)))
    values = {0: [1.0, 2.0, 3.0], 1: [3.0, None]}
    line = group.lines[0].chart_line(lambda run: values[run.record.seed])
    assert line.points[1] == spread_of([1.0, 3.0])
    assert {place: spread.mean for place, spread in line.points.items()} == {1: 2.0, 2: None, 3: None}


def test_runs_that_differ_in_more_than_the_frames_are_no_sweep() -> None:
    one, two = _set(make_record(), frames_kept=1), _set(make_record(), frames_kept=2)
    assert frames_kept_figure(_group(("a", one), ("b", two)).runs, "p") is not None
    other = _set(make_record(), frames_kept=2, epochs=9)
    assert frames_kept_figure(_group(("a", one), ("b", other)).runs, "p") is None
    assert frames_kept_figure(_group(("a", one), ("b", make_record(method="joint"))).runs, "p") is None


def test_all_frames_kept_are_as_many_as_are_read() -> None:
    video = {"config": {"seed": 0, "video": {"frames": 8}}}
    few = _set(make_record(**video), base={"frames_kept": 2})
    all_of_them = _set(make_record(**video), base={"frames_kept": None})
    figure = frames_kept_figure(_group(("few", few), ("all", all_of_them)).runs, "p")
    assert figure is not None
    assert [row[2] for row in figure.data[1:]] == [2, 8]
