"""Annotation lists of our own format: what is read, what is refused, and what is given to a protocol."""

import copy
import json
import random
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made_lists import OURS, write_ours

from essential.errors import ConfigError, DataError
from essential.protocols.listed import ListedClass, ListedSegment, ListedVideo, ListSource, check_names
from essential.protocols.protocol import Segment
from essential.protocols.video_list import VideoList, read_video_list, whole_videos, write_video_list

SEGMENT = {"file": "v_x", "start_seconds": 1, "end_seconds": 2.5, "duration_seconds": 60.0}


def _message(path: Path) -> str:
    with pytest.raises(DataError) as caught:
        read_video_list(path)
    message = str(caught.value)
    assert str(path) in message
    assert len(message) < 800
    return message


def _changed(change: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    content = copy.deepcopy(OURS)
    change(content)
    return content


def test_a_list_is_read(tmp_path: Path) -> None:
    found = read_video_list(write_ours(tmp_path, OURS))
    assert found.groups == (("run", "jump"), ("dive",))
    assert found.classes == ("run", "jump", "dive")
    assert found.source is None
    assert found.listed() == [
        ListedVideo("v_run_g01_c01", "run", "train"),
        ListedVideo("v_run_g01_c02", "run", "train"),
        ListedVideo("v_jump_g01_c01", "jump", "train"),
        ListedVideo("sub/v_dive_g05_c01.avi", "dive", "train"),
        ListedVideo("v_run_g01_c03", "run", "test"),
        ListedVideo("v_jump_g03_c01", "jump", "test"),
        ListedVideo("v_dive_g05_c02", "dive", "test"),
    ]


def test_the_tested_split_is_chosen_and_called_test(tmp_path: Path) -> None:
    found = read_video_list(write_ours(tmp_path, OURS))
    assert found.listed(test_split="test") == found.listed()
    names = [video.name for video in found.listed(test_split="val") if video.split == "test"]
    assert names == ["v_run_g02_c01", "v_jump_g02_c01", "v_dive_g06_c01"]


@pytest.mark.parametrize(("split", "other"), [("test", "val"), ("val", "test")])
def test_a_list_without_one_of_the_splits(split: str, other: Any, tmp_path: Path) -> None:
    content = copy.deepcopy(OURS)
    for task in content["tasks"]:
        for splits in task.values():
            del splits[split]
    path = write_ours(tmp_path, content)
    found = read_video_list(path)
    assert found.listed() == found.listed(test_split=other)
    expected = f"data.test_split={split}, but {path} has no such split; use {other}, or auto"
    with pytest.raises(ConfigError, match=expected):
        found.listed(test_split=split)  # type: ignore[arg-type]


def test_segments_and_whole_videos(tmp_path: Path) -> None:
    shorter = {"file": "v_y", "start_seconds": 0, "end_seconds": 0}
    content = _changed(lambda c: c["tasks"][0]["run"].update(train=[SEGMENT, shorter, "v_z", SEGMENT]))
    found = read_video_list(write_ours(tmp_path, content))
    assert list(found.tasks[0][0].of("train")) == [
        ListedSegment("v_x", 1.0, 2.5, 60.0),
        ListedSegment("v_y", 0.0, 0.0),
        "v_z",
        ListedSegment("v_x", 1.0, 2.5, 60.0),
    ]
    assert found.listed()[:4] == [
        ListedVideo("v_x", "run", "train", Segment(1.0, 2.5)),
        ListedVideo("v_y", "run", "train", Segment(0.0, 0.0)),
        ListedVideo("v_z", "run", "train"),
        ListedVideo("v_x", "run", "train", Segment(1.0, 2.5)),
    ]


def test_the_hash_is_of_the_content_not_of_its_layout(tmp_path: Path) -> None:
    first = read_video_list(write_ours(tmp_path, OURS))
    path = tmp_path / "other.json"
    top = {"source": {"file": "a.pkl", "sha256": "0" * 64}, **dict(reversed(OURS.items()))}
    path.write_text("\ufeff" + json.dumps(top, indent=7).replace("\n", "\r\n"), encoding="utf-8")
    other = read_video_list(path)
    assert other.source == ListSource("a.pkl", "0" * 64)
    assert other == first
    assert other.sha256 == first.sha256
    assert len(first.sha256) == 64


@pytest.mark.parametrize(
    "change",
    [
        lambda c: c["tasks"].reverse(),
        lambda c: c["tasks"][0].update(run=c["tasks"][0].pop("run")),
        lambda c: c["tasks"][0]["run"]["train"].reverse(),
        lambda c: c["tasks"][0]["run"]["train"].append("v_run_g01_c01"),
        lambda c: c["tasks"][0]["run"].update(train=c["tasks"][0]["run"]["test"], test=c["tasks"][0]["run"]["train"]),
        lambda c: c["tasks"][0]["run"]["val"].clear(),
        lambda c: c["tasks"][0].update(rum=c["tasks"][0].pop("run")),
        lambda c: c["tasks"][1].update(c["tasks"].pop(0)),
        lambda c: c["tasks"][0]["run"].update(val=[SEGMENT]),
    ],
)
def test_whatever_changes_the_meaning_changes_the_hash(change: Callable[[Any], object], tmp_path: Path) -> None:
    first = read_video_list(write_ours(tmp_path, OURS))
    assert read_video_list(write_ours(tmp_path, _changed(change))).sha256 != first.sha256


def test_a_written_list_has_one_video_a_line_and_reads_the_same(tmp_path: Path) -> None:
    tasks = [
        [
            ListedClass("run, fast", {"train": ["v_1", ListedSegment("é/v 2", 0.1, 1e-07, 3.0)], "val": []}),
            ListedClass('"jump"', {"train": ["v_3"], "val": [ListedSegment("v_4", 1.0, 142.281)]}),
        ]
    ]
    # An end before a start is for readers to refuse: here the pair is only text.
    tasks[0][0].entries["train"][1] = ListedSegment("é/v 2", 1e-07, 0.1, 3.0)  # type: ignore[index]
    video_list = VideoList("x", tasks, ListSource("x.pkl", "ab"))
    path = tmp_path / "new" / "list.json"
    write_video_list(video_list, path)
    assert path.read_text(encoding="utf-8").splitlines() == [
        "{",
        '  "format": "essential video list",',
        '  "version": 1,',
        '  "source": {"file": "x.pkl", "sha256": "ab"},',
        '  "tasks": [',
        "    {",
        '      "run, fast": {',
        '        "train": [',
        '          "v_1",',
        '          {"file": "é/v 2", "start_seconds": 1e-07, "end_seconds": 0.1, "duration_seconds": 3.0}',
        "        ],",
        '        "val": []',
        "      },",
        '      "\\"jump\\"": {',
        '        "train": [',
        '          "v_3"',
        "        ],",
        '        "val": [',
        '          {"file": "v_4", "start_seconds": 1.0, "end_seconds": 142.281}',
        "        ]",
        "      }",
        "    }",
        "  ]",
        "}",
    ]
    found = read_video_list(path)
    assert (found, found.source, found.sha256) == (video_list, video_list.source, video_list.sha256)
    first = path.read_bytes()
    write_video_list(found, path)
    assert path.read_bytes() == first


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            lambda c: c.update(format="a list"),
            'is not a video list of ours: its "format" is \'a list\', not "essential',
        ),
        (lambda c: c.pop("format"), "is JSON of another kind; lists of ours, "),
        (lambda c: c.update(version=2), "version 2 of the format is unknown; this program reads 1"),
        (lambda c: c.update(version=True), "version True of the format is unknown"),
        (lambda c: c.update(version=1.0), "version 1.0 of the format is unknown"),
        (
            lambda c: c.update(taks=[]),
            "unknown key 'taks' (did you mean 'tasks'?); the keys are format, version, tasks",
        ),
        (lambda c: c.pop("tasks"), "lacks the key 'tasks'; the keys are format, version, tasks, source"),
        (lambda c: c.update(tasks={}), '"tasks" is {}; give an array'),
        (lambda c: c.update(tasks=[]), "has no task; give at least one"),
        (lambda c: c.update(source="x.pkl"), "\"source\" is 'x.pkl'; give an object with file and sha256"),
        (lambda c: c.update(source={"file": "x"}), "source lacks the key 'sha256'"),
        (lambda c: c.update(source={"file": "x", "sha256": 5}), "source: sha256: 5 is not text"),
        (lambda c: c["tasks"].append([]), "task 3 is []; give the classes, each with its videos, by name"),
        (lambda c: c["tasks"].append({}), "task 3 has no class; give it one"),
        (
            lambda c: c["tasks"][0].update({"../run": {}}),
            "task 1, name of a class: '../run' leaves the folder with '..'",
        ),
        (lambda c: c["tasks"][0].update({"": {}}), "task 1, name of a class: '' is empty"),
        (lambda c: c["tasks"][0].update(run=[]), "task 1, class 'run' is []; give an object with the videos of train,"),
        (lambda c: c["tasks"][0]["run"].update(trian=[]), "class 'run': unknown key 'trian' (did you mean 'train'?)"),
        (lambda c: c["tasks"][0]["run"].update(train="v"), "class 'run', train is 'v'; give a list of videos"),
        (
            lambda c: c["tasks"][0]["run"].update(train=[]),
            "no training clip for the class 'run'; add some, or take the class out",
        ),
        (
            lambda c: c["tasks"][1].update(jump=c["tasks"][0]["jump"]),
            "the class 'jump' is in the tasks 1, 2; a class arrives once",
        ),
        (
            lambda c: c["tasks"].append(c["tasks"][0]),
            "the class 'run' is in the tasks 1, 3, and so are 1 other classes in two tasks",
        ),
        (
            lambda c: c["tasks"][1]["dive"].pop("val"),
            "the class 'dive' of task 2 has no val split (train and test only), but 'run' has one, and 1 of 3 classes",
        ),
        (lambda c: c["tasks"][1]["dive"].pop("train"), "the class 'dive' of task 2 has no train split (val and test"),
        (lambda c: c["tasks"][1].update(dive={}), "the class 'dive' of task 2 has no train split (no split only)"),
        (
            lambda c: [splits.pop(key) for task in c["tasks"] for splits in task.values() for key in ("val", "test")],
            "has no val and no test videos; give each class a val or a test split",
        ),
    ],
)
def test_a_list_that_is_wrong(change: Callable[[Any], object], expected: str, tmp_path: Path) -> None:
    assert expected in _message(write_ours(tmp_path, _changed(change)))


