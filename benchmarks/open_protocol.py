"""Measure how long a protocol of 400 classes and 240,000 videos takes to open: `python benchmarks/open_protocol.py`.

Makes a list and a folder of empty files, a folder for each class, in a temporary place; opens them in a fresh process,
several times; and prints the median seconds and the largest peak of memory beside what is promised. Opening is: read
the list, find every video, cut the classes into tasks, and name the protocol by its id.
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

from essential.protocols.listed import ListedData, ListedVideo
from essential.protocols.places import locate_videos
from essential.protocols.protocol import Listing, build_protocol

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
    print(f"of the seconds, to read the list: {statistics.median(run['list_seconds'] for run in runs):.2f}")


def make(folder: Path, classes: int, videos_per_class: int) -> None:
    """Write `folder/list.json` and the empty files of `folder/videos`."""
    entries = []
    for number in range(classes):
        label = f"class {number:03d}"
        (folder / "videos" / label).mkdir(parents=True)
        for index in range(videos_per_class):
            name = f"{number:03d}-{index:07d}_000010_000020"
            (folder / "videos" / label / f"{name}.mp4").touch()
            entries.append((name, label, "test" if index % 12 == 0 else "train"))
    (folder / "list.json").write_text(json.dumps(entries))


def read_list(path: Path) -> ListedData:
    """Read the list."""
    listed = [ListedVideo(*entry) for entry in json.loads(path.read_text())]
    return ListedData(listed, tuple(sorted({video.label for video in listed})))


def open_once(folder: Path) -> dict[str, float]:
    """Open the protocol in this process."""
    start = time.perf_counter()
    data = read_list(folder / "list.json")
    list_seconds = time.perf_counter() - start
    listing = Listing(locate_videos(data.listed, folder / "videos"), data.classes)
    protocol = build_protocol("large", listing, tasks=TASKS, order_seed=0)
    assert len(protocol.id) == 16
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    missing = sum(not Path(video.file).exists() for video in protocol.videos)
    return {
        "seconds": seconds,
        "list_seconds": list_seconds,
        "mebibytes": peak,
        "missing": missing,
        "classes": len(listing.classes),
        "videos": len(protocol.videos),
    }


def _print_check(name: str, value: float, bound: float) -> None:
    print(f"{'holds' if value <= bound else 'FAILS'}  {name}: {value:.2f}, <= {bound:g}")


if __name__ == "__main__":
    main()
