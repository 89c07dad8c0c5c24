"""The metrics against plain loops over predictions, on runs of any shape, and cases computed by hand."""

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
    AccuracyMatrix,
    Evaluation,
    Scores,
    accuracy_matrix,
    accuracy_on_seen,
    backward_forgetting_by_task,
    class_accuracy,
    forward_transfer,
    rounding,
    seen_accuracy_by_task,
    tcd_forgetting,
)
from essential.records import Metrics


def _of_matrix(name: str) -> Callable[..., float | None]:
    return lambda matrix, counts=(): METRICS[name].compute(Scores(matrix, [], [], counts))


forgetting_from_best = _of_matrix("forgetting_from_best")
backward_forgetting = _of_matrix("backward_forgetting")
vclimb_accuracy, vclimb_bwf = _of_matrix("vclimb_accuracy"), _of_matrix("vclimb_bwf")
vclimb_accuracy_unweighted = _of_matrix("vclimb_accuracy_unweighted")
HALF_LEARNED: AccuracyMatrix = [[0.5, None, None], [0.75, 1.0, None], [0.25, 0.5, 0.75]]


def _evaluation(predicted: Sequence[int], slots: Sequence[int], tasks: Sequence[int]) -> Evaluation:
    return Evaluation(*(np.array(numbers, np.int64) for numbers in (predicted, slots, tasks)))


def _metric(name: str, run: Sequence[Evaluation]) -> float | None:
    return METRICS[name].compute(Scores.of(run, [1] * len(run)))


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
        pairs = ([*zip(*answers, strict=True)] or [(), ()] for answers in self.answers)
        return [_evaluation(predicted, slots, [task_of[slot] for slot in slots]) for slots, predicted in pairs]

    def metric(self, name: str) -> float | None:
        return METRICS[name].compute(Scores.of(self.evaluations, self.counts))

    def share_right(self, after: int, slots: Sequence[int]) -> Fraction | None:
        """The share of right answers after a task on the videos of `slots`, counted one by one."""
        right = [slot == predicted for slot, predicted in self.answers[after] if slot in slots]
        return Fraction(sum(right), len(right)) if right else None

    def lost(self, start: int, end: int, slots: Sequence[int]) -> Fraction | None:
        """How much less of the videos of `slots` is right after the task `end` than after the task `start`."""
        then, now = self.share_right(start, slots), self.share_right(end, slots)
        return None if then is None or now is None else then - now


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


def _mean(values: Sequence[Fraction | None]) -> Fraction | None:
    known = [value for value in values if value is not None]
    return sum(known, Fraction(0)) / len(known) if known else None


def _same(found: float | None, expected: Fraction | None) -> None:
    assert (found is None) == (expected is None)
    if found is not None and expected is not None:
        assert found == pytest.approx(float(expected), abs=1e-12)


@given(runs())
def test_the_accuracies_are_shares_of_right_answers(run: Run) -> None:
    count = len(run.classes)
    shares = [
        [run.share_right(i, slots) if j <= i else None for j, slots in enumerate(run.classes)] for i in range(count)
    ]
    matrix = accuracy_matrix(run.evaluations)
    assert matrix == [[None if share is None else float(share) for share in row] for row in shares]
    seen = [run.share_right(task, range(sum(run.counts))) for task in range(count)]
    for evaluation, share in zip(run.evaluations, seen, strict=True):
        _same(accuracy_on_seen(evaluation), share)
    _same(run.metric("final_accuracy"), seen[-1])
    for reading in ("", "_cnn", "_nme"):
        _same(run.metric(f"average_incremental_accuracy{reading}"), _mean(seen))


@given(runs())
def test_forgetting_is_from_the_best_or_from_the_first(run: Run) -> None:
    last = len(run.classes) - 1
    old = list(enumerate(run.classes[:-1]))
    from_first = [run.lost(task, last, slots) for task, slots in old]
    _same(run.metric("backward_forgetting"), _mean(from_first))
    from_best = [[run.lost(then, last, slots) for then in range(task, last + 1)] for task, slots in old]
    _same(run.metric("forgetting_from_best"), _mean([max(lost, key=lambda x: x or 0) for lost in from_best]))


@given(runs())
def test_vclimb_s_accuracy_is_a_mean_over_classes_each_with_its_task_s_accuracy(run: Run) -> None:
    by_task = [run.share_right(len(run.classes) - 1, slots) for slots in run.classes]
    _same(run.metric("vclimb_accuracy_unweighted"), _mean(by_task))
    by_class = [share for share, slots in zip(by_task, run.classes, strict=True) for _ in slots]
    _same(run.metric("vclimb_accuracy"), _mean(by_class))


@given(runs())
def test_vclimb_s_bwf_is_a_mean_over_old_classes_each_with_its_task_s_loss(run: Run) -> None:
    last = len(run.classes) - 1
    losses = [run.lost(task, last, slots) for task, slots in enumerate(run.classes[:-1]) for _ in slots]
    _same(run.metric("vclimb_bwf"), _mean(losses))


@given(runs())
def test_tcd_s_forgetting_is_the_mean_fall_on_all_old_videos_in_one_task(run: Run) -> None:
    seen = [sum(run.counts[: task + 1]) for task in range(len(run.classes))]
    falls = [run.lost(step, step + 1, range(seen[step])) for step in range(len(run.classes) - 1)]
    _same(run.metric("tcd_forgetting"), _mean(falls))


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
def test_what_a_record_keeps_gives_its_metrics(run: Run) -> None:
    whole = Scores.of(run.evaluations, run.counts)
    kept = Scores(whole.matrix, seen_accuracy_by_task(whole.matrix, whole.test_videos), whole.test_videos, run.counts)
    for metric in METRICS.values():
        expected, found = metric.compute(whole), metric.compute(kept)
        assert (found is None) == (expected is None)
        assert abs((found or 0) - (expected or 0)) <= rounding(len(run.counts))


