"""The weights and inputs of the authors' golden outputs, drawn as `shared/goldens/README.md` says."""

import json
import zlib
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from torch import Tensor

NAMES = ["plain_1layer", "adapted_3layer"]


def draw(seed: int, name: str, shape: list[int]) -> Tensor:
    bits = np.random.PCG64([seed, zlib.crc32(name.encode())])
    return torch.from_numpy(np.random.Generator(bits).standard_normal(tuple(shape)).astype(np.float32))


def draw_weights(goldens: Path, name: str, seed: int) -> dict[str, Tensor]:
    """Return the checkpoint's tensors by the names in the file `NAME.keys.json`."""
    weights = {}
    for key, shape in json.loads((goldens / f"{name}.keys.json").read_text()).items():
        raw = draw(seed, key, shape)
        if "ln_" in key and key.endswith("weight"):
            weights[key] = 1 + 0.02 * raw
        else:
            weights[key] = 0.5 * raw.abs() if key.endswith("prompt") else 0.02 * raw
    return weights


def read_notes(goldens: Path, name: str) -> dict[str, str]:
    """Return a golden's metadata: its seed, the number of layers, and what its encoder has."""
    with safe_open(goldens / f"{name}.safetensors", "np") as file:
        notes: dict[str, str] = file.metadata()
    return notes
