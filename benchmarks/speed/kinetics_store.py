"""A feature store of Kinetics-400's size: 240,000 videos x 8 frames x 768, half precision, in shards of 64 videos.

Measured in a process of its own: from a warm page cache, how long the store takes to open, all videos looked up and
ready for batches; how much memory the process takes up during epochs of shuffled batches; and the rate of those batches
beside that of the same ones out of one array in memory, the seconds in the process's own processor time.

Memory is the process's own (VmRSS without file pages): what a map shows of the page cache belongs to the system, which
takes it back when it needs it. The whole of VmRSS stands in the detail, and so does what the first opening costs, which
reads and checks every shard. The videos do not exist, as if deleted after extraction; what asking for the size of
20,000 that do exist costs stands in the detail.

A store of 1,000,000 videos is opened in the same way: its seconds, and the most memory that its process has of its own
until the first batch, torch and the list of the videos included. What an opening costs does not depend on how long a
feature is, so that its features are short, for the disk's sake. It is written without waiting for the disk.
"""

import json
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch
from measuring import Result, in_a_process, main, memory_gb, ratios_in_turns, seconds

from essential.encoders import build_encoder
from essential.encoders.config import EncoderConfig
from essential.features.config import FeaturesConfig
from essential.features.provenance import Recipe, build_recipe
from essential.features.source import FeatureSource, open_source
from essential.features.store import VideoNote, create_store
from essential.features.tables import FrameTable
from essential.protocols.protocol import Video
from essential.video.config import AugmentConfig

VIDEOS, FRAMES, DIM = 240_000, 8, 768
MOST_VIDEOS, SHORT_DIM = 1_000_000, 8
EXISTING = 20_000
CLASSES = [f"class {number:03d}" for number in range(400)]
CONFIG = FeaturesConfig(views=0, dtype="float16")
BATCHES = (24, 256)
OPENINGS = 5
CLIPS_PER_TURN = 60_000


def measure() -> Sequence[Result]:
    """Build the store, then open and read it in fresh processes."""
    with tempfile.TemporaryDirectory(prefix="essential-store-") as name:
        folder = Path(name)
        built = seconds(lambda: _build(folder / "store"))
        first, *later = [in_a_process(__file__, "open", str(folder)) for _ in range(1 + OPENINGS)]
        read = in_a_process(__file__, "read", str(folder))
        existing = in_a_process(__file__, "existing", str(folder))
        shutil.rmtree(folder / "store")
        most = _measure_most(folder)
    opened = [opening["open"] for opening in later]
    detail: dict[str, float | str] = {
        "GB of features": VIDEOS * FRAMES * DIM * 2 / 1e9,
        "seconds to write the store": built,
        "seconds of the first opening, every seal checked": first["open"],
        f"processor seconds for the sizes of {EXISTING} videos that exist": existing["open"] - existing["without"],
        "processor seconds to open": statistics.median(opening["processor"] for opening in later),
        "MB of plan and index": first["description_mb"],
    }
    size = f"a store of {VIDEOS} videos"
    results = [
        Result(
            f"{size}: seconds to open",
            statistics.median(opened),
            "<=",
            1.0,
            spread=(min(opened), max(opened)),
            detail=detail,
        ),
        Result(
            f"{size}: GB of memory in an epoch",
            read["own_gb"],
            "<=",
            2.0,
            detail={"GB with the page cache that the maps show (VmRSS)": read["resident_gb"]},
        ),
    ]
    for batch in BATCHES:
        ratio, *spread = read[f"ratio_{batch}"]
        rates = {"clips per second": read[f"clips_per_second_{batch}"]}
        if batch == BATCHES[0]:
            rates["clips per second in a process's first epoch"] = read["first_epoch"]
        results.append(
            Result(f"{size}: batches of {batch} over RAM", ratio, ">=", 0.8, spread=tuple(spread), detail=rates)
        )
    return [*results, *most]


def _measure_most(folder: Path) -> Sequence[Result]:
    """Build and open the largest store."""
    with patch("os.fsync"):
        built = seconds(lambda: _build(folder / "most", count=MOST_VIDEOS, dim=SHORT_DIM))
    first, *later = [in_a_process(__file__, "most", str(folder)) for _ in range(1 + OPENINGS)]
    opened = [opening["open"] for opening in later]
    detail: dict[str, float | str] = {
        "seconds to write the store": built,
        "seconds of the first opening, every seal checked": first["open"],
        "processor seconds to open": statistics.median(opening["processor"] for opening in later),
        "MB of plan and index": first["description_mb"],
    }
    size, spread = f"a store of {MOST_VIDEOS} videos", (min(opened), max(opened))
    most = {"GB before it is opened": later[0]["before_gb"]}
    return [
        Result(f"{size}: seconds to open", statistics.median(opened), "<=", 5.0, spread=spread, detail=detail),
        Result(f"{size}: most GB of memory", max(each["most_gb"] for each in later), "<=", 1.0, detail=most),
    ]


def _recipe(dim: int = DIM) -> Recipe:
    encoder = build_encoder(EncoderConfig(name="tiny"))
    encoder.dim = dim  # It stands for one of the published width; nothing is encoded here.
    return build_recipe(CONFIG, encoder, augment=AugmentConfig(), frames=FRAMES, seed=0)


