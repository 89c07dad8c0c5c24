"""The page: what stands in it, that it is safe, small, offline and always the same."""

import re
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pytest
from made_records import make_record
from parsed_page import ReportPage

from essential.errors import RunError
from essential.metrics import METRICS
from essential.records import Metrics, Record
from essential.report import ReportedRun, write_report
from essential.results.formats import NBSP, human_bytes
from essential.results.runs import SeedRuns
from essential.results.settings import settings_apart

DASH = "\u2013"


def _write(records: list[tuple[str, Record]], folder: Path) -> str:
    path = folder / "report.html"
    write_report([ReportedRun(*run) for run in records], path)
    return path.read_text(encoding="utf-8")


def _percent(value: float | None, decimals: int) -> str:
    return DASH if value is None else f"{100 * value:.{decimals}f}".replace("-", "\u2212")


@pytest.fixture
def arms() -> list[tuple[str, Record]]:
    methods = ("essential", "joint", "finetune", "replay-dense", "replay-sparse")
    return [(method, make_record(method=method, tasks=6, bytes_per_task=100 * i)) for i, method in enumerate(methods)]


def test_every_run_s_numbers_are_in_the_page(arms: list[tuple[str, Record]], tmp_path: Path) -> None:
    text = ReportPage(_write(arms, tmp_path)).text
    for label, record in arms:
        metrics = record.metrics
        row = [_percent(value, 2) for value in (metrics.final_accuracy, metrics.average_incremental_accuracy)]
        row += [_percent(value, 2) for value in (metrics.forgetting_from_best, metrics.backward_forgetting)]
        carried = human_bytes(record.memory_bytes.total).replace(NBSP, " ")
        assert f"{label} {label}, seed 0 {' '.join(row)} {carried} 4.0 s" in text
        for accuracies in record.accuracy:
            assert " ".join(_percent(value, 1) for value in accuracies if value is not None) in text
        for entry in record.ledger:
            assert f"{entry.name} {entry.bytes:,}" in text
    assert "0123456789abcdef" in text
    assert "class 5b" in text


def test_every_metric_stands_by_its_name_with_what_it_means(tmp_path: Path) -> None:
    metrics = dict(zip(Metrics.model_fields, (0.01 * number for number in range(1, 11)), strict=True))
    metrics["average_incremental_accuracy_nme"] = None
    text = ReportPage(_write([("run", make_record(metrics=metrics, trainable_parameters=4321))], tmp_path)).text
    for name, value in metrics.items():
        assert f" {name} {_percent(value, 2)} {METRICS[name].definition} ({METRICS[name].source})" in text
    assert "The last task trains 4,321 parameters." in text
    assert "The last task trains" not in ReportPage(_write([("old", make_record())], tmp_path)).text


def test_every_class_s_accuracy_stands_beside_its_task(tmp_path: Path) -> None:
    accuracies = [0.125, None, 1.0, 0.0]
    html = _write([("run", make_record(tasks=2, class_accuracy=accuracies))], tmp_path)
    assert f"class 0a 1 12.5 class 0b 1 {DASH} class 1a 2 100.0 class 1b 2 0.0 " in ReportPage(html).text
    assert "<summary>Accuracy by class" in html
    assert "Accuracy by class" not in _write([("old", make_record())], tmp_path)


def test_a_part_of_a_run_shows_the_classes_that_it_has_learned(tmp_path: Path) -> None:
    memory = make_record(tasks=2).memory_bytes_by_task[:1]
    record = make_record(tasks=2, accuracy=[[0.5, None]], class_accuracy=[0.25, 0.75], memory_bytes_by_task=memory)
    assert "class 0a 1 25.0 class 0b 1 75.0 Memory ledger" in ReportPage(_write([("run", record)], tmp_path)).text


def test_what_a_paper_leaves_out_is_counted(tmp_path: Path) -> None:
    text = ReportPage(_write([("run", make_record(tasks=1, bytes_per_task=1024))], tmp_path)).text
    assert "Total Counted in papers run 12 2.00 KiB 1.00 KiB 0 B 5.00 KiB 8.00 KiB 3.00 KiB" in text


