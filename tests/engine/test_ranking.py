"""The best slots of clips, against plain loops over all scores; and what becomes of them in files and between ranks."""

import weakref
from dataclasses import replace
from math import inf, isnan, nan
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from essential.contract.ranks_in_turns import in_turns
from essential.engine.clips import ClipTable
from essential.engine.evaluate import Predictions, predict, scored
from essential.engine.process_group import ProcessGroup
from essential.engine.ranking import MOST_RANKED, Ranking, named_arrays
from essential.engine.run_folder import RunFolder
from essential.errors import CheckpointError
from essential.files.sealed import write_sealed
from essential.models.classifier import Predictor
from ranked_scores import matrix_of, predictions_of

CPU = torch.device("cpu")
# Many slots have the same score, more of them than are kept; others are in the way of an order.
DRAWN = {
    "numbers": torch.randn,
    "few values": lambda shape: torch.randint(0, 4, shape).float(),
    "one value": torch.zeros,
    "zeros of both signs": lambda shape: torch.tensor([0.0, -0.0])[torch.randint(0, 2, shape)],
    "what is no number": lambda shape: torch.tensor([nan, inf, -inf, 0.0, 1.0])[torch.randint(0, 5, shape)],
    "half precision": lambda shape: torch.randn(shape).half(),
    "double precision": lambda shape: 1 + torch.randn(shape).double() * 1e-8,
}


def _drawn(kind: str, clips: int, slots: int) -> tuple[Tensor, Tensor]:
    torch.manual_seed(slots)
    return DRAWN[kind]((clips, slots)), torch.randint(0, slots, (clips,))


def _before(score: float, other: float) -> bool:
    return (isnan(score) and not isnan(other)) or score > other


@pytest.mark.parametrize("kind", DRAWN)
@pytest.mark.parametrize("slots", [1, 2, MOST_RANKED - 1, MOST_RANKED, MOST_RANKED + 1, 173])
def test_the_best_slots_are_those_of_a_loop_over_all_scores(kind: str, slots: int) -> None:
    scores, true = _drawn(kind, 13, slots)
    found = Ranking.of(scores, true)
    for row, (each, slot) in enumerate(zip(scores.float().tolist(), true.tolist(), strict=True)):
        expected: list[int] = []
        for candidate in range(slots):
            place = next((p for p, own in enumerate(expected) if _before(each[candidate], each[own])), len(expected))
            expected.insert(place, candidate)
        expected = expected[:MOST_RANKED]
        assert found.slots[row].tolist() == expected
        np.testing.assert_array_equal(found.scores[row], np.array([each[own] for own in expected], np.float32))
        np.testing.assert_array_equal(found.true_scores[row], np.float32(each[slot]))
        assert found.slots[row, 0] == np.argmax(each), "the slot that was predicted from all scores"
    assert (found.scores.dtype, found.true_scores.dtype) == (np.float32, np.float32)


def test_of_slots_as_good_as_the_last_the_first_is_kept_beside_what_is_no_number() -> None:
    draw = torch.Generator().manual_seed(0)
    kept = torch.arange(2.0, MOST_RANKED)
    for _ in range(20):
        order = torch.randperm(2 * MOST_RANKED, generator=draw)
        scores = torch.cat([kept, torch.tensor([nan, 1, 1]), torch.zeros(MOST_RANKED - 1)])[order]
        last = Ranking.of(scores[None], torch.tensor([0])).slots[0, -1]
        assert last == (scores == 1).nonzero()[0, 0]


@pytest.mark.parametrize(("slots", "dtype"), [(1 << 16, np.uint16), ((1 << 16) + 1, np.int32)])
def test_slots_take_no_more_bits_than_they_need(slots: int, dtype: type[np.integer]) -> None:
    scores = torch.arange(slots).float()[None]
    found = Ranking.of(scores, torch.tensor([0]))
    assert found.slots.dtype == dtype
    assert found.slots[0].tolist() == list(range(slots - 1, slots - 1 - MOST_RANKED, -1))


