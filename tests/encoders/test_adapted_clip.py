"""AIM's adapters on a CLIP ViT against a slow loop in plain torch. The authors' outputs: `goldens/test_goldens.py`."""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.functional import gelu, layer_norm

from clip_states import FRAMES, WIDTH, clip_pixels, clip_state
from essential.encoders import EncoderConfig, build_encoder
from essential.encoders.base import Encoder
from essential.encoders.clip_layout import describe_clip, split_clip
from essential.errors import CheckpointError, ConfigError

State = dict[str, Tensor]


def _build(state: State, folder: Path, **changes: Any) -> Encoder:
    path = folder / "clip_temporal.safetensors"
    save_file(state, path)
    config = describe_clip(state, weights=path, temporal_embedding="temporal_embedding" in state)
    return build_encoder(EncoderConfig.model_validate(config.model_dump() | changes))


class Reference:
    """The published computation, one token and one frame at a time, from the authors' names."""

    def __init__(self, state: State, heads: int) -> None:
        self.state = state
        self.heads = heads

    def norm(self, name: str, x: Tensor) -> Tensor:
        return layer_norm(x, (WIDTH,), self.state[f"{name}.weight"], self.state[f"{name}.bias"], 1e-5)

    def linear(self, name: str, x: Tensor) -> Tensor:
        return x @ self.state[f"{name}.weight"].T + self.state[f"{name}.bias"]

    def adapter(self, name: str, x: Tensor) -> Tensor:
        return self.linear(f"{name}.D_fc2", gelu(self.linear(f"{name}.D_fc1", x)))

    def attention(self, block: str, sequence: Tensor) -> Tensor:
        module = nn.MultiheadAttention(WIDTH, self.heads, batch_first=True)
        prefix = f"{block}.attn."
        module.load_state_dict({k[len(prefix) :]: v for k, v in self.state.items() if k.startswith(prefix)})
        return module(sequence[None], sequence[None], sequence[None], need_weights=False)[0][0]

    def mlp(self, block: str, x: Tensor) -> Tensor:
        hidden = self.linear(f"{block}.mlp.c_fc", x)
        return self.linear(f"{block}.mlp.c_proj", hidden * torch.sigmoid(1.702 * hidden))

    def tokens(self, frame: Tensor, place_in_time: int) -> Tensor:
        kernel = self.state["conv1.weight"]
        patch = kernel.shape[-1]
        rows = [self.state["class_embedding"]]
        for top in range(0, frame.shape[1], patch):
            for left in range(0, frame.shape[2], patch):
                piece = frame[:, top : top + patch, left : left + patch]
                rows.append(kernel.flatten(1) @ piece.flatten())
        tokens = torch.stack(rows) + self.state["positional_embedding"]
        if "temporal_embedding" in self.state:
            tokens = tokens + self.state["temporal_embedding"][0, place_in_time]
        return self.norm("ln_pre", tokens)

    def block(self, block: str, clip: Tensor) -> Tensor:
        """Take and give (frames, places, dim)."""
        adapted = f"{block}.T_Adapter.D_fc1.weight" in self.state
        if adapted:
            added = torch.empty_like(clip)
            for place in range(clip.shape[1]):
                sequence = self.norm(f"{block}.ln_1", clip[:, place])
                if f"{block}.T_Adapter_in.D_fc1.weight" in self.state:
                    sequence = sequence + self.adapter(f"{block}.T_Adapter_in", sequence)
                added[:, place] = self.adapter(f"{block}.T_Adapter", self.attention(block, sequence))
            clip = clip + added
        frames = []
        for frame in clip:
            attended = self.attention(block, self.norm(f"{block}.ln_1", frame))
            x = frame + attended + (self.adapter(f"{block}.S_Adapter", attended) if adapted else 0)
            normed = self.norm(f"{block}.ln_2", x)
            x = x + self.mlp(block, normed) + (0.5 * self.adapter(f"{block}.MLP_Adapter", normed) if adapted else 0)
            frames.append(x)
        return torch.stack(frames)

    @torch.no_grad()
    def __call__(self, clips: Tensor, depth: int) -> Tensor:
        features = []
        for clip in clips:
            tokens = torch.stack([self.tokens(frame, place) for place, frame in enumerate(clip)])
            for layer in range(depth):
                tokens = self.block(f"transformer.resblocks.{layer}", tokens)
            features.append(self.norm("ln_post", tokens[:, 0]))
        return torch.stack(features)


