"""Files of annotation lists: our own JSON, and those of other projects, recognised by their form.

vCLIMB's and the authors' pickles are `{train, val, test} -> [task] -> {class: [video]}`. A video is a name, or a
dictionary with `filename`, `t_start`, `t_end` and mostly `video_duration` in seconds, as text or numbers. A class's
label is its place in the training split, task after task.

ActivityNet's JSON and Kinetics' CSV have classes, splits and times, so they become lists of one task, which the config
cuts: `protocol.tasks`. Other lists have one split in a file, or numbers in the place of classes.
"""

import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from essential.errors import DataError
from essential.protocols.listed import (
    SPLITS,
    Entry,
    ListedClass,
    ListedSegment,
    ListedSplit,
    ListSource,
    SegmentForm,
    Tasks,
    check_classes,
    check_entries,
    check_keys,
    check_name,
    classes_of,
    entries_of,
)
from essential.protocols.plain_pickle import read_plain_pickle
from essential.protocols.text_files import json_of, text_of
from essential.shown import quoted

FORMAT = "essential video list"
VERSION = 1
_OURS = SegmentForm(("file", "start_seconds", "end_seconds", "duration_seconds"), (), (int, float))
_VCLIMB = SegmentForm(("filename", "t_start", "t_end", "video_duration"), ("fps", "video_frames"), (int, float, str))
_TAKEN = "lists of ours, vCLIMB's pickles, ActivityNet's JSON and Kinetics' CSV are read"
_MANIFEST = (
    "write a CSV file with the columns path,label,split, and train with -s data.kind=manifest -s data.path=FILE.csv"
)
_AS_IT_IS = "its data set needs no import: give the folder of the files, -s data.kind={} -s data.annotations=DIR"
_BOTH = f"it has one split, and numbers for classes: of it and the list of the other split {_MANIFEST}"
_KINETICS = ("label", "youtube_id", "time_start", "time_end", "split")
_SPLITS: Mapping[str, ListedSplit] = {
    **{"train": "train", "training": "train", "val": "val", "validate": "val", "validation": "val"},
    **{"test": "test", "testing": "test"},
}
_FORMS = (
    (r"\d+\s+\w+", "a list of UCF101's classes", _AS_IT_IS.format("ucf101")),
    (r"\w+/v_\w+\.avi(\s+\d+)?", "a split file of UCF101", _AS_IT_IS.format("ucf101")),
    (r"[^/]+\.avi\s+[012]", "a split file of HMDB51", _AS_IT_IS.format("hmdb51")),
    (r"\S.*[\s,]\d+[\s,]\d+", "a list of frame folders, path, number of frames and label, as of mmaction2", _BOTH),
    (r"\S.*[\s,]\d+", "a list of paths and labels, as of mmaction2 and VideoMAE", _BOTH),
    (r"path,label,split|label,path,split", "a manifest", "train with -s data.kind=manifest -s data.path=FILE.csv"),
)
_LINES_LOOKED_AT = 100


def parse_ours(content: bytes, name: str) -> tuple[Tasks, ListSource | None]:
    """Return the tasks of a whole file of ours, which messages call `name`."""
    top = json_of(text_of(content, name, "a pickle goes through `essential data import` first"), name)
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
    if not isinstance(top["tasks"], list):
        raise DataError(f'{name}: "tasks" is {quoted(top["tasks"])}; give an array with one object of classes per task')
    places = [(f"{name}, task {number}", task) for number, task in enumerate(top["tasks"], 1)]
    tasks = [[_class(label, splits, where) for label, splits in classes_of(task, where)] for where, task in places]
    return tasks, _source(top.get("source"), name)


def _source(given: Any, name: str) -> ListSource | None:
    if given is None:
        return None
    if not isinstance(given, dict):
        raise DataError(f'{name}: "source" is {quoted(given)}; give an object with file and sha256, or leave it out')
    check_keys(given, f"{name}, source", required=ListSource._fields)
    return ListSource(*(check_name(given[key], f"{name}, source: {key}") for key in ListSource._fields))


def _class(name: str, splits: Any, where: str) -> ListedClass:
    where = f"{where}, class {quoted(name)}"
    if not isinstance(splits, dict):
        raise DataError(f"{where} is {quoted(splits)}; give an object with the videos of {', '.join(SPLITS)}")
    check_keys(splits, where, optional=SPLITS)
    present = [split for split in SPLITS if split in splits]
    return ListedClass(name, {split: entries_of(splits[split], _OURS, f"{where}, {split}") for split in present})


