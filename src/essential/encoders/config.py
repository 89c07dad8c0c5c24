"""Which frozen encoder makes the frame features, with which weights, and which pixels it is fed."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, ModelWrapValidatorHandler, PrivateAttr, field_validator, model_validator

from essential.configs.schema import Section
from essential.registry import Registry

if TYPE_CHECKING:
    from essential.encoders.base import Encoder

Scalar = bool | int | float | str | None
Positive = Annotated[float, Field(gt=0)]
Layer = Annotated[int, Field(ge=0)]

# Short names for the networks that video papers freeze, with the published weights that they mean.
CLIP, LITE, TINY, AUTO = "clip-vit-b16", "efficientnet-lite0", "tiny", "auto"
PRESETS = {
    # Its class token after the final norm, without the projection: what ESSENTIAL uses.
    CLIP: "vit_base_patch16_clip_quickgelu_224.openai",
    "imagenet-vit-b16": "vit_base_patch16_224.augreg2_in21k_ft_in1k",
    "dinov2-vit-b14": "vit_base_patch14_dinov2.lvd142m",
    "siglip-vit-b16": "vit_base_patch16_siglip_224.webli",
    # TensorFlow's padding, batch norm and pixels. Its weights are in a package that is installed with this one.
    LITE: "tf_efficientnet_lite0",
}
# Where timm publishes CLIP's; looked for without importing timm.
CLIP_REPOSITORY = "timm/vit_base_patch16_clip_224.openai"
_CHOICES = {
    CLIP: "encoder: clip-vit-b16, whose weights are on this machine",
    LITE: "encoder: efficientnet-lite0, as CLIP's weights are not on this machine; with -s encoder.name=clip-vit-b16 "
    "they are downloaded (350 MB; on CPUs CLIP takes more than 10 times as long)",
}
# Networks that see motion, in transformers, and the repositories of the hub that have their weights.
VIDEO_PRESETS = {
    "vjepa2-vit-l": "facebook/vjepa2-vitl-fpc64-256",
    "vjepa2-vit-g": "facebook/vjepa2-vitg-fpc64-256",
    "videomae-vit-b": "MCG-NJU/videomae-base-finetuned-kinetics",
    "videomae-vit-b-ssv2": "MCG-NJU/videomae-base-finetuned-ssv2",
}
# Presets with a text tower, and the repositories of the hub that have its weights and its tokenizer.
TEXT_TOWERS = {CLIP: "openai/clip-vit-base-patch16", "siglip-vit-b16": "google/siglip-base-patch16-224"}


# Functions that build an encoder, by name. Beside them stands every image model of timm.
ENCODERS: "Registry[Callable[[EncoderConfig], Encoder]]" = Registry(
    "essential.encoders",
    {
        TINY: "essential.encoders.tiny:build_tiny",
        **dict.fromkeys(PRESETS, "essential.encoders:build_image_model"),
        **dict.fromkeys(VIDEO_PRESETS, "essential.encoders:build_video_model"),
    },
    fault=lambda _, build: None if callable(build) else f"it is {build!r:.80}, and must be a function",
)


class EncoderConfig(Section):
    """The frozen encoder. What is left out is the network's own: as its weights were trained."""

    name: str = Field(
        default=TINY,
        description=f"The encoder: tiny (the embedded one), {', '.join(PRESETS)}, any image model of timm by its name "
        f"there, or a plug-in's; of whole clips: {', '.join(VIDEO_PRESETS)}. auto: clip-vit-b16 where its weights are "
        "given or on this machine, else efficientnet-lite0.",
    )
    weights: Literal["hub", "random"] | Path | None = Field(
        None,
        description="A file (.safetensors, .pth, .pt, .bin); hub: the published ones, downloaded once; random: "
        "seeded random numbers. Without it hub, but the weights of tiny and of efficientnet-lite0 are installed.",
    )
    arguments: dict[str, Scalar] = Field(
        default={},
        description="Further arguments of the timm model, such as {pad_type: same}, of the plug-in, or the values of a "
        "video network that its published ones do not have, such as {num_hidden_layers: 6}.",
    )
    frames: int | None = Field(
        None,
        ge=1,
        le=512,
        description="Frames that an encoder of whole clips reads, whatever video.frames is: of V-JEPA 2 an even number "
        "(64 without it; 16 take a seventh of the operations), of VideoMAE the 16 of its training.",
    )
    size: int | None = Field(None, ge=8, le=4096, description="Pixels along a side of a frame.")
    mean: tuple[float, float, float] | None = Field(None, description="Taken from the RGB values, which are 0 to 1.")
    std: tuple[Positive, Positive, Positive] | None = Field(None, description="Divides what is left after the mean.")
    interpolation: Literal["bilinear", "bicubic"] | None = Field(None, description="How a frame is scaled to its size.")
    temporal_adapters: Literal[0, 1, 2] = Field(
        0,
        description="AIM's adapters in a CLIP ViT: 1 after the attention over time, 2 before and after it. They come "
        "with the weights file (num_tadapter).",
    )
    adapter_layers: tuple[Layer, ...] | None = Field(
        None, description="The blocks, counted from 0, that have adapters; without it all (adapter_layers)."
    )
    temporal_embedding: bool | None = Field(
        None,
        description="Add the weights file's temporal embedding to the tokens of each frame; without it, if there are "
        "adapters (use_clip_temporal).",
    )

    text_weights: Path | None = Field(
        None,
        description="A file with the weights of both towers of CLIP or SigLIP, for methods that use words; without it "
        "the published ones, downloaded once.",
    )
    tokenizer: Path | None = Field(None, description="The text tower's tokenizer.json; without it the published one.")

    _is_chosen: bool = PrivateAttr(default=False)

    @property
    def choice(self) -> str | None:
        """What `auto` chose, in one line; None if the encoder was named. It is lost where the config is written."""
        return _CHOICES[self.name] if self._is_chosen else None

    @property
    def adds_temporal_embedding(self) -> bool:
        """Whether a temporal embedding is added to the tokens."""
        return self.temporal_adapters > 0 if self.temporal_embedding is None else self.temporal_embedding

    @property
    def is_temporal(self) -> bool:
        """Whether a frame's feature depends on the clip: by adapters, or by its place in time."""
        return self.temporal_adapters > 0 or self.adds_temporal_embedding

    @property
    def is_published(self) -> bool:
        """Whether its weights are those that were published."""
        return self.weights == "hub" or (self.weights is None and self.name not in (TINY, LITE))

    @property
    def timm_name(self) -> str:
        """The network's name in timm."""
        return PRESETS.get(self.name, self.name)

    @model_validator(mode="wrap")
    @classmethod
    def _auto_is_one_of_two(cls, given: Any, handler: ModelWrapValidatorHandler["EncoderConfig"]) -> "EncoderConfig":
        if not isinstance(given, dict) or given.get("name") != AUTO:
            return handler(given)
        # huggingface_hub takes its time to import, and most configs name their encoder.
        from essential.encoders.published_weights import kept_weights

        has_clip = given.get("weights") is not None or kept_weights(CLIP_REPOSITORY) is not None
        chosen = handler({**given, "name": CLIP if has_clip else LITE})
        chosen._is_chosen = given.get("weights") is None
        return chosen

    @property
    def published_as(self) -> str:
        """What the network, or its published weights, are called, and where."""
        repository = VIDEO_PRESETS.get(self.name)
        return f"{self.timm_name} in timm" if repository is None else f"{repository} on the hub"

    @field_validator("weights", mode="before")
    @classmethod
    def _word_or_path(cls, weights: object) -> object:
        if weights is not None and (not isinstance(weights, str | Path) or str(weights) == ""):
            raise ValueError("give the path of a weight file, hub or random")
        return weights

    @field_validator("arguments", mode="before")
    @classmethod
    def _scalars(cls, arguments: object) -> object:
        if not isinstance(arguments, dict):
            raise ValueError("give names and values, such as {pad_type: same}")
        for name, value in arguments.items():
            if not isinstance(name, str) or not isinstance(value, Scalar):
                raise ValueError(f"the value of {name} must be a number, a text, true, false or null, not {value!r}")
        return arguments

    @model_validator(mode="after")
    def _tiny_is_as_it_is(self) -> "EncoderConfig":
        given = sorted(self.model_fields_set - {"name"})
        changed = [name for name in given if getattr(self, name) != type(self).model_fields[name].default]
        if self.name == TINY and changed:
            raise ValueError(
                f"encoder.{changed[0]}={getattr(self, changed[0])!r} is not allowed: the encoder tiny takes no other "
                f"setting; leave it out, or choose another encoder.name ({', '.join(PRESETS)}, or a timm model's)"
            )
        return self

    @model_validator(mode="after")
    def _text_has_a_tower(self) -> "EncoderConfig":
        if (self.text_weights or self.tokenizer) and self.name not in TEXT_TOWERS:
            raise ValueError(
                f"encoder.text_weights and encoder.tokenizer are of a text tower, and {self.name!r} has none; leave "
                f"them out, or choose an encoder.name with one ({', '.join(TEXT_TOWERS)})"
            )
        return self

    @model_validator(mode="after")
    def _adapters_fit_together(self) -> "EncoderConfig":
        if self.adapter_layers is not None and (not self.temporal_adapters or not self.adapter_layers):
            raise ValueError(
                f"encoder.adapter_layers={list(self.adapter_layers)} with encoder.temporal_adapters="
                f"{self.temporal_adapters} is not allowed; name one block at least and 1 or 2 adapters, or leave both "
                "out"
            )
        if self.is_temporal and not isinstance(self.weights, Path):
            raise ValueError(
                f"encoder.weights={self.weights!r} is not allowed with temporal adapters or a temporal embedding: they "
                "were trained, and are in no published CLIP; give the file that has them, such as clip_temporal.pth"
            )
        return self
