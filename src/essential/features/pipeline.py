"""Videos in, features out: worker processes decode and transform, the main process encodes.

Clips are encoded in batches of one shape that run across videos, so that a GPU always has a full one.
"""

import ctypes
import multiprocessing
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from functools import partial
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from essential.encoders.base import Encoder
from essential.errors import DataError, VideoError
from essential.features.config import FeaturesConfig, Precision
from essential.features.cores import device_of, share_cores, torch_threads
from essential.features.precision import computing
from essential.features.provenance import Recipe
from essential.features.store import VideoNote
from essential.files.given import absence
from essential.protocols.protocol import Video
from essential.remote.copies import AHEAD, fetch_ahead, is_far, remote_size
from essential.remote.storage import is_remote
from essential.video.frame_folder import VideoIdentity, identity_of, identity_of_whole, size_of
from essential.video.frames import refuse_machines_fault
from essential.video.views import ViewRequest, read_views
from essential.video.worker_pool import EACH, Lost, in_flight, run_tasks

_CPU_CLIPS, _GPU_CLIPS = 1, 32
# Of clips that are encoded as a whole, some are very long.
_GPU_FRAMES = 256
# Of memory for what workers read: five views of 64 frames take 240 MiB. One worker, or as many as it is said there are,
# read two videos each in any case.
_MOST_BYTES = 4 * 2**30

Clips = Float[Tensor, "views read 3 size size"]
VideoFeatures = Float[np.ndarray, "views frames dim"]
Item = tuple[Video, ViewRequest]
# Of what is asked for, some may be known beforehand to be no video.
Asked = Item | tuple[Video, Lost]
_SlotItem = tuple[Video, ViewRequest, int]
# Gives the size and the hash for a video's note; None where nobody asks which video it was: it is not read twice.
_Identify = Callable[[Video], VideoIdentity] | None


class ReadVideo(NamedTuple):
    """A video's views, and the frames that it, or its segment, has; or None where its note says why there are none."""

    clips: Clips | None
    note: VideoNote
    frame_count: int | None = None


class EncodedVideo(NamedTuple):
    """The features of a video's views, and its frames; or None where its note says why there are none."""

    features: VideoFeatures | None
    note: VideoNote
    frame_count: int | None = None


