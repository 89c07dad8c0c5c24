"""Measure what few bits take from stored features: `python benchmarks/memory_bits.py CONFIG [KEY=VALUE ...]`.

Stores the training clips' features in 16 to 2 bits a number, the centre taken from the first task's, as a memory would,
and prints for each the bytes of a frame, the squared error as a share of the scatter within classes, the accuracy of a
linear classifier in five folds (learned from what is stored, asked about clips as they are), and seconds. Where faiss
is installed (`pip install faiss-cpu`), its scalar and product quantisers stand beside ours, trained on the first task.
"""

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from sklearn.linear_model import RidgeClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from essential.cli.progress_bar import terminal_progress
from essential.engine.clips import LabelledVideos
from essential.engine.config import load_config
from essential.engine.workspace import open_workspace
from essential.memory.packing import PACKED, Packing

try:
    import faiss
except ImportError:
    faiss = None

Clips = np.ndarray
# From the first task's clips and all of them, what is left of all.
Store = Callable[[Clips, Clips], Clips]


def main() -> None:
    """Print a line for each way of storing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", help="a shipped config or a YAML file, such as moving-digits/essential")
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE")
    arguments = parser.parse_args()
    features, slots, tasks = _training_clips(arguments.config, arguments.overrides)
    means = np.stack([features[slots == slot].mean(axis=0) for slot in range(slots.max() + 1)])
    scatter = float(((features - means[slots]) ** 2).sum())
    print(f"{features.shape[0]} clips of {features.shape[1]} frames of {features.shape[2]} numbers")
    print(f"{'':24}{'bytes/frame':>12}{'once':>10}{'error':>10}{'accuracy':>10}{'seconds':>9}")
    for name, (per_frame, once, store) in _ways(features.shape[2]).items():
        begun = time.perf_counter()
        stored = store(features[tasks == 0], features)
        seconds = time.perf_counter() - begun
        error = float(((stored - features) ** 2).sum()) / scatter
        accuracy = _cross_validated(features, slots, tasks, store)
        print(f"{name:24}{per_frame:12.0f}{once:10,}{error:10.5f}{accuracy:10.3f}{seconds:9.2f}", flush=True)


def _training_clips(config: str, overrides: list[str]) -> tuple[Clips, np.ndarray, np.ndarray]:
    workspace = open_workspace(load_config(config, overrides).with_absolute_paths(), terminal_progress())
    protocol = workspace.protocol
    videos = LabelledVideos(protocol, workspace.source(protocol.videos, terminal_progress()))
    tables = [videos.table(task.train, 0) for task in protocol.tasks]
    batches = [table.rows(torch.arange(len(table))) for table in tables]
    features = np.concatenate([batch.features.numpy() for batch in batches])
    slots, tasks = (torch.cat([getattr(batch, name) for batch in batches]).numpy() for name in ("slots", "tasks"))
    return features, slots, tasks


def _ways(dim: int) -> dict[str, tuple[float, int, Store]]:
    """Return by name: bytes of a frame, bytes that are stored once, and what stores."""
    ways: dict[str, tuple[float, int, Store]] = {"32 bits": (dim * 4, 0, lambda _, clips: clips)}
    for bits in PACKED:

        def ours(first: Clips, clips: Clips, bits: int = bits) -> Clips:
            packing = Packing(bits, 0, torch.zeros(dim)).around(torch.from_numpy(first))
            columns = packing.encode(torch.from_numpy(clips), torch.zeros(len(clips), 0))
            return packing.decode(columns)[0].numpy()

        ways[f"{bits} bits"] = (Packing(bits, 0, torch.zeros(dim)).exemplar_bytes(1), dim * 4 + 16, ours)
    if faiss is None:
        return ways

    def of_faiss(quantiser: Any) -> Store:
        def store(first: Clips, clips: Clips) -> Clips:
            quantiser.train(np.ascontiguousarray(first.reshape(-1, dim)))
            codes = quantiser.compute_codes(np.ascontiguousarray(clips.reshape(-1, dim)))
            return quantiser.decode(codes).reshape(clips.shape)

        return store

    for bits, kind in ((8, faiss.ScalarQuantizer.QT_8bit), (4, faiss.ScalarQuantizer.QT_4bit)):
        ways[f"faiss scalar, {bits} bits"] = (dim * bits / 8, dim * 8, of_faiss(faiss.ScalarQuantizer(dim, kind)))
    for parts in (dim // 2, dim // 4):
        product = faiss.ProductQuantizer(dim, parts, 8)
        product.cp.min_points_per_centroid = 1
        ways[f"faiss product, {parts} x 8"] = (parts, 256 * dim * 4, of_faiss(product))
    return ways


def _cross_validated(features: Clips, slots: np.ndarray, tasks: np.ndarray, store: Store) -> float:
    fold = np.random.default_rng(0).permutation(len(slots)) % 5
    right = 0
    for each in range(5):
        kept = fold != each
        classifier = make_pipeline(StandardScaler(), RidgeClassifier(alpha=float(features[0].size)))
        classifier.fit(store(features[kept & (tasks == 0)], features[kept]).reshape(kept.sum(), -1), slots[kept])
        right += int((classifier.predict(features[~kept].reshape((~kept).sum(), -1)) == slots[~kept]).sum())
    return right / len(slots)


if __name__ == "__main__":
    main()
