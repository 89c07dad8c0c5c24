"""What every method must do. Every method that is shipped is here by itself; further ways of one are in `MODES`."""

import copy
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import TypeAdapter

from essential.configs.shipped import method_section, shipped_methods
from essential.engine.fit import EpochReport, StageStart, fit, optimizer_state
from essential.engine.learn_task import learn_task
from essential.engine.process_group import ProcessGroup, SingleProcess
from essential.engine.settings import TrainingConfig
from essential.memory.ledger import total_by_kind
from essential.methods import METHODS, MethodConfig, build_method
from essential.methods.contract import Batch, Method
from essential.models.seeded import torch_generator, torch_seeded
from essential.records import MemoryBytes
from ranks_in_turns import in_turns
from synthetic_tasks import SyntheticTask, clips_of, make_tasks

# What makes a method small, where it has such a setting.
SMALL = {
    "classifier": {"heads": 4},
    "exemplars_per_class": 3,
    "rehearsal_epochs": 2,
    "bias_epochs": 3,
    "balance_epochs": 2,
    "random_features": 150,
}
# Ways of a method that no shipped config chooses.
MODES: dict[str, dict[str, Any]] = {
    "bic-vclimb": {"name": "bic", "reading": "vclimb"},
    "der-sparse": {"name": "der", "frames_kept": 2},
    "essential-confident": {"name": "essential", "policy": "highest-confidence"},
    "essential-every-step": {"name": "essential", "retrieve": "every-step"},
    "essential-global": {"name": "essential", "memory_mode": "global"},
    "essential-identity": {"name": "essential", "memory_mode": "identity"},
    "essential-mlp": {"name": "essential", "prompt_mode": "mlp"},
    "essential-released": {"name": "essential", "reading": "released"},
    "essential-self": {"name": "essential", "prompt_mode": "self"},
    "icarl-sparse": {"name": "icarl", "frames_kept": 2},
    "fecam-class": {"name": "fecam", "covariance": "class"},
    "fecam-shared": {"name": "fecam", "covariance": "shared"},
    "podnet-two-layers": {"name": "podnet", "classifier": {"heads": 4, "layers": 2}},
    "replay-herding": {"name": "replay", "policy": "herding"},
    "replay-reservoir": {"name": "replay", "rehearsal": "mixed", "frames_kept": 2, "policy": "reservoir"},
    **{
        f"temporal-consistency-{base}": {
            "name": "temporal-consistency",
            "base": {"name": base, "frames_kept": 3, "frame_policy": "uniform"},
        }
        for base in ("bic", "der", "icarl", "ucir")
    },
    "temporal-consistency-frames": {
        "name": "temporal-consistency",
        "frames": 3,
        "base": {"name": "replay", "rehearsal": "mixed"},
    },
}


def _small(section: dict[str, Any]) -> dict[str, Any]:
    known = METHODS[section["name"]].Config.model_fields
    nested = {"base": _small(section["base"])} if "base" in section else {}
    return {key: value for key, value in SMALL.items() if key in known} | section | nested


CONFIGS = {name: _small(section) for name, section in MODES.items()}
CONFIGS |= {name: _small(method_section(name)) for name in shipped_methods()}


def _rehearsing(section: dict[str, Any]) -> dict[str, Any]:
    """Return the part of a method's settings that speaks of exemplars: a wrapper's base has them."""
    return section.get("base", section)


TRAINING = TrainingConfig(epochs=2, batch_size=8, warmup_epochs=1, scale_learning_rate=False, device="cpu")
# One epoch of everything, for what does not depend on more.
SHORT = TRAINING.model_copy(update={"epochs": 1, "warmup_epochs": 0})
ONE_EPOCH = {"rehearsal_epochs": 1, "balance_epochs": 1, "bias_epochs": 1}
CPU = torch.device("cpu")

KEEPS_EXEMPLARS = sorted(name for name, config in CONFIGS.items() if "exemplars_per_class" in _rehearsing(config))
every_method = pytest.mark.parametrize("name", sorted(CONFIGS))
shapes_checked_elsewhere = pytest.mark.usefixtures("shapes_checked_elsewhere")


