"""Weights and inputs of a golden file, drawn from its seed and their names.

A golden is `NAME.safetensors`, what the authors' network computes, with its seed and settings as metadata, beside
`NAME.keys.json`, the names and shapes of its parameters. For each key `r` is standard normal from
`Generator(PCG64([seed, crc32(key)]))`: `1 + 0.02 r` for the weight of a norm (`ln_`), `0.5 |r|` for a prompt, `0.02 r`
for all else.
"""

import argparse
import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor


@dataclass(frozen=True)
class Golden:
    """A golden file: its arrays, the shapes of the network's parameters, and the settings it was computed with."""

    arrays: dict[str, Tensor]
    keys: dict[str, list[int]]
    seed: int
    tasks: int
    temporal_layers: int
    temporal_embedding: bool

    def weights(self) -> dict[str, Tensor]:
        """Return the network's parameters, under the authors' names."""
        return {key: _weight(self.seed, key, shape) for key, shape in self.keys.items()}


def read_golden(folder: Path, name: str) -> Golden:
    """Read a golden of `folder`."""
    path = folder / f"{name}.safetensors"
    with safe_open(path, "np") as file:
        notes = file.metadata()
    return Golden(
        arrays=load_file(path),
        keys=json.loads((folder / f"{name}.keys.json").read_text()),
        seed=int(notes["seed"]),
        tasks=int(notes["tasks"]),
        temporal_layers=int(notes["temporal_layers"]),
        temporal_embedding=notes["temporal_embedding_in_encoder"] == "True",
    )


def draw(seed: int, name: str, shape: Sequence[int]) -> Tensor:
    """Return standard normal numbers that seed and name decide."""
    bits = np.random.PCG64([seed, zlib.crc32(name.encode())])
    return torch.from_numpy(np.random.Generator(bits).standard_normal(tuple(shape)).astype(np.float32))


def write_checkpoint(golden: Golden, path: Path) -> None:
    """Write the network as the authors' code saves it."""
    arguments = argparse.Namespace(data_set="UCF101", num_tasks=golden.tasks, temporal_layer=golden.temporal_layers)
    optimizer = {"state": {}, "param_groups": []}
    torch.save({"model": golden.weights(), "optimizer": optimizer, "epoch": 0, "args": arguments}, path)


def _weight(seed: int, key: str, shape: Sequence[int]) -> Tensor:
    drawn = draw(seed, key, shape)
    if "ln_" in key and key.endswith("weight"):
        return 1 + 0.02 * drawn
    return 0.5 * drawn.abs() if key.endswith("prompt") else 0.02 * drawn