BAD_NAMES = [
    ("", "is empty"),
    ("/etc/passwd", "is an absolute path"),
    ("//server/x", "is an absolute path"),
    ("..", "leaves the folder with '..'"),
    ("../x.mp4", "leaves the folder with '..'"),
    ("a/../../x.mp4", "leaves the folder with '..'"),
    ("a/..", "leaves the folder with '..'"),
    (".", "has an empty part or a '.'"),
    ("./a", "has an empty part or a '.'"),
    ("a//b", "has an empty part or a '.'"),
    ("a/", "has an empty part or a '.'"),
    ("a\\..\\b", "holds a backslash"),
    ("a\0b", "holds a control character"),
    ("a\nb", "holds a control character"),
    ("a\u2028b", "holds a control character, a line break"),
    ("a\x7fb", "holds a control character"),
    ("a\ud800b", "or half a character"),
    ("x" * 256, "has a part of more than 255 bytes"),
    ("é" * 128, "has a part of more than 255 bytes"),
    (5, "5 is not text; give its name in quotes"),
    (None, "None is not text"),
    (["v"], "['v'] is not text"),
    (True, "True is not text"),
]


@pytest.mark.parametrize(("name", "expected"), BAD_NAMES)
@pytest.mark.parametrize("as_segment", [False, True])
def test_a_name_that_is_wrong(name: Any, expected: str, as_segment: bool, tmp_path: Path) -> None:
    entry = {**SEGMENT, "file": name} if as_segment else name
    content = _changed(lambda c: c["tasks"][1]["dive"]["val"].extend(["v_good", entry]))
    message = _message(write_ours(tmp_path, content))
    assert "task 2, class 'dive', val: " in message
    assert expected in message


