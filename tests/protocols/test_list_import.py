"""Published lists: the form of vCLIMB's and the authors' pickles, and the two real ones."""

import copy
import hashlib
import pickle
import tracemalloc
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made_lists import OURS, PUBLISHED, activitynet, segment, segments, write_ours, write_pickle

from essential.errors import DataError
from essential.protocols.listed import ListedSegment, ListedSplit
from essential.protocols.video_list import VideoList, import_list, open_list, read_video_list, write_video_list


def _message(path: Path) -> str:
    with pytest.raises(DataError) as caught:
        import_list(path)
    message = str(caught.value)
    assert str(path) in message
    assert len(message) < 1000
    return message


def _changed(change: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    content = copy.deepcopy(PUBLISHED)
    change(content)
    return content


def _counts(video_list: VideoList, split: ListedSplit) -> int:
    return sum(len(listed.of(split)) for classes in video_list.tasks for listed in classes)


@pytest.mark.parametrize("protocol", range(6))
def test_a_published_list_is_the_same_as_ours(protocol: int, tmp_path: Path) -> None:
    path = write_pickle(tmp_path, PUBLISHED, protocol=protocol)
    found = import_list(path)
    ours = import_list(write_ours(tmp_path, OURS))
    assert found == ours
    assert found.sha256 == ours.sha256
    # The classes stand as training has them, not val.
    assert found.groups == (("run", "jump"), ("dive",))
    assert found.source == ("list.pkl", hashlib.sha256(path.read_bytes()).hexdigest())
    assert ours.source is None


def test_tuples_are_as_good_as_lists(tmp_path: Path) -> None:
    content = {s: tuple({c: tuple(v) for c, v in task.items()} for task in tasks) for s, tasks in PUBLISHED.items()}
    assert import_list(write_pickle(tmp_path, content)).listed() == import_list(write_ours(tmp_path, OURS)).listed()


def test_segments_are_kept_as_they_are(tmp_path: Path) -> None:
    found = import_list(write_pickle(tmp_path, segments()))
    run, jump = found.tasks[0]
    assert list(run.of("train")) == [
        ListedSegment("v_a", 1.5, 4.0, 20.0),
        ListedSegment("v_a", 1.5, 4.0, 20.0),
        ListedSegment("v_b", 0.0, 20.0, 20.0),
    ]
    assert list(jump.of("train"))[:2] == [ListedSegment("v_b", 10.0, 30.0, 20.0), ListedSegment("v_c", 0.0, 0.0, 20.0)]
    assert list(run.of("val")) == [ListedSegment("v_e", 20.5, 21.0, 20.0), ListedSegment("v_e", 1.0, 2.0, 20.0)]
    path = tmp_path / "out.json"
    write_video_list(found, path)
    again = read_video_list(path)
    assert (again, again.sha256, again.source) == (found, found.sha256, found.source)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            lambda c: c.update(tests=[]),
            ": unknown split 'tests' (did you mean 'test'?); the splits are train, val, test",
        ),
        (lambda c: c.update(train={}), "train is {}; it must be a list with one dictionary per task"),
        (lambda c: c["val"].append([]), "val, task 3 is []; give the classes, each with its videos, by name"),
        (lambda c: c["val"][0].update(run="v_x"), "val, task 1, class 'run' is 'v_x'; give a list of videos"),
        (lambda c: c["val"][0]["run"].append(5), "val, task 1, class 'run': 5 is not text"),
        (lambda c: c["val"][0].update({"/x": []}), "val, task 1, name of a class: '/x' is an absolute path"),
        (lambda c: c["val"][0].pop("run"), "the class 'run' of task 1 has no val split (train and test only)"),
        (lambda c: c.pop("train"), "no training clip for 3 classes: 'dive', 'jump', 'run'; add some"),
        (lambda c: c["train"][1].update(run=["v"]), "the class 'run' is in the tasks 1, 2; a class arrives once"),
    ],
)
def test_a_list_that_is_wrong(change: Callable[[Any], object], expected: str, tmp_path: Path) -> None:
    assert expected in _message(write_pickle(tmp_path, _changed(change)))


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"t_start": "one"}, "t_start of 'v_x' is 'one'; give a number of seconds"),
        ({"t_start": "nan"}, "t_start of 'v_x' is 'nan'; give a number"),
        ({"t_end": float("inf")}, "t_end of 'v_x' is inf; give a number"),
        ({"t_end": None}, "t_end of 'v_x' is None; give a number"),
        ({"t_end": True}, "t_end of 'v_x' is True; give a number"),
        ({"t_end": "1e999"}, "t_end of 'v_x' is '1e999'; give a number"),
        ({"t_start": "-1"}, "start_seconds of 'v_x' is -1.0; use seconds from 0 to 1e9"),
        ({"t_ends": 7}, "unknown key 't_ends' (did you mean 't_end'?); the keys are filename, t_start, t_end"),
    ],
)
def test_a_segment_that_is_wrong(change: dict[str, object], expected: str, tmp_path: Path) -> None:
    content = _changed(lambda c: c["val"][1]["dive"].append({**segment("v_x", "1", "2"), **change}))
    message = _message(write_pickle(tmp_path, content))
    assert "val, task 2, class 'dive'" in message
    assert expected in message


