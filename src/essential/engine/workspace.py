"""What a run stands on: its videos in order, its encoder, and its features, stored or live."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from essential.encoders import build_encoder
from essential.encoders.base import Encoder
from essential.engine.clips import ClipTable
from essential.engine.evaluate import Predictions, predict
from essential.engine.process_group import Message, ProcessGroup
from essential.engine.settings import RunConfig, choose_device
from essential.engine.words import Spoken, refuse_same_words, refuse_undescribed, spoken_of
from essential.errors import ConfigError, StoreError
from essential.features.cores import cpu_cores
from essential.features.extract import EncodeShards, extract
from essential.features.imported import ImportedSource, imported_provenance
from essential.features.mirror import mirror_folder, refuse_unreachable
from essential.features.precision import refuse_precision
from essential.features.provenance import Recipe, build_recipe
from essential.features.source import FeatureSource, StoredSource, open_source
from essential.files.atomic import refuse_unwritable, sha256_of_json
from essential.files.cache import cache_folder
from essential.methods import build_method
from essential.methods.contract import Method
from essential.models.text_scores import Words
from essential.progress import QUIET, Progress, phase, when_free
from essential.protocols.moving_digits import make_moving_digits, videos_to_make
from essential.protocols.protocol import Listing, Protocol, Segment, Split, Task, Video
from essential.protocols.source import load_listing
from essential.remote.storage import Root, is_remote

# Features do not depend on a run's seed, so that runs of several seeds share one store.
_VIEW_SEED = 0
# Numbers per frame: more than any encoder has.
_WIDEST = 100_000


@dataclass(frozen=True)
class FeatureOrigin:
    """What made the features: its name, a hash of all that decides them but the video, and numbers per frame."""

    name: str
    fingerprint: str
    dim: int

    @classmethod
    def of(cls, encoder: Encoder) -> "FeatureOrigin":
        """Return the origin of an encoder's features."""
        return cls(encoder.name, encoder.fingerprint, encoder.dim)

    def __post_init__(self) -> None:
        texts = isinstance(self.name, str) and isinstance(self.fingerprint, str)
        if not texts or type(self.dim) is not int or not 1 <= self.dim <= _WIDEST:
            raise ValueError(f"features of {self.dim!r} numbers by {self.name!r} ({self.fingerprint!r})")


