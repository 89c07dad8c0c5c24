"""Where a run's videos and their labels come from, and how classes become tasks: the settings of both."""

from dataclasses import replace
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from essential.configs.schema import Section
from essential.errors import ConfigError
from essential.protocols.class_order import OrderRule
from essential.protocols.folder import folder_listing
from essential.protocols.labelled_tables import manifest_videos, stored_labels
from essential.protocols.listed import ListedVideo
from essential.protocols.moving_digits import MovingDigitsConfig
from essential.protocols.official_splits import hmdb51_split, ssv2_split, ucf101_split
from essential.protocols.places import Found, find_videos, locate_videos
from essential.protocols.protocol import Listing, Protocol, build_protocol, paused_collector
from essential.protocols.video_list import read_video_list

Kind = Literal["moving-digits", "folder", "manifest", "list", "ucf101", "hmdb51", "ssv2", "features"]

# What data.path is for the kinds that have one.
_PATHS = {
    "manifest": "the list: -s data.path=FILE.csv",
    "list": "the list: -s data.path=FILE.json (`essential data import` makes it)",
    "features": "the store: -s data.path=STORE (`essential features import` makes it)",
}
# Kinds that name videos, which are then looked for below data.root.
_NAMED = frozenset({"list", "ucf101", "hmdb51", "ssv2"})
_WITHOUT_ROOT = frozenset({"moving-digits", "manifest", "features"})


class DataConfig(Section):
    """The videos."""

    kind: Kind = Field(
        description="the embedded benchmark, a folder of train/<class>/* and test/<class>/*, a CSV manifest, an "
        "annotation list in JSON, a data set with its official split files, or features brought along"
    )
    root: Path | None = Field(
        None, description="the videos' folder; for moving-digits where to make it, none: the cache"
    )
    path: Path | None = Field(
        None, description="manifest: CSV with the columns path,label,split; list: JSON; features: the imported store"
    )
    annotations: Path | None = Field(
        None, description="ucf101, hmdb51, ssv2: the folder of the official split files; none: data.root"
    )
    official_split: int = Field(1, ge=1, le=3, description="ucf101, hmdb51: which of the three official splits")
    test_split: Literal["auto", "val", "test"] = Field(
        "auto", description="list: which split is tested on; auto: test, or val where the list has no test split"
    )
    untrimmed: bool = Field(
        False, description="list with segments: whole videos of one class in place of the segments (vCLIMB's untrimmed)"
    )
    moving_digits: MovingDigitsConfig = MovingDigitsConfig()

    @model_validator(mode="after")
    def _has_a_use_for_its_path(self) -> "DataConfig":
        if self.kind not in _PATHS and self.path is not None:
            raise ValueError(f"data.path={self.path} is for data.kind={', '.join(_PATHS)}, but data.kind={self.kind}")
        return self

    def require_places(self) -> None:
        """Refuse to go on without the paths that this kind of data needs.

        A shipped config cannot know them, so a config without them is whole but not ready.

        Raises:
            ConfigError: names the one that is missing.
        """
        if self.kind in _PATHS and self.path is None:
            raise ConfigError(f"data.kind={self.kind} needs {_PATHS[self.kind]}")
        if self.kind not in _WITHOUT_ROOT and self.root is None:
            raise ConfigError(f"data.kind={self.kind} needs the folder of the videos: -s data.root=DIR")


class ProtocolConfig(Section):
    """How classes become tasks."""

    name: str | None = Field(None, description="what reports call it; none: the kind of data")
    tasks: int | None = Field(None, ge=1, description="number of tasks, the first included; none: as the list has them")
    base_classes: int | None = Field(None, ge=1, description="classes of the first task; none: as many as the others")
    order_seed: int | None = Field(
        0, ge=0, description="seed of the classes' order; none: unshuffled. A list has an order of its own"
    )
    order_rule: OrderRule = Field("essential", description="whose shuffle: our own, or TCD's")

    def cut(self, listing: Listing, default_name: str) -> Protocol:
        """Return the protocol of a listing under these settings, called `default_name` if they have no name.

        Raises:
            ConfigError: see `build_protocol`.
        """
        return build_protocol(
            self.name or default_name,
            listing,
            tasks=self.tasks,
            base_classes=self.base_classes,
            order_seed=self.order_seed,
            order_rule=self.order_rule,
        )


def load_listing(config: DataConfig) -> Listing:
    """Return the labelled videos that `config` names; those of moving-digits have been made before.

    Raises:
        ConfigError: the config lacks a path.
        DataError: they cannot be used as they are.
    """
    config.require_places()
    if config.kind == "manifest" and config.path is not None:
        return Listing.by_name(manifest_videos(config.path))
    if config.kind == "features" and config.path is not None:
        return stored_labels(config.path)
    assert config.root is not None, "checked above, and the engine chooses a place for moving-digits"
    if config.kind in _NAMED:
        with paused_collector():
            listed, listing = load_listed(config)
            return replace(listing, videos=locate_videos(listed, config.root))
    return folder_listing(config.root)


def find_listing(config: DataConfig) -> tuple[Listing, list[Found]]:
    """Return what `load_listing` does, with what was found for each video; a video that is unclear is no error here.

    Raises:
        ConfigError, DataError: see `load_listing`.
    """
    config.require_places()
    if config.kind in _NAMED and config.root is not None:
        listed, listing = load_listed(config)
        found = find_videos(listed, config.root)
        return replace(listing, videos=[one.video for one in found]), found
    listing = load_listing(config)
    return listing, [Found(video, missing=False) for video in listing.videos]


def load_listed(config: DataConfig) -> tuple[list[ListedVideo], Listing]:
    """Return the videos that the list or the official split files name, none looked for, and a listing without them.

    Raises:
        DataError: a file cannot be used as it is.
    """
    if config.kind == "list" and config.path is not None:
        video_list = read_video_list(config.path)
        listed = video_list.listed(test_split=config.test_split, untrimmed=config.untrimmed)
        return listed, Listing([], video_list.classes, video_list.groups, video_list.sha256)
    place = config.annotations or config.root
    assert place is not None, "require_places checks this"
    if config.kind == "ucf101":
        listed, classes = ucf101_split(place, config.official_split)
    elif config.kind == "hmdb51":
        listed, classes = hmdb51_split(place, config.official_split)
    else:
        listed, classes = ssv2_split(place)
    return listed, Listing([], classes)
