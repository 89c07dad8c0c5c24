"""In which numbers an encoder computes: float32, bfloat16 by torch's autocast, or its linear layers in 8 bits.

In float32 the linear layers' products are of the library that is quick here (`essential.products`). Where that is
oneDNN, a GELU behind the first layer of an MLP is computed in the same pass.

With int8 the products of linear layers are of whole numbers, and everything else is float32: patches, norms, attention
between tokens, activations. Weights W (N, K) are rounded once, a row of the input x (M, K) when it comes:

    w_n = max_k |W_nk| / 64       a_nk = round(W_nk / w_n)       -64 to 64
    s_m = max_k |x_mk| / 127      c_mk = round(x_mk / s_m)      -127 to 127
    y_mn = s_m w_n (sum_k c_mk a_nk) + b_n

A scale for each row of both (token-wise and row-wise in Yao et al., "ZeroQuant", NeurIPS 2022; nothing is calibrated),
so that a frame's features do not depend on what is encoded beside it. A sum is exact in 32 bits, on every processor:
where there is no instruction for it (VNNI), two products at a time are added in 16 bits, one factor being shifted to 0
to 255, and 2 x 255 x 64 < 2^15. With weights up to 127 these sums overflow there, silently.

The products are oneDNN's, by torch's quantised linear layer: `torch._int_mm` asks oneDNN only where there is AVX-512
VNNI, and elsewhere multiplies in a loop, which takes a hundred times as long as float32.
"""

import platform
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import gelu, linear
from torch.overrides import TorchFunctionMode

from essential import products
from essential.encoders.base import Encoder
from essential.errors import ConfigError
from essential.features.config import Precision
from essential.features.cores import device_of

_LARGEST_WEIGHT, _LARGEST_INPUT, _SHIFT = 64, 127, 128
# Of a row of zeros, which has no scale.
_TINY = 1e-30
# Others have no quick product of 8-bit numbers in torch, only a loop.
_X86 = ("x86_64", "amd64", "i386", "i686", "x86")


class RoundedWeights(NamedTuple):
    """The weights of a linear layer as whole numbers, and what the numbers for each output are multiplied by.

    Attributes:
        packed: the numbers, in the order in which oneDNN reads them.
    """

    packed: Tensor
    scales: Float[Tensor, " outputs"]


def refuse_precision(precision: Precision, encoder: Encoder) -> None:
    """Raise a ConfigError if this machine cannot compute the encoder in this precision, or if it would change nothing.

    bfloat16 is computed everywhere, if slowly.
    """
    if precision != "int8":
        return
    problem, remedy = f"features.precision={precision} is not possible", "begin with features.precision=float32"
    if not _linear_layers(encoder):
        raise ConfigError(f"{problem}: the encoder {encoder.name!r} has no linear layers", remedy=remedy)
    if (device := device_of(encoder).type) != "cpu":
        raise ConfigError(
            f"{problem} on {device}, only on a CPU",
            remedy="use training.device=cpu, or begin with features.precision=bfloat16",
        )
    if platform.machine().lower() not in _X86 or not torch.backends.mkldnn.is_available():
        raise ConfigError(
            f"{problem}: on {platform.machine()} this torch {torch.__version__} has no quick products of 8 bits, which "
            "oneDNN has for x86",
            remedy=remedy,
        )


@contextmanager
def computing(precision: Precision, encoder: Encoder) -> Iterator[None]:
    """Let the encoder compute in this precision, in this thread; `refuse_precision` comes first."""
    layers: AbstractContextManager[Any] = nullcontext()
    if precision == "int8":
        layers = _EightBits(rounded_layers(encoder))
    elif precision == "float32" and products.quick_by_onednn():
        layers = _QuickLinear(encoder)
    with torch.autocast(device_of(encoder).type, torch.bfloat16, enabled=precision == "bfloat16"), layers:
        yield


