"""What a worker does with a request; this module alone imports the learner."""

import base64
from collections import Counter
from collections.abc import Iterable
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image

from essential.engine.allocator import give_back_freed_memory, keep_freed_memory, limit_memory, resident_bytes
from essential.errors import EssentialError, FileSystemError, VideoError
from essential.features.cores import cpu_cores
from essential.learner import VideoLearner
from essential.progress import Progress, phase
from essential.serve.messages import (
    Change,
    Forget,
    Kept,
    Knowledge,
    KnownClass,
    Learned,
    LeftOut,
    Predict,
    Prediction,
    Refusal,
    Request,
    Setup,
    Teach,
    cannot_write,
)
from essential.video.container import opened_video, survey_packets
from essential.video.frames import short_reason

# A clip is decoded in the worker, which is ended if it hangs; one that cannot be read is left out of a lesson.
_MACHINE = ("features.workers=0", "features.on_broken_video=skip")
_JPEG_QUALITY = 80
# Above what the process has once its learner is loaded: 40 frames of 4K, and what a decoder keeps, are 1.8 GB.
_MEMORY_BYTES = 4 * 1024**3
_KEPT_BYTES = 256 * 1024**2


class Answering:
    """A learner that does requests.

    Raises:
        EssentialError: the bundle cannot be read, or begun.
    """

    def __init__(self, setup: Setup, progress: Progress) -> None:
        keep_freed_memory()
        self._limits, self._progress = setup.limits, progress
        overrides = [f"training.threads={max(1, cpu_cores() - setup.spare_cores)}", *setup.overrides, *_MACHINE]
        if setup.begin_with is not None and not setup.bundle.exists():
            VideoLearner(encoder=setup.begin_with, overrides=overrides).save(setup.bundle)
        self._learner = VideoLearner.load(setup.bundle, overrides=overrides, progress=progress)
        self._loaded_bytes = resident_bytes()
        # A GPU's driver reserves addresses by the terabyte.
        if not torch.cuda.is_initialized():
            limit_memory(_MEMORY_BYTES)

    def answer(self, request: Request) -> object:
        """Return the result of a request.

        Raises:
            Refusal: it cannot be done.
        """
        try:
            match request:
                case Predict():
                    return self._predict(request)
                case Teach():
                    return self._teach(request)
                case Forget():
                    return self._forget(request)
        finally:
            # The memory of one large clip should not be kept for ever.
            if resident_bytes() > self._loaded_bytes + _KEPT_BYTES:
                give_back_freed_memory()

    def knowledge(self) -> Knowledge:
        """Return what the learner knows."""
        learner = self._learner
        clips: Counter[str | None] = Counter()
        for lesson in learner.lessons:
            clips.update(dict(zip(lesson.classes, lesson.clips, strict=True)))
        return Knowledge(
            classes=tuple(KnownClass(name, clips[name]) for name in learner.classes),
            memory=tuple(Kept(entry.kind, entry.name, entry.bytes) for entry in learner.memory),
            encoder=learner.config.encoder.name,
            method=learner.config.method.name,
            lessons=len(learner.lessons),
        )

    def _predict(self, request: Predict) -> Prediction:
        if not self._learner.classes:
            raise Refusal(409, "nothing_taught", "nothing was taught yet, so nothing can be recognised; teach a class")
        try:
            self._check_clip(request.clip)
        except VideoError as error:
            raise _unreadable(str(error), request.clip) from error
        (found,) = self._learner.stream([request.clip], top_k=request.top_k, with_frames=True)
        if found.error is not None or found.frames is None:
            raise _unreadable(found.error or "it has no frames", request.clip)
        return Prediction.model_validate({**found.as_json(), "frames": list(map(_data_uri, found.frames))})

    def _teach(self, request: Teach) -> Change:
        places = {clip: place for place, clip in enumerate(request.clips, 1)}
        left_out = self._left_out(places)
        fit = [clip for clip in places if places[clip] not in left_out]
        if not fit:
            reasons = "; ".join(f"clip {place}: {reason}" for place, reason in left_out.items())
            raise Refusal(422, "no_clip_readable", f"no clip can be learned from: {reasons}")
        try:
            lesson = self._learner.learn({request.name: fit}, more_of_known=request.more_of_known)
        except EssentialError as error:
            raise Refusal(422, "lesson_failed", _without_places(str(error), fit)) from error
        by_key = {f"{request.name}/{clip.name}": place for clip, place in places.items()}
        left_out |= {by_key[key]: short_reason(reason, key) for key, reason in lesson.skipped.items()}
        self._save(request.target)
        without = tuple(LeftOut(place, reason) for place, reason in left_out.items())
        return self.knowledge(), Learned(sum(lesson.clips), without, lesson.held_out_accuracy)

    def _left_out(self, places: dict[Path, int]) -> dict[int, str]:
        """Return why clips are left out before any is decoded, by their places, from 1."""
        left_out = {}
        with phase(self._progress, "check clips", len(places)):
            for clip, place in places.items():
                try:
                    self._check_clip(clip)
                except (VideoError, Refusal) as error:
                    left_out[place] = short_reason(str(error), str(clip))
                self._progress.advance(place)
        return left_out

    def _forget(self, request: Forget) -> Change:
        try:
            self._learner.forget(request.name)
        except EssentialError as error:
            raise Refusal(404, "no_such_class", str(error)) from error
        self._save(request.target)
        return self.knowledge(), None

    def _save(self, target: Path) -> None:
        try:
            self._learner.save(target)
        except FileSystemError as error:
            raise cannot_write("the bundle is as it was", error) from error

    def _check_clip(self, path: Path) -> None:
        """Refuse a clip that is too long, or whose frames are too large.

        Raises:
            Refusal: it is.
            VideoError: it cannot be read.
        """
        limits = self._limits
        with opened_video(path) as (container, stream):
            width, height = stream.codec_context.width, stream.codec_context.height
            if max(width, height) > limits.side:
                raise Refusal(
                    422,
                    "pictures_too_large",
                    f"its frames have {width} x {height} pixels, and a side of {limits.side} is allowed; scale it down",
                )
            seconds = survey_packets(path, container, stream).timing.end_seconds
        if seconds and seconds > limits.clip_seconds:
            raise Refusal(
                422,
                "clip_too_long",
                f"it is {seconds:.1f} seconds long, and {limits.clip_seconds:g} are allowed; cut it, or send a part",
            )


def _data_uri(frame: UInt8[np.ndarray, "size size 3"]) -> str:
    target = BytesIO()
    Image.fromarray(frame).save(target, "JPEG", quality=_JPEG_QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(target.getvalue()).decode()}"


def _unreadable(message: str, clip: Path) -> Refusal:
    return Refusal(422, "unreadable_clip", f"the clip cannot be read: {short_reason(message, str(clip))}")


def _without_places(message: str, paths: Iterable[Path]) -> str:
    """Return a message without the folders of this machine."""
    for folder in {path.parent for path in paths}:
        message = message.replace(f"{folder}/", "")
    return message
