"""LwF's loss against the paper's equations, and the life of its teacher."""

import pytest
import torch

from essential.contract.synthetic_tasks import SyntheticTask, make_tasks
from essential.methods.contract import Batch
from essential.methods.lwf import LwF, LwFConfig, distillation
from essential.methods.trained import ClassifierConfig
from essential.seeded import torch_generator
from method_batches import stir

pytestmark = [pytest.mark.numeric, pytest.mark.usefixtures("float64")]


def build(**settings: object) -> LwF:
    config = LwFConfig.model_validate({"classifier": ClassifierConfig(heads=4, init_scale=10.0), **settings})
    return LwF(config, dim=24, frames=8, seed=0)


def in_the_second_task(**settings: object) -> tuple[LwF, SyntheticTask, Batch]:
    method, (first, second) = build(**settings), make_tasks([3, 2])
    method.begin(first)
    stir(method.classifier, by=0.2)
    method.finish(first)
    method.begin(second)
    method.network.eval()
    return method, second, second.plain().rows(torch.arange(5))


def test_distillation_is_the_papers_second_and_third_equation() -> None:
    logits, wanted = torch.randn(2, 4, 3, generator=torch.Generator().manual_seed(0))

    def softened(row: torch.Tensor) -> list[float]:
        roots = [probability**0.5 for probability in row.softmax(dim=0).tolist()]
        return [root / sum(roots) for root in roots]

    expected = 0.0
    for mine, theirs in zip(logits, wanted, strict=True):
        for own, target in zip(softened(mine), softened(theirs), strict=True):
            expected -= target * float(torch.tensor(own).log()) / len(logits)
    assert float(distillation(logits, wanted)) == pytest.approx(expected, rel=1e-5)


def test_the_first_task_has_no_teacher() -> None:
    method, task = build(), make_tasks([3])[0]
    method.begin(task)
    assert "teacher" not in method.network
    terms = [*method.losses("task", task.plain().rows(torch.arange(4)), generator=torch_generator(0))]
    assert [term.name for term in terms] == ["classification"]


def test_the_teacher_answers_as_the_classifier_did_before_the_task() -> None:
    method, (first, second) = build(), make_tasks([3, 2])
    method.begin(first)
    stir(method.classifier, by=0.2)
    method.finish(first)
    batch = second.plain().rows(torch.arange(5))
    method.network.eval()
    before = method.classifier(batch.features)
    method.begin(second)
    stir(method.classifier, by=0.2)
    _, distilled = method.losses("task", batch, generator=torch_generator(0))
    now = method.classifier(batch.features)[:, :3]
    assert not torch.allclose(now, before)
    torch.testing.assert_close(distilled.value, distillation(now, before))


def test_old_rows_learn_from_the_teacher_alone_and_new_rows_from_the_labels() -> None:
    method, _, batch = in_the_second_task(weight=3.0)
    stir(method.classifier, by=0.2)
    own, distilled = method.losses("task", batch, generator=torch_generator(0))
    assert (own.weight, distilled.weight) == (1.0, 3.0)
    bias = method.classifier.head.bias
    by_labels = torch.autograd.grad(own.value, bias, retain_graph=True)[0]
    by_teacher = torch.autograd.grad(distilled.value, bias)[0]
    assert not by_labels[:3].any()
    assert by_labels[3:].all()
    assert by_teacher[:3].all()
    assert not by_teacher[3:].any()


def test_nothing_is_carried_but_the_classifier() -> None:
    method, task, _ = in_the_second_task()
    assert "teacher" in method.network
    method.finish(task)
    assert "teacher" not in method.network
    assert method.ledger() == []
    network = {name for name in method.state_dict() if name.startswith("network.")}
    assert network == {f"network.predictor.{name}" for name in method.classifier.state_dict()}


def test_a_restart_in_the_second_task_brings_the_teacher_back() -> None:
    method, _, batch = in_the_second_task()
    stir(method.classifier, by=0.2)
    restarted = build()
    restarted.load_state_dict(method.state_dict())
    restarted.network.eval()
    expected = method.losses("task", batch, generator=torch_generator(0))
    got = restarted.losses("task", batch, generator=torch_generator(0))
    assert [term.name for term in got] == ["classification", "distillation"]
    assert all(torch.equal(mine.value, theirs.value) for mine, theirs in zip(got, expected, strict=True))
