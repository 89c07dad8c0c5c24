"""Videos in folders. Nothing is decoded: empty files do."""

import os
import re
from pathlib import Path

import pytest

from essential.engine.workspace import protocol_from_json, protocol_to_json
from essential.errors import DataError
from essential.learner.clips import clips_by_class
from essential.protocols.folder import folder_listing
from essential.protocols.protocol import Video, build_protocol
from essential.protocols.video_walk import EXTENSIONS

LAYOUT = "lay the videos out as train/<class>/* and test/<class>/*"


def _touch(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def _message(root: Path) -> str:
    with pytest.raises(DataError) as caught:
        folder_listing(root)
    return str(caught.value)


def test_videos_are_found_by_class_and_split(tmp_path: Path) -> None:
    root = _touch(tmp_path, "train/run/b.mp4", "train/run/a.AVI", "train/long jump/ü.webm", "test/run/c.mkv")
    assert folder_listing(root).videos == [
        Video("train/long jump/ü.webm", str(root / "train/long jump/ü.webm"), "long jump", "train"),
        Video("train/run/a.AVI", str(root / "train/run/a.AVI"), "run", "train"),
        Video("train/run/b.mp4", str(root / "train/run/b.mp4"), "run", "train"),
        Video("test/run/c.mkv", str(root / "test/run/c.mkv"), "run", "test"),
    ]


@pytest.mark.parametrize("extension", sorted(EXTENSIONS))
def test_every_extension_counts_in_any_case(extension: str, tmp_path: Path) -> None:
    root = _touch(tmp_path, f"train/a/1{extension}", f"train/a/2{extension.upper()}", "test/a/3.mp4")
    assert len(folder_listing(root).videos) == 3


def test_what_is_passed_over_is_counted_by_reason_and_told_in_one_line(tmp_path: Path) -> None:
    names = ("train/a/1.mp4", "test/a/1.mp4", "train/a/.2.mp4", "train/a/notes.txt", "train/.cache/x.mp4")
    system = (
        "train/__MACOSX/a/._1.mp4",
        "train/a/@eaDir/2.mp4",
        "test/a/Thumbs.db",
        "test/a/._1.mp4",
        "test/lost+found/x",
    )
    root = _touch(tmp_path, *names, *system, "train/readme.md", "train/LICENSE", "classes.csv", "val/a/1.mp4")
    (root / "train/a/fetched.mp4").symlink_to("../../.annex/nowhere")
    os.mkfifo(root / "test/a/pipe.mp4")
    (root / "test/a/again").symlink_to(root / "test/a", target_is_directory=True)
    (root / "test/b").symlink_to(root / "test/a", target_is_directory=True)
    with pytest.raises(DataError, match=r"test/b holds no video \(passed over: .*1 found already, by another path: "):
        folder_listing(root)
    (root / "test/b").unlink()
    listing = folder_listing(root)
    assert [video.key for video in listing.videos] == ["train/a/1.mp4", "test/a/1.mp4"]
    counts = {
        "beside the folders train and test": 2,
        "hidden": 2,
        "link to nothing, its content not fetched": 1,
        "no video by their extension": 3,
        "not a file but a pipe, a socket or a device": 1,
        "of an operating system": 5,
    }
    assert listing.passed_over.counts == counts
    (line,) = listing.notes
    assert line.startswith("passed over: 14 files or folders (2 beside the folders train and test: ")
    assert f"1 link to nothing, its content not fetched: '{root}/train/a/fetched.mp4'; " in line
    assert "3 no video by their extension: .md, .txt, none; " in line
    assert f"1 not a file but a pipe, a socket or a device: '{root}/test/a/pipe.mp4'; " in line
    protocol = build_protocol("folder", listing, tasks=1)
    assert protocol.passed_over == counts
    assert protocol_from_json(protocol_to_json(protocol, root), root).passed_over == counts


def test_what_learn_takes_train_takes_too(tmp_path: Path) -> None:
    names = ("a/1.mp4", "a/session2/2.mp4", "a/frames/img_00001.jpg", "b/00001.png", "b/notes.txt", "a/session2/3.jpg")
    root = _touch(tmp_path, *(f"{split}/{name}" for split in ("train", "test") for name in names))
    listing = folder_listing(root)
    keys = ["train/a/1.mp4", "train/a/frames", "train/a/session2/2.mp4", "train/b"]
    assert [video.key for video in listing.videos if video.split == "train"] == keys
    assert clips_by_class(root / "train").videos == {
        name: [video.path for video in listing.videos if video.split == "train" and video.label == name]
        for name in "ab"
    }
    assert listing.passed_over.counts == {"no video by their extension": 2}


def test_the_line_of_what_is_passed_over_names_a_few_of_many_extensions(tmp_path: Path) -> None:
    names = [f"train/a/1.r{number:02d}" for number in range(40)]
    listing = folder_listing(_touch(tmp_path, "train/a/1.mp4", "test/a/1.mp4", *names))
    assert listing.notes[0].endswith("(40 no video by their extension: .r00, .r01, .r02, .r03, .r04, ...)")


def test_one_name_in_two_forms_is_one_class(tmp_path: Path) -> None:
    root = _touch(tmp_path, "train/\u00dcbung/1.mp4", "train/U\u0308bung/2.mp4", "train/b 1 /1.mp4", "test/b 1/1.mp4")
    _touch(root, "train/B 01/1.mp4")
    listing = folder_listing(root)
    assert listing.classes == ("B 01", "b 1", "\u00dcbung")
    (warning,) = listing.notes
    assert warning == "warning: the classes 'B 01' and 'b 1' differ only in case or zeros; they are kept apart"


def test_a_class_without_test_clips_is_fine(tmp_path: Path) -> None:
    root = _touch(tmp_path, "train/a/1.mp4", "train/b/1.mp4", "test/a/1.mp4")
    assert {video.label for video in folder_listing(root).videos} == {"a", "b"}


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
    assert _message(root) == f"{root / split / '1.mp4'} is in no class's folder; {LAYOUT}"
    (root / split / "1.mp4").rename(root / "1.mp4")
    assert _message(root) == f"{root / split} holds no class folder; {LAYOUT}"


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_class_folder_without_a_video(split: str, tmp_path: Path) -> None:
    root = _touch(tmp_path, "train/a/1.mp4", "test/a/1.mp4", f"{split}/b/1.txt")
    passed_over = "passed over: 1 file or folder (1 no video by their extension: .txt)"
    expected = f"class folder {root / split / 'b'} holds no video ({passed_over}); {LAYOUT}, or delete the folder"
    assert _message(root) == expected


def test_one_class_without_training_clips(tmp_path: Path) -> None:
    root = _touch(tmp_path, "train/a/1.mp4", "test/a/1.mp4", "test/b/1.mp4")
    advice = "add training clips, or take the class out of the test split"
    assert _message(root) == f"{root}: no training clip for the class 'b'; {advice}"


def test_several_classes_without_training_clips(tmp_path: Path) -> None:
    root = _touch(tmp_path, "train/a/1.mp4", "test/c/1.mp4", "test/b/1.mp4")
    with pytest.raises(DataError, match=re.escape("no training clip for 2 classes: 'b', 'c'; add training clips")):
        folder_listing(root)
