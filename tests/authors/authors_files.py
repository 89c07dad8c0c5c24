"""Small checkpoints in the form in which the authors' code saves its own."""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

WIDTH, PATCH, SIDE, BLOCKS, FRAMES = 64, 8, 32, 2, 4


def tower_shapes(*, adapters: int = 0, bottleneck: int = 16) -> dict[str, tuple[int, ...]]:
    """Return the parameters of a small image encoder by the authors' names."""
    shapes: dict[str, tuple[int, ...]] = {
        "class_embedding": (WIDTH,),
        "positional_embedding": ((SIDE // PATCH) ** 2 + 1, WIDTH),
        "temporal_embedding": (1, FRAMES, WIDTH),
        "conv1.weight": (WIDTH, 3, PATCH, PATCH),
        **_norm("ln_pre"),
        **_norm("ln_post"),
    }
    for block in range(BLOCKS):
        prefix = f"transformer.resblocks.{block}"
        shapes |= {**_attention(prefix), **_norm(f"{prefix}.ln_1"), **_norm(f"{prefix}.ln_2"), **_mlp(prefix)}
        names = ("MLP_Adapter", "S_Adapter", "T_Adapter", "T_Adapter_in")[: 2 + adapters if adapters else 0]
        for name in names:
            shapes[f"{prefix}.{name}.D_fc1.weight"] = (bottleneck, WIDTH)
            shapes[f"{prefix}.{name}.D_fc1.bias"] = (bottleneck,)
            shapes[f"{prefix}.{name}.D_fc2.weight"] = (WIDTH, bottleneck)
            shapes[f"{prefix}.{name}.D_fc2.bias"] = (WIDTH,)
    return shapes


def classifier_shapes(*, classes: int, modules: int, layers: int = 1) -> dict[str, tuple[int, ...]]:
    """Return the parameters of temporal encoder, head and MR modules by the authors' names."""
    shapes: dict[str, tuple[int, ...]] = {
        "decoder_temporal_embedding": (1, FRAMES, WIDTH),
        "decoder_cls": (WIDTH,),
        "head.weight": (classes, WIDTH),
        "head.bias": (classes,),
    }
    for layer in range(layers):
        prefix = f"decoder_transformer_for_cls.{layer}"
        shapes |= {**_attention(prefix), **_norm(f"{prefix}.ln_1"), **_norm(f"{prefix}.ln_cls")}
    for module in range(modules):
        prefix = f"mr_module.{module}"
        shapes |= {f"{prefix}.prompt": (FRAMES, WIDTH), **_attention(prefix), **_mlp(prefix)}
        shapes |= {**_norm(f"{prefix}.ln_1"), **_norm(f"{prefix}.ln_2"), **_norm(f"{prefix}.ln_tokens")}
    return shapes


def drawn(shapes: Mapping[str, tuple[int, ...]], seed: int) -> dict[str, Tensor]:
    """Return parameters of such shapes."""
    generator = torch.Generator().manual_seed(seed)
    values = {name: 0.2 * torch.randn(shape, generator=generator) for name, shape in shapes.items()}
    return {name: 1 + value if "ln_" in name and name.endswith("weight") else value for name, value in values.items()}


def network(*, classes: int = 8, modules: int = 2, layers: int = 1, adapters: int = 0) -> dict[str, Tensor]:
    """Return a whole network."""
    tower = drawn(tower_shapes(adapters=adapters), 0)
    return tower | drawn(classifier_shapes(classes=classes, modules=modules, layers=layers), 1)


def save(path: Path, model: Mapping[str, Any], **flags: Any) -> Path:
    """Save a network as the authors' code does, and return the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {"model": dict(model), "optimizer": {"state": {}}, "epoch": 3, "args": argparse.Namespace(**flags)}
    torch.save(content, path)
    return path


def _attention(prefix: str) -> dict[str, tuple[int, ...]]:
    return {
        f"{prefix}.attn.in_proj_weight": (3 * WIDTH, WIDTH),
        f"{prefix}.attn.in_proj_bias": (3 * WIDTH,),
        f"{prefix}.attn.out_proj.weight": (WIDTH, WIDTH),
        f"{prefix}.attn.out_proj.bias": (WIDTH,),
    }


def _norm(prefix: str) -> dict[str, tuple[int, ...]]:
    return {f"{prefix}.weight": (WIDTH,), f"{prefix}.bias": (WIDTH,)}


def _mlp(prefix: str) -> dict[str, tuple[int, ...]]:
    return {
        f"{prefix}.mlp.c_fc.weight": (4 * WIDTH, WIDTH),
        f"{prefix}.mlp.c_fc.bias": (4 * WIDTH,),
        f"{prefix}.mlp.c_proj.weight": (WIDTH, 4 * WIDTH),
        f"{prefix}.mlp.c_proj.bias": (WIDTH,),
    }
