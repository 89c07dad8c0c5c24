"""The metrics against hand-computed cases and brute-force loops."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from essential.metrics import (
    METRICS,
    AccuracyMatrix,
    Evaluation,
    Scores,
    accuracy_matrix,
    accuracy_on_seen,
    backward_forgetting_by_task,
    forgetting_from_best_by_task,
    seen_accuracy_by_task,
)


def _of_matrix(name: str) -> Callable[[AccuracyMatrix], float | None]:
    return lambda matrix: METRICS[name].compute(Scores(matrix, [], [], []))


forgetting_from_best = _of_matrix("forgetting_from_best")
backward_forgetting = _of_matrix("backward_forgetting")


def _evaluation(predicted: list[int], slots: list[int], tasks: list[int]) -> Evaluation:
    return Evaluation(np.array(predicted, np.int64), np.array(slots, np.int64), np.array(tasks, np.int64))


def _metric(name: str, run: Sequence[Evaluation]) -> float | None:
    return METRICS[name].compute(Scores.of(run, [1] * len(run)))


def _random_run(classes_by_task: Sequence[int], *, seed: int, most_videos: int = 6) -> list[Evaluation]:
    """Evaluations of a run whose classes have different numbers of test videos, some of them none."""
    generator = np.random.default_rng(seed)
    task_of_slot = np.repeat(np.arange(len(classes_by_task)), classes_by_task)
    slots = np.repeat(np.arange(len(task_of_slot)), generator.integers(0, most_videos, len(task_of_slot)))
    slots = generator.permutation(slots)
    run = []
    for task in range(len(classes_by_task)):
        seen = slots[task_of_slot[slots] <= task]
        guesses = generator.integers(0, int(np.sum(classes_by_task[: task + 1])), len(seen))
        predicted = np.where(generator.random(len(seen)) < 0.6, seen, guesses)
        run.append(Evaluation(predicted, seen, task_of_slot[seen]))
    return run


def _loop_accuracy(evaluation: Evaluation, tasks: Sequence[int]) -> float | None:
    right = total = 0
    for predicted, slot, task in zip(evaluation.predicted, evaluation.slots, evaluation.tasks, strict=True):
        if task in tasks:
            total += 1
            right += int(predicted == slot)
    return right / total if total else None


def _loop_forgetting(matrix: list[list[float | None]], *, from_best: bool) -> float | None:
    drops = []
    last = len(matrix) - 1
    for task in range(last):
        now, start = matrix[last][task], matrix[task][task]
        if now is None or start is None:
            continue
        best = start
        if from_best:
            for row in range(task, last + 1):
                accuracy = matrix[row][task]
                assert accuracy is not None
                best = max(best, accuracy)
        drops.append(best - now)
    return sum(drops) / len(drops) if drops else None


RUNS = {
    "unequal tasks": [11, 1, 5, 3],
    "one-class tasks": [1, 1, 1, 1, 1],
    "more than 100 classes": [51, 30, 30, 30],
    "single task": [4],
    "one class": [1],
}


@pytest.mark.parametrize("classes_by_task", RUNS.values(), ids=RUNS.keys())
@pytest.mark.parametrize("seed", range(5))
def test_equal_to_brute_force_loops(classes_by_task: list[int], seed: int) -> None:
    run = _random_run(classes_by_task, seed=seed)
    matrix = accuracy_matrix(run)
    count = len(run)
    assert matrix == [[_loop_accuracy(run[i], [j]) if j <= i else None for j in range(count)] for i in range(count)]
    on_seen = [_loop_accuracy(evaluation, range(count)) for evaluation in run]
    assert [accuracy_on_seen(evaluation) for evaluation in run] == on_seen
    assert _metric("final_accuracy", run) == on_seen[-1]
    known = [accuracy for accuracy in on_seen if accuracy is not None]
    assert _metric("average_incremental_accuracy", run) == (sum(known) / len(known) if known else None)
    assert forgetting_from_best(matrix) == _loop_forgetting(matrix, from_best=True)
    assert backward_forgetting(matrix) == _loop_forgetting(matrix, from_best=False)


@pytest.mark.parametrize("seed", range(5))
def test_the_matrix_and_the_video_counts_give_the_same_accuracy_on_seen(seed: int) -> None:
    run = _random_run([7, 2, 1, 9], seed=seed)
    test_videos = [int((run[-1].tasks == task).sum()) for task in range(4)]
    from_matrix = seen_accuracy_by_task(accuracy_matrix(run), test_videos)
    assert from_matrix == pytest.approx([accuracy_on_seen(evaluation) for evaluation in run], abs=1e-12)


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
    assert forgetting_from_best_by_task(matrix) == [0.25, 0.0]
    assert backward_forgetting_by_task(matrix) == [-0.125, 0.0]
    assert forgetting_from_best(matrix) == 0.125
    assert backward_forgetting(matrix) == -0.0625


def test_a_task_best_now_counts_zero_from_best_and_negative_backward() -> None:
    matrix: AccuracyMatrix = [[0.25, None], [0.5, 1.0]]
    assert forgetting_from_best(matrix) == 0.0
    assert backward_forgetting(matrix) == -0.25


def test_a_task_without_test_videos_is_none_and_left_out() -> None:
    run = [
        _evaluation([0], [0], [0]),
        _evaluation([0], [0], [0]),
        _evaluation([2, 2], [0, 2], [0, 2]),
    ]
    matrix = accuracy_matrix(run)
    assert matrix == [[1.0, None, None], [1.0, None, None], [0.0, None, 1.0]]
    assert forgetting_from_best_by_task(matrix) == [1.0, None]
    assert forgetting_from_best(matrix) == backward_forgetting(matrix) == 1.0
    assert seen_accuracy_by_task(matrix, [1, 0, 1]) == [1.0, 1.0, 0.5]


def test_a_first_task_without_test_videos_is_left_out_of_the_average() -> None:
    run = [_evaluation([], [], []), _evaluation([1, 0], [1, 1], [1, 1])]
    assert _metric("average_incremental_accuracy", run) == 0.5
    assert accuracy_on_seen(run[0]) is None
    assert seen_accuracy_by_task(accuracy_matrix(run), [0, 2]) == [None, 0.5]


def test_a_run_without_any_test_video_has_no_accuracy() -> None:
    run = [_evaluation([], [], [])]
    assert accuracy_matrix(run) == [[None]]
    assert _metric("final_accuracy", run) is None
    assert _metric("average_incremental_accuracy", run) is None


def test_a_single_task_has_no_forgetting() -> None:
    assert forgetting_from_best([[0.5]]) is None
    assert backward_forgetting([[0.5]]) is None


def test_the_arrays_are_not_changed() -> None:
    run = _random_run([3, 2], seed=0)
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
