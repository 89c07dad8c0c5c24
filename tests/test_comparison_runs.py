"""Which runs a comparison consists of, and how it treats runs that are there, busy, or of another kind."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from essential.api.compare import check_runs, do_runs, runs_at_once
from essential.api.planned_runs import PlannedRun, plan_runs
from essential.configs.shipped import shipped_methods
from essential.engine.config import load_config
from essential.engine.settings import TrainingConfig
from essential.errors import ComparisonError, ConfigError, RunError
from essential.files.atomic import folder_lock
from essential.progress import Progress
from essential.records.analysis import Analysis
from small_runs import SMALL, command, make_small_data

QUIET = Progress()


def plan(out: Path, **changes: Any) -> list[PlannedRun]:
    settings: dict[str, Any] = {
        "protocol": "moving-digits",
        "methods": ("finetune", "essential"),
        "seeds": (0, 1),
    }
    return plan_runs(out=out, **{**settings, **changes})


@pytest.fixture
def small(small_data: Path, small_store: Path) -> tuple[str, ...]:
    return (*SMALL, "training.epochs=2", f"data.root={small_data}", f"features.store={small_store}")


@pytest.fixture
def one_run_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Train in this process: others take seconds to start."""
    monkeypatch.setattr("essential.api.compare.runs_at_once", lambda _: 1)


def test_runs_are_every_method_with_every_seed_in_one_folder(tmp_path: Path) -> None:
    runs = plan(tmp_path)
    assert [(run.method, run.seed, run.config.seed) for run in runs] == [
        ("finetune", 0, 0),
        ("essential", 0, 0),
        ("finetune", 1, 1),
        ("essential", 1, 1),
    ]
    assert [run.folder.relative_to(tmp_path).as_posix() for run in runs][:2] == ["runs/finetune-0", "runs/essential-0"]


def test_every_method_stands_on_the_protocols_data_features_and_training(tmp_path: Path) -> None:
    runs = plan(tmp_path, methods=("all",), seeds=(0,))
    # The encoder tiny has no text tower.
    assert [run.method for run in runs] == [name for name in shipped_methods() if name not in ("words", "zero-shot")]
    shared = [run.config.model_dump(exclude={"method", "asked_for"}) for run in runs]
    assert all(each == shared[0] for each in shared)
    for run in runs:
        method = run.config.method.model_dump()
        method = method.get("base", method)
        if "classifier" in method:
            assert (method["classifier"]["heads"], method["classifier"]["init_scale"]) == (8, 1.0)
        if "rehearsal_epochs" in method:
            assert method["rehearsal_epochs"] == 60


def test_the_protocols_own_method_is_as_the_protocol_has_it(tmp_path: Path) -> None:
    (run,) = plan(tmp_path, protocol="tcd/ssv2-10x9", methods=("essential",), seeds=(0,))
    assert run.config.method == load_config("tcd/ssv2-10x9").method


