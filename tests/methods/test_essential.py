"""ESSENTIAL's rehearsal: what its frozen modules rebuild, when, and what is learned from it."""

import pytest
import torch
from pydantic import TypeAdapter

from essential.contract.synthetic_tasks import SyntheticTask, make_tasks
from essential.engine.learn_task import Start, fit
from essential.engine.settings import TrainingConfig
from essential.methods import MethodConfig, build_method
from essential.methods.contract import Stage
from essential.methods.essential import Essential
from essential.models.memory_retrieval import MemoryRetrieval
from essential.records.training_log import EpochReport
from essential.seeded import torch_generator

pytestmark = [pytest.mark.numeric, pytest.mark.usefixtures("float64")]

QUIET_CLASSIFIER = {"heads": 4, "dropout": 0.0, "drop_path": 0.0}
TRAINING = TrainingConfig(epochs=2, batch_size=8, warmup_epochs=1, scale_learning_rate=False, device="cpu")


def _method(**settings: object) -> Essential:
    section = {"name": "essential", "exemplars_per_class": 3, "rehearsal_epochs": 2, "classifier": QUIET_CLASSIFIER}
    config = TypeAdapter(MethodConfig).validate_python(section | settings)
    method = build_method(config, dim=24, frames=8, seed=0)
    assert isinstance(method, Essential)
    return method


def _fit(method: Essential, stage: Stage, task: SyntheticTask, start: Start | None = None) -> list[EpochReport]:
    reports: list[EpochReport] = []
    start = start or Start(task.index)
    fit(method, stage, TRAINING, start=start, on_epoch=lambda done: reports.append(done.report))
    return reports


def _before_the_last_rehearsal(method: Essential) -> Stage:
    """Learn two tasks, and a third up to its rehearsal stage, which is prepared and returned."""
    tasks = make_tasks([2, 1, 2])
    for task in tasks[:2]:
        method.begin(task)
        for stage in method.stages(task):
            _fit(method, stage, task)
        method.finish(task)
    method.begin(tasks[2])
    learning, rehearsal = method.stages(tasks[2])
    _fit(method, learning, tasks[2])
    rehearsal.prepare()
    return rehearsal


def _module(method: Essential, task: int) -> MemoryRetrieval:
    module = method.retrieval[task]
    assert isinstance(module, MemoryRetrieval)
    return module


@pytest.mark.parametrize("drop_path", [0.0, 0.5])
def test_every_exemplar_is_rebuilt_once_by_the_module_of_its_own_task(drop_path: float) -> None:
    method = _method(classifier=QUIET_CLASSIFIER | {"drop_path": drop_path})
    rehearsal = _before_the_last_rehearsal(method)
    embedding = method.classifier.encoder.temporal_embedding.detach().clone()
    data = rehearsal.data()
    clips = data.epoch(0).rows(torch.arange(len(method.memory)))
    assert clips.retrieved is not None
    assert clips.tasks.unique().tolist() == [0, 1, 2]
    for row in range(len(clips.slots)):
        sparse = clips.features[row] + embedding[clips.positions[row]]
        with torch.no_grad():
            expected = _module(method, int(clips.tasks[row])).eval()(sparse[None])[0]
        torch.testing.assert_close(clips.retrieved[row], expected, rtol=1e-5, atol=1e-6)


def test_what_was_rebuilt_stays_when_the_embedding_learns_on_and_after_a_restart() -> None:
    method = _method()
    rehearsal = _before_the_last_rehearsal(method)
    everything = torch.arange(len(method.memory))
    before = rehearsal.data().epoch(0).rows(everything).retrieved
    with torch.no_grad():
        method.classifier.encoder.temporal_embedding.add_(1.0)
    restarted = _method()
    restarted.load_state_dict(method.state_dict())
    again = restarted.stages(make_tasks([2, 1, 2])[2])[1].data().epoch(1).rows(everything).retrieved
    assert before is not None
    assert again is not None
    torch.testing.assert_close(again, before, rtol=0, atol=0)


def test_the_embedding_of_the_rehearsal_is_dropped_after_the_task_and_older_states_that_have_it_are_read() -> None:
    method = _method()
    _before_the_last_rehearsal(method)
    inside = method.state_dict()
    method.finish(make_tasks([2, 1, 2])[2])
    after = method.state_dict()
    assert inside.keys() - after.keys() == {"network.at_rehearsal.values"}
    restarted = _method()
    for state in (after, inside, after):
        restarted.load_state_dict(state)
        assert restarted.state_dict().keys() == state.keys()


