"""What the commands hand to the engine, and what they show of its records. The engine itself is a stand-in here."""

import os
import re
import sys
from pathlib import Path

import pytest
import yaml

from essential.cli.extract import parse_shard
from essential.configs.shipped import shipped_configs
from essential.engine.config import load_config
from essential.engine.process_group import ProcessGroup
from essential.engine.run import Sink
from essential.engine.settings import RunConfig
from essential.files.atomic import folder_lock
from essential.progress import Progress
from essential.records import Record, SkippedVideo
from in_process import Essential
from made_plugins import make_plugin
from report.made_analyses import make_analysis
from report.made_records import followed_metrics, make_record
from small_runs import run_command

Calls = list[tuple[RunConfig, Path, bool]]


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> Calls:
    """Replace training by a stand-in that writes a made-up record; return what it was called with."""
    calls: Calls = []

    def train(
        config: RunConfig,
        out: Path,
        *,
        resume: bool,
        progress: Progress,
        group: ProcessGroup | None = None,
        sink: Sink | None = None,
    ) -> Record:
        assert sink is None or isinstance(sink, Sink)
        assert isinstance(progress, Progress)
        assert group is None or group.size == 1
        calls.append((config, out, resume))
        record = make_record(seed=config.seed, method=config.method.name)
        record.write(out / "record.json")
        return record

    monkeypatch.setattr("essential.engine.run.train", train)
    return calls


def _made(folder: Path, **fields: object) -> Path:
    make_record(**fields).write(folder / "record.json")  # type: ignore[arg-type]
    return folder


def test_an_analysis_that_does_not_fit_is_noted_and_the_page_is_written(
    trained: Calls, tmp_path: Path, essential: Essential
) -> None:
    run = _made(tmp_path / "r", tasks=3)
    make_analysis(make_record(tasks=2)).write(run / "analysis.json")
    outcome = essential("report", run, "--out", tmp_path / "page.html")
    assert outcome.code == 0
    assert "note: no analysis of" in outcome.err
    assert "2 tasks learned" in outcome.err
    assert "Confusion" not in (tmp_path / "page.html").read_text()
    outcome = essential("train", "--config", "moving-digits/essential", "--out", run)
    assert len(trained) == 1
    assert outcome.code == 0
    assert (run / "report.html").is_file()


def test_train_passes_on_what_it_was_told(trained: Calls, tmp_path: Path, essential: Essential) -> None:
    overrides = ("-s", "training.epochs=7", "-s", "seed=3")
    outcome = essential(
        "train", "--config", "moving-digits/joint", "--out", tmp_path / "r", "--seed", 5, "--resume", *overrides
    )
    assert outcome.code == 0
    [(config, out, resume)] = trained
    assert (config.method.name, config.training.epochs, config.seed) == ("joint", 7, 5)
    assert (out, resume) == (tmp_path / "r", True)


def test_train_shows_the_record_and_where_it_is(trained: Calls, tmp_path: Path, essential: Essential) -> None:
    outcome = essential("train", "--config", "moving-digits/essential", "--out", tmp_path / "r")
    assert not trained[0][2]
    record = Record.read(tmp_path / "r" / "record.json")
    for shown in (
        "made-up: 6 classes in 3 tasks",
        f"{record.metrics.final_accuracy:.3f}",
        "episodic memory",
        "5.86 KiB",
        f"record: {tmp_path / 'r' / 'record.json'}",
        f"report: {tmp_path / 'r' / 'report.html'}",
    ):
        assert shown in outcome.out
    assert (tmp_path / "r" / "report.html").stat().st_size > 1000


def test_train_tells_tensorboard(trained: Calls, tmp_path: Path, essential: Essential) -> None:
    arguments = ("train", "--config", "moving-digits/joint", "--out", tmp_path / "r")
    assert essential(*arguments, "--tensorboard", tmp_path / "events").code == 0
    (tmp_path / "file").touch()
    outcome = essential(*arguments, "--tensorboard", tmp_path / "file")
    assert outcome.code == 2
    assert outcome.err.startswith(f"error: --tensorboard {tmp_path / 'file'} is a file; ")
    assert len(trained) == 1


