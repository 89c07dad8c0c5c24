"""How fast videos elsewhere are extracted, over the same videos in a local folder: from S3, HTTP and tar shards.

The videos are those of `extraction.py`: ten seconds, MP4, decoded in full; each gives its plain view and four augmented
ones, encoded by the embedded encoder. The server of S3 is moto, the web server is Python's, each a process of this
machine: what they take of the cores counts against us. One web server waits before each answer, as one far away does.
All of it is measured in turns, with as many processes as extraction chooses. Beside the rates stand the processor
times, ours and our workers', which say the same on a machine that is busy otherwise.
"""

import multiprocessing
import os
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from typing import NamedTuple

from extraction import write_video
from measuring import Result, main, ratios_in_turns

from essential.encoders import EncoderConfig, build_encoder
from essential.features.config import FeaturesConfig
from essential.features.extract import extract
from essential.features.provenance import build_recipe
from essential.protocols.protocol import Video
from essential.remote.storage import open_storage
from essential.video.config import AugmentConfig

_CONTENTS, _VIDEOS, _PER_TAR, _SHARD = 4, 120, 40, 12
_TURNS = 3
_FAR_SECONDS = 0.1
_START_SECONDS = 60
_ENVIRONMENT = {"AWS_ACCESS_KEY_ID": "speed", "AWS_SECRET_ACCESS_KEY": "speed", "AWS_DEFAULT_REGION": "us-east-1"}


class _Handler(SimpleHTTPRequestHandler):
    wait_seconds = 0.0

    def do_GET(self) -> None:
        time.sleep(self.wait_seconds)
        super().do_GET()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def _serve(connection: "Connection[int, None]", folder: str, wait_seconds: float) -> None:
    handler = partial(type("Handler", (_Handler,), {"wait_seconds": wait_seconds}), directory=folder)
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    connection.send(server.server_address[1])
    server.serve_forever()


@contextmanager
def web_server(folder: Path, *, wait_seconds: float) -> Iterator[str]:
    """Serve a folder in a process of its own; every answer waits."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, str(folder), wait_seconds), daemon=True)
    process.start()
    try:
        yield f"http://127.0.0.1:{ours.recv()}"
    finally:
        process.kill()
        process.join()


@contextmanager
def bucket(files: Sequence[Path]) -> Iterator[str]:
    """Put the files into a bucket of a server in a process of its own; the environment says where it is."""
    import socket

    from fsspec import filesystem

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    command = [sys.executable, "-c", f"from moto.server import main; main(['-H', '127.0.0.1', '-p', '{port}'])"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    os.environ.update(_ENVIRONMENT, AWS_ENDPOINT_URL=f"http://127.0.0.1:{port}")
    try:
        end = time.monotonic() + _START_SECONDS
        while time.monotonic() < end:
            with socket.socket() as asked:
                if not asked.connect_ex(("127.0.0.1", port)):
                    break
            time.sleep(0.1)
        s3 = filesystem("s3")
        s3.mkdir("s3://speed")
        for file in files:
            s3.pipe_file(f"s3://speed/videos/{file.name}", file.read_bytes())
        yield "s3://speed/videos"
    finally:
        process.kill()
        process.wait()


class Rate(NamedTuple):
    """Videos a second, and the seconds of processor time that one took."""

    per_second: float
    processor_seconds: float


def rate_of(place: Callable[[str], str], names: Sequence[str], workers: int | None = None) -> Rate:
    """Extract all videos into a new store."""
    config = FeaturesConfig(shard_videos=_SHARD, workers=workers)
    recipe = build_recipe(config, build_encoder(EncoderConfig()), augment=AugmentConfig(), frames=8, seed=0)
    videos = [Video(name, place(name), "class", "train") for name in names]
    with tempfile.TemporaryDirectory() as folder:
        start, spent = time.perf_counter(), sum(os.times()[:4])
        assert extract(Path(folder) / "store", videos, recipe=recipe, config=config) == {}
        return Rate(len(videos) / (time.perf_counter() - start), (sum(os.times()[:4]) - spent) / len(videos))


def measure() -> Sequence[Result]:
    """Extract the same videos from each place and from the folder, in turns."""
    with tempfile.TemporaryDirectory() as name, ExitStack() as servers:
        folder = Path(name) / "videos"
        folder.mkdir()
        for index in range(_CONTENTS):
            write_video(folder / f"{index:03d}.mp4", seed=index)
        for index in range(_CONTENTS, _VIDEOS):
            (folder / f"{index:03d}.mp4").write_bytes((folder / f"{index % _CONTENTS:03d}.mp4").read_bytes())
        files = sorted(folder.iterdir())
        for start in range(0, _VIDEOS, _PER_TAR):
            with tarfile.open(folder.parent / f"train-{start // _PER_TAR:03d}.tar", "w") as tar:
                for file in files[start : start + _PER_TAR]:
                    tar.add(file, file.name)
        os.environ["ESSENTIAL_CACHE"] = str(Path(name) / "cache")  # of the tar shards' index
        near, far = (servers.enter_context(web_server(folder, wait_seconds=each)) for each in (0.0, _FAR_SECONDS))
        last = _VIDEOS // _PER_TAR - 1
        urls = {
            "tar shards": f"{folder.parent}/train-{{000..{last:03d}}}.tar",
            "HTTP": near,
            f"HTTP, {_FAR_SECONDS:g} s to each answer": far,
            "S3": servers.enter_context(bucket(files)),
        }
        return [_compared(what, url, folder, [file.name for file in files]) for what, url in urls.items()]


def _compared(what: str, url: str, folder: Path, names: Sequence[str]) -> Result:
    storage = open_storage(url)
    storage.files()  # as a command does when it begins; processes that are forked of it have what that loads
    found: dict[str, list[Rate]] = {what: [], "local files": []}

    def rate(of: str, place: Callable[[str], str]) -> float:
        found[of].append(rate_of(place, names))
        return found[of][-1].per_second

    ratio, spread = ratios_in_turns(
        lambda: rate(what, storage.locator),
        lambda: rate("local files", lambda name: f"{folder}/{name}"),
        turns=_TURNS,
    )
    detail: dict[str, float | str] = {}
    for of, rates in found.items():
        detail[f"videos a second, {of}"] = median(one.per_second for one in rates)
        detail[f"processor seconds of a video, {of}"] = median(one.processor_seconds for one in rates)
    return Result(f"extraction from {what} over local files", ratio, ">=", 0.85, spread, detail)


if __name__ == "__main__":
    main(measure, __doc__)
