"""Hold methods to their contract: every one that is shipped, and every plug-in that is installed, by itself."""

import copy
import os
import pickle
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import jaxtyping
import numpy as np
import pytest
import torch

from essential.contract.ranks_in_turns import in_turns
from essential.contract.small_methods import (
    CONFIGS,
    ONE_EPOCH,
    SHORT,
    TRAINING,
    begin,
    build,
    learn,
    learned,
    restarted,
    scores,
    stopped,
    tasks_for,
)
from essential.contract.synthetic_tasks import DIM, FRAMES, clips_of
from essential.engine.learn_task import EpochDone, Start, learn_task
from essential.engine.process_group import ProcessGroup, SingleProcess
from essential.errors import CheckpointError
from essential.files.sealed import Array
from essential.memory.ledger import total_by_kind
from essential.methods import METHODS
from essential.methods.contract import Method
from essential.methods.exemplars import MemoryConfig
from essential.records import MemoryBytes
from essential.records.training_log import EpochReport
from essential.seeded import torch_generator, torch_seeded

Test = TypeVar("Test", bound=Callable[..., None])
NUMERIC: list[Callable[..., None]] = []


def numeric(test: Test) -> Test:
    """Note in `NUMERIC` that what a test compares may depend on how the processor rounds."""
    NUMERIC.append(test)
    return test


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test for every method, for those that keep exemplars, or for all that are installed, broken ones too."""
    sections = {name: section.get("base", section) for name, section in CONFIGS.items()}
    keeping = [name for name, own in sections.items() if issubclass(METHODS[own["name"]].Config, MemoryConfig)]
    for argument, names in {"name": CONFIGS, "keeping": keeping, "listed": [*METHODS, *METHODS.broken()]}.items():
        if argument in metafunc.fixturenames:
            metafunc.parametrize(argument, sorted(names))


@pytest.fixture(autouse=True)
def few_threads() -> Iterator[None]:
    """Give torch one thread, or `OMP_NUM_THREADS`: on tiny tensors, more of them only wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    yield
    torch.set_num_threads(before)


@pytest.fixture
def unchecked_shapes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Check no shapes at run time, where they are checked: other tests take the same steps, and it halves the time."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


