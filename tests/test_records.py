"""Reading and writing `record.json`."""

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from essential.errors import RunError
from essential.files.atomic import sha256_of_json
from essential.records import SCHEMA_VERSION, Record

MEMORY = {"episodic": 100, "semantic": 20, "statistics": 7, "retrieval_modules": 3, "total": 130}
ADDED_LATER = {
    "record": ("reading", "class_accuracy", "trainable_parameters"),
    "metrics": (
        "average_incremental_accuracy_cnn",
        "average_incremental_accuracy_nme",
        "vclimb_accuracy",
        "vclimb_accuracy_unweighted",
        "vclimb_bwf",
        "tcd_forgetting",
    ),
}
CONTENT: dict[str, Any] = {
    "schema_version": SCHEMA_VERSION,
    "protocol": {
        "name": "moving-digits",
        "id": "0123456789abcdef",
        "list_sha256": "cd" * 32,
        "passed_over": {"hidden": 2},
        "tasks": [
            {"classes": ["0 left", "größer <b>"], "train_videos": 80, "test_videos": 40},
            {"classes": ["1 up"], "train_videos": 40, "test_videos": 0},
        ],
    },
    "method": {"name": "essential", "asked_for": None, "config": {"memory_mode": "task", "layers": [1, 2]}},
    "encoder": {"name": "tiny", "fingerprint": "ab" * 32, "text_tower": None},
    "seed": 0,
    "reading": "cnn",
    "accuracy": [[0.9, None], [1, None]],
    "class_accuracy": [1.0, 1.0, None],
    "metrics": {
        "final_accuracy": 1.0,
        "average_incremental_accuracy": 0.95,
        "average_incremental_accuracy_cnn": 0.95,
        "average_incremental_accuracy_nme": None,
        "vclimb_accuracy": 1.0,
        "vclimb_accuracy_unweighted": 1.0,
        "vclimb_bwf": -0.1,
        "forgetting_from_best": 0.0,
        "backward_forgetting": -0.1,
        "tcd_forgetting": -0.1,
    },
    "trainable_parameters": 1234,
    "memory_bytes": MEMORY,
    "exemplars": 8,
    "skipped_videos": [{"video": "train/a/1.mp4", "split": "train", "reason": "no video stream"}],
    "seconds": {"extract": 1.5, "train": 2, "evaluate": 0.25},
    "versions": {"python": "3.11.7"},
    "data": {"kind": "moving-digits"},
    "config": {"seed": 0},
    "ledger": [{"kind": "episodic", "name": "frame features", "bytes": 100, "in_paper_figure": True}],
    "memory_bytes_by_task": [MEMORY, MEMORY],
}


OLD = {**CONTENT, "schema_version": 1}


def _changed(**changes: Any) -> dict[str, Any]:
    return {**CONTENT, **changes}


def _write(path: Path, content: Any) -> Path:
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def test_what_is_written_is_what_is_read(tmp_path: Path) -> None:
    path = tmp_path / "run" / "record.json"
    record = Record.model_validate(CONTENT)
    record.write(path)
    written = json.loads(path.read_text(encoding="utf-8"))
    assert written.pop("sha256") == sha256_of_json(written)
    assert written == CONTENT
    assert Record.read(path) == record
    assert record.marked("a run") == "a run"
    again = tmp_path / "again.json"
    Record.read(path).write(again)
    assert again.read_bytes() == path.read_bytes()


def test_the_keys_stand_in_the_order_of_the_schema(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    Record.model_validate(CONTENT).write(path)
    assert list(json.loads(path.read_text(encoding="utf-8"))) == [*CONTENT, "sha256"]


def test_a_metric_of_a_plug_in_is_kept_without_the_plug_in(tmp_path: Path) -> None:
    metrics = {**CONTENT["metrics"], "worst_class": 0.25, "my_seconds": 31.5, "undefined": None}
    path = tmp_path / "record.json"
    Record.model_validate(_changed(metrics=metrics)).write(path)
    read = Record.read(path)
    assert read.metrics.worst_class == 0.25
    assert list(read.metrics.model_dump().items()) == list(metrics.items()), "behind the built-in ones, in order"
    assert list(json.loads(path.read_text())["metrics"]) == [
        *CONTENT["metrics"],
        "worst_class",
        "my_seconds",
        "undefined",
    ]


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("worst_class", "high", "metrics.worst_class: Input should be a valid number"),
        ("worst_class", True, "metrics.worst_class: Input should be a valid number"),
        ("worst_class", [0.5], "metrics.worst_class: Input should be a valid number"),
        ("<b>", 0.5, "'<b>' is no name of a metric"),
        ("a" * 81, 0.5, f"'{'a' * 50}.* is no name of a metric; use letters, digits and _.-, 80 at most"),
    ],
)
def test_a_metric_that_no_plug_in_writes_is_refused(tmp_path: Path, name: str, value: object, message: str) -> None:
    path = _write(tmp_path / "record.json", _changed(metrics={**CONTENT["metrics"], name: value}))
    with pytest.raises(RunError, match=f"record.json is not a valid record: .*{message}"):
        Record.read(path)