def test_a_budget_takes_the_place_of_a_number_per_class(tmp_path: Path) -> None:
    runs = plan(tmp_path, methods=("all",), seeds=(0,), budgets=5000)
    sections = [run.config.method.model_dump() for run in runs]
    sections = [section.get("base", section) for section in sections]
    capped = [section for section in sections if "budget_bytes" in section]
    assert [run.budget_bytes for run in runs if run.budget_bytes] == [5000] * len(capped), "what has a cap is run at it"
    assert len(capped) >= 3
    assert all(section["budget_bytes"] == 5000 and not section.get("exemplars_per_class") for section in capped)
    assert {"essential", "slda", "ranpac", "ncm"} <= {section["name"] for section in capped}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"methods": ("replai",)}, r"no method is called 'replai' \(did you mean 'replay'\?\); known: .*essential"),
        ({"methods": ("replay", "joint", "replay")}, "methods names replay twice"),
        ({"seeds": (0, 0)}, "seeds names 0 twice"),
        ({"seeds": (0, 1.5)}, r"seeds names 1\.5; seeds are whole numbers from 0"),
        ({"seeds": ("0",)}, "seeds names '0'; seeds are whole numbers from 0"),
        ({"methods": ()}, "methods names none; name each once"),
        ({"protocol": "moving-digit"}, "no config is called 'moving-digit'"),
        (
            {"methods": ("finetune", "joint"), "budgets": (9000, "64KiB")},
            "budgets=9000B,64KiB caps nothing: none of finetune, joint takes a budget; leave it out",
        ),
        (
            {"budgets": "32kb"},
            r"budgets: '32kb' is no size in bytes; write .* with B, KiB, MiB or GiB .* such as 32KiB",
        ),
        ({"budgets": (0,)}, "budgets: '0' is no size in bytes"),
        ({"budgets": ("32KiB", "64KiB", 32768)}, "budgets names 32KiB twice; name each once"),
        (
            {"overrides": ("method.frames_kept=2",)},
            r"method\.frames_kept: the method 'finetune' keeps no exemplars, so it has no use for it",
        ),
        ({"overrides": ("seed=7",)}, "-s seed=7: a comparison makes this setting itself; use its methods and seeds"),
        ({"overrides": ("method={name: replay}",)}, "a comparison makes this setting itself"),
        (
            {"methods": ("icarl-tc",), "budgets": 9000, "overrides": ("method.base.exemplars_per_class=3",)},
            r"-s method\.base\.exemplars_per_class=3: budgets replaces it; give one of the two",
        ),
        ({"protocol": "methods/replay"}, "methods/replay holds a method and no data"),
    ],
)
def test_what_cannot_be_planned(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        plan(tmp_path, **changes)


def test_a_budget_that_is_too_small_is_refused_before_anything_is_run(tmp_path: Path, small: tuple[str, ...]) -> None:
    runs = plan(tmp_path, overrides=small, methods=("finetune", "replay"), budgets=("1MiB", 9000))
    with pytest.raises(
        ConfigError, match=r"replay at 9000B: .*leaves 9000 bytes for exemplars, but one exemplar for each of 8 classes"
    ):
        check_runs(runs, QUIET)
    runs = plan(tmp_path, overrides=small, methods=("icarl", "replay"), budgets=9000)
    with pytest.raises(
        ConfigError, match=r"no method has room in the budget:\n  icarl at 9000B: .*\n  replay at 9000B"
    ):
        check_runs(runs, QUIET)
    assert not (tmp_path / "runs").exists()


def test_a_method_that_has_no_room_where_another_has_is_left_out_there(tmp_path: Path, small: tuple[str, ...]) -> None:
    dense, sparse = "replay", "replay-sparse"
    runs = plan(tmp_path, overrides=small, methods=(dense, "finetune", sparse), budgets=("12KiB", "64KiB"))
    fitting, left_out = check_runs(runs, QUIET)
    assert [(run.method, run.budget_bytes) for run in fitting if run.seed == 0] == [
        (dense, 65536),
        ("finetune", None),
        (sparse, 12288),
        (sparse, 65536),
    ]
    assert len(fitting) == 8
    (reason,) = left_out
    assert reason.startswith("replay at 12KiB: method.budget_bytes: the memory budget leaves 12288 bytes")


def test_methods_that_take_a_budget_are_run_at_each_and_others_once(tmp_path: Path) -> None:
    runs = plan(tmp_path, budgets=("1.5MiB", "150 KiB", 70_001), seeds=(0, 1))
    assert [(run.folder.name, run.budget_bytes) for run in runs[:4]] == [
        ("finetune-0", None),
        ("essential-70001B-0", 70_001),
        ("essential-150KiB-0", 153_600),
        ("essential-1536KiB-0", 1_572_864),
    ]
    assert len(runs) == 8
    assert [run.label for run in runs[:2]] == ["finetune", "essential at 70001B"]
    assert all(run.config.method.model_dump()["budget_bytes"] == run.budget_bytes for run in runs if run.budget_bytes)


def test_a_comparison_from_before_there_were_several_budgets_is_continued(
    tmp_path: Path, small: tuple[str, ...]
) -> None:
    def planned(budgets: object) -> list[PlannedRun]:
        return plan(tmp_path, overrides=small, methods=("replay",), seeds=(0,), budgets=budgets)

    (before,) = planned("64KiB")
    old = replace(before, folder=before.folder.with_name("replay-0"))
    do_runs([old], QUIET)
    for gone in ("record.json", "config.yaml"):
        path = old.folder / gone
        path.write_text(path.read_text().replace("asked_for: replay\n", ""))
    less, same = planned(("64KiB", "32KiB"))
    assert (less.folder.name, same.folder.name) == ("replay-32KiB-0", "replay-0")
    assert (less.done, same.done) == (False, True)


def test_what_is_done_is_not_repeated_and_what_differs_is_refused(tmp_path: Path, small: tuple[str, ...]) -> None:
    first = plan(tmp_path, overrides=small, methods=("finetune",), seeds=(0,))
    announced: list[tuple[str, int, int]] = []
    records = do_runs(first, QUIET, lambda run, number, count: announced.append((run.method, number, count)))
    made = (first[0].folder / "record.json").stat().st_mtime_ns
    assert Analysis.read(first[0].folder / "analysis.json").protocol_id == records[0][1].protocol.id
    more = plan(tmp_path, overrides=small, methods=("finetune", "joint"), seeds=(0,))
    check_runs(more, QUIET)
    again = do_runs(more, QUIET, lambda run, number, count: announced.append((run.method, number, count)))
    assert announced == [("finetune", 1, 1), ("joint", 1, 1)]
    assert again[0] == records[0]
    assert (first[0].folder / "record.json").stat().st_mtime_ns == made
    other = plan(tmp_path, overrides=(*small, "training.epochs=3"), methods=("finetune",), seeds=(0,))
    with pytest.raises(RunError, match=r"another config: training\.epochs: there 2, here 3"):
        check_runs(other, QUIET)


@pytest.mark.usefixtures("one_run_at_once")
def test_a_run_that_another_process_works_on_is_named_when_the_others_are_done(
    tmp_path: Path, small: tuple[str, ...]
) -> None:
    runs = plan(tmp_path, overrides=small, methods=("joint", "finetune"), seeds=(0,))
    with (
        folder_lock(tmp_path / "runs" / "joint-0"),
        pytest.raises(
            ComparisonError,
            match=rf"1 of 2 runs failed, .*\n  joint with seed 0 .* is in use by process {os.getpid()};",
        ),
    ):
        do_runs(runs, QUIET)
    assert runs[1].done
    assert not runs[0].done


@pytest.mark.parametrize(("threads", "cores", "at_once"), [(None, 4, 1), (1, 4, 4), (2, 4, 2), (1, 64, 8), (8, 4, 1)])
def test_as_many_runs_at_once_as_the_cores_hold(
    threads: int | None, cores: int, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("essential.api.compare.cpu_cores", lambda: cores)
    config = load_config("moving-digits/essential", [f"training.threads={threads or 'null'}", "training.device=cpu"])
    assert runs_at_once(config) == at_once


def test_runs_done_at_once_give_the_numbers_of_runs_done_one_by_one(
    tmp_path: Path, small: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = []
    for at_once in (1, 2):
        monkeypatch.setattr("essential.api.compare.runs_at_once", lambda _, count=at_once: count)
        runs = plan(tmp_path / str(at_once), overrides=small, methods=("finetune", "ncm"), seeds=(0,))
        records = do_runs(runs, QUIET)
        numbers.append([(name, record.accuracy) for name, record in records])
    assert numbers[0] == numbers[1]


def test_a_comparison_that_is_interrupted_ends_its_own_processes_alone(
    tmp_path: Path, small: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Interrupted(Progress):
        def advance(self, *_: object, **__: object) -> None:
            raise KeyboardInterrupt

    monkeypatch.setattr("essential.api.compare.runs_at_once", lambda _: 2)
    context, theirs = multiprocessing.get_context("spawn"), []

    def start_another(*_: object) -> None:
        theirs.append(context.Process(target=time.sleep, args=(600,)))
        theirs[-1].start()

    start_another()
    runs = plan(tmp_path, overrides=small, methods=("finetune", "ncm"), seeds=(0,))
    with pytest.raises(KeyboardInterrupt):
        do_runs(runs, Interrupted(), start_another)
    try:
        assert {*multiprocessing.active_children()} == {*theirs}
    finally:
        for process in theirs:
            process.kill()
            process.join()


@pytest.mark.usefixtures("one_run_at_once")
def test_a_run_that_fails_does_not_stop_the_others_and_is_named(tmp_path: Path, small: tuple[str, ...]) -> None:
    runs = plan(tmp_path, overrides=small, methods=("finetune", "ncm"), seeds=(0,))
    broken = replace(
        runs[0], config=runs[0].config.model_copy(update={"training": TrainingConfig(epochs=1, learning_rate=1e30)})
    )
    with pytest.raises(ComparisonError, match=r"1 of 2 runs .*\n  finetune with seed 0 \(.*\): the loss is not finite"):
        do_runs([broken, runs[1]], QUIET)
    assert runs[1].done


@pytest.mark.usefixtures("one_run_at_once")
def test_a_run_on_other_videos_is_refused_before_anything_is_learned(tmp_path: Path, small: tuple[str, ...]) -> None:
    digits = make_small_data(tmp_path / "data")
    there = (*small, "data.kind=folder", f"data.root={digits}", f"features.store={tmp_path / 'store'}")
    first = plan(tmp_path / "out", overrides=there, methods=("ncm",), seeds=(0,))
    check_runs(first, QUIET)
    do_runs(first, QUIET)
    clip = next((digits / "train").glob("*/*"))
    clip.rename(clip.with_stem("another-name"))
    more = plan(tmp_path / "out", overrides=there, methods=("finetune", "ncm"), seeds=(0,))
    with pytest.raises(ComparisonError, match=r"ncm-0 holds a run on another protocol \(folder, \w+\) than the data"):
        check_runs(more, QUIET)
    assert not (tmp_path / "out" / "runs" / "finetune-0").exists()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="processes are looked up in /proc")
def test_processes_end_with_the_one_that_started_them(tmp_path: Path, small: tuple[str, ...]) -> None:
    settings = [part for override in (*small, "training.epochs=400") for part in ("-s", override)]
    parent = subprocess.Popen(
        command("compare", "--methods", "finetune,joint", "--seeds", "0,1", "--out", tmp_path, *settings),
        stderr=subprocess.DEVNULL,
    )
    children = _until(lambda: _children(parent.pid), seconds=300)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    _until(lambda: not any(_alive(child) for child in children), seconds=300)


def _until(found: Callable[[], Any], *, seconds: float) -> Any:
    end = time.monotonic() + seconds
    while not (value := found()):
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.2)
    return value


def _children(pid: int) -> list[int]:
    """Return the processes that train for `pid`: two of them, or nothing yet."""
    stats = [path.read_text() for path in Path("/proc").glob("[0-9]*/stat") if path.exists()]
    pids = [int(stat.split()[0]) for stat in stats if int(stat.rpartition(")")[2].split()[1]) == pid]
    workers = [child for child in pids if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()]
    return workers if len(workers) >= 2 else []


def _alive(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"


def test_a_file_in_the_place_of_the_folder_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine")
    runs = plan(tmp_path / "out", overrides=(f"data.root={tmp_path / 'data'}",))
    with pytest.raises(ComparisonError, match=r"/out: is a file; choose a folder"):
        check_runs(runs, QUIET)
    assert not (tmp_path / "data").exists()
