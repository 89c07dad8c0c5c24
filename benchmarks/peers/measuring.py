"""What both sides share: arrays of features, settings, and runs that are timed and written as JSON."""

import argparse
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
import torch

from essential.files.atomic import write_json

CLASSIFIER = {"heads": 8, "init_scale": 1.0}  # as in the shipped config moving-digits/joint; the rest by default
BATCH_SIZE, LEARNING_RATE, EXEMPLARS = 24, 2e-3, 96  # the rate does not change; exemplars are clips in all
EWC_WEIGHT = 1e5  # of the penalty; below 1e4, on moving-digits of another seed, it holds nothing


@dataclass(frozen=True)
class Stream:
    """Clips of frame features (clips, frames, dim) and their slots; task i has the next `sizes[i]` slots."""

    X: np.ndarray
    y: np.ndarray
    Xt: np.ndarray
    yt: np.ndarray
    sizes: np.ndarray


# Learns a stream, in so many epochs a task, from a seed; gives the accuracy over the classes seen, after each task.
Learn = Callable[[Stream, int, int], list[float]]


def measure(side: str, methods: Mapping[tuple[str, str], Learn], description: str | None) -> None:
    """Run what the command line asks for, write the runs and print each.

    A method has the name that both sides know it by, and says what is changed, if anything.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("arrays", type=Path, help="what arrays.py has written")
    parser.add_argument("--out", type=Path, required=True, help="JSON file of the runs")
    parser.add_argument("--methods", nargs="+", choices=sorted({name for name, _ in methods}), help="default: all")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--epochs", type=int, default=30)
    arguments = parser.parse_args()
    if not arguments.arrays.is_file():
        parser.error(f"{arguments.arrays} is not there: write it with arrays.py")
    with np.load(arguments.arrays) as arrays:
        stream = Stream(**arrays)
    torch.set_num_threads(1)
    runs = []
    for (name, change), learn in methods.items():
        for seed in arguments.seeds if name in (arguments.methods or [name]) else []:
            start = time.process_time()
            accuracies = learn(stream, arguments.epochs, seed)
            seconds = time.process_time() - start
            runs.append({"method": name, "change": change, "seed": seed, "accuracies": accuracies, "seconds": seconds})
            print(f"{name:13} {change:16} seed {seed}  {accuracies[-1]:.3f}  {seconds:.1f} s", flush=True)
    checksum = sha256(b"".join(array.tobytes() for array in vars(stream).values())).hexdigest()[:16]
    same = {"arrays": checksum, "epochs": arguments.epochs, "seeds": arguments.seeds, "torch": torch.__version__}
    write_json(arguments.out, {"side": side, "same": same, "runs": runs})