def _changed(section: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Change settings where the method has them."""
    if "base" in section:
        return section | {"base": _changed(section["base"], changes)}
    known = METHODS[section["name"]].Config.model_fields
    return section | {key: value for key, value in changes.items() if key in known}


def build(name: str, *, seed: int = 0, **changes: Any) -> Method:
    config = TypeAdapter(MethodConfig).validate_python(_changed(CONFIGS[name], changes))
    return build_method(config, dim=24, frames=8, seed=seed)


def tasks_for(method: Method, sizes: Sequence[int], **settings: int) -> list[SyntheticTask]:
    return make_tasks(sizes, all_tasks=method.needs_all_tasks, **settings)


def learn(
    method: Method, task: SyntheticTask, *, training: TrainingConfig = TRAINING, group: ProcessGroup | None = None
) -> list[EpochReport]:
    """Let it learn one task, as a run does."""
    reports: list[EpochReport] = []
    learn_task(method, task, training, on_epoch=lambda done: reports.append(done.report), group=group)
    return reports


def train(
    method: Method,
    task: SyntheticTask,
    *,
    stages: slice = slice(None),
    training: TrainingConfig = TRAINING,
    group: ProcessGroup | None = None,
) -> list[EpochReport]:
    """Go through stages of a task, all or some, without what comes before and after."""
    reports: list[EpochReport] = []
    for stage in list(method.stages(task))[stages]:
        fit(
            method,
            stage,
            training=training,
            device=CPU,
            task=task.index,
            start=StageStart(),
            on_epoch=lambda report, _: reports.append(report),
            group=group,
        )
    return reports


@cache
def learned(name: str) -> Method:
    """Return a method that has learned two tasks, the same one for all tests that only ask."""
    method = build(name)
    for task in tasks_for(method, [2, 3]):
        learn(method, task)
    return method


def from_state_of(method: Method, name: str) -> Method:
    restarted = build(name)
    restarted.load_state_dict(copy.deepcopy(method.state_dict()))
    return restarted


def scores(method: Method, slots: int) -> torch.Tensor:
    method.predictor.eval()
    with torch.no_grad():
        result: torch.Tensor = method.predictor(clips_of(torch.arange(slots), seed=9))
    return result


def test_every_method_has_a_config_that_is_shipped() -> None:
    assert {method_section(name)["name"] for name in shipped_methods()} == set(METHODS)


@every_method
def test_scores_the_slots_seen_and_no_others_and_reads_no_old_training_clips(name: str) -> None:
    method = build(name)
    for task, seen in zip(tasks_for(method, [3, 1, 4]), [3, 4, 8], strict=True):
        learn(method, task)
        task.closed = True
        assert scores(method, 8).shape == (8, seen)
        assert torch.isfinite(scores(method, 8)).all()


@every_method
def test_every_loss_is_finite_and_what_trains_has_a_gradient(name: str) -> None:
    method = build(name)
    for task in tasks_for(method, [2, 2]):
        method.begin(task)
        for stage in method.stages(task):
            method.network.requires_grad_(False)
            for module in stage.trains:
                module.requires_grad_(True).train()
            stage.prepare()
            batch = stage.data().epoch(0).rows(torch.arange(4))
            with torch_seeded("dropout"):
                terms = [*method.losses(stage.name, batch, generator=torch_generator(0))]
            assert terms
            sum(term.value * term.weight for term in terms).backward()
            for parameter in method.network.parameters():
                if parameter.requires_grad:
                    assert parameter.grad is not None
                    assert torch.isfinite(parameter.grad).all()
                else:
                    assert parameter.grad is None
                parameter.grad = None
        train(method, task)
        method.finish(task)


@every_method
def test_losses_change_neither_the_batch_nor_the_method_and_draw_only_where_they_say(name: str) -> None:
    method = build(name)
    for task in tasks_for(method, [2, 2]):
        method.begin(task)
        for stage in method.stages(task):
            stage.prepare()
            batch = stage.data().epoch(0).rows(torch.arange(4))
            before = copy.deepcopy(batch), copy.deepcopy(method.state_dict())
            generator = torch_generator(0)
            undrawn = generator.get_state()
            list(method.losses(stage.name, batch, generator=generator))
            assert not stage.steady or torch.equal(generator.get_state(), undrawn)
            assert torch.equal(before[0].features, batch.features)
            assert torch.equal(before[0].slots, batch.slots)
            after = method.state_dict()
            assert before[1].keys() == after.keys()
            for key, array in after.items():
                np.testing.assert_array_equal(before[1][key], array, key)
        train(method, task)
        method.finish(task)


@pytest.mark.numeric
@every_method
def test_the_tokens_of_all_frames_give_the_scores_of_a_dense_clip(name: str) -> None:
    method = learned(name)
    clips, every = clips_of(torch.arange(5), seed=9), torch.arange(8).expand(5, -1)
    with torch.no_grad():
        tokens = method.predictor.eval().tokens(clips, every)
        by_tokens = method.predictor.by_tokens(tokens)
    assert tokens.shape == (5, 24)
    assert (by_tokens is None) == (method.predictor.reading == "closed-form")
    if by_tokens is not None:
        torch.testing.assert_close(by_tokens, scores(method, 5))


@pytest.mark.numeric
@every_method
def test_what_is_rebuilt_of_exemplars_is_dense_and_asking_changes_nothing(name: str) -> None:
    method = learned(name)
    before, memory = copy.deepcopy(method.state_dict()), method.memory
    rebuilt = method.rebuilt(memory)
    assert (rebuilt is not None) == (name.startswith("essential") and name != "essential-identity")
    if rebuilt is not None:
        assert rebuilt.shape == (len(memory), 8, 24)
        assert not rebuilt.requires_grad
        some = torch.arange(len(memory)).flip(0)[::2]
        part = method.rebuilt(memory.take(some))
        torch.testing.assert_close(part, rebuilt[some])
    after = method.state_dict()
    for key, array in after.items():
        np.testing.assert_array_equal(before[key], array, key)


@pytest.mark.numeric
@shapes_checked_elsewhere
@every_method
def test_a_restart_after_any_stage_changes_nothing(name: str) -> None:
    straight = build(name)
    tasks = tasks_for(straight, [2, 3, 1])
    for task in tasks:
        learn(straight, task)
    restarted = build(name)
    for task in tasks:
        restarted.begin(task)
        for index in range(len(list(restarted.stages(task)))):
            train(restarted, task, stages=slice(index, index + 1))
            restarted = from_state_of(restarted, name)
        restarted.finish(task)
        restarted = from_state_of(restarted, name)
    assert torch.equal(scores(straight, 6), scores(restarted, 6))
    assert straight.memory.names == restarted.memory.names


@pytest.mark.numeric
@shapes_checked_elsewhere
@every_method
def test_a_restart_inside_a_stage_changes_nothing(name: str) -> None:
    straight = build(name)
    first, second = tasks_for(straight, [2, 2])
    learn(straight, first)
    before = copy.deepcopy(straight.state_dict())
    learn(straight, second)
    # A method without stages can be stopped only before its `finish`.
    for stop in range(max(1, len(straight.stages(second)))):
        stopped = build(name)
        stopped.load_state_dict(copy.deepcopy(before))
        stopped.begin(second)
        state, start = _stop_inside(stopped, second, stop)
        resumed = build(name)
        resumed.load_state_dict(state)
        run = {
            "training": TRAINING,
            "device": CPU,
            "task": second.index,
            "on_epoch": lambda *_: None,
        }
        for index, stage in enumerate(resumed.stages(second)):
            if index >= stop:
                fit(resumed, stage, start=start if index == stop else StageStart(), **run)
        resumed.finish(second)
        assert torch.equal(scores(straight, 4), scores(resumed, 4)), stop


def _stop_inside(method: Method, task: SyntheticTask, stop: int) -> tuple[dict[str, Any], StageStart]:
    """Train until the first epoch of stage `stop` is done; return the state there and how to go on."""
    saved: list[tuple[dict[str, Any], StageStart]] = [(copy.deepcopy(method.state_dict()), StageStart())]

    def save(report: EpochReport, optimizer: torch.optim.Optimizer) -> None:
        start = StageStart(report.epoch + 1, copy.deepcopy(optimizer_state(optimizer)))
        saved.append((copy.deepcopy(method.state_dict()), start))

    for index, stage in enumerate(list(method.stages(task))[: stop + 1]):
        del saved[1:]
        run = {"training": TRAINING, "device": CPU, "task": task.index, "start": StageStart()}
        fit(method, stage, on_epoch=save, **run)
        assert len(saved) == 1 + (stage.epochs or TRAINING.epochs), index
    return saved[min(1, len(saved) - 1)]


@pytest.mark.numeric
@shapes_checked_elsewhere
@every_method
def test_the_same_seed_gives_the_same_numbers_and_another_gives_others(name: str) -> None:
    results = []
    for seed in (1, 1, 2):
        method = build(name, seed=seed, **ONE_EPOCH)
        for task in tasks_for(method, [2, 2]):
            learn(method, task, training=SHORT)
        results.append(scores(method, 4))
    assert torch.equal(results[0], results[1])
    assert torch.equal(results[0], results[2]) == method.draws_nothing


@pytest.mark.numeric
@pytest.mark.usefixtures("float64")
@shapes_checked_elsewhere
@every_method
def test_two_ranks_learn_what_one_does(name: str) -> None:
    # Six clips, then three: batches that two ranks cannot share evenly, and one of a single clip.
    training = SHORT.model_copy(update={"batch_size": 5, "drop_last": False})

    def run(group: ProcessGroup) -> tuple[Method, list[EpochReport]]:
        method, reports = build(name, **ONE_EPOCH), []
        for task in tasks_for(method, [2, 1, 1], per_class=3):
            reports += learn(method, task, training=training, group=group)
        return method, reports

    # The share of a batch that weighs a rank's loss, and an epoch's losses, are float32: off by up to 2^-24 of
    # themselves. So a step of AdamW may be off by as much of its rate, 1e-3 at most, and all 20 by 1.2e-9 together;
    # what the steps make of each other's errors has the rest of 1e-8. No order of sums comes near that in float64.
    (alone, reports), together = run(SingleProcess()), in_turns(run)
    for method, told in together:
        assert method.memory.names == alone.memory.names
        for report, of_one in zip(told, reports, strict=True):
            assert report.losses == pytest.approx(of_one.losses, rel=1e-6)
        state = method.state_dict()
        for key, array in alone.state_dict().items():
            np.testing.assert_allclose(state[key], array, rtol=0, atol=1e-8, err_msg=key)
    assert torch.equal(*(scores(method, 4) for method, _ in together))


@every_method
def test_a_steady_stage_leaves_the_generator_of_the_cpu_alone(name: str) -> None:
    method = build(name)
    first, second = tasks_for(method, [2, 2])
    learn(method, first)
    method.begin(second)
    for stage in method.stages(second):
        stage.prepare()
        rows = stage.data().epoch(0).rows(torch.arange(2))
        generator = torch.Generator().manual_seed(0)
        before = generator.get_state()
        method.losses(stage.name, rows, generator=generator)
        if stage.steady:
            assert torch.equal(generator.get_state(), before), stage.name


@every_method
def test_old_training_clips_are_never_read_again(name: str) -> None:
    method = build(name)
    for task in tasks_for(method, [2, 2, 2]):
        learn(method, task)
        task.closed = True


@pytest.mark.numeric
@every_method
def test_the_predictor_alone_gives_the_same_scores(name: str) -> None:
    method = learned(name)
    fresh = build(name, seed=5)
    fresh.load_predictor({key: value.clone() for key, value in method.predictor.state_dict().items()})
    assert torch.equal(scores(method, 5), scores(fresh, 5))


@every_method
def test_batch_of_one_and_a_single_clip_per_class(name: str) -> None:
    method = build(name)
    for task in tasks_for(method, [1, 2], per_class=1):
        learn(method, task)
    assert method.predictor(clips_of(torch.tensor([0]))).shape == (1, 3)


@every_method
def test_more_than_a_hundred_classes(name: str) -> None:
    training = SHORT.model_copy(update={"batch_size": 64})
    method = build(name, exemplars_per_class=1, **ONE_EPOCH)
    for task in tasks_for(method, [101, 20], per_class=1):
        learn(method, task, training=training)
    assert scores(method, 121).shape == (121, 121)


@pytest.mark.parametrize("name", KEEPS_EXEMPLARS)
def test_memory_never_exceeds_its_budget(name: str, tmp_path: Any) -> None:
    budget = 9000
    method = build(name, budget_bytes=budget, exemplars_per_class=50)
    for task in tasks_for(method, [2, 1, 1]):
        method.begin(task)
        assert MemoryBytes(**total_by_kind(method.ledger())).budgeted <= budget
        for index in range(len(method.stages(task))):
            train(method, task, stages=slice(index, index + 1))
            assert MemoryBytes(**total_by_kind(method.ledger())).budgeted <= budget
        method.finish(task)
        counted = MemoryBytes(**total_by_kind(method.ledger())).budgeted
        assert counted <= budget
        prompts = sum(entry.bytes for entry in method.ledger() if entry.kind == "semantic")
        assert method.memory.write(tmp_path / "memory.safetensors") == counted - prompts
        assert len(method.memory) > 0
        assert method.memory.slots.unique().tolist() == list(range(task.slots.stop))


@shapes_checked_elsewhere
@every_method
def test_learns_an_easy_task_after_another(name: str) -> None:
    training = TRAINING.model_copy(update={"epochs": 15, "learning_rate": 5e-3})
    method = build(name, rehearsal_epochs=15)
    for task in tasks_for(method, [2, 3], per_class=12):
        learn(method, task, training=training)
    # Of the last task alone: what becomes of the first one is what methods differ in.
    predicted = scores(method, 5)[2:, 2:].argmax(dim=1)
    assert predicted.tolist() == [0, 1, 2]


def test_a_batch_goes_to_a_device() -> None:
    batch = Batch(
        torch.zeros(1, 2, 3),
        torch.zeros(1, 2, dtype=torch.long),
        torch.zeros(1, dtype=torch.long),
        torch.zeros(1, dtype=torch.long),
    )
    assert batch.to(CPU).features.device == CPU
