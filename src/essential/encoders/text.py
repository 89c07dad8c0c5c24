"""Frozen text towers, from texts to vectors that a frame's feature is compared with: those of CLIP and SigLIP.

Radford et al., "Learning Transferable Visual Models From Natural Language Supervision", ICML 2021; Zhai et al.,
"Sigmoid Loss for Language Image Pre-Training", ICCV 2023.

CLIP: lower case, a start and an end token, attention to what came before, the vector of the end token projected. The
image tower's feature here is before its own projection, which is therefore part of the text tower. SigLIP: lower case
without punctuation, an end token, filled up with end tokens to the tower's length, the vector of the last one. Its
features are where the vectors are.

The networks are transformers'; their sizes are those of the weights' shapes, with heads of 64 numbers, as published.
"""

import hashlib
import string
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from tokenizers import Tokenizer
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModelWithProjection, SiglipTextConfig, SiglipTextModel

from essential.encoders.base import digest
from essential.encoders.config import TEXT_TOWERS, EncoderConfig
from essential.encoders.published_weights import TOKENIZER_FILES, WEIGHT_FILES, fetched_file
from essential.encoders.text_layout import LEFTOVERS, PROJECTION, SCALE, to_text_names
from essential.encoders.weight_files import State, fit_weights, read_weights
from essential.errors import CheckpointError, ConfigError
from essential.files.given import plain_file
from essential.seeded import drawing_from
from essential.seeding import seed_from
from essential.shown import quoted

_AT_ONCE = 64
_HEAD_WIDTH = 64
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


class Family(NamedTuple):
    """The text towers of one paper.

    Attributes:
        make: the network of a state and the number of the end token, without numbers.
        prefix: what stands before the tower's names in a file of both towers.
        start: the start token, if there is one.
        end: the end token.
        is_filled: whether texts are filled up to the tower's length; otherwise to that of the longest.
        vectors: of a network and tokens: a vector for each text.
        plain: the text that is cut into tokens.
    """

    make: Callable[[State, int], Any]
    prefix: str
    start: str | None
    end: str
    is_filled: bool
    vectors: Callable[[Any, Tensor], Tensor]
    plain: Callable[[str], str]


