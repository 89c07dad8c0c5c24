"""What a run stands on: its videos in order, its encoder, and its features, stored or live."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from essential.atomic_files import sha256_of_json
from essential.encoders import FrameEncoder, build_encoder
from essential.engine.settings import RunConfig
from essential.errors import ConfigError
from essential.features.provenance import Recipe
from essential.features.source import FeatureSource, open_source
from essential.progress import Progress
from essential.protocols.moving_digits import make_moving_digits
from essential.protocols.protocol import Protocol, Video, build_protocol
from essential.protocols.source import load_videos

# Features do not depend on a run's seed, so that runs of several seeds share one store.
_VIEW_SEED = 0


@dataclass(frozen=True)
class Workspace:
    """The protocol of a run, where its videos are, and what turns them into features."""

    config: RunConfig
    data_root: Path
    protocol: Protocol
    encoder: FrameEncoder
    device: torch.device

    def recipe(self) -> Recipe:
        """Return what decides the value of a feature."""
        features, video = self.config.features, self.config.video
        return Recipe(
            encoder=self.encoder,
            augment=video.augment,
            frames=video.frames,
            views=features.views,
            seed=_VIEW_SEED,
            dtype=features.dtype,
        )

    def store(self) -> Path:
        """Return the store's folder: the config's, or one in the cache that is named after recipe and data."""
        if self.config.features.store is not None:
            return self.config.features.store
        key = sha256_of_json([self.recipe().provenance(), str(self.data_root.resolve())])[:16]
        return cache_folder() / "features" / key

    def source(self, videos: Sequence[Video], progress: Progress) -> FeatureSource:
        """Return the features of `videos`, extracted first if they are to be stored.

        Raises:
            DataError: a video is broken and the config says to fail.
            StoreError: the store is damaged, or was made by something else.
        """
        progress.start("read videos", len(videos))
        try:
            return open_source(
                self.config.features,
                videos,
                recipe=self.recipe(),
                store=self.store(),
                progress=lambda done, total: progress.advance(done, total=total),
            )
        finally:
            progress.finish()


def open_workspace(config: RunConfig, progress: Progress) -> Workspace:
    """Make the embedded benchmark if it is asked for, read the labels, and load the encoder.

    Raises:
        DataError: the data cannot be used as they are.
        ConfigError: the classes do not fit the protocol, or there is no such encoder or device.
    """
    config, root = _with_data(config, progress)
    protocol = build_protocol(
        config.protocol.name or config.data.kind,
        load_videos(config.data),
        tasks=config.protocol.tasks,
        base_classes=config.protocol.base_classes,
        order_seed=config.protocol.order_seed,
    )
    device = choose_device(config.training.device)
    torch.set_num_threads(config.training.threads or os.cpu_count() or 1)
    encoder = build_encoder(config.encoder)
    encoder.to(device)
    return Workspace(config, root, protocol, encoder, device)


def choose_device(wanted: str) -> torch.device:
    """Return the device that `training.device` names.

    Raises:
        ConfigError: a GPU is asked for and there is none.
    """
    if wanted == "cuda" and not torch.cuda.is_available():
        raise ConfigError("training.device=cuda, but torch sees no GPU here; use auto or cpu")
    if wanted == "auto":
        wanted = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(wanted)


def cache_folder() -> Path:
    """Return where data and features go that nobody gave a place: $ESSENTIAL_CACHE, or ~/.cache/essential."""
    chosen = os.environ.get("ESSENTIAL_CACHE")
    return Path(chosen) if chosen else Path.home() / ".cache" / "essential"


def _with_data(config: RunConfig, progress: Progress) -> tuple[RunConfig, Path]:
    """Return the config with the root of its data, the embedded benchmark's clips made."""
    data = config.data
    if data.kind != "moving-digits":
        root = data.root if data.kind == "folder" else data.path
        assert root is not None, "DataConfig checks this"
        return config, root
    digits = data.moving_digits
    name = "moving-digits-untrimmed" if digits.untrimmed else "moving-digits"
    root = data.root or cache_folder() / "data" / f"{name}-{sha256_of_json(digits.model_dump())[:12]}"
    progress.start(f"make {name}", 0)
    try:
        make_moving_digits(
            root,
            digits,
            workers=os.cpu_count() or 1,
            progress=lambda done, total: progress.advance(done, total=total),
        )
    finally:
        progress.finish()
    return config.model_copy(update={"data": data.model_copy(update={"root": root})}), root
