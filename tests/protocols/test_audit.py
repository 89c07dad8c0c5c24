"""What an audit counts: by hand on small lists, by a slow rule on random ones, and on the two real ones."""

import random
from itertools import combinations
from pathlib import Path

import pytest
from made_lists import PUBLISHED, activitynet, segments, write_pickle

from essential.protocols.audit import Extremes, GroupLeak, ListAudit, SplitAudit, audit_list
from essential.protocols.listed import Entry, ListedClass, ListedSegment
from essential.protocols.video_list import open_list

NOTHING = SplitAudit(*[0] * 7)


def _audit(*classes: ListedClass) -> ListAudit:
    return audit_list([list(classes)])


def test_a_small_list(tmp_path: Path) -> None:
    found = audit_list(open_list(write_pickle(tmp_path, PUBLISHED)).tasks)
    whole = NOTHING._replace(most_repeated=1)
    assert found == ListAudit(
        splits={"train": whole, "val": whole, "test": whole},
        classes_per_task=Extremes(1, "task 2", 2, "task 1"),
        training_per_task=Extremes(1, "task 2", 3, "task 1"),
        training_per_class=Extremes(1, "jump", 2, "run"),
        repeated_classes={},
        shared_files={},
        # In test run's and dive's groups are in training, jump's third is not.
        group_leaks=(GroupLeak("val", 3, 0, 3, 0), GroupLeak("test", 3, 2, 3, 2)),
    )


def test_a_small_list_of_segments(tmp_path: Path) -> None:
    found = audit_list(open_list(write_pickle(tmp_path, segments())).tasks)
    assert found.splits == {
        "train": SplitAudit(
            repeats=1,
            most_repeated=2,
            empty=1,
            started_past_end=0,
            ended_past_end=1,
            files_of_several_classes=1,
            files_of_overlapping_classes=1,
        ),
        # 21 and 20.5 are behind the end at 20, 20.04 is within what lists round.
        "val": SplitAudit(0, 1, 0, 1, 1, 0, 0),
    }
    assert found.group_leaks == ()


def test_nothing_at_all() -> None:
    assert audit_list([]) == ListAudit({}, None, None, None, {}, {}, ())


def test_a_class_in_two_tasks() -> None:
    run = ListedClass("run", {"train": ["a", "b"]})
    found = audit_list([[run], [ListedClass("jump", {"train": ["c"]})], [run]])
    assert found.repeated_classes == {"run": (1, 3)}
    assert found.training_per_class == Extremes(1, "jump", 4, "run")


def test_videos_in_two_splits() -> None:
    inside: ListedSegment = ListedSegment("b", 1.0, 2.0)
    found = _audit(
        ListedClass("run", {"train": ["b", "a"], "val": [inside], "test": ["x"]}),
        ListedClass("jump", {"train": ["c"], "val": ["a", "x"], "test": ["y"]}),
    )
    assert found.shared_files == {("train", "val"): ("a", "b"), ("val", "test"): ("x",)}


@pytest.mark.parametrize(
    ("name", "leaks"),
    [
        ("v_run_g01_c09", True),
        ("v_run_g1_c2.avi", True),
        ("run/v_run_g01_c02.mp4", True),
        ("v_run_g02_c01", False),
        ("v_run_g11_c01", False),
        ("v_run_g01", None),
        ("v_run_g01_c01/frames", None),
    ],
)
def test_a_group_is_the_class_and_the_number(name: str, leaks: bool | None) -> None:
    found = _audit(ListedClass("run", {"train": ["v_run_g01_c01.avi"], "test": [name]}), ListedClass("jump"))
    assert found.group_leaks == (() if leaks is None else (GroupLeak("test", 1, leaks, 1, leaks),))
    other = _audit(ListedClass("jump", {"train": ["v_jump_g01_c01"]}), ListedClass("run", {"test": ["v_run_g01_c01"]}))
    assert other.group_leaks == (GroupLeak("test", 1, 0, 1, 0),)


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
        found = _audit(*(ListedClass(name, {"train": entries}) for name, entries in classes.items())).splits["train"]
        pairs = [(a, b) for (x, a), (y, b) in combinations(rows, 2) if x != y and a.file == b.file]
        assert found == SplitAudit(
            repeats=sum(row in rows[:place] for place, row in enumerate(rows)),
            most_repeated=max(map(rows.count, rows)),
            empty=sum(entry.end_seconds <= entry.start_seconds for _, entry in rows),
            started_past_end=sum(entry.start_seconds >= 5 for _, entry in rows),
            ended_past_end=sum(entry.end_seconds > 5.05 for _, entry in rows),
            files_of_several_classes=len({a.file for a, _ in pairs}),
            files_of_overlapping_classes=len({a.file for a, b in pairs if _overlap(a, b)}),
        )
        overlapping += found.files_of_overlapping_classes
    assert overlapping > 20


def test_vclimb_ucf101(shared_folder: Path) -> None:
    found = audit_list(open_list(shared_folder / "annotations/UCF101_data.pkl").tasks)
    assert found.group_leaks == (GroupLeak("val", 1314, 1297, 1085, 1073), GroupLeak("test", 2726, 2692, 1733, 1721))
    assert found.shared_files == {}
    assert found.repeated_classes == {}
    assert found.classes_per_task == Extremes(10, "task 2", 11, "task 1")


def test_vclimb_activitynet(shared_folder: Path) -> None:
    found = audit_list(activitynet(shared_folder).tasks)
    assert found.splits == {
        "train": SplitAudit(30, 13, 9, 0, 842, 6, 5),
        "val": SplitAudit(19, 12, 3, 1, 386, 7, 5),
    }
    assert found.shared_files == {}
