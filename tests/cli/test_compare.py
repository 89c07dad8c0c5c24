"""`essential compare` from the command line to its files, and what it refuses."""

import csv
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from essential.engine.config import load_config
from essential.engine.settings import RunConfig
from essential.files.atomic import folder_lock
from in_process import Essential
from small_runs import SMALL

METHODS = "essential,ncm,replay"
BUDGET = 40_000
SIZE = "40000B"


@pytest.fixture(autouse=True)
def one_short_run_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Train in this process, with short rehearsals; `test_comparison_runs.py` trains in several."""
    monkeypatch.setattr("essential.api.compare.runs_at_once", lambda _: 1)
    monkeypatch.setattr("essential.api.planned_runs.load_config", with_short_rehearsals)


def with_short_rehearsals(name_or_path: str, overrides: Sequence[str] = (), **settings: Any) -> RunConfig:
    config = load_config(name_or_path, overrides, **settings)
    if "rehearsal_epochs" not in type(config.method).model_fields:
        return config
    return config.model_copy(update={"method": config.method.model_copy(update={"rehearsal_epochs": 2})})


@pytest.fixture(scope="module")
def settings(small_data: Path, small_store: Path) -> list[str]:
    overrides = [*SMALL, "training.epochs=2", f"data.root={small_data}", f"features.store={small_store}"]
    return [part for override in overrides for part in ("-s", override)]


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("compared") / "out"


def test_one_command_gives_the_table_the_page_and_the_files(
    essential: Essential, compared: Path, settings: list[str]
) -> None:
    outcome = essential(
        *("compare", "--methods", METHODS, "--seeds", "0,1", "--budgets", BUDGET, "--out", compared, *settings)
    )
    assert outcome.code == 0, outcome.err
    assert "moving-digits" in outcome.out
    assert [name in outcome.out for name in METHODS.split(",")] == [True] * 3
    assert "replay at 40000B, seed 1 (6 of 6)" in outcome.err
    rows = json.loads((compared / "compare.json").read_text())
    assert [row["method"] for row in rows] == METHODS.split(",")
    for row in rows:
        name = row["method"] if row["budget_bytes"] is None else f"{row['method']}-{SIZE}"
        records = [json.loads((compared / "runs" / f"{name}-{s}" / "record.json").read_text()) for s in (0, 1)]
        assert {record["method"]["asked_for"] for record in records} == {row["method"]}
        carried = [memory["total"] for record in records for memory in record["memory_bytes_by_task"]]
        assert row["carried_bytes"] == max(carried)
        finals = [record["metrics"]["final_accuracy"] for record in records]
        assert row["seeds"] == [0, 1]
        assert row["final_accuracy"]["mean"] == pytest.approx(sum(finals) / 2)
        assert row["final_accuracy"]["std"] == pytest.approx(abs(finals[0] - finals[1]) / 2**0.5)
        assert row["average_incremental_accuracy"].keys() == {"mean", "std"}
        assert row["seconds"] > 0
    kept = {row["method"]: row["memory_bytes"] for row in rows}
    assert 0 < kept["essential"] <= BUDGET
    assert 0 < kept["replay"] <= BUDGET
    with (compared / "compare.csv").open() as file:
        assert [row["method"] for row in csv.DictReader(file)] == METHODS.split(",")
    assert (compared / "compare.html").read_text().startswith("<!doctype html>")
    assert "\\toprule" in (compared / "compare.tex").read_text()


def test_it_goes_on_where_it_was_and_takes_more(essential: Essential, compared: Path, settings: list[str]) -> None:
    record = compared / "runs" / f"essential-{SIZE}-0" / "record.json"
    made = record.stat().st_mtime_ns
    outcome = essential(
        *("compare", "--methods", f"{METHODS},finetune", "--seeds", "0", "--budgets", BUDGET, "--out", compared),
        *settings,
    )
    assert outcome.code == 0, outcome.err
    assert "finetune, seed 0 (1 of 1)" in outcome.err
    assert record.stat().st_mtime_ns == made
    assert [row["seeds"] for row in json.loads((compared / "compare.json").read_text())] == [[0]] * 4


def test_other_settings_in_the_same_folder_are_refused(
    essential: Essential, compared: Path, settings: list[str]
) -> None:
    before = (compared / "compare.json").read_text()
    for changes, words in (
        (["-s", "protocol.tasks=2"], "protocol.tasks: there 4, here 2"),
        (["-s", "features.views=1"], "features.views: there 2, here 1"),
        (["-s", "video.frames=4"], "video.frames: there 8, here 4"),
    ):
        outcome = essential(
            *("compare", "--methods", METHODS, "--seeds", "0", "--budgets", BUDGET, "--out", compared),
            *settings,
            *changes,
        )
        assert outcome.code == 2
        assert words in outcome.err
        assert "Traceback" not in outcome.err
    assert (compared / "compare.json").read_text() == before


def test_a_seed_that_runs_elsewhere_is_named(essential: Essential, tmp_path: Path, settings: list[str]) -> None:
    arguments = ["compare", "--methods", "ncm,finetune", "--seeds", "3", "--out", tmp_path, *settings]
    with folder_lock(tmp_path / "runs" / "ncm-3"):
        outcome = essential(*arguments)
    assert outcome.code == 2
    assert "ncm with seed 3" in outcome.err
    assert f"is in use by process {os.getpid()}; wait for it to end" in outcome.err
    assert not (tmp_path / "compare.json").exists()
    assert essential(*arguments).code == 0
    assert (tmp_path / "compare.json").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ["--methods", "replay", "--budgets", "9000"],
            "leaves 9000 bytes for exemplars, but one exemplar for each",
        ),
        (["--methods", "finetune,joint", "--budgets", "9000"], "none of finetune, joint takes a budget"),
        (["--budgets", "32KiB,"], "budgets: '' is no size in bytes; write whole bytes, or a number with B, KiB, MiB"),
        (["--budgets", "32kb"], "budgets: '32kb' is no size in bytes; write whole bytes, or a number with B, KiB, MiB"),
        (["--methods", "finetune", "-s", "method.budget_bytes=9000"], "the method 'finetune' keeps no exemplars"),
        (["--methods", "ncn"], "no method is called 'ncn' (did you mean 'ncm'?)"),
        (["--methods", "ncm,,joint"], "--methods 'ncm,,joint' is not a list of names; write them as a,b,c"),
        (["--seeds", "0,one"], "--seeds '0,one' is not a list of whole numbers from 0; write them as 0,1,2"),
        (["--config", "moving"], "no config is called 'moving'"),
    ],
)
def test_what_is_refused_leaves_nothing_behind(
    arguments: list[str], words: str, essential: Essential, tmp_path: Path, settings: list[str]
) -> None:
    outcome = essential("compare", "--out", tmp_path / "out", *settings, *arguments)
    assert outcome.code == 2
    assert words in outcome.err
    assert "Traceback" not in outcome.err
    assert not (tmp_path / "out").exists()


def test_budgets_are_compared_in_every_file_and_more_of_them_add_their_own_runs(
    essential: Essential, tmp_path: Path, settings: list[str]
) -> None:
    out = tmp_path / "out of it"

    def run(budgets: str, runs: int) -> str:
        arguments = ("--methods", "replay-sparse,replay,finetune", "--seeds", "0", "--budgets", budgets)
        outcome = essential("compare", *arguments, "--out", out, *settings)
        assert outcome.code == 0, outcome.err
        assert f"({runs} of {runs})" in outcome.err
        return outcome.out

    run("64KiB", 3)
    made = {path: path.stat().st_mtime_ns for path in out.glob("runs/*/record.json")}
    text = run("12KiB,64KiB,1MiB", 3)
    assert {path: path.stat().st_mtime_ns for path in made} == made
    rows = json.loads((out / "compare.json").read_text())
    kept = [(row["method"], row["budget_bytes"]) for row in rows]
    assert ("replay", 12288) not in kept, "one clip of each class takes more"
    assert {("replay-sparse", size) for size in (12288, 65536, 1048576)} <= set(kept)
    for row in rows:
        assert row["command"].startswith("essential compare --config moving-digits --methods replay-sparse,replay")
        assert f"--budgets 12KiB,64KiB,1MiB --out '{out}' -s data.moving_digits.digits=1 " in row["command"]
        assert "training.epochs=2" in row["overrides"]
        assert row["on_pareto_front"] in (True, False)
    assert any(row["on_pareto_front"] for row in rows)
    for shown in (text, *((out / f"compare.{kind}").read_text() for kind in ("html", "md", "tex"))):
        for words in ("12\xa0KiB", "64\xa0KiB", "1\xa0MiB", "training.epochs=2", "replay at 12KiB: "):
            assert any(words.replace("\xa0", gap) in shown for gap in ("\xa0", " ", "~")), words
    assert "essential compare --config" in (out / "compare.html").read_text()
    assert "command: essential compare --config moving-digits --methods" in text
    assert "on the Pareto front" in text
    with (out / "accuracy-against-memory.csv").open() as file:
        assert {line["method"] for line in csv.DictReader(file)} >= {"replay-sparse", "replay"}
    assert [path.name for path in (out / "runs").iterdir() if path.name.startswith("replay-12KiB")] == []
