"""The text towers against the library's own models of both towers, their tokens, their files, and what is refused."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn.functional import normalize

from essential.encoders import EncoderConfig, build_text_tower, text_tower_is_here
from essential.errors import CheckpointError, ConfigError, NoNetworkError
from small_text_towers import (
    CLIP_TOKENS,
    DIM,
    LENGTH,
    SIGLIP_TOKENS,
    WIDTH,
    clip_model,
    siglip_model,
    write_tokenizer,
    write_tower,
)

TOWERS = ("clip-vit-b16", "siglip-vit-b16")
# Longest first and last, so that padding differs; the same words are written in other ways.
TEXTS = ("A video of  a person WAVING", "jumps", "2\tup", "a person jumps left right up down")


def _features(model: Any, tokens: list[list[int]], **more: Tensor) -> Tensor:
    """Return what the library gives, which is a tensor or holds it, by its version."""
    with torch.no_grad():
        found = model.get_text_features(input_ids=torch.tensor(tokens), **more)
    return normalize(getattr(found, "pooler_output", found), dim=1)


def test_clip_gives_the_vectors_of_the_librarys_own_model(tmp_path: Path) -> None:
    tower = build_text_tower(write_tower(tmp_path))
    tokens = [[0, *(CLIP_TOKENS.index(word) for word in text.lower().split()), 1] for text in TEXTS]
    # Filled up to the tower's whole length here, and what is filled is masked.
    filled = [one + [1] * (LENGTH - len(one)) for one in tokens]
    mask = torch.tensor([[1] * len(one) + [0] * (LENGTH - len(one)) for one in tokens])
    torch.testing.assert_close(
        tower.vectors(TEXTS), _features(clip_model(), filled, attention_mask=mask), atol=1e-5, rtol=0
    )
    assert tower.projection is not None
    torch.testing.assert_close(tower.projection, clip_model().visual_projection.weight.detach())
    assert tower.scale == pytest.approx(float(clip_model().logit_scale.detach().exp()), rel=1e-6)


def test_siglip_gives_the_vectors_of_the_librarys_own_model(tmp_path: Path) -> None:
    tower = build_text_tower(write_tower(tmp_path, "siglip-vit-b16"))
    tokens = [[*(SIGLIP_TOKENS.index(word) for word in text.lower().split()), 1] for text in TEXTS]
    filled = [one + [1] * (LENGTH - len(one)) for one in tokens]
    punctuated = ("A video, of  a person: WAVING!", *TEXTS[1:])
    torch.testing.assert_close(tower.vectors(punctuated), _features(siglip_model(), filled), atol=1e-5, rtol=0)
    assert tower.projection is None
    assert tower.scale == pytest.approx(float(siglip_model().logit_scale.detach().exp()), rel=1e-6)


def test_vectors_have_length_1_and_do_not_depend_on_their_neighbours(tmp_path: Path) -> None:
    tower = build_text_tower(write_tower(tmp_path))
    together = tower.vectors(TEXTS * 20)
    alone = torch.cat([tower.vectors([text]) for text in TEXTS])
    torch.testing.assert_close(together, alone.repeat(20, 1), atol=1e-5, rtol=0)
    torch.testing.assert_close(together.norm(dim=1), torch.ones(len(together)))


def test_a_file_in_openais_layout_gives_the_same(tmp_path: Path) -> None:
    config = write_tower(tmp_path)
    assert config.text_weights is not None
    theirs = _as_openai(load_file(config.text_weights))
    save_file({key: value.contiguous() for key, value in theirs.items()}, tmp_path / "openai.safetensors")
    own = build_text_tower(config)
    other = build_text_tower(config.model_copy(update={"text_weights": tmp_path / "openai.safetensors"}))
    assert torch.equal(own.vectors(TEXTS), other.vectors(TEXTS))
    assert own.fingerprint == other.fingerprint


def _as_openai(state: dict[str, Tensor]) -> dict[str, Tensor]:
    renamed = {"visual.proj": state["visual_projection.weight"].T, "text_projection": state["text_projection.weight"].T}
    renamed |= {"logit_scale": state["logit_scale"], "visual.conv1.weight": torch.zeros(1)}
    renamed["token_embedding.weight"] = state["text_model.embeddings.token_embedding.weight"]
    renamed["positional_embedding"] = state["text_model.embeddings.position_embedding.weight"]
    for part in ("weight", "bias"):
        renamed[f"ln_final.{part}"] = state[f"text_model.final_layer_norm.{part}"]
        for layer in range(2):
            ours, block = f"text_model.encoder.layers.{layer}", f"transformer.resblocks.{layer}"
            parts = [state[f"{ours}.self_attn.{name}_proj.{part}"] for name in "qkv"]
            renamed[f"{block}.attn.in_proj_{part}"] = torch.cat(parts)
            for theirs, own in (
                ("attn.out_proj", "self_attn.out_proj"),
                ("ln_1", "layer_norm1"),
                ("ln_2", "layer_norm2"),
            ):
                renamed[f"{block}.{theirs}.{part}"] = state[f"{ours}.{own}.{part}"]
            for theirs, own in (("mlp.c_fc", "mlp.fc1"), ("mlp.c_proj", "mlp.fc2")):
                renamed[f"{block}.{theirs}.{part}"] = state[f"{ours}.{own}.{part}"]
    return renamed


@pytest.mark.parametrize("name", TOWERS)
def test_the_fingerprint_is_of_weights_and_tokenizer(name: str, tmp_path: Path) -> None:
    config = write_tower(tmp_path, name)
    assert config.text_weights is not None
    assert config.tokenizer is not None
    first = build_text_tower(config).fingerprint
    assert build_text_tower(config).fingerprint == first
    tokens = (CLIP_TOKENS if name == "clip-vit-b16" else SIGLIP_TOKENS)[:-1]
    write_tokenizer(config.tokenizer, (*tokens[:2], "odd", *(token for token in tokens[2:] if token != "odd")))
    second = build_text_tower(config).fingerprint
    state = load_file(config.text_weights)
    state["logit_scale"] = state["logit_scale"] + 1
    save_file(state, config.text_weights)
    assert len({first, second, build_text_tower(config).fingerprint}) == 3


def test_building_one_draws_no_number_of_the_callers(tmp_path: Path) -> None:
    config = write_tower(tmp_path)
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    build_text_tower(config)
    assert torch.equal(torch.rand(2), expected)


def test_a_text_that_is_too_long_or_empty_is_refused(tmp_path: Path) -> None:
    tower = build_text_tower(write_tower(tmp_path, "siglip-vit-b16"))
    assert tower.vectors(["a " * (LENGTH - 1)]).shape == (1, DIM)
    for text, problem in (("a " * LENGTH, f"has {LENGTH + 1} tokens, more than {LENGTH}"), ("...", "has no words")):
        with pytest.raises(ConfigError, match=problem):
            tower.vectors([text])


def _without(name: str) -> Callable[[dict[str, Tensor]], None]:
    return lambda state: [state.pop(key) for key in [*state] if key.startswith(name)] and None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_without("text_model.embeddings"), r"lacks a text tower .*such as model\.safetensors of openai/clip"),
        (
            _without("visual_projection"),
            "lacks visual_projection.weight of 'clip-vit-b16'; give a file that holds both",
        ),
        (_without("logit_scale"), "lacks logit_scale"),
        (_without("text_model.final_layer_norm"), "2 missing: text_model.final_layer_norm.weight"),
        (lambda state: state.update({"other.weight": torch.zeros(2)}), "1 not known: other.weight"),
        (
            lambda state: state.update({"text_model.encoder.layers.1.mlp.fc1.weight": torch.zeros(7, 128)}),
            r"1 of another shape: text_model.encoder.layers.1.mlp.fc1.weight 7x128 instead of 96x128",
        ),
    ],
)
def test_weights_that_do_not_fit_are_refused(
    change: Callable[[dict[str, Tensor]], None], message: str, tmp_path: Path
) -> None:
    config = write_tower(tmp_path)
    assert config.text_weights is not None
    state = load_file(config.text_weights)
    change(state)
    save_file(state, config.text_weights)
    with pytest.raises(CheckpointError, match=message) as caught:
        build_text_tower(config)
    assert "clip-vit-b16.safetensors" in str(caught.value)


def test_a_tokenizer_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    config = write_tower(tmp_path)
    assert config.tokenizer is not None
    write_tokenizer(config.tokenizer, (*CLIP_TOKENS, "more"))
    with pytest.raises(
        CheckpointError, match=f"has {len(CLIP_TOKENS) + 1} tokens, and the text tower {len(CLIP_TOKENS)}"
    ):
        build_text_tower(config)
    write_tokenizer(config.tokenizer, SIGLIP_TOKENS)
    with pytest.raises(CheckpointError, match=r"has no token <\|startoftext\|>"):
        build_text_tower(config)
    config.tokenizer.write_text("{}")
    with pytest.raises(CheckpointError, match=r"clip-vit-b16\.json: is no tokenizer\.json"):
        build_text_tower(config)
    config.tokenizer.unlink()
    with pytest.raises(CheckpointError, match="there is no tokenizer"):
        build_text_tower(config)


def test_an_encoder_without_a_text_tower_is_refused_with_those_that_have_one() -> None:
    with pytest.raises(
        ConfigError, match=r"'tiny' has no text tower.*\(encoder\.name=clip-vit-b16 or siglip-vit-b16\)"
    ):
        build_text_tower(EncoderConfig(name="tiny"))
    with pytest.raises(ValueError, match="'resnet18' has none; leave them out"):
        EncoderConfig(name="resnet18", text_weights=Path("file"))


def test_without_the_extra_there_is_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("essential.extras.find_spec", lambda name: None if name == "transformers" else name)
    with pytest.raises(ConfigError, match=re.escape("pip install 'essential-video[transformers]'")):
        build_text_tower(EncoderConfig(name="clip-vit-b16"))
    assert not text_tower_is_here(EncoderConfig(name="clip-vit-b16", text_weights=Path("a"), tokenizer=Path("b")))


def test_without_files_and_network_it_says_which_to_fetch(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("essential.encoders.published_weights.try_to_load_from_cache", lambda *_: None)
    monkeypatch.setattr("essential.encoders.published_weights.network_answers", lambda: False)
    config = write_tower(tmp_path)
    assert text_tower_is_here(config)
    alone = config.model_copy(update={"tokenizer": None})
    assert not text_tower_is_here(alone)
    with pytest.raises(NoNetworkError, match=r"fetch tokenizer\.json of openai/clip-vit-base-patch16 elsewhere"):
        build_text_tower(alone)


def test_files_that_were_downloaded_before_are_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    given = write_tower(tmp_path)
    kept = {"model.safetensors": given.text_weights, "tokenizer.json": given.tokenizer}
    monkeypatch.setattr(
        "essential.encoders.published_weights.try_to_load_from_cache",
        lambda repository, name: str(kept[name]) if repository == "openai/clip-vit-base-patch16" else None,
    )
    config = given.model_copy(update={"text_weights": None, "tokenizer": None})
    assert text_tower_is_here(config)
    tower = build_text_tower(config)
    assert tower.fingerprint == build_text_tower(given).fingerprint
    assert tower.vectors(["up"]).shape == (1, WIDTH)
