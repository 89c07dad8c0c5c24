"""8-bit products against ones of numpy, who may compute in them, and what the encoders' features become."""

import copy
import platform
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import pytest
import torch
from fake_encoder import FakeEncoder

from essential import products
from essential.encoders import EncoderConfig, build_encoder
from essential.encoders.base import Encoder
from essential.encoders.tiny import build_tiny
from essential.errors import ConfigError
from essential.features import precision
from essential.features.pipeline import ClipEncoder
from essential.features.precision import (
    RoundedWeights,
    computing,
    eight_bit_linear,
    refuse_precision,
    round_weights,
)
from essential.features.provenance import Recipe
from essential.seeded import drawing_from
from small_video_networks import ARGUMENTS, small_config

# Of a float32: a result is off by half of it, relative.
EPSILON = 2.0**-23
SHAPES = [(197, 768, 768), (33, 64, 256), (5, 37, 3), (1, 3072, 48)]


@pytest.fixture(scope="module")
def vit() -> Encoder:
    return build_encoder(EncoderConfig(name="test_vit", weights="random", size=32))


@pytest.fixture(scope="module")
def tiny() -> Encoder:
    return build_tiny()


@pytest.fixture
def sums(monkeypatch: pytest.MonkeyPatch) -> list[np.ndarray]:
    """Return the list that every product of whole numbers will be put in."""
    found: list[np.ndarray] = []
    product = precision.whole_products

    def noted(numbers: torch.Tensor, weights: RoundedWeights) -> torch.Tensor:
        result = product(numbers, weights)
        found.append(result.numpy().copy())
        return result

    monkeypatch.setattr(precision, "whole_products", noted)
    return found


def _whole(rows: np.ndarray, scales: np.ndarray) -> np.ndarray:
    """Return each row over its scale, rounded: exactly, but where it is within rounding of a half."""
    return np.rint(rows.astype(np.float64) / scales[:, None]).astype(np.int64)


@pytest.mark.parametrize(("rows", "inner", "outputs"), SHAPES)
def test_products_are_those_of_whole_numbers(rows: int, inner: int, outputs: int, sums: list[np.ndarray]) -> None:
    draw = np.random.default_rng(inner)
    # Multiples of the scale, so that no number is near a half and both ways of rounding agree.
    weights = draw.integers(-64, 65, (outputs, inner))
    inputs = draw.integers(-127, 128, (rows, inner))
    weights[:, 0], inputs[:, 0] = 64, -127
    of_weights, of_inputs = draw.uniform(1e-3, 3, outputs), draw.uniform(1e-3, 3, rows)
    w, x = ((a * s[:, None]).astype(np.float32) for a, s in ((weights, of_weights), (inputs, of_inputs)))
    bias = draw.standard_normal(outputs).astype(np.float32)
    found = eight_bit_linear(torch.from_numpy(x), round_weights(torch.from_numpy(w)), torch.from_numpy(bias)).numpy()
    exact = np.array([[sum(int(a) * int(b) for a, b in zip(i, j, strict=True)) for j in weights] for i in inputs[:3]])
    assert (sums[0][:3] == exact).all()
    assert (sums[0] == inputs @ weights.T).all()
    scaled = (inputs @ weights.T) * np.outer(np.abs(x).max(1) / 127.0, np.abs(w).max(1) / 64.0)
    # Both scales, the sum as a float32, two products and an addition are rounded once each.
    assert (np.abs(found - (scaled + bias)) <= 3 * EPSILON * (np.abs(scaled) + np.abs(bias))).all()


@pytest.mark.parametrize(("rows", "inner", "outputs"), SHAPES)
def test_the_largest_sums_do_not_overflow(rows: int, inner: int, outputs: int, sums: list[np.ndarray]) -> None:
    signs = np.random.default_rng(0).choice([-1, 1], (rows + outputs, inner)).astype(np.float32)
    signs[0] = signs[rows] = 1
    signs[-1] = -1
    x, w = signs[:rows], signs[rows:]
    eight_bit_linear(torch.from_numpy(x), round_weights(torch.from_numpy(w)), None)
    assert (sums[0] == 127 * 64 * (x @ w.T)).all()


