"""Something-Something V2's annotations, read as they are published: JSON files, under their older or newer names."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from essential.errors import DataError
from essential.protocols.folder import refuse_untrained
from essential.protocols.list_entries import check_name
from essential.protocols.listed import ListedSplit, ListedVideo
from essential.protocols.split_files import find_folder, text_of
from essential.untrusted import parse_json

# As the data set was published first, and as it is handed out now.
_NAMINGS = (
    (
        "something-something-v2-labels.json",
        "something-something-v2-train.json",
        "something-something-v2-validation.json",
    ),
    ("labels.json", "train.json", "validation.json"),
)
_NUMBER = re.compile("[0-9]{1,6}")
_BRACKETS = str.maketrans("", "", "[]")


def ssv2_split(place: Path) -> tuple[list[ListedVideo], tuple[str, ...]]:
    """Return the training and the validation videos, which is what is tested on, and the classes by their number.

    A video's class is its template without the square brackets. The test videos have no public labels.

    Args:
        place: the folder to look in; it may be one level below.

    Raises:
        DataError: a file is missing or not such JSON; the labels are not numbered from 0 on; a template is no label; a
            video is listed twice.
    """
    folder = find_folder(place, "*labels.json", "Something-Something V2's annotations")
    labels, train, validation = next((names for names in _NAMINGS if (folder / names[0]).exists()), _NAMINGS[-1])
    classes = _classes(folder / labels)
    training = list(_videos(folder / train, "train", classes))
    tests = list(_videos(folder / validation, "test", classes))
    _refuse_repeats({folder / train: training, folder / validation: tests})
    refuse_untrained(training, str(folder), classes=classes)
    return training + tests, tuple(sorted(classes, key=classes.__getitem__))


def _classes(path: Path) -> dict[str, int]:
    content = _read(path)
    if not isinstance(content, dict) or not content:
        raise DataError(
            f"{path} holds {_kind(content)}; it must hold an object of labels, such as {{'Bending something': '0'}}"
        )
    numbers: dict[int, str] = {}
    for name, value in content.items():
        number = int(value) if isinstance(value, str) and _NUMBER.fullmatch(value) else -1
        if not 0 <= number < len(content) or number in numbers:
            raise DataError(
                f"{path}: label {name!r} has number {value!r}; the {len(content)} labels must be numbered from '0' to "
                f"'{len(content) - 1}', each once; unpack the file again"
            )
        numbers[number] = check_name(name, f"{path}, label {value}")
    return {name: number for number, name in numbers.items()}


def _videos(path: Path, split: ListedSplit, classes: Mapping[str, int]) -> Iterator[ListedVideo]:
    content = _read(path)
    if not isinstance(content, list) or not content:
        raise DataError(f"{path} holds {_kind(content)}; it must hold a list of videos with 'id' and 'template'")
    names = {name: name for name in classes}  # one string for a class, not one for each of its videos
    for place, entry in enumerate(content, start=1):
        where = f"{path}, entry {place}"
        name, template = _text(entry, "id", where), _text(entry, "template", where)
        label = names.get(template.translate(_BRACKETS))
        if label is None:
            raise DataError(
                f"{where}: template {template!r} of video {name!r} is, without its brackets, not one of the "
                f"{len(classes)} labels; take all files from one version of the data set"
            )
        yield ListedVideo(name, label, split)


def _refuse_repeats(files: Mapping[Path, Sequence[ListedVideo]]) -> None:
    seen: dict[str, Path] = {}
    for path, videos in files.items():
        for place, video in enumerate(videos, start=1):
            if video.name in seen:
                raise DataError(
                    f"{path}, entry {place}: video {video.name!r} is listed before, in {seen[video.name].name}; "
                    "a video is listed once and has one split; unpack the files again"
                )
            seen[video.name] = path


def _text(entry: Any, key: str, where: str) -> str:
    value = entry.get(key) if isinstance(entry, dict) else None
    if not isinstance(value, str) or not value:
        raise DataError(f"{where}: {key} is {value!r}; it must be text that is not empty; unpack the file again")
    return value


def _read(path: Path) -> Any:
    try:
        return parse_json(text_of(path))
    except ValueError as error:
        raise DataError(f"{path} is not JSON ({error}); unpack the file again") from error


def _kind(content: Any) -> str:
    return f"no entry ({content!r})" if content in ([], {}) else f"a JSON {type(content).__name__}"
