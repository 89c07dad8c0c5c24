"""From a bundle to an exported file, and a JSON beside it: made in memory, checked, and only then written."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from essential.encoders.base import Encoder
from essential.errors import EssentialError, ExportError
from essential.export.answer import FeatureAnswer, FrameAnswer
from essential.export.forms import CLIPS, CLIPS_TRACED, Run, Values, eager_run, form_of, program_of
from essential.features.config import Precision
from essential.features.pipeline import ClipEncoder
from essential.files.atomic import refuse_unwritable, write_bytes, write_json
from essential.learner.calibration import known_labels
from essential.learner.labelled_predictor import LabelledPredictor
from essential.learner.video_learner import VideoLearner
from essential.version import __version__
from essential.video.views import plain_view

Takes = Literal["frames", "features"]
_CLIPS_CHECKED = 7
# Of a probability; of an unknown score above 1, which has no upper end, it is relative.
TOLERANCE = 1e-4
_CLIPS_AT_ONCE = (1, 3)
_CELLS = (1, 2, 4, 8)


@dataclass(frozen=True)
class Export:
    """What was written: the model at `path`, the JSON beside it, and the largest difference found from the learner."""

    path: Path
    note: Path
    bytes: int
    labels: tuple[str, ...]
    worst_difference: float


def export_bundle(bundle: Path, path: Path, *, takes: Takes = "frames", overrides: Sequence[str] = ()) -> Export:
    """Write a bundle's classifier as one file that needs nothing of essential, and FILE.json beside it.

    Args:
        bundle: the learner's file.
        path: where to; `.onnx` or `.pt2` says as what.
        takes: frames: bytes of frames that have the encoder's size, the encoder being part of the export; or features
            of frames.
        overrides: such as `encoder.weights=FILE`; see `VideoLearner.load`.

    Raises:
        ConfigError: the file's name ends otherwise, a package is not installed, or the learner has no encoder.
        BundleError, CheckpointError: the bundle or the encoder's weights cannot be used.
        DataError: nothing was taught yet.
        ExportError: the model cannot be exported, or gives other numbers than the learner.
        FileSystemError: the disk refuses.
    """
    form_of(path).require()
    for each in (path, _beside(path)):
        refuse_unwritable(each)
    # As on most machines that will use the export.
    learner = VideoLearner.load(bundle, overrides=(*overrides, "training.device=cpu"))
    return write_export(
        learner.labelled_predictor,
        learner.encoder,
        path,
        held_out=learner.held_out.features,
        takes=takes,
        taught_in=learner.config.features.precision,
    )


def write_export(
    labelled: LabelledPredictor,
    encoder: Encoder,
    path: Path,
    *,
    held_out: Float[Tensor, "clips frames dim"],
    takes: Takes,
    taught_in: Precision = "float32",
) -> Export:
    """Write a labelled predictor on the CPU, as `export_bundle` does, checked on `held_out` and made-up clips.

    An exported encoder computes in float32. Where the learner's does not, the description says how far the answers are
    from the learner's on the made-up clips.
    """
    form = form_of(path)
    frames = held_out.shape[1]
    note = describe(labelled, encoder, frames=frames, takes=takes)
    made_up = random_features(_CLIPS_CHECKED, frames=frames, dim=encoder.dim)
    features = np.concatenate([held_out.numpy(), made_up])
    answer = FeatureAnswer(labelled)
    worst = worst_difference(eager_run(answer), labelled, features, features)
    clips: Values = features
    module: nn.Module = answer
    if takes == "frames":
        read, size = encoder.frames_read(frames), encoder.pixel_format.size
        clips = random_frames(_CLIPS_CHECKED, frames=read, size=size)
        module, features = FrameAnswer(encoder, answer, frames=frames), features_of(encoder, clips, frames=frames)
    if taught_in != "float32":
        note["taught_in"] = {"precision": taught_in}
        if takes == "frames":
            taught = features_of(encoder, clips, frames=frames, precision=taught_in)
            probabilities = (labelled.answers(each).probabilities for each in (features, taught))
            note["taught_in"]["largest_difference"] = _difference(*probabilities)
    content = form.content(program_of(module, torch.from_numpy(clips[:CLIPS_TRACED])), note)
    worst = max(worst, worst_difference(form.run(content), labelled, clips, features))
    note["checked"] = {"clips": len(clips), "largest_difference": worst}
    beside = _beside(path)
    _write_both(path, content, beside, note)
    return Export(path, beside, len(content), tuple(note["labels"]), worst)


def _beside(path: Path) -> Path:
    return path.with_name(f"{path.name}.json")


def _write_both(path: Path, content: bytes, beside: Path, note: Mapping[str, Any]) -> None:
    """Write the description, then the model: where there is a new model, its description is there too."""
    before = beside.read_bytes() if beside.is_file() else None
    write_json(beside, note)
    try:
        write_bytes(path, content)
    except EssentialError:
        if before is None:
            beside.unlink()
        else:
            write_bytes(beside, before)
        raise


def describe(labelled: LabelledPredictor, encoder: Encoder, *, frames: int, takes: Takes) -> dict[str, Any]:
    """Return the description of an export, which stands in it and beside it as JSON."""
    labels = [*known_labels(labelled.labels)]
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
    if labelled.out_of_distribution is None:
        del outputs["unknown_score"]
    return {
        "what": "essential export",
        "essential": __version__,
        "labels": labels,
        "input": _input(encoder, frames=frames, takes=takes),
        "outputs": outputs,
        "preparation": _preparation(encoder, frames=encoder.frames_read(frames), takes=takes),
        "encoder": {"name": encoder.name, "fingerprint": encoder.fingerprint, "dim": encoder.dim},
    }


def _input(encoder: Encoder, *, frames: int, takes: Takes) -> dict[str, Any]:
    size, read = encoder.pixel_format.size, encoder.frames_read(frames)
    if takes == "frames":
        return {"name": takes, "type": "uint8", "shape": [CLIPS, read, size, size, 3], "meaning": "RGB, 0 to 255"}
    meaning = "of the encoder, one row for each frame, or part of the clip's time"
    return {"name": takes, "type": "float32", "shape": [CLIPS, frames, encoder.dim], "meaning": meaning}


def _preparation(encoder: Encoder, *, frames: int, takes: Takes) -> dict[str, Any]:
    pixels = encoder.pixel_format
    inside = "inside the export" if takes == "frames" else "before the encoder"
    return {
        "frames": frames,
        "which": "frame (2 * i + 1) * count // (2 * frames) for i from 0 to frames - 1, of the count frames of the "
        "video in the order of showing, counted from 0",
        "size": pixels.size,
        "interpolation": pixels.interpolation,
        "resize": "upright, the short side to size, the long side to int(size * long / short), antialiased, as bytes",
        "crop": "the centre, size x size, from round((side - size) / 2)",
        "mean": list(pixels.mean),
        "std": list(pixels.std),
        "normalise": f"(value / 255 - mean) / std for each colour, {inside}",
    }


def worst_difference(
    run: Run, predictor: LabelledPredictor, clips: Values, features: Float[np.ndarray, "clips frames dim"]
) -> float:
    """Return how far an export, given clips by one and by three, is from the learner, given the features of these.

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
    encoder: Encoder,
    clips: UInt8[np.ndarray, "clips read size size 3"],
    *,
    frames: int,
    precision: Precision = "float32",
) -> Float[np.ndarray, "clips frames dim"]:
    """Return the learner's features of frames."""
    through = ClipEncoder(encoder, frames=frames, batch_clips=None, precision=precision)
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
