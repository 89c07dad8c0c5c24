"""Where frame features come from, and what to do with a video that cannot be read."""

from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from essential.configs.schema import ADDRESS, Section
from essential.remote.access import checked_url, scheme_of

FeatureType = Literal["float32", "float16"]
Precision = Literal["float32", "bfloat16", "int8"]
BrokenVideos = Literal["fail", "skip"]


class FeaturesConfig(Section):
    """Stored or live features, and how they are made."""

    mode: Literal["stored", "live"] = Field(
        "stored", description="stored: extract once, then read. live: decode and encode every epoch, as the paper does."
    )
    views: int = Field(
        4,
        ge=0,
        le=1000,
        description="Augmented training views kept per video (stored mode); 0 trains on the plain view.",
    )
    train_on: Literal["augmented", "both"] = Field(
        "augmented",
        description="augmented: the augmented views in turn, one an epoch, as the paper does. both: the plain view, "
        "which tests see, has its turn too, the first of so many and one.",
    )
    dtype: FeatureType = Field("float32", description="How a feature is kept; float16 halves the store.")
    precision: Precision = Field(
        "float32",
        description="How the encoder computes; each gives other numbers. bfloat16 is several times as fast on a GPU, "
        "and on a CPU with AVX512_BF16 or AMX; on others it is slower. int8 is for the linear layers of transformers "
        "on x86 CPUs: two to four times as fast.",
    )
    store: Path | str | None = Field(
        None,
        description="The feature store's folder, or its address in a bucket, s3:// or gs://, which is then mirrored in "
        "the cache; without it the run chooses one.",
    )
    shard_videos: int = Field(64, ge=1, description="Videos in one file of the store; what a kill can lose at most.")
    workers: int | None = Field(
        None,
        ge=0,
        le=512,
        description="Processes that decode. Without it as many as there are CPU cores, or those that an encoder on a "
        "CPU leaves free, but fewer where what they read takes more than 4 GiB. 0 decodes in the main process, which a "
        "video that kills or hangs its decoder then ends or stops.",
    )
    worker_start: Literal["fork", "forkserver", "spawn"] = Field(
        "fork",
        description="How these processes start. fork is quick and needs no guard in the calling script; "
        "choose spawn where a library in the main process does not survive a fork (macOS).",
    )
    video_seconds_limit: float = Field(
        300.0,
        gt=0,
        description="A video that takes longer to read and transform is broken; it is tried again only by a run "
        "that stops at broken videos.",
    )
    batch_clips: int | None = Field(
        None,
        ge=1,
        description="Clips encoded at once, of any videos. Without it 1 on a CPU, which loses nothing by it, "
        "and 32 on a GPU, or of an encoder of whole clips as many as have 256 frames.",
    )
    on_broken_video: BrokenVideos = Field(
        "fail",
        description="A video that cannot be read: stop and name it, or go on without it and name it in the record.",
    )

    @field_validator("store")
    @classmethod
    def _is_a_place(cls, store: Path | str | None) -> Path | str | None:
        if store is None or ADDRESS.match(str(store)) is None:
            return None if store is None else Path(store)
        url = checked_url(str(store))
        if scheme_of(url) not in ("s3", "gs"):
            raise ValueError(f"{url} cannot be written to; give a folder, or an address of s3:// or gs://")
        return url

    def training_view(self, epoch: int, augmented: int | None) -> int:
        """Return the view that an epoch, counted from 0, learns from: 0 is the plain one.

        There are so many augmented views (None: as many as anyone asks for); without any, every epoch is plain.
        """
        if augmented == 0:
            return 0
        if self.train_on == "both":
            turn = epoch % (1 + (self.views if augmented is None else augmented))
            return epoch if augmented is None and turn else turn
        return 1 + (epoch if augmented is None else epoch % augmented)
