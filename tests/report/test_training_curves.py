"""Training curves: every epoch in the data, few points in the drawing, a gap where another stage trains."""

from pathlib import Path

import numpy as np
import pytest
from made_logs import STAGES, make_log
from made_records import make_record
from matplotlib.lines import Line2D

from essential.records.training_log import EpochReport, TrainingLog
from essential.report import ReportedRun, write_report
from essential.report.drawing import FILE, FigureView
from essential.report.training_curves import training_figure


def _figure(log: TrainingLog) -> FigureView:
    figure = training_figure("run-1", log)
    assert figure is not None
    return figure


def _lines(figure: FigureView, axes: int) -> list[Line2D]:
    """The curves of the losses (0) or of the learning rate (1), a line for each stage of each task."""
    return [line for line in figure.drawing.draw(FILE)[0].axes[axes].lines if len(line.get_xydata()) > 2]


def test_every_stage_of_every_task_is_a_line_of_the_sum_of_its_terms() -> None:
    figure = _figure(make_log(3))
    losses, rates = _lines(figure, 0), _lines(figure, 1)
    assert len(losses) == len(rates) == 6
    for number, line in enumerate(losses):
        assert list(line.get_xdata()) == pytest.approx([10 * number + epoch + 0.5 for epoch in range(10)])
        assert list(line.get_ydata()) == pytest.approx([2 / (1 + epoch) + 0.5 for epoch in range(10)])
    assert [line.get_label() for line in losses] == [*STAGES] * 3
    assert list(rates[0].get_ydata()) == pytest.approx([0.001 / (1 + epoch) for epoch in range(10)])
    assert [name for _, name in figure.legend] == [*STAGES]


def test_the_data_has_every_epoch_and_every_term() -> None:
    head, *rows = _figure(make_log(2, epochs=900)).data
    assert head == ("task", "stage", "epoch", "learning rate", "loss, first", "loss, second")
    assert len(rows) == 2 * 2 * 900
    assert rows[-1] == (2, "rehearsal", 900, pytest.approx(0.001 / 900), pytest.approx(2 / 900), 0.5)


def test_of_many_epochs_the_points_are_means_and_the_page_says_so() -> None:
    figure = _figure(make_log(2, epochs=900))
    lines = _lines(figure, 0)
    assert sum(len(line.get_xdata()) for line in lines) == 400
    assert lines[0].get_ydata()[0] == pytest.approx(np.mean([2 / (1 + epoch) + 0.5 for epoch in range(9)]))
    assert "A point is the mean of up to 9 epochs." in figure.note
    assert "mean of" not in _figure(make_log(2)).note


def test_a_run_without_learning_rate_or_of_a_single_epoch_is_drawn() -> None:
    still = EpochReport(0, "only", 0, {"a": 0.0}, 0.0)
    assert "only 0" in _figure(TrainingLog((still,))).description
    assert _figure(TrainingLog((still,))).svg.startswith("<svg")
    assert training_figure("run-1", TrainingLog()) is None


def test_a_loss_below_zero_is_inside_the_drawing() -> None:
    log = TrainingLog(tuple(EpochReport(0, "s", epoch, {"a": 1.0 - epoch}, 0.1) for epoch in range(5)))
    losses, rates = _figure(log).drawing.draw(FILE)[0].axes
    assert losses.get_ylim()[0] <= -3.0
    assert rates.get_ylim()[0] == 0.0


def test_the_page_has_the_curves_of_the_runs_that_have_a_log_and_says_which_have_none(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    runs = [ReportedRun("with", make_record(), log=make_log(3)), ReportedRun("bare", make_record(method="m"))]
    write_report(runs, path)
    html = path.read_text(encoding="utf-8")
    assert html.count(">Loss and learning rate</h3>") == 1
    assert "No training curves of bare: there is no log beside the record, or it cannot be read." in html
    write_report(runs, tmp_path / "again.html")
    assert (tmp_path / "again.html").read_text(encoding="utf-8") == html
    write_report(runs[:1], path)
    assert "No training curves" not in path.read_text(encoding="utf-8")
    closed_form = ReportedRun("sums", make_record(method="s"), log=TrainingLog((), make_log(3).evaluations))
    write_report([*runs, closed_form], path)
    assert "No training curves of sums: the method trains no epoch." in path.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("highest", "shown"), [(0.0015, "0.0015"), (0.000997, "0.001"), (0.1, "0.1"), (0.00025, "0.00025")]
)
def test_the_learning_rate_is_told_with_two_digits_and_has_room(highest: float, shown: str) -> None:
    log = TrainingLog(tuple(EpochReport(0, "s", epoch, {"a": 1.0}, highest / (1 + epoch)) for epoch in range(5)))
    figure, _ = _figure(log).drawing.draw(FILE)
    ticks = figure.axes[1].get_yticklabels()
    assert [tick.get_text() for tick in ticks] == ["0", shown]
    figure.draw_without_rendering()
    assert ticks[1].get_window_extent().x0 >= 0, "inside the drawing"


def test_a_log_is_read_as_it_was_written(tmp_path: Path) -> None:
    file = tmp_path / "log.jsonl"
    file.write_text(
        '{"event": "epoch", "task": 0, "stage": "s", "epoch": 0, "losses": {"a": 1.5}, "learning_rate": 0.1}\n'
        '{"event": "evaluation", "task": 0, "accuracy": 0.5, "memory_bytes": {"total": 7}}\n'
    )
    log = TrainingLog.read(file)
    assert log.epochs == (EpochReport(0, "s", 0, {"a": 1.5}, 0.1),)
    [found] = log.evaluations
    assert (found.accuracy, found.memory_bytes, found.accuracy_by_task) == (0.5, {"total": 7}, ()), "of an older log"


@pytest.mark.parametrize(
    ("second", "said"),
    [
        ('{"event": "epoch", "task": "no"}', "line 2: task: Input should be a valid integer"),
        ('{"event": "evaluation"}', "line 2: task: Field required"),
        ("[1]", "line 2 is no event"),
        ("{}", "line 2 is no event"),
        ('{"event": "ep', "line 2 is no JSON: Unterminated string"),
    ],
)
def test_a_damaged_log_says_where_and_no_address_of_a_library(second: str, said: str, tmp_path: Path) -> None:
    file = tmp_path / "log.jsonl"
    file.write_text('{"event": "another"}\n' + second + "\n")
    with pytest.raises(ValueError, match=said) as raised:
        TrainingLog.read(file)
    assert "http" not in str(raised.value)
