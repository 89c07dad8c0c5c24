"""Names of a CLIP image tower's weights: OpenAI's, open_clip's and the authors', which add AIM's adapters, and timm's.

OpenAI's and open_clip's files hold the tower with `visual.` in front, beside a text tower.
"""

import math
import re
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from essential.encoders.config import EncoderConfig, Scalar
from essential.encoders.weight_files import State
from essential.errors import CheckpointError

# Not of the image tower: the authors' classifier (head, temporal encoder, MR modules), mmaction's head; the projection.
_OTHER_PARTS = ("head.", "decoder_", "mr_module.", "cls_head.")
_PROJECTION = "proj"
# The text tower, and OpenAI's three numbers.
_TEXT = (
    *("transformer.", "token_embedding.", "positional_embedding", "ln_final.", "text_projection", "text."),
    *("logit_scale", "logit_bias", "input_resolution", "context_length", "vocab_size"),
)
_VISUAL = "visual."
BLOCK = re.compile(r"transformer\.resblocks\.(\d{1,4})\.(.+)")


def of_both(names: Mapping[str, str]) -> dict[str, str]:
    """Return the names of the weight and the bias of modules."""
    return {f"{theirs}.{part}": f"{ours}.{part}" for theirs, ours in names.items() for part in ("weight", "bias")}


# Theirs, and what timm, or `AdaptedBlock`, calls them: outside the blocks, and inside each.
_OUTSIDE = {
    **{"class_embedding": "cls_token", "positional_embedding": "pos_embed", "conv1.weight": "patch_embed.proj.weight"},
    **{"temporal_embedding": "temporal_embedding", **of_both({"ln_pre": "norm_pre", "ln_post": "norm"})},
}
_ADAPTERS = {"T_Adapter_in": "before_time", "T_Adapter": "after_time", "S_Adapter": "space", "MLP_Adapter": "joint"}
_INSIDE = {
    **{"attn.in_proj_weight": "attn.qkv.weight", "attn.in_proj_bias": "attn.qkv.bias"},
    **of_both({"attn.out_proj": "attn.proj", "ln_1": "norm1", "ln_2": "norm2"}),
    **of_both({"mlp.c_fc": "mlp.fc1", "mlp.c_proj": "mlp.fc2"}),
    **of_both({f"{theirs}.D_fc1": f"{ours}.down" for theirs, ours in _ADAPTERS.items()}),
    **of_both({f"{theirs}.D_fc2": f"{ours}.up" for theirs, ours in _ADAPTERS.items()}),
}
# CLIP's heads are this wide, whatever the tower's width.
_HEAD_WIDTH = 64
_BASE: dict[str, Scalar] = {
    **{"embed_dim": 768, "depth": 12, "num_heads": 12},
    **{"mlp_ratio": 4.0, "patch_size": 16, "img_size": 224},
}


def is_clip_layout(state: State) -> bool:
    """Whether the names are CLIP's own, as they are or behind `visual.`."""
    return "class_embedding" in state or f"{_VISUAL}class_embedding" in state


def split_clip(state: State) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return the image tower, with its adapters, of a checkpoint in CLIP's layout, and everything else in it."""
    tower = {key: value for key, value in state.items() if _ours(key) is not None}
    return tower, {key: value for key, value in state.items() if key not in tower}


def to_timm_names(state: State) -> dict[str, Tensor]:
    """Return the image tower of a state in CLIP's layout under timm's names; unknown names stay, to be refused."""
    if f"{_VISUAL}class_embedding" in state:
        state = {k.removeprefix(_VISUAL): v for k, v in state.items() if not k.startswith(_TEXT)}
    kept = {key: value for key, value in state.items() if key != _PROJECTION and not key.startswith(_OTHER_PARTS)}
    named = {_ours(key) or key: value for key, value in kept.items()}
    for key in ("cls_token", "pos_embed"):
        while key in named and named[key].ndim < 3:
            named[key] = named[key].unsqueeze(0)
    return named


def to_clip_name(key: str) -> str:
    """Return the name in CLIP's layout of a tensor that has timm's, for messages."""
    inside, outside = ({ours: theirs for theirs, ours in names.items()} for names in (_INSIDE, _OUTSIDE))
    return _renamed(re.fullmatch(r"blocks\.(\d+)\.(.+)", key), inside, "transformer.resblocks") or outside.get(key, key)


def describe_clip(state: State, *, weights: Path, temporal_embedding: bool) -> EncoderConfig:
    """Return the config that rebuilds the image tower of an authors' checkpoint: sizes and adapters from its shapes.

    Args:
        weights: where the tower is, or will be, on disk; it is not read here.
        temporal_embedding: whether the tower adds its temporal embedding (`--use_clip_temporal`); the names do not say.

    Raises:
        CheckpointError: a tensor that gives a size is missing, or is no tower's.
    """
    layers = sorted({int(found[1]) for key in state if (found := BLOCK.match(key)) and "_Adapter" in found[2]})
    before = any(".T_Adapter_in." in key for key in state)
    sizes = _sizes(state)
    return EncoderConfig(
        name="clip-vit-b16",
        weights=weights,
        arguments={name: value for name, value in sizes.items() if value != _BASE[name]},
        temporal_adapters=0 if not layers else 2 if before else 1,
        adapter_layers=None if len(layers) in (0, sizes["depth"]) else tuple(layers),
        temporal_embedding=temporal_embedding,
    )


def _sizes(state: State) -> dict[str, Scalar]:
    blocks = {found[1] for key in state if (found := BLOCK.match(key))}
    try:
        width, _, patch, _ = state["conv1.weight"].shape
        places = state["positional_embedding"].shape[-2] - 1
        hidden = state["transformer.resblocks.0.mlp.c_fc.weight"].shape[0]
        return {
            "embed_dim": width,
            "depth": len(blocks),
            "num_heads": max(1, width // _HEAD_WIDTH),
            "mlp_ratio": hidden / width,
            "patch_size": patch,
            "img_size": patch * math.isqrt(places),
        }
    except KeyError as error:
        raise CheckpointError(f"the weights are not a CLIP ViT's in the authors' layout: {error} is missing") from error
    except (IndexError, ValueError, ZeroDivisionError) as error:
        raise CheckpointError(
            "the weights are not a CLIP ViT's in the authors' layout: conv1.weight, positional_embedding or "
            "transformer.resblocks.0.mlp.c_fc.weight has a shape that no such network has"
        ) from error


def _ours(key: str) -> str | None:
    return _renamed(BLOCK.fullmatch(key), _INSIDE, "blocks") or _OUTSIDE.get(key)


def _renamed(found: re.Match[str] | None, names: Mapping[str, str], blocks: str) -> str | None:
    return f"{blocks}.{found[1]}.{names[found[2]]}" if found and found[2] in names else None
