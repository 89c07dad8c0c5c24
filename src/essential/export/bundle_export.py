"""From a bundle to an exported file, and a JSON beside it: made in memory, checked, and only then written."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import nn
from torch.export import ExportedProgram

from essential.encoders import FrameEncoder
from essential.errors import ConfigError, EssentialError
from essential.export.answer import FeatureAnswer, FrameAnswer
from essential.export.check import features_of, random_features, random_frames, worst_difference
from essential.export.description import Takes, describe
from essential.export.onnx_file import onnx_bytes, onnx_run, require_onnx
from essential.export.program import CLIPS_WATCHED, Run, Values, eager_run, program_of, pt2_bytes, pt2_run
from essential.files.atomic import refuse_unwritable, write_bytes, write_json
from essential.learner.labelled_predictor import LabelledPredictor
from essential.learner.video_learner import VideoLearner

_CLIPS_CHECKED = 7


class _Form(NamedTuple):
    require: Callable[[], None]
    content: Callable[[ExportedProgram, Mapping[str, Any]], bytes]
    run: Callable[[bytes], Run]


_FORMS = {".onnx": _Form(require_onnx, onnx_bytes, onnx_run), ".pt2": _Form(lambda: None, pt2_bytes, pt2_run)}


@dataclass(frozen=True)
class Export:
    """What was written.

    Attributes:
        path: the model.
        note: the JSON beside it.
        bytes: of the model.
        labels: that it answers with.
        worst_difference: from the learner, over all clips that it was checked on.
    """

    path: Path
    note: Path
    bytes: int
    labels: tuple[str, ...]
    worst_difference: float


def export_bundle(bundle: Path, path: Path, *, takes: Takes = "frames", overrides: Sequence[str] = ()) -> Export:
    """Write what a bundle's learner says of clips as one file that needs nothing of essential, and FILE.json beside it.

    Args:
        bundle: the learner's file.
        path: where to; `.onnx` or `.pt2` says as what.
        takes: frames: bytes of frames that have the encoder's size, the encoder being part of the export; or features
            of frames.
        overrides: such as `encoder.weights=FILE`; see `VideoLearner.load`.

    Raises:
        ConfigError: the file's name ends otherwise, or a package is not installed.
        BundleError, CheckpointError: the bundle or the encoder's weights cannot be used.
        DataError: nothing was taught yet.
        ExportError: the model cannot be exported, or gives other numbers than the learner.
        FileSystemError: the disk refuses.
    """
    _form(path).require()
    for each in (path, _beside(path)):
        refuse_unwritable(each)
    # Where the numbers come out as on most machines that will use the export.
    learner = VideoLearner.load(bundle, overrides=(*overrides, "training.device=cpu"))
    return write_export(
        learner.labelled_predictor, learner.encoder, path, held_out=learner.held_out.features, takes=takes
    )


def write_export(
    voice: LabelledPredictor,
    encoder: FrameEncoder,
    path: Path,
    *,
    held_out: Float[np.ndarray, "clips frames dim"],
    takes: Takes,
) -> Export:
    """Write what a voice says, as `export_bundle` does.

    Args:
        voice: on the CPU.
        encoder: on the CPU.
        path: `.onnx` or `.pt2`.
        held_out: clips to check it on, beside made-up ones.
        takes: see there.
    """
    form = _form(path)
    frames = held_out.shape[1]
    note = describe(voice, encoder, frames=frames, takes=takes)
    made_up = random_features(_CLIPS_CHECKED, frames=frames, dim=encoder.dim)
    features = np.concatenate([held_out.astype(np.float32), made_up])
    answer = FeatureAnswer(voice)
    worst = worst_difference(eager_run(answer), voice, features, features)
    clips: Values = features
    module: nn.Module = answer
    if takes == "frames":
        clips = random_frames(_CLIPS_CHECKED, frames=frames, size=encoder.pixel_format.size)
        module, features = FrameAnswer(encoder, answer), features_of(encoder, clips)
    content = form.content(program_of(module, torch.from_numpy(clips[:CLIPS_WATCHED])), note)
    worst = max(worst, worst_difference(form.run(content), voice, clips, features))
    note["checked"] = {"clips": len(clips), "largest_difference": worst}
    beside = _beside(path)
    _write_both(path, content, beside, note)
    return Export(path, beside, len(content), tuple(note["labels"]), worst)


def _form(path: Path) -> _Form:
    """Return how the file is made that a name asks for.

    Raises:
        ConfigError: it asks for none that is known.
    """
    if path.suffix.lower() not in _FORMS:
        raise ConfigError(f"{path}: the export's name must end in {' or '.join(_FORMS)}")
    return _FORMS[path.suffix.lower()]


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
