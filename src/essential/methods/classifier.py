"""The clip classifier as the trained methods hold it: its settings, its growth with the tasks, its loss."""

from jaxtyping import Float, Int
from pydantic import Field
from torch import Tensor, nn

from essential.configs.schema import Section
from essential.errors import ConfigError
from essential.methods.contract import Batch
from essential.models.classifier import ClipClassifier
from essential.models.heads import GrowingHead, Head
from essential.models.seeded import torch_generator, torch_seeded

_TEMPERATURE = 2.0


class ClassifierConfig(Section):
    """The temporal encoder and the head."""

    layers: int = Field(1, ge=1, le=64, description="cross-attention layers (authors' flag: temporal_layer)")
    heads: int | None = Field(
        None,
        ge=1,
        description="attention heads, which divide the feature width; none: one per 64 numbers, 12 for CLIP's 768 "
        "as the authors have (temporal_heads)",
    )
    dropout: float = Field(0.2, ge=0, lt=1, description="dropout before the head (dropout_ratio)")
    drop_path: float = Field(0.2, ge=0, lt=1, description="chance to skip a layer in training")
    init_scale: float = Field(0.001, gt=0, description="scale of the head's initial weights (init_scale)")


def build_classifier(
    config: ClassifierConfig, *, dim: int, frames: int, seed: int, head: Head | None = None
) -> ClipClassifier:
    """Build a classifier without any slot, initialised from `seed`, with a linear head unless another is given.

    Raises:
        ConfigError: the heads do not divide the feature width.
    """
    heads = attention_heads(config, dim)
    if dim % heads:
        raise ConfigError(
            f"method.classifier.heads={heads} does not divide the encoder's feature width {dim}; "
            f"use one of {[heads for heads in range(1, 33) if dim % heads == 0]}"
        )
    with torch_seeded(seed, "classifier"):
        return ClipClassifier(
            dim,
            frames=frames,
            layers=config.layers,
            heads=heads,
            dropout=config.dropout,
            drop_path=config.drop_path,
            head=head or GrowingHead(dim, init_scale=config.init_scale),
        )


def attention_heads(config: ClassifierConfig, dim: int) -> int:
    """Return the number of heads: the config's, or the largest divisor of `dim` with 64 numbers or more per head."""
    if config.heads is not None:
        return config.heads
    return max(heads for heads in range(1, max(1, dim // 64) + 1) if dim % heads == 0)


def grow_head(classifier: ClipClassifier, slots: range, *, seed: int) -> None:
    """Add the rows of newly arrived `slots`."""
    classifier.head.grow(len(slots), generator=torch_generator(seed, "head", slots.start))


def logits_of(classifier: ClipClassifier, batch: Batch) -> Float[Tensor, "batch slots"]:
    """Return the classifier's logits of a batch's clips, dense or sparse."""
    return classifier.logits(classifier.tokens(batch.features, batch.positions))


def cross_entropy(
    logits: Float[Tensor, "batch slots"], slots: Int[Tensor, " batch"], *, among: range | None = None
) -> Float[Tensor, ""]:
    """Mean cross-entropy over all slots seen, or over the slots in `among` alone (others get no probability)."""
    if among is not None:
        logits, slots = logits[:, among.start : among.stop], slots - among.start
    return nn.functional.cross_entropy(logits, slots)


def distillation(logits: Float[Tensor, "batch old"], wanted: Float[Tensor, "batch old"]) -> Float[Tensor, ""]:
    """Mean cross-entropy between the probabilities of `wanted`, a teacher's logits, and of `logits`, at temperature 2.

    Source: equations 2 and 3 of LwF (ECCV 2016), equation 1 of BiC (CVPR 2019); raising probabilities to 1/T and
    dividing by their sum is a softmax of logits / T. No factor T^2.
    """
    return nn.functional.cross_entropy(logits / _TEMPERATURE, (wanted / _TEMPERATURE).softmax(dim=1))
