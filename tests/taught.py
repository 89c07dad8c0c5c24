"""A learner small enough for tests, and its clips."""

from dataclasses import dataclass
from pathlib import Path

from essential import VideoLearner
from threads import THREADS

# A bundle does not say how a machine works, so whoever loads one does.
# Without workers: forking the process of the tests takes longer than decoding a few clips.
MACHINE = ("training.device=cpu", f"training.threads={THREADS}", "features.workers=0")
QUICK = (
    "training.epochs=5",
    "training.batch_size=8",
    "method.rehearsal_epochs=5",
    "features.views=0",
    *MACHINE,
)


def new_learner(*overrides: str, method: str | None = None, budget_bytes: int | None = None) -> VideoLearner:
    """Return a learner that knows nothing yet and trains for a moment."""
    quick = [override for override in QUICK if method is None or not override.startswith("method.")]
    return VideoLearner(
        config="moving-digits/essential",
        method=method,
        memory_budget_bytes=budget_bytes,
        overrides=[*quick, *overrides],
    )


@dataclass(frozen=True)
class Clips:
    """Clips of the digit 0, by motion, made as `DIR/{train,test}/<class>/*`."""

    root: Path

    def of(self, split: str, *motions: str) -> dict[str, list[Path]]:
        """Return the clips of some classes, each under the name of its motion."""
        return {motion: sorted((self.root / split / self.folder(motion)).iterdir()) for motion in motions}

    def to_teach(self, *motions: str) -> dict[str, list[Path]]:
        """Return the training clips of some classes."""
        return self.of("train", *motions)

    def to_ask(self, *motions: str) -> dict[str, list[Path]]:
        """Return the test clips of some classes."""
        return self.of("test", *motions)

    def folder(self, motion: str) -> str:
        """Return the name of a motion's folder."""
        return next(path.name for path in (self.root / "train").iterdir() if path.name.partition("-")[2] == motion)
