"""Products of linear layers by oneDNN: those of float64 but for rounding, forward and backward."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from essential import products
from essential.products import linear, linear_gelu, plain, quick_by_onednn

SHAPES = [((24, 8, 160), 192), ((70, 512), 96), ((4, 768), 768), ((3, 5, 7, 200), 120)]
EPSILON = 2.0**-24


@pytest.fixture
def onednn(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Ask oneDNN wherever the sizes are worth it, on any processor that has it; gives what was asked of it."""
    if not torch.backends.mkldnn.is_available():
        pytest.skip("this torch has no oneDNN")
    asked: list[str] = []
    monkeypatch.setattr(products, "quick_by_onednn", lambda: True)
    product = products._product

    def counted(rows: Tensor, weight: Tensor, bias: Tensor | None = None, then: str = "none") -> Tensor:
        asked.append(then)
        return product(rows, weight, bias, then)

    monkeypatch.setattr(products, "_product", counted)
    return asked


def _drawn(shape: tuple[int, ...], outputs: int) -> list[Tensor]:
    draw = torch.Generator().manual_seed(outputs)
    sizes = (shape, (outputs, shape[-1]), (outputs,))
    return [torch.randn(*size, generator=draw).requires_grad_() for size in sizes]


def _bound(left: Tensor, right: Tensor) -> Tensor:
    """Bound the error of a product: each sum of n terms is rounded n times at most, in whatever order."""
    return (left.shape[-1] + 1) * EPSILON * (left.double().abs() @ right.double().abs())


@pytest.mark.parametrize(("shape", "outputs"), SHAPES)
@pytest.mark.parametrize("biased", [True, False])
def test_products_and_gradients_are_those_of_float64(
    shape: tuple[int, ...], outputs: int, biased: bool, onednn: list[str]
) -> None:
    rows, weight, bias = _drawn(shape, outputs)
    given = (rows, weight, bias) if biased else (rows, weight)
    found = linear(*given)
    gradient = torch.randn(found.shape, generator=torch.Generator().manual_seed(1))
    gradients = torch.autograd.grad(found, given, gradient)
    assert onednn == ["none"] * 3
    exact_of = [each.detach().double().requires_grad_() for each in given]
    exact = torch.nn.functional.linear(*exact_of)
    exact_gradients = torch.autograd.grad(exact, exact_of, gradient.double())
    flat, flat_gradient = rows.detach().flatten(0, -2), gradient.flatten(0, -2)
    bounds = [
        _bound(gradient, weight.detach()),
        _bound(flat_gradient.T, flat),
        _bound(flat_gradient.T, torch.ones(len(flat), 1)).squeeze(1),
    ]
    off = (found.detach() - exact.detach()).abs()
    added = EPSILON * bias.detach().abs() if biased else 0
    assert (off <= _bound(rows.detach(), weight.detach().T) + added + EPSILON * exact.abs()).all()
    for one, other, bound in zip(gradients, exact_gradients, bounds, strict=False):
        assert one.is_contiguous()
        assert ((one - other).abs() <= bound).all()


def test_a_product_is_the_same_whether_it_trains_or_not(onednn: list[str]) -> None:
    rows, weight, bias = _drawn((24, 8, 160), 192)
    trained = linear(rows, weight, bias)
    for block in (torch.no_grad, torch.inference_mode):
        with block():
            assert torch.equal(linear(rows, weight, bias), trained)
    assert torch.equal(linear(rows.detach(), weight.detach(), bias.detach()), trained)
    assert len(onednn) == 4


def test_only_what_needs_a_gradient_is_asked_for(onednn: list[str]) -> None:
    rows, weight, bias = _drawn((70, 512), 96)
    linear(rows.detach(), weight, bias).sum().backward()
    assert rows.grad is None
    assert len(onednn) == 2
    linear(rows, weight.detach(), bias.detach()).sum().backward()
    assert rows.grad is not None
    assert len(onednn) == 4


def test_a_gelu_in_the_same_pass(onednn: list[str]) -> None:
    rows, weight, bias = (each.detach() for each in _drawn((24, 8, 160), 192))
    found = linear_gelu(rows, weight, bias)
    assert onednn == ["gelu"]
    exact = torch.nn.functional.linear(rows.double(), weight.double(), bias.double())
    activated = torch.nn.functional.gelu(exact)
    # A GELU's slope is 1.13 at most. Its own error function is an approximation of 1.5e-7.
    bound = 1.13 * (_bound(rows, weight.T) + EPSILON * exact.abs()) + (2e-7 + 4 * EPSILON) * exact.abs()
    assert ((found - activated).abs() <= bound).all()


def test_torch_is_asked_where_onednn_is_not_quick_or_not_meant(onednn: list[str]) -> None:
    rows, weight, bias = (each.detach() for each in _drawn((24, 8, 160), 192))
    torchs = torch.nn.functional.linear(rows, weight, bias)
    with plain():
        assert torch.equal(linear(rows, weight, bias), torchs)
        assert torch.equal(linear_gelu(rows, weight, bias), torch.nn.functional.gelu(torchs))
    assert torch.equal(linear(rows[:1, :1], weight, bias), torch.nn.functional.linear(rows[:1, :1], weight, bias))
    assert linear(rows.double(), weight.double(), bias.double()).dtype == torch.float64
    with torch.autocast("cpu", torch.bfloat16):
        assert linear(rows, weight, bias).dtype == torch.bfloat16
    assert onednn == []


@pytest.mark.parametrize(
    ("described", "instructions", "quick"),
    [
        ("vendor_id\t: AuthenticAMD\n", "AVX512", True),
        ("vendor_id\t: GenuineIntel\n", "AVX512", False),
        ("vendor_id\t: AuthenticAMD\n", "AVX2", False),
    ],
)
def test_onednn_is_quick_where_mkl_has_no_avx512(
    described: str, instructions: str, quick: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not torch.backends.mkldnn.is_available():
        pytest.skip("this torch has no oneDNN")
    processor = tmp_path / "cpuinfo"
    processor.write_text(described, encoding="utf-8")
    monkeypatch.setattr(products, "_PROCESSOR", processor)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: instructions)
    assert quick_by_onednn.__wrapped__() is quick
