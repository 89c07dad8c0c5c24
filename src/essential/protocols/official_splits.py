"""The official split files of TCD's data sets, read as they are published, into listed videos and class numbers.

UCF101  classInd.txt; trainlist0N.txt, testlist0N.txt            (ucfTrainTestlist/)
HMDB51  <class>_test_splitN.txt, a file for each of 51 classes   (testTrainMulti_7030_splits/)
SSv2    *labels.json, *train.json, *validation.json, under their older or newer names

They are in the folder given, or in one right below it.
"""

import fnmatch
import os
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from essential.errors import DataError
from essential.protocols.listed import ListedSplit, ListedVideo, check_name, refuse_untrained
from essential.protocols.places import locate_videos
from essential.protocols.protocol import Listing
from essential.protocols.source import DataConfig, Dataset
from essential.protocols.text_files import Line, bytes_of, json_of, refuse_repeats, text_of

OfficialSplit = tuple[list[ListedVideo], tuple[str, ...]]
_Listed = tuple[Line, ListedVideo]
_AGAIN = "unpack the file again"

_HMDB51_CLASSES = 51
_HMDB51_SPLITS: dict[str, ListedSplit | None] = {"0": None, "1": "train", "2": "test"}
_UCF101_CLASS = re.compile(r"([0-9]{1,6})\s+(\S+)")
_UCF101_VIDEO = re.compile(r"([^/]+)/([^/]+?)(?:\s+([0-9]{1,6}))?")
# As the data set was published first, and as it is handed out now.
_SSV2_PREFIXES = ("something-something-v2-", "")
_SSV2_NUMBER = re.compile("[0-9]{1,6}")
_SSV2_BRACKETS = str.maketrans("", "", "[]")


def ucf101_split(place: Path, split: int) -> OfficialSplit:
    """Return split 1, 2 or 3 of UCF101 and its classes, numbered as in `classInd.txt`."""
    folder = find_folder(place, "classInd.txt", "UCF101's split files (ucfTrainTestlist)")
    numbers = _ucf101_classes(folder / "classInd.txt")
    train = list(_ucf101_videos(folder / f"trainlist0{split}.txt", "train", numbers))
    test = list(_ucf101_videos(folder / f"testlist0{split}.txt", "test", numbers))
    return _split([*train, *test], tuple(numbers), folder)


def hmdb51_split(place: Path, split: int) -> OfficialSplit:
    """Return split 1, 2 or 3 of HMDB51, without the videos that it does not use, and the classes, by name."""
    suffix = f"_test_split{split}.txt"
    folder = find_folder(place, f"*{suffix}", "HMDB51's split files (testTrainMulti_7030_splits)")
    files = _files_like(f"*{suffix}", folder)
    if len(files) != _HMDB51_CLASSES:
        raise DataError(
            f"{folder} holds {len(files)} files <class>{suffix}, but HMDB51 has {_HMDB51_CLASSES} classes with a file "
            "each; unpack the split files again"
        )
    classes = tuple(path.name.removesuffix(suffix) for path in files)
    entries = [entry for path, label in zip(files, classes, strict=True) for entry in _hmdb51_videos(path, label)]
    return _split(entries, classes, folder)


def ssv2_split(place: Path) -> OfficialSplit:
    """Return the training and the validation videos, on which is tested, and the classes by their number.

    A video's class is its template without the square brackets. The test videos have no public labels.
    """
    folder = find_folder(place, "*labels.json", "Something-Something V2's annotations")
    prefix = next((prefix for prefix in _SSV2_PREFIXES if (folder / f"{prefix}labels.json").exists()), "")
    classes = _ssv2_classes(folder / f"{prefix}labels.json")
    training = list(_ssv2_videos(folder / f"{prefix}train.json", "train", classes))
    tests = list(_ssv2_videos(folder / f"{prefix}validation.json", "test", classes))
    return _split([*training, *tests], classes, folder)


def find_folder(place: Path, pattern: str, what: str) -> Path:
    """Return the folder with files named like `pattern`, called `what`: `place`, or the only one right below it."""
    setting = "-s data.annotations=DIR"
    if not place.is_dir():
        raise DataError(f"the folder {place} does not exist; give the folder of {what}: {setting}")
    for folders in ([place], sorted(place / entry.name for entry in _entries(place) if entry.is_dir())):
        found = [folder for folder in folders if _files_like(pattern, folder)]
        if len(found) > 1:
            raise DataError(f"{pattern} is in {found[0]} and in {found[1]}; say where {what} are: {setting}")
        if found:
            return found[0]
    raise DataError(
        f"{pattern} is not in {place}, nor in a folder right below",
        remedy=f"unpack {what} there, or give their folder: {setting}",
    )


def _files_like(pattern: str, folder: Path) -> list[Path]:
    names = fnmatch.filter((entry.name for entry in _entries(folder)), pattern)
    return [folder / name for name in sorted(names) if (folder / name).is_file()]


def _entries(folder: Path) -> list["os.DirEntry[str]"]:
    """Return what is in a folder, hidden things apart."""
    try:
        with os.scandir(folder) as entries:
            return [entry for entry in entries if entry.name[0] != "."]
    except OSError as error:
        raise DataError(f"{folder} cannot be read ({error.strerror})", remedy="make it readable") from None


def split_text(path: Path) -> str:
    """Return the text of a split file."""
    content = bytes_of(path, absent=f"unpack all the split files into {path.parent}")
    return text_of(content, str(path), _AGAIN)