def test_joint_training_keeps_all_videos_wherever_memory_is_told(tmp_path: Path) -> None:
    joint = make_record(method="joint", bytes_per_task=0)
    method = joint.method.model_copy(update={"config": {"needs_all_tasks": True}})
    html = _write([("own", make_record()), ("upper", joint.model_copy(update={"method": method}))], tmp_path)
    text = ReportPage(html).text
    assert "Not drawn, because all videos are kept: upper." in text
    assert "upper all videos: the method is given those of every task" in text
    assert re.search(r"upper joint, seed 0 [\d. \u2212]+ all videos", text), "in the summary"
    alone = ReportPage(_write([("upper", joint.model_copy(update={"method": method}))], tmp_path)).text
    assert "Carried all videos the method is given those of every task" in alone
    assert not re.search(r"upper[^.]{0,200} 0 B", text)


def test_a_page_of_one_run_leads_with_three_figures_and_its_matrix(tmp_path: Path) -> None:
    record = make_record(tasks=4, metrics={**dict.fromkeys(Metrics.model_fields), **_metrics(0.875)})
    one = _write([("a", record)], tmp_path)
    big = re.findall(r'<dt>(.*?)</dt><dd><span class="big">(.*?)</span> <span class="unit">(.*?)</span>', one)
    assert big == [("Final accuracy", "87.5", "%"), ("Forgetting", "25.0", "points"), ("Carried", "31.2", "KiB")]
    order = [one.index(part) for part in ('"answers"', '"facts"', 'class="heat', 'class="chart')]
    assert order == sorted(order)
    assert 'class="numbers summary' not in one
    assert "Accuracy against memory" not in one


def test_a_page_of_several_runs_leads_with_their_summary_and_what_differs(tmp_path: Path) -> None:
    config = {"seed": 0, "epochs": 3, "training": {"rate": 0.5}}
    runs = [("a", make_record()), ("b", make_record(method="m", config=config, seed=7)), ("c", make_record(seed=1))]
    html = _write(runs, tmp_path)
    assert 'class="answers"' not in html
    text = ReportPage(html).text
    assert html.index('class="numbers summary') < html.index('class="facts"')
    assert f"Setting essential b method essential m training.rate {DASH} 0.5 Over the tasks" in text
    assert "What only one of the methods can be set to" in text
    assert "Accuracy against memory" in text
    assert "Settings that differ" not in _write([("a", make_record()), ("c", make_record(seed=1))], tmp_path)


def test_settings_that_only_one_method_has_are_not_among_those_that_differ() -> None:
    def family(name: str, **config: int) -> SeedRuns:
        record = make_record(method=name)
        return SeedRuns((record.model_copy(update={"method": record.method.model_copy(update={"config": config})}),))

    both = [family("a", kept=2, heads=1), family("a", kept=4, heads=1), family("b", bits=32)]
    assert settings_apart(both) == [("method", ["a", "a", "b"]), ("method.kept", ["2", "4", DASH])]
    older = [family("a", kept=2, heads=1), family("a", kept=2)]
    assert settings_apart(older) == [("method.heads", ["1", DASH])], "of one method, it does differ"


def test_memory_is_told_once(tmp_path: Path) -> None:
    for runs in ([("a", make_record())], [("a", make_record()), ("b", make_record(method="m"))]):
        text = ReportPage(_write(runs, tmp_path)).text
        assert text.count("Memory over tasks") + text.count("Memory by kind over tasks") == 1
        assert text.count("Counted in papers") == 1


def test_mr_modules_have_one_name_which_is_spelled_out_and_statistics_are_explained(tmp_path: Path) -> None:
    text = ReportPage(_write([("a", make_record()), ("b", make_record(method="m"))], tmp_path)).text
    assert "the MR (memory retrieval) modules, which rebuild dense features from sparse ones" in text
    assert "statistics such as class means, covariances" in text
    assert "retrieval modules" not in text.replace("all retrieval_modules", "").lower().replace("mr modules", "")