def test_train_needs_the_library_of_a_sink_before_anything_else(
    trained: Calls, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, essential: Essential
) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    outcome = essential("train", "--config", "moving-digits/joint", "--out", tmp_path / "r", "--wandb", "clips")
    assert outcome.code == 2
    assert outcome.err.startswith("error: --wandb clips needs the library wandb, which cannot be imported")
    assert trained == []
    assert not (tmp_path / "r").exists()


def test_train_names_the_videos_it_left_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, essential: Essential
) -> None:
    skipped = (SkippedVideo(video="train/a/[1].mp4", split="train", reason="holds no frame"),)
    record = make_record(skipped_videos=skipped)
    monkeypatch.setattr("essential.engine.run.train", lambda *_, **__: record)
    outcome = essential("train", "--config", "moving-digits/joint", "--out", tmp_path)
    assert "skipped (train): train/a/[1].mp4: holds no frame" in outcome.out
    used = sum(task.train_videos for task in record.protocol.tasks)
    assert record.coverage("train") == used / (used + 1)
    assert record.coverage("test") == 1.0
    rows = dict(re.split(" {2,}", line.strip()) for line in outcome.out.splitlines() if line.startswith("coverage"))
    assert rows == {"coverage of training videos": f"{used / (used + 1):.3f}", "coverage of test videos": "1.000"}


def test_train_names_twenty_of_many_videos_left_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, essential: Essential
) -> None:
    skipped = tuple(SkippedVideo(video=f"v{index}.", split="test", reason="gone") for index in range(23))
    record = make_record(skipped_videos=skipped)
    monkeypatch.setattr("essential.engine.run.train", lambda *_, **__: record)
    outcome = essential("train", "--config", "moving-digits/joint", "--out", tmp_path)
    assert [f"v{index}.:" in outcome.out for index in range(23)] == [True] * 20 + [False] * 3
    assert "and 3 more skipped; record.json names them all" in outcome.out


def test_demo_runs_the_method_alone(trained: Calls, tmp_path: Path, essential: Essential) -> None:
    assert essential("demo", "--out", tmp_path).code == 0
    [(config, out, resume)] = trained
    assert (config.method.name, config.seed, out, resume) == ("essential", 0, tmp_path / "essential", True)
    assert (config.data.root, config.features.store) == (tmp_path / "data", tmp_path / "features")
    assert (tmp_path / "report.html").exists()


def test_demo_compares_all_arms_on_the_same_data(trained: Calls, tmp_path: Path, essential: Essential) -> None:
    outcome = essential("demo", "--out", tmp_path, "--seed", 4, "--compare")
    arms = ["essential", "joint", "finetune", "replay-dense", "replay-sparse"]
    assert [out.name for _, out, _ in trained] == arms
    assert {(config.data.root, config.features.store, config.seed) for config, _, _ in trained} == {
        (tmp_path / "data", tmp_path / "features", 4)
    }
    assert all((tmp_path / arm / "record.json").exists() and arm in outcome.out for arm in arms)
    assert f"report: {tmp_path / 'report.html'}" in outcome.out


@pytest.mark.parametrize("name", ["a #1", "null", "x: y", "[1, 2]", 'quo"te', "über 日本"])
def test_demo_takes_any_folder_name(name: str, trained: Calls, tmp_path: Path, essential: Essential) -> None:
    assert essential("demo", "--out", tmp_path / name).code == 0
    assert trained[0][0].data.root == tmp_path / name / "data"