def test_a_linear_layer_is_as_near_as_half_steps_allow() -> None:
    draw = np.random.default_rng(1)
    x, w = draw.standard_normal((50, 96)).astype(np.float32), draw.standard_normal((40, 96)).astype(np.float32)
    found = eight_bit_linear(torch.from_numpy(x), round_weights(torch.from_numpy(w)), None).numpy()
    x, w = x.astype(np.float64), w.astype(np.float64)
    step, weight_step = np.abs(x).max(1, keepdims=True) / 127, np.abs(w).max(1, keepdims=True) / 64
    bound = np.abs(x) @ (weight_step / 2).T.repeat(96, 0) + (step / 2).repeat(96, 1) @ np.abs(w).T
    bound += 96 * step / 2 * weight_step.T / 2
    off = np.abs(found - x @ w.T)
    assert (off <= bound * (1 + 1e-5)).all()
    # Rounding errors are of either sign.
    assert np.linalg.norm(off) < 0.03 * np.linalg.norm(x @ w.T)


def test_rows_of_zeros_many_dimensions_and_what_is_not_finite() -> None:
    weights, bias = round_weights(torch.tensor([[1.0, -2.0], [0.0, 0.0]])), torch.tensor([5.0, 7.0])
    assert eight_bit_linear(torch.zeros(2, 2), weights, bias).tolist() == [[5, 7], [5, 7]]
    assert eight_bit_linear(torch.ones(2, 3, 4, 2), weights, bias).shape == (2, 3, 4, 2)
    assert eight_bit_linear(torch.ones(2), weights, None).shape == (2,)
    for odd in (torch.inf, torch.nan):
        found = eight_bit_linear(torch.tensor([[odd, 1.0], [1.0, 1.0]]), weights, bias)
        assert not torch.isfinite(found[0]).any()
        assert torch.isfinite(found[1]).all()


def test_only_the_encoders_own_linear_layers_are_rounded_and_only_inside(tiny: Encoder) -> None:
    x, other = torch.randn(2, 8, 256, generator=torch.Generator().manual_seed(0))
    own = tiny.get_submodule("output")
    exact, exact_other = own(x), torch.nn.functional.linear(x, other)
    with torch.no_grad(), computing("int8", tiny):
        rounded = own(x)
        assert torch.equal(torch.nn.functional.linear(x, other), exact_other)
    assert torch.equal(rounded, eight_bit_linear(x, round_weights(own.weight), own.bias))
    assert not torch.equal(rounded, exact)
    assert torch.equal(own(x), exact)


def test_weights_are_rounded_once_for_an_encoder(tiny: Encoder, monkeypatch: pytest.MonkeyPatch) -> None:
    rounded: list[tuple[int, ...]] = []
    monkeypatch.setattr(
        precision, "round_weights", lambda weights: rounded.append(tuple(weights.shape)) or round_weights(weights)
    )
    monkeypatch.setattr(precision, "_ROUNDED", WeakKeyDictionary())
    for _ in range(2):
        _features(tiny, torch.ones(2, 3, 3, 64, 64), "int8")
    assert rounded == [(256, 1024), (128, 256)]


def _features(encoder: Encoder, clips: torch.Tensor, computed_in: Any, batch_clips: int = 1) -> np.ndarray:
    through = ClipEncoder(encoder, frames=clips.shape[1], batch_clips=batch_clips, precision=computed_in)
    ((_, features),) = [*through.add(0, clips), *through.finish()]
    return features