class _QuickLinear(TorchFunctionMode):
    """Computes `linear` by `essential.products`, together with the GELU that follows in an MLP of timm's."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        # Loaded with the encoder if it has one.
        timms = getattr(sys.modules.get("timm.layers.mlp"), "Mlp", ())
        found: Iterator[Any] = (module for module in encoder.modules() if isinstance(module, timms))
        self._then_gelu = {
            id(mlp.fc1.weight)
            for mlp in found
            if isinstance(mlp.fc1, nn.Linear) and isinstance(mlp.act, nn.GELU) and mlp.act.approximate == "none"
        }
        self._done: Tensor | None = None

    def __torch_function__(
        self, func: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        del types
        if func is gelu and args[0] is self._done:
            return args[0]
        if func is not linear:
            return func(*args, **(kwargs or {}))
        if id(args[1]) not in self._then_gelu:
            return products.linear(*args, **(kwargs or {}))
        self._done = products.linear_gelu(*args)
        return self._done


class _EightBits(TorchFunctionMode):
    """Computes `linear` of known weights in 8 bits, and everything else as it is."""

    def __init__(self, layers: Mapping[int, RoundedWeights]) -> None:
        super().__init__()
        self._layers = layers

    def __torch_function__(
        self, func: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        del types
        named = dict(kwargs or {})
        return self._linear(*args, **named) if func is linear else func(*args, **named)

    def _linear(self, input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        rounded = self._layers.get(id(weight))
        return linear(input, weight, bias) if rounded is None else eight_bit_linear(input, rounded, bias)


# A bundle's encoder serves many videos, one after the other.
_ROUNDED: "WeakKeyDictionary[Encoder, dict[int, RoundedWeights]]" = WeakKeyDictionary()


def rounded_layers(encoder: Encoder) -> Mapping[int, RoundedWeights]:
    """Return the weights of all linear layers, which are frozen, by the id of the parameter; rounded once."""
    if encoder not in _ROUNDED:
        _ROUNDED[encoder] = {id(layer.weight): round_weights(layer.weight) for layer in _linear_layers(encoder)}
    return _ROUNDED[encoder]


def _linear_layers(encoder: Encoder) -> list[nn.Linear]:
    # Weights that are made anew of others, for each use, are no parameters.
    found = (module for module in encoder.modules() if isinstance(module, nn.Linear))
    return [layer for layer in found if isinstance(layer.weight, nn.Parameter) and layer.weight.dtype == torch.float32]


def round_weights(weights: Float[Tensor, "outputs inner"]) -> RoundedWeights:
    """Return weights as whole numbers, -64 to 64, by the rule at the top of this file."""
    weights = weights.detach()
    scales = weights.abs().amax(dim=1).clamp_min(_TINY) / _LARGEST_WEIGHT
    numbers = (weights / scales[:, None]).round().to(torch.int8)
    return RoundedWeights(torch.ops.onednn.qlinear_prepack(numbers, None), scales)


def eight_bit_linear(
    inputs: Float[Tensor, "*rows inner"], weights: RoundedWeights, bias: Float[Tensor, " outputs"] | None
) -> Float[Tensor, "*rows outputs"]:
    """Return the linear layer's outputs by the rule at the top of this file; not finite where an input is not."""
    rows = inputs.reshape(-1, inputs.shape[-1])
    # Every pass over so many numbers counts: in place, where it can be.
    numbers = rows.abs()
    largest = numbers.amax(dim=1, keepdim=True).clamp_min_(_TINY)
    torch.mul(rows, _LARGEST_INPUT / largest, out=numbers)
    outputs = whole_products(numbers.round_(), weights).mul_(largest.div_(_LARGEST_INPUT))
    if bias is None:
        outputs.mul_(weights.scales)
    else:
        torch.addcmul(bias, outputs, weights.scales, out=outputs)
    return outputs.reshape(*inputs.shape[:-1], outputs.shape[1])


def whole_products(numbers: Float[Tensor, "rows inner"], weights: RoundedWeights) -> Float[Tensor, "rows outputs"]:
    """Return the products of whole numbers, -127 to 127, which are written over; sums are exact, then float32."""
    shifted = numbers.add_(_SHIFT).to(torch.uint8)
    ones, zeros = torch.ones_like(weights.scales), torch.zeros_like(weights.scales, dtype=torch.int32)
    products: Tensor = torch.ops.onednn.qlinear_pointwise(
        *(shifted, 1.0, _SHIFT, weights.packed, ones, zeros, None, 1.0, 0, torch.float32, "none", [], "")
    )
    return products
