"""Measure what a learner promises: `python benchmarks/learner.py --out DIR`.

On `moving-digits`, with the embedded encoder and the shipped recipe, for the seeds 0, 1 and 2:

- learn 8 classes, save, delete their clips, load, learn 4 more, and ask all 12: within 0.03 of one `train` run on the
  same clips;
- how well the unknown score tells the 12 classes that were never taught from the 12 that were (AUROC), what share of
  either is called unknown, and how far the probabilities are from the truth (expected calibration error, 10 bins);
- teach one new class from 10 clips to a learner of 20 classes: 20 seconds, and the accuracy on the 20 falls by 0.03 at
  most.

`DIR/learner.json` holds the figures. DIR must be new, or hold the clips of a measurement before and nothing else.
"""

import argparse
import shutil
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from sklearn.metrics import roc_auc_score

from essential import VideoLearner
from essential.cli.progress_bar import terminal_progress
from essential.engine.config import load_config
from essential.engine.run import train
from essential.files.atomic import write_json
from essential.learner.prediction import Prediction
from essential.protocols.moving_digits import MovingDigitsConfig, make_moving_digits
from essential.protocols.protocol import order_classes

RECIPE = "moving-digits/essential"
SEEDS = (0, 1, 2)
Clips = Mapping[str, Sequence[Path]]


def main() -> None:
    """Run everything, print the figures beside what is promised."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for clips, runs and the figures")
    out = parser.parse_args().out
    make_moving_digits(out / "data", MovingDigitsConfig(), workers=2)
    for left in out.iterdir():
        if left.name.startswith(("run-", "twelve-")):
            shutil.rmtree(left)
    measured = [{**_in_two_lessons(out, seed), **_one_more_class(out, seed)} for seed in SEEDS]
    means = {name: statistics.mean(one[name] for one in measured) for name in measured[0]}
    checks = {
        "accuracy in a run minus that of the learner <= 0.03": means["run"] - means["learner"] <= 0.03,
        "seconds for a class from 10 clips <= 20": max(one["seconds"] for one in measured) <= 20,
        "fall on 20 classes <= 0.03": means["before"] - means["after"] <= 0.03,
    }
    write_json(out / "learner.json", {"by_seed": measured, "mean": means, "checks": checks})
    for name, value in means.items():
        print(f"{name:32} {value:.3f}  seeds {', '.join(f'{one[name]:.3f}' for one in measured)}")
    for name, holds in checks.items():
        print(f"{'holds' if holds else 'FAILS'}  {name}")


def _in_two_lessons(out: Path, seed: int) -> dict[str, float]:
    """Teach 8 and 4 of the classes, in an order drawn from the seed; ask these, and the 12 that were not taught."""
    names = order_classes(sorted(path.name for path in (out / "data" / "train").iterdir()), seed, "essential")
    known, strange = names[:12], names[12:]
    learner = VideoLearner(config=RECIPE, overrides=[f"seed={seed}"])
    with tempfile.TemporaryDirectory() as folder:
        for name in known[:8]:
            shutil.copytree(out / "data" / "train" / name, Path(folder) / "data" / "train" / name)
        learner.learn(_clips(Path(folder), "train", known[:8]))
    learner.save(out / "learner.bundle")
    learner = VideoLearner.load(out / "learner.bundle")
    learner.learn(_clips(out, "train", known[8:]))
    of_known, of_strange = (
        _answers(learner, _clips(out, "test", known)),
        _answers(learner, _clips(out, "test", strange)),
    )
    unknown = [answer.unknown_score for _, answer in (*of_known, *of_strange)]
    assert None not in unknown, "40 clips of a class are enough to tell the unknown by"
    return {
        "learner": _accuracy(of_known),
        "run": _run(out, known, seed),
        "auroc of the unknown score": float(roc_auc_score([0] * len(of_known) + [1] * len(of_strange), unknown)),
        "known called unknown": float(np.mean([answer.unknown for _, answer in of_known])),
        "strange called unknown": float(np.mean([answer.unknown for _, answer in of_strange])),
        "calibration error": _calibration_error(of_known),
    }


def _run(out: Path, classes: Sequence[str], seed: int) -> float:
    """Return the final accuracy of a run that learns the same classes in the same two tasks."""
    root = out / f"twelve-{seed}"
    if not root.exists():
        for split in ("train", "test"):
            for place, name in enumerate(classes):
                # Numbered, so that their order by name is that of the lessons.
                shutil.copytree(out / "data" / split / name, root / split / f"{place:02d}-{name}")
    overrides = [
        *("data.kind=folder", f"data.root={root}", "protocol.tasks=2", "protocol.base_classes=8"),
        *("protocol.order_seed=null", f"features.store={root}-features", f"seed={seed}"),
    ]
    config = load_config(RECIPE, overrides)
    record = train(config, out / f"run-{seed}", resume=True, progress=terminal_progress())
    assert record.metrics.final_accuracy is not None, "every class has test clips"
    return record.metrics.final_accuracy


def _one_more_class(out: Path, seed: int) -> dict[str, float]:
    """Teach 20 classes in four lessons, then one more from 10 clips."""
    names = order_classes(sorted(path.name for path in (out / "data" / "train").iterdir()), seed, "essential")
    old, new = names[:20], names[20]
    learner = VideoLearner(config=RECIPE, overrides=[f"seed={seed}"])
    for first in range(0, 20, 5):
        learner.learn(_clips(out, "train", old[first : first + 5]))
    asked = _clips(out, "test", old)
    before = _accuracy(_answers(learner, asked))
    start = time.perf_counter()
    learner.learn({new: _clips(out, "train", [new])[new][:10]})
    seconds = time.perf_counter() - start
    return {
        "before": before,
        "after": _accuracy(_answers(learner, asked)),
        "the new class": _accuracy(_answers(learner, _clips(out, "test", [new]))),
        "seconds": seconds,
    }


def _clips(out: Path, split: str, names: Sequence[str]) -> Clips:
    return {name: sorted((out / "data" / split / name).iterdir()) for name in names}


def _answers(learner: VideoLearner, clips: Clips) -> list[tuple[str, Prediction]]:
    flat = [(name, path) for name, paths in clips.items() for path in paths]
    answers = learner.predict([path for _, path in flat])
    return [(name, answer) for (name, _), answer in zip(flat, answers, strict=True)]


def _accuracy(answers: Sequence[tuple[str, Prediction]]) -> float:
    return float(np.mean([answer.label == name for name, answer in answers]))


def _calibration_error(answers: Sequence[tuple[str, Prediction]]) -> float:
    scores = np.array([answer.score for _, answer in answers])
    right = np.array([answer.label == name for name, answer in answers])
    bins = np.clip((scores * 10).astype(int), 0, 9)
    return float(
        sum(
            (bins == place).mean() * abs(scores[bins == place].mean() - right[bins == place].mean())
            for place in set(bins)
        )
    )


if __name__ == "__main__":
    main()