def _lines(path: Path) -> Iterator[Line]:
    """Give the lines of a file that are not empty, whatever ends them; there is one at least, and none has a NUL."""
    empty = True
    for number, text in enumerate(re.split("\r\n|\r|\n", split_text(path)), start=1):
        line = Line(str(path), f"line {number}", text.strip())
        if "\0" in text:
            raise line.error("the line holds a NUL character", _AGAIN)
        if line.text:
            empty = False
            yield line
    if empty:
        raise DataError(f"{path} is empty", remedy=_AGAIN)


def _split(entries: Sequence[_Listed], classes: tuple[str, ...], folder: Path) -> OfficialSplit:
    refuse_repeats((line, video.name) for line, video in entries)
    listed = [video for _, video in entries]
    refuse_untrained(listed, str(folder), classes=classes)
    return listed, classes


def _ucf101_classes(path: Path) -> dict[str, int]:
    numbers: dict[str, int] = {}
    for line in _lines(path):
        match = _UCF101_CLASS.fullmatch(line.text)
        if match is None:
            raise line.error("write a class as its number and its name, such as '1 ApplyEyeMakeup'")
        number, name = int(match[1]), match[2]
        if name in numbers:
            raise line.error(f"the class {name!r} is listed before, as number {numbers[name]}", "keep one of the lines")
        if number != len(numbers) + 1:
            problem = f"the class {name!r} has number {number}, and {len(numbers) + 1} is next"
            raise line.error(problem, "number from 1 on")
        numbers[name] = number
    return numbers


def _ucf101_videos(path: Path, split: ListedSplit, numbers: dict[str, int]) -> Iterator[_Listed]:
    for line in _lines(path):
        match = _UCF101_VIDEO.fullmatch(line.text)
        if match is None or (match[3] is None and split == "train"):
            number = " and the class's number" if split == "train" else ""
            example = "ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi" + (" 1" if number else "")
            raise line.error(f"write a video as class/file{number}, such as '{example}'")
        label, classes = match[1], path.parent / "classInd.txt"
        if label not in numbers:
            raise line.error(f"the class {label!r} is not in {classes}", "fix one of the two")
        if match[3] is not None and int(match[3]) != numbers[label]:
            problem = f"the class {label!r} has number {match[3]} here and {numbers[label]} in {classes}"
            raise line.error(problem, "fix one of the two")
        yield line, ListedVideo(f"{label}/{match[2]}", label, split)


def _hmdb51_videos(path: Path, label: str) -> Iterator[_Listed]:
    for line in _lines(path):
        name, number = (*line.text.rsplit(maxsplit=1), "")[:2]
        if number not in _HMDB51_SPLITS or "/" in name:
            raise line.error(
                "write a video as its file and 1 (training), 2 (test) or 0 (not used), such as 'clip.avi 1'"
            )
        split = _HMDB51_SPLITS[number]
        if split is not None:
            yield line, ListedVideo(f"{label}/{name}", label, split)


def _ssv2_classes(path: Path) -> tuple[str, ...]:
    content = _ssv2_json(path, dict, "an object of labels, such as {'Bending something': '0'}")
    numbers: dict[int, str] = {}
    for name, value in content.items():
        number = int(value) if isinstance(value, str) and _SSV2_NUMBER.fullmatch(value) else -1
        if not 0 <= number < len(content) or number in numbers:
            raise DataError(
                f"{path}: label {name!r} has number {value!r}; the {len(content)} labels must be numbered from '0' to "
                f"'{len(content) - 1}', each once; {_AGAIN}"
            )
        numbers[number] = check_name(name, f"{path}, label {value}")
    return tuple(numbers[number] for number in range(len(numbers)))


def _ssv2_videos(path: Path, split: ListedSplit, classes: Sequence[str]) -> Iterator[_Listed]:
    names = {name: name for name in classes}  # one string for a class, not one for each of its videos
    for place, entry in enumerate(_ssv2_json(path, list, "a list of videos with 'id' and 'template'"), start=1):
        line = Line(str(path), f"entry {place}")
        held = entry if isinstance(entry, dict) else {}
        texts: dict[str, Any] = {key: held.get(key) for key in ("id", "template")}
        for key, value in texts.items():
            if not isinstance(value, str) or not value:
                raise line.error(f"{key} is {value!r}; it must be text that is not empty", _AGAIN)
        name, template = texts.values()
        label = names.get(template.translate(_SSV2_BRACKETS))
        if label is None:
            raise line.error(
                f"template {template!r} of video {name!r} is, without its brackets, not one of the "
                f"{len(classes)} labels",
                "take all files from one version of the data set",
            )
        yield line, ListedVideo(name, label, split)


def _ssv2_json(path: Path, kind: type, what: str) -> Any:
    content = json_of(split_text(path), str(path), _AGAIN)
    if not isinstance(content, kind) or not content:
        held = f"no entry ({content!r})" if content in ([], {}) else f"a JSON {type(content).__name__}"
        raise DataError(f"{path} holds {held}; it must hold {what}")
    return content


def _official(summary: str, read: Callable[[Path, int], OfficialSplit]) -> Dataset:
    def listing(config: DataConfig) -> Listing:
        root = config.place
        # The split files are on this machine, wherever the videos are.
        beside = root if isinstance(root, Path) else config.given("annotations")
        listed, classes = read(config.annotations or beside, config.official_split)
        return locate_videos(listed, root, classes)

    return Dataset(summary, ("root",), listing, takes_url=True)


UCF101 = _official("UCF101 with its official split files", ucf101_split)
HMDB51 = _official("HMDB51 with its official split files", hmdb51_split)
SSV2 = _official("Something-Something V2 with its official split files", lambda place, _: ssv2_split(place))