def test_a_borrowed_protocol_name_is_warned_of(tmp_path: Path) -> None:
    borrowed = ReportPage(_write([("a", make_record(protocol_name="tcd-ucf101-10x5"))], tmp_path)).text
    assert "not of the published protocol tcd-ucf101-10x5" in borrowed
    assert "they have 3 tasks with 6 classes in all, it has 1 task of 51, then 5 tasks of 10." in borrowed
    assert "published protocol" not in ReportPage(_write([("a", make_record())], tmp_path)).text


HOSTILE = "<script>alert('x')</script>\"&{{ 7 * 7 }}"


def test_whatever_comes_from_a_record_is_escaped(tmp_path: Path) -> None:
    record = make_record(
        tasks=2,
        method=HOSTILE,
        protocol={
            "name": HOSTILE,
            "id": HOSTILE,
            "tasks": [{"classes": [f"{HOSTILE}{task}"], "train_videos": 1, "test_videos": 1} for task in range(2)],
        },
        encoder={"name": HOSTILE, "fingerprint": HOSTILE},
        skipped_videos=[{"video": HOSTILE, "split": HOSTILE, "reason": HOSTILE}],
        ledger=[{"kind": HOSTILE, "name": HOSTILE, "bytes": 1, "in_paper_figure": False}],
        config={HOSTILE: HOSTILE},
        versions={HOSTILE: HOSTILE},
    )
    for others in ([], [("other", make_record())]):
        html = _write([(HOSTILE, record), *others], tmp_path)
        page = ReportPage(html)
        assert "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&#34;&amp;{{ 7 * 7 }}" in html
        assert page.text.count("<script>alert('x')</script>\"&{{ 7 * 7 }}") > 8
        assert any(HOSTILE in value for value in page.values("title")), "the class name, in the matrix"


def test_names_in_any_alphabet_and_with_dollar_signs_are_kept(tmp_path: Path) -> None:
    name = "跳舞 $x_1$ größer 🎬"
    text = ReportPage(_write([(name, make_record(method=name)), ("other", make_record())], tmp_path)).text
    assert text.count(name) > 4


def test_a_run_without_test_videos_says_why_it_has_no_accuracy(tmp_path: Path) -> None:
    untested = make_record(accuracy=[[None] * 3] * 3)
    text = ReportPage(_write([("tried", make_record()), ("mine", untested)], tmp_path)).text
    assert text.count("mine: no accuracy, as there is no test video of the classes learned") == 1
    assert "tried: accuracy" not in text


def test_the_user_s_matplotlib_settings_change_nothing_and_stay(arms: list[tuple[str, Record]], tmp_path: Path) -> None:
    expected = _write(arms, tmp_path)
    with mpl.rc_context({"lines.linewidth": 9, "svg.fonttype": "path", "axes.facecolor": "red"}):
        before = dict(mpl.rcParams)
        assert _write(arms, tmp_path) == expected
        assert dict(mpl.rcParams) == before


def test_a_single_task_has_no_forgetting_figure(tmp_path: Path) -> None:
    html = _write([("run", make_record(tasks=1, class_accuracy=[0.5, 1.0]))], tmp_path)
    text = ReportPage(html).text
    for words in ("Accuracy over tasks", "Forgetting per task", "over tasks", "Outlined", "Over the tasks"):
        assert words not in text
    assert f"Forgetting {DASH} one task: nothing to forget" in text
    assert 'class="chart' not in html, "nothing that a single point could show"
    assert "class 0a 1 50.0 class 0b 1 100.0" in text


def test_many_tasks_and_runs_stay_small(tmp_path: Path) -> None:
    records = [(f"run {i}", make_record(tasks=26, method=f"method {i}", seed=i)) for i in range(12)]
    html = _write(records, tmp_path)
    assert len(html.encode()) < 3_000_000
    page = ReportPage(html)
    assert page.text.count("Outlined: the task just learned") == 12
    assert page.tags["td"] > 12 * 26 * 27


