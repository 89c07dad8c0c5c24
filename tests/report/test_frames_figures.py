"""Accuracy by frames: each number with its own seeds, clips and name, and nothing that was not read."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_analyses import make_analysis
from made_records import make_record
from matplotlib.lines import Line2D

from essential.report import ReportedRun, write_report
from essential.report.drawing import FILE, FigureView, NumberRow, figure_files
from essential.report.lines import frames_kept_figure, frames_read_figure
from essential.report.page import group_runs

REBUILT = "rebuilt, true task given"


def _rows(numbers: list[int], *, rebuilt: int = 0, clips: int = 120, better: float = 0.0) -> list[dict[str, Any]]:
    return [
        {
            "frames": number,
            "clips": clips,
            "accuracy": 0.8 - 0.5 / number + better,
            "retrieved_accuracy": 0.95 if number == rebuilt else None,
        }
        for number in numbers
    ]


def _run(method: str, seed: int, frames_kept: list[dict[str, Any]] | None) -> ReportedRun:
    record = make_record(method=method, seed=seed)
    analysis = None if frames_kept is None else make_analysis(record, frames_kept=frames_kept)
    return ReportedRun(f"{method} {seed}", record, analysis)


def _figure(*runs: ReportedRun) -> FigureView:
    [group] = group_runs(runs)
    figure = frames_read_figure(group.lines, group.anchor)
    assert figure is not None
    return figure


def _column(figure: FigureView, name: str) -> list[Any]:
    return [row[figure.data[0].index(name)] for row in figure.data[1:]]


@pytest.fixture(scope="module")
def three() -> list[ReportedRun]:
    """One run of a method that rebuilds nothing, and three seeds of one that does from 2 frames."""
    seeds = [_run("essential", seed, _rows([1, 2, 4], rebuilt=2, better=0.05 * seed)) for seed in range(3)]
    return [_run("icarl", 0, _rows([1, 2, 4])), *seeds]


def test_what_is_rebuilt_is_called_so_wherever_it_stands(three: list[ReportedRun], tmp_path: Path) -> None:
    figure = _figure(*three)
    name = f"essential, {REBUILT}"
    assert _column(figure, "line") == ["icarl 0"] * 3 + ["essential"] * 3 + [name]
    assert f"{name}: 95.0 at frames read 2" in figure.description
    assert "upper bound with rebuilt frames and known task; not a result" in figure.note
    assert [row.name for row in figure.numbers[1:]] == ["icarl 0", "essential", name]
    assert (("line-2-hollow", name) in figure.legend, len(figure.legend)) == (True, 3)
    assert f">{name}</text>" in figure_files(figure.drawing)["svg"].decode()
    write_report(three, tmp_path / "page.html")
    html = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert '<symbol id="line-2-hollow"' in html
    assert len(re.findall(f">{name}</span>", html)) == 2, "legend and table"


def test_every_point_has_the_seeds_that_stand_behind_it(three: list[ReportedRun]) -> None:
    figure = _figure(*three)
    assert _column(figure, "seeds") == [1] * 3 + [3] * 4
    assert _column(figure, "accuracy, %")[3:6] == pytest.approx([35.0, 60.0, 72.5])
    assert _column(figure, "least")[3:6] == pytest.approx([30.0, 55.0, 67.5])


def test_a_seed_without_an_analysis_is_left_out_and_the_others_are_counted() -> None:
    figure = _figure(*(_run("essential", seed, _rows([1, 2]) if seed else None) for seed in range(3)))
    assert _column(figure, "line") == ["essential, 2 of 3 seeds"] * 2
    assert _column(figure, "seeds") == [2, 2]
    [group] = group_runs([_run("essential", 0, None)])
    assert frames_read_figure(group.lines, "p") is None


def test_of_many_frames_only_the_numbers_that_were_read_have_a_place() -> None:
    numbers = [1, 3, 5, 7, 8, 9, 11, 13, 16]
    figure = _figure(_run("essential", 0, _rows(numbers, rebuilt=8)))
    assert figure.numbers[0] == NumberRow("Frames read", [*map(str, numbers)])
    assert "\u2013" not in figure.numbers[1].cells
    assert list(figure.numbers[2].cells).count("\u2013") == len(numbers) - 1
    _, [line, _] = figure.drawing.draw(FILE)
    assert isinstance(line, Line2D)
    assert list(line.get_xdata()) == numbers
    assert np.isfinite(line.get_ydata()).all(), "what is not would break the line"


def test_it_is_said_of_how_many_test_clips() -> None:
    # The made-up confusion has 20 clips of each of 6 classes.
    assert "on all 120 test clips, when" in _figure(_run("a", 0, _rows([1, 2]))).note
    part = _figure(_run("a", 0, _rows([1, 2], clips=60)))
    assert "on 60 of 120 test clips, evenly over the classes, when" in part.note
    assert _column(part, "clips") == ["60", "60"]
    both = _figure(_run("a", 0, _rows([1], clips=60)), _run("a", 1, _rows([1], clips=58)))
    assert "on 58 to 60 of 120 test clips" in both.note
    assert _column(both, "clips") == ["58 to 60"]


def test_every_point_of_a_sweep_has_its_own_seeds() -> None:
    runs = []
    for kept, seeds in ((1, 3), (2, 1)):
        for seed in range(seeds):
            record = make_record(seed=seed)
            method = record.method.model_copy(update={"config": {"frames_kept": kept}})
            runs.append(ReportedRun(f"{kept}-{seed}", record.model_copy(update={"method": method})))
    [group] = group_runs(runs)
    figure = frames_kept_figure(group.runs, "p")
    assert figure is not None
    assert [tuple(row[1:3]) for row in figure.data[1:]] == [(3, 1), (1, 2)]
