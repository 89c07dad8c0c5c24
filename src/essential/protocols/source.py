"""Where a run's videos and their labels come from, and how classes become tasks: the settings of both.

The kinds of data are a table, `DATASETS`; plug-ins add theirs by the entry-point group `essential.datasets`.
"""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args
from urllib.parse import unquote

from pydantic import Field, field_validator, model_validator

from essential.configs.schema import Section
from essential.errors import ConfigError, DataError
from essential.protocols.listed import refuse_untrained
from essential.protocols.moving_digits import MovingDigitsConfig
from essential.protocols.places import refuse_unclear
from essential.protocols.protocol import Listing, OrderRule, Protocol, build_protocol, paused_collector
from essential.registry import Registry
from essential.remote.storage import Root, open_storage

Place = Literal["root", "path", "annotations"]
TestSplit = Literal["auto", "val", "test"]


class Dataset(NamedTuple):
    """A kind of data."""

    summary: str
    needs: tuple[Place, ...]  # the settings of `data` that it cannot do without
    listing: Callable[["DataConfig"], Listing]  # reads the labels, finds the videos; `config.given` gives what it needs
    hint: str = "its file: -s data.path=FILE"  # what `data.path` is, for the message where it is missing
    takes_url: bool = False  # whether its videos may be in a storage: its listing then asks for `config.place`


def _fault(_: str, plugin: Any) -> str | None:
    if not isinstance(plugin, Dataset):
        return "it is no essential.protocols.source.Dataset"
    unknown = [need for need in plugin.needs if need not in get_args(Place)]
    return f"it needs {unknown[0]!r}; a data set needs any of {', '.join(get_args(Place))}" if unknown else None


DATASETS: Registry[Dataset] = Registry(
    "essential.datasets",
    {
        "moving-digits": "essential.protocols.folder:MOVING_DIGITS",
        "folder": "essential.protocols.folder:FOLDER",
        "manifest": "essential.protocols.labelled_tables:MANIFEST",
        "list": "essential.protocols.video_list:LIST",
        "ucf101": "essential.protocols.official_splits:UCF101",
        "hmdb51": "essential.protocols.official_splits:HMDB51",
        "ssv2": "essential.protocols.official_splits:SSV2",
        "webdataset": "essential.protocols.webdataset:WEBDATASET",
        "features": "essential.protocols.labelled_tables:FEATURES",
    },
    fault=_fault,
)


