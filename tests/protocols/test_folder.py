"""Videos in folders. Nothing is decoded: empty files do."""

import re
from pathlib import Path

import pytest

from essential.errors import DataError
from essential.protocols.folder import EXTENSIONS, folder_videos
from essential.protocols.protocol import Video

LAYOUT = "lay the videos out as train/<class>/* and test/<class>/*"


def _touch(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def _message(root: Path) -> str:
    with pytest.raises(DataError) as caught:
        folder_videos(root)
    return str(caught.value)


def test_videos_are_found_by_class_and_split(tmp_path: Path) -> None:
    root = _touch(tmp_path, "train/run/b.mp4", "train/run/a.AVI", "train/long jump/ü.webm", "test/run/c.mkv")
    assert folder_videos(root) == [
        Video("train/long jump/ü.webm", str(root / "train/long jump/ü.webm"), "long jump", "train"),
        Video("train/run/a.AVI", str(root / "train/run/a.AVI"), "run", "train"),
        Video("train/run/b.mp4", str(root / "train/run/b.mp4"), "run", "train"),
        Video("test/run/c.mkv", str(root / "test/run/c.mkv"), "run", "test"),
    ]


@pytest.mark.parametrize("extension", sorted(EXTENSIONS))
def test_every_extension_counts_in_any_case(extension: str, tmp_path: Path) -> None:
    root = _touch(tmp_path, f"train/a/1{extension}", f"train/a/2{extension.upper()}", "test/a/3.mp4")
    assert len(folder_videos(root)) == 3


def test_other_and_hidden_files_are_passed_over(tmp_path: Path) -> None:
    names = ("train/a/1.mp4", "test/a/1.mp4", "train/a/.2.mp4", "train/a/notes.txt", "train/.cache/x.mp4")
    root = _touch(tmp_path, *names, "train/readme.md", "classes.csv", "val/a/1.mp4")
    assert [video.key for video in folder_videos(root)] == ["train/a/1.mp4", "test/a/1.mp4"]


def test_a_class_without_test_clips_is_fine(tmp_path: Path) -> None:
    root = _touch(tmp_path, "train/a/1.mp4", "train/b/1.mp4", "test/a/1.mp4")
    assert {video.label for video in folder_videos(root)} == {"a", "b"}


def test_no_folder(tmp_path: Path) -> None:
    root = tmp_path / "nowhere"
    expected = f"data folder {root} does not exist; give an existing one as data.root, and {LAYOUT}"
    assert _message(root) == expected
    assert _message(_touch(tmp_path, "file") / "file").startswith(f"data folder {tmp_path / 'file'} does not exist")


@pytest.mark.parametrize(("there", "lacking"), [("test", "train"), ("train", "test")])
def test_one_of_the_two_parts_is_missing(there: str, lacking: str, tmp_path: Path) -> None:
    root = _touch(tmp_path, f"{there}/a/1.mp4")
    assert _message(root) == f"data folder {root} has no folder {lacking!r}; {LAYOUT}"


def test_an_empty_folder(tmp_path: Path) -> None:
    assert _message(tmp_path) == f"data folder {tmp_path} has no folder 'train'; {LAYOUT}"


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_part_without_classes(split: str, tmp_path: Path) -> None:
    root = _touch(tmp_path, "train/a/1.mp4", "test/a/1.mp4")
    (root / split / "a" / "1.mp4").rename(root / split / "1.mp4")
    (root / split / "a").rmdir()
    assert _message(root) == f"{root / split} holds no class folder; {LAYOUT}"


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_class_folder_without_a_video(split: str, tmp_path: Path) -> None:
    root = _touch(tmp_path, "train/a/1.mp4", "test/a/1.mp4", f"{split}/b/1.txt")
    expected = f"class folder {root / split / 'b'} holds no video ({', '.join(sorted(EXTENSIONS))}); add clips, or "
    assert _message(root).startswith(expected)


def test_one_class_without_training_clips(tmp_path: Path) -> None:
    root = _touch(tmp_path, "train/a/1.mp4", "test/a/1.mp4", "test/b/1.mp4")
    advice = "add training clips, or take the class out of the test split"
    assert _message(root) == f"{root}: no training clip for the class 'b'; {advice}"


def test_several_classes_without_training_clips(tmp_path: Path) -> None:
    root = _touch(tmp_path, "train/a/1.mp4", "test/c/1.mp4", "test/b/1.mp4")
    with pytest.raises(DataError, match=re.escape("no training clip for the classes 'b', 'c'; add training clips")):
        folder_videos(root)