@pytest.mark.numeric
@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize(
    ("temporal_adapters", "layers", "frames"),
    [(0, (), None), (0, (), FRAMES), (1, (0, 1), FRAMES), (2, (0, 1), FRAMES), (2, (1,), FRAMES), (1, (0,), None)],
)
def test_it_computes_what_was_published(
    temporal_adapters: int, layers: tuple[int, ...], frames: int | None, tmp_path: Path
) -> None:
    state = clip_state(temporal_adapters=temporal_adapters, layers=layers, frames=frames)
    encoder = _build(state, tmp_path)
    assert encoder.dim == WIDTH
    clips = clip_pixels(2)
    expected = Reference(state, heads=2)(clips, depth=2)
    torch.testing.assert_close(encoder(clips), expected, atol=2e-5, rtol=0)
    # Not a test of a constant.
    assert expected.std(dim=(0, 1)).mean() > 0.1


@pytest.mark.parametrize("part", ["T_Adapter_in", "T_Adapter", "S_Adapter", "MLP_Adapter", "temporal_embedding"])
def test_every_part_moves_the_features(part: str, tmp_path: Path) -> None:
    state = clip_state(temporal_adapters=2, layers=(0, 1), frames=FRAMES)
    changed = {key: value * (1.5 if part in key.split(".") else 1) for key, value in state.items()}
    before, after = _build(state, tmp_path), _build(changed, tmp_path)
    assert (before(clip_pixels(1)) - after(clip_pixels(1))).abs().max() > 1e-3
    assert before.fingerprint != after.fingerprint


def test_clips_of_another_number_of_frames_are_refused_where_frames_have_places(tmp_path: Path) -> None:
    encoder = _build(clip_state(temporal_adapters=1, layers=(0, 1), frames=FRAMES), tmp_path)
    with pytest.raises(ConfigError, match=r"temporal embedding of 3 frames and cannot take clips of 4; set video\.fra"):
        encoder(clip_pixels(1, frames=4))
    with pytest.raises(ConfigError, match=r"cannot take clips of 8; set video\.frames=3"):
        encoder.check_frames(8)
    free = _build(clip_state(temporal_adapters=1, layers=(0, 1)), tmp_path)
    assert free(clip_pixels(1, frames=4)).shape == (1, 4, WIDTH)


def test_the_config_says_everything_and_survives_json(tmp_path: Path) -> None:
    state = clip_state(depth=3, temporal_adapters=2, layers=(0, 2), frames=FRAMES)
    path = tmp_path / "encoder.safetensors"
    save_file(state, path)
    config = describe_clip(state, weights=path, temporal_embedding=True)
    sizes = {"embed_dim": WIDTH, "depth": 3, "num_heads": 2, "patch_size": 8, "img_size": 16}
    assert (config.arguments, config.temporal_adapters, config.adapter_layers) == (sizes, 2, (0, 2))
    again = EncoderConfig.model_validate(json.loads(config.model_dump_json()))
    assert again == config
    assert build_encoder(again).fingerprint == build_encoder(config).fingerprint


def test_a_whole_checkpoint_loads_and_its_other_parts_are_known(tmp_path: Path) -> None:
    state = clip_state(temporal_adapters=2, layers=(0, 1), frames=FRAMES)
    others = {"head.weight": torch.zeros(2, 2), "decoder_cls": torch.zeros(2), "mr_module.0.prompt": torch.zeros(2)}
    tower, rest = split_clip(state | others)
    assert tower.keys() == state.keys()
    assert rest.keys() == others.keys()
    path = tmp_path / "clip_temporal.pth"
    prefixed = {f"module.{key}": value for key, value in (state | others).items()}
    torch.save({"model": prefixed, "args": argparse.Namespace(lr=1.0), "epoch": 3}, path)
    encoder = build_encoder(describe_clip(state, weights=path, temporal_embedding=True))
    assert encoder.fingerprint == _build(state, tmp_path).fingerprint


