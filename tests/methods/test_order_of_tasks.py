"""The methods in closed form give the same scores for any order of classes and any split into tasks."""

from typing import Any

import pytest
import torch
from pydantic import TypeAdapter
from torch import Tensor

from essential.configs.shipped import config_text, sections_of
from essential.methods import MethodConfig, build_method
from essential.methods.contract import Method
from pooled_tasks import learn_all, make_pool, pooled_tasks

NAMES = [
    f"{name}{form}" for name in ("analytic", "fecam", "ncm", "ranpac", "slda") for form in ("", "-temporal", "-dct")
]
EXTRA: dict[str, dict[str, Any]] = {
    "fecam-shared": {"name": "fecam", "covariance": "shared"},
    "fecam-class-temporal": {"name": "fecam", "clip": "side-by-side"},
    "slda-shrinkage": {"name": "slda", "shrinkage": 0.1},
    "ranpac-ridge": {"name": "ranpac", "ridge": 0.5, "random_features": 60},
}

every_method = pytest.mark.parametrize("name", [*NAMES, *EXTRA])


def _build(name: str, *, frames: int = 3, dim: int = 5) -> Method:
    # The shipped settings, but for RanPAC's width, which only takes time.
    settings = EXTRA.get(name) or sections_of(config_text(f"methods/{name}"), name)["method"]
    few = {"random_features": 60} if settings["name"] == "ranpac" else {}
    config = TypeAdapter(MethodConfig).validate_python(settings | few)
    return build_method(config, dim=dim, frames=frames, seed=0)


def _scores_by_class(
    name: str, pool: tuple[Tensor, Tensor], tests: Tensor, order: list[int], sizes: list[int]
) -> Tensor:
    method = _build(name)
    learn_all(method, pooled_tasks(*pool, order, sizes, seed=len(sizes)))
    scores: Tensor = method.predictor(tests)
    return scores[:, [order.index(label) for label in range(len(order))]]


@every_method
@pytest.mark.parametrize("per_class", [2, 7, 30])
def test_no_order_and_no_split_changes_the_scores(name: str, per_class: int) -> None:
    pool, tests = make_pool(per_class=per_class), make_pool(seed=1)[0]
    at_once = _scores_by_class(name, pool, tests, list(range(6)), [6])
    assert len(set(at_once.argmax(dim=1).tolist())) > 1
    for seed, sizes in enumerate(([6], [3, 3], [1, 2, 3], [4, 1, 1], [1, 1, 1, 1, 1, 1])):
        order = torch.randperm(6, generator=torch.Generator().manual_seed(seed)).tolist()
        scores = _scores_by_class(name, pool, tests, order, sizes)
        assert float((scores - at_once).abs().max()) <= 1e-5 * max(1.0, float(at_once.abs().max()))


@every_method
@pytest.mark.parametrize("what", ["one clip per class", "equal clips within classes", "all clips equal", "all zero"])
def test_clips_without_variance_are_scored(name: str, what: str) -> None:
    method = _build(name)
    features, labels = make_pool(per_class=4)
    if what == "one clip per class":
        first = torch.cat([(labels == label).nonzero()[0] for label in range(6)])
        features, labels = features[first], labels[first]
    elif what == "equal clips within classes":
        features = torch.stack([features[labels == label][0] for label in range(6)])[labels]
    else:
        features = torch.full_like(features, 0.1 if what == "all clips equal" else 0.0)
    for task in pooled_tasks(features, labels, range(6), [1, 1, 4]):
        learn_all(method, [task])
        scores = method.predictor(features).float()
        assert scores.shape == (len(features), task.slots.stop)
        assert torch.isfinite(scores).all()
    if what == "one clip per class":
        # Cross-validation has nothing to validate with and asks for the strongest ridge, which may confuse two.
        assert (scores.argmax(dim=1) == torch.arange(6)).sum() >= (4 if "ranpac" in name or "analytic" in name else 6)


@every_method
def test_everything_counted_is_statistics_outside_of_any_papers_figure(name: str) -> None:
    method = _build(name)
    learn_all(method, pooled_tasks(*make_pool(), range(6), [3, 3]))
    entries = method.ledger()
    assert entries
    assert {(entry.kind, entry.in_paper_figure) for entry in entries} == {("statistics", False)}
    assert all(entry.bytes > 0 for entry in entries)