def test_rebuilding_leaves_every_module_in_the_mode_that_it_was_in() -> None:
    method = _method()
    _before_the_last_rehearsal(method)
    method.retrieval.eval()[-1].train()
    before = [module.training for module in method.network.modules()]
    assert method.rebuilt(method.memory) is not None
    assert [module.training for module in method.network.modules()] == before


def test_the_loss_is_that_of_both_replays_of_each_exemplar() -> None:
    method = _method(retrieved_weight=0.5)
    rehearsal = _before_the_last_rehearsal(method)
    batch = rehearsal.data().epoch(0).rows(torch.arange(5))
    assert batch.retrieved is not None
    terms = [*method.losses("rehearsal", batch, generator=torch.Generator())]
    classifier, rows = method.classifier.eval(), range(5)
    for term, weight, clips in zip(terms, (1.0, 0.5), ("sparse", "retrieved"), strict=True):
        assert (term.name, term.weight) == (f"{clips}_classification", weight)
        total = 0.0
        for row in rows:
            sparse = batch.features[row] + classifier.encoder.temporal_embedding[batch.positions[row]]
            seen = sparse if clips == "sparse" else batch.retrieved[row]
            logits = classifier.head(classifier.encoder(seen[None]))[0]
            total -= logits.log_softmax(0)[batch.slots[row]].item()
        assert term.value.item() == pytest.approx(total / 5, rel=1e-5)


def test_every_step_asks_frozen_modules_that_drop_paths_and_moves_the_embedding() -> None:
    method = _method(retrieve="every-step", classifier=QUIET_CLASSIFIER | {"drop_path": 0.5})
    rehearsal = _before_the_last_rehearsal(method)
    batch = rehearsal.data().epoch(0).rows(torch.arange(len(method.memory)))
    assert batch.retrieved is None
    frozen = [parameter.clone() for parameter in method.retrieval.parameters()]
    _fit(method, rehearsal, make_tasks([2, 1, 2])[2])
    assert all(map(torch.equal, frozen, method.retrieval.parameters()))
    method.network.eval()  # what is random now is not the encoder
    values = [list(method.losses("rehearsal", batch, generator=torch_generator(0)))[1].value for _ in range(2)]
    assert not torch.equal(*values)
    embedding = method.classifier.encoder.temporal_embedding.requires_grad_(True)
    retrieved = list(method.losses("rehearsal", batch, generator=torch_generator(0)))[1].value
    (gradient,) = torch.autograd.grad(retrieved, embedding)
    assert gradient.abs().sum() > 0


def test_the_paths_dropped_are_those_a_module_in_training_drops() -> None:
    torch.manual_seed(0)
    module = MemoryRetrieval(24, frames=8, kept=2, heads=4, drop_path=0.5)
    sparse = torch.randn(1, 2, 24).expand(400, -1, -1)
    with torch.no_grad():
        every = {
            paths: module(sparse[:1], paths=torch.tensor([paths]))[0]
            for paths in [(0.0, 0.0), (0.0, 2.0), (2.0, 0.0), (2.0, 2.0)]
        }
        trained = module.train()(sparse)
    counts = [int(torch.isclose(trained, one, atol=1e-5).flatten(1).all(1).sum()) for one in every.values()]
    assert sum(counts) == 400
    assert min(counts) > 60


def test_modules_asked_once_are_quiet_and_pass_no_gradient_on() -> None:
    method = _method(classifier=QUIET_CLASSIFIER | {"drop_path": 0.5})
    rehearsal = _before_the_last_rehearsal(method)
    batch = rehearsal.data().epoch(0).rows(torch.arange(len(method.memory)))
    _fit(method, rehearsal, make_tasks([2, 1, 2])[2])
    assert not any(_module(method, task).training for task in range(3))
    retrieved = list(method.losses("rehearsal", batch, generator=torch_generator(0)))[1].value
    embedding = method.classifier.encoder.temporal_embedding.requires_grad_(True)
    (gradient,) = torch.autograd.grad(retrieved, embedding)
    assert not gradient.any()  # it has one in form, by way of the sparse frames beside the rebuilt ones
