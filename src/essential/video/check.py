"""Whether a protocol's videos are on disk and can be used: each one is found, opened and measured."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from functools import partial
from itertools import product
from pathlib import Path
from typing import Literal, get_args

from essential.configs.schema import Section
from essential.errors import VideoError
from essential.progress import QUIET, Progress
from essential.protocols.protocol import SPLITS, Listing, Protocol, Split, Video
from essential.remote.copies import local_copy
from essential.remote.storage import Root, name_below
from essential.video.container import opened_video, survey_file
from essential.video.decode import check_count
from essential.video.frame_folder import identity_of, numbered_images, read_frame_folder, size_of
from essential.video.frames import broken, explained_errors
from essential.video.timing import Timing
from essential.video.worker_pool import Lost, map_files

Kind = Literal["missing", "unreadable", "too short", "ambiguous"]
KINDS: tuple[Kind, ...] = get_args(Kind)


class Problem(Section):
    """Why a listed video cannot be used as it is. `file` is relative to the root."""

    kind: Kind
    video: str
    file: str
    task: int
    label: str
    split: Split
    reason: str


class Duplicate(Section):
    """Files with the same content, by the keys of the videos that are in them."""

    videos: tuple[tuple[str, ...], ...]
    size_bytes: int
    sha256: str


class Count(Section):
    """How many videos of a class and split there are; `problems` counts each video once."""

    task: int
    label: str
    split: Split
    listed: int
    problems: dict[Kind, int]

    @property
    def usable(self) -> int:
        """Videos without a problem."""
        return self.listed - sum(self.problems.values())


class Coverage(Section):
    """The share of a split's listed videos that can be used; none where none is listed."""

    listed: int
    usable: int
    share: float | None


class CheckedFile(Section):
    """What a file, or a folder of frames, is that can be read, as far as its packets and its first frame show.

    `file` is relative to the root, `videos` are the keys of the videos in it, `format` is the container or `frames`,
    the size is in pixels before any rotation, `rate` is in frames per second (None where the file does not say it), and
    `pictures` is the number of frames.
    """

    file: str
    videos: tuple[str, ...] = ()
    format: str
    codec: str
    width: int
    height: int
    rate: float | None = None
    pictures: int
    seconds: float | None = None
    size_bytes: int


class CheckReport(Section):
    """All that a check found, problems in the order of the protocol, counts by task and class.

    `codecs`, `sizes` and `rates` count files by `codec (container)`, `width x height` and frames per second, and
    `passed_over` the files beside the videos by reason; `frames` is how many a video or segment must have.
    """

    protocol: str
    protocol_id: str
    root: str
    frames: int
    passed_over: dict[str, int]
    coverage: dict[Split, Coverage]
    counts: tuple[Count, ...]
    problems: tuple[Problem, ...]
    duplicates: tuple[Duplicate, ...]
    codecs: dict[str, int]
    sizes: dict[str, int]
    rates: dict[str, int]
    files: tuple[CheckedFile, ...]

    @property
    def clean(self) -> bool:
        """Whether every video can be used, and none is there twice."""
        return not self.problems and not self.duplicates


def check_videos(
    protocol: Protocol,
    listing: Listing,
    *,
    root: Root,
    frames: int,
    workers: int,
    seconds_limit: float,
    progress: Progress = QUIET,
) -> CheckReport:
    """Open every video of a protocol, and report what is there and what is wrong.

    Args:
        listing: the one it was cut from, which says what was found on disk for each of its videos.
        root: the data folder, or a storage; files are named relative to it.
        frames: how many a video, or a segment, must have.
        seconds_limit: for one file; it is unreadable if it takes longer, or if the process that reads it dies.
        progress: shows how many files are opened.
    """
    keys: dict[str, list[str]] = {}
    for video in listing.videos:
        keys.setdefault(video.file, []).append(video.key)
    there = (video.file for place, video in enumerate(listing.videos) if place not in listing.missing)
    files = list(dict.fromkeys(there))
    run = partial(map_files, workers=workers, seconds_limit=seconds_limit)
    probes = run(probe_listed, files, progress=progress)
    in_order = sorted(probes.items(), key=lambda item: name_below(root, item[0]))
    readable = {file: result for file, result in in_order if isinstance(result, CheckedFile)}
    sizes = Counter(one.size_bytes for one in readable.values())
    hashes = run(_sha256, [file for file, one in readable.items() if sizes[one.size_bytes] > 1])
    problems = tuple(_problems(protocol, listing, probes, root=root, frames=frames))
    counts = tuple(_counts(protocol, problems))
    return CheckReport(
        protocol=protocol.name,
        protocol_id=protocol.id,
        root=str(root),
        frames=frames,
        passed_over=dict(protocol.passed_over),
        coverage={split: _coverage([count for count in counts if count.split == split]) for split in SPLITS},
        counts=counts,
        problems=problems,
        duplicates=tuple(_duplicates(readable, keys, hashes)),
        codecs=_totals(f"{one.codec} ({one.format})" for one in readable.values()),
        sizes=_totals(f"{one.width}x{one.height}" for one in readable.values()),
        rates=_totals("none" if one.rate is None else f"{one.rate:.4g}" for one in readable.values()),
        files=tuple(
            one.model_copy(update={"file": name_below(root, file), "videos": tuple(keys[file])})
            for file, one in readable.items()
        ),
    )


