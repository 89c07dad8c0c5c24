"""All settings of a run, put together from their owners' sections, and the engine's own: how training goes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field

from essential.configs.schema import Section
from essential.encoders import EncoderConfig
from essential.engine.words import WordsConfig
from essential.errors import ConfigError, EssentialError
from essential.features.config import FeaturesConfig
from essential.methods import METHODS, MethodConfig
from essential.protocols.source import DATASETS, DataConfig, ProtocolConfig
from essential.video.config import AugmentConfig

# What a machine's owner decides, not who sends a config or a bundle; no number of a result depends on it.
OF_THE_MACHINE: dict[str, set[str]] = {
    "data": {"root", "url", "path", "annotations"},
    "features": {"store", "shard_videos", "on_broken_video", "workers", "worker_start", "video_seconds_limit"}
    | {"batch_clips"},
    "training": {"threads", "device", "checkpoint_epochs"},
    "encoder": {"text_weights", "tokenizer"},
}

# Settings that came after version 0.1.0, and what it did without them.
# `frames` is the encoder's: those of a clip are a number.
_AS_BEFORE = {"train_on": "augmented", "memory_bits": 32, "fewest_heads": 1, "blend": False, "frames": None}


class VideoConfig(Section):
    """How a clip is taken from a video."""

    frames: int = Field(8, ge=2, le=256, description="frames per clip, one from each of as many equal segments")
    augment: AugmentConfig = AugmentConfig()


class TrainingConfig(Section):
    """The optimisation, the same for every method. The authors' flag stands in brackets."""

    epochs: int = Field(30, ge=1, description="epochs on a task's clips (epochs)")
    batch_size: int = Field(24, ge=1, description="clips per step (batch_size)")
    learning_rate: float = Field(1e-3, gt=0, description="peak learning rate, before scaling (lr)")
    min_learning_rate: float = Field(1e-6, ge=0, description="where the cosine ends, before scaling (min_lr)")
    scale_learning_rate: bool = Field(True, description="multiply both rates by batch_size / 256, as the authors do")
    warmup_epochs: int = Field(5, ge=0, description="epochs of linear warm-up from 0, in every stage (warmup_epochs)")
    weight_decay: float = Field(0.05, ge=0, description="AdamW's decay of matrices; vectors have none (weight_decay)")
    beta1: float = Field(0.9, ge=0, lt=1, description="AdamW's first beta (opt_betas)")
    beta2: float = Field(0.999, ge=0, lt=1, description="AdamW's second beta (opt_betas)")
    drop_last: bool = Field(True, description="skip an epoch's last, smaller batch, unless it is the only one")
    mixed_precision: bool = Field(True, description="bfloat16 on a GPU; no effect on a CPU")
    checkpoint_epochs: int = Field(10, ge=1, description="save the run's state after so many epochs of a stage")
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="auto: a GPU if there is one")
    threads: int | None = Field(None, ge=1, le=1024, description="CPU threads; none: as many as cores")


def choose_device(wanted: str) -> torch.device:
    """Return the device that `training.device` names; a GPU that is not there is a `ConfigError`."""
    gpu = torch.cuda.is_available()
    if wanted == "cuda" and not gpu:
        raise ConfigError("training.device=cuda, but torch sees no GPU here", remedy="use auto or cpu")
    return torch.device(("cuda" if gpu else "cpu") if wanted == "auto" else wanted)


class RunConfig(Section):
    """Everything that decides a run's numbers, and where its data are."""

    # The methods that are there, plug-ins among them, are looked for when the first config is checked.
    model_config = ConfigDict(defer_build=True)

    summary: str = Field("", description="one line that says what the run is")
    asked_for: str | None = Field(None, description="the name of the method's settings, as --method takes it")
    data: DataConfig
    protocol: ProtocolConfig = ProtocolConfig()
    video: VideoConfig = VideoConfig()
    encoder: EncoderConfig = EncoderConfig()
    features: FeaturesConfig = FeaturesConfig()
    method: MethodConfig
    words: WordsConfig = WordsConfig()
    training: TrainingConfig = TrainingConfig()
    seed: int = Field(0, ge=0, description="initial weights, batches, dropout, exemplars")

    @property
    def needs_words(self) -> bool:
        """Whether the method is made of its classes' words."""
        return METHODS[self.method.name].needs_words

    def with_absolute_paths(self) -> "RunConfig":
        """Return the config with paths that mean the same from any working directory."""

        def absolute(section: BaseModel, *names: str) -> Any:
            paths = {name: getattr(section, name) for name in names}
            changed = {name: path.expanduser().absolute() for name, path in paths.items() if isinstance(path, Path)}
            return section.model_copy(update=changed)

        return self.model_copy(
            update={
                "data": absolute(self.data, "root", "path", "annotations"),
                "features": absolute(self.features, "store"),
                "encoder": absolute(self.encoder, "weights", "text_weights", "tokenizer"),
            }
        )

    def with_store(self, store: Path) -> "RunConfig":
        """Return the settings with a place for the features."""
        return self.model_copy(update={"features": self.features.model_copy(update={"store": store})})

    def identity(self) -> dict[str, Any]:
        """Return what decides the numbers: everything but this machine's paths, devices and worker counts.

        On one machine two runs of equal identity give the same record (other processors, or another number of
        threads, round differently); a run resumes only under its own identity. Settings that came later are left out
        where they change nothing, so that a record says the same as one of version 0.1.0.
        """
        left_out: dict[str, Any] = {"summary": True, "asked_for": True, **OF_THE_MACHINE}
        if isinstance(self.encoder.weights, Path):
            # The record's fingerprint of the encoder says what was in the file.
            left_out["encoder"] = {"weights", *OF_THE_MACHINE["encoder"]}
        if not self.needs_words:
            left_out["words"] = True
        dumped = self.model_dump(mode="json", exclude=left_out)
        return _without_what_is_as_before(dumped)


def _without_what_is_as_before(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: _without_what_is_as_before(value) if isinstance(value, Mapping) else value
        for key, value in settings.items()
        if key not in _AS_BEFORE or value != _AS_BEFORE[key]
    }


def refuse_missing_plugins(content: object, path: Path, error: type[EssentialError]) -> None:
    """Raise `error` if the settings in a file name a method or kind of data that is not installed or cannot be used."""
    for section, key, kind, known in (
        ("method", "name", "method", METHODS),
        ("data", "kind", "kind of data", DATASETS),
    ):
        own = content.get(section) if isinstance(content, Mapping) else None
        name = own.get(key) if isinstance(own, Mapping) else None
        if not isinstance(name, str) or name in known:
            continue
        reason = known.broken().get(name)
        if reason is not None:
            raise error(f"the {kind} {name!r} cannot be used: {reason}", where=path)
        raise error(f"the {kind} {name[:100]!r} is not installed", where=path, remedy="install its package")