GOOD_NAMES = [
    "a",
    "..a",
    "a..",
    "...",
    "a/..b/.c",
    "x" * 255,
    "é" * 127,
    "a b.mp4",
    "日本",
    "a\u00a0b",
    "~",
    "C:x",
    "-",
    "5",
]


def test_names_that_are_right(tmp_path: Path) -> None:
    content = _changed(lambda c: c["tasks"][1]["dive"].update(val=GOOD_NAMES))
    assert list(read_video_list(write_ours(tmp_path, content)).tasks[1][0].of("val")) == GOOD_NAMES


@settings(deadline=None, derandomize=True, max_examples=300)
@given(st.lists(st.lists(st.sampled_from([*"ab./\\\0\n\ud800é", ".."]), max_size=6).map("".join), max_size=4))
def test_names_together_are_judged_as_each_alone(names: list[str]) -> None:
    def is_right(name: str) -> bool:
        parts = name.split("/")
        return not set(name) & set("\\\0\n\ud800") and not any(part in ("", ".", "..") for part in parts)

    if all(map(is_right, names)):
        assert list(check_names(names, "here")) == names
    else:
        with pytest.raises(DataError, match=r"^here: "):
            check_names(names, "here")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"start_seconds": -0.5}, "start_seconds of 'v_x' is -0.5; use seconds from 0 to 1e9"),
        ({"end_seconds": 2e9}, "end_seconds of 'v_x' is 2000000000.0; use seconds"),
        ({"end_seconds": 10**50}, "end_seconds of 'v_x' is 1e+50; use"),
        ({"duration_seconds": -1}, "duration_seconds of 'v_x' is -1.0; use seconds"),
        ({"start_seconds": 3}, "the segment of 'v_x' ends at 2.5 s, before its start at 3.0 s"),
        ({"start_seconds": "1"}, "start_seconds of 'v_x' is '1'; give a number of seconds"),
        ({"start_seconds": True}, "start_seconds of 'v_x' is True; give a number of seconds"),
        ({"end_seconds": None}, "end_seconds of 'v_x' is None; give a number"),
        ({"duration_seconds": None}, "duration_seconds of 'v_x' is None; give a number"),
        ({"end_second": 5}, "unknown key 'end_second' (did you mean 'end_seconds'?)"),
        ({"label": "run"}, "unknown key 'label'; the keys are file, start_seconds, end_seconds, duration_seconds"),
    ],
)
def test_a_segment_that_is_wrong(change: dict[str, object], expected: str, tmp_path: Path) -> None:
    content = _changed(lambda c: c["tasks"][1]["dive"]["val"].append({**SEGMENT, **change}))
    message = _message(write_ours(tmp_path, content))
    assert "task 2, class 'dive', val" in message
    assert expected in message


