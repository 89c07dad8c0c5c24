"""Data of the kind webdataset: labels beside the videos in tar shards, splits by the shards' names."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from essential.errors import ConfigError, DataError
from essential.protocols.protocol import Listing
from essential.protocols.webdataset import webdataset_listing
from essential.remote.copies import local_copy
from essential.remote.tar_shards import TarShards
from made_tars import write_tar

Shards = Callable[[Mapping[str, Mapping[str, bytes]]], TarShards]
ONE_TEST = {"test-0": {"t.mp4": b"t", "t.cls": b"jump"}}


@pytest.fixture
def shards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shards:
    """Return a function that writes shards, by their names without `.tar`, and opens them."""
    monkeypatch.setenv("ESSENTIAL_CACHE", str(tmp_path / "cache"))

    def made(content: Mapping[str, Mapping[str, bytes]]) -> TarShards:
        for name, files in content.items():
            write_tar(tmp_path / "shards" / f"{name}.tar", files)
        names = f"{{{','.join(content)}}}" if len(content) > 1 else next(iter(content))
        return TarShards(f"{tmp_path}/shards/{names}.tar")

    return made


def seen(listing: Listing) -> list[tuple[str, str, str]]:
    return [(video.key, video.label, video.split) for video in listing.videos]


def test_samples_have_their_label_beside_them_and_their_split_from_the_shard(shards: Shards) -> None:
    listing = webdataset_listing(
        shards(
            {
                "train-000": {"a/1.mp4": b"1", "a/1.txt": b"a person jumps", "a/1.cls": b"jump\n"},
                "train-001": {
                    "2.webm": b"2",
                    "2.json": b'{"label": "run", "id": 7}',
                    "3.MP4": b"3",
                    "3.txt": b"run",
                    "4.avi": b"4",
                    "4.json": b'{"caption": "a person runs"}',
                    "4.txt": b"jump",
                },
                "test-000": {"5.mp4": b"5", "5.cls": b"run"},
            }
        )
    )
    assert seen(listing) == [
        ("a/1.mp4", "jump", "train"),
        ("2.webm", "run", "train"),
        ("3.MP4", "run", "train"),
        ("4.avi", "jump", "train"),
        ("5.mp4", "run", "test"),
    ]
    assert listing.classes == ("jump", "run")
    assert listing.notes == []
    for video, content in zip(listing.videos, b"12345", strict=True):
        with local_copy(video.file) as path:
            assert path.read_bytes() == bytes([content])


def test_a_key_ends_at_the_first_dot_as_in_webdataset(shards: Shards) -> None:
    train = {"clip.480p.mp4": b"1", "clip.cls": b"jump", "other.caption.txt": b"a long text", "other.x.mp4": b"2"}
    listing = webdataset_listing(shards({"train": train | {"other.txt": b"run"}, **ONE_TEST}))
    assert seen(listing)[:2] == [("clip.480p.mp4", "jump", "train"), ("other.x.mp4", "run", "train")]
    with pytest.raises(DataError, match=r"'v' has two videos, 'v\.1\.mp4' and 'v\.2\.mp4': a key ends at the first"):
        webdataset_listing(shards({"train": {"v.1.mp4": b"", "v.2.mp4": b"", "v.cls": b"run"}, **ONE_TEST}))


def test_classes_that_are_numbers_stand_in_their_order(shards: Shards) -> None:
    train = {f"{number}.{kind}": str(number).encode() for number in (10, 9, 2) for kind in ("mp4", "cls")}
    listing = webdataset_listing(shards({"train": train, "test": {"t.mp4": b"", "t.json": b'{"label": 10}'}}))
    assert listing.classes == ("2", "9", "10")
    assert seen(listing)[-1] == ("t.mp4", "10", "test")


@pytest.mark.parametrize("val", ["val-1", "validation_1", "kinetics.val", "valid"])
def test_val_is_tested_on_where_there_is_no_test(shards: Shards, val: str) -> None:
    content = {"training-0": {"1.mp4": b"", "1.cls": b"run"}, val: {"2.mp4": b"", "2.cls": b"run"}}
    assert seen(webdataset_listing(shards(content)))[1] == ("2.mp4", "run", "test")
    both = content | {"test-9": {"3.mp4": b"", "3.cls": b"run"}}
    assert [key for key, *_ in seen(webdataset_listing(shards(both)))] == ["1.mp4", "3.mp4"]
    assert [key for key, *_ in seen(webdataset_listing(shards(both), "val"))] == ["1.mp4", "2.mp4"]
    with pytest.raises(ConfigError, match=r"data\.test_split=test: no shard of .* is called test; found: val"):
        webdataset_listing(shards(content), "test")


def test_a_split_may_be_a_folder_of_shards(shards: Shards) -> None:
    content = {"train/0": {"1.mp4": b"", "1.cls": b"run"}, "test/0": {"2.mp4": b"", "2.cls": b"run"}}
    assert [split for *_, split in seen(webdataset_listing(shards(content)))] == ["train", "test"]


@pytest.mark.parametrize("name", ["0001", "train-test-0", "latest", "strain", "testtrain"])
def test_a_shard_without_a_split_in_its_name_is_refused(shards: Shards, name: str) -> None:
    with pytest.raises(DataError, match=rf"does not say one of train, val and test: .*/{name}\.tar; call the shards"):
        webdataset_listing(shards({name: {"1.mp4": b""}}))


def test_shards_of_training_alone_are_refused(shards: Shards) -> None:
    with pytest.raises(ConfigError, match=r"is called test; found: training shards alone"):
        webdataset_listing(shards({"train": {"1.mp4": b"", "1.cls": b"run"}}))


def test_a_sample_without_a_label_is_refused(shards: Shards) -> None:
    train = {"1.mp4": b"", "1.cls": b"run", "2.mp4": b"", "2.json": b"{}", "3.mp4": b"", "3.cls": b"\n"}
    with pytest.raises(
        DataError, match=r"train\.tar: 2 of 3 samples have no label: '2\.mp4', '3\.mp4'; put KEY\.cls or KEY\.txt"
    ):
        webdataset_listing(shards({"train": train, **ONE_TEST}))


def test_a_label_that_is_no_name_of_a_class_is_refused(shards: Shards) -> None:
    train = {"1.mp4": b"", "1.txt": b"two\nlines"}
    with pytest.raises(DataError, match=r"train\.tar, 1\.mp4: 'two\\nlines' is no name for a class"):
        webdataset_listing(shards({"train": train, **ONE_TEST}))


def test_a_class_that_is_only_tested_is_refused(shards: Shards) -> None:
    with pytest.raises(DataError, match="no training clip for the class 'jump'"):
        webdataset_listing(shards({"train": {"1.mp4": b"", "1.cls": b"run"}, **ONE_TEST}))


def test_what_is_no_video_and_no_label_is_counted_and_told(shards: Shards) -> None:
    more = {
        "1.npy": b"",
        "1.jpg": b"",
        "1.srt": b"",
        "2.srt": b"",
        "3.cls": b"run",
        ".hidden.mp4": b"",
        "a/._1.mp4": b"",
    }
    listing = webdataset_listing(shards({"train": {"1.mp4": b"", "1.cls": b"jump", **more}, **ONE_TEST}))
    assert listing.passed_over.counts == {"hidden": 2, "labels of no video": 1, "no video by their extension": 4}
    assert listing.notes == [
        "passed over: 7 files or folders (2 hidden: '.hidden.mp4', 'a/._1.mp4'; 1 labels of no video: '3'; "
        "4 no video by their extension: .jpg, .npy, .srt)"
    ]