class DataConfig(Section):
    """The videos."""

    kind: str = Field(
        description="the embedded benchmark, a folder of train/<class>/* and test/<class>/*, a CSV manifest, an "
        "annotation list in JSON, a data set with its official split files, tar shards of samples with their labels "
        "(webdataset), imported features, or a plug-in's"
    )
    root: Path | None = Field(
        None, description="the videos' folder; for moving-digits where to make it, none: the cache"
    )
    url: str | None = Field(
        None,
        description="in place of root, where the videos are not on this machine: s3://, gs:// or http(s)://, or tar "
        "shards such as /data/train-{000..099}.tar",
    )
    path: Path | None = Field(
        None, description="manifest: CSV with the columns path,label,split; list: JSON; features: the imported store"
    )
    annotations: Path | None = Field(
        None, description="ucf101, hmdb51, ssv2: the folder of the official split files; none: data.root"
    )
    official_split: int = Field(1, ge=1, le=3, description="ucf101, hmdb51: which of the three official splits")
    test_split: TestSplit = Field(
        "auto",
        description="list, webdataset: which split is tested on; auto: test, or val where there is no test split",
    )
    untrimmed: bool = Field(
        False, description="list with segments: whole videos of one class in place of the segments (vCLIMB's untrimmed)"
    )
    moving_digits: MovingDigitsConfig = MovingDigitsConfig()

    @field_validator("kind")
    @classmethod
    def _is_known(cls, kind: str) -> str:
        try:
            DATASETS.load(kind)
        except ConfigError as error:
            raise ValueError(error.problem) from None
        return kind

    # Of the whole section: a message about one setting shows its value, and an address may hold a password.
    @model_validator(mode="before")
    @classmethod
    def _is_an_address(cls, given: Any) -> Any:
        url = given.get("url") if isinstance(given, dict) else None
        if not isinstance(url, str):
            return given
        path = unquote(url.removeprefix("file://")) if url.startswith("file:///") else None
        if path is not None and not path.endswith(".tar"):
            return {**given, "url": None, "root": given.get("root") or path}
        try:
            return {**given, "url": open_storage(path or url).url}
        except ValueError as error:
            raise ValueError(f"data.url: {error}") from None

    @model_validator(mode="after")
    def _has_a_use_for_its_places(self) -> "DataConfig":
        uses: dict[str, Callable[[Dataset], bool]] = {
            "path": lambda dataset: "path" in dataset.needs,
            "url": lambda dataset: dataset.takes_url,
        }
        for name, has_use in uses.items():
            value = getattr(self, name)
            if value is not None and not has_use(self.dataset):
                kinds = ", ".join(kind for kind in DATASETS.built_in if has_use(DATASETS[kind]))
                raise ValueError(f"data.{name}={value} is for data.kind={kinds}, but data.kind={self.kind}")
        if self.url is not None and self.root is not None:
            raise ValueError(
                f"data.url={self.url} and data.root={self.root} both say where the videos are; give one of them, and "
                "null for the other"
            )
        return self

    @property
    def dataset(self) -> Dataset:
        """This kind's entry in the table."""
        return DATASETS[self.kind]

    @property
    def folder(self) -> Root | None:
        """The folder or storage that the videos' keys are relative to; None: the caller chooses one."""
        if self.url is not None:
            return open_storage(self.url)
        if self.path is None or "root" in self.dataset.needs:
            return self.root
        return self.path if self.kind == "features" else self.path.parent

    @property
    def place(self) -> Root:
        """Where the videos are, for a kind that needs `root` and takes a URL in its place; see `given`."""
        return self.given("root") if self.url is None else open_storage(self.url)

    def given(self, place: Place) -> Path:
        """Return a path that this kind of data needs.

        Raises:
            ConfigError: the config lacks it: a shipped one cannot know it.
        """
        path: Path | None = getattr(self, place)
        if path is None:
            by_url = self.dataset.takes_url
            what = {
                "root": "the folder of the videos: -s data.root=DIR" + ", or their address: -s data.url=URL" * by_url,
                "path": self.dataset.hint,
                "annotations": "the folder of its annotations: -s data.annotations=DIR",
            }
            raise ConfigError(f"data.kind={self.kind} needs {what[place]}")
        return path

    def require_places(self) -> None:
        """Refuse to go on without the paths that this kind of data needs; see `given`."""
        for place in self.dataset.needs:
            if place != "root" or self.url is None:
                self.given(place)


class ProtocolConfig(Section):
    """How classes become tasks."""

    name: str | None = Field(None, description="its name in reports; none: the kind of data")
    tasks: int | None = Field(None, ge=1, description="number of tasks, the first included; none: as the list has them")
    base_classes: int | None = Field(None, ge=1, description="classes of the first task; none: as many as the others")
    order_seed: int | None = Field(
        0, ge=0, description="seed of the classes' order; none: unshuffled. A list has an order of its own"
    )
    order_rule: OrderRule = Field("essential", description="the shuffle: essential (ours), or tcd")

    def cut(self, listing: Listing, default_name: str) -> Protocol:
        """Return the protocol of a listing under these settings; see `build_protocol`."""
        return build_protocol(self.name or default_name, listing, **self.model_dump(exclude={"name"}))


def load_listing(config: DataConfig, *, clear: bool = True) -> Listing:
    """Return the labelled videos that `config` names; those of moving-digits have been made before.

    Args:
        config: the settings.
        clear: refuse a listed video that may be one of several files.

    Raises:
        ConfigError: the config lacks a path.
        DataError: the labels or videos cannot be used as they are.
    """
    config.require_places()
    with paused_collector():
        listing = config.dataset.listing(config)
        if config.kind not in DATASETS.built_in:
            _check_plugged_in(listing, f"data.kind={config.kind}")
    if clear:
        refuse_unclear(listing, config.folder)
    return listing


def _check_plugged_in(listing: Listing, where: str) -> None:
    """Hold a plug-in's listing to what the built-in kinds give."""
    if not isinstance(listing, Listing):
        raise DataError(f"its plug-in gives a {type(listing).__name__}, not a Listing", where=where)
    twice = [key for key, count in Counter(video.key for video in listing.videos).items() if count > 1]
    if twice:
        raise DataError(f"two videos have the key {twice[0]!r}; keys are unique", where=where)
    refuse_untrained(listing.videos, where, classes=listing.classes)
