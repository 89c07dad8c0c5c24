"""Closed forms under a budget: what is kept at every size, that it is exact, and what is refused."""

from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import TypeAdapter
from torch import Tensor

from essential.configs.shipped import config_text, sections_of
from essential.engine.config import load_config
from essential.errors import CheckpointError, ConfigError
from essential.methods import MethodConfig, build_method
from essential.methods.closed_form import ClosedForm
from essential.methods.statistics import ClassStatistics, Form
from pooled_tasks import learn_all, make_pool, pooled_tasks

NAMES = [
    f"{name}{form}" for name in ("analytic", "fecam", "ncm", "ranpac", "slda") for form in ("", "-temporal", "-dct")
]
FRAMES, DIM = 3, 20


def _build(name: str, **changes: Any) -> ClosedForm[Any, Any]:
    settings = sections_of(config_text(f"methods/{name}"), name)["method"] | changes
    few = {"random_features": 60} if settings["name"] == "ranpac" else {}
    config = TypeAdapter(MethodConfig).validate_python(settings | few)
    method = build_method(config, dim=DIM, frames=FRAMES, seed=0)
    assert isinstance(method, ClosedForm)
    return method


def _pool(seed: int = 0) -> tuple[Tensor, Tensor]:
    features, labels = make_pool(seed=seed)
    wide = torch.randn(features.shape[2], DIM, generator=torch.Generator().manual_seed(5))
    return features @ wide + 0.1 * torch.randn(
        *features.shape[:2], DIM, generator=torch.Generator().manual_seed(6)
    ), labels


def _kept(method: ClosedForm[Any, Any]) -> int:
    return sum(entry.bytes for entry in method.ledger())