def test_a_clip_of_a_slot_without_a_score_is_refused() -> None:
    with pytest.raises(ValueError, match="there are scores of 3 slots, and a clip of slot 3"):
        Ranking.of(torch.zeros(2, 3), torch.tensor([0, 3]))


def _many_slots(seed: int, *, tasks: int = 3) -> list[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
    """Return scores of a head and of means, true slots and tasks, after each task of 40 classes of 2 clips."""
    draw = np.random.default_rng(seed)
    made = []
    for task in range(1, tasks + 1):
        slots = np.repeat(np.arange(40 * task), 2)
        readings = [draw.integers(0, 9, (len(slots), 40 * task)).astype(np.float32) for _ in range(2)]
        for scores, gain in zip(readings, (2, 4), strict=True):
            scores[np.arange(len(slots)), slots] += gain
        made.append((*readings, slots, slots // 40))
    return made


def test_a_record_is_the_one_of_all_scores_though_the_true_slot_may_be_of_no_rank() -> None:
    made = _many_slots(0)
    videos = [f"{clip}.mp4" for clip in range(len(made[-1][2]))]
    kept = [predictions_of(cnn, slots, tasks, videos[: len(slots)], nme=nme) for cnn, nme, slots, tasks in made]
    found = scored(kept, class_counts=[40] * 3)
    for reading, readings in (("cnn", [each[0] for each in made]), ("nme", [each[1] for each in made])):
        right = [
            [int(scores.argmax()) == slot for scores, slot in zip(of_task, slots, strict=True)]
            for of_task, (_, _, slots, _) in zip(readings, made, strict=True)
        ]
        seen = [sum(each) / len(each) for each in right]
        assert 0.05 < seen[-1] < 0.95
        assert found["metrics"].model_dump()[f"average_incremental_accuracy_{reading}"] == sum(seen) / 3
        if reading == "cnn":
            assert found["accuracy"] == tuple(
                tuple(sum(each[80 * t : 80 * t + 80]) / 80 if t <= row else None for t in range(3))
                for row, each in enumerate(right)
            )
    last, (cnn, _, slots, _) = kept[-1], made[-1]
    assert (last.decided.slots != slots[:, None]).all(axis=1).any(), "a true slot is not among the best"
    assert last.decided.true_scores.tolist() == cnn[np.arange(len(slots)), slots].tolist()
    # What is kept of many tasks must not hold all that was ranked.
    assert last.evaluation().predicted.base is None


class Linear(Predictor):
    """Scores a clip's first frame by a matrix, and as the negative of that; notes how many scores are held at once."""

    reading = "cnn"

    def __init__(self, slots: int) -> None:
        super().__init__()
        self.matrix = torch.randn(4, slots, generator=torch.Generator().manual_seed(0)).round()
        self.held: list[weakref.ref[Tensor]] = []
        self.most = 0

    def forward(self, features: Tensor) -> Tensor:
        return features[:, 0] @ self.matrix

    def readings(self, features: Tensor) -> dict[str, Tensor]:
        made = {"cnn": self(features), "nme": -self(features)}
        self.held += [weakref.ref(scores) for scores in made.values()]
        self.most = max(self.most, sum(reference() is not None for reference in self.held))
        return made


def _table(clips: int, slots: int) -> ClipTable:
    features = torch.randint(-2, 3, (clips, 2, 4), generator=torch.Generator().manual_seed(1)).float()
    names = [f"{clip}.mp4" for clip in range(clips)]
    return ClipTable(features.__getitem__, names, torch.arange(clips) % slots, torch.zeros(clips, dtype=torch.long))


def _same(found: Predictions, expected: Predictions) -> None:
    pairs = [{"slots": each.slots, "tasks": each.tasks, **named_arrays(each.rankings)} for each in (found, expected)]
    assert pairs[0].keys() == pairs[1].keys()
    for name, array in pairs[0].items():
        assert array.dtype == pairs[1][name].dtype
        np.testing.assert_array_equal(array, pairs[1][name])
    assert (found.videos, found.reading) == (expected.videos, expected.reading)


def test_no_more_than_the_scores_of_two_batches_are_held() -> None:
    predictor, clips = Linear(90), _table(50, 90)
    found = predict(predictor, clips, device=CPU, batch_size=4)
    # Those of the batch before are let go when those of a batch are ranked.
    assert (len(predictor.held), predictor.most) == (26, 4)
    whole = predictor.readings(clips.read(torch.arange(50)))
    rankings = {name: Ranking.of(scores, clips.slots) for name, scores in whole.items()}
    _same(found, Predictions(rankings, clips.slots.numpy(), clips.tasks.numpy(), tuple(clips.names)))


@pytest.mark.parametrize("ranks", [2, 3])
@pytest.mark.parametrize("clips", [0, 3, 50])
def test_ranks_gather_the_predictions_of_one_process(ranks: int, clips: int) -> None:
    table = _table(clips, 90)
    alone = predict(Linear(90), table, device=CPU, batch_size=4)

    def work(group: ProcessGroup) -> Predictions:
        return predict(Linear(90), table, device=CPU, batch_size=4, group=group)

    for found in in_turns(work, size=ranks):
        _same(found, alone)


def test_a_file_gives_back_what_was_written_and_an_older_one_what_it_says(tmp_path: Path) -> None:
    cnn, nme, slots, tasks = _many_slots(1)[-1]
    videos = [f"{clip}.mp4" for clip in range(len(slots))]
    made, folder = predictions_of(cnn, slots, tasks, videos, nme=nme), RunFolder(tmp_path)
    folder.write_predictions(0, made)
    _same(folder.read_predictions(0), made)
    # 120 slots, of which 50 in 2 bytes with scores of 4; and the true slot's score, the slot and the task.
    assert folder.predictions(0).stat().st_size < len(slots) * (2 * (50 * 6 + 4) + 16) + 8192
    note = {"videos": videos, "reading": "cnn"}
    older = {"scores": cnn, "scores.nme": nme, "slots": slots, "tasks": tasks}
    write_sealed(folder.predictions(1), older, note)
    _same(folder.read_predictions(1), made)
    write_sealed(
        folder.predictions(1), {name: older[name] for name in ("scores", "slots", "tasks")}, {"videos": videos}
    )
    _same(folder.read_predictions(1), predictions_of(cnn, slots, tasks, videos))
    np.testing.assert_array_equal(
        matrix_of(predictions_of(cnn[:, :50], slots % 50, tasks, videos).decided), cnn[:, :50]
    )


@pytest.mark.parametrize("harm", ["slot", "rows", "reading", "part", "older"])
def test_a_file_whose_parts_do_not_fit_is_one_clear_error(harm: str, tmp_path: Path) -> None:
    cnn, _, slots, tasks = _many_slots(2)[0]
    made, folder = predictions_of(cnn, slots, tasks, ["v"] * len(slots)), RunFolder(tmp_path)
    arrays = {"slots": slots, "tasks": tasks, **named_arrays(made.rankings)}
    note = {"videos": ["v"] * len(slots), "reading": "cnn"}
    if harm == "rows":
        arrays["cnn.true_scores"] = arrays["cnn.true_scores"][1:]
    elif harm == "reading":
        note["reading"] = "nme"
    elif harm == "part":
        del arrays["cnn.true_scores"]
    elif harm == "slot":
        arrays = {"scores": cnn[:, :3], "slots": slots, "tasks": tasks}
    else:
        arrays = {"scores": cnn[1:], "slots": slots[1:], "tasks": tasks}
    write_sealed(folder.predictions(0), arrays, note)
    with pytest.raises(CheckpointError, match="holds no predictions; delete it and evaluate again"):
        folder.read_predictions(0)


def test_predictions_of_unequal_lengths_or_without_their_reading_are_refused() -> None:
    cnn, _, slots, tasks = _many_slots(3)[0]
    made = predictions_of(cnn, slots, tasks, ["v"] * len(slots))
    with pytest.raises(
        ValueError, match=r"there are 79 videos, and arrays of other lengths: \{'slots': 80, 'tasks': 80"
    ):
        replace(made, videos=made.videos[1:])
    with pytest.raises(ValueError, match="there is no reading 'nme'; there are 'cnn'"):
        replace(made, reading="nme")