def test_runs_of_different_protocols_stand_apart(tmp_path: Path) -> None:
    other = {"name": "other", "id": "f" * 16, "tasks": [{"classes": ["a"], "train_videos": 1, "test_videos": 1}]}
    records = [("a", make_record()), ("b", make_record(tasks=1, protocol=other)), ("c", make_record(method="joint"))]
    html = _write(records, tmp_path)
    assert "Results on 2 protocols" in ReportPage(html).text
    sections = html.split('<section class="group"')[1:]
    assert [re.findall(r'<article class="run" id="([^"]+)"', section) for section in sections] == [
        ["run-1", "run-2"],
        ["run-3"],
    ]
    assert ">joint, seed 0<" in sections[0]
    assert '<h2 class="group-name" id="protocol-2-name">other</h2>' in sections[1]


def _metrics(accuracy: float) -> dict[str, float | None]:
    return {
        "final_accuracy": accuracy,
        "average_incremental_accuracy": accuracy / 2,
        "forgetting_from_best": 0.25,
        "backward_forgetting": None,
    }


def test_seeds_of_one_method_get_a_mean_row(tmp_path: Path) -> None:
    records = [(f"s{seed}", make_record(seed=seed, metrics=_metrics(0.7 + seed / 10))) for seed in range(3)]
    records.insert(1, ("joint", make_record(method="joint")))
    page = ReportPage(_write(records, tmp_path))
    assert f"mean ± std essential, 3 seeds 80.00 ± 10.00 40.00 ± 5.00 25.00 ± 0.00 {DASH}" in page.text
    order = re.findall(r"(\S+) (?:essential|joint), seed \d", page.text)[:4]
    assert order == ["s0", "s1", "s2", "joint"], "runs of one method stand together"


@pytest.mark.parametrize(
    "second",
    [{"seed": 0}, {"seed": 1, "config": {"seed": 1, "epochs": 4}}, {"seed": 1, "method": "joint"}],
    ids=["same seed", "other settings", "other method"],
)
def test_anything_but_seeds_gets_no_mean_row(tmp_path: Path, second: dict[str, Any]) -> None:
    assert "mean ± std" not in _write([("a", make_record()), ("b", make_record(**second))], tmp_path)


def test_skipped_videos_are_named_with_the_runs_that_skipped_them(tmp_path: Path) -> None:
    both = {"video": "train/a/1.mp4", "split": "train", "reason": "no video stream"}
    one = {"video": "test/b/2.avi", "split": "test", "reason": "0 bytes"}
    records = [("a", make_record(skipped_videos=[both])), ("b", make_record(method="m", skipped_videos=[both, one]))]
    text = ReportPage(_write(records, tmp_path)).text
    assert "2 videos could not be read and were left out" in text
    assert "train/a/1.mp4 train no video stream all" in text
    assert "test/b/2.avi test 0 bytes b" in text
    for label, record in records:
        train, test = (f"{100 * (record.coverage(split) or 0):.1f} %" for split in ("train", "test"))
        assert f"{label} covers {train} of the listed training videos and {test} of the listed test videos" in text


def test_without_skipped_videos_the_page_says_none(tmp_path: Path) -> None:
    text = ReportPage(_write([("a", make_record())], tmp_path)).text
    assert "Skipped videos none" in text
    assert "left out Videos" not in text


def test_a_task_without_test_videos_and_an_empty_memory_are_shown(tmp_path: Path) -> None:
    record = make_record(tasks=2, bytes_per_task=0, accuracy=[[None, None], [None, 0.5]], exemplars=0)
    page = ReportPage(_write([("run", record)], tmp_path))
    assert f"after 2 {DASH} 50.0 50.0" in page.text
    assert "Empty: this run stores no memory." in page.text


def test_a_run_that_has_not_learned_all_tasks_is_shown(tmp_path: Path) -> None:
    whole = make_record(tasks=3)
    memory = whole.memory_bytes_by_task[:1]
    part = make_record(tasks=3, method="m", accuracy=[[0.5, None, None]], memory_bytes_by_task=memory)
    text = ReportPage(_write([("part", part), ("whole", whole)], tmp_path)).text
    assert text.count("Outlined: the task just learned") == 1
    assert "part m, seed 0 50.00" in text


def test_no_record_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="at least one run, 0 were given"):
        write_report([], tmp_path / "report.html")
    assert list(tmp_path.iterdir()) == []
