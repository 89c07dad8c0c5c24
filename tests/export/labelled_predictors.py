"""Labelled predictors of every shipped method, taught with made-up features: no video is read."""

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import torch
from pydantic import TypeAdapter

from essential.contract.synthetic_tasks import clips_of, make_tasks
from essential.learner.held_out import held_out_clips, no_held_out_clips
from essential.learner.labelled_predictor import LabelledPredictor, build_labelled_predictor
from essential.memory.episodic import EpisodicMemory
from essential.methods import METHODS, MethodConfig, build_method, method_section

FRAMES = 8
# Slot 2 was forgotten, and the class `wave` was taught twice.
LABELS = ("wave", "jump", None, "wave", "run")
_SMALL = {"classifier": {"heads": 4, "init_scale": 100.0}, "random_features": 150}


@cache
def labelled_predictor_of(name: str, *, dim: int = 24, held_out_clips: int = 12) -> LabelledPredictor:
    """Return the labelled predictor of a shipped method after two tasks, untrained where it trains, never certain."""
    section = method_section(name)
    method = build_method(TypeAdapter(MethodConfig).validate_python(_small(section)), dim=dim, frames=FRAMES, seed=0)
    for task in make_tasks((3, 2), dim=dim):
        method.begin(task)
        method.finish(task)
    method.memory = method.memory.without(2)
    labelled = build_labelled_predictor(method.predictor, LABELS, method.memory, held_out(held_out_clips, dim=dim))
    scores = labelled.scores(asked_features(12, dim=dim))
    return replace(labelled, temperature=float(scores[:, np.isfinite(scores[0])].std()))


def held_out(clips: int, *, dim: int = 24) -> EpisodicMemory:
    """Return held-out clips of the classes that are known."""
    slots = torch.tensor([0, 1, 3, 4]).repeat(3)[:clips]
    features = clips_of(slots, frames=FRAMES, dim=dim, seed=9).numpy()
    return no_held_out_clips(FRAMES, dim).extended(held_out_clips(features, slots.numpy()))


def asked_features(clips: int, *, dim: int = 24) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Return clips between the classes, of which no answer is certain, and one far from all."""
    generator = torch.Generator().manual_seed(2)
    pairs = clips_of(torch.arange(2 * clips) % 5, frames=FRAMES, dim=dim, seed=3).view(clips, 2, FRAMES, dim)
    shares = torch.rand(clips, 1, 1, generator=generator)
    features = shares * pairs[:, 0] + (1 - shares) * pairs[:, 1]
    features[-1] *= 5
    return features.numpy()


def _small(section: dict[str, Any]) -> dict[str, Any]:
    known = METHODS[section["name"]].Config.model_fields
    nested = {"base": _small(section["base"])} if "base" in section else {}
    return {key: value for key, value in _SMALL.items() if key in known} | section | nested
