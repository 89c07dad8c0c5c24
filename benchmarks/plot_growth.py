"""Draw what each more task costs, as `docs/growth.svg` shows it: `python benchmarks/plot_growth.py --out FILE.svg`.

Learns the stream of `speed/growth.py`, which takes some minutes.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt
import numpy as np

sys.path.insert(0, str(Path(__file__).parent / "speed"))
from growth import CLASSES_PER_TASK, learn


def main() -> None:
    """Learn the stream and draw it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="the picture to write (SVG)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        seconds, record = learn(Path(temporary))
    carried = record.memory_bytes_by_task
    classes = CLASSES_PER_TASK * np.arange(1, len(seconds) + 1)
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2), constrained_layout=True)
    left.plot(classes, seconds, linewidth=1)
    left.set(xlabel="classes learned", ylabel="seconds for the task", ylim=(0, None), title="time: flat")
    right.plot(classes, [each.retrieval_modules / 2**20 for each in carried], "--", label="MR modules, a file each")
    right.plot(classes, [each.budgeted / 2**20 for each in carried], label="exemplars and prompts (budget)")
    right.set(xlabel="classes learned", ylabel="MiB carried", ylim=(0, None), title="bytes: linear, and capped")
    right.legend(frameon=False)
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(arguments.out, metadata={"Date": None})


if __name__ == "__main__":
    main()
