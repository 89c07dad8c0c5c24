"""Samples in tar shards of WebDataset form: `KEY.mp4` with its label beside it, split by the names of the shards.

A sample is what shares a key: the path up to the first dot of the file's name. Its label is the text of `KEY.cls`, else
the "label" in `KEY.json`, else the text of `KEY.txt`: the class's name or number.
"""

import re
from collections.abc import Mapping

from essential.errors import ConfigError, DataError
from essential.protocols.class_names import class_name
from essential.protocols.listed import ListedSplit, refuse_untrained
from essential.protocols.protocol import Listing, Video
from essential.protocols.source import DataConfig, Dataset, TestSplit
from essential.protocols.video_walk import HIDDEN, NO_VIDEO, PassedOver, bare_name
from essential.remote.storage import open_storage
from essential.remote.tar_index import TarIndex
from essential.remote.tar_shards import TarShards
from essential.shown import named

_NO_VIDEO_BESIDE = "labels of no video"
_SPLIT = re.compile(r"(?<![a-z])(train|val|test)(?:ing|id|idation)?(?![a-z])")
_LABELS = ("cls", "json", "txt")


def webdataset_listing(shards: TarShards, test_split: TestSplit = "auto") -> Listing:
    """Return the labelled videos of the shards of train and of the split that is tested on.

    Args:
        shards: the tar files.
        test_split: `auto` is test, or val where no shard is of test.

    Raises:
        ConfigError: there is no such split.
        DataError: a shard cannot be used, or its name says no split; a sample has no label, or two videos; a class has
            no training clip.
    """
    shards.files()  # each name is in one shard
    splits = {place: _split_of(place) for place in shards.indexes}
    present = [split for split in ("val", "test") if split in splits.values()]
    tested = test_split if test_split != "auto" else next(iter(present[::-1]), "test")
    if tested not in present:
        found = " and ".join(present) or "training shards alone"
        raise ConfigError(f"data.test_split={test_split}: no shard of {shards.url} is called {tested}; found: {found}")
    passed_over, videos = PassedOver(), list[Video]()
    for place, index in shards.indexes.items():
        split = splits[place]
        if split in ("train", tested):
            for name, label in _samples(index, place, passed_over):
                videos.append(Video(name, shards.locator(name), label, "train" if split == "train" else "test"))
    refuse_untrained(videos, shards.url)
    classes = {video.label for video in videos}
    in_order = sorted(classes, key=int) if all(map(str.isdecimal, classes)) else sorted(classes)
    return Listing(videos, tuple(in_order), passed_over=passed_over)


def _split_of(place: str) -> ListedSplit:
    """Return the split that a shard's name says, else its folder's."""
    for part in place.lower().split("/")[:-3:-1]:
        found = {match[1] for match in _SPLIT.finditer(part)}
        for split in ("train", "val", "test"):
            if found == {split}:
                return split
        if found:
            break
    raise DataError(
        f"the shard's name does not say one of train, val and test: {place}",
        remedy="call the shards train-000.tar, test-000.tar and so on",
    )


def _samples(index: TarIndex, place: str, passed_over: PassedOver) -> list[tuple[str, str]]:
    """Return the name and the label of each sample's video, in the order of the shard."""
    video_of: dict[str, str] = {}
    labels: dict[str, dict[str, str | None]] = {}
    for name in index.names:
        folder, slash, file = name.rpartition("/")
        base, _, extension = file.partition(".")
        key = f"{folder}{slash}{base}"
        if not base:
            passed_over.add(HIDDEN, name)
        elif extension in _LABELS:
            labels.setdefault(key, {})[extension] = index.labels[name]
        elif bare_name(file) is file:
            passed_over.add(NO_VIDEO, name)
        elif video_of.setdefault(key, name) != name:
            problem = f"the sample {key!r} has two videos, {video_of[key]!r} and {name!r}: a key ends at the first dot"
            raise DataError(problem, where=place, remedy="give each video a key and a label of its own")
    for key in labels.keys() - video_of.keys():
        passed_over.add(_NO_VIDEO_BESIDE, key)
    return [(name, class_name(label, f"{place}, {name}")) for name, label in _labelled(video_of, labels, place)]


def _labelled(
    video_of: Mapping[str, str], labels: Mapping[str, Mapping[str, str | None]], place: str
) -> list[tuple[str, str]]:
    found, bare = list[tuple[str, str]](), list[str]()
    for key, name in video_of.items():
        of_sample = labels.get(key, {})
        label = next((text for kind in _LABELS if (text := of_sample.get(kind)) is not None), None)
        if label is None:
            bare.append(name)
        else:
            found.append((name, label))
    if bare:
        problem = f"{len(bare)} of {len(video_of)} samples have no label: {named(bare)}"
        remedy = 'put KEY.cls or KEY.txt with the class beside KEY.mp4, or KEY.json with a "label", and pack again'
        raise DataError(problem, where=place, remedy=remedy)
    return found


def _listing(config: DataConfig) -> Listing:
    shards = None if config.url is None else open_storage(config.url)
    if not isinstance(shards, TarShards):
        example = "-s 'data.url=/data/{train-{000..099},test-{000..009}}.tar'"
        raise ConfigError(f"data.kind=webdataset needs tar shards: {example}")
    return webdataset_listing(shards, config.test_split)


WEBDATASET = Dataset("tar shards of samples with their labels", (), _listing, takes_url=True)