@pytest.mark.parametrize("name", NAMES)
def test_no_budget_is_ever_passed_and_all_classes_are_scored(name: str) -> None:
    pool, tests = _pool(), _pool(seed=1)[0]
    whole = _build(name)
    learn_all(whole, pooled_tasks(*pool, range(6), [2, 3, 1]))
    most, least = _kept(whole), whole.statistics.bytes_of(6, Form(16, 1, 1))
    forms = set()
    for budget in (most, most - 1, most // 2, most // 4, most // 8, least + 40, least):
        if budget < least:
            continue
        method = _build(name, budget_bytes=budget)
        for task in pooled_tasks(*pool, range(6), [2, 3, 1]):
            learn_all(method, [task])
            assert _kept(method) == method.statistics.bytes_of(task.slots.stop) <= budget
            scores = method.predictor(tests)
            assert scores.shape == (len(tests), task.slots.stop)
            assert torch.isfinite(scores).all()
        forms.add(method.statistics.form)
        if budget == most:
            assert torch.equal(scores, whole.predictor(tests))
    assert len(forms) >= 4
    assert Form(16, 1, 1) in forms


@pytest.mark.parametrize("name", ["slda-dct", "fecam", "fecam-dct", "ncm-dct", "ranpac", "analytic-temporal"])
def test_a_reduced_state_is_taken_on_and_goes_on_alike(name: str) -> None:
    pool, tests = _pool(), _pool(seed=1)[0]
    budget = _build(name).statistics.bytes_of(6) // 4
    method, fresh = _build(name, budget_bytes=budget), _build(name, budget_bytes=budget)
    *first, last = pooled_tasks(*pool, range(6), [2, 3, 1])
    learn_all(method, first)
    fresh.load_state_dict(method.state_dict())
    assert fresh.statistics.form == method.statistics.form != fresh.statistics.whole
    assert torch.equal(fresh.predictor(tests), method.predictor(tests))
    with torch.device("meta"):
        shapes = _build(name, budget_bytes=budget)
    shapes.take_shapes(method.state_dict())
    for each in (method, fresh):
        learn_all(each, [last])
    assert torch.equal(fresh.predictor(tests), method.predictor(tests))


@pytest.mark.numeric
def test_what_is_dropped_before_a_task_or_after_it_is_the_same() -> None:
    features, labels = _pool()
    vectors = features.double().flatten(1)
    classes = [vectors[labels == label] for label in range(6)]
    early, late = (ClassStatistics(DIM, blocks=FRAMES, bits=32) for _ in range(2))
    early.add(classes[:4])
    early.fit(early.bytes_of(4, Form(16, 3, 17)))
    assert early.form == Form(16, 3, 17)
    directions = early.directions()
    assert directions is not None
    assert torch.allclose(directions.T @ directions, torch.eye(17, dtype=torch.float64))
    early.add(classes[4:])
    turned = torch.cat([vectors[:, start : start + DIM] @ directions for start in range(0, FRAMES * DIM, DIM)], dim=1)
    late = ClassStatistics(17, blocks=FRAMES, bits=16)
    late.add([turned[labels == label] for label in range(6)])
    for one, other in zip(early.blocks(), late.blocks(), strict=True):
        deviations = other.covariance.diagonal().sqrt()
        # Each of three roundings is half a step of the largest, and what is turned after it adds up twenty numbers.
        assert float((one.means - other.means).abs().max()) <= 10 * early.step * float(other.means.abs().max())
        apart = (one.covariance - other.covariance) / torch.outer(deviations, deviations)
        assert float(apart.abs().max()) <= 30 * early.step * float((deviations.max() / deviations.min()) ** 2)


@pytest.mark.parametrize("name", ["slda", "slda-temporal", "slda-dct", "fecam", "fecam-temporal"])
def test_rounding_to_few_bits_leaves_every_eigenvalue_positive(name: str) -> None:
    # Six directions of sixty, of variances over eight decades: in 16 bits what is left has negative eigenvalues.
    generator = torch.Generator().manual_seed(0)
    wide = torch.randn(12, FRAMES, 60, generator=generator) * torch.logspace(-2, 2, 60)
    method = build_method(
        TypeAdapter(MethodConfig).validate_python(
            sections_of(config_text(f"methods/{name}"), name)["method"] | {"statistics_bits": 16, "shrinkage": 1e-5}
        ),
        dim=60,
        frames=FRAMES,
        seed=0,
    )
    learn_all(method, pooled_tasks(wide, torch.arange(6).repeat(2), range(6), [3, 3]))
    assert isinstance(method, ClosedForm)
    blocks = [block for slot in ([0] if name == "fecam" else [None]) for block in method.statistics.blocks(slot)]
    assert min(float(torch.linalg.eigvalsh(block.covariance)[0]) for block in blocks) < 0
    scores = method.predictor(wide)
    assert torch.isfinite(scores).all()
    assert float((scores.argmax(dim=1) == torch.arange(6).repeat(2)).float().mean()) > 0.9


@pytest.mark.numeric
def test_fewer_directions_are_the_first_of_more() -> None:
    features, labels = _pool()
    statistics = ClassStatistics(DIM, bits=16)
    statistics.add([features[labels == label].double().mean(dim=1) for label in range(6)])
    statistics.fit(statistics.bytes_of(6, Form(16, 1, 11)))
    more = statistics.directions()
    statistics.fit(statistics.bytes_of(6, Form(16, 1, 3)))
    fewer = statistics.directions()
    assert more is not None
    assert fewer is not None
    assert (more.shape, fewer.shape) == ((DIM, 11), (DIM, 3))
    assert torch.allclose(more[:, :3], fewer)


def test_the_first_directions_hold_most_of_the_variance() -> None:
    features, labels = _pool()
    statistics = ClassStatistics(DIM, bits=16)
    vectors = features.double().mean(dim=1)
    statistics.add([vectors[labels == label] for label in range(6)])
    statistics.fit(statistics.bytes_of(6, Form(16, 1, 5)))
    directions = statistics.directions()
    assert directions is not None
    apart = vectors - vectors.mean(dim=0)
    # Five numbers made these twenty: signs of the principal directions still hold nearly all of what they say.
    assert float((apart @ directions).square().sum() / apart.square().sum()) > 0.7
    assert float((apart[:, :5]).square().sum() / apart.square().sum()) < 0.5


@pytest.mark.parametrize("name", NAMES)
def test_a_budget_below_the_smallest_form_is_refused_with_its_size_before_anything_is_learned(name: str) -> None:
    names = [f"clip {number}" for number in range(50)]
    smallest = _build(name).statistics.bytes_of(50, Form(16, 1, 1))
    _build(name, budget_bytes=smallest).check_room(names, tasks=5)
    with pytest.raises(ConfigError, match=f"{smallest - 1} bytes do not hold 50 classes, .* give {smallest} or more"):
        _build(name, budget_bytes=smallest - 1).check_room(names, tasks=5)


def test_ssv2_as_spectra_takes_less_than_its_exemplars() -> None:
    # 174 classes, CLIP's 768 numbers, 4 coefficients: counts, means and scatters in 16 bits, and their scales.
    kept = ClassStatistics(768, blocks=4, bits=16).bytes_of(174)
    assert kept == 174 * 4 + 174 * 4 * (768 * 2 + 4) + 4 * (768 * 769 // 2 * 2 + 768 * 4 + 8)
    assert kept <= 3.5 * 2**20
    assert f"| {kept / 2**20:.2f} MiB |" in (Path(__file__).parents[2] / "docs" / "methods.md").read_text()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ("statistics_bits=8", r"method\.statistics_bits=8 is not allowed: input should be 16, 32 or 64"),
        ("coefficients=0", r"method\.coefficients=0 is not allowed"),
        ("budget_bytes=0", r"method\.budget_bytes=0 is not allowed"),
        ("clip=fft", r"method\.clip='?fft'? is not allowed: input should be 'mean', 'side-by-side' or 'dct'"),
    ],
)
def test_settings_that_are_not_offered_are_refused(changes: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_config("moving-digits/joint", [f"method.{changes}"], method="slda-dct")


def test_coefficients_of_what_is_no_spectrum_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"method\.coefficients=2 is for clip=dct, and method\.clip=mean"):
        load_config("moving-digits/essential", ["method.coefficients=2"], method="slda")


