"""The main path by the command line: `train` in a process of its own, all else in this one."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

import essential
from essential.records import Record
from in_process import Essential
from small_runs import command, record_without_seconds, run_command, small_overrides

ESSENTIAL = "moving-digits/essential"
RUN_FILES = {
    *("config.yaml", "protocol.json", "log.jsonl", "state.safetensors", "record.json", "analysis.json", "report.html"),
}


def _run(*arguments: str | Path) -> str:
    """Run a command that must succeed without a warning; return what it printed."""
    result = run_command(*arguments, COLUMNS="200")
    assert result.returncode == 0, result.stderr
    assert "Warning" not in result.stderr
    assert "Traceback" not in result.stderr
    return result.stdout


def _said(essential: Essential, *arguments: str | Path) -> str:
    """Do as `_run` does, in this process: a process of its own takes seconds to start."""
    outcome = essential(*arguments)
    assert outcome.code == 0, outcome.err
    assert "Warning" not in outcome.err
    return outcome.out


def _train(out: Path, data: Path, store: Path, *more: str) -> list[str | Path]:
    settings = small_overrides(data, store, "training.epochs=2", "features.workers=2", *more)
    return ["train", "--config", ESSENTIAL, "--out", out, *(part for setting in settings for part in ("-s", setting))]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("by hand")


@pytest.fixture
def folder(essential: Essential, place: Path) -> Path:
    """Return a folder with the videos, made by the command line for the first test that asks."""
    if not (place / "my data").exists():
        made = _said(
            *(essential, "data", "make", "moving-digits", "--digits", "1", "--train-clips", "4", "--test-clips", "2"),
            *("--out", place / "my data"),
        )
        assert made == f"videos: {place / 'my data'}\n"
    return place


@pytest.fixture
def run(essential: Essential, folder: Path) -> Path:
    """Return the folder of a run, made once by the command line from two halves of a store, merged."""
    if (folder / "run").exists():
        return folder / "run"
    arguments = _train(folder / "run", folder / "my data", folder / "store")
    settings = [*arguments[5:], "-s", "data.moving_digits.digits=1"]
    parts = [folder / "part 0", folder / "part 1"]
    for number, part in enumerate(parts):
        printed = _said(
            essential, "extract", "--config", ESSENTIAL, "--store", part, "--shard", f"{number}/2", *settings
        )
        assert printed == f"store: {part}\n"
    assert len({(part / "plan.json").read_bytes() for part in parts}) == 1
    shards = sum(len(list((part / "shards").iterdir())) for part in parts)
    printed = _said(essential, "features", "merge", "--into", folder / "store", *parts)
    assert printed == f"{shards} shards, all checked\nstore: {folder / 'store'}\n"
    extracted = _files(folder / "store")
    printed = _run(*arguments, "--watch")
    assert f"record: {folder / 'run' / 'record.json'}" in printed
    page = (folder / "run" / "report.html").read_text(encoding="utf-8")
    assert "Loss and learning rate" in page
    assert 'http-equiv="refresh"' not in page, "the report stands where the page of the running run was"
    assert _files(folder / "store") == extracted, "train extracted again what was there"
    return folder / "run"


def _files(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*.safetensors")}


def test_data_make_lays_out_classes(folder: Path) -> None:
    videos = [path for path in (folder / "my data").rglob("*") if path.suffix in {".mp4", ".avi"}]
    assert len(videos) == 8 * (4 + 2)
    assert {path.suffix for path in videos} == {".mp4", ".avi"}
    assert len({path.parent.name for path in videos}) == 8


def test_train_leaves_all_files_and_nothing_else(run: Path) -> None:
    assert {path.name for path in run.iterdir() if path.is_file()} - {"evaluation.json"} == {
        *RUN_FILES,
        "memory.safetensors",
    }
    for kind in ("checkpoints", "predictions"):
        assert sorted(path.name for path in (run / kind).iterdir()) == [f"task-0{i}.safetensors" for i in range(4)]
    record = Record.read(run / "record.json")
    assert record.seconds.train > 0
    assert record.skipped_videos == ()
    assert (run / "report.html").read_text().startswith("<!doctype html>")


def test_evaluate_gives_the_same_accuracies(essential: Essential, run: Path) -> None:
    assert "the same accuracies as in record.json" in _said(essential, "evaluate", run)
    assert Record.read(run / "evaluation.json").accuracy == Record.read(run / "record.json").accuracy


def test_report_of_two_runs(essential: Essential, run: Path, folder: Path) -> None:
    other = folder / "copy"
    other.mkdir()
    shutil.copy(run / "record.json", other)
    analysis = (run / "analysis.json").read_bytes()
    (run / "analysis.json").unlink()
    printed = _said(essential, "report", run, other / "record.json", "--out", folder / "both.html")
    assert f"report: {folder / 'both.html'}" in printed
    assert printed.splitlines()[1].split() == ["run", "copy"]
    assert (folder / "both.html").stat().st_size > 1000
    assert (run / "analysis.json").read_bytes() == analysis, "it is made again, and the same"
    assert [path.name for path in other.iterdir()] == ["record.json"]


def test_resume_of_a_finished_run_changes_nothing(essential: Essential, run: Path, folder: Path) -> None:
    before = (run / "record.json").read_bytes()
    _said(essential, *_train(run, folder / "my data", folder / "store"), "--resume")
    assert (run / "record.json").read_bytes() == before


def test_the_same_videos_as_a_folder_and_as_a_manifest_give_the_same_record(
    essential: Essential, run: Path, folder: Path
) -> None:
    data = folder / "my data"
    rows = [f"{p.relative_to(data)},{p.parent.name},{p.parts[-3]}" for p in sorted(data.rglob("*/*/*"))]
    (data / "list.csv").write_text("\n".join(["path,label,split", *rows]) + "\n")
    ours = record_without_seconds(run)
    for kind, place in (("folder", ()), ("manifest", (f"data.path={data / 'list.csv'}",))):
        _said(essential, *_train(folder / kind, data, folder / "store", f"data.kind={kind}", *place))
        record = record_without_seconds(folder / kind)
        assert record["protocol"]["id"] == ours["protocol"]["id"]
        assert record["protocol"]["name"] == kind
        for key in ("accuracy", "metrics", "memory_bytes", "ledger"):
            assert record[key] == ours[key]


def test_version() -> None:
    assert _run("--version") == f"essential {essential.__version__}\n"


def test_no_command_shows_the_help() -> None:
    result = run_command()
    assert "Start with: essential demo" in result.stdout + result.stderr
    assert len(command()) == 3


def test_an_error_leaves_the_process_with_code_2_and_one_message(tmp_path: Path) -> None:
    result = run_command("memory", tmp_path)
    assert result.returncode == 2
    assert result.stdout == ""
    advice = "give the folder of a finished run, or let the run end first"
    assert result.stderr == f"error: {tmp_path / 'record.json'} is missing; {advice}\n"


def test_a_damaged_log_costs_the_report_its_curves_and_no_more(essential: Essential, run: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(run, tmp_path / "copy"))
    (copy / "log.jsonl").write_text('{"event": "epoch", "task": "no"}\n')
    outcome = essential("report", copy, "--out", tmp_path / "page.html")
    assert outcome.code == 0
    assert f"note: no training curves of {copy}: {copy / 'log.jsonl'} is damaged (" in outcome.err
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "No training curves: there is no log beside the record, or it cannot be read." in page
    assert "Accuracy matrix" in page


def test_a_disk_that_takes_no_more_is_one_message_and_no_half_file(run: Path, folder: Path, tmp_path: Path) -> None:
    # A limit on the size of files stands in for a full disk; workers would meet it in their shared memory.
    arguments = _train(tmp_path / "run", folder / "my data", folder / "store", "features.workers=0")
    shell = 'ulimit -f 200; exec "$@"'
    result = subprocess.run(
        ["bash", "-c", shell, "bash", *command(*arguments)], capture_output=True, text=True, check=False
    )
    assert result.returncode == 2, result.stderr
    lines = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1
    assert f"cannot write {tmp_path / 'run' / 'state.safetensors'}: " in lines[0]
    assert "Traceback" not in result.stderr
    assert {path.name for path in (tmp_path / "run").iterdir()} <= RUN_FILES - {"record.json", "state.safetensors"}
    assert all(json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines())
    assert run.is_dir()
