"""What became of test clips, against loops over every clip."""

from dataclasses import replace

import numpy as np
import pytest

from essential.analysis import outcomes
from essential.engine.evaluate import Predictions
from essential.errors import CheckpointError
from essential.records.analysis import ForgottenClip
from ranked_scores import predictions_of

CLIPS_PER_TASK, CLASSES_PER_TASK, TASKS = 7, 3, 4

NAMES = tuple(f"class {slot}" for slot in range(12))


def _made(seed: int) -> tuple[list[Predictions], list[np.ndarray]]:
    """Return predictions of four tasks of three classes, of which the last class of the first has no clip; and scores.

    The scores have few values, so that many are equal.
    """
    draw = np.random.default_rng(seed)
    slots = np.concatenate(
        [draw.integers(3 * task, 3 * task + (2 if task == 0 else 3), CLIPS_PER_TASK) for task in range(TASKS)]
    )
    made, given = [], []
    for task in range(TASKS):
        clips = CLIPS_PER_TASK * (task + 1)
        scores = draw.normal(size=(clips, 3 * (task + 1))).round(1).astype(np.float32)
        # Right about half of the time, so that clips are known, lost and known again.
        scores[np.arange(clips), slots[:clips]] += draw.choice([0, 3], clips)
        videos = tuple(f"test/clip-{place % 5}/{place}.mp4" for place in range(clips))
        made.append(predictions_of(scores, slots[:clips], slots[:clips] // 3, videos))
        given.append(scores)
    return made, given


@pytest.mark.parametrize("seed", range(3))
def test_accuracies_and_confusion_count_every_clip(seed: int) -> None:
    made, given = _made(seed)
    found = outcomes(iter(made), NAMES)
    for task, each in enumerate(made):
        for slot in range(12):
            right = [
                max(range(len(row)), key=row.__getitem__) == slot
                for row, true in zip(given[task].tolist(), each.slots.tolist(), strict=True)
                if true == slot
            ]
            expected = sum(right) / len(right) if right else None
            assert found.class_accuracy_by_task[task][slot] == expected
    assert [row[2] for row in found.class_accuracy_by_task] == [None] * 4
    counts = [[0] * 12 for _ in range(12)]
    for row, true in zip(given[-1].tolist(), made[-1].slots.tolist(), strict=True):
        counts[true][max(range(12), key=row.__getitem__)] += 1
    assert found.confusion == tuple(map(tuple, counts))
    assert sum(map(sum, counts)) == TASKS * CLIPS_PER_TASK


@pytest.mark.parametrize("seed", range(3))
def test_a_forgotten_clip_was_right_once_and_is_wrong_in_the_end(seed: int) -> None:
    made, given = _made(seed)
    expected = []
    for clip, video in enumerate(made[-1].videos):
        slot = int(made[-1].slots[clip])
        right = {task: int(each[clip].argmax()) == slot for task, each in enumerate(given) if clip < len(each)}
        if right[3] or not any(right.values()):
            continue
        known = min(task for task, is_right in right.items() if is_right)
        lost = max(task for task, is_right in right.items() if is_right) + 1
        scores = given[-1][clip]
        margin = float(scores.max() - scores[slot])
        expected.append(
            ForgottenClip(
                video=video,
                label=NAMES[slot],
                known_after_task=known,
                lost_after_task=lost,
                predicted=NAMES[int(scores.argmax())],
                margin=margin,
            )
        )
    found = outcomes(iter(made), NAMES).forgotten
    assert len(found) >= 3
    assert {one.lost_after_task - one.known_after_task for one in found} > {1}, "some were known for a while"
    assert found == tuple(sorted(expected, key=lambda one: (-one.margin, one.video)))


def test_what_is_right_in_the_end_or_never_was_is_not_forgotten() -> None:
    right, wrong = [1.0, 0.0], [0.0, 1.0]
    after = [[right, wrong, right, wrong], [wrong, wrong, right, right], [right, wrong, wrong, right]]
    slots, videos = np.zeros(4, np.int64), ("a", "b", "c", "d")
    made = [predictions_of(np.array(scores, np.float32), slots, slots, videos) for scores in after]
    (found,) = outcomes(made, NAMES[:2]).forgotten
    assert (found.video, found.label, found.predicted) == ("c", NAMES[0], NAMES[1])
    assert (found.known_after_task, found.lost_after_task, found.margin, found.frames) == (0, 2, 1.0, ())


def test_a_run_without_a_test_clip_has_no_outcome() -> None:
    none = np.zeros(0, np.int64)
    found = outcomes([predictions_of(np.zeros((0, 2), np.float32), none, none, ())], NAMES[:2])
    assert (found.class_accuracy_by_task, found.confusion, found.forgotten) == (((None, None),), ((0, 0), (0, 0)), ())


def test_predictions_of_other_clips_are_refused() -> None:
    made, _ = _made(0)
    other = replace(made[1], videos=tuple(reversed(made[1].videos)))
    with pytest.raises(CheckpointError, match="the predictions after task 2 are not of the clips of those before"):
        outcomes([made[0], other], NAMES[:6])
