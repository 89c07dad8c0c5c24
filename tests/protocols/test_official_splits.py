"""The split files of UCF101, HMDB51 and Something-Something V2, well formed and not."""

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from essential.errors import DataError
from essential.protocols.listed import ListedVideo
from essential.protocols.official_splits import hmdb51_split, ssv2_split, ucf101_split
from essential.protocols.source import DataConfig, load_listing
from official_lists import ODD_NAME, hmdb51_classes, write_hmdb51, write_ssv2, write_ucf101

CLASSES = ("ApplyEyeMakeup", "Archery", "HandstandPushups")
TEMPLATES = ("Holding [something] next to [something]", "Closing [something]", "Doing nothing")
LABELS = ("Holding something next to something", "Closing something", "Doing nothing")


def _message(read: Callable[[], Any]) -> str:
    with pytest.raises(DataError) as caught:
        read()
    return str(caught.value)


@pytest.mark.parametrize("ends", ["\n", "\r\n", " \r\n\r\n"])
@pytest.mark.parametrize("split", [1, 3])
def test_ucf101(ends: str, split: int, tmp_path: Path) -> None:
    write_ucf101(tmp_path, CLASSES, split=split, ends=ends)
    listed, classes = ucf101_split(tmp_path, split)
    assert classes == CLASSES
    assert listed == [
        *(ListedVideo(f"{name}/v_{name}_g08_c01.avi", name, "train") for name in CLASSES),
        *(ListedVideo(f"{name}/v_{name}_g01_c01.avi", name, "test") for name in CLASSES),
    ]


def test_ucf101_classes_stand_by_number_not_by_name(tmp_path: Path) -> None:
    backwards = tuple(reversed(CLASSES))
    assert ucf101_split(write_ucf101(tmp_path, backwards), 1)[1] == backwards


def test_hmdb51(tmp_path: Path) -> None:
    write_hmdb51(tmp_path, split=2)
    with (tmp_path / "brush_hair_test_split2.txt").open("a") as file:
        file.write(f"{ODD_NAME} 1 \n")
    (tmp_path / "._brush_hair_test_split2.txt").write_bytes(b"\0\xff")
    listed, classes = hmdb51_split(tmp_path, 2)
    assert list(classes) == sorted(hmdb51_classes())
    assert len(listed) == 103
    assert listed[:3] == [
        ListedVideo("brush_hair/brush_hair_a.avi", "brush_hair", "train"),
        ListedVideo("brush_hair/brush_hair_b.avi", "brush_hair", "test"),
        ListedVideo(f"brush_hair/{ODD_NAME}", "brush_hair", "train"),
    ]


@pytest.mark.parametrize("prefix", ["something-something-v2-", ""])
def test_ssv2(prefix: str, tmp_path: Path) -> None:
    listed, classes = ssv2_split(write_ssv2(tmp_path, TEMPLATES, prefix=prefix))
    assert classes == LABELS
    assert listed == [
        *(ListedVideo(str(100 + number), name, "train") for number, name in enumerate(LABELS)),
        *(ListedVideo(str(200 + number), name, "test") for number, name in enumerate(LABELS)),
    ]


