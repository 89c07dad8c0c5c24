"""Measure how long a protocol of 400 classes and 240,000 videos takes to open: `python benchmarks/open_protocol.py`.

Makes a list and a folder of empty files, a folder for each class, in a temporary place; opens them in a fresh process,
several times; and prints the median seconds and the largest peak of memory beside what is promised. Opening is: read
the list, find every video, group them into tasks, and name the protocol by its id.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from essential.protocols.protocol import build_protocol
from essential.protocols.source import DataConfig, load_listing

SECONDS, MEBIBYTES = 2.0, 500
TASKS = 10


def main() -> None:
    """Make the data, open them in fresh processes, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--classes", type=int, default=400)
    parser.add_argument("--videos-per-class", type=int, default=600)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--open", type=Path, metavar="DIR", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.open is not None:
        print(json.dumps(open_once(arguments.open)))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make(folder, arguments.classes, arguments.videos_per_class)
        command = [sys.executable, __file__, "--open", name]
        runs = [json.loads(subprocess.check_output(command)) for _ in range(arguments.repeats)]
    print(f"{runs[0]['classes']} classes, {runs[0]['videos']} videos, {runs[0]['missing']} of them not found")
    _print_check("seconds to open", statistics.median(run["seconds"] for run in runs), SECONDS)
    _print_check("peak memory in MiB", max(run["mebibytes"] for run in runs), MEBIBYTES)


def make(folder: Path, classes: int, videos_per_class: int) -> None:
    """Write `folder/list.json` and the empty files of `folder/videos`."""
    tasks: list[dict[str, dict[str, list[str]]]] = [{} for _ in range(TASKS)]
    for number in range(classes):
        label = f"class {number:03d}"
        (folder / "videos" / label).mkdir(parents=True)
        names = [f"{number:03d}-{index:07d}_000010_000020" for index in range(videos_per_class)]
        for name in names:
            (folder / "videos" / label / f"{name}.mp4").touch()
        tests = videos_per_class // 12
        tasks[number * TASKS // classes][label] = {"train": names[tests:], "test": names[:tests]}
    (folder / "list.json").write_text(json.dumps({"format": "essential video list", "version": 1, "tasks": tasks}))


def open_once(folder: Path) -> dict[str, float]:
    """Open the protocol in this process."""
    start = time.perf_counter()
    listing = load_listing(DataConfig(kind="list", path=folder / "list.json", root=folder / "videos"))
    protocol = build_protocol("large", listing)
    assert len(protocol.id) == 16
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    missing = sum(not Path(video.file).exists() for video in protocol.videos)
    return {
        "seconds": seconds,
        "mebibytes": peak,
        "missing": missing,
        "classes": len(listing.classes),
        "videos": len(protocol.videos),
    }


def _print_check(name: str, value: float, bound: float) -> None:
    print(f"{'holds' if value <= bound else 'FAILS'}  {name}: {value:.2f}, <= {bound:g}")


if __name__ == "__main__":
    main()