@dataclass(frozen=True)
class Workspace:
    """The protocol of a run, where its videos are, and what turns them into features.

    Attributes:
        encoder: None where the features were imported.
        spoken: the words of all classes, in the order of their slots; None where the method has no use for them.
    """

    config: RunConfig
    root: Root
    protocol: Protocol
    origin: FeatureOrigin
    encoder: Encoder | None
    device: torch.device
    spoken: Spoken | None = None

    @property
    def words(self) -> Words | None:
        return None if self.spoken is None else self.spoken.words

    @property
    def text_tower(self) -> str | None:
        """The fingerprint of what made the words."""
        return None if self.spoken is None else self.spoken.text_tower

    def with_words(self) -> "Workspace":
        """Return the workspace with the words of its classes, if the config's method needs them.

        Errors as of `spoken_of`, and a ConfigError for a description of no class.
        """
        if not self.config.needs_words:
            return self
        classes, settings = [*self.protocol.slots], self.config.words
        refuse_undescribed(settings.descriptions, classes, "words.descriptions")
        refuse_same_words(classes, settings)
        return replace(self, spoken=spoken_of(classes, settings, self.config.encoder, dim=self.origin.dim))

    def build_method(self) -> Method:
        """Return the config's method, before its first task."""
        config = self.config
        return build_method(config.method, dim=self.origin.dim, frames=config.video.frames, seed=config.seed)

    def scores_of(
        self, checkpoint: Mapping[str, Tensor], clips: ClipTable, group: ProcessGroup | None = None
    ) -> Predictions:
        """Return the predictions of a checkpoint's predictor; one that does not fit is a `CheckpointError`."""
        method = self.build_method()
        method.load_predictor(checkpoint)
        return predict(method.predictor, clips, device=self.device, group=group)

    def recipe(self) -> Recipe:
        """Return what decides the value of a feature; imported features are a `ConfigError`."""
        if self.encoder is None:
            raise ConfigError(f"data.kind={self.config.data.kind} has its features already; nothing is left to extract")
        return recipe_of(self.config, self.encoder)

    def store(self) -> Path:
        """Return the store's folder: the config's or its mirror, or one in the cache, named after recipe and data."""
        place = self.config.features.store
        if place is not None:
            return place if isinstance(place, Path) else mirror_folder(place)
        root = self.root.resolve() if isinstance(self.root, Path) else self.root
        key = sha256_of_json([self.recipe().provenance(), str(root)])[:16]
        return cache_folder() / "features" / key

    def source(
        self, videos: Sequence[Video], progress: Progress, *, group: ProcessGroup | None = None
    ) -> FeatureSource:
        """Return the features of `videos`, all that will be asked for; errors as of `open_source`.

        What is to be stored is extracted first; the ranks of `group` share the extraction.
        """
        if self.encoder is None:
            frames, features = self.config.video.frames, self.config.features
            assert isinstance(self.root, Path), "it is data.path"
            return ImportedSource(self.root, videos, frames=frames, config=features, seed=_VIEW_SEED)
        if group is not None and group.size > 1 and self.config.features.mode == "stored":
            # Every rank opens the store afterwards, and so meets what is broken, whichever rank found it.
            self.extract(videos, progress, group=group)
        with phase(progress, "read videos", len(videos)):
            return when_free(
                progress,
                open_source,
                self.config.features,
                videos,
                recipe=self.recipe(),
                store=self.store(),
                progress=progress,
            )

    def stored(self, videos: Sequence[Video]) -> FeatureSource:
        """Return the features of `videos` that are there already; reads no video and computes none.

        Errors as of `StoredSource.open`, and a StoreError if features are live.
        """
        if self.encoder is None:
            return self.source(videos, QUIET)
        if self.config.features.mode == "live":
            raise StoreError("features.mode=live keeps no features; use -s features.mode=stored to have a store")
        return StoredSource.open(self.store(), videos, recipe=self.recipe(), config=self.config.features)

    def extract(
        self,
        videos: Sequence[Video],
        progress: Progress,
        *,
        part: tuple[int, int] = (0, 1),
        group: ProcessGroup,
        encode: EncodeShards | None = None,
    ) -> dict[str, str]:
        """Fill the store, or part (i, n) of it, each rank with its share; return the broken videos that all found.

        Errors as of `features.extract`, and a ConfigError if the features were imported.
        """
        index, count = part
        with phase(progress, "extract features", len(videos)):
            broken = when_free(
                progress,
                extract,
                self.store(),
                videos,
                recipe=self.recipe(),
                config=self.config.features.model_copy(update={"on_broken_video": "skip"}),
                part=(index + count * group.rank, count * group.size),
                progress=progress,
                encode=encode,
            )
        return {key: reason for each in group.all_gather(Message(note=broken)) for key, reason in each.note.items()}


def open_workspace(
    config: RunConfig, progress: Progress, *, protocol: Protocol | None = None, group: ProcessGroup | None = None
) -> Workspace:
    """Read the labels and load the encoder; make the embedded benchmark's videos if they are asked for.

    Args:
        protocol: of a run that began before; its videos are then not looked for, as it may need few of them.
        group: the ranks that open it together: rank 0 makes or lists the videos, and the others take its list.

    Raises:
        DataError: the data cannot be used as they are.
        ConfigError: the classes do not fit the protocol, there is no such encoder or device, or the encoder takes
            other clips or does not compute in the precision.
    """
    if group is not None and group.size > 1:
        own = open_workspace(config, progress, protocol=protocol) if group.first else None
        listed = group.from_first(lambda: own and protocol_to_json(own.protocol, own.root))
        return own or open_workspace(config, progress, protocol=protocol_from_json(listed, data_root(config)))
    device = choose_device(config.training.device)
    # Lists and the store's place cost less than an encoder, and an encoder less than videos that are to be made.
    store = config.features.store
    if isinstance(store, str):
        refuse_unreachable(store)
    elif store is not None and not os.path.isdir(store):  # noqa: PTH112 - a Path raises where a name is too long
        refuse_unwritable(store / "store.json")
    known = protocol or _read_protocol(config, progress)
    encoder = None
    if config.data.kind != "features":
        encoder = open_encoder(config, device, progress)
        refuse_precision(config.features.precision, encoder)
    if protocol is None and config.data.kind == "moving-digits":
        known = _make_moving_digits(config, progress)
    return Workspace(config, data_root(config), known, _origin(config, encoder), encoder, device)


def open_encoder(config: RunConfig, device: torch.device, progress: Progress) -> Encoder:
    """Return the config's encoder on a device; a ConfigError if it takes other clips, and errors of `build_encoder`."""
    if config.encoder.choice is not None:
        progress.say(config.encoder.choice)
    encoder = build_encoder(config.encoder)
    encoder.check_frames(config.video.frames)
    return encoder.to(device)


