"""An export is compared with its learner on the same inputs: the outputs agree, or there is no file."""

import numpy as np
from jaxtyping import Float, UInt8

from essential.encoders import FrameEncoder
from essential.errors import ExportError
from essential.export.forms import Run, Values
from essential.features.pipeline import ClipEncoder
from essential.learner.labelled_predictor import LabelledPredictor
from essential.video.views import plain_view

# Of a probability; of an unknown score above 1, which has no upper end, it is relative.
TOLERANCE = 1e-4
_CLIPS_AT_ONCE = (1, 3)
_CELLS = (1, 2, 4, 8)


def worst_difference(
    run: Run, predictor: LabelledPredictor, clips: Values, features: Float[np.ndarray, "clips frames dim"]
) -> float:
    """Return the largest difference between an export and the learner, the export given clips by one and by three.

    Args:
        run: the export.
        predictor: the learner's.
        clips: what the export takes.
        features: of these clips, as the learner computes them.

    Raises:
        ExportError: it is above `TOLERANCE`.
    """
    _, probabilities, unknown = predictor.answers(features)
    wanted = [probabilities] if unknown is None else [probabilities, unknown]
    worst = 0.0
    for at_once in _CLIPS_AT_ONCE:
        parts = [run(clips[first : first + at_once]) for first in range(0, len(clips), at_once)]
        found = [np.concatenate(outputs) for outputs in zip(*parts, strict=True)]
        differences = [_difference(*pair) for pair in zip(found, wanted, strict=True)]
        # Written so that NaN is refused.
        if not all(difference <= TOLERANCE for difference in differences):
            raise ExportError(
                f"the export differs from the learner by {max(differences):.1e}, and {TOLERANCE:.0e} is allowed, so it "
                "was not written; another version of torch, onnx or onnxruntime may do"
            )
        worst = max(worst, *differences)
    return worst


def features_of(
    encoder: FrameEncoder, clips: UInt8[np.ndarray, "clips frames size size 3"]
) -> Float[np.ndarray, "clips frames dim"]:
    """Return the learner's features of frames, computed in float32."""
    through = ClipEncoder(encoder, frames=clips.shape[1], batch_clips=None, precision="float32")
    found: list[tuple[int, Values]] = []
    for place, clip in enumerate(clips):
        found += through.add(place, plain_view(clip, encoder.pixel_format)[None])
    found += through.finish()
    return np.concatenate([features for _, features in found])


def random_features(count: int, *, frames: int, dim: int) -> Float[np.ndarray, "count frames dim"]:
    """Return made-up frame features, small and large ones, so that not all answers are certain."""
    features = np.random.default_rng(0).standard_normal((count, frames, dim), np.float32)
    return features * np.logspace(-1.5, 0, count, dtype=np.float32)[:, None, None]


def random_frames(count: int, *, frames: int, size: int) -> UInt8[np.ndarray, "count frames size size 3"]:
    """Return made-up frames: coarse and fine patterns that change from frame to frame, so that features differ."""
    generator = np.random.default_rng(0)
    clips = []
    for clip in range(count):
        cells = min(_CELLS[clip % len(_CELLS)], size)
        colours = generator.integers(0, 256, (frames, cells, cells, 3), np.uint8)
        places = np.arange(size) * cells // size
        clips.append(colours[:, places][:, :, places])
    return np.stack(clips)


def _difference(found: Values, wanted: Values) -> float:
    if found.shape != wanted.shape:
        raise ExportError(f"the export gives {found.shape} numbers where the learner gives {wanted.shape}")
    return float((np.abs(found - wanted) / np.maximum(1, np.abs(wanted))).max())
