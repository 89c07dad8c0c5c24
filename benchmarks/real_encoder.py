"""What a pretrained encoder is worth on real clips: `python benchmarks/real_encoder.py MANIFEST.csv WEIGHTS --out DIR`.

Trains jointly on the clips of a manifest, in one task, once with the weights given and once with random ones of the
same network, and prints the final accuracies of every seed beside what is promised: 0.20 more with the weights. The
defaults suit a MobileNetV2 0.35 converted from Keras (TensorFlow's padding, pixels from -1 to 1).
"""

import argparse
import json
import statistics
from pathlib import Path

from essential.cli.progress_bar import terminal_progress
from essential.engine.config import load_config
from essential.engine.run import train

MARGIN = 0.20


def main() -> None:
    """Train both arms with every seed and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("manifest", type=Path, help="CSV with the columns path,label,split")
    parser.add_argument("weights", type=Path, help="the network's weights")
    parser.add_argument("--out", type=Path, required=True, help="folder for features and runs")
    parser.add_argument("--name", default="mobilenetv2_035", help="the network's name in timm")
    parser.add_argument("--arguments", type=json.loads, default={"pad_type": "same", "bn_eps": 1e-3})
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    arguments = parser.parse_args()
    means = {}
    for arm, weights in (("pretrained", str(arguments.weights.absolute())), ("random", "random")):
        encoder = {
            **{"name": arguments.name, "arguments": arguments.arguments, "weights": weights},
            **{"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]},
        }
        accuracies = [accuracy(arguments, arm, encoder, seed) for seed in arguments.seeds]
        means[arm] = statistics.mean(accuracies)
        print(f"{arm}: {', '.join(f'{value:.3f}' for value in accuracies)}; mean {means[arm]:.3f}")
    margin = means["pretrained"] - means["random"]
    print(f"{'holds' if margin >= MARGIN else 'FAILS'}  pretrained - random: {margin:.3f}, >= {MARGIN:g}")


def accuracy(arguments: argparse.Namespace, arm: str, encoder: dict[str, object], seed: int) -> float:
    """Return the final accuracy of one run; a run that is complete is read."""
    settings = {
        **{"data.kind": "manifest", "data.path": str(arguments.manifest), "protocol.tasks": 1},
        **{"encoder": encoder, "features.store": str(arguments.out / f"features-{arm}"), "seed": seed},
    }
    config = load_config("moving-digits/joint", [f"{key}={json.dumps(value)}" for key, value in settings.items()])
    record = train(config, arguments.out / f"{arm}-{seed}", resume=True, progress=terminal_progress())
    assert record.metrics.final_accuracy is not None
    return record.metrics.final_accuracy


if __name__ == "__main__":
    main()