def recipe_of(config: RunConfig, encoder: Encoder) -> Recipe:
    """Return what decides the value of a config's features."""
    video = config.video
    return build_recipe(config.features, encoder, augment=video.augment, frames=video.frames, seed=_VIEW_SEED)


def data_root(config: RunConfig) -> Root:
    """Return the folder or storage that video keys are relative to; without one in the config, a place in the cache."""
    if config.data.folder is not None:
        return config.data.folder
    key = sha256_of_json(config.data.moving_digits.model_dump())[:12]
    return cache_folder() / "data" / f"{_benchmark_name(config)}-{key}"


def _origin(config: RunConfig, encoder: Encoder | None) -> FeatureOrigin:
    if encoder is not None:
        return FeatureOrigin.of(encoder)
    assert config.data.path is not None, "the protocol was read from it"
    try:
        return FeatureOrigin(**imported_provenance(config.data.path)["encoder"])
    except (TypeError, ValueError) as error:
        raise StoreError(
            f"the store {config.data.path} is damaged ({error})", remedy="import its features again"
        ) from error


def _read_protocol(config: RunConfig, progress: Progress) -> Protocol:
    """Return the protocol; that of the embedded benchmark as it will be when its videos are made."""
    data = config.data
    data.require_places()
    if data.kind == "moving-digits":
        return config.protocol.cut(Listing.by_name(videos_to_make(data.moving_digits)), _benchmark_name(config))
    listing = load_listing(data)
    for note in listing.notes:
        progress.say(note)
    return config.protocol.cut(listing, data.kind)


def _make_moving_digits(config: RunConfig, progress: Progress) -> Protocol:
    root, name, digits = data_root(config), _benchmark_name(config), config.data.moving_digits
    assert isinstance(root, Path), "this kind takes no URL"
    with phase(progress, f"make {name}", 0):
        when_free(progress, make_moving_digits, root, digits, workers=cpu_cores(), progress=progress)
    return config.protocol.cut(load_listing(config.data.model_copy(update={"root": root})), name)


def _benchmark_name(config: RunConfig) -> str:
    return f"{config.data.kind}-untrimmed" if config.data.moving_digits.untrimmed else config.data.kind


def protocol_to_json(protocol: Protocol, root: Root) -> dict[str, Any]:
    """Return the protocol as JSON values, its videos' files relative to `root` where they are below it.

    A video is its label; with its file and segment where the key does not give them.
    """

    def entry(video: Video) -> str | list[Any]:
        file = video.file.removeprefix(f"{root}/")  # a locator that does not begin so is kept whole
        if file == video.key and video.segment is None:
            return video.label
        return [video.label, file, list(video.segment) if video.segment else None]

    def entries(videos: Sequence[Video]) -> dict[str, Any]:
        return {video.key: entry(video) for video in videos}

    return {
        "name": protocol.name,
        "id": protocol.id,
        "list_sha256": protocol.list_sha256,
        "passed_over": dict(protocol.passed_over),
        "tasks": [
            {"classes": list(task.classes), "train": entries(task.train), "test": entries(task.test)}
            for task in protocol.tasks
        ],
    }


def _file_again(root: Root, file: str) -> str:
    if isinstance(root, Path):
        if is_remote(file):
            raise ValueError(f"the videos are at an address, which data.url does not say: {file}")
        return str(root / file)  # an absolute path stays what it is
    if not is_remote(file):
        return f"{root}/{file}"
    return file if root.holds(file) else root.locator(root.name_of(file))


def protocol_from_json(content: Mapping[str, Any], root: Root) -> Protocol:
    """Undo `protocol_to_json`; the videos are below `root` whether they are there or not.

    No address is taken from the content: a locator of another storage gives its name, which is looked for in `root`.

    Raises:
        ValueError, KeyError, TypeError, AttributeError: it is something else.
    """

    def video(key: str, entry: str | list[Any], split: Split) -> Video:
        label, file, segment = (entry, key, None) if isinstance(entry, str) else entry
        return Video(key, _file_again(root, file), label, split, Segment(*segment) if segment else None)

    def videos(entries: Mapping[str, Any], split: Split) -> tuple[Video, ...]:
        return tuple(video(key, entry, split) for key, entry in entries.items())

    tasks = tuple(
        Task(index, tuple(task["classes"]), videos(task["train"], "train"), videos(task["test"], "test"))
        for index, task in enumerate(content["tasks"])
    )
    protocol = Protocol(content["name"], tasks, content.get("list_sha256"), content.get("passed_over", {}))
    if protocol.id != content["id"]:
        raise ValueError("its content does not match its id")
    return protocol