@pytest.mark.parametrize("key", ["file", "start_seconds", "end_seconds"])
def test_a_segment_that_lacks_something(key: str, tmp_path: Path) -> None:
    short = {name: value for name, value in SEGMENT.items() if name != key}
    content = _changed(lambda c: c["tasks"][1]["dive"]["val"].append(short))
    assert f"lacks the key '{key}'" in _message(write_ours(tmp_path, content))


def test_a_start_past_the_end_is_let_through(tmp_path: Path) -> None:
    # The published ActivityNet list has one: it is for the audit to name, and for the decoder to refuse.
    late = {**SEGMENT, "start_seconds": 142.281, "end_seconds": 145, "duration_seconds": 142.267}
    content = _changed(lambda c: c["tasks"][1]["dive"]["val"].append(late))
    assert len(read_video_list(write_ours(tmp_path, content)).tasks[1][0].of("val")) == 2


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"", "line 1, column 1: not valid JSON (Expecting value); fix the line"),
        (b'{"format": "essential video list",\n "tasks": [}', "line 2, column 12: not valid JSON"),
        (b"\x80\x04]\x94.", "is not UTF-8 text (byte 0); a pickle goes through `essential data import` first"),
        (b"[]", "is JSON of another kind; lists of ours, "),
        (b"[" * 100_000, "list.json holds what no such file has: it is nested deeper than 50 levels"),
        (b'{"format": 1, "format": 1}', "the key 'format' stands twice in one object; keep one"),
    ],
)
def test_a_file_that_is_no_list(text: bytes, expected: str, tmp_path: Path) -> None:
    path = tmp_path / "list.json"
    path.write_bytes(text)
    assert expected in _message(path)


def test_no_file(tmp_path: Path) -> None:
    path = tmp_path / "none.json"
    assert _message(path) == f"the list {path} does not exist; give an existing file"
    assert _message(tmp_path) == f"the list {tmp_path} cannot be read: Is a directory; give a readable file"


def _segments(rows: list[tuple[str, str, float, float]]) -> VideoList:
    classes = [
        ListedClass(label, {"train": [ListedSegment(f, s, e) for f, name, s, e in rows if name == label], "val": ["t"]})
        for label in ("run", "jump")
    ]
    return VideoList("x.json", [classes])