def test_a_segment_needs_no_length_of_its_video(tmp_path: Path) -> None:
    short = {"filename": "v_x", "t_start": 1, "t_end": 2}
    found = import_list(write_pickle(tmp_path, _changed(lambda c: c["val"][1]["dive"].append(short))))
    assert found.tasks[1][0].of("val")[1] == ListedSegment("v_x", 1.0, 2.0)


@pytest.mark.parametrize("content", [[], "text", None, 5, ["train"]])
def test_another_shape(content: object, tmp_path: Path) -> None:
    message = _message(write_pickle(tmp_path, content))
    assert f"holds a {type(content).__name__}, not a dictionary with the splits train, val, test" in message


def test_the_same_list_a_million_times_is_refused_at_once(tmp_path: Path) -> None:
    # 2 bytes ask for a class of 300 videos once more; the whole would be 10 ** 9 entries.
    task = {f"c{i}": None for i in range(3000)}
    videos = ["v"] * 300_000
    content = {"train": [dict.fromkeys(task, videos)], "val": [dict.fromkeys(task, videos)]}
    assert "lists more videos than it has bytes" in _message(write_pickle(tmp_path, content))


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ("x" * 20_000, "has a part of more than 255 bytes, which no file can have"),
        ("folder/" * 3_000 + "x", "has more than 4095 characters, which no file can have"),
        (segment("v_a", "1." + "0" * 20_000, "4.0"), "t_start of 'v_a' is '1.000"),
    ],
)
def test_a_long_text_that_stands_in_a_pickle_again_and_again_is_read_once(
    entry: object, expected: str, tmp_path: Path
) -> None:
    path = write_pickle(tmp_path, {"train": [{"run": [entry] * 5_000}]})
    tracemalloc.start()
    try:
        assert expected in _message(path)
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()


def test_what_no_run_can_use_is_still_opened_for_an_audit(tmp_path: Path) -> None:
    content = _changed(lambda c: c["train"][1].update(run=["v"]))
    assert open_list(write_pickle(tmp_path, content)).groups == (("run", "jump"), ("dive", "run"))