def test_every_metric_of_a_record_is_registered_and_says_where_it_comes_from() -> None:
    assert METRICS.keys() == Metrics.model_fields.keys()
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
    assert forgetting_from_best([[0.5]]) is None
    assert backward_forgetting([[0.5]]) is None


def test_a_task_without_test_videos_is_left_out_with_its_weight() -> None:
    matrix: AccuracyMatrix = [[1.0, None, None], [0.5, None, None], [0.25, None, 1.0]]
    assert vclimb_accuracy(matrix, [1, 100, 3]) == pytest.approx(3.25 / 4)
    assert vclimb_bwf(matrix, [1, 100, 3]) == 0.75
    assert tcd_forgetting(matrix, [4, 0, 4]) == (0.5 + 0.25) / 2
    assert vclimb_accuracy([[None]], [1]) is None
    assert class_accuracy(Evaluation(*[np.array([2], np.int64)] * 2, np.array([0], np.int64)), 3) == [None, None, 1.0]


@pytest.mark.parametrize("counts", [[], [11, 10]])
def test_a_wrong_number_of_class_counts_is_refused(counts: list[int]) -> None:
    with pytest.raises(ValueError, match=f"there are {len(counts)} numbers of classes for 1 tasks learned"):
        Scores.of([_evaluation([0], [0], [0])], counts)


def test_a_hand_computed_run_with_unequal_tasks() -> None:
    first = _evaluation([0, 0, 1, 1], [0, 0, 1, 0], [0, 0, 0, 0])
    second = _evaluation([0, 2, 1, 2, 2], [0, 0, 1, 0, 2], [0, 0, 0, 0, 1])
    assert accuracy_matrix([first, second]) == [[0.75, None], [0.5, 1.0]]
    assert _metric("final_accuracy", [first, second]) == 0.6, (
        "videos count, not tasks: 3 of 5, not the mean of 0.5 and 1"
    )
    assert _metric("average_incremental_accuracy", [first, second]) == (0.75 + 0.6) / 2
    assert forgetting_from_best([[0.75, None], [0.5, 1.0]]) == 0.25
    assert backward_forgetting([[0.75, None], [0.5, 1.0]]) == 0.25


def test_the_two_forgettings_differ_when_a_task_first_gets_better() -> None:
    matrix: AccuracyMatrix = [[0.5, None, None], [0.875, 0.75, None], [0.625, 0.75, 1.0]]
    assert backward_forgetting_by_task(matrix) == [-0.125, 0.0]
    assert forgetting_from_best(matrix) == 0.125
    assert backward_forgetting(matrix) == -0.0625


def test_a_task_without_test_videos_is_none_and_left_out() -> None:
    run = [
        _evaluation([0], [0], [0]),
        _evaluation([0], [0], [0]),
        _evaluation([2, 2], [0, 2], [0, 2]),
    ]
    matrix = accuracy_matrix(run)
    assert matrix == [[1.0, None, None], [1.0, None, None], [0.0, None, 1.0]]
    assert backward_forgetting_by_task(matrix) == [1.0, None]
    assert forgetting_from_best(matrix) == backward_forgetting(matrix) == 1.0
    assert seen_accuracy_by_task(matrix, [1, 0, 1]) == [1.0, 1.0, 0.5]


def test_the_arrays_are_not_changed() -> None:
    run = [_evaluation([0, 0, 1], [0, 1, 1], [0, 0, 0]), _evaluation([2, 1, 2], [0, 1, 2], [0, 0, 1])]
    before = [(e.predicted.copy(), e.slots.copy(), e.tasks.copy()) for e in run]
    for evaluation in run:
        for array in (evaluation.predicted, evaluation.slots, evaluation.tasks):
            array.flags.writeable = False
    accuracy_matrix(run)
    _metric("average_incremental_accuracy", run)
    for evaluation, (predicted, slots, tasks) in zip(run, before, strict=True):
        np.testing.assert_array_equal(evaluation.predicted, predicted)
        np.testing.assert_array_equal(evaluation.slots, slots)
        np.testing.assert_array_equal(evaluation.tasks, tasks)


def test_predictions_of_another_integer_type_count_the_same() -> None:
    evaluation = Evaluation(np.array([0, 1], np.int32), np.array([0, 0], np.int64), np.array([0, 0], np.int16))
    assert accuracy_on_seen(evaluation) == 0.5


def test_a_video_of_a_task_not_learned_yet_is_refused() -> None:
    early = _evaluation([0, 1], [0, 1], [0, 1])
    with pytest.raises(ValueError, match="evaluation 0 holds videos of tasks 0 to 1; after task 0 only"):
        accuracy_matrix([early, early])
    with pytest.raises(ValueError, match="evaluation 0 holds videos of tasks 0 to 1"):
        Scores.of([early, early], [1, 1])


def test_no_evaluation_is_refused() -> None:
    with pytest.raises(ValueError, match="no evaluation was given"):
        Scores.of([], [])


def test_arrays_of_different_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match=r"shapes .*\(2,\).*\(1,\).* give flat arrays of one length"):
        _evaluation([0, 1], [0], [0])


def test_scores_instead_of_slots_are_refused() -> None:
    slots = np.zeros(2, np.int64)
    with pytest.raises(ValueError, match=r"Evaluation.predicted holds float64; give integers"):
        Evaluation(np.zeros(2), slots, slots)
