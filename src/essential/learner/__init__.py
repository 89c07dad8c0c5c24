"""A classifier that is taught by its user, class after class: learn, predict, forget, save, load."""

from essential.learner.video_learner import VideoLearner

__all__ = ["VideoLearner"]