_VALUES = st.recursive(
    st.none() | st.integers(-5, 5) | st.floats() | st.text(max_size=3) | st.sampled_from(["v_1", "..", "1.5", "nan"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=2).map(tuple)
        | st.dictionaries(st.sampled_from(["run", "val", *segment("", 0, 0)]) | st.text(max_size=3), inner, max_size=5)
    ),
    max_leaves=8,
)
_IN_PLACE: dict[str, Callable[[Any, Any], object]] = {
    "top": lambda c, value: c.update(val=value),
    "task": lambda c, value: c["train"].append(value),
    "class": lambda c, value: [tasks[0].update(new=value) for tasks in c.values()],
    "entry": lambda c, value: c["val"][0]["run"].append(value),
    "time": lambda c, value: c["val"][0]["run"].append(segment("v", 0, value)),
    "start": lambda c, value: c["val"][0]["run"].append(segment("v", value, 5)),
    "length": lambda c, value: c["val"][0]["run"].append(segment("v", 0, 5, value)),
    "file": lambda c, value: c["val"][0]["run"].append({**segment("v", 0, 5), "filename": value}),
}


@settings(
    deadline=None, derandomize=True, max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.sampled_from(list(_IN_PLACE)), _VALUES, st.integers(0, 5))
def test_whatever_stands_in_a_pickle_it_is_read_or_refused(
    tmp_path: Path, place: str, value: Any, protocol: int
) -> None:
    path = write_pickle(tmp_path, _changed(lambda c: _IN_PLACE[place](c, value)), protocol=protocol)
    with suppress(DataError):
        found = import_list(path)
        write_video_list(found, tmp_path / "out.json")
        assert read_video_list(tmp_path / "out.json") == found


@settings(
    deadline=None, derandomize=True, max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.data(), st.sampled_from([PUBLISHED, segments()]), st.integers(0, 5))
def test_whatever_bytes_a_pickle_has_it_is_read_or_refused(
    tmp_path: Path, data: st.DataObject, published: object, protocol: int
) -> None:
    content = bytearray(pickle.dumps(published, protocol))
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / "list.pkl"
    path.write_bytes(content)
    with suppress(DataError):
        import_list(path)


def test_vclimb_ucf101(shared_folder: Path) -> None:
    found = import_list(shared_folder / "annotations/UCF101_data.pkl")
    assert [len(group) for group in found.groups] == [11, *[10] * 9]
    assert len(set(found.classes)) == 101
    assert [_counts(found, split) for split in ("train", "val", "test")] == [9280, 1314, 2726]
    listed = found.listed()
    assert len(listed) == 9280 + 2726
    assert all(video.segment is None for video in listed)
    # A slip by one place would give nearly every name another class. (One class is spelt in two ways.)
    assert all(video.name.lower().startswith(f"v_{video.label}_g".lower()) for video in listed)
    assert len(found.listed(test_split="val")) == 9280 + 1314


def test_vclimb_activitynet(shared_folder: Path, tmp_path: Path) -> None:
    found = activitynet(shared_folder)
    assert [len(group) for group in found.groups] == [20] * 10
    assert len(set(found.classes)) == 200
    assert [_counts(found, split) for split in ("train", "val", "test")] == [15410, 7654, 0]
    listed = found.listed()
    assert [sum(video.split == split for video in listed) for split in ("train", "test")] == [15410, 7654]
    assert all(video.segment for video in listed)
    path = tmp_path / "list.json"
    write_video_list(found, path)
    again = read_video_list(path)
    assert (again, again.sha256) == (found, found.sha256)


def test_vclimb_activitynet_untrimmed(shared_folder: Path) -> None:
    found = activitynet(shared_folder)
    whole = found.listed(untrimmed=True)
    assert all(video.segment is None for video in whole)
    for split, listed_as in (("train", "train"), ("val", "test")):
        labels: dict[str, set[str]] = {}
        longest: dict[str, float] = {}
        for video in found.listed():
            if video.split == listed_as:
                assert video.segment is not None
                labels.setdefault(video.name, set()).add(video.label)
                length = video.segment.end_seconds - video.segment.start_seconds
                longest[video.name] = max(length, longest.get(video.name, 0.0))
        expected = {(file, *names) for file, names in labels.items() if len(names) == 1 and longest[file] > 0}
        kept = [(video.name, video.label) for video in whole if video.split == listed_as]
        assert len(kept) == len(expected) == {"train": 10010, "val": 4917}[split]
        assert set(kept) == expected
