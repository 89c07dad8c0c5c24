"""What stands in and beside an exported file, as JSON: labels, inputs, outputs, and how a clip is prepared."""

from typing import Any, Literal

from essential import __version__
from essential.encoders import FrameEncoder
from essential.learner.labelled_predictor import LabelledPredictor

Takes = Literal["frames", "features"]
CLIPS = "clips"


def describe(voice: LabelledPredictor, encoder: FrameEncoder, *, frames: int, takes: Takes) -> dict[str, Any]:
    """Return the description of an export.

    Args:
        voice: what answers.
        encoder: what makes its features.
        frames: of a clip.
        takes: what the export is given.
    """
    labels = list(dict.fromkeys(label for label in voice.labels if label is not None))
    outputs = {
        "probabilities": {
            "type": "float32",
            "shape": [CLIPS, len(labels)],
            "meaning": "of every label, in the order of `labels`; they add up to 1",
        },
        "unknown_score": {
            "type": "float32",
            "shape": [CLIPS],
            "meaning": "how far the clip is from all labels; above 1 it is none of them",
        },
    }
    if voice.familiarity is None:
        del outputs["unknown_score"]
    return {
        "what": "essential export",
        "essential": __version__,
        "labels": labels,
        "input": _input(encoder, frames=frames, takes=takes),
        "outputs": outputs,
        "preparation": _preparation(encoder, frames=frames, takes=takes),
        "encoder": {"name": encoder.name, "fingerprint": encoder.fingerprint, "dim": encoder.dim},
    }


def _input(encoder: FrameEncoder, *, frames: int, takes: Takes) -> dict[str, Any]:
    size = encoder.pixel_format.size
    if takes == "frames":
        return {"name": takes, "type": "uint8", "shape": [CLIPS, frames, size, size, 3], "meaning": "RGB, 0 to 255"}
    meaning = "of the encoder, one row for each frame"
    return {"name": takes, "type": "float32", "shape": [CLIPS, frames, encoder.dim], "meaning": meaning}


def _preparation(encoder: FrameEncoder, *, frames: int, takes: Takes) -> dict[str, Any]:
    pixels = encoder.pixel_format
    inside = "inside the export" if takes == "frames" else "before the encoder"
    return {
        "frames": frames,
        "which": "picture (2 * i + 1) * count // (2 * frames) for i from 0 to frames - 1, of the count pictures of the "
        "video in the order of showing, counted from 0",
        "size": pixels.size,
        "interpolation": pixels.interpolation,
        "resize": "upright, the short side to size, the long side to int(size * long / short), antialiased, as bytes",
        "crop": "the centre, size x size, from round((side - size) / 2)",
        "mean": list(pixels.mean),
        "std": list(pixels.std),
        "normalise": f"(value / 255 - mean) / std for each colour, {inside}",
    }
