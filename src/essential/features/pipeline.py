"""Videos in, clips out: worker processes decode and transform, the main process encodes."""

import errno
import multiprocessing
import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torch.utils.data.dataloader import _MultiProcessingDataLoaderIter

from essential.encoders import FrameEncoder
from essential.errors import DataError, VideoError
from essential.features.config import FeaturesConfig, FeatureType
from essential.features.cores import share_cores, torch_threads
from essential.features.store import VideoNote
from essential.protocols.protocol import Video
from essential.video.identity import identity_of
from essential.video.views import ViewRequest, read_views

_PREFETCH = 2
# So long without any video from the workers means that one of them hangs.
_SILENCE_SECONDS = 600
_MACHINE_ERRORS = frozenset({errno.EMFILE, errno.ENFILE, errno.EIO, errno.ESTALE})

Item = tuple[Video, ViewRequest]


@dataclass(frozen=True)
class ReadVideo:
    """A video's views, shape (views, frames, 3, size, size), or None where its note says why there are none."""

    clips: Tensor | None
    note: VideoNote
    failure: str | None = None


def read_each(
    items: Sequence[Item], consume: Callable[[int, ReadVideo], None], *, config: FeaturesConfig, device: torch.device
) -> None:
    """Read the views asked for of each video, in worker processes, and hand them over one by one, in order.

    A video travels as one tensor in shared memory and each worker reads at most two ahead, so that the open files and
    the memory stay bounded whatever the number of videos.

    Args:
        items: the videos, with what to read of each.
        consume: called in this process with an item's place and what was read.
        config: how many workers, and how they start.
        device: where `consume` encodes; it decides how the CPU's cores are shared.

    Raises:
        DataError: a worker process died; the message names the videos that were being read.
    """
    if not items:
        return
    workers, threads = share_cores(config.workers, device=device, videos=len(items))
    waiting = 0
    try:
        # Closed at once, not when the traceback of an error is collected: its workers end with it.
        with closing(_reading(items, workers, config.worker_start)) as reading, torch_threads(threads):
            for read in reading:
                if read.failure is not None:
                    raise DataError(
                        f"{read.note.key} could not be read for a reason that is not the file's: {read.failure}. "
                        "What was finished is kept; raise the limit of open files, or look after the disk, and run "
                        "again"
                    )
                consume(waiting, read)
                waiting += 1
    except (RuntimeError, ConnectionError, EOFError) as error:
        if not _is_worker_death(error):
            raise
        suspects = ", ".join(video.key for video, _ in items[waiting : waiting + 1 + _PREFETCH * workers])
        raise DataError(
            f"a process that decodes videos died or hangs ({error}) while reading one of: {suspects}. What was "
            "finished is kept; run again, with -s features.workers=0 to see the video that does it"
        ) from error


def _is_worker_death(error: Exception) -> bool:
    """Return whether torch means a dead worker.

    It says so with a RuntimeError, raised by a signal handler, so that it can surface inside `consume` too; or the
    dead worker's tensor cannot be fetched and a connection breaks, which nothing else here can do.
    """
    return not isinstance(error, RuntimeError) or str(error).startswith(("DataLoader worker", "DataLoader timed out"))


def encode_clips(
    clips: Float[Tensor, "views frames 3 size size"], encoder: FrameEncoder, *, dtype: FeatureType, key: str
) -> Float[np.ndarray, "views frames dim"]:
    """Return the frame features of each view, as `dtype`.

    One view at a time: the rounding of a matrix product depends on how many rows it has, so a view's features must
    not depend on what else is encoded with it. Live and stored features are then equal to the last bit, and so are
    features extracted in one go and in several.

    Raises:
        DataError: a feature is not finite, or too large for `dtype`.
    """
    device = device_of(encoder)
    with torch.inference_mode():
        views = [encoder(clip.unsqueeze(0).to(device))[0].float().cpu().numpy() for clip in clips]
    with np.errstate(over="ignore"):
        features = np.stack(views).astype(dtype)
    if not np.isfinite(features).all():
        raise DataError(
            f"the encoder {encoder.name} gave features of {key} that are not finite as {dtype}; "
            "use features.dtype=float32, or another encoder"
        )
    return features


def device_of(encoder: FrameEncoder) -> torch.device:
    """Return where the encoder computes."""
    return next(encoder.parameters()).device


class _Videos(Dataset[ReadVideo]):
    def __init__(self, items: Sequence[Item]) -> None:
        self._items = items

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, index: int) -> ReadVideo:
        return _read(*self._items[index])


def _read(video: Video, request: ViewRequest) -> ReadVideo:
    size, sha256 = None, None
    try:
        size, sha256 = identity_of(video.path)
        # As in a worker, where torch has one thread: pictures are too small to share.
        with torch_threads(1):
            clips = read_views(video, request)
    except FileNotFoundError:
        return ReadVideo(None, VideoNote(key=video.key, size_bytes=None, sha256=None, broken="there is no such file"))
    except (VideoError, OSError) as error:
        if _is_the_machines_fault(error):
            note = VideoNote(key=video.key, size_bytes=size, sha256=sha256, broken=None)
            return ReadVideo(None, note, failure=repr(error.__cause__ or error))
        # The store must not depend on where the videos are on this machine.
        reason = str(error).replace(str(video.path), video.key)
        return ReadVideo(None, VideoNote(key=video.key, size_bytes=size, sha256=sha256, broken=reason))
    return ReadVideo(clips, VideoNote(key=video.key, size_bytes=size, sha256=sha256, broken=None))


def _is_the_machines_fault(error: BaseException) -> bool:
    """Whether a video could not be read for want of open files or a healthy disk: it may well be whole.

    Want of memory is not among them: damaged files that ask for enormous pictures cause it too.
    """
    cause = error.__cause__ or error
    return isinstance(cause, OSError) and cause.errno in _MACHINE_ERRORS


def _reading(items: Sequence[Item], workers: int, start: str) -> Generator[ReadVideo, None, None]:
    with _expected_warnings():
        loader = DataLoader(
            _Videos(items),
            batch_size=None,
            num_workers=workers,
            prefetch_factor=_PREFETCH if workers else None,
            multiprocessing_context=multiprocessing.get_context(start) if workers else None,
            collate_fn=_as_it_is,
            # Without a generator of its own the loader would draw from torch's global one, in live mode only.
            generator=torch.Generator(),
            timeout=_SILENCE_SECONDS if workers else 0,
        )
        iterator = iter(loader)
    try:
        yield from iterator
    finally:
        if isinstance(iterator, _MultiProcessingDataLoaderIter):
            # Torch ends the workers when the iterator is collected. The traceback of an error would keep it, and
            # them, alive; and a later fork would inherit it. There is no public way to end them now.
            iterator._shutdown_workers()


def _as_it_is(read: Any) -> Any:
    return read


@contextmanager
def _expected_warnings() -> Iterator[None]:
    """Silence two warnings that tell a user of ours nothing.

    Python 3.12 warns of any fork beside threads; a worker uses nothing that torch's threads may hold locked. torch
    warns of more workers than cores; the config asked for them.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*fork.*", category=DeprecationWarning)
        warnings.filterwarnings("ignore", message="This DataLoader will create", category=UserWarning)
        yield
