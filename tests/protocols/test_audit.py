"""What an audit counts: by hand on small lists, by a slow rule on random ones, and on the two real ones."""

import random
from itertools import combinations
from pathlib import Path

import pytest
from made_lists import PUBLISHED, activitynet, segments, write_pickle

from essential.protocols.audit import findings, odd_entries
from essential.protocols.listed import Entry, ListedClass, ListedSegment, Tasks
from essential.protocols.video_list import open_list

NO_GROUPS = "groups: no name has a group number (UCF101's _gNN_cNN), so leaks by group cannot be checked"


def _leak(split: str, leaked: int, videos: int, leaked_groups: int, groups: int) -> str:
    return (
        f"group leakage: {leaked} of {videos} {split} videos have a clip of their own group in training "
        f"({leaked_groups} of {groups} groups): accuracy on this split is optimistic"
    )


def _of(tasks: Tasks, *kinds: str) -> list[str]:
    return [finding for finding in findings(tasks) if finding.startswith(kinds)]


def test_a_small_list(tmp_path: Path) -> None:
    assert list(findings(open_list(write_pickle(tmp_path, PUBLISHED)).tasks)) == [
        _leak("val", 0, 3, 0, 3),
        # Run's and dive's groups are in training, jump's third is not.
        _leak("test", 2, 3, 2, 3),
        "splits: no video is in two splits (train, val, test)",
        "classes: none is in two tasks",
        "classes per task: from 1 (task 2) to 2 (task 1), 2.0 times as many",
        "training entries per task: from 1 (task 2) to 3 (task 1), 3.0 times as many",
        "training entries per class: from 1 (jump) to 2 (run), 2.0 times as many",
    ]


def test_a_small_list_of_segments(tmp_path: Path) -> None:
    tasks = open_list(write_pickle(tmp_path, segments())).tasks
    assert _of(tasks, "groups", "group leakage", "train: ", "val: ") == [
        NO_GROUPS,
        "train: entries that repeat one of the same class (the same one up to 2 times): 1",
        "train: segments that end where they start, without a frame: 1",
        "train: segments that end more than 0.05 s behind the end of their video: 1",
        "train: videos with entries of several classes (data.untrimmed leaves them out): 1",
        "train: videos with segments of different classes that overlap in time: 1",
        # 21 and 20.5 are behind the end at 20, 20.04 is within what lists round.
        "val: segments that start at or behind the end of their video, without a frame: 1",
        "val: segments that end more than 0.05 s behind the end of their video: 1",
    ]


def test_nothing_at_all() -> None:
    assert list(findings([])) == [NO_GROUPS, "splits: no video is in two splits ()", "classes: none is in two tasks"]


def test_a_class_in_two_tasks() -> None:
    run = ListedClass("run", {"train": ["a", "b"]})
    assert _of([[run], [ListedClass("jump", {"train": ["c"]})], [run]], "classes:", "training entries per class") == [
        "classes: 'run' is in the tasks 1, 3; a class should arrive once",
        "training entries per class: from 1 (jump) to 4 (run), 4.0 times as many",
    ]


def test_videos_in_two_splits() -> None:
    inside: ListedSegment = ListedSegment("b", 1.0, 2.0)
    classes = [
        ListedClass("run", {"train": ["b", "a"], "val": [inside], "test": ["x"]}),
        ListedClass("jump", {"train": ["c"], "val": ["a", "x"], "test": ["y"]}),
    ]
    assert _of([classes], "splits") == [
        "splits: 2 videos are in both train and val: 'a', 'b'",
        "splits: 1 videos are in both val and test: 'x'",
    ]


@pytest.mark.parametrize(
    ("name", "leaks"),
    [
        ("v_run_g01_c09", 1),
        ("v_run_g1_c2.avi", 1),
        ("run/v_run_g01_c02.mp4", 1),
        ("v_run_g02_c01", 0),
        ("v_run_g11_c01", 0),
        ("v_run_g01", None),
        ("v_run_g01_c01/frames", None),
    ],
)
def test_a_group_is_the_class_and_the_number(name: str, leaks: int | None) -> None:
    same = [ListedClass("run", {"train": ["v_run_g01_c01.avi"], "test": [name]}), ListedClass("jump")]
    assert _of([same], "group") == [NO_GROUPS if leaks is None else _leak("test", leaks, 1, leaks, 1)]
    other = [ListedClass("jump", {"train": ["v_jump_g01_c01"]}), ListedClass("run", {"test": ["v_run_g01_c01"]})]
    assert _of([other], "group") == [_leak("test", 0, 1, 0, 1)]


def _overlap(first: ListedSegment, second: ListedSegment) -> bool:
    """Say whether a stretch of time longer than nothing lies in both."""
    starts, ends = (first.start_seconds, second.start_seconds), (first.end_seconds, second.end_seconds)
    return max(starts) < min(ends)


def test_entries_against_a_slow_rule() -> None:
    draw = random.Random(0)
    overlapping = 0
    for _ in range(150):
        classes: dict[str, list[Entry]] = {name: [] for name in ("run", "jump", "dive")}
        rows = []
        for _ in range(draw.randrange(1, 12)):
            start = draw.randrange(6)
            entry = ListedSegment(draw.choice("ab"), float(start), float(start + draw.choice([0, 1, 2])), 5.0)
            rows.append((draw.choice(list(classes)), entry))
            classes[rows[-1][0]].append(entry)
        found = odd_entries([[ListedClass(name, {"train": entries}) for name, entries in classes.items()]], "train")
        pairs = [(a, b) for (x, a), (y, b) in combinations(rows, 2) if x != y and a.file == b.file]
        overlaps = len({a.file for a, b in pairs if _overlap(a, b)})
        assert [*found.values()] == [
            sum(row in rows[:place] for place, row in enumerate(rows)),
            sum(entry.end_seconds <= entry.start_seconds for _, entry in rows),
            sum(entry.start_seconds >= 5 for _, entry in rows),
            sum(entry.end_seconds > 5.05 for _, entry in rows),
            len({a.file for a, _ in pairs}),
            overlaps,
        ]
        assert f"up to {max(map(rows.count, rows))} times" in next(iter(found))
        overlapping += overlaps
    assert overlapping > 20


def test_vclimb_ucf101(shared_folder: Path) -> None:
    tasks = open_list(shared_folder / "annotations/UCF101_data.pkl").tasks
    assert _of(tasks, "group", "splits", "classes") == [
        _leak("val", 1297, 1314, 1073, 1085),
        _leak("test", 2692, 2726, 1721, 1733),
        "splits: no video is in two splits (train, val, test)",
        "classes: none is in two tasks",
        "classes per task: from 10 (task 2) to 11 (task 1), 1.1 times as many",
    ]


def test_vclimb_activitynet(shared_folder: Path) -> None:
    tasks = activitynet(shared_folder).tasks
    train, val = odd_entries(tasks, "train"), odd_entries(tasks, "val")
    assert [[*train.values()], [*val.values()]] == [[30, 9, 0, 842, 6, 5], [19, 3, 1, 386, 7, 5]]
    assert ("up to 13 times" in next(iter(train)), "up to 12 times" in next(iter(val))) == (True, True)
    assert _of(tasks, "splits") == ["splits: no video is in two splits (train, val)"]
