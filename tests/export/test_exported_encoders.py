"""Encoders of frames inside an export, fed with bytes.

`tiny` is in `test_export.py`, encoders of clips in `end_to_end/test_video_networks_end_to_end.py`, in both forms.
"""

from pathlib import Path

import numpy as np
import pytest
import torch
from labelled_predictors import FRAMES, labelled_predictor_of
from safetensors.torch import save_file

from clip_states import clip_state
from essential.encoders import EncoderConfig, build_encoder
from essential.encoders.base import Encoder
from essential.encoders.clip_layout import describe_clip
from essential.export.answer import FeatureAnswer, FrameAnswer
from essential.export.bundle_export import describe, features_of, random_frames, worst_difference
from essential.export.forms import CLIPS_TRACED, onnx_bytes, onnx_run, program_of, pt2_bytes, pt2_run


def _adapted_clip(folder: Path) -> Encoder:
    path = folder / "clip_temporal.safetensors"
    state = clip_state(depth=1, temporal_adapters=2, layers=(0,), frames=FRAMES)
    save_file(state, path)
    return build_encoder(describe_clip(state, weights=path, temporal_embedding=True))


def _encoder(kind: str, folder: Path) -> Encoder:
    if kind == "adapted-clip":
        return _adapted_clip(folder)
    return build_encoder(EncoderConfig(name="test_vit", weights="random", size=32))


@pytest.mark.parametrize("kind", ["adapted-clip", "timm"])
def test_it_is_exported_with_the_numbers_it_has(kind: str, tmp_path: Path) -> None:
    encoder = _encoder(kind, tmp_path)
    labelled = labelled_predictor_of("ncm", dim=encoder.dim)
    frames = random_frames(6, frames=encoder.frames_read(FRAMES), size=encoder.pixel_format.size)
    features = features_of(encoder, frames, frames=FRAMES)
    assert np.ptp(labelled.answers(features).probabilities, axis=0).max() > 0.01
    note = describe(labelled, encoder, frames=FRAMES, takes="frames")
    assert note["input"]["shape"][1] == note["preparation"]["frames"] == frames.shape[1]
    program = program_of(
        FrameAnswer(encoder, FeatureAnswer(labelled), frames=FRAMES), torch.from_numpy(frames[:CLIPS_TRACED])
    )
    assert worst_difference(pt2_run(pt2_bytes(program, note)), labelled, frames, features) < 1e-4
    if kind != "timm":  # the blocks of adapted CLIP are timm's, and more
        assert worst_difference(onnx_run(onnx_bytes(program, note)), labelled, frames, features) < 1e-4
