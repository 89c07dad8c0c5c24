"""How near encoding with a ViT-B/16 comes to the rate of plain matrix products, on the CPU with two threads.

Clips of 8 frames go through the encoder and the batches of an extraction. The limit is the better of two products in
turn with it: a square one, and the widest of the network, all rows of a clip at once (1,576 x 768 by 768 x 3,072).

The limit is torch's own product, which is MKL's. MKL has AVX-512 on Intel's processors alone; on others that have it,
linear layers are oneDNN's (`essential.products`), and encoding can be quicker than the limit. So oneDNN's product of
the same matrices, weights packed beforehand, is measured beside it.

One thread of an AMD EPYC with AVX-512, time of the process, best of 5, beside other work: MKL's product 103 to 110
thousand million operations a second, oneDNN's 239 to 245. Encoding:
- linear layers by MKL: 94;
- by oneDNN, weights as they are: 168, and with GELU in the same pass, as it is now: 194;
- weights packed beforehand: 180 and 204. That is 5 % for as much memory again as the weights take; not used.
What is left is the fused attention (12 %, for 4 % of the operations: its products are MKL's), layer norm, additions.

The same core made to run MKL's code for Intel's processors, a product at 253: 210 by MKL, 0.83 of it, 214 and 220 by
oneDNN with GELU, weights as they are and packed. So there 0.87 is what these libraries give, not 0.90, and torch's own
products stay.

One thread of an AMD EPYC with AVX2 (torch's profiler): 86 % in the linear layers, which hold 95 % of the operations,
6 % in the fused attention, 3 % GELU, 3 % copying biases, 1 % layer norm, 1 % the patches. What was tried there (ratio
to the widest product):
- 4, 8 and 16 frames at once: 0.94, 0.95 and 0.91; so a batch on a CPU is a clip. A clip's features are then the same
  whatever is encoded beside it. (They were equal to the last bit for 1 and 2 threads too, and at either place of a
  batch of two clips, for ViT-B/16, ResNet-18 and tiny.)
- MKL's packed weights: 91, against 91 without.
- Attention fused (`scaled_dot_product_attention`) is timm's own; channels-last changes nothing for a ViT.
"""

from collections.abc import Callable, Sequence

import torch
from measuring import Result, main, matmul_rate, ratios_in_turns, seconds

from essential.encoders import EncoderConfig, build_encoder
from essential.features.pipeline import ClipEncoder

_FRAMES, _THREADS, _TURNS = 8, 2, 9
_SIZE, _PATCH, _WIDTH, _MLP, _BLOCKS = 224, 16, 768, 3072, 12
_PATCHES = (_SIZE // _PATCH) ** 2
_TOKENS = _PATCHES + 1


def frame_operations() -> int:
    """Return the operations in the products of a ViT-B/16 for a frame, a multiply-add counted as two."""
    patches = 2 * _PATCHES * 3 * _PATCH**2 * _WIDTH
    projections = 2 * _TOKENS * _WIDTH * (3 * _WIDTH + _WIDTH)
    attention = 2 * 2 * _TOKENS**2 * _WIDTH
    mlp = 2 * 2 * _TOKENS * _WIDTH * _MLP
    return patches + _BLOCKS * (projections + attention + mlp)


def onednn_product(rows: torch.Tensor) -> Callable[[], object] | None:
    """Return what multiplies by oneDNN with packed weights; None where torch has no oneDNN."""
    if not torch.backends.mkldnn.is_available():
        return None
    packed = torch.ops.mkldnn._reorder_linear_weight(torch.randn(_MLP, _WIDTH), len(rows))
    return lambda: torch.ops.mkldnn._linear_pointwise(rows, packed, None, "none", [], "none")


def measure() -> Sequence[Result]:
    """Encode clips and multiply matrices in turns."""
    torch.set_num_threads(_THREADS)
    torch.manual_seed(0)
    encoder = build_encoder(EncoderConfig(name="imagenet-vit-b16", weights="random"))
    batches = ClipEncoder(encoder, frames=_FRAMES, batch_clips=None, precision="float32")
    clips = torch.randn(1, _FRAMES, 3, _SIZE, _SIZE)
    rates: dict[str, list[float]] = {"encoding": [], "products": [], "oneDNN's products": []}

    rows = torch.randn(_FRAMES * _TOKENS, _WIDTH)
    onednn, wide_operations = onednn_product(rows), 2 * rows.numel() * _MLP

    def encode() -> None:
        ((_, features),) = [*batches.add(0, clips), *batches.finish()]
        assert features.shape == (1, _FRAMES, _WIDTH)

    def encoding() -> float:
        rates["encoding"].append(_FRAMES * frame_operations() / seconds(encode))
        return rates["encoding"][-1]

    def products() -> float:
        wide = matmul_rate(rows=_FRAMES * _TOKENS, inner=_WIDTH, columns=_MLP)
        rates["products"].append(max(wide, matmul_rate()))
        if onednn is not None:
            rates["oneDNN's products"].append(wide_operations / min(seconds(onednn) for _ in range(5)))
        return rates["products"][-1]

    encode()
    ratio, spread = ratios_in_turns(encoding, products, turns=_TURNS)
    detail: dict[str, float | str] = {
        f"{name}, thousand million operations a second": sorted(found)[_TURNS // 2] / 1e9
        for name, found in rates.items()
        if found
    }
    detail["million operations for a frame"] = frame_operations() / 1e6
    detail["threads"] = _THREADS
    return [Result("ViT-B/16 encoding over matrix products", ratio, ">=", 0.90, spread, detail)]


if __name__ == "__main__":
    main(measure, __doc__)
