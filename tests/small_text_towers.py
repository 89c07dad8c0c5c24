"""Small checkpoints of CLIP and SigLIP with both towers, and tokenizers, in the format of the published ones."""

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import CLIPConfig, CLIPModel, SiglipConfig, SiglipModel

from essential.encoders import EncoderConfig

LENGTH, DIM, WIDTH = 14, 32, 20
WORDS = ("a", "video", "of", "person", "waving", "jumps", "left", "right", "up", "down", "2", "grow")
CLIP_TOKENS = ("<|startoftext|>", "<|endoftext|>", *WORDS, "odd")
SIGLIP_TOKENS = ("<pad>", "</s>", "odd", *WORDS)
_VISION = {"hidden_size": DIM, "intermediate_size": 48, "num_hidden_layers": 1, "num_attention_heads": 2}
_VISION |= {"image_size": 32, "patch_size": 16}
_TEXT = {"intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 2, "hidden_size": 128}
_TEXT |= {"max_position_embeddings": LENGTH}


def clip_model() -> CLIPModel:
    """Return a CLIP of random numbers whose image tower gives features of `DIM` numbers."""
    tokens = {"vocab_size": len(CLIP_TOKENS), "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1}
    text = {**_TEXT, **tokens, "projection_dim": WIDTH}
    return _random(CLIPModel(CLIPConfig(text_config=text, vision_config=_VISION, projection_dim=WIDTH)))


def siglip_model() -> SiglipModel:
    """Return a SigLIP of random numbers whose image tower gives features of `DIM` numbers."""
    tokens = {"vocab_size": len(SIGLIP_TOKENS), "bos_token_id": 1, "eos_token_id": 1, "pad_token_id": 1}
    return _random(
        SiglipModel(SiglipConfig(text_config={**_TEXT, **tokens, "projection_size": DIM}, vision_config=_VISION))
    )


def write_tower(folder: Path, name: str = "clip-vit-b16") -> EncoderConfig:
    """Write weights and tokenizer of one of the two, and return the config of a small encoder with them."""
    clip = name == "clip-vit-b16"
    weights, tokenizer = folder / f"{name}.safetensors", folder / f"{name}.json"
    model = clip_model() if clip else siglip_model()
    save_file({key: value.contiguous() for key, value in model.state_dict().items()}, weights)
    write_tokenizer(tokenizer, CLIP_TOKENS if clip else SIGLIP_TOKENS)
    small: dict[str, Any] = {"arguments": {"embed_dim": DIM, "depth": 1, "num_heads": 2}, "size": 32}
    return EncoderConfig(name=name, weights="random", text_weights=weights, tokenizer=tokenizer, **small)


def overrides_of(config: EncoderConfig) -> list[str]:
    """Return what sets the encoder of a run to `config`, as `write_tower` gave it."""
    return [
        *(f"encoder.name={config.name}", "encoder.weights=random", "encoder.size=32"),
        f"encoder.arguments={{embed_dim: {DIM}, depth: 1, num_heads: 2}}",
        *(f"encoder.text_weights={config.text_weights}", f"encoder.tokenizer={config.tokenizer}"),
    ]


def write_tokenizer(path: Path, tokens: tuple[str, ...]) -> None:
    """Write a tokenizer of whole words, other words being `odd`."""
    tokenizer = Tokenizer(models.WordLevel({token: place for place, token in enumerate(tokens)}, unk_token="odd"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.save(str(path))


def _random(model: Any) -> Any:
    generator = torch.Generator().manual_seed(0)
    for parameter in model.parameters():
        parameter.data = 0.3 * torch.randn(parameter.shape, generator=generator)
    return model.eval()