def test_features_do_not_depend_on_the_clips_beside(vit: Encoder) -> None:
    clips = torch.randn(6, 4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    together = _features(vit, clips, "int8", batch_clips=3)
    assert np.array_equal(_features(vit, clips.flip(0), "int8", batch_clips=3)[::-1], together)
    loud = clips.clone()
    loud[1:] *= 50
    assert np.array_equal(_features(vit, loud, "int8", batch_clips=3)[0], together[0])
    assert np.array_equal(_features(vit, clips, "int8", batch_clips=3), together)


@pytest.mark.parametrize("kind", ["test_vit", *ARGUMENTS])
def test_every_linear_layer_of_an_encoder_is_computed_so(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with drawing_from(0):
        encoder = build_encoder(
            EncoderConfig(name=kind, weights="random", size=32) if kind == "test_vit" else small_config(kind)
        )
    used: list[int] = []

    def noted(inputs: torch.Tensor, weights: RoundedWeights, bias: torch.Tensor | None) -> torch.Tensor:
        used.append(id(weights))
        return eight_bit_linear(inputs, weights, bias)

    monkeypatch.setattr(precision, "eight_bit_linear", noted)
    clips = torch.ones(1, encoder.frames_read(4), 3, 32, 32)
    _features(encoder, clips, "int8")
    assert len(set(used)) == sum(isinstance(layer, torch.nn.Linear) for layer in encoder.modules())


@pytest.mark.parametrize(("computed_in", "distance"), [("bfloat16", 0.03), ("int8", 0.06)])
def test_features_are_near_those_of_float32(vit: Encoder, computed_in: str, distance: float) -> None:
    clips = torch.randn(2, 4, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    exact, found = _features(vit, clips, "float32"), _features(vit, clips, computed_in)
    apart = np.linalg.norm(found - exact, axis=-1) / np.linalg.norm(exact, axis=-1)
    assert 1e-5 < apart.max() < distance


def test_who_may_compute_in_eight_bits(vit: Encoder, tiny: Encoder, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse_precision("int8", vit)
    for other in ("float32", "bfloat16"):
        refuse_precision(other, FakeEncoder().to("meta"))
    with pytest.raises(ConfigError, match=r"precision=int8 is not possible: the encoder 'fake' has no linear layers"):
        refuse_precision("int8", FakeEncoder())
    with pytest.raises(ConfigError, match=r"not possible on meta, only on a CPU; use training\.device=cpu"):
        refuse_precision("int8", copy.deepcopy(tiny).to("meta"))
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    with pytest.raises(ConfigError, match=r"on aarch64 this torch .* has no quick .*; begin with .*=float32"):
        refuse_precision("int8", vit)


def test_a_torch_without_onednn_is_refused(vit: Encoder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    with pytest.raises(ConfigError, match="oneDNN"):
        refuse_precision("int8", vit)


def test_it_is_part_of_what_made_a_store(change: Callable[..., Recipe]) -> None:
    assert change(precision="int8").provenance()["precision"] == "int8"


def test_float32_by_onednn_is_as_by_torch_with_every_gelu_in_its_layers_pass(
    vit: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not torch.backends.mkldnn.is_available():
        pytest.skip("this torch has no oneDNN")
    clips = torch.rand(2, 3, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with products.plain():
        by_torch = _features(vit, clips, "float32")
    asked: list[str] = []
    product = products._product
    monkeypatch.setattr(products, "_product", lambda *given: asked.append(given[3:] and given[3]) or product(*given))
    monkeypatch.setattr(products, "quick_by_onednn", lambda: True)
    monkeypatch.setattr(products, "_WORTH_IT", 0)
    by_onednn = _features(vit, clips, "float32")
    blocks = sum(type(module).__name__ == "Mlp" for module in vit.modules())
    assert blocks > 1
    assert asked.count("gelu") == len(clips) * blocks
    # A block has two layers in the attention and two in the MLP.
    assert len(asked) == len(clips) * 4 * blocks
    # A thousand roundings one after the other, at most; of other functions than GELU it would be off by a tenth.
    assert np.linalg.norm(by_onednn - by_torch) <= 1000 * EPSILON * np.linalg.norm(by_torch)
    x = torch.ones(3)
    with torch.no_grad(), computing("float32", vit):
        assert torch.equal(torch.nn.functional.gelu(x), torch.nn.functional.gelu(x.clone()))
        assert not torch.equal(torch.nn.functional.gelu(x), x)