def test_metrics_of_plug_ins_are_bounded(tmp_path: Path) -> None:
    many = {f"metric_{number}": 0.5 for number in range(101)}
    path = _write(tmp_path / "record.json", _changed(metrics={**CONTENT["metrics"], **many}))
    with pytest.raises(RunError, match="101 metrics of plug-ins are more than the 100 that a record holds"):
        Record.read(path)
    with pytest.raises(ValidationError, match="finite"):
        Record.model_validate(_changed(metrics={**CONTENT["metrics"], "worst_class": float("nan")}))


def test_a_metric_that_every_record_has_is_missed(tmp_path: Path) -> None:
    metrics = {name: value for name, value in CONTENT["metrics"].items() if name != "final_accuracy"}
    with pytest.raises(RunError, match=r"metrics\.final_accuracy: Field required"):
        Record.read(_write(tmp_path / "record.json", _changed(metrics=metrics)))


def test_a_record_is_frozen() -> None:
    record = Record.model_validate(CONTENT)
    with pytest.raises(ValidationError, match="frozen"):
        record.seed = 3  # type: ignore[misc]


def test_a_single_task_has_null_forgetting() -> None:
    content = _changed(
        protocol={**CONTENT["protocol"], "tasks": CONTENT["protocol"]["tasks"][:1]},
        accuracy=[[0.9]],
        class_accuracy=[0.9, 0.9],
        metrics={**CONTENT["metrics"], "forgetting_from_best": None, "backward_forgetting": None},
        memory_bytes_by_task=[MEMORY],
    )
    assert Record.model_validate(content).metrics.backward_forgetting is None


def test_a_record_of_an_older_version_is_read_and_says_nothing_of_what_it_did_not_know(tmp_path: Path) -> None:
    old = {key: value for key, value in OLD.items() if key not in ADDED_LATER["record"]}
    old["metrics"] = {key: value for key, value in CONTENT["metrics"].items() if key not in ADDED_LATER["metrics"]}
    memory = {key: value for key, value in MEMORY.items() if key != "statistics"} | {"total": 123}
    old |= {"memory_bytes": memory, "memory_bytes_by_task": [memory, memory]}
    record = Record.read(_write(tmp_path / "record.json", old))
    assert (record.reading, record.class_accuracy, record.trainable_parameters) == ("cnn", (), None)
    assert [getattr(record.metrics, name) for name in ADDED_LATER["metrics"]] == [None] * 6
    assert record.memory_bytes.statistics == 0
    assert record.marked("old") == "old (no digest)"


def _with_other(text: str, found: str, put: str) -> str:
    assert text.count(found) == 1
    return text.replace(found, put)


@pytest.mark.parametrize(
    ("found", "put", "message"),
    [
        ('"seed": 0,\n  "reading"', '"seed": 1,\n  "reading"', "was changed after it was written"),
        ('"layers": [\n        1', '"layers": [\n        3', "was changed after it was written"),
        ('"final_accuracy": 1.0', '"final_accuracy": 0.9', "was changed after it was written"),
        (f'"sha256": "{"0" * 64}"', '"sha256": null', "was changed after it was written"),
        (f'"sha256": "{"0" * 64}"', '"exemplars": 8', "the key 'exemplars' stands twice"),
        ('"python": "3.11.7"', '"python": "3", "python": "3.11.7"', "the key 'python' stands twice"),
    ],
)
def test_what_was_changed_after_it_was_written_is_refused(tmp_path: Path, found: str, put: str, message: str) -> None:
    path = tmp_path / "record.json"
    Record.model_validate(CONTENT).write(path)
    text = path.read_text(encoding="utf-8")
    digest = json.loads(text)["sha256"]
    path.write_text(_with_other(text, found.replace("0" * 64, digest), put), encoding="utf-8")
    with pytest.raises(RunError, match=f"record.json .*{message}"):
        Record.read(path)
    if "twice" not in message:
        assert Record.read(path, unverified=True).marked("a run") == "a run (unverified)"


