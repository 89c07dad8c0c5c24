"""The schedule and the steps of the one training loop; what methods need of it is in the contract test."""

import itertools
import math

import numpy as np
import pytest
import torch
from torch import nn

from essential.contract.synthetic_tasks import SyntheticTask, make_tasks
from essential.engine.learn_task import Start, fit, learn_task, learning_rates, steps_per_epoch
from essential.engine.settings import TrainingConfig
from essential.errors import DataError, TrainingError
from essential.methods import build_method
from essential.methods.bounds import Finetune, FinetuneConfig
from essential.methods.contract import Batch, LossTerm, Stage

CPU = torch.device("cpu")


def test_the_schedule_of_the_published_recipe() -> None:
    training = TrainingConfig(batch_size=24, learning_rate=1e-3, warmup_epochs=5)
    rates = learning_rates(300, 10, training)
    peak = 1e-3 * 24 / 256
    assert peak == pytest.approx(9.375e-5)
    assert rates[0] == 0.0
    assert rates[49] == pytest.approx(peak)
    assert rates[50] == pytest.approx(peak)
    assert rates[175] == pytest.approx((peak + 1e-6 * 24 / 256) / 2)
    assert len(rates) == 300
    assert all(a < b for a, b in itertools.pairwise(rates[:50]))
    assert all(a > b for a, b in itertools.pairwise(rates[50:]))


@pytest.mark.parametrize(("epochs", "warmup"), [(1, 0), (1, 1), (2, 5), (1, 5)])
def test_short_schedules_are_finite_and_complete(epochs: int, warmup: int) -> None:
    rates = learning_rates(epochs * 3, 3, TrainingConfig(warmup_epochs=warmup))
    assert len(rates) == epochs * 3
    assert all(math.isfinite(rate) and rate >= 0 for rate in rates)


@pytest.mark.parametrize(("clips", "drop", "expected"), [(48, True, 2), (50, True, 2), (50, False, 3), (5, True, 1)])
def test_steps_per_epoch(clips: int, drop: bool, expected: int) -> None:
    assert steps_per_epoch(clips, TrainingConfig(batch_size=24, drop_last=drop)) == expected


class _Recorder(Finetune):
    """Finetune that notes which clips it was given, and can be made to give a NaN."""

    def __init__(self) -> None:
        super().__init__(FinetuneConfig.model_validate({"classifier": {"heads": 4}}), dim=24, frames=8, seed=0)
        self.seen: list[torch.Tensor] = []
        self.poison = 1.0

    def losses(self, stage: str, batch: Batch, *, generator: torch.Generator) -> list[LossTerm]:
        self.seen.append(batch.features[:, 0, 0].clone())
        [term] = super().losses(stage, batch, generator=generator)
        return [LossTerm(term.name, term.value * self.poison)]


def _fit(method: _Recorder, training: TrainingConfig, trains: list[nn.Module] | None = None) -> None:
    task = make_tasks([3])[0]
    method.begin(task)
    stage = Stage("task", lambda: task, trains or [method.classifier], training.epochs)
    fit(method, stage, training.model_copy(update={"device": "cpu"}), start=Start(0), on_epoch=lambda _: None)


def test_an_epoch_gives_every_clip_once_in_another_order_each_time() -> None:
    method = _Recorder()
    _fit(method, TrainingConfig(epochs=2, batch_size=6))
    assert [len(batch) for batch in method.seen] == [6, 6, 6, 6, 6, 6]
    views = [torch.cat(method.seen[:3]), torch.cat(method.seen[3:])]
    assert all(len(view.unique()) == 18 for view in views)
    assert not torch.equal(views[0].argsort(), views[1].argsort())


def test_what_does_not_train_keeps_its_values() -> None:
    method = _Recorder()
    frozen = {name: p.clone() for name, p in method.classifier.encoder.named_parameters()}
    training = TrainingConfig(epochs=2, batch_size=6, warmup_epochs=0)
    _fit(method, training, [method.classifier.head])
    after = dict(method.classifier.encoder.named_parameters())
    assert all(torch.equal(frozen[name], after[name]) for name in frozen)
    assert method.classifier.head.bias.abs().sum() > 0


def test_a_loss_that_is_not_finite_names_the_place() -> None:
    method = _Recorder()
    method.poison = math.nan
    with pytest.raises(TrainingError, match=r"task 0, stage 'task', epoch 1: classification = nan; lower"):
        _fit(method, TrainingConfig(epochs=2))


@pytest.mark.parametrize("epochs", [0, -1])
def test_a_stage_of_no_epoch_is_refused(epochs: int) -> None:
    with pytest.raises(ValueError, match=rf"^the stage 'memory' has epochs={epochs}; give 1 or more, or leave it out"):
        Stage("memory", list, [], epochs)  # type: ignore[arg-type]


def test_a_stage_without_clips_is_refused() -> None:
    method = build_method(FinetuneConfig.model_validate({"classifier": {"heads": 4}}), dim=24, frames=8, seed=0)
    task = make_tasks([2], per_class=0)[0]
    method.begin(task)
    with pytest.raises(DataError, match="stage 'task' has no clip to learn from"):
        fit(method, method.stages(task)[0], TrainingConfig(device="cpu"), start=Start(0), on_epoch=lambda _: None)


def test_a_task_that_is_not_the_next_one_is_refused_and_changes_nothing() -> None:
    config = FinetuneConfig.model_validate({"classifier": {"heads": 4}})
    training = TrainingConfig(epochs=1, batch_size=6, device="cpu", threads=1)
    method = build_method(config, dim=24, frames=8, seed=0)
    first, second, third = make_tasks([2, 2, 2])

    def refused(message: str, *tasks: SyntheticTask, start: Start | None = None) -> None:
        before = method.state_dict()
        for task in tasks:
            with pytest.raises(DataError, match=message) as raised:
                learn_task(method, task, training, start=start)
            assert raised.value.where is not None
            assert raised.value.remedy is not None
        assert len(method.slots) == learned
        assert all(np.array_equal(array, before[name]) for name, array in method.state_dict().items())

    learned = 0
    refused("^task: is task 1, but the method has begun 0 tasks: task 0 is the next; give each task once", second)
    learn_task(method, first, training)
    learned = 1
    refused("^task: is task [02], but the method has begun 1 tasks: task 1 is the next", first, third)
    refused("^task: is task 2, but the method has begun 1 tasks", third, start=Start(2))
    refused("^start: is of task 0, but the task is 1; give its own", second, start=Start(0))
    method.begin(second)
    learn_task(method, second, training, start=Start(1))
    learned = 2
    refused("^task: is task [01], but the method has begun 2 tasks: task 2 is the next", first, second)
    refused("^task: is task 0, but the method has begun 2 tasks", first, start=Start(0))
    learn_task(method, third, training, start=Start(2))
    assert len(method.slots) == 3
