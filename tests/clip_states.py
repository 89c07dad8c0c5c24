"""Small CLIP image towers as the authors name them, with numbers drawn from a seed."""

from collections.abc import Sequence

import torch
from torch import Tensor

WIDTH, PATCH, SIZE, FRAMES, ADAPTER = 128, 8, 16, 3, 12


def clip_state(
    depth: int = 2, *, temporal_adapters: int = 0, layers: Sequence[int] = (), frames: int | None = None, seed: int = 0
) -> dict[str, Tensor]:
    """Return a tower of two heads that sees four patches; adapters in `layers`, an embedding of `frames` frames."""
    shapes: dict[str, tuple[int, ...]] = {
        "class_embedding": (WIDTH,),
        "positional_embedding": (1 + (SIZE // PATCH) ** 2, WIDTH),
        "conv1.weight": (WIDTH, 3, PATCH, PATCH),
        **_linear("ln_pre", WIDTH),
        **_linear("ln_post", WIDTH),
    }
    if frames is not None:
        shapes["temporal_embedding"] = (1, frames, WIDTH)
    for layer in range(depth):
        block = f"transformer.resblocks.{layer}"
        shapes |= {
            f"{block}.attn.in_proj_weight": (3 * WIDTH, WIDTH),
            f"{block}.attn.in_proj_bias": (3 * WIDTH,),
            **_linear(f"{block}.attn.out_proj", WIDTH, WIDTH),
            **_linear(f"{block}.ln_1", WIDTH),
            **_linear(f"{block}.ln_2", WIDTH),
            **_linear(f"{block}.mlp.c_fc", 4 * WIDTH, WIDTH),
            **_linear(f"{block}.mlp.c_proj", WIDTH, 4 * WIDTH),
        }
        if layer in layers:
            for adapter in ("T_Adapter_in", "T_Adapter", "S_Adapter", "MLP_Adapter")[2 - temporal_adapters :]:
                shapes |= _linear(f"{block}.{adapter}.D_fc1", ADAPTER, WIDTH)
                shapes |= _linear(f"{block}.{adapter}.D_fc2", WIDTH, ADAPTER)
    generator = torch.Generator().manual_seed(seed)
    # Large enough that every part of a block moves the features.
    return {
        key: 0.15 * torch.randn(shape, generator=generator) + (1 if "ln_" in key and key.endswith("weight") else 0)
        for key, shape in shapes.items()
    }


def clip_pixels(clips: int, frames: int = FRAMES) -> Tensor:
    return torch.randn(clips, frames, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(5))


def _linear(name: str, *shape: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
