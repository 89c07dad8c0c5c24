"""A classifier that is taught by its user, class after class: learn, predict, test, forget, save, load."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from essential.learner.video_learner import VideoLearner as VideoLearner

__all__ = ["VideoLearner"]


def __getattr__(name: str) -> Any:
    # Torch takes seconds to import, and what checks paths and bundles' names first has no use for it.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from essential.learner import video_learner

    return getattr(video_learner, name)
