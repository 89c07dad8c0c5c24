"""The penalty of many tasks in one: against the sum over a list of tasks, as the papers write it."""

import pytest
import torch
from torch import Tensor

from essential.methods.anchor import Anchor

Tensors = dict[str, Tensor]


def random_tensors(rows: int, seed: int) -> Tensors:
    generator = torch.Generator().manual_seed(seed)
    return {
        "encoder.query": torch.randn(6, generator=generator),
        "head.weight": torch.randn(rows, 4, generator=generator),
        "head.bias": torch.randn(rows, generator=generator),
    }


def random_importance(rows: int, seed: int) -> Tensors:
    """Of sizes far apart, and a third of them zero."""
    generator = torch.Generator().manual_seed(100 + seed)
    result = {}
    for name, value in random_tensors(rows, seed).items():
        scale = 10 ** (4 * torch.rand(value.shape, generator=generator) - 2)
        result[name] = scale * (torch.rand(value.shape, generator=generator) > 1 / 3)
    return result


# Importances and values of every task; the head grows from 2 rows to 5.
TASKS = [(random_importance(rows, seed), random_tensors(rows, seed)) for seed, rows in enumerate((2, 3, 3, 5))]


def added_up() -> Anchor:
    anchor = Anchor.free()
    for importance, values in TASKS:
        anchor = anchor.with_penalty(importance, values)
    return anchor


def with_gradients(values: Tensors) -> Tensors:
    return {name: value.clone().requires_grad_() for name, value in values.items()}


@pytest.mark.numeric
@pytest.mark.usefixtures("float64")
def test_one_penalty_is_the_sum_over_a_list_of_tasks() -> None:
    anchor, now = added_up(), random_tensors(7, 50)
    mine, theirs = with_gradients(now), with_gradients(now)
    got = anchor(mine)
    got.backward()
    expected = torch.zeros((), dtype=torch.double)
    for importance, values in TASKS:
        for name, value in values.items():
            for row in range(len(value)):
                expected = expected + (importance[name][row] * (theirs[name][row] - value[row]) ** 2).double().sum()
    expected.backward()
    torch.testing.assert_close(got.double(), expected, rtol=1e-5, atol=0)
    for name in now:
        torch.testing.assert_close(mine[name].grad, theirs[name].grad, rtol=1e-4, atol=1e-4)
        if name.startswith("head"):
            assert not mine[name].grad[5:].any()


def test_the_size_does_not_depend_on_the_number_of_tasks() -> None:
    numbers = 6 + 5 * 4 + 5
    assert [(entry.name, entry.kind, entry.bytes, entry.in_paper_figure) for entry in added_up().ledger()] == [
        ("importances", "statistics", 4 * numbers, False),
        ("anchors", "statistics", 4 * (numbers + 1), False),
    ]
    assert Anchor.free().ledger() == []


@pytest.mark.numeric
@pytest.mark.usefixtures("float64")
def test_a_moved_anchor_keeps_all_importances_and_the_last_values() -> None:
    anchor = Anchor.free()
    for importance, values in TASKS:
        anchor = anchor.moved(importance, values)
    assert anchor(TASKS[-1][1]) == 0
    now = random_tensors(5, 51)
    expected = 0.0
    for importance, _ in TASKS:
        for name, value in importance.items():
            last = TASKS[-1][1][name][: len(value)]
            expected += float((value * (now[name][: len(value)] - last) ** 2).sum())
    assert float(anchor(now)) == pytest.approx(expected, rel=1e-5)


def test_adding_changes_neither_the_anchor_nor_what_is_added() -> None:
    importance, values = TASKS[0]
    first = Anchor.free().with_penalty(importance, values)
    kept = {name: value.clone() for name, value in first.state_dict().items()}
    for later in (first.with_penalty(*TASKS[1]), first.moved(*TASKS[1])):
        with torch.no_grad():
            for buffer in later.buffers():
                buffer.zero_()
    assert all(torch.equal(kept[name], value) for name, value in first.state_dict().items())
    assert all(value.any() for value in TASKS[1][1].values())


def test_without_a_task_nothing_is_held() -> None:
    assert Anchor.free()(random_tensors(2, 0)) == 0


def test_a_saved_anchor_comes_back() -> None:
    anchor, other = added_up(), Anchor.free()
    other.load_state_dict(anchor.state_dict())
    now = random_tensors(5, 52)
    assert other(now) == anchor(now) > 0
    anchor.load_state_dict(Anchor.free().state_dict())
    assert anchor(now) == 0