class ClipEncoder:
    """Encodes the clips of one video after the other; a batch may hold clips of several.

    Every batch has the same shape, the last one filled up with zeros: the rounding of a matrix product depends on its
    number of rows, and a clip's features must not depend on how many other clips there are. So live and stored features
    are equal to the last bit, and those extracted in one go and in several.

    On a GPU a batch's features are fetched when the next one has been sent from pinned memory: it computes meanwhile.
    """

    def __init__(self, encoder: Encoder, *, frames: int, batch_clips: int | None, precision: Precision) -> None:
        self._encoder = encoder
        self._device = device_of(encoder)
        self._precision = precision
        self._frames = frames
        on_cpu = self._device.type == "cpu"
        read, size = encoder.frames_read(frames), encoder.pixel_format.size
        gpu_clips = _GPU_CLIPS if encoder.clip_frames is None else max(1, _GPU_FRAMES // read)
        clips = batch_clips or (_CPU_CLIPS if on_cpu else gpu_clips)
        # In turns: one is filled while the other may still be on its way to the GPU.
        self._buffers = deque(
            torch.zeros(clips, read, 3, size, size, pin_memory=self._device.type == "cuda")
            for _ in range(1 if on_cpu else 2)
        )
        self._filled = 0
        self._sent: deque[tuple[Tensor, int]] = deque()
        # In the order in which they came: the features of clips, and the videos with how many clips each has.
        self._features: deque[Float[np.ndarray, "frames dim"]] = deque()
        self._videos: deque[tuple[int, int]] = deque()

    def add(self, place: int, clips: Clips) -> Iterator[tuple[int, VideoFeatures]]:
        """Take a video's clips, to be written over afterwards; yield what is complete by now, as (place, features)."""
        self._videos.append((place, len(clips)))
        for clip in clips:
            self._buffers[0][self._filled] = clip
            self._filled += 1
            if self._filled == len(self._buffers[0]):
                self._send()
        return self._complete()

    def finish(self) -> Iterator[tuple[int, VideoFeatures]]:
        """Encode what still waits for a batch to be full, and yield the rest."""
        if self._filled:
            self._buffers[0][self._filled :] = 0
            self._send()
        while self._sent:
            self._fetch()
        return self._complete()

    def _send(self) -> None:
        pixels = self._buffers[0].to(self._device, non_blocking=True)
        with torch.inference_mode(), computing(self._precision, self._encoder):
            self._sent.append((self._encoder(pixels, self._frames), self._filled))
        self._filled = 0
        self._buffers.rotate()
        while len(self._sent) >= len(self._buffers):
            self._fetch()

    def _fetch(self) -> None:
        encoded, filled = self._sent.popleft()
        # A copy: features may be some of the pixels, which are written over.
        self._features += list(encoded.float().cpu().numpy()[:filled].copy())

    def _complete(self) -> Iterator[tuple[int, VideoFeatures]]:
        while self._videos and self._videos[0][1] <= len(self._features):
            place, clips = self._videos.popleft()
            yield place, np.stack([self._features.popleft() for _ in range(clips)])


class VideoEncoder:
    """Reads and encodes one list of videos after the other; the processes that read stay until it is closed or deleted.

    Args:
        widest: of the lists one of the most views.
        longest: how many videos the longest has.
    """

    def __init__(self, widest: Sequence[Item], longest: int, *, recipe: Recipe, config: FeaturesConfig) -> None:
        views = max(len(request.view_numbers) for _, request in widest)
        sharing = share_cores(config.workers, recipe=recipe, views=views)
        self._recipe, self._threads = recipe, sharing.threads
        self._clips = ClipEncoder(
            recipe.encoder, frames=recipe.frames, batch_clips=config.batch_clips, precision=recipe.precision
        )
        self._asked = 0
        waiting = self._waiting = deque[Item]()
        self._every = read_each(
            iter(waiting.popleft, None),
            widest=widest,
            longest=longest,
            config=config,
            workers=sharing.workers,
            is_next_known=lambda: bool(waiting),  # without `self`, which it would keep
        )

    def encode(self, items: Sequence[Item]) -> Iterator[tuple[int, EncodedVideo]]:
        """Yield the place of each video with what became of it; see `encode_each`.

        Take all of a list before the next one is given. After an error, or `close`, there is nothing more.
        """
        assert not self._waiting, "the list before was not taken whole"
        under_way: dict[int, ReadVideo] = {}

        def finished(complete: Iterator[tuple[int, VideoFeatures]]) -> Iterator[tuple[int, EncodedVideo]]:
            for number, features in complete:
                _, note, frame_count = under_way.pop(number)
                yield number - first, EncodedVideo(self._stored(features, note), note, frame_count)

        first = self._asked
        self._asked += len(items)
        self._waiting += items
        with torch_threads(self._threads):
            for number, read in islice(self._every, len(items)):
                if read.clips is None:
                    yield number - first, EncodedVideo(None, read.note)
                else:
                    under_way[number] = read._replace(clips=None)
                    yield from finished(self._clips.add(number, read.clips))
            yield from finished(self._clips.finish())

    def close(self) -> None:
        """End the processes that read."""
        self._every.close()

    def _stored(self, features: VideoFeatures, note: VideoNote) -> VideoFeatures:
        with np.errstate(over="ignore"):
            stored: VideoFeatures = features.astype(self._recipe.dtype)
        if not np.isfinite(stored).all():
            raise DataError(
                f"the encoder {self._recipe.encoder.name} gave features of {note.key} that are not finite as "
                f"{self._recipe.dtype}; use features.dtype=float32, or another encoder"
            )
        return stored


def encode_each(
    items: Sequence[Item], *, recipe: Recipe, config: FeaturesConfig
) -> Generator[tuple[int, EncodedVideo], None, None]:
    """Read and encode the views asked for of each video, and yield the place of each with what became of it.

    They come in the order of the items, but for videos that take very long, or are broken. Close the generator to end
    its processes. Errors as in `read_each`; a DataError too if a feature is not finite.
    """
    if items:
        with closing(VideoEncoder(items, len(items), recipe=recipe, config=config)) as encoder:
            yield from encoder.encode(items)


def read_each(
    items: Iterable[Item],
    *,
    widest: Sequence[Item],
    longest: int,
    config: FeaturesConfig,
    workers: int,
    is_next_known: Callable[[], bool] = lambda: True,
) -> Generator[tuple[int, ReadVideo], None, None]:
    """Read the views asked for of each video, in worker processes, and yield the place of each with what was read.

    A video that kills its worker twice, or that takes too long, is broken; see `run_tasks`. The workers write pixels
    into memory set aside for as many videos as may be under way: clips are written over when the next is asked for.

    Args:
        items: any number of videos; see `reading`.
        widest: all of them, or some, with the one of the most views.
        longest: how many are asked for at once, at most.
        workers: how many processes; where `config` does not say how many, fewer if their memory would be too much.
        is_next_known: see `run_tasks`.

    Raises:
        DataError: a video cannot be read for want of open files or a healthy disk, or no worker can begin.
    """
    if not widest:
        return
    largest = max((request for _, request in widest), key=lambda request: len(request.view_numbers))
    most = _MOST_BYTES // (4 * int(np.prod(_clips_shape(largest))))
    if config.workers is None:
        workers = next(few for few in range(workers, -1, -1) if few <= 1 or in_flight(few) <= most)
    workers = min(workers, longest)
    ahead = 0
    if is_far(widest[0][0].file):
        ahead = next(few for few in range(AHEAD, 0, -1) if few == 1 or in_flight(workers, each=1 + few) <= most)
    yield from reading(
        items,
        largest=largest,
        workers=workers,
        config=config,
        identify=_identity,
        is_next_known=is_next_known,
        ahead=ahead,
    )


def reading(
    items: Iterable[Asked],
    *,
    largest: ViewRequest,
    workers: int,
    config: FeaturesConfig,
    identify: _Identify,
    is_next_known: Callable[[], bool] = lambda: True,
    ahead: int = 0,
) -> Generator[tuple[int, ReadVideo], None, None]:
    """Read videos as they are asked for, and yield the place of each with what was read; see `read_each`.

    Args:
        items: any number of videos, drawn as workers become free, with what to read of each, or why it cannot be.
        largest: what is read of a video, at most: no item asks for more views, or for other frames or pixels.
        workers: how many processes; 0 reads in this one.
        is_next_known: see `run_tasks`.
        ahead: how many videos each process fetches from a server while it reads another.
    """
    if not workers:
        for place, (video, wanted) in enumerate(items):
            yield place, _lost(video, wanted) if isinstance(wanted, Lost) else _read(video, wanted, identify)
        return
    # Once, for all that are forked of this process: PyAV loads it with the first file.
    import_module("av.subtitles.stream")
    if any(largest.view_numbers):
        # Each would take a second to load it, to augment.
        import_module("torchvision.transforms.v2")
    each = max(EACH, 1 + ahead)
    slots = _Slots(largest, count=in_flight(workers, each=each), start=config.worker_start)
    running = run_tasks(
        partial(_read_into, slots.memory, slots.size, identify),
        slots.assigned(items),
        workers=workers,
        start=config.worker_start,
        seconds_limit=config.video_seconds_limit,
        is_next_known=is_next_known,
        each=each,
        prepare=_fetch_ahead if ahead else None,
    )
    with closing(running):
        for place, result in running:
            video, wanted, slot = slots.taken[place]
            if isinstance(result, Lost):
                yield place, _lost(video, result)
            else:
                assert not isinstance(wanted, Lost), "what is lost beforehand is its own result"
                clips = None if result.frame_count is None else _slot_view(slots.memory, slots.size, slot, wanted)
                yield place, result._replace(clips=clips)
            slots.release(place)


class _Slots:
    """Shared memory for the pixels of as many videos as may be under way, each slot large enough for any of them.

    Set aside once: a tensor of its own for each video would have to be mapped, and its pages found, every time.
    """

    def __init__(self, largest: ViewRequest, *, count: int, start: str) -> None:
        self.size = int(np.prod(_clips_shape(largest)))
        # In a file where there is too little shared memory, as in a container; a worker would die of it later.
        self.memory = multiprocessing.get_context(start).RawArray(ctypes.c_float, self.size * count)
        self._free = list(range(count))
        # The items under way by place, each with its slot.
        self.taken: dict[int, tuple[Video, ViewRequest | Lost, int]] = {}

    def assigned(self, items: Iterable[Asked]) -> Iterator[_SlotItem | Lost]:
        """Yield the items, each with a slot that is free at that moment; of those that are no video, that they are."""
        for place, (video, wanted) in enumerate(items):
            slot = self._free.pop()
            self.taken[place] = (video, wanted, slot)
            yield wanted if isinstance(wanted, Lost) else (video, wanted, slot)

    def release(self, place: int) -> None:
        self._free.append(self.taken.pop(place)[2])


def _fetch_ahead(task: _SlotItem) -> None:
    fetch_ahead(task[0].file)


def _read_into(memory: Any, size: int, identify: _Identify, task: _SlotItem) -> ReadVideo:
    """Read a video in a worker, and write its clips into its slot; return the rest."""
    video, request, slot = task
    # A forked process that used a second thread would wait for ever for one that its parent had.
    with torch_threads(1):
        read = _read(video, request, identify)
        if read.clips is not None:
            _slot_view(memory, size, slot, request).copy_(read.clips)
    return read._replace(clips=None)


def _slot_view(memory: Any, size: int, slot: int, request: ViewRequest) -> Tensor:
    shape = _clips_shape(request)
    start = slot * size
    return torch.from_numpy(np.frombuffer(memory, np.float32)[start : start + int(np.prod(shape))]).view(shape)


def _clips_shape(request: ViewRequest) -> tuple[int, ...]:
    size = request.pixel_format.size
    return len(request.view_numbers), request.frames, 3, size, size


def _lost(video: Video, lost: Lost) -> ReadVideo:
    """Return what there is of a video that was given up. It has no hash: what kills or hangs is not read again."""
    try:
        size = remote_size(video.file) if is_remote(video.file) else size_of(video.path)
    except (OSError, ValueError, DataError):  # the second where the path itself is none
        size = None
    return ReadVideo(None, VideoNote(key=video.key, size_bytes=size, sha256=None, broken=lost.reason))


def _identity(video: Video) -> VideoIdentity:
    """Return size and hash of the file; it has one hash for all its segments."""
    return identity_of(video.path) if video.segment is None else identity_of_whole(video.path)


def _read(video: Video, request: ViewRequest, identify: _Identify) -> ReadVideo:
    try:
        with video.here() as local:
            return _read_here(local, request, identify)
    except FileNotFoundError:
        reason = absence(Path(video.file))
        return ReadVideo(None, VideoNote(key=video.key, size_bytes=None, sha256=None, broken=reason))


def _read_here(video: Video, request: ViewRequest, identify: _Identify) -> ReadVideo:
    size, sha256, clips, frame_count, reason = None, None, None, None, None
    try:
        if identify is not None:
            size, sha256 = identify(video)
        # As in a worker, where torch has one thread: frames are too small to share.
        with torch_threads(1):
            clips, frame_count = read_views(video, request)
    except FileNotFoundError:
        raise
    except (VideoError, OSError) as error:
        refuse_machines_fault(video.path, error)
        # Without the path: a store must not depend on where the videos are on this machine.
        reason = error.problem if isinstance(error, VideoError) else error.strerror or str(error)
    note = VideoNote(key=video.key, size_bytes=size, sha256=sha256, broken=reason)
    return ReadVideo(clips, note, frame_count)
