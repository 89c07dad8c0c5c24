"""Draw what each more task costs, as `docs/growth.svg` shows it: `python benchmarks/plot_growth.py --out FILE.svg`.

Learns the stream of `speed/growth.py`, and some of its tasks in full, in turns, which takes a quarter of an hour.
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
from growth import CLASSES_PER_TASK, again, learn

TASKS, ROUNDS = (5, 25, 50, 75, 99), 3


def main() -> None:
    """Learn the stream and draw it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="the picture to write (SVG)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        carried = learn(folder, keep=TASKS).memory_bytes_by_task
        rounds = [[again(folder, task) for task in TASKS] for _ in range(ROUNDS)]
    seconds = np.median(rounds, axis=0)
    for task, taken in zip(TASKS, seconds, strict=True):
        print(f"task {task}: {taken:.1f} s, {carried[task - 1].budgeted:,} + {carried[task - 1].retrieval_modules:,} B")
    classes = CLASSES_PER_TASK * np.arange(1, len(carried) + 1)
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2), constrained_layout=True)
    left.plot([CLASSES_PER_TASK * task for task in TASKS], seconds, "o-", linewidth=1, markersize=4)
    left.set(xlabel="classes learned", ylabel="seconds for ten more classes", ylim=(0, None))
    right.plot(classes, [each.retrieval_modules / 2**20 for each in carried], "--", label="MR modules, a file per task")
    right.plot(classes, [each.budgeted / 2**20 for each in carried], label="exemplars and prompts")
    right.set(xlabel="classes learned", ylabel="MiB carried", ylim=(0, None))
    right.legend(frameon=False)
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(arguments.out, metadata={"Date": None})


if __name__ == "__main__":
    main()
