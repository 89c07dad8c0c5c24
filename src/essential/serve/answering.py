"""What a worker does for the web process; this module alone imports the learner."""

import base64
from collections import Counter
from collections.abc import Callable
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
from essential.serve.answers import LiveAnswer, Prediction
from essential.serve.live import LiveSessions
from essential.serve.messages import (
    Change,
    Kept,
    Knowledge,
    KnownClass,
    Learned,
    LeftOut,
    Lesson,
    LiveFrames,
    Refusal,
    Setup,
    cannot_write,
)
from essential.video.container import opened_video, survey_packets

# A clip is decoded in the worker, which is ended if it hangs; one that cannot be read is left out of a lesson.
_MACHINE = ("features.workers=0", "features.on_broken_video=skip")
_JPEG_QUALITY = 80
# Above what the process has once its learner is loaded: 40 frames of 4K, and what a decoder keeps, are 1.8 GB.
_MEMORY_BYTES = 4 * 1024**3
_KEPT_BYTES = 256 * 1024**2


class Answering:
    """A learner that does requests; an EssentialError if its bundle cannot be read, or begun."""

    def __init__(self, setup: Setup, progress: Progress) -> None:
        keep_freed_memory()
        self._limits, self._progress = setup.limits, progress
        overrides = [f"training.threads={max(1, cpu_cores() - setup.spare_cores)}", *setup.overrides, *_MACHINE]
        if setup.begin_with is not None and not setup.bundle.exists():
            VideoLearner(encoder=setup.begin_with, overrides=overrides).save(setup.bundle)
        self._learner = VideoLearner.load(setup.bundle, overrides=overrides, progress=progress)
        self._live = LiveSessions(self._learner, self._limits)
        self._loaded_bytes = resident_bytes()
        # A GPU's driver reserves addresses by the terabyte.
        if not torch.cuda.is_initialized():
            limit_memory(_MEMORY_BYTES)

    def do(self, call: Callable[["Answering"], object]) -> object:
        """Return the result of a call, and do not keep the memory of a large clip for ever."""
        try:
            return call(self)
        finally:
            if resident_bytes() > self._loaded_bytes + _KEPT_BYTES:
                give_back_freed_memory()

    @property
    def knowledge(self) -> Knowledge:
        """What the learner knows."""
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
            frames_read=learner.encoder.frames_read(learner.config.video.frames),
        )

    def predict(self, clip: Path, *, top_k: int) -> Prediction:
        """Classify a clip, or raise the `Refusal` that says why not."""
        if not self._learner.classes:
            raise Refusal(409, "nothing_taught", "nothing was taught yet, so nothing can be recognised; teach a class")
        try:
            self._check_clip(clip)
            (found,) = self._learner.stream([clip], top_k=top_k, with_frames=True)
            if found.error is not None or found.frames is None:
                raise VideoError(found.error or "it has no frames")
        except VideoError as error:
            raise Refusal(422, "unreadable_clip", f"the clip cannot be read: {error.problem}") from error
        return Prediction.model_validate({**found.as_json(), "frames": list(map(_data_uri, found.frames))})

    def live(self, given: LiveFrames) -> LiveAnswer:
        """Take the next frames of a camera, and return what it shows; see `LiveSessions`."""
        return self._live.answer(given)

    def teach(self, given: Lesson, target: Path) -> Change:
        """Learn a class, and write the bundle that knows it to `target`, or raise a `Refusal`."""
        places = {clip: place for place, clip in enumerate(given.clips, 1)}
        left_out = self._left_out(places)
        fit = [clip for clip in places if places[clip] not in left_out]
        if not fit:
            reasons = "; ".join(f"clip {place}: {reason}" for place, reason in left_out.items())
            raise Refusal(422, "no_clip_readable", f"no clip can be learned from: {reasons}")
        try:
            lesson = self._learner.learn({given.name: fit}, more_of_known=given.more_of_known)
        except EssentialError as error:
            # Not `where`, which may be a place on this machine.
            raise Refusal(422, "lesson_failed", "; ".join(filter(None, (error.problem, error.remedy)))) from error
        by_key = {f"{given.name}/{clip.name}": place for clip, place in places.items()}
        left_out |= {by_key[key]: reason for key, reason in lesson.skipped.items()}
        without = tuple(LeftOut(place, reason) for place, reason in left_out.items())
        return self._saved(target), Learned(sum(lesson.clips), without, lesson.held_out_accuracy)

    def forget(self, name: str, target: Path) -> Change:
        """Forget a known class, and write the bundle that does not know it to `target`, or raise a `Refusal`."""
        self._learner.forget(name)
        return self._saved(target), None

    def rename(self, name: str, to: str, *, merge: bool, target: Path) -> Change:
        """Rename a known class, or merge it with `to`, and write the bundle to `target`, or raise a `Refusal`."""
        try:
            self._learner.rename(name, to, merge=merge)
        except EssentialError as error:
            raise Refusal(422, "rename_failed", "; ".join(filter(None, (error.problem, error.remedy)))) from error
        return self._saved(target), None

    def _saved(self, target: Path) -> Knowledge:
        try:
            self._learner.save(target)
        except FileSystemError as error:
            raise cannot_write("the bundle is as it was", error) from error
        return self.knowledge

    def _left_out(self, places: dict[Path, int]) -> dict[int, str]:
        """Return why clips are left out before any is decoded, by their places, from 1."""
        left_out = {}
        with phase(self._progress, "check clips", len(places)):
            for clip, place in places.items():
                try:
                    self._check_clip(clip)
                except (VideoError, Refusal) as error:
                    left_out[place] = error.problem
                self._progress.advance(place)
        return left_out

    def _check_clip(self, path: Path) -> None:
        """Raise a `Refusal` if a clip is too long or its frames too large, a `VideoError` if it cannot be read."""
        limits = self._limits
        with opened_video(path) as (container, stream):
            width, height = stream.codec_context.width, stream.codec_context.height
            if max(width, height) > limits.side:
                message = f"its frames have {width} x {height} pixels, and a side of {limits.side} is allowed"
                raise Refusal(422, "pictures_too_large", f"{message}; scale it down")
            seconds = survey_packets(path, container, stream).timing.end_seconds
        if seconds and seconds > limits.clip_seconds:
            message = f"it is {seconds:.1f} seconds long, and {limits.clip_seconds:g} are allowed"
            raise Refusal(422, "clip_too_long", f"{message}; cut it, or send a part")


def _data_uri(frame: UInt8[np.ndarray, "size size 3"]) -> str:
    target = BytesIO()
    Image.fromarray(frame).save(target, "JPEG", quality=_JPEG_QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(target.getvalue()).decode()}"
