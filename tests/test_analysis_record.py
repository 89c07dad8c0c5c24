"""Reading and writing `analysis.json`."""

import json
from pathlib import Path
from typing import Any

import pytest

from essential.errors import RunError
from essential.files.atomic import sha256_of_json
from essential.records.analysis import Analysis

MEANS = {"exemplars": 2, "sparse": 0.25, "sparse_frames": 1.5, "retrieved": 0.125, "retrieved_frames": 0.5}
CLIP: dict[str, Any] = {
    "video": "test/größer/1.mp4",
    "label": "0 left",
    "known_after_task": 0,
    "lost_after_task": 1,
    "predicted": "1 up",
    "margin": 2.5,
    "frames": ["/9j/4AAQSkZJRg=="],
}
CONTENT: dict[str, Any] = {
    "schema_version": 1,
    "protocol_id": "0123456789abcdef",
    "class_names": ["0 left", "größer <b>", "1 up"],
    "class_tasks": [0, 0, 1],
    "class_accuracy_by_task": [[1.0, None, None], [0.5, None, 1.0]],
    "confusion": [[1, 0, 1], [0, 0, 0], [0, 0, 2]],
    "distances": {"overall": MEANS, "by_slot": [{"slot": 2, "means": {**MEANS, "retrieved": None}}]},
    "frames_kept": [{"frames": 2, "clips": 4, "accuracy": 0.5, "retrieved_accuracy": 0.75}],
    "forgotten": [CLIP],
    "forgotten_count": 3,
    "notes": ["the map is left out"],
}


def _read(tmp_path: Path, content: Any) -> Analysis:
    path = tmp_path / "analysis.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    return Analysis.read(path)


def test_what_is_written_is_what_is_read(tmp_path: Path) -> None:
    analysis, path = _read(tmp_path, CONTENT), tmp_path / "again" / "analysis.json"
    analysis.write(path)
    written = json.loads(path.read_text(encoding="utf-8"))
    assert written.pop("sha256") == sha256_of_json(CONTENT)
    assert written == CONTENT
    assert (analysis.mark, Analysis.read(path).mark) == ("no digest", "")
    assert Analysis.read(path).model_dump() == analysis.model_dump()


def test_what_was_changed_after_it_was_written_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "analysis.json"
    _read(tmp_path, CONTENT).write(path)
    path.write_text(path.read_text(encoding="utf-8").replace('"forgotten_count":3', '"forgotten_count":2'))
    with pytest.raises(
        RunError, match=r"analysis.json was changed after it was written: .*delete it, and report makes"
    ):
        Analysis.read(path)
    assert Analysis.read(path, unverified=True).mark == "unverified"


def test_what_could_not_be_made_may_be_missing(tmp_path: Path) -> None:
    optional = ("distances", "frames_kept", "forgotten", "notes")
    analysis = _read(tmp_path, {key: value for key, value in CONTENT.items() if key not in optional})
    assert [getattr(analysis, name) for name in optional] == [None, (), (), ()]


def test_the_map_of_an_older_file_is_passed_over(tmp_path: Path) -> None:
    older = {**CONTENT, "embedding": {"points": [{"x": 0, "y": 0}], "of_exemplars": 9}}
    content = {**older, "sha256": sha256_of_json(older)}
    found = _read(tmp_path, content)
    assert found.mark == "", "the digest is that of the file as it was"
    assert found.model_dump_json() == _read(tmp_path, CONTENT).model_dump_json()


def test_the_file_of_many_classes_and_tasks_is_small(tmp_path: Path) -> None:
    classes, tasks, jpeg = 400, 20, "/9j/" + "A" * 8000
    class_tasks = [slot // 20 for slot in range(classes)]
    rows = [[1 / 3 if task <= row else None for task in class_tasks] for row in range(tasks)]
    content = {
        **CONTENT,
        "class_names": [f"the name of class {slot}" for slot in range(classes)],
        "class_tasks": class_tasks,
        "class_accuracy_by_task": rows,
        "confusion": [[3] * classes] * classes,
        "distances": {"overall": MEANS, "by_slot": [{"slot": slot, "means": MEANS} for slot in range(classes)]},
        "forgotten": [
            {**CLIP, "label": "the name of class 1", "predicted": "the name of class 2", "frames": [jpeg] * 4}
        ]
        * 24,
        "forgotten_count": 9000,
    }
    path = tmp_path / "small.json"
    _read(tmp_path, content).write(path)
    assert path.stat().st_size < 1_500_000


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"speed": 3}, r"speed: Extra inputs are not permitted \(found 3\)"),
        ({"class_tasks": [0, 1]}, "class_tasks must have 3 entries"),
        ({"class_tasks": [1, 0, 1]}, "class_tasks must have 3 entries, as class_names has, none before"),
        ({"class_tasks": [0, 0, 2]}, "class_tasks names task 2, but 2 tasks were learned"),
        ({"class_accuracy_by_task": [[1.0], [1.0, 1.0, 1.0]]}, r"class_accuracy_by_task has rows of lengths \[1, 3\]"),
        ({"class_accuracy_by_task": [[1.0, 1.0, 0.5]] * 2}, "a number for a class that was not learned yet"),
        ({"class_accuracy_by_task": [[90.0, None, None]] * 2}, r"class_accuracy_by_task.0.0: .*\(found 90.0\)"),
        ({"confusion": [[1, 0, 1]] * 2}, "confusion has 2 rows for 3 classes"),
        ({"confusion": [[1, 0]] * 3}, r"confusion has rows of lengths \[2\] for 3 classes"),
        ({"confusion": [[-1, 0, 0]] * 3}, r"confusion.0.0: .*\(found -1\)"),
        (
            {"distances": {"overall": MEANS, "by_slot": [{"slot": 3, "means": MEANS}]}},
            "class number 3 is none of the 3 classes",
        ),
        ({"distances": {"overall": {**MEANS, "sparse": 2.5}, "by_slot": []}}, r"overall.sparse: .*\(found 2.5\)"),
        ({"frames_kept": [{"frames": 0, "clips": 1, "accuracy": 1}]}, r"frames_kept.0.frames: .*\(found 0\)"),
        ({"forgotten": [{**CLIP, "label": "elsewhere"}]}, "forgotten names 'elsewhere', which is no class"),
        ({"forgotten": [{**CLIP, "known_after_task": 1}]}, "a forgotten clip is known before it is lost"),
        ({"forgotten": [{**CLIP, "frames": ['" onload="x']}]}, r"forgotten.0.frames.0: .*pattern"),
        ({"forgotten": [{**CLIP, "frames": ["/9j/AAAA\n"]}]}, r"forgotten.0.frames.0: .*pattern"),
        ({"forgotten": [{**CLIP, "frames": ["/9j/" + "A" * 20_000]}]}, r"forgotten.0.frames.0: .*at most 20000"),
        ({"forgotten": [CLIP] * 25, "forgotten_count": 25}, "forgotten: .*at most 24"),
        ({"forgotten_count": 0}, "forgotten has 1 clips, but forgotten_count is 0"),
    ],
)
def test_a_value_that_does_not_fit_is_named(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(RunError, match=f"analysis.json is not a valid analysis: .*{message}"):
        _read(tmp_path, {**CONTENT, **changes})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], "holds a JSON list, not an analysis; give the analysis.json of a run"),
        ({**CONTENT, "schema_version": 3}, "has schema_version 3, .* reads 2 at most; install the version that wrote"),
    ],
)
def test_another_file_is_named(tmp_path: Path, content: Any, message: str) -> None:
    with pytest.raises(RunError, match=f"analysis.json {message}"):
        _read(tmp_path, content)