@pytest.fixture
def doubles() -> Iterator[None]:
    """Compute in float64: AdamW divides a gradient by its size, and in float32 a small one's step is all rounding."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def assert_same_state(state: Mapping[str, Array], expected: Mapping[str, Array]) -> None:
    """Compare two states to the bit."""
    assert state.keys() == expected.keys()
    for key, array in expected.items():
        np.testing.assert_array_equal(state[key], array, key)


def test_it_can_be_used(listed: str) -> None:
    assert METHODS.load(listed).Config.model_fields["name"].default == listed
    assert listed not in METHODS.broken()


def test_scores_the_slots_seen_and_no_others_and_reads_no_old_training_clips(name: str) -> None:
    method = build(name)
    for task, seen in zip(tasks_for(method, [3, 1, 4]), [3, 4, 8], strict=True):
        learn(method, task)
        task.closed = True
        assert scores(method, 8).shape == (8, seen)
        assert torch.isfinite(scores(method, 8)).all()


def test_every_loss_is_finite_and_what_trains_has_a_gradient(name: str) -> None:
    method = build(name)
    for task in tasks_for(method, [2, 2]):
        begin(method, task)
        for stage in method.stages(task):
            method.network.requires_grad_(False)
            for module in stage.trains:
                module.requires_grad_(True).train()
            stage.prepare()
            batch = stage.data().epoch(0).rows(torch.arange(4))
            with torch_seeded("dropout"):
                terms = [*method.losses(stage.name, batch, generator=torch_generator(0))]
            torch.stack([term.value * term.weight for term in terms]).sum().backward()
            for parameter in method.network.parameters():
                if parameter.requires_grad:
                    assert parameter.grad is not None
                    assert torch.isfinite(parameter.grad).all()
                else:
                    assert parameter.grad is None
                parameter.grad = None
        learn(method, task, start=Start(task.index))


def test_losses_change_neither_the_batch_nor_the_method_and_draw_only_where_they_say(name: str) -> None:
    method = build(name)
    for task in tasks_for(method, [2, 2]):
        begin(method, task)
        for stage in method.stages(task):
            stage.prepare()
            batch = stage.data().epoch(0).rows(torch.arange(4))
            features, slots, state = batch.features.clone(), batch.slots.clone(), copy.deepcopy(method.state_dict())
            generator = torch_generator(0)
            undrawn = generator.get_state()
            list(method.losses(stage.name, batch, generator=generator))
            assert not stage.steady or torch.equal(generator.get_state(), undrawn)
            assert torch.equal(features, batch.features)
            assert torch.equal(slots, batch.slots)
            assert_same_state(method.state_dict(), state)
        learn(method, task, start=Start(task.index))


@numeric
def test_the_tokens_of_all_frames_give_the_scores_of_a_dense_clip(name: str) -> None:
    method = learned(name)
    clips, every = clips_of(torch.arange(5), seed=9), torch.arange(FRAMES).expand(5, -1)
    with torch.no_grad():
        tokens = method.predictor.eval().tokens(clips, every)
        by_tokens = method.predictor.by_tokens(tokens)
    assert len(tokens) == 5
    if by_tokens is not None:
        torch.testing.assert_close(by_tokens, scores(method, 5))


@numeric
def test_what_is_rebuilt_of_exemplars_is_dense_and_asking_changes_nothing(name: str) -> None:
    method = learned(name)
    before, memory = copy.deepcopy(method.state_dict()), method.memory
    rebuilt = method.rebuilt(memory)
    if rebuilt is not None:
        assert rebuilt.shape == (len(memory), FRAMES, DIM)
        assert not rebuilt.requires_grad
        some = torch.arange(len(memory)).flip(0)[::2]
        torch.testing.assert_close(method.rebuilt(memory.take(some)), rebuilt[some])
    assert_same_state(method.state_dict(), before)


@numeric
@pytest.mark.usefixtures("unchecked_shapes")
def test_a_restart_after_any_stage_changes_nothing(name: str) -> None:
    straight, method = build(name), build(name)
    for task in tasks_for(straight, [2, 3, 1]):
        learn(straight, task)
        begin(method, task)
        method = restarted(name, method.state_dict())
        stages = len(method.stages(task))
        for index in range(stages):
            method, _ = stopped(name, method, task, index, inside=False)
        learn(method, task, start=Start(task.index, stages))
        method = restarted(name, method.state_dict())
    assert torch.equal(scores(straight, 6), scores(method, 6))
    assert straight.memory.names == method.memory.names


@numeric
@pytest.mark.usefixtures("unchecked_shapes")
def test_a_restart_inside_a_stage_changes_nothing(name: str) -> None:
    straight, method = build(name), build(name)
    first, second = tasks_for(straight, [2, 2])
    learn(straight, first)
    before = copy.deepcopy(straight.state_dict())
    learn(straight, second)
    method.load_state_dict(before)
    begin(method, second)
    for index in range(len(method.stages(second))):
        # What the stages before have left, then one epoch more.
        begun = restarted(name, method.state_dict())
        resumed, start = stopped(name, begun, second, index, inside=True)
        learn(resumed, second, start=start)
        assert torch.equal(scores(straight, 4), scores(resumed, 4)), index
        method, _ = stopped(name, method, second, index, inside=False)


@numeric
@pytest.mark.usefixtures("unchecked_shapes")
def test_a_memory_in_few_bits_is_the_same_after_a_restart_and_is_of_one_setting(keeping: str) -> None:
    settings: dict[str, Any] = {"memory_bits": 2, **ONE_EPOCH}
    straight, method = build(keeping, **settings), build(keeping, **settings)
    method.load_state_dict(straight.state_dict())
    for task in tasks_for(straight, [2, 1, 2]):
        learn(straight, task, training=SHORT)
        learn(method, task, training=SHORT)
        state, method = method.state_dict(), build(keeping, **settings)
        method.load_state_dict(state)
        assert_same_state(method.state_dict(), straight.state_dict())
        assert torch.equal(method.memory.features, straight.memory.features)
        assert torch.equal(method.memory.logits.isnan(), straight.memory.logits.isnan())
    with pytest.raises(CheckpointError, match=r"2 bits a number, and method\.memory_bits is 4"):
        build(keeping, memory_bits=4).load_state_dict(state)
    with pytest.raises(CheckpointError, match="another rotation"):
        build(keeping, seed=1, memory_bits=2).load_state_dict(state)


@numeric
@pytest.mark.usefixtures("unchecked_shapes")
def test_a_copy_and_a_pickle_learn_apart_from_the_original(name: str) -> None:
    original = build(name)
    first, second = tasks_for(original, [2, 2])
    learn(original, first, training=SHORT)
    state = copy.deepcopy(original.state_dict())
    copies = [restarted(name, state), copy.deepcopy(original), pickle.loads(pickle.dumps(original))]
    for method in copies:
        assert_same_state(method.state_dict(), state)
        learn(method, second, training=SHORT)
        assert_same_state(method.state_dict(), copies[0].state_dict())
    assert_same_state(original.state_dict(), state)


@numeric
@pytest.mark.usefixtures("unchecked_shapes")
def test_the_same_seed_gives_the_same_numbers_and_another_gives_others(name: str) -> None:
    results = []
    for seed in (1, 1, 2):
        method = build(name, seed=seed, **ONE_EPOCH)
        for task in tasks_for(method, [2, 2]):
            learn(method, task, training=SHORT)
        results.append(scores(method, 4))
    assert torch.equal(results[0], results[1])
    assert torch.equal(results[0], results[2]) == method.draws_nothing


@numeric
@pytest.mark.usefixtures("unchecked_shapes", "doubles")
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
    # what the steps make of each other's errors has the rest of 1e-8. No order of sums comes near that in float64,
    # where the rounding of a gradient near 1 is 1e-16, which AdamW's epsilon of 1e-8 keeps below 1e-8 of a step.
    (alone, reports), together = run(SingleProcess()), in_turns(run)
    for method, of_both in together:
        assert method.memory.names == alone.memory.names
        for report, of_one in zip(of_both, reports, strict=True):
            assert report.losses == pytest.approx(of_one.losses, rel=1e-6)
        state = method.state_dict()
        for key, array in alone.state_dict().items():
            np.testing.assert_allclose(state[key], array, rtol=0, atol=1e-8, err_msg=key)
    assert torch.equal(*(scores(method, 4) for method, _ in together))


@numeric
def test_the_predictor_alone_gives_the_same_scores(name: str) -> None:
    method = learned(name)
    fresh = build(name, seed=5)
    fresh.load_predictor({key: value.clone() for key, value in method.predictor.state_dict().items()})
    assert torch.equal(scores(method, 5), scores(fresh, 5))


def test_batch_of_one_and_a_single_clip_per_class(name: str) -> None:
    method = build(name)
    for task in tasks_for(method, [1, 2], per_class=1):
        learn(method, task)
    assert method.predictor(clips_of(torch.tensor([0]))).shape == (1, 3)


@pytest.mark.usefixtures("unchecked_shapes")
def test_more_than_a_hundred_classes(name: str) -> None:
    training = SHORT.model_copy(update={"batch_size": 64})
    method = build(name, exemplars_per_class=1, **ONE_EPOCH)
    for task in tasks_for(method, [101, 20], per_class=1):
        learn(method, task, training=training)
    assert scores(method, 121).shape == (121, 121)


@pytest.mark.parametrize("bits", [32, 4])
@pytest.mark.usefixtures("unchecked_shapes")
def test_memory_never_exceeds_its_budget(keeping: str, bits: int, tmp_path: Path) -> None:
    budget = 9000
    method = build(keeping, budget_bytes=budget, exemplars_per_class=50, memory_bits=bits)
    used = []

    def count(_: EpochDone | None = None) -> None:
        used.append(MemoryBytes.model_validate(total_by_kind(method.ledger())).budgeted)

    for task in tasks_for(method, [2, 1, 1]):
        begin(method, task)
        count()
        learn_task(method, task, TRAINING, start=Start(task.index), on_epoch=count)
        count()
        prompts = sum(entry.bytes for entry in method.ledger() if entry.kind == "semantic")
        assert method.memory.write(tmp_path / "memory.safetensors") == used[-1] - prompts
        assert method.memory.slots.unique().tolist() == list(range(task.slots.stop))
    assert max(used) <= budget


@pytest.mark.usefixtures("unchecked_shapes")
def test_learns_an_easy_task_after_another(name: str) -> None:
    training = TRAINING.model_copy(update={"epochs": 15, "learning_rate": 5e-3})
    method = build(name, rehearsal_epochs=15)
    for task in tasks_for(method, [2, 3], per_class=12):
        learn(method, task, training=training)
    # Of the last task alone: what becomes of the first one is what methods differ in.
    assert scores(method, 5)[2:, 2:].argmax(dim=1).tolist() == [0, 1, 2]
