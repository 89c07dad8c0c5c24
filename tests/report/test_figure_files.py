"""Figures as files: every one of the page, as SVG, PDF and CSV, whose numbers are those of the records."""

import csv
import re
import zlib
from pathlib import Path
from xml.etree import ElementTree

import pytest
from made_analyses import make_analysis
from made_records import make_record

from essential.errors import FileSystemError, RunError
from essential.report import ReportedRun, write_figures
from essential.report.drawing import figure_files
from essential.report.page import group_runs
from essential.results.formats import slug

KINDS = {".svg", ".pdf", ".csv"}
OF_GROUP = {
    "accuracy-over-tasks",
    "forgetting-per-task",
    "memory-over-tasks",
    "accuracy-against-memory",
    "accuracy-against-frames-read",
    "accuracy-against-frames-kept",
}
OF_RUN = {
    "accuracy-matrix",
    "memory-by-kind-over-tasks",
    "accuracy-and-forgetting-by-class",
    "confusion",
    "confusion-between-tasks",
    "distance-from-the-dense-clips",
}


def _reported(label: str, **fields: object) -> ReportedRun:
    record = make_record(**fields)  # type: ignore[arg-type]
    return ReportedRun(label, record, make_analysis(record, exemplars=12))


@pytest.fixture(scope="module")
def runs() -> list[ReportedRun]:
    """Two seeds of one method, and one that keeps another number of frames."""
    kept = {"method": "essential", "config": {"seed": 0, "epochs": 3}}
    runs = [_reported("seed 0"), ReportedRun("seed 1", make_record(seed=1))]
    record = make_record(**kept)  # type: ignore[arg-type]
    for name, frames, final in (("one frame", 1, 0.25), ("four frames", 4, 0.75)):
        method = record.method.model_copy(update={"config": {"stored_frames": 2, "frames_kept": frames}})
        metrics = record.metrics.model_copy(update={"final_accuracy": final})
        runs.append(ReportedRun(name, record.model_copy(update={"method": method, "metrics": metrics})))
    return runs


@pytest.fixture(scope="module")
def folder(runs: list[ReportedRun], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("figures")
    write_figures(runs, folder)
    return folder


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_every_figure_is_there_in_three_forms(folder: Path) -> None:
    expected = {f"{name}{kind}" for name in OF_GROUP for kind in KINDS}
    expected |= {f"seed-0/{name}{kind}" for name in OF_RUN for kind in KINDS}
    for run in ("seed-1", "one-frame", "four-frames"):
        expected |= {f"{run}/{n}{kind}" for n in ("accuracy-matrix", "memory-by-kind-over-tasks") for kind in KINDS}
    assert {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()} == expected


def _page_of_pdf(content: bytes) -> tuple[list[float], int]:
    """The corners of its only page, and how many texts are drawn there."""
    assert content.startswith(b"%PDF-")
    assert content.count(b"/Type /Page ") == 1
    [box] = re.findall(rb"/MediaBox \[([^]]+)\]", content)
    streams = re.findall(rb"stream\r?\n(x.*?)\r?\nendstream", content, re.DOTALL)
    # Only what is drawn has blocks of text; fonts and pictures are streams as well.
    texts = [len(re.findall(rb"^BT$", zlib.decompress(stream), re.MULTILINE)) for stream in streams]
    return [float(number) for number in box.split()], max(texts)


def test_pictures_stand_alone(folder: Path) -> None:
    for path in sorted(folder.rglob("*.svg")):
        text = path.read_text(encoding="utf-8")
        assert ElementTree.fromstring(text).tag.endswith("svg")
        assert not re.search(r"#fe0[012]|var\(--|currentColor", text), "the page's stand-in colours"
        assert not re.search(r"""(href|src)="(?!#|data:image/png)""", text)
    legend = (folder / "accuracy-over-tasks.svg").read_text(encoding="utf-8")
    assert {"one frame", "four frames", "Tasks learned"} <= set(re.findall(r">([^<>]+)</text>", legend))
    for path in folder.rglob("*.pdf"):
        size, texts = _page_of_pdf(path.read_bytes())
        svg = path.with_suffix(".svg").read_text(encoding="utf-8")
        [box] = re.findall(r'viewBox="([^"]+)"', svg)
        assert size == pytest.approx([float(number) for number in box.split()], abs=0.1)
        assert texts == svg.count("<text") > 0, path


def test_a_line_s_numbers_are_mean_least_and_greatest_of_its_seeds(runs: list[ReportedRun], folder: Path) -> None:
    rows = [row for row in _rows(folder / "accuracy-over-tasks.csv") if row["seeds"] == "2"]
    assert len(rows) == 3
    tests = 20
    for task, row in enumerate(rows):
        by_seed = []
        for run in runs[:2]:
            known = [value for value in run.record.accuracy[task] if value is not None]
            by_seed.append(100 * sum(tests * value for value in known) / (tests * len(known)))
        numbers = (float(row[name]) for name in ("accuracy on classes seen, %", "least", "greatest"))
        assert list(numbers) == pytest.approx([sum(by_seed) / 2, min(by_seed), max(by_seed)])
        assert row["tasks learned"] == str(task + 1)


def test_confusion_and_falls_are_the_analysis_s(runs: list[ReportedRun], folder: Path) -> None:
    analysis = runs[0].analysis
    assert analysis is not None
    counts = {
        (row["true class"], row["taken for"]): int(row["videos"]) for row in _rows(folder / "seed-0/confusion.csv")
    }
    names = analysis.class_names
    for true, row in enumerate(analysis.confusion):
        for taken, count in enumerate(row):
            assert counts.get((names[true], names[taken]), 0) == count
    falls = _rows(folder / "seed-0/accuracy-and-forgetting-by-class.csv")
    assert len(falls) == len(names)
    for fall in falls:
        slot = names.index(fall["class"])
        column = [values[slot] for values in analysis.class_accuracy_by_task if values[slot] is not None]
        assert float(fall["fall, points"]) == pytest.approx(100 * (max(column) - column[-1]))
    assert [float(fall["fall, points"]) for fall in falls] == sorted(
        (float(fall["fall, points"]) for fall in falls), reverse=True
    )


def test_frames_kept_has_a_point_for_each_run_that_differs_in_them_alone(folder: Path) -> None:
    rows = _rows(folder / "accuracy-against-frames-kept.csv")
    assert [(row["line"], row["frames kept of an exemplar"]) for row in rows] == [
        ("essential", "1"),
        ("essential", "4"),
    ]
    assert [float(row["final accuracy, %"]) for row in rows] == [25.0, 75.0]


def test_the_same_runs_give_the_same_bytes(runs: list[ReportedRun], folder: Path) -> None:
    [group] = group_runs(runs)
    figures = group.runs[0].files
    assert len(figures) == len(OF_RUN)
    for figure in figures:
        for kind, content in figure_files(figure.drawing).items():
            assert (folder / "seed-0" / f"{slug(figure.title)}.{kind}").read_bytes() == content


def test_names_that_fall_together_and_protocols_stand_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("essential.report.page.figure_files", lambda _: {"svg": b""})
    other = {
        "name": "../Other $x$",
        "id": "f" * 16,
        "tasks": [{"classes": ["跳舞"], "train_videos": 1, "test_videos": 1}],
    }
    names = ["a/b", "a b", "🎬"]
    records = [make_record(tasks=1, seed=seed) for seed in range(2)] + [make_record(tasks=1, protocol=other)]
    write_figures([ReportedRun(name, record) for name, record in zip(names, records, strict=True)], tmp_path)
    folders = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_dir()}
    assert folders == {"made-up", "made-up/a-b", "made-up/a-b-2", "other-x", "other-x/unnamed"}


