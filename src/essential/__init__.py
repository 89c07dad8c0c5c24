"""Teach a video classifier new action classes, group after group, without keeping the old videos."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from essential.learner import VideoLearner

__version__ = "0.1.0"
__all__ = ["VideoLearner", "__version__"]


def __getattr__(name: str) -> Any:
    # torch takes seconds to import, and `essential --help` has no use for it.
    if name == "VideoLearner":
        from essential.learner import VideoLearner

        return VideoLearner
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