def test_extract_passes_on_its_part(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, essential: Essential) -> None:
    calls = []

    def extract(
        config: RunConfig, *, part: tuple[int, int], progress: Progress, group: ProcessGroup, cluster: None
    ) -> tuple[Path, dict[str, str]]:
        assert (group.size, cluster) == (1, None)
        assert isinstance(progress, Progress)
        calls.append((config.features.store, part))
        return tmp_path / "a #1", {"test/b/2.mp4": "holds no frame"}

    monkeypatch.setattr("essential.engine.run.extract", extract)
    config = ("--config", "moving-digits/joint")
    outcome = essential("extract", *config, "--store", tmp_path / "a #1", "--shard", "1/3")
    assert calls == [(tmp_path / "a #1", (1, 3))]
    assert outcome.out == f"skipped: test/b/2.mp4: holds no frame\nstore: {tmp_path / 'a #1'}\n"
    essential("extract", *config)
    assert calls[1] == (None, (0, 1))


@pytest.mark.parametrize(("text", "expected"), [("0/1", (0, 1)), ("3/4", (3, 4)), ("00/2", (0, 2))])
def test_a_shard(text: str, expected: tuple[int, int]) -> None:
    assert parse_shard(text) == expected


@pytest.mark.parametrize(("final", "says"), [(None, "the same accuracies as"), (0.5, "these accuracies differ from")])
def test_evaluate_compares_with_the_record(
    final: float | None, says: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, essential: Essential
) -> None:
    run = _made(tmp_path / "run")
    found = Record.read(run / "record.json")
    if final is not None:
        found = followed_metrics(found.model_copy(update={"accuracy": (*found.accuracy[:-1], (final, final, final))}))
    settings = load_config("moving-digits/joint").model_dump(mode="json")
    (run / "config.yaml").write_text(yaml.safe_dump(settings))
    monkeypatch.setattr("essential.engine.score.evaluate", lambda *_, **__: found)
    outcome = essential("evaluate", run)
    assert f"{says} " in outcome.out
    assert Record.read(run / "evaluation.json") == found


def test_report_puts_runs_beside_each_other(tmp_path: Path, essential: Essential) -> None:
    first, second = _made(tmp_path / "first"), _made(tmp_path / "sec[red]ond", method="joint", seed=1)
    page = tmp_path / "both.html"
    outcome = essential("report", first, second / "record.json", "--out", page)
    assert outcome.code == 0
    header = next(line for line in outcome.out.splitlines() if "first" in line)
    assert "sec[red]ond" in header
    assert outcome.out.endswith(f"report: {page}\n")
    assert "sec[red]ond" in page.read_text(encoding="utf-8")


def test_a_changed_record_is_refused_or_shown_with_a_mark(tmp_path: Path, essential: Essential) -> None:
    run, page = _made(tmp_path / "run"), tmp_path / "page.html"
    record = run / "record.json"
    record.write_text(record.read_text().replace('"exemplars": 36', '"exemplars": 35'))
    for command in (("report", run, "--out", page), ("site", run, "--out", tmp_path / "site"), ("memory", run)):
        outcome = essential(*command)
        assert outcome.code == 2
        assert f"{record} was changed after it was written: its sha256 is not that of its content" in outcome.err
    assert not page.exists()
    outcome = essential("report", run, "--out", page, "--unverified")
    assert outcome.code == 0
    assert "run (unverified)" in outcome.out
    assert "run (unverified)" in page.read_text(encoding="utf-8")


def test_report_goes_without_an_analysis_that_cannot_be_made_and_says_so(tmp_path: Path, essential: Essential) -> None:
    run, page = _made(tmp_path / "run"), tmp_path / "page.html"
    settings = load_config("moving-digits/joint").model_dump(mode="json")
    (run / "config.yaml").write_text(yaml.safe_dump(settings))
    outcome = essential("report", run, "--out", page)
    assert outcome.code == 0
    assert f"note: no analysis of {run}: {run / 'protocol.json'} is damaged" in outcome.err
    with folder_lock(run):
        outcome = essential("report", run, "--out", page)
    assert outcome.code == 0
    assert f"note: no analysis of {run}: {run} is in use by process" in outcome.err
    assert page.exists()
    assert not (run / "analysis.json").exists()