@pytest.mark.parametrize("name", ["final_accuracy", "vclimb_bwf", "tcd_forgetting", "forgetting_from_best"])
def test_metrics_that_do_not_follow_from_the_accuracies_are_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / "record.json"
    Record.model_validate(_changed(metrics={**CONTENT["metrics"], name: 0.25})).write(path)
    with pytest.raises(
        RunError, match=rf"metrics.{name} is 0.25, but its accuracies give .*report and site show it as it is, marked"
    ):
        Record.read(path)
    assert Record.read(path, unverified=True).mark == "unverified"


def test_what_a_budget_caps_is_all_but_the_retrieval_modules() -> None:
    assert Record.model_validate(CONTENT).memory_bytes.budgeted == 127


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"nowhere/record.json is missing; give the folder of a finished run"):
        Record.read(tmp_path / "nowhere" / "record.json")


def test_a_folder_in_place_of_the_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=f"{tmp_path} cannot be read"):
        Record.read(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is damaged and cannot be read as JSON"),
        (json.dumps(CONTENT).encode()[:200], "is damaged and cannot be read as JSON"),
        (b"\xff\xfe\x00", "is damaged and cannot be read as JSON"),
        (b"[1, 2]", "holds a JSON list, not a record"),
        (b"{}", "has schema_version None, not a number"),
    ],
)
def test_a_damaged_file_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "record.json"
    path.write_bytes(content)
    with pytest.raises(RunError, match=f"record.json {message}"):
        Record.read(path)


def test_a_newer_schema_says_so_whatever_else_it_holds(tmp_path: Path) -> None:
    path = _write(tmp_path / "record.json", {"schema_version": SCHEMA_VERSION + 1, "new": True})
    with pytest.raises(
        RunError, match=f"record.json has schema_version {SCHEMA_VERSION + 1}, .* reads {SCHEMA_VERSION} at most"
    ):
        Record.read(path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"speed": 3}, r"speed: Extra inputs are not permitted \(found 3\)"),
        ({"seed": "zero"}, r"seed: .* integer .*\(found 'zero'\)"),
        ({"schema_version": 0}, r"schema_version: .* greater than or equal to 1 \(found 0\)"),
        ({"exemplars": -1}, r"exemplars: .* \(found -1\)"),
        ({"accuracy": [[90.0, None], [80.0, 70.0]]}, r"accuracy.0.0: .* less than or equal to 1 \(found 90.0\)"),
        ({"accuracy": [[0.9, None], [0.8]]}, r"accuracy has 2 rows of lengths \[1, 2\] for 2 tasks"),
        ({"accuracy": [[0.9, 0.1], [0.8, 0.7]]}, "accuracy has a number for a task that was not learned yet"),
        ({"accuracy": [[None] * 3] * 3}, "accuracy has 3 rows"),
        ({"class_accuracy": [0.5, 0.5]}, "class_accuracy has 2 entries for 3 classes learned"),
        ({"class_accuracy": [0.5, 0.5, 50.0]}, r"class_accuracy.2: .* less than or equal to 1 \(found 50.0\)"),
        ({"trainable_parameters": -1}, r"trainable_parameters: .* \(found -1\)"),
        ({"memory_bytes": {**MEMORY, "total": 1}}, "total is 1, but the kinds add up to 130"),
        ({"memory_bytes_by_task": [MEMORY]}, "memory_bytes_by_task has 1 entries for 2 tasks"),
    ],
)
def test_a_value_that_does_not_fit_is_named(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    path = _write(tmp_path / "record.json", _changed(**changes))
    with pytest.raises(RunError, match=f"record.json is not a valid record: .*{message}"):
        Record.read(path)


def test_not_a_number_is_refused(tmp_path: Path) -> None:
    path = _write(tmp_path / "record.json", _changed(seconds={"extract": float("nan"), "train": 1, "evaluate": 1}))
    with pytest.raises(RunError, match="NaN is no number that can be used"):
        Record.read(path)


def test_missing_keys_are_named_and_many_are_counted(tmp_path: Path) -> None:
    path = _write(tmp_path / "record.json", {"schema_version": 1})
    with pytest.raises(RunError, match=r"protocol: Field required; .*and 12 more; run its command again"):
        Record.read(path)
