"""Measure what `moving-digits` and the shipped recipes promise: `python benchmarks/moving_digits.py --out DIR`.

Runs the five shipped arms with seeds 0, 1 and 2 (features are extracted once; finished runs are kept, so that a
stopped measurement goes on), trains classifiers that cannot see the order of frames on all classes at once, and prints
a table of what was measured beside what is promised. `DIR/moving_digits.json` holds the same figures.
"""

import argparse
import statistics
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from essential.cli.progress_bar import terminal_progress
from essential.engine.clips import LabelledVideos
from essential.engine.config import load_config
from essential.engine.run import train
from essential.engine.workspace import open_workspace
from essential.files.atomic import write_json

ARMS = ("joint", "finetune", "replay-dense", "replay-sparse", "essential")
SEEDS = (0, 1, 2)


def main() -> None:
    """Run everything and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for runs, features and the figures")
    parser.add_argument("--untrimmed", action="store_true", help="measure moving-digits-untrimmed instead")
    arguments = parser.parse_args()
    places = [f"data.root={arguments.out / 'data'}", f"features.store={arguments.out / 'features'}"]
    if arguments.untrimmed:
        places.append("data.moving_digits.untrimmed=true")
    accuracies = {arm: [_final_accuracy(arm, seed, arguments.out, places) for seed in SEEDS] for arm in ARMS}
    blind = order_blind_accuracies(places)
    means = {arm: statistics.mean(values) for arm, values in accuracies.items()}
    checks = _checks(means, max(blind.values()))
    write_json(
        arguments.out / "moving_digits.json",
        {"final_accuracy": accuracies, "order_blind": blind, "checks": checks},
    )
    for arm, values in accuracies.items():
        print(f"{arm:15} {means[arm]:.3f}  seeds {', '.join(f'{value:.3f}' for value in values)}")
    for name, value in blind.items():
        print(f"order-blind {name:20} {value:.3f}")
    for check in checks:
        print(f"{'holds' if check['holds'] else 'FAILS'}  {check['name']}: {check['value']:.3f}, {check['target']}")


def order_blind_accuracies(places: list[str]) -> dict[str, float]:
    """Return the test accuracy of classifiers of the mean of a clip's frame features, all classes at once."""
    workspace = open_workspace(load_config("moving-digits/joint", places), terminal_progress())
    source = workspace.source(workspace.protocol.videos, terminal_progress())
    labelled = LabelledVideos(workspace.protocol, source)
    training = [video for task in workspace.protocol.tasks for video in task.train]
    tests = [video for task in workspace.protocol.tasks for video in task.test]
    views = [_means(labelled, training, view) for view in range(workspace.config.features.views + 1)]
    x = np.concatenate([mean for mean, _ in views])
    y = np.concatenate([slots for _, slots in views])
    test_x, test_y = _means(labelled, tests, 0)
    classifiers = {
        "shrunken LDA": LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto"),
        "logistic regression": make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)),
        "perceptron": make_pipeline(StandardScaler(), MLPClassifier((256,), max_iter=60, random_state=0)),
    }
    return {name: float(model.fit(x, y).score(test_x, test_y)) for name, model in classifiers.items()}


def _means(labelled: LabelledVideos, videos: list, view: int) -> tuple[np.ndarray, np.ndarray]:
    table = labelled.table(videos, view)
    batch = table.rows(torch.arange(len(table)))
    return batch.features.mean(dim=1).numpy(), batch.slots.numpy()


def _final_accuracy(arm: str, seed: int, out: Path, places: list[str]) -> float:
    config = load_config(f"moving-digits/{arm}", [*places, f"seed={seed}"])
    record = train(config, out / f"{arm}-{seed}", resume=True, progress=terminal_progress())
    assert record.metrics.final_accuracy is not None
    return record.metrics.final_accuracy


def _checks(means: Mapping[str, float], blind: float) -> list[dict]:
    ratio = means["essential"] / means["replay-dense"]
    gain = means["essential"] - means["replay-sparse"]
    return [
        _check("joint", means["joint"], ">=", 0.90),
        _check("finetune", means["finetune"], "<=", 0.30),
        _check("best order-blind classifier", blind, "<=", 0.65),
        _check("essential over dense replay", ratio, ">=", 0.92),
        _check("essential above sparse replay", gain, ">=", 0.10),
    ]


def _check(name: str, value: float, sign: str, bound: float) -> dict:
    holds = value >= bound if sign == ">=" else value <= bound
    return {"name": name, "value": value, "target": f"{sign} {bound:.2f}", "holds": holds}


if __name__ == "__main__":
    main()
