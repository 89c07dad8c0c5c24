"""The file of an annotation list: JSON with one video a line, made to be read, compared and written by hand.

    {
      "format": "essential video list",
      "version": 1,
      "tasks": [
        {
          "Archery": {
            "train": [
              "v_Archery_g01_c01",
              "v_Archery_g01_c02"
            ],
            "test": [
              {"file": "v_Archery_g02_c01", "start_seconds": 1.5, "end_seconds": 4.0, "duration_seconds": 60.0}
            ]
          }
        }
      ]
    }

The order of tasks, and of the classes in a task, is the order of labels. A `source` beside `tasks` tells the file that
a list was imported from.
"""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from essential.errors import DataError
from essential.files.given import plain_file
from essential.files.untrusted import parse_json
from essential.protocols.listed import (
    SPLITS,
    Entry,
    ListedClass,
    ListedSegment,
    ListSource,
    Tasks,
    check_classes,
    check_entries,
    check_name,
)
from essential.shown import nearest, quoted

FORMAT = "essential video list"
VERSION = 1
_SEGMENT_KEYS = ("file", "start_seconds", "end_seconds")
_SEGMENT_FIELDS = frozenset(ListedSegment._fields)


def parse_list(content: bytes, name: str) -> tuple[Tasks, ListSource | None]:
    """Return the tasks of a whole file of ours, which messages call `name`; entries are not yet checked together.

    Raises:
        DataError: it is not JSON of this format and version; a key is unknown, missing or there twice; an entry is no
            video or segment.
    """
    top = load_json(content, name)
    if not isinstance(top, dict) or top.get("format") != FORMAT:
        found = quoted(top.get("format")) if isinstance(top, dict) else f"a {type(top).__name__}"
        raise DataError(
            f'{name} is not a video list of ours: its "format" is {found}, not "{FORMAT}"; '
            "docs/file-formats.md shows one"
        )
    if type(top.get("version")) is not int or top["version"] != VERSION:
        raise DataError(
            f"{name}: version {quoted(top.get('version'))} of the format is unknown; this program reads {VERSION}"
        )
    check_keys(top, name, required=("format", "version", "tasks"), optional=("source",))
    tasks = top["tasks"]
    if not isinstance(tasks, list):
        raise DataError(f'{name}: "tasks" is {quoted(tasks)}; give an array with one object of classes per task')
    return [_task(task, f"{name}, task {number}") for number, task in enumerate(tasks, 1)], _source(top, name)


def list_text(tasks: Tasks, source: ListSource | None) -> str:
    """Return the text of a list's file."""
    return "".join(_lines(tasks, source))