@pytest.mark.parametrize("kind", ["ucf101", "hmdb51", "ssv2"])
@pytest.mark.parametrize("where", ["root", "below the root", "annotations"])
def test_the_kinds_of_data_read_them(kind: Any, where: str, tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    folder = {"root": root, "below the root": root / "lists", "annotations": tmp_path / "lists"}[where]
    writers = {
        "ucf101": lambda: write_ucf101(folder, CLASSES),
        "hmdb51": lambda: write_hmdb51(folder),
        "ssv2": lambda: write_ssv2(folder, TEMPLATES),
    }
    writers[kind]()
    names = {"ucf101": "Archery/v_Archery_g01_c01.avi", "hmdb51": "brush_hair/brush_hair_b.avi", "ssv2": "201"}
    file = root / f"{names[kind].removesuffix('.avi')}.webm"
    file.parent.mkdir(exist_ok=True)
    file.touch()
    listing = load_listing(DataConfig(kind=kind, root=root, annotations=folder if where == "annotations" else None))
    found = [video for video in listing.videos if video.path.exists()]
    assert [(video.key, video.file, video.split) for video in found] == [(names[kind], str(file), "test")]
    assert len(listing.classes) == {"ucf101": 3, "hmdb51": 51, "ssv2": 3}[kind]
    assert len(listing.videos) == 2 * len(listing.classes)


@pytest.mark.parametrize(
    ("file", "line", "expected"),
    [
        ("classInd.txt", "Archery", "line 4: 'Archery': write a class as its number and its name"),
        ("classInd.txt", "4 Long Jump", "line 4: '4 Long Jump': write a class as its number and its name"),
        ("classInd.txt", "5 Jump", "line 4: '5 Jump': the class 'Jump' has number 5, and 4 is next"),
        ("classInd.txt", "4 Archery", "line 4: '4 Archery': the class 'Archery' is listed before, as number 2"),
        ("classInd.txt", "4 Jump", "no training clip for the class 'Jump'"),
        ("trainlist01.txt", "Archery/v.avi", "line 4: 'Archery/v.avi': write a video as class/file and the class's"),
        ("trainlist01.txt", "v.avi 2", "line 4: 'v.avi 2': write a video as class/file and the class's number"),
        ("trainlist01.txt", "a/Archery/v.avi 2", "line 4: 'a/Archery/v.avi 2': write a video as class/file"),
        ("trainlist01.txt", "Archery/v.avi two", "line 4: 'Archery/v.avi two': write a video as class/file"),
        ("trainlist01.txt", "Jump/v.avi 2", "line 4: 'Jump/v.avi 2': the class 'Jump' is not in "),
        ("trainlist01.txt", "Archery/v.avi 3", "the class 'Archery' has number 3 here and 2 in "),
        ("trainlist01.txt", "Archery/v\0.avi 2", "line 4: 'Archery/v\\x00.avi 2': the line holds a NUL"),
        ("testlist01.txt", "Archery/v.avi 3", "the class 'Archery' has number 3 here and 2 in "),
        ("testlist01.txt", "v.avi", "line 4: 'v.avi': write a video as class/file, such as"),
        (
            "testlist01.txt",
            "Archery/v_Archery_g08_c01.avi",
            "line 4: 'Archery/v_Archery_g08_c01.avi': video 'Archery/v_Archery_g08_c01.avi' is listed before, in "
            "trainlist01.txt, line 2; a video is listed once and has one split",
        ),
        ("testlist01.txt", "Archery/v_Archery_g01_c01.avi", "is listed before, in testlist01.txt, line 2"),
    ],
)
def test_a_ucf101_line_that_is_wrong(file: str, line: str, expected: str, tmp_path: Path) -> None:
    write_ucf101(tmp_path, CLASSES)
    with (tmp_path / file).open("a") as stream:
        stream.write(f"{line}\n")
    message = _message(lambda: ucf101_split(tmp_path, 1))
    assert expected in message
    assert str(tmp_path) in message


@pytest.mark.parametrize("line", ["a.avi", "a.avi 3", "1", "a.avi 1 2x", "x/a.avi 1"])
def test_an_hmdb51_line_that_is_wrong(line: str, tmp_path: Path) -> None:
    write_hmdb51(tmp_path)
    path = tmp_path / "cartwheel_test_split1.txt"
    path.write_text(f"good.avi 1\n{line}\n")
    assert _message(lambda: hmdb51_split(tmp_path, 1)).startswith(
        f"{path}, line 2: {line!r}: write a video as its file"
    )


def test_an_hmdb51_video_listed_twice(tmp_path: Path) -> None:
    write_hmdb51(tmp_path)
    path = tmp_path / "cartwheel_test_split1.txt"
    path.write_text("a.avi 1\na.avi 2\n")
    assert "line 2: 'a.avi 2': video 'cartwheel/a.avi' is listed before" in _message(lambda: hmdb51_split(tmp_path, 1))


def test_an_hmdb51_class_without_its_file(tmp_path: Path) -> None:
    write_hmdb51(tmp_path)
    (tmp_path / "cartwheel_test_split1.txt").unlink()
    message = _message(lambda: hmdb51_split(tmp_path, 1))
    assert message.startswith(f"{tmp_path} holds 50 files <class>_test_split1.txt, but HMDB51 has 51 classes")


@pytest.mark.parametrize(
    ("file", "content", "expected"),
    [
        ("labels", "{", "labels.json, line 1, column 2: not valid JSON ("),
        ("labels", "{", "); unpack the file again"),
        (
            "labels",
            "[" * 100_000,
            "holds what no such file has: it is nested deeper than 50 levels; unpack the file again",
        ),
        ("labels", "[]", "holds no entry ([]); it must hold an object of labels"),
        ("labels", '{"a": "0", "b": "2"}', "label 'b' has number '2'; the 2 labels must be numbered from '0' to '1'"),
        ("labels", '{"a": "0", "b": "0"}', "label 'b' has number '0'"),
        ("labels", '{"a": 0}', "label 'a' has number 0"),
        ("labels", '{"a": "\u00b2"}', "label 'a' has number '\u00b2'"),
        ("train", "{}", "holds no entry ({}); it must hold a list of videos"),
        ("train", '"x"', "holds a JSON str; it must hold a list of videos"),
        ("train", "[7]", "entry 1: id is None; it must be text"),
        ("train", '[{"id": 7, "template": "Doing nothing"}]', "entry 1: id is 7; it must be text"),
        ("train", '[{"id": "7"}]', "entry 1: template is None; it must be text"),
        (
            "train",
            '[{"id": "7", "template": "Eating [something]"}]',
            "entry 1: template 'Eating [something]' of video '7' is, without its brackets, not one of the 3 labels",
        ),
        ("train", '[{"id": "7", "template": "Doing nothing"}]', "no training clip for 2 classes: 'Closing"),
        ("validation", '[{"id": "101", "template": "Doing nothing"}]', "entry 1: video '101' is listed before, in "),
    ],
)
def test_ssv2_json_that_is_wrong(file: str, content: str, expected: str, tmp_path: Path) -> None:
    write_ssv2(tmp_path, TEMPLATES, prefix="")
    (tmp_path / f"{file}.json").write_text(content, encoding="utf-8")
    message = _message(lambda: ssv2_split(tmp_path))
    assert expected in message
    assert str(tmp_path) in message


def _ucf101(place: Path) -> Any:
    return ucf101_split(place, 1)


def _hmdb51(place: Path) -> Any:
    return hmdb51_split(place, 1)


@pytest.mark.parametrize(
    ("read", "pattern"),
    [(_ucf101, "classInd.txt"), (_hmdb51, "*_test_split1.txt"), (ssv2_split, "*labels.json")],
)
def test_files_that_are_not_there(read: Callable[[Path], Any], pattern: str, tmp_path: Path) -> None:
    nowhere = tmp_path / "none"
    assert _message(lambda: read(nowhere)).startswith(f"the folder {nowhere} does not exist; give the folder of ")
    message = _message(lambda: read(tmp_path))
    assert message.startswith(f"{pattern} is not in {tmp_path}, nor in a folder right below; unpack ")
    assert message.endswith("-s data.annotations=DIR")
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / pattern.replace("*", "x")).touch()
    assert _message(lambda: read(tmp_path)).startswith(f"{pattern} is in {tmp_path / 'a'} and in {tmp_path / 'b'}; say")