def test_a_tower_without_adapters_may_leave_its_temporal_embedding_unused(tmp_path: Path) -> None:
    state = clip_state(frames=FRAMES)
    unused = _build(state, tmp_path, temporal_embedding=False)
    lacking = _without("temporal_embedding")(state)
    assert unused.fingerprint == _build(lacking, tmp_path, temporal_embedding=False).fingerprint
    assert unused.fingerprint != _build(state, tmp_path).fingerprint


def _without(part: str) -> Callable[[State], State]:
    return lambda state: {key: value for key, value in state.items() if part not in key}


def _misshapen(state: State) -> State:
    key = "transformer.resblocks.0.S_Adapter.D_fc1.bias"
    return state | {key: torch.zeros(7)}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_without("T_Adapter_in"), r"missing: transformer\.resblocks\.0\.T_Adapter_in\.D_fc1\.weight, .*\.\.\."),
        (_without("resblocks.1.S_Adapter.D_fc2.bias"), r"1 missing: transformer\.resblocks\.1\.S_Adapter\.D_fc2\.bias"),
        (_without("_Adapter"), r"holds no temporal adapters \(T_Adapter\)"),
        (_without("temporal_embedding"), r"holds no temporal_embedding; set encoder\.temporal_embedding=false"),
        (lambda s: s | {"temporal_embedding": torch.zeros(1, 3, 64)}, r"temporal_embedding is 1x3x64, not 1 x frames"),
        (lambda s: s | {"text.extra": torch.zeros(1)}, r"1 not known: text\.extra"),
        (_misshapen, r"1 of another shape: .*S_Adapter\.D_fc1\.bias 7 instead of 12"),
    ],
)
def test_a_misfit_is_refused(change: Callable[[State], State], message: str, tmp_path: Path) -> None:
    state = clip_state(temporal_adapters=2, layers=(0, 1), frames=FRAMES)
    path = tmp_path / "weights.safetensors"
    config = describe_clip(state, weights=path, temporal_embedding=True)
    save_file(change(state), path)
    with pytest.raises(CheckpointError, match=message):
        build_encoder(config)


def test_more_adapters_than_asked_for_are_refused(tmp_path: Path) -> None:
    state = clip_state(temporal_adapters=2, layers=(0, 1), frames=FRAMES)
    with pytest.raises(CheckpointError, match=r"not known: transformer\.resblocks\.0\.T_Adapter_in\.D_fc1"):
        _build(state, tmp_path, temporal_adapters=1)
    with pytest.raises(CheckpointError, match=r"16 not known: transformer\.resblocks\.1\.MLP_Adapter"):
        _build(state, tmp_path, adapter_layers=(0,))
    with pytest.raises(ConfigError, match=r"encoder\.adapter_layers=\[0, 2\]: .* no block 2, only 0 to 1"):
        _build(state, tmp_path, adapter_layers=(0, 2))


@pytest.mark.parametrize("name", ["test_resnet", "test_vit"])
def test_adapters_are_for_a_clip_vit(name: str, tmp_path: Path) -> None:
    config = EncoderConfig(name=name, weights=tmp_path / "any.pth", temporal_adapters=1)
    with pytest.raises(ConfigError, match=rf"temporal_adapters=1: .*'{name}' is none; use clip-vit-b16"):
        build_encoder(config)


def test_weights_of_something_else_have_no_description(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"not a CLIP ViT's.*'conv1\.weight'"):
        describe_clip({"stem.weight": torch.zeros(1)}, weights=tmp_path, temporal_embedding=False)