def _sizes(state: State, prefix: str) -> dict[str, Any]:
    """Return the sizes that both families have; a KeyError if the state is of neither."""
    tokens, width = state[f"{prefix}embeddings.token_embedding.weight"].shape
    layers = {key.split(".layers.")[1].split(".")[0] for key in state if key.startswith(f"{prefix}encoder.layers.")}
    return {
        "vocab_size": tokens,
        "hidden_size": width,
        "num_hidden_layers": len(layers),
        "num_attention_heads": max(1, width // _HEAD_WIDTH),
        "intermediate_size": len(state[f"{prefix}encoder.layers.0.mlp.fc1.weight"]),
        "max_position_embeddings": len(state[f"{prefix}embeddings.position_embedding.weight"]),
    }


def _make_clip(state: State, end: int) -> CLIPTextModelWithProjection:
    sizes = _sizes(state, "text_model.") | {"projection_dim": len(state["text_projection.weight"])}
    # The network takes the vector of the first token `eos_token_id`.
    settings = CLIPTextConfig(**sizes, hidden_act="quick_gelu", eos_token_id=end, bos_token_id=None)
    return CLIPTextModelWithProjection(settings)


def _make_siglip(state: State, end: int) -> SiglipTextModel:
    sizes = _sizes(state, "") | {"projection_size": len(state["head.weight"])}
    settings = SiglipTextConfig(**sizes, pad_token_id=end, eos_token_id=end, bos_token_id=None)
    return SiglipTextModel(settings)


def _lower(text: str) -> str:
    return " ".join(text.lower().split())


_FAMILIES = {
    "clip-vit-b16": Family(
        make=_make_clip,
        prefix="",
        start="<|startoftext|>",
        end="<|endoftext|>",
        is_filled=False,
        vectors=lambda network, tokens: network(input_ids=tokens).text_embeds,
        plain=_lower,
    ),
    "siglip-vit-b16": Family(
        make=_make_siglip,
        prefix="text_model.",
        start=None,
        end="</s>",
        is_filled=True,
        vectors=lambda network, tokens: network(input_ids=tokens).pooler_output,
        plain=lambda text: _lower(text.translate(_NO_PUNCTUATION)),
    ),
}


@dataclass(frozen=True, eq=False)
class TextTower:
    """A frozen text tower, on the CPU, so that vectors do not depend on the device.

    Attributes:
        name: the encoder's.
        projection: from a frame's feature to where the vectors are; None: features are there.
        scale: of cosines, such that they are logits.
        fingerprint: SHA-256 over weights and tokenizer: equal fingerprints mean equal vectors, but for rounding.
    """

    name: str
    family: Family
    network: Any
    tokenizer: Tokenizer
    projection: Float[Tensor, "width dim"] | None
    scale: float
    fingerprint: str

    @torch.no_grad()
    def vectors(self, texts: Sequence[str]) -> Float[Tensor, "texts width"]:
        """Return a vector of length 1 for each text; a ConfigError if one has no token, or too many."""
        tokens = [self._tokens(text) for text in texts]
        length = self.most_tokens if self.family.is_filled else max(map(len, tokens))
        filled = torch.tensor([one + one[-1:] * (length - len(one)) for one in tokens])
        parts = [self.family.vectors(self.network, some) for some in filled.split(_AT_ONCE)]
        return nn.functional.normalize(torch.cat(parts), dim=1)

    @property
    def most_tokens(self) -> int:
        """The longest text in tokens, start and end among them."""
        return int(self.network.config.max_position_embeddings)

    def _tokens(self, text: str) -> list[int]:
        family = self.family
        own = self.tokenizer.encode(family.plain(text), add_special_tokens=False).ids
        start = [_id(self.tokenizer, family.start)] if family.start else []
        tokens = [*start, *own, _id(self.tokenizer, family.end)]
        if not own or len(tokens) > self.most_tokens:
            problem = "has no words" if not own else f"has {len(tokens)} tokens, more than {self.most_tokens},"
            raise ConfigError(
                f"the text {quoted(text)} {problem} for the text tower of {self.name!r}", remedy="give another text"
            )
        return tokens


def build_tower(config: EncoderConfig) -> TextTower:
    """Return the text tower of an encoder that has one; its weights and tokenizer are downloaded if they are not here.

    Raises:
        NoNetworkError, CheckpointError: a file is not there and cannot be fetched, is damaged, or another network's.
    """
    family, repository = _FAMILIES[config.name], TEXT_TOWERS[config.name]
    path = config.text_weights or fetched_file(repository, WEIGHT_FILES, f"text tower of {config.name!r}")
    tokenizer_path = config.tokenizer or fetched_file(repository, TOKENIZER_FILES, f"tokenizer of {config.name!r}")
    tokenizer = _tokenizer(tokenizer_path, family)
    state = {key.removeprefix(family.prefix): value for key, value in to_text_names(read_weights(path)).items()}
    projection = state.pop(PROJECTION, None)
    scale = state.pop(SCALE, None)
    try:
        with drawing_from(seed_from("text", config.name)):
            network = family.make(state, _id(tokenizer, family.end))
    except (KeyError, IndexError, ValueError, TypeError, RuntimeError) as error:
        raise _not_whole(path, config, f"a text tower ({' '.join(str(error).split())})") from error
    if scale is None or (projection is None and not family.is_filled):
        raise _not_whole(path, config, SCALE if scale is None else PROJECTION)
    fit_weights(network, state, path=path, encoder=f"text tower of {config.name}", leftovers=LEFTOVERS)
    known = len(network.get_input_embeddings().weight)
    if tokenizer.get_vocab_size() > known:
        raise CheckpointError(
            f"has {tokenizer.get_vocab_size()} tokens, and the text tower {known}",
            where=tokenizer_path,
            remedy="give the tokenizer that the weights were trained with",
        )
    tensors = {**network.state_dict(), SCALE: scale} | ({} if projection is None else {PROJECTION: projection})
    tokens = hashlib.sha256(tokenizer_path.read_bytes()).hexdigest()
    return TextTower(
        config.name,
        family,
        network.requires_grad_(False).eval(),
        tokenizer,
        None if projection is None else projection.float(),
        float(scale.double().exp()),
        digest(f"text tower of {config.name}, {tokens}", tensors),
    )


def _tokenizer(path: Path, family: Family) -> Tokenizer:
    if not path.exists():
        raise CheckpointError(f"there is no tokenizer {path}; give its tokenizer.json with -s encoder.tokenizer=FILE")
    try:
        tokenizer = Tokenizer.from_file(str(plain_file(path)))
    except Exception as error:  # the library raises no narrower one
        raise CheckpointError(
            f"is no tokenizer.json ({' '.join(str(error).split())[:200]})", where=path, remedy="get it again"
        ) from error
    for token in (family.start, family.end):
        if token and tokenizer.token_to_id(token) is None:
            raise CheckpointError(f"has no token {token}", where=path, remedy="give the tokenizer of this tower")
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def _id(tokenizer: Tokenizer, token: str) -> int:
    found = tokenizer.token_to_id(token)
    assert found is not None, "it was looked for when the tokenizer was read"
    return found


def _not_whole(path: Path, config: EncoderConfig, what: str) -> CheckpointError:
    return CheckpointError(
        f"lacks {what} of {config.name!r}",
        where=path,
        remedy=f"give a file that holds both towers, such as model.safetensors of {TEXT_TOWERS[config.name]}",
    )
