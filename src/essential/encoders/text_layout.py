"""Names of a text tower's weights: those of transformers, and of OpenAI's and open_clip's CLIP, turned into them."""

from collections.abc import Iterator

from torch import Tensor

from essential.encoders.clip_layout import BLOCK, of_both
from essential.encoders.weight_files import State

PROJECTION, SCALE = "visual_projection.weight", "logit_scale"
# In a file that holds both towers, what is not of the text's; positions are counted, not stored, by newer versions.
LEFTOVERS = ("vision_model.", "visual.", "logit_bias", "input_resolution", "context_length", "vocab_size", "attn_mask")
_COUNTED = ".position_ids"
_OUTSIDE = {
    "token_embedding.weight": "embeddings.token_embedding.weight",
    "positional_embedding": "embeddings.position_embedding.weight",
    **of_both({"ln_final": "final_layer_norm"}),
}
_INSIDE = of_both(
    {"ln_1": "layer_norm1", "ln_2": "layer_norm2", "attn.out_proj": "self_attn.out_proj"}
    | {"mlp.c_fc": "mlp.fc1", "mlp.c_proj": "mlp.fc2"}
)


def to_text_names(state: State) -> dict[str, Tensor]:
    """Return the tensors under the names of transformers' models of both towers; unknown names stay, to be refused."""
    if "token_embedding.weight" not in state:
        return {key: value for key, value in state.items() if not key.endswith(_COUNTED)}
    return dict(part for key, value in state.items() for part in _renamed(key, value))


def _renamed(key: str, value: Tensor) -> Iterator[tuple[str, Tensor]]:
    block = BLOCK.fullmatch(key)
    if block is None:
        if key in ("text_projection", "visual.proj"):
            name = PROJECTION if key == "visual.proj" else "text_projection.weight"
            yield name, value.T.contiguous()
        else:
            yield (f"text_model.{_OUTSIDE[key]}" if key in _OUTSIDE else key), value
        return
    layer = f"text_model.encoder.layers.{block[1]}"
    if block[2] in ("attn.in_proj_weight", "attn.in_proj_bias"):
        for name, part in zip("qkv", value.chunk(3), strict=True):
            yield f"{layer}.self_attn.{name}_proj.{block[2].rpartition('_')[2]}", part
    else:
        yield (f"{layer}.{_INSIDE[block[2]]}" if block[2] in _INSIDE else key), value
