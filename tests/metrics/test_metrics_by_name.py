"""The metrics by name against plain loops over predictions, on runs of any shape, and cases computed by hand."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from essential.metrics import (
    METRICS,
    SECOND_NAMES,
    AccuracyMatrix,
    Evaluation,
    Scores,
    accuracy_matrix,
    accuracy_on_seen,
    class_accuracy,
    forward_transfer,
    rounding,
    seen_accuracy_by_task,
    tcd_forgetting,
    vclimb_accuracy,
    vclimb_bwf,
)
from essential.records import Metrics


def _of_matrix(name: str) -> Callable[[AccuracyMatrix], float | None]:
    return lambda matrix: METRICS[name].compute(Scores(matrix, [], [], []))


forgetting_from_best = _of_matrix("forgetting_from_best")
backward_forgetting = _of_matrix("backward_forgetting")
vclimb_accuracy_unweighted = _of_matrix("vclimb_accuracy_unweighted")


HALF_LEARNED: AccuracyMatrix = [[0.5, None, None], [0.75, 1.0, None], [0.25, 0.5, 0.75]]


@dataclass(frozen=True)
class Run:
    """A run as plain lists: the classes of each task, and (true, predicted) slots after each task."""

    classes: list[list[int]]
    answers: list[list[tuple[int, int]]]

    @property
    def counts(self) -> list[int]:
        return [len(slots) for slots in self.classes]

    @property
    def evaluations(self) -> list[Evaluation]:
        task_of = {slot: task for task, slots in enumerate(self.classes) for slot in slots}
        return [
            Evaluation(
                np.array([predicted for _, predicted in answers], np.int64),
                np.array([slot for slot, _ in answers], np.int64),
                np.array([task_of[slot] for slot, _ in answers], np.int64),
            )
            for answers in self.answers
        ]

    def share_right(self, after: int, slots: Sequence[int]) -> Fraction | None:
        """The share of right answers after a task on the videos of `slots`, counted one by one."""
        right = [slot == predicted for slot, predicted in self.answers[after] if slot in slots]
        return Fraction(sum(right), len(right)) if right else None


@st.composite
def runs(draw: st.DrawFn) -> Run:
    """Runs of 1 to 4 tasks of 1 to 3 classes, each of 0 to 3 test videos, with any answers among the classes seen."""
    sizes = draw(st.lists(st.integers(1, 3), min_size=1, max_size=4))
    classes, answers, seen = [], [], 0
    videos: list[int] = []
    for size in sizes:
        classes.append(list(range(seen, seen + size)))
        seen += size
        for slot in classes[-1]:
            videos += [slot] * draw(st.integers(0, 3))
        # As often right as wrong, or forgetting would be rare.
        answers.append([(slot, draw(st.sampled_from([slot, *range(seen)]))) for slot in videos])
    return Run(classes, answers)


def _mean(values: Sequence[Fraction]) -> Fraction | None:
    return sum(values, Fraction(0)) / len(values) if values else None


def _same(found: float | None, expected: Fraction | None) -> None:
    assert (found is None) == (expected is None)
    if found is not None and expected is not None:
        assert found == pytest.approx(float(expected), abs=1e-12)


@given(runs())
def test_vclimb_s_accuracy_is_a_mean_over_classes_each_with_its_task_s_accuracy(run: Run) -> None:
    last = len(run.classes) - 1
    by_class = [run.share_right(last, task) for task in run.classes for _ in task]
    matrix = accuracy_matrix(run.evaluations)
    _same(vclimb_accuracy(matrix, run.counts), _mean([share for share in by_class if share is not None]))
    by_task = [run.share_right(last, task) for task in run.classes]
    _same(vclimb_accuracy_unweighted(matrix), _mean([share for share in by_task if share is not None]))


@given(runs())
def test_vclimb_s_bwf_is_a_mean_over_old_classes_each_with_its_task_s_loss(run: Run) -> None:
    last = len(run.classes) - 1
    losses = []
    for index, task in enumerate(run.classes[:-1]):
        for _ in task:
            then, now = run.share_right(index, task), run.share_right(last, task)
            if then is not None and now is not None:
                losses.append(then - now)
    _same(vclimb_bwf(accuracy_matrix(run.evaluations), run.counts), _mean(losses))


@given(runs())
def test_tcd_s_forgetting_is_the_mean_fall_on_all_old_videos_in_one_task(run: Run) -> None:
    falls = []
    for step in range(len(run.classes) - 1):
        old = [slot for task in run.classes[: step + 1] for slot in task]
        before, after = run.share_right(step, old), run.share_right(step + 1, old)
        if before is not None and after is not None:
            falls.append(before - after)
    final = run.evaluations[-1]
    videos = [sum(1 for task in final.tasks.tolist() if task == index) for index in range(len(run.classes))]
    _same(tcd_forgetting(accuracy_matrix(run.evaluations), videos), _mean(falls))


@given(runs())
def test_every_class_is_counted_by_itself(run: Run) -> None:
    last = len(run.classes) - 1
    found = class_accuracy(run.evaluations[-1], sum(run.counts))
    assert len(found) == sum(run.counts)
    for slot, share in enumerate(found):
        _same(share, run.share_right(last, [slot]))


@given(runs(), runs())
def test_forward_transfer_compares_the_diagonals_but_for_the_first(run: Run, other: Run) -> None:
    matrix, reference = accuracy_matrix(run.evaluations), accuracy_matrix(other.evaluations)
    if len(reference) < len(matrix):
        with pytest.raises(ValueError, match=f"the reference has {len(reference)} tasks, the run {len(matrix)}"):
            forward_transfer(matrix, reference)
        return
    gains = []
    for task in range(1, len(run.classes)):
        own, fresh = run.share_right(task, run.classes[task]), other.share_right(task, other.classes[task])
        if own is not None and fresh is not None:
            gains.append(own - fresh)
    _same(forward_transfer(matrix, reference), _mean(gains))


@given(runs())
def test_the_registry_gives_what_the_functions_give(run: Run) -> None:
    evaluations, matrix = run.evaluations, accuracy_matrix(run.evaluations)
    videos = [sum(slot in task for slot, _ in run.answers[-1]) for task in run.classes]
    seen = [accuracy_on_seen(evaluation) for evaluation in evaluations]
    known = [share for share in seen if share is not None]
    average = sum(known) / len(known) if known else None
    expected = {
        "final_accuracy": seen[-1],
        **dict.fromkeys((f"average_incremental_accuracy{reading}" for reading in ("", "_cnn", "_nme")), average),
        "vclimb_accuracy": vclimb_accuracy(matrix, run.counts),
        "vclimb_accuracy_unweighted": vclimb_accuracy_unweighted(matrix),
        "vclimb_bwf": vclimb_bwf(matrix, run.counts),
        "forgetting_from_best": forgetting_from_best(matrix),
        "backward_forgetting": backward_forgetting(matrix),
        "forgetting_from_first": backward_forgetting(matrix),
        "tcd_forgetting": tcd_forgetting(matrix, videos),
    }
    assert {name: metric.compute(Scores.of(evaluations, run.counts)) for name, metric in METRICS.items()} == expected


@given(runs())
def test_what_a_record_keeps_gives_its_metrics(run: Run) -> None:
    whole = Scores.of(run.evaluations, run.counts)
    kept = Scores(whole.matrix, seen_accuracy_by_task(whole.matrix, whole.test_videos), whole.test_videos, run.counts)
    for metric in METRICS.values():
        expected, found = metric.compute(whole), metric.compute(kept)
        assert (found is None) == (expected is None)
        assert abs((found or 0) - (expected or 0)) <= rounding(len(run.counts))


def test_every_metric_of_a_record_is_registered_and_says_where_it_comes_from() -> None:
    assert METRICS.keys() - SECOND_NAMES == Metrics.model_fields.keys()
    assert METRICS["forgetting_from_first"] is METRICS["backward_forgetting"]
    assert {name: metric.reading for name, metric in METRICS.items() if metric.reading} == {
        "average_incremental_accuracy_cnn": "cnn",
        "average_incremental_accuracy_nme": "nme",
    }
    for metric in METRICS.values():
        assert 20 < len(metric.definition) < 130
        assert "\n" not in metric.definition
        assert any(year in metric.source for year in ("2017", "2021", "2022", "2025"))


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({}, None),
        ({"reading": "nme"}, None),
        ({"reading": ["nme"]}, "its reading is ['nme']; see `Metric`"),
        ({"title": 3}, "its title is 3; see `Metric`"),
        ({"definition": None}, "its definition is None; see `Metric`"),
        ({"source": b"x"}, "its source is b'x'; see `Metric`"),
        ({"compute": 0.5}, "its compute is 0.5; see `Metric`"),
        ({"less_is_better": []}, "its less_is_better is []; see `Metric`"),
    ],
)
def test_a_metric_of_a_plug_in_with_a_field_of_another_kind_is_refused(
    change: dict[str, Any], fault: str | None
) -> None:
    plugin = replace(METRICS["final_accuracy"])
    for field, value in change.items():
        object.__setattr__(plugin, field, value)  # tests check the kinds that the constructor is given, users do not
    assert METRICS._fault("mine", plugin) == fault


def test_tasks_of_unequal_size_weigh_by_their_classes() -> None:
    # 11, 10 and 9 classes: 0.25 * 11 + 0.5 * 10 + 0.75 * 9 = 14.5, of 30.
    assert vclimb_accuracy(HALF_LEARNED, [11, 10, 9]) == pytest.approx(14.5 / 30)
    assert vclimb_accuracy_unweighted(HALF_LEARNED) == 0.5
    # Lost since learned: 0.25 of 11 classes, 0.5 of 10.
    assert vclimb_bwf(HALF_LEARNED, [11, 10, 9]) == pytest.approx((0.25 * 11 + 0.5 * 10) / 21)
    assert vclimb_bwf(HALF_LEARNED, [7, 7, 7]) == backward_forgetting(HALF_LEARNED) == 0.375


def test_one_class_s_success_moves_the_weighted_accuracy_by_its_task_s_share() -> None:
    matrix: AccuracyMatrix = [[1.0, None], [1.0, 0.0]]
    assert vclimb_accuracy(matrix, [51, 1]) == pytest.approx(51 / 52)
    assert vclimb_accuracy_unweighted(matrix) == 0.5


def test_tcd_s_forgetting_by_hand() -> None:
    # Step 1: task 0 gains 0.25. Step 2, on 10 + 30 videos: 0.5 * 10 + 0.5 * 30 = 20 lost, of 40.
    assert tcd_forgetting(HALF_LEARNED, [10, 30, 99]) == pytest.approx((-0.25 + 0.5) / 2)
    # The last task's videos were never old.
    assert tcd_forgetting(HALF_LEARNED, [10, 30, 1]) == tcd_forgetting(HALF_LEARNED, [10, 30, 99])


def test_forward_transfer_and_intransigence_by_hand() -> None:
    alone: AccuracyMatrix = [[0.1, None, None], [None, 0.75, None], [None, None, 1.0]]
    assert forward_transfer(HALF_LEARNED, alone) == (0.25 - 0.25) / 2
    joint: AccuracyMatrix = [[1.0, None, None], [1.0, 1.0, None], [1.0, 1.0, 1.0]]
    assert forward_transfer(HALF_LEARNED, joint) == (0.0 - 0.25) / 2, "minus the intransigence"
    assert forward_transfer(HALF_LEARNED, HALF_LEARNED) == 0


def test_with_one_task_nothing_is_forgotten_or_transferred() -> None:
    assert vclimb_bwf([[0.5]], [3]) is None
    assert tcd_forgetting([[0.5]], [4]) is None
    assert forward_transfer([[0.5]], [[0.25]]) is None
    assert vclimb_accuracy([[0.5]], [3]) == 0.5


def test_a_task_without_test_videos_is_left_out_with_its_weight() -> None:
    matrix: AccuracyMatrix = [[1.0, None, None], [0.5, None, None], [0.25, None, 1.0]]
    assert vclimb_accuracy(matrix, [1, 100, 3]) == pytest.approx(3.25 / 4)
    assert vclimb_bwf(matrix, [1, 100, 3]) == 0.75
    assert tcd_forgetting(matrix, [4, 0, 4]) == (0.5 + 0.25) / 2
    assert vclimb_accuracy([[None]], [1]) is None
    assert class_accuracy(Evaluation(*[np.array([2], np.int64)] * 2, np.array([0], np.int64)), 3) == [None, None, 1.0]


@pytest.mark.parametrize("counts", [[11, 10], [11, 10, 9, 9]])
def test_a_wrong_number_of_class_counts_is_refused(counts: list[int]) -> None:
    for metric in (vclimb_accuracy, vclimb_bwf):
        with pytest.raises(ValueError, match=f"there are {len(counts)} numbers of classes for 3 tasks learned"):
            metric(HALF_LEARNED, counts)