@pytest.mark.parametrize("read", [_ucf101, _hmdb51, ssv2_split])
@pytest.mark.parametrize("name", ["", "b"])
def test_a_folder_that_cannot_be_listed(
    read: Callable[[Path], Any], name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    listed = os.scandir

    def refuse(path: Any) -> Any:
        if Path(path) == tmp_path / name:
            raise PermissionError(errno.EACCES, "Permission denied")
        return listed(path)

    monkeypatch.setattr(os, "scandir", refuse)
    expected = f"{tmp_path / name} cannot be read (Permission denied); make it readable"
    assert _message(lambda: read(tmp_path)) == expected


@pytest.mark.parametrize("name", ["trainlist01.txt", "testlist01.txt"])
def test_a_list_that_is_missing_empty_or_no_text(name: str, tmp_path: Path) -> None:
    path = write_ucf101(tmp_path, CLASSES) / name
    path.write_bytes(b"\xff\xfe")
    assert _message(lambda: ucf101_split(tmp_path, 1)) == f"{path} is not UTF-8 text (byte 0); unpack the file again"
    path.write_text("\r\n \r\n")
    assert _message(lambda: ucf101_split(tmp_path, 1)) == f"{path} is empty; unpack the file again"
    path.unlink()
    assert _message(lambda: ucf101_split(tmp_path, 1)).startswith(f"{path} does not exist; unpack all the split files")
    path.mkdir()
    assert _message(lambda: ucf101_split(tmp_path, 1)).startswith(f"{path} cannot be read: Is a directory; give")


def test_a_video_number_that_json_repeats_is_found(tmp_path: Path) -> None:
    write_ssv2(tmp_path, TEMPLATES)
    path = tmp_path / "something-something-v2-train.json"
    entries = json.loads(path.read_text())
    path.write_text(json.dumps([*entries, entries[1]]))
    assert f"{path}, entry 4: video '101' is listed before, in {path.name}" in _message(lambda: ssv2_split(tmp_path))
