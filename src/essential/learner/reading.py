"""From video files to what is said of them, as a stream: worker processes decode, this one encodes and answers."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from essential.features.config import FeaturesConfig
from essential.features.cores import share_cores, torch_threads
from essential.features.encoding import ClipEncoder, VideoFeatures
from essential.features.pipeline import Item, reading
from essential.features.provenance import Recipe
from essential.learner.clips import PathLike, expanded
from essential.learner.prediction import Prediction, Span, spans_of
from essential.learner.voice import Voice
from essential.protocols.protocol import Video
from essential.video.transforms import PixelFormat
from essential.video.windows import WindowedVideo

# Answers that wait for one before them.
_MOST_HELD = 256

Shown = UInt8[np.ndarray, "frames size size 3"]


@dataclass(frozen=True)
class ClipReader:
    """Reads clips, and has a voice answer."""

    voice: Voice
    recipe: Recipe
    config: FeaturesConfig

    def stream(self, paths: Iterable[PathLike], *, top_k: int, with_frames: bool) -> Iterator[Prediction]:
        """Yield what is said of each file, and of each video below each folder, in their order.

        A clip that takes very long comes later than others: many of them would have to be held for it.

        Raises:
            DataError: a folder holds no video, or a clip cannot be read for a reason that is not the file's.
        """
        held: dict[int, Prediction] = {}
        awaited = 0
        for place, prediction in self._as_they_come(paths, top_k=top_k, with_frames=with_frames):
            if place < awaited:
                yield prediction
                continue
            held[place] = prediction
            if len(held) > _MOST_HELD:
                awaited = min(held)
            while awaited in held:
                yield held.pop(awaited)
                awaited += 1
        yield from (held[place] for place in sorted(held))

    def _as_they_come(
        self, paths: Iterable[PathLike], *, top_k: int, with_frames: bool
    ) -> Iterator[tuple[int, Prediction]]:
        request = self.recipe.request((0,))
        sharing = share_cores(self.config.workers, encoder=self.recipe.encoder, frames=self.recipe.frames, views=1)
        encoder = self._encoder()
        files: dict[int, Path] = {}
        pixels: dict[int, Shown] = {}

        def items() -> Iterator[Item]:
            for place, path in enumerate(expanded(paths)):
                files[place] = path
                # The key stands in messages, and draws nothing for the plain view.
                yield Video(str(path), str(path), "", "test"), request

        def answers(complete: Iterator[tuple[int, VideoFeatures]]) -> Iterator[tuple[int, Prediction]]:
            for place, features in complete:
                frames = pixels.pop(place, None)
                yield place, self.voice.prediction(files.pop(place), features, top_k=top_k, frames=frames)

        with closing(reading(items(), largest=request, workers=sharing.workers, config=self.config)) as every:
            for place, read in every:
                if read.clips is None:
                    path = files.pop(place)
                    yield place, Prediction(path, error=_reason(read.note.broken, path))
                    continue
                if with_frames:
                    pixels[place] = _shown(read.clips[0], self.recipe.encoder.pixel_format)
                with torch_threads(sharing.threads):
                    ready = list(answers(encoder.add(place, read.clips)))
                yield from ready
        yield from answers(encoder.finish())

    def spans(self, video: WindowedVideo, *, progress: Callable[[int], None]) -> list[Span]:
        """Return what is said of a long video over its time.

        Raises:
            VideoError: the file is damaged or cut short.
        """
        encoder = self._encoder()
        features: list[VideoFeatures] = []
        with closing(video.clips(self.recipe.encoder.pixel_format)) as clips:
            for place, (_, clip) in enumerate(clips):
                features += [one for _, one in encoder.add(place, clip[None])]
                progress(place + 1)
        features += [one for _, one in encoder.finish()]
        every = np.concatenate(features)
        labels, probabilities = self.voice.probabilities(every)
        segments = [window.segment for window in video.windows]
        return spans_of(video.path, segments, labels, probabilities, self.voice.unknown(every).tolist())

    def _encoder(self) -> ClipEncoder:
        return ClipEncoder(
            self.recipe.encoder,
            frames=self.recipe.frames,
            batch_clips=self.config.batch_clips,
            precision=self.recipe.precision,
        )


def _shown(clip: Float[Tensor, "frames 3 size size"], pixel_format: PixelFormat) -> Shown:
    """Return the pixels that an encoder was given, as a person would see them."""
    mean, std = (torch.tensor(values)[:, None, None] for values in (pixel_format.mean, pixel_format.std))
    coloured = ((clip * std + mean) * 255).round().clamp(0, 255).to(torch.uint8)
    pixels: Shown = coloured.permute(0, 2, 3, 1).numpy()
    return pixels


def _reason(broken: str | None, path: Path) -> str:
    """Return why a file cannot be read, without what to do, which is the same for all."""
    reason = (broken or "it cannot be read").removeprefix(f"cannot read video {path}: ")
    return reason.partition("; expected ")[0]