def test_report_writes_its_figures_to_a_folder(tmp_path: Path, essential: Essential) -> None:
    figures = tmp_path / "figures"
    outcome = essential("report", _made(tmp_path / "run"), "--out", tmp_path / "page.html", "--figures", figures)
    assert outcome.code == 0
    written = [path for path in figures.rglob("*") if path.is_file()]
    assert outcome.out.endswith(f"figures: {len(written)} files in {figures}\n")
    assert {"accuracy-over-tasks.svg", "accuracy-over-tasks.pdf", "accuracy-matrix.csv"} <= {p.name for p in written}


def test_a_run_in_this_folder_has_the_folder_s_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, essential: Essential
) -> None:
    monkeypatch.chdir(_made(tmp_path / "here"))
    assert "here" in essential("report", ".").out
    assert "here" in essential("report", "record.json").out


def test_memory_lists_the_ledger(tmp_path: Path, essential: Essential) -> None:
    outcome = essential("memory", _made(tmp_path, bytes_per_task=1000))
    assert outcome.code == 0
    rows = [re.split(" {2,}", line.strip()) for line in outcome.out.splitlines()]
    assert rows[0] == ["method essential, 36 exemplars"]
    assert rows[1] == ["kind", "what", "bytes", "counted in papers"]
    assert rows[3:-2] == [
        ["episodic", "all episodic", "6,000", "yes"],
        ["semantic", "all semantic", "3,000", "yes"],
        ["retrieval_modules", "all retrieval_modules", "15,000", "no"],
    ]
    assert "total: 24,000 bytes (23.4 KiB)" in outcome.out
    assert "counted in papers: 9,000 bytes (8.79 KiB)" in outcome.out


def test_configs_lists_all_that_are_shipped_and_shows_one() -> None:
    # In a process of its own: typer's context is not of the type that typer has it declared as.
    result = run_command("configs", COLUMNS="200")
    assert result.returncode == 0, result.stderr
    configs = shipped_configs()
    assert len(configs) >= 5
    for name, summary in configs.items():
        assert summary
        assert any(name in line and summary in line for line in result.stdout.splitlines())
    shown = run_command("configs", "show", "moving-digits/joint")
    assert shown.stdout.startswith("summary: ")
    assert "name: joint" in shown.stdout


def test_a_broken_plug_in_is_named_and_stops_nothing(tmp_path: Path) -> None:
    make_plugin(
        tmp_path, "bad-package", {"essential.methods": {"bad": "of_bad:X"}}, modules={"of_bad": "raise KeyError(7)"}
    )
    path = os.pathsep.join([str(tmp_path), *sys.path])
    result = run_command("configs", PYTHONPATH=path)
    assert result.returncode == 0, result.stderr
    assert "moving-digits/essential" in result.stdout
    note = "note: the plug-in essential.methods bad is left out: bad-package: of_bad:X raised KeyError: 7\n"
    assert result.stderr == note
    refused = run_command("train", "--method", "bad", "--out", tmp_path / "run", "-s", "data.root=.", PYTHONPATH=path)
    assert (refused.returncode, refused.stderr.endswith(note)) == (2, True)
    assert run_command("--help", PYTHONPATH=path).stderr == ""


def test_data_make_makes_what_it_was_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, essential: Essential
) -> None:
    calls = []

    def make(root: Path, config: object, *, workers: int, progress: Progress) -> None:
        assert workers >= 1
        progress.advance(3, total=3)
        calls.append((root, config))

    monkeypatch.setattr("essential.protocols.moving_digits.make_moving_digits", make)
    options = ("--digits", 1, "--train-clips", 2, "--test-clips", 1, "--seed", 9)
    outcome = essential("data", "make", "moving-digits-untrimmed", "--out", tmp_path, *options)
    assert outcome.out == f"videos: {tmp_path}\n"
    assert outcome.err.startswith("make moving-digits-untrimmed: 3 in ")
    from essential.protocols.moving_digits import MovingDigitsConfig

    expected = MovingDigitsConfig(digits=1, train_clips_per_class=2, test_clips_per_class=1, untrimmed=True, seed=9)
    assert calls == [(tmp_path, expected)]