def test_untrimmed_keeps_videos_of_one_class_once() -> None:
    rows = [
        ("both", "run", 0.0, 1.0),
        ("twice", "run", 0.0, 1.0),
        ("twice", "run", 2.0, 3.0),
        ("empty", "run", 2.0, 2.0),
        ("both", "jump", 5.0, 6.0),
        ("once", "jump", 0.0, 0.0),
        ("once", "jump", 0.0, 9.0),
    ]
    video_list = _segments(rows)
    # "t" is in val with both classes: it goes too, and nothing is left to test on.
    with pytest.raises(
        DataError, match=r"x.json, with data.test_split=val, data.untrimmed=true: task 1 \('run', 'jump'\)"
    ):
        video_list.listed(untrimmed=True)
    assert whole_videos(video_list.tasks, "train", "test") == [
        ListedVideo("twice", "run", "test"),
        ListedVideo("once", "jump", "test"),
    ]


def test_untrimmed_against_a_slow_rule() -> None:
    draw = random.Random(0)
    rows = [
        (f"v{draw.randrange(8)}", draw.choice(["run", "jump", "jump"]), 0.0, float(draw.choice([0, 0, 1, 2])))
        for _ in range(14)
    ]
    for _ in range(200):
        draw.shuffle(rows)
        some = rows[: draw.randrange(1, 14)]
        expected = {
            (file, {label for f, label, *_ in some if f == file}.pop())
            for file in {row[0] for row in some}
            if len({label for f, label, *_ in some if f == file}) == 1
            and max(e for f, _, _, e in some if f == file) > 0
        }
        found = [(video.name, video.label) for video in whole_videos(_segments(some).tasks, "train", "train")]
        assert len(found) == len(expected)
        assert set(found) == expected


def test_untrimmed_may_leave_a_class_bare() -> None:
    video_list = _segments([("both", "run", 0.0, 1.0), ("both", "jump", 0.0, 1.0), ("one", "run", 0.0, 1.0)])
    expected = (
        "x.json, with data.test_split=val, data.untrimmed=true: no training clip for the class 'jump'; "
        "choose other settings, or take the class out of the list"
    )
    with pytest.raises(DataError, match=f"^{expected}$"):
        video_list.listed(untrimmed=True)


def test_a_task_without_tests_is_refused() -> None:
    video_list = VideoList("x", [[ListedClass("a", {"train": ["v"], "test": []})]])
    with pytest.raises(DataError, match=r"data.untrimmed=false: task 1 \('a'\) has nothing to be tested on"):
        video_list.listed()


def test_untrimmed_needs_segments(tmp_path: Path) -> None:
    path = write_ours(tmp_path, OURS)
    with pytest.raises(ConfigError, match=f"data.untrimmed=true, but {path} has no segments, only whole videos"):
        read_video_list(path).listed(untrimmed=True)


_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=4)
    | st.sampled_from(["v_1", "..", "train"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["run", "train", "val", "test", *SEGMENT]) | st.text(max_size=3), inner, max_size=4
        )
    ),
    max_leaves=8,
)
_IN_PLACE: dict[str, Callable[[Any, Any], object]] = {
    "top": lambda c, value: c.update(tasks=value),
    "task": lambda c, value: c["tasks"].append(value),
    "class": lambda c, value: c["tasks"][0].update(new=value),
    "split": lambda c, value: c["tasks"][0]["run"].update(val=value),
    "entry": lambda c, value: c["tasks"][0]["run"]["val"].append(value),
    "time": lambda c, value: c["tasks"][0]["run"]["val"].append({**SEGMENT, "end_seconds": value}),
    "file": lambda c, value: c["tasks"][0]["run"]["val"].append({**SEGMENT, "file": value}),
    "source": lambda c, value: c.update(source=value),
    "version": lambda c, value: c.update(version=value),
}


@settings(
    deadline=None, derandomize=True, max_examples=250, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.sampled_from(list(_IN_PLACE)), _JSON)
def test_whatever_stands_in_a_list_it_is_read_or_refused(tmp_path: Path, place: str, value: Any) -> None:
    path = write_ours(tmp_path, _changed(lambda c: _IN_PLACE[place](c, value)))
    with suppress(DataError):
        found = read_video_list(path)
        assert len(found.sha256) == 64
        write_video_list(found, path)
        assert read_video_list(path) == found


@settings(
    deadline=None, derandomize=True, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.data())
def test_whatever_bytes_a_list_has_it_is_read_or_refused(tmp_path: Path, data: st.DataObject) -> None:
    content = bytearray(json.dumps(OURS).encode())
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / "list.json"
    path.write_bytes(content)
    with suppress(DataError):
        read_video_list(path)