def _videos(root: str, count: int = VIDEOS) -> list[Video]:
    labels = [CLASSES[number % len(CLASSES)] for number in range(count)]
    keys = [f"{label}/video_{number:07d}_000010_000020.mp4" for number, label in enumerate(labels)]
    return [Video(key, f"{root}/{key}", label, "train") for key, label in zip(keys, labels, strict=True)]


def _build(path: Path, root: str = "/gone", count: int = VIDEOS, dim: int = DIM) -> None:
    videos = {video.key: video for video in _videos(root, count)}
    store = create_store(path, _recipe(dim).provenance())
    plan = store.plan_for([(video.split, video.key) for video in videos.values()], shard_videos=CONFIG.shard_videos)
    tile = np.random.default_rng(0).standard_normal((CONFIG.shard_videos, 1, FRAMES, dim)).astype(np.float16)
    for shard in plan:
        features = tile[: len(shard.keys)]
        features[:, 0, 0, 0] = shard.index % 2048  # Exact in half precision; other shards, other content.
        notes = [VideoNote(key=key, size_bytes=0, sha256="0" * 64, broken=None) for key in shard.keys]
        store.write(shard, features, notes)


def _open(store: Path, videos: Sequence[Video], dim: int = DIM) -> tuple[FeatureSource, FrameTable]:
    """Return the source, which a run holds as well, and the table of its videos."""
    source = open_source(CONFIG, videos, recipe=_recipe(dim), store=store)
    return source, source.view(videos, 0)


def _measure_opening(folder: Path, name: str = "store", count: int = VIDEOS, dim: int = DIM) -> dict:
    videos = _videos("/gone", count)
    torch.zeros(1)
    before, start = memory_gb()["RssAnon"], (time.perf_counter(), time.process_time())
    held = _open(folder / name, videos, dim)
    held[1].rows(torch.arange(BATCHES[0]))
    end = time.perf_counter(), time.process_time()
    files = [folder / name / part for part in ("plan.json", ".index")]
    return {
        "open": end[0] - start[0],
        "processor": end[1] - start[1],
        "before_gb": before,
        "description_mb": sum(file.stat().st_size for file in files) / 1e6,
    }


def _measure_existing(folder: Path) -> dict:
    """Time the opening of a store whose videos are on the disk, and of the same store without them."""
    root = str(folder / "videos")
    videos = _videos(root, EXISTING)
    _build(folder / "small", root, EXISTING)
    _open(folder / "small", videos)
    without = min(_processor_seconds(lambda: _open(folder / "small", videos)) for _ in range(5))
    for parent in {video.path.parent for video in videos}:
        parent.mkdir(parents=True)
    for video in videos:
        video.path.touch()
    return {
        "without": without,
        "open": min(_processor_seconds(lambda: _open(folder / "small", videos)) for _ in range(5)),
    }


def _measure_reading(folder: Path) -> dict:
    videos = _videos("/gone")
    _, stored = _open(folder / "store", videos)
    # The maps show no page yet: the first epoch pays for each once.
    found: dict = {"first_epoch": VIDEOS / _epoch(stored, BATCHES[0], VIDEOS)}
    found["own_gb"], found["resident_gb"] = (memory_gb()[name] for name in ("RssAnon", "VmRSS"))
    # One array, as a user would load it; made last, so that it is not counted above.
    whole = np.empty((VIDEOS, FRAMES, DIM), np.float16)
    for rows in torch.arange(VIDEOS).split(4096):
        whole[rows.numpy()] = stored.rows(rows).numpy()
    in_memory = FrameTable(videos, whole.__getitem__)
    for batch in BATCHES:
        ours, theirs = (partial(_rate, table, batch) for table in (stored, in_memory))
        ratio, spread = ratios_in_turns(ours, theirs)
        found[f"ratio_{batch}"] = (ratio, *spread)
        found[f"clips_per_second_{batch}"] = ours()
    return found


def _epoch(table: FrameTable, batch: int, clips: int) -> float:
    """Return the processor seconds that shuffled batches of `clips` clips take."""
    order = torch.randperm(VIDEOS, generator=torch.Generator().manual_seed(1))[:clips]
    start = time.process_time()
    for rows in order.split(batch):
        table.rows(rows)
    return time.process_time() - start


def _processor_seconds(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def _rate(table: FrameTable, batch: int) -> float:
    return CLIPS_PER_TURN / _epoch(table, batch, CLIPS_PER_TURN)


if __name__ == "__main__":
    tasks: dict[str, Callable[[Path], dict]] = {
        "open": _measure_opening,
        "most": partial(_measure_opening, name="most", count=MOST_VIDEOS, dim=SHORT_DIM),
        "read": _measure_reading,
        "existing": _measure_existing,
    }
    if len(sys.argv) == 3 and sys.argv[1] in tasks:
        torch.set_num_threads(1)
        print(json.dumps(tasks[sys.argv[1]](Path(sys.argv[2]))))
    else:
        main(measure, __doc__ or "")