def test_more_coefficients_than_frames_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"method\.coefficients: 4 is more than the clip's video\.frames=3; use 3 at"):
        _build("slda-dct", coefficients=4)


@pytest.mark.parametrize("name", ["slda-dct", "fecam-dct", "analytic-dct", "ranpac-dct", "ncm-dct"])
def test_a_clip_of_one_frame_is_the_frame(name: str) -> None:
    features, labels = _pool()
    methods = []
    for clip in ("dct", "mean"):
        settings = sections_of(config_text(f"methods/{name}"), name)["method"] | {"clip": clip}
        config = TypeAdapter(MethodConfig).validate_python(settings)
        methods.append(build_method(config, dim=DIM, frames=1, seed=0))
        learn_all(methods[-1], pooled_tasks(features[:, :1], labels, range(6), [6]))
    scores = [method.predictor(features[:9, :1]) for method in methods]
    assert torch.allclose(*scores, rtol=1e-6, atol=1e-6)


def test_a_state_that_does_not_fit_together_is_refused() -> None:
    method = _build("slda-dct")
    learn_all(method, pooled_tasks(*_pool(), range(6), [6]))
    state = method.state_dict()
    for name in ("scatter_codes", "deviations", "mean_codes", "counts"):
        with pytest.raises(CheckpointError, match="does not fit this method's configuration"):
            _build("slda-dct").load_state_dict(
                state | {f"network.statistics.{name}": state[f"network.statistics.{name}"][:-1]}
            )
    with pytest.raises(CheckpointError, match="does not fit this method's configuration"):
        _build("slda-dct", coefficients=2).load_state_dict(state)