def test_a_long_name_is_cut_and_what_a_spreadsheet_would_run_is_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("essential.report.page.figure_files", lambda _: {"svg": b""})
    tasks = [{"classes": ["=1+1", "-2"], "train_videos": 1, "test_videos": 20}]
    record = make_record(tasks=1, protocol={"name": "y" * 300, "id": "f" * 16, "tasks": tasks})
    confusion = [[20, 0], [5, 15]]
    long = ReportedRun("a" * 300, record, make_analysis(record, confusion=confusion))
    write_figures([long, ReportedRun("a" * 300, make_record(protocol_name="z" * 300))], tmp_path)
    assert {path.parent.name for path in tmp_path.rglob("accuracy-matrix.csv")} == {"a" * 48}
    rows = _rows(tmp_path / ("y" * 48) / ("a" * 48) / "confusion.csv")
    assert [list(row.values()) for row in rows] == [
        ["'=1+1", "'=1+1", "20"],
        ["'-2", "'=1+1", "5"],
        ["'-2"] * 2 + ["15"],
    ]


def test_joint_training_is_no_memory_of_no_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("essential.report.page.figure_files", lambda _: {"svg": b""})
    joint = make_record(method="joint", bytes_per_task=0)
    method = joint.method.model_copy(update={"config": {"needs_all_tasks": True}})
    joint = joint.model_copy(update={"method": method})
    write_figures([ReportedRun("own", make_record()), ReportedRun("joint", joint)], tmp_path)
    assert {row["line"] for row in _rows(tmp_path / "memory-over-tasks.csv")} == {"own"}
    assert [row["memory"] for row in _rows(tmp_path / "accuracy-against-memory.csv")] == ["23.4\u00a0KiB", "all videos"]
    alone = tmp_path / "alone"
    write_figures([ReportedRun("joint", joint)], alone)
    assert not (alone / "memory-over-tasks.csv").exists()


def test_a_place_that_is_a_file_is_refused_and_so_is_nothing(runs: list[ReportedRun], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(FileSystemError, match="file"):
        write_figures(runs[:1], tmp_path / "file")
    assert (tmp_path / "file").read_text() == "mine"
    with pytest.raises(RunError, match="at least one run, 0 were given"):
        write_figures([], tmp_path / "none")
    assert not (tmp_path / "none").exists()
