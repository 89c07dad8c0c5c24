"""The predictions of 100,000 clips of 10,000 classes by two readings: scored, ranked, written and read again.

Each clip keeps its best 50 slots by each reading and its true slot's score; all scores would be 8 GB. Measured are the
bytes of the file; the most memory that the process has of its own (RssAnon), torch included; and what ranking costs:
the processor seconds of `predict` over those of the same predictor asked in the same batches alone. The predictor is
two matrices, so that little hides the ranking; a real one costs more.
"""

import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from measuring import Result, in_a_process, main, ratios_in_turns, seconds
from torch import Tensor

from essential.engine.clips import ClipTable
from essential.engine.evaluate import predict
from essential.engine.run_folder import RunFolder
from essential.models.classifier import Predictor

CLASSES, CLIPS, FRAMES, DIM, BATCH = 10_000, 100_000, 8, 768, 512
CLIPS_PER_TURN = 4 * BATCH


class TwoReadings(Predictor):
    """A head, and what stands for the means of exemplars."""

    reading = "cnn"

    def __init__(self) -> None:
        super().__init__()
        self.head, self.means = torch.nn.Linear(DIM, CLASSES), torch.nn.Linear(DIM, CLASSES)

    def forward(self, features: Tensor) -> Tensor:
        scores: Tensor = self.head(features.mean(dim=1))
        return scores

    def readings(self, features: Tensor) -> dict[str, Tensor]:
        return {"cnn": self(features), "nme": self.means(features.mean(dim=1))}


def measure() -> Sequence[Result]:
    """Make the file in a process of its own, then compare with scoring alone."""
    made = in_a_process(__file__, "make")
    predictor, clips = TwoReadings(), _clips(CLIPS_PER_TURN)
    ratio, spread = ratios_in_turns(lambda: _ranked(predictor, clips), lambda: _scored(predictor, clips))
    name = f"predictions of {CLIPS} clips of {CLASSES} classes, two readings"
    detail = {key: made[key] for key in ("seconds to score and rank", "seconds to write", "seconds to read")}
    all_scores = {"MB of all scores": 2 * CLIPS * CLASSES * 4 / 1e6}
    return [
        Result(f"{name}: MB of the file", made["mb"], "<=", 100.0, detail=detail | all_scores),
        Result(f"{name}: most GB of memory", made["most_gb"], "<=", 1.0),
        Result(f"{name}: processor seconds over those of scoring alone", ratio, "<=", 2.0, spread),
    ]


def _clips(count: int) -> ClipTable:
    """Return clips with the features of a few, again and again."""
    few = torch.randn(BATCH, FRAMES, DIM, generator=torch.Generator().manual_seed(0))
    names = [f"class {clip % CLASSES:05d}/video_{clip:07d}_000010_000020.mp4" for clip in range(count)]
    slots = torch.arange(count) % CLASSES
    return ClipTable(lambda rows: few[rows % BATCH], names, slots, slots // 100)


def _make() -> dict[str, float]:
    predictor, clips, cpu = TwoReadings(), _clips(CLIPS), torch.device("cpu")
    start = time.perf_counter()
    found = predict(predictor, clips, device=cpu, batch_size=BATCH)
    took = time.perf_counter() - start
    with tempfile.TemporaryDirectory() as name:
        folder = RunFolder(Path(name))
        return {
            "seconds to score and rank": took,
            "seconds to write": seconds(lambda: folder.write_predictions(0, found)),
            "seconds to read": seconds(lambda: folder.read_predictions(0)),
            "mb": folder.predictions(0).stat().st_size / 1e6,
        }


def _ranked(predictor: Predictor, clips: ClipTable) -> float:
    start = time.process_time()
    predict(predictor, clips, device=torch.device("cpu"), batch_size=BATCH)
    return time.process_time() - start


@torch.no_grad()
def _scored(predictor: Predictor, clips: ClipTable) -> float:
    start = time.process_time()
    for rows in torch.arange(len(clips)).split(BATCH):
        predictor.readings(clips.rows(rows).features)
    return time.process_time() - start


if __name__ == "__main__":
    if sys.argv[1:] == ["make"]:
        print(json.dumps(_make()))
    else:
        main(measure, __doc__ or "")