def probe_listed(file: str) -> CheckedFile | Lost:
    """Return what a `Video.file` is, on this machine or elsewhere; see `probe`."""
    try:
        with local_copy(file) as path:
            return probe(path)
    except FileNotFoundError:
        return Lost("there is no such file")


def probe(path: Path) -> CheckedFile | Lost:
    """Return what the video file, or folder of frames, is, or why it cannot be read.

    Every packet is read and the first frame decoded; damage inside a later frame is not seen.
    """
    try:
        with explained_errors(path, "it cannot be opened"):
            is_folder = path.is_dir()
        return _probe_frames(path) if is_folder else _probe_file(path)
    except VideoError as error:
        return Lost(error.problem)


def _probe_file(path: Path) -> CheckedFile:
    survey = survey_file(path)
    check_count(path, survey, survey.frames)
    with opened_video(path) as (container, stream), explained_errors(path, "its first frame cannot be decoded"):
        first = next(container.decode(stream), None)
        if first is None:
            raise broken(path, "it holds no frame")
        rate = float(stream.average_rate) if stream.average_rate else None
        return CheckedFile(
            file=str(path),
            format=container.format.name,
            codec=stream.codec_context.name,
            width=first.width,
            height=first.height,
            rate=rate,
            pictures=survey.frames,
            seconds=survey.frames / rate if rate else None,
            size_bytes=size_of(path),
        )


def _probe_frames(path: Path) -> CheckedFile:
    read = read_frame_folder(path, lambda _: [0])
    files = numbered_images(path)
    return CheckedFile(
        file=str(path),
        format="frames",
        codec="png" if files[0].name.lower().endswith(".png") else "jpeg",
        width=read.frames.shape[2],
        height=read.frames.shape[1],
        pictures=read.frame_count,
        size_bytes=sum(file.size_bytes for file in files),
    )


def _problems(
    protocol: Protocol,
    listing: Listing,
    probes: dict[str, CheckedFile | Lost],
    *,
    root: Root,
    frames: int,
) -> Iterator[Problem]:
    places = {(video.split, video.key): place for place, video in enumerate(listing.videos)}
    for task in protocol.tasks:
        for video in (*task.train, *task.test):
            problem = _problem(listing, places[video.split, video.key], probes, root=root, frames=frames)
            if problem is not None:
                kind, reason = problem
                yield Problem(
                    kind=kind,
                    video=video.key,
                    file=name_below(root, video.file),
                    task=task.index,
                    label=video.label,
                    split=video.split,
                    reason=reason,
                )


def _problem(
    listing: Listing, place: int, probes: dict[str, CheckedFile | Lost], *, root: Root, frames: int
) -> tuple[Kind, str] | None:
    if place in listing.missing:
        return "missing", "there is no such file, with or without a video's extension, in any folder"
    if others := listing.others.get(place):
        return "ambiguous", f"it may also be {', '.join(name_below(root, other) for other in others)}"
    video = listing.videos[place]
    result = probes[video.file]
    if isinstance(result, Lost):
        return "unreadable", result.reason
    if video.segment is not None and not result.rate:
        return "unreadable", "a segment in seconds is listed, and it does not say how many frames make a second"
    short = _shortness(video, result, frames)
    return None if short is None else ("too short", short)


def _shortness(video: Video, result: CheckedFile, frames: int) -> str | None:
    count = result.pictures
    if video.segment is None or not result.rate:
        return f"it has {count} frames, and {frames} are wanted" if count < frames else None
    start, end = video.segment
    # By the rate: only a run that decodes the video knows when each frame is really shown.
    inside = len(Timing([(None, None)] * count, None, Fraction(result.rate)).frames_in(video.segment))
    if not inside:
        return f"its segment starts at {start:g} s, past the end of the video at {count / result.rate:.2f} s"
    if inside < frames:
        return f"its segment from {start:g} s to {end:g} s has about {inside} frames, and {frames} are wanted"
    return None


def _counts(protocol: Protocol, problems: Sequence[Problem]) -> Iterator[Count]:
    listed = Counter((video.label, video.split) for video in protocol.videos)
    wrong = Counter((problem.label, problem.split, problem.kind) for problem in problems)
    for task in protocol.tasks:
        for label, split in product(task.classes, SPLITS):
            numbers: dict[Kind, int] = {kind: wrong[label, split, kind] for kind in KINDS}
            yield Count(task=task.index, label=label, split=split, listed=listed[label, split], problems=numbers)


def _coverage(counts: Sequence[Count]) -> Coverage:
    listed, usable = sum(count.listed for count in counts), sum(count.usable for count in counts)
    return Coverage(listed=listed, usable=usable, share=usable / listed if listed else None)


def _duplicates(
    readable: dict[str, CheckedFile], keys: dict[str, list[str]], hashes: dict[str, str | Lost | None]
) -> Iterator[Duplicate]:
    groups: dict[tuple[int, str], list[str]] = {}
    for file, sha256 in sorted(hashes.items()):
        if isinstance(sha256, str):
            groups.setdefault((readable[file].size_bytes, sha256), []).append(file)
    for (size_bytes, sha256), files in groups.items():
        if len(files) > 1:
            videos = tuple(tuple(keys[file]) for file in files)
            yield Duplicate(videos=videos, size_bytes=size_bytes, sha256=sha256)


def _sha256(file: str) -> str | None:
    try:
        with local_copy(file) as path:
            return identity_of(path).sha256
    except OSError:  # taken away since it was probed
        return None


def _totals(names: Iterable[str]) -> dict[str, int]:
    return dict(Counter(names).most_common())
