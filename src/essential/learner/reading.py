"""From video files to predictions, as a stream: worker processes decode, this one encodes and predicts."""

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from essential.engine.turns import turn
from essential.features.config import FeaturesConfig
from essential.features.cores import Sharing, share_cores, torch_threads
from essential.features.pipeline import Asked, ClipEncoder, VideoFeatures, reading
from essential.features.provenance import Recipe
from essential.features.windows import window_features
from essential.learner.clips import Expanded
from essential.learner.labelled_predictor import LabelledPredictor
from essential.learner.prediction import Prediction, ShortClip, Span, spans_of
from essential.learner.threads import Arrivals
from essential.progress import Progress
from essential.protocols.protocol import Video
from essential.spans.merging import merged
from essential.video.views import segment_indices
from essential.video.windows import WindowedVideo
from essential.video.worker_pool import Lost

# Answers that wait for one before them.
_MOST_HELD = 256

Shown = UInt8[np.ndarray, "frames size size 3"]


@dataclass(frozen=True)
class ClipReader:
    """Reads clips, and has them predicted."""

    predictor: LabelledPredictor
    recipe: Recipe
    config: FeaturesConfig
    threads: int | None

    def stream(self, paths: Expanded, *, top_k: int, with_frames: bool) -> Iterator[Prediction]:
        """Yield the prediction of each clip, in their order; DataError for a reason that is not the file's.

        No answer waits for the next path, which a thread draws. A clip that takes very long comes later than others:
        many of them would have to be held for it.
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

    def _as_they_come(self, paths: Expanded, *, top_k: int, with_frames: bool) -> Iterator[tuple[int, Prediction]]:
        request = self.recipe.request((0,))
        with turn(self.threads):
            encoder, sharing = self._encoder(), self._sharing()
        arrivals = Arrivals(paths, ahead=max(1, sharing.workers))
        files: dict[int, Path] = {}
        seen: dict[int, tuple[Shown | None, ShortClip | None]] = {}
        unread: set[int] = set()

        def items() -> Iterator[Asked]:
            for place, (path, problem) in enumerate(arrivals):
                files[place] = path
                unread.add(place)
                # The key stands in messages, and draws nothing for the plain view.
                video = Video(str(path), str(path), "", "test")
                yield (video, request) if problem is None else (video, Lost(problem))

        def answers(encode: Callable[[], Iterator[tuple[int, VideoFeatures]]]) -> list[tuple[int, Prediction]]:
            # Nothing is yielded before the turn is over.
            with turn(sharing.threads):
                return [(place, answer(place, features)) for place, features in encode()]

        def answer(place: int, features: VideoFeatures) -> Prediction:
            (prediction,) = self.predictor.predictions([files.pop(place)], features, top_k=top_k)
            frames, short_clip = seen.pop(place)
            return replace(prediction, frames=frames, short_clip=short_clip)

        every = reading(
            items(),
            largest=request,
            workers=sharing.workers,
            config=self.config,
            identify=None,
            is_next_known=arrivals.is_next_known,
        )
        with closing(arrivals), closing(every):
            for place, read in every:
                unread.discard(place)
                if read.clips is None:
                    path = files.pop(place)
                    yield place, Prediction(path, error=read.note.broken or "it cannot be read")
                else:
                    shown = None
                    if with_frames:
                        with turn(sharing.threads):
                            shown = self._shown(read.clips[0])
                    seen[place] = shown, self._short(read.frame_count)
                    yield from answers(partial(encoder.add, place, read.clips))
                if not unread and not arrivals.is_next_known():
                    # Whoever sends the next path may be waiting for what is in a batch that is not full.
                    yield from answers(encoder.finish)
        yield from answers(encoder.finish)

    def spans(self, video: WindowedVideo, *, shortest_seconds: float, progress: Progress) -> list[Span]:
        """Return what a long video shows over time; VideoError if the file is damaged or cut short."""
        sharing = self._sharing()
        every = window_features(video, self._encoder(), recipe=self.recipe, workers=sharing.workers, progress=progress)
        with torch_threads(sharing.threads), closing(every) as features:
            answers = [self.predictor.answers(of_some) for of_some in features]
        probabilities = np.concatenate([some.probabilities for some in answers])
        scores = [some.unknown_scores for some in answers if some.unknown_scores is not None]
        times = [len(window.segments) for window in video.windows]
        segments = [segment for window in video.windows for segment in window.segments]
        probabilities = np.repeat(probabilities, times, axis=0)
        unknown_scores = np.repeat(np.concatenate(scores), times) if scores else None
        runs = merged(segments, probabilities, unknown_scores, shortest_seconds=shortest_seconds)
        short_clip = self._short(min(len({*window.frames}) for window in video.windows))
        spans = spans_of(video.path, answers[0].labels, runs)
        return [replace(span, short_clip=short_clip) for span in spans]

    def _sharing(self) -> Sharing:
        return share_cores(self.config.workers, recipe=self.recipe, views=1)

    def _shown(self, clip: Float[Tensor, "read 3 size size"]) -> Shown:
        """Return the frames of a clip, or of very many as many as there are features, as a person would see them."""
        pixel_format, frames = self.recipe.encoder.pixel_format, min(len(clip), self.recipe.frames)
        mean, std = (torch.tensor(values)[:, None, None] for values in (pixel_format.mean, pixel_format.std))
        some = clip[segment_indices(len(clip), frames, generator=None)]
        coloured = ((some * std + mean) * 255).round().clamp(0, 255).to(torch.uint8)
        pixels: Shown = coloured.permute(0, 2, 3, 1).numpy()
        return pixels

    def _short(self, frames: int | None) -> ShortClip | None:
        frames_read = self.recipe.frames_read
        return None if frames is None or frames >= frames_read else ShortClip(frames, frames_read)

    def _encoder(self) -> ClipEncoder:
        return ClipEncoder(
            self.recipe.encoder,
            frames=self.recipe.frames,
            batch_clips=self.config.batch_clips,
            precision=self.recipe.precision,
        )