def parse_pickle(content: bytes, name: str) -> Tasks:
    """Return the tasks of a whole pickle of the form above, which messages call `name`."""
    tasks: list[dict[str, dict[ListedSplit, Sequence[Entry]]]] = []
    room = len(content)
    for split, number, task in _tasks(read_plain_pickle(content, name), name):
        where = f"{name}, {split}, task {number}"
        if number > len(tasks):
            tasks.append({})
        for label, videos in classes_of(task, where):
            entries = entries_of(videos, _VCLIMB, f"{where}, class {quoted(label)}")
            tasks[number - 1].setdefault(label, {})[split] = entries
            # One and the same list may stand in a pickle a million times; an honest entry takes bytes of its own.
            room -= len(entries) + 1
            if room < 0:
                raise DataError(
                    f"{name} lists more videos than it has bytes: the same ones again and again; it is refused"
                )
    return [[ListedClass(label, entries) for label, entries in task.items()] for task in tasks]


def _tasks(top: Any, name: str) -> Iterator[tuple[ListedSplit, int, Any]]:
    """Give (split, number of the task from 1, task), training first: it gives the classes their order."""
    if not isinstance(top, dict):
        raise DataError(f"{name} holds a {type(top).__name__}, not a dictionary with the splits {', '.join(SPLITS)}")
    check_keys(top, name, optional=SPLITS, what="split")
    for key in top:
        if not isinstance(top[key], list | tuple):
            raise DataError(f"{name}: {key} is {quoted(top[key])}; it must be a list with one dictionary per task")
    for split in SPLITS:
        yield from ((split, number, task) for number, task in enumerate(top.get(split, ()), 1))


def read_foreign(content: bytes, name: str) -> Tasks | None:
    """Return the tasks of another project's list; None if the content is a list of ours or a pickle.

    Raises:
        DataError: it is text of another form.
    """
    text = _text(content)
    if text is None:
        return None
    if text.lstrip().startswith(("{", "[")):
        top = json_of(text, name)
        if isinstance(top, dict) and isinstance(top.get("database"), dict):
            return _one_task(_activitynet(top["database"], name), f"{name} (ActivityNet's JSON)")
        if isinstance(top, dict) and "format" in top:
            return None
        raise DataError(f"{name} is JSON of another kind; {_TAKEN}. Of anything else, {_MANIFEST}")
    header = text.partition("\n")[0].strip().split(",")
    if set(_KINETICS) <= set(header):
        return _one_task(_kinetics(text, name), f"{name} (Kinetics' CSV)")
    lines = [line.strip() for line in islice(text.splitlines(), _LINES_LOOKED_AT) if line.strip()]
    for form, what, instead in _FORMS:
        if lines and all(re.fullmatch(form, line) for line in lines[: 1 if what == "a manifest" else None]):
            raise DataError(f"{name} is {what}; {instead}")
    raise DataError(f"{name} is text of another kind; {_TAKEN}. Of anything else, {_MANIFEST}")


def _text(content: bytes) -> str | None:
    # Old pickles are text too, and end in a full stop.
    if b"\0" in content or content.endswith(b".") or not content.strip():
        return None
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return None


def _activitynet(database: Mapping[str, Any], name: str) -> Iterator[tuple[str, str, Entry]]:
    for video, found in database.items():
        try:
            for part in found["annotations"]:
                start, end = map(float, part["segment"])
                yield part["label"], found["subset"], ListedSegment(f"v_{video}", start, end, float(found["duration"]))
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(
                f"{name}: the video {quoted(video)} is {quoted(found)}; it must have subset, duration and annotations, "
                "each with label and segment in seconds"
            ) from error


def _kinetics(text: str, name: str) -> Iterator[tuple[str, str, Entry]]:
    rows = csv.DictReader(io.StringIO(text, newline=""))
    row: Mapping[str, Any] = {}
    try:
        for row in rows:
            start, end = int(float(row["time_start"])), int(float(row["time_end"]))
            yield row["label"], row["split"], f"{row['youtube_id']}_{start:06d}_{end:06d}"
    except csv.Error as error:
        raise DataError(f"{name}, line {rows.line_num}: not valid CSV ({error}); fix the line") from error
    except (TypeError, ValueError, OverflowError) as error:
        problem = f"{name}, line {rows.line_num}: {quoted(row)}; time_start and time_end are seconds"
        raise DataError(problem) from error


def _one_task(rows: Iterable[tuple[str, str, Entry]], name: str) -> Tasks:
    classes: dict[str, dict[ListedSplit, list[Entry]]] = {}
    allowed = tuple(_SPLITS)
    for label, subset, entry in rows:
        if subset not in allowed:
            check_keys([subset], name, optional=allowed, what="split")
        if not isinstance(label, str):
            check_name(label, f"{name}, name of a class")
        classes.setdefault(label, {}).setdefault(_SPLITS[subset], []).append(entry)
    splits = dict.fromkeys(split for held in classes.values() for split in held)
    if not splits.keys() - {"train"}:
        raise DataError(f"{name} lists training videos alone; put those to test on into the same file")
    names = dict(zip(classes, check_classes(list(classes), name), strict=True))
    task = []
    for label, held in sorted(classes.items()):
        entries = {split: check_entries(held.get(split, []), f"{name}, {quoted(label)}") for split in splits}
        task.append(ListedClass(names[label], entries))
    return [task]
