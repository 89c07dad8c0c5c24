"""Weight files of other people: what goes in, what is refused, and that nothing in them is ever run."""

import argparse
import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import Tensor

from clip_states import SIZE, WIDTH, clip_pixels, clip_state
from essential.encoders import EncoderConfig, build_encoder
from essential.encoders.clip_layout import describe_clip
from essential.encoders.weight_files import read_weights
from essential.errors import CheckpointError

State = dict[str, Tensor]
SMALL_CLIP = {"embed_dim": WIDTH, "depth": 2, "num_heads": 2, "patch_size": 8, "img_size": SIZE}
STATE = {"a.weight": torch.ones(2, 3), "a.bias": torch.zeros(2)}


class Runs:
    """A pickle of it asks for `os.mkdir`."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.marker),)


def _built(path: Path) -> Tensor:
    return build_encoder(EncoderConfig(name="clip-vit-b16", weights=path, arguments=SMALL_CLIP))(clip_pixels(1))


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".bin"])
@pytest.mark.parametrize(
    "wrapped", [lambda s: s, lambda s: {"model": s, "args": argparse.Namespace(lr=0.1), "epoch": 3}]
)
def test_pickles_of_plain_data_are_read(suffix: str, wrapped: Any, tmp_path: Path) -> None:
    path = tmp_path / f"weights{suffix}"
    torch.save(wrapped(STATE), path)
    assert read_weights(path).keys() == STATE.keys()


@pytest.mark.parametrize(
    "content",
    [
        {"state_dict": {f"module.{key}": value for key, value in STATE.items()}},
        {"state_dict": {"model": STATE}},
        {f"backbone.{key}": value for key, value in STATE.items()},
        {f"module.backbone.{key}": value for key, value in STATE.items()},
    ],
)
def test_wrappings_come_off(content: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    torch.save(content, path)
    assert read_weights(path).keys() == STATE.keys()


def test_a_prefix_stays_where_it_tells_two_tensors_apart(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    torch.save(STATE | {"module.a.bias": torch.ones(2)}, path)
    assert read_weights(path).keys() == {*STATE, "module.a.bias"}


def test_a_pickle_that_wants_something_run_is_refused_by_name_and_does_not_run_it(tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    for name, content in {"new": {"model": Runs(marker)}, "bare": Runs(marker)}.items():
        path = tmp_path / f"{name}.pth"
        torch.save(content, path)
        with pytest.raises(CheckpointError, match=r"\.pth is refused: it asks for posix\.mkdir"):
            read_weights(path)
    path = tmp_path / "old.pth"
    path.write_bytes(pickle.dumps(Runs(marker)))
    with pytest.raises(CheckpointError, match=r"old\.pth"):
        read_weights(path)
    assert not marker.exists()


def test_a_harmless_class_is_refused_too(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    torch.save({"model": STATE, "where": zipfile.ZipInfo()}, path)
    with pytest.raises(CheckpointError, match=r"it asks for zipfile\.ZipInfo, and only tensors, plain data"):
        read_weights(path)


def test_a_torchscript_program_is_told_how_to_convert(tmp_path: Path) -> None:
    path = tmp_path / "ViT-B-16.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("ViT-B-16/data.pkl", b"\x80\x02}.")
        archive.writestr("ViT-B-16/constants.pkl", b"\x80\x02).")
    with pytest.raises(CheckpointError, match=r"ViT-B-16\.pt is a TorchScript program.*torch\.jit\.load.*state_dict"):
        read_weights(path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("none.pth", None, r"there is no weight file .*none\.pth"),
        ("weights.npz", b"x", r"ends in '\.npz'; a weight file ends in \.safetensors, \.pth"),
        ("cut.safetensors", b"\x10\x00\x00", "is damaged and cannot be read"),
        ("empty.pth", b"", "is damaged and cannot be read"),
        ("noise.pth", b"not a pickle at all", r"noise\.pth is (damaged|refused)"),
    ],
)
def test_broken_files_are_named(name: str, content: bytes | None, message: str, tmp_path: Path) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CheckpointError, match=message):
        read_weights(path)


@pytest.mark.parametrize("size", [20, 200, 600, -30])
def test_a_truncated_file_is_refused(size: int, tmp_path: Path) -> None:
    for path in (tmp_path / "w.pth", tmp_path / "w.safetensors"):
        save_file(STATE, path) if path.suffix == ".safetensors" else torch.save(STATE, path)
        path.write_bytes(path.read_bytes()[: min(size, path.stat().st_size - 30)])
        with pytest.raises(CheckpointError, match=path.name):
            read_weights(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (torch.ones(2), "holds Tensor, not named tensors"),
        ({}, "holds dict, not named tensors"),
        ({"model": [1, 2]}, "'model' is a list, not a tensor"),
        ({1: torch.ones(2)}, "1 is a Tensor, not a tensor|1 is not a name"),
        ({"weights": STATE}, "'weights' is a dict, not a tensor; .*state_dict, model, module"),
    ],
)
def test_what_is_no_state_is_refused(content: Any, message: str, tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    torch.save(content, path)
    with pytest.raises(CheckpointError, match=message):
        read_weights(path)


def test_a_file_that_holds_itself_is_refused(tmp_path: Path) -> None:
    content: dict[str, Any] = {}
    content["model"] = content
    torch.save(content, tmp_path / "weights.pth")
    with pytest.raises(CheckpointError, match="'model' is a dict, not a tensor"):
        read_weights(tmp_path / "weights.pth")


def test_weights_of_another_type_are_refused(tmp_path: Path) -> None:
    state = {name: value.to(torch.int8) if name == "ln_post.weight" else value for name, value in clip_state().items()}
    save_file(state, tmp_path / "w.safetensors")
    with pytest.raises(CheckpointError, match=r"1 of another type: ln_post\.weight torch\.int8"):
        build_encoder(describe_clip(state, weights=tmp_path / "w.safetensors", temporal_embedding=False))


@pytest.mark.parametrize("text_tower", [True, False])
def test_openais_layout_is_read_and_its_text_tower_left(text_tower: bool, tmp_path: Path) -> None:
    tower = clip_state()
    plain, openai = tmp_path / "plain.safetensors", tmp_path / "openai.pt"
    save_file(tower, plain)
    state = {f"visual.{key}": value.half() for key, value in tower.items()} | {"visual.proj": torch.ones(WIDTH, 4)}
    if text_tower:
        state |= {
            **{"positional_embedding": torch.ones(7, 8), "text_projection": torch.ones(8, 4)},
            **{"token_embedding.weight": torch.ones(9, 8), "logit_scale": torch.tensor(4.6)},
            **{"transformer.resblocks.0.ln_1.weight": torch.ones(8), "ln_final.weight": torch.ones(8)},
            **{"input_resolution": torch.tensor(16), "context_length": torch.tensor(7), "vocab_size": torch.tensor(9)},
        }
    torch.save(state, openai)
    # Half precision in the file, as OpenAI's; float32 here.
    torch.testing.assert_close(_built(openai), _built(plain), atol=0.05, rtol=0)
    torch.save(state | {"visual.extra": torch.ones(1)}, openai)
    with pytest.raises(CheckpointError, match=r"1 not known: extra"):
        _built(openai)


def test_timms_and_clips_names_mean_the_same(tmp_path: Path) -> None:
    """Against timm's own reading of OpenAI's layout."""
    from timm.models.vision_transformer import checkpoint_filter_fn

    state = clip_state()
    theirs, ours = tmp_path / "clip.safetensors", tmp_path / "timm.safetensors"
    save_file(state, theirs)
    network = timm.create_model("vit_base_patch16_clip_quickgelu_224.openai", num_classes=0, **SMALL_CLIP)
    renamed = checkpoint_filter_fn({f"visual.{key}": value for key, value in state.items()}, network)
    save_file({key: value.contiguous() for key, value in renamed.items()}, ours)
    assert torch.equal(_built(theirs), _built(ours))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: {k: v for k, v in s.items() if k != "norm.bias"}, r"\(1 missing: norm\.bias\)"),
        (lambda s: s | {"extra": torch.ones(1)}, r"\(1 not known: extra\)"),
        (lambda s: s | {"norm.bias": torch.ones(3)}, r"\(1 of another shape: norm\.bias 3 instead of \d+\)"),
        (
            lambda _: {f"x{i}": torch.ones(1) for i in range(5)},
            r"\d+ missing: .*, \.\.\.; 5 not known: x0, x1, x2, \.\.\.",
        ),
    ],
)
def test_weights_that_do_not_fit_are_refused_with_the_keys(change: Any, message: str, tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    state = timm.create_model("test_vit", num_classes=7).state_dict()
    save_file(change(state), path)
    with pytest.raises(CheckpointError, match=message) as caught:
        build_encoder(EncoderConfig(name="test_vit", weights=path))
    assert "weights.safetensors: it does not fit the encoder 'test_vit'" in str(caught.value)
    assert "weights of another architecture" in str(caught.value)


def test_weights_of_another_model_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "resnet.safetensors"
    save_file(timm.create_model("test_resnet").state_dict(), path)
    with pytest.raises(CheckpointError, match="does not fit the encoder 'test_vit'"):
        build_encoder(EncoderConfig(name="test_vit", weights=path))
