"""Zero-shot against a loop, the clips that weights are found on, and what words do to accuracy where they say much."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import essential as es
from essential.contract.synthetic_tasks import make_tasks
from essential.engine.config import load_config
from essential.errors import ConfigError, DataError
from essential.export.answer import FeatureAnswer
from essential.learner.labelled_predictor import LabelledPredictor
from essential.methods.contract import Method, TaskData
from essential.methods.words import WordsPrior, blocks_of

CLASSES, DIM, FRAMES, WIDTH = 12, 24, 4, 16


class Planted:
    """Clips about a direction for each class, and words that say these directions, or nothing."""

    def __init__(self, *, per_class: int, seed: int = 0) -> None:
        draw = torch.Generator().manual_seed(seed)
        centres = torch.randn(CLASSES, 1, DIM, generator=draw)

        def clips(y: Tensor) -> np.ndarray[Any, Any]:
            of_clip, of_frame = (
                torch.randn(len(y), 1, DIM, generator=draw),
                torch.randn(len(y), FRAMES, DIM, generator=draw),
            )
            return (centres[y] + 2.5 * of_clip + 0.5 * of_frame).double().numpy()

        self.y, self.asked = (
            torch.arange(CLASSES).repeat_interleave(per_class),
            torch.arange(CLASSES).repeat_interleave(20),
        )
        self.X, self.Xt = clips(self.y), clips(self.asked)
        self.projection = torch.linalg.qr(torch.randn(DIM, DIM, generator=draw))[0][:WIDTH].contiguous()
        told = centres[:, 0] + torch.randn(CLASSES, DIM, generator=draw)
        self.true, self.noise = told @ self.projection.T, torch.randn(CLASSES, WIDTH, generator=draw)

    def accuracy(self, name: str, vectors: Tensor | None = None, **settings: Any) -> tuple[float, Method]:
        words = None if vectors is None else es.Words(vectors, self.projection, scale=20.0)
        test = self.Xt, self.asked.numpy()
        tasks = es.tasks_from_arrays(self.X, self.y.numpy(), sizes=[4, 4, 4], test=test, words=words)
        method = es.build_method(name, dim=DIM, frames=FRAMES, **settings)
        return es.run(method, tasks, training={"device": "cpu"}).accuracy_on_seen[-1], method


def test_zero_shot_is_the_nearest_text_and_learns_nothing() -> None:
    planted = Planted(per_class=1)
    found, method = planted.accuracy("zero-shot", planted.true)
    right = 0
    for clip, label in zip(planted.Xt, planted.asked.tolist(), strict=True):
        seen = [planted.projection.double().numpy() @ frame for frame in clip]
        mean = sum(frame / np.linalg.norm(frame) for frame in seen)
        cosines = [mean @ text / np.linalg.norm(text) for text in planted.true.double().numpy()]
        right += int(np.argmax(cosines)) == label
    assert found == right / len(planted.asked)
    assert found > 3 / CLASSES
    assert method.ledger() == method.memory.ledger()
    other = Planted(per_class=3)
    other.Xt, other.true, other.projection = planted.Xt, planted.true, planted.projection
    assert other.accuracy("zero-shot", planted.true)[0] == found


@pytest.mark.usefixtures("shapes_checked_elsewhere")
@pytest.mark.parametrize("base", ["ncm", "slda"])
@pytest.mark.parametrize("per_class", [2, 4])
def test_words_help_where_clips_are_few(base: str, per_class: int) -> None:
    gains = []
    for seed in range(2):
        planted = Planted(per_class=per_class, seed=seed)
        alone, _ = planted.accuracy(base)
        with_words, method = planted.accuracy("words", planted.true, base={"name": base})
        gains.append(with_words - alone)
        assert isinstance(method, WordsPrior)
        assert method.blended.weights[1] > 0.1
        assert int(method.blended.clips) == CLASSES * per_class
    assert np.mean(gains) > 0.04


@pytest.mark.usefixtures("shapes_checked_elsewhere")
@pytest.mark.parametrize("base", ["ncm", "slda"])
def test_words_that_say_nothing_have_hardly_a_weight(base: str) -> None:
    planted = Planted(per_class=40)
    alone, _ = planted.accuracy(base)
    with_words, method = planted.accuracy("words", planted.noise, base={"name": base})
    assert isinstance(method, WordsPrior)
    # The true ones have 0.07 here.
    assert method.blended.weights[1] < 0.03
    # Of 240 clips: three standard errors of a share that changes its answer.
    assert abs(with_words - alone) < 0.02


def test_of_one_clip_a_class_words_decide_alone() -> None:
    planted = Planted(per_class=1)
    expected, _ = planted.accuracy("zero-shot", planted.true)
    found, method = planted.accuracy("words", planted.true, base={"name": "slda"})
    assert isinstance(method, WordsPrior)
    assert (found, method.blended.weights.tolist()) == (expected, [0, 1])


def test_a_class_is_cut_into_five_blocks_of_neighbours() -> None:
    slots = torch.tensor([7, 7, 3, 7, 7, 7, 9, 9, 7, 7, 7, 7, 7])
    assert blocks_of(slots)[slots == 7].tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    assert blocks_of(slots)[slots == 9].tolist() == [0, 2]
    assert blocks_of(slots)[slots == 3].tolist() == [-1]
    for clips in range(2, 30):
        counts = torch.bincount(blocks_of(torch.zeros(clips, dtype=torch.long)), minlength=5)
        assert counts.sum() == clips
        assert counts.max() - counts.min() <= 1
        assert counts.max() < clips
        assert bool(counts[-1]) == (clips >= 5), "a base that trains learns all clips of a smaller class"


def test_a_base_that_trains_learns_four_of_five_clips_and_is_weighed_on_the_fifth() -> None:
    method = es.build_method("words", dim=24, frames=8, base={"name": "finetune", "classifier": {"heads": 4}})
    assert isinstance(method, WordsPrior)
    (task,) = make_tasks([3], per_class=10)
    method.begin(task)
    (stage,) = method.stages(task)
    learned = stage.data().epoch(0)
    held = blocks_of(task.plain().slots) == 4
    assert len(learned) == 24
    assert int(held.sum()) == 6
    torch.testing.assert_close(
        learned.rows(torch.arange(24)).features, task.epoch(0).rows((~held).nonzero()[:, 0]).features
    )
    method.finish(task)
    assert int(method.blended.clips) == 6


def test_each_block_is_scored_by_a_base_that_has_not_learned_it(monkeypatch: pytest.MonkeyPatch) -> None:
    import essential.methods.words as module

    seen: list[tuple[set[str], set[str]]] = []

    def noted(base: Method, task: TaskData) -> Method:
        taught = base if isinstance(base, WordsPrior) else made(base, task)
        seen.append(({*task.plain().names}, set()))
        return taught

    def scored(method: Method, table: Any) -> Tensor:
        seen[-1][1].update(table.names)
        return scores(method, table)

    made, scores = module._taught, module.both_scores
    monkeypatch.setattr(module, "_taught", noted)
    monkeypatch.setattr(module, "both_scores", scored)
    planted = Planted(per_class=6)
    planted.accuracy("words", planted.true, base={"name": "ncm"})
    assert len(seen) == 15
    assert all(learned and held and not learned & held and len(learned | held) == 24 for learned, held in seen)


def test_settings_of_the_base_are_named_as_written() -> None:
    with pytest.raises(
        ConfigError, match=r"words go around a method that learns each task .*'temporal-consistency' is"
    ):
        load_config(
            "own/spectral",
            ["method.base={name: temporal-consistency, base: {name: icarl, frames_kept: 2}}"],
            method="words",
        )
    with pytest.raises(ConfigError, match=r"^method\.base\.coefficients: 9 is more than the clip's"):
        es.build_method("words", dim=4, frames=8, base={"name": "ncm", "clip": "dct", "coefficients": 9})
    with pytest.raises(ConfigError, match=r"'words' goes around another method; try method\.base\.clip"):
        load_config("own/spectral", ["method.clip=dct"], method="words")
    config = load_config("own/essential", method="words", budget_bytes=5000)
    assert config.method.base.budget_bytes == 5000  # type: ignore[attr-defined]


def test_words_that_are_missing_or_do_not_fit_are_refused_before_anything_is_learned() -> None:
    planted = Planted(per_class=2)
    tasks = es.tasks_from_arrays(planted.X, planted.y.numpy(), sizes=[12])
    with pytest.raises(DataError, match=r"tasks\[0\]: has no words of its classes"):
        es.run(es.build_method("zero-shot", dim=DIM, frames=FRAMES), tasks)
    with pytest.raises(ConfigError, match="the classes of task 0 have no words"):
        es.learn_task(es.build_method("zero-shot", dim=DIM, frames=FRAMES), tasks[0], es.TrainingConfig(device="cpu"))
    bad = planted.true.clone()
    bad[3] = 0
    for words, problem in (
        (es.Words(planted.true[:3], planted.projection), "has 3 vectors, for features of 24 numbers"),
        (es.Words(planted.true), "has 12 vectors, for features of 16 numbers"),
        (es.Words(planted.true * torch.nan, planted.projection), "has a number that is not finite"),
        (es.Words(planted.true, planted.projection, scale=0.0), "no positive scale"),
        (es.Words(bad, planted.projection), "has a vector of zeros"),
        ("wave", "is a str"),
    ):
        with pytest.raises(DataError, match=f"words: {problem}|words: .*{problem}"):
            es.tasks_from_arrays(planted.X, planted.y.numpy(), sizes=[12], words=words)  # type: ignore[arg-type]


@pytest.mark.parametrize(("name", "settings"), [("zero-shot", {}), ("words", {"base": {"name": "fecam"}})])
@pytest.mark.parametrize("projected", [True, False])
def test_an_export_gives_the_same_probabilities(name: str, settings: dict[str, Any], projected: bool) -> None:
    planted = Planted(per_class=4)
    words = es.Words(planted.true, planted.projection) if projected else es.Words(planted.true @ planted.projection)
    tasks = es.tasks_from_arrays(planted.X, planted.y.numpy(), sizes=[12], words=words)
    method = es.build_method(name, dim=DIM, frames=FRAMES, **settings)
    es.run(method, tasks, training={"device": "cpu"})
    labelled = LabelledPredictor(method.predictor, [str(slot) for slot in range(CLASSES)], 1.0, None)
    clips = planted.Xt[:9].astype(np.float32)
    program = torch.export.export(FeatureAnswer(labelled), (torch.from_numpy(clips),)).module()
    torch.testing.assert_close(
        program(torch.from_numpy(clips))[0].numpy(), labelled.answers(clips).probabilities.astype(np.float32)
    )
