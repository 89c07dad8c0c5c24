"""Write the features of a config's clips as arrays: `python arrays.py --out ARRAYS.npz [--config NAME] [-s KEY=VALUE]`.

Features that are missing are extracted first. The arrays are the plain views of the training and test clips, each
clip's slot, and how many classes each task has.
"""

import argparse
from pathlib import Path

import numpy as np
import torch

from essential.cli.progress_bar import terminal_progress
from essential.engine.clips import LabelledVideos
from essential.engine.config import load_config
from essential.engine.workspace import open_workspace


def main() -> None:
    """Open the config's features and write them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--config", default="moving-digits/joint")
    parser.add_argument("-s", "--set", action="append", default=[], metavar="KEY=VALUE", help="as in `essential train`")
    arguments = parser.parse_args()
    workspace = open_workspace(load_config(arguments.config, arguments.set), terminal_progress())
    tasks = workspace.protocol.tasks
    labelled = LabelledVideos(workspace.protocol, workspace.source(workspace.protocol.videos, terminal_progress()))
    arrays = {}
    for part, videos in (("", [task.train for task in tasks]), ("t", [task.test for task in tasks])):
        table = labelled.table([video for task in videos for video in task], 0)
        batch = table.rows(torch.arange(len(table)))
        arrays |= {f"X{part}": batch.features.numpy(), f"y{part}": batch.slots.numpy()}
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    np.savez(arguments.out, sizes=np.array([len(task.classes) for task in tasks]), **arrays)
    print(f"{len(arrays['X'])} + {len(arrays['Xt'])} clips of {arrays['X'].shape[1:]}: {arguments.out}")


if __name__ == "__main__":
    main()