def load_json(content: bytes, name: str) -> Any:
    """Return what JSON holds, each key of an object once.

    Raises:
        DataError: it is no JSON, or holds what no list has.
    """
    try:
        return parse_json(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise DataError(
            f"{name} is not UTF-8 text (byte {error.start}); a pickle goes through `essential data import` first"
        ) from None
    except json.JSONDecodeError as error:
        raise DataError(
            f"{name}, line {error.lineno}, column {error.colno}: not valid JSON ({error.msg}); fix the line"
        ) from None
    except ValueError as error:
        raise DataError(f"{name} holds what no list has: {error}") from None


def check_keys(held: Mapping[str, Any], where: str, *, required: Sequence[str], optional: Sequence[str]) -> None:
    """Refuse an object with a key that it may not have, or without one that it must have.

    Raises:
        DataError: names the key, and those that there are.
    """
    allowed = (*required, *optional)
    for key in held:
        if key not in allowed:
            raise DataError(
                f"{where}: unknown key {quoted(key)}{nearest(key, allowed)}; the keys are {', '.join(allowed)}"
            )
    for key in required:
        if key not in held:
            raise DataError(f"{where} lacks the key {key!r}; the keys are {', '.join(allowed)}")


def _source(top: Mapping[str, Any], name: str) -> ListSource | None:
    source = top.get("source")
    if source is None:
        return None
    if not isinstance(source, dict):
        raise DataError(f'{name}: "source" is {quoted(source)}; give an object with file and sha256, or leave it out')
    check_keys(source, f"{name}, source", required=ListSource._fields, optional=())
    return ListSource(*(check_name(source[key], f"{name}, source: {key}") for key in ListSource._fields))


def _task(task: Any, where: str) -> list[ListedClass]:
    if not isinstance(task, dict):
        raise DataError(f"{where} is {quoted(task)}; give an object with the classes and their videos")
    names = check_classes(list(task), f"{where}, name of a class")
    return [
        _class(name, splits, f"{where}, class {quoted(name)}")
        for name, splits in zip(names, task.values(), strict=True)
    ]


def _class(name: str, splits: Any, where: str) -> ListedClass:
    if not isinstance(splits, dict):
        raise DataError(f"{where} is {quoted(splits)}; give an object with the videos of {', '.join(SPLITS)}")
    check_keys(splits, where, required=(), optional=SPLITS)
    return ListedClass(
        name, {split: _entries(splits[split], f"{where}, {split}") for split in SPLITS if split in splits}
    )


def _entries(entries: Any, where: str) -> Sequence[Entry]:
    if not isinstance(entries, list):
        raise DataError(f"{where} is {quoted(entries)}; give an array of videos")
    return check_entries([_segment(entry, where) if isinstance(entry, dict) else entry for entry in entries], where)


def _segment(entry: Mapping[str, Any], where: str) -> ListedSegment:
    if entry.keys() != _SEGMENT_FIELDS:
        check_keys(entry, f"{where}, {quoted(entry)}", required=_SEGMENT_KEYS, optional=("duration_seconds",))
    start, end = _seconds(entry, "start_seconds", where), _seconds(entry, "end_seconds", where)
    duration = _seconds(entry, "duration_seconds", where) if "duration_seconds" in entry else None
    return ListedSegment(entry["file"], start, end, duration)


def _seconds(entry: Mapping[str, Any], key: str, where: str) -> float:
    value = entry[key]
    if type(value) is float:
        return value
    # A whole number of many digits does not fit a float; it would be refused as a time anyway.
    if type(value) is not int or abs(value) > sys.maxsize:
        raise DataError(f"{where}: {key} of {quoted(entry['file'])} is {quoted(value)}; give a number of seconds")
    return float(value)


def _lines(tasks: Tasks, source: ListSource | None) -> Iterator[str]:
    yield f'{{\n  "format": "{FORMAT}",\n  "version": {VERSION},\n'
    if source is not None:
        yield f'  "source": {_json(source._asdict())},\n'
    yield '  "tasks": [\n    '
    yield ",\n    ".join(_block("{}", [f"{_json(c.name)}: {_splits(c)}" for c in classes], 4) for classes in tasks)
    yield "\n  ]\n}\n"


def _splits(listed: ListedClass) -> str:
    splits = [
        f'"{split}": {_block("[]", [_json(_plain(entry)) for entry in entries], 8)}'
        for split, entries in listed.entries.items()
    ]
    return _block("{}", splits, 6)


def _block(brackets: str, items: Sequence[str], indent: int) -> str:
    """Return the items one a line between brackets, the closing one at `indent`."""
    if not items:
        return brackets
    margin = "\n" + " " * indent
    return f"{brackets[0]}{margin}  {f',{margin}  '.join(items)}{margin}{brackets[1]}"


def _plain(entry: Entry) -> Any:
    if isinstance(entry, str):
        return entry
    return {key: value for key, value in entry._asdict().items() if value is not None}


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def read_list_file(path: Path) -> bytes:
    """Return the content of an annotation list's file.

    Raises:
        DataError: there is no such file, or it cannot be read.
    """
    try:
        return plain_file(path).read_bytes()
    except FileNotFoundError:
        raise DataError(f"the list {path} does not exist; give an existing file") from None
    except OSError as error:
        raise DataError(f"the list {path} cannot be read: {error.strerror}; give a readable file") from error


def refuse_other_file(path: Path) -> None:
    """Refuse to replace anything but a list of ours.

    Raises:
        DataError: `path` is there and is something else.
    """
    if path.is_dir():
        raise DataError(f"--out {path} is a folder; give the name of a file, such as {path / 'list.json'}")
    if not path.exists():
        return
    content = read_list_file(path)
    with suppress(DataError):
        top = load_json(content, "")
        if isinstance(top, dict) and top.get("format") == FORMAT:
            return
    raise DataError(f"--out {path} exists and is no video list of ours; give another name, or delete the file")
