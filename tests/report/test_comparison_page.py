"""The page that compares methods: its numbers and figure, that it is safe and offline, and stays readable."""

import re
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote

import pytest
from made_comparisons import BUDGET, Run, made_metrics, made_run, many_runs
from parsed_page import ReportPage

from essential.report.comparison_page import comparison_page, write_comparison
from essential.report.drawing import LineStyle, inline_svg
from essential.report.scatter import PUBLISHED, Apart, Kept, ScatterPoint, labels_of, scatter_chart
from essential.results.comparison import Call, compare
from essential.results.formats import NONE, percent, shortened

HOSTILE = "<script>alert('x')</script>\"&{{ 7 * 7 }}"


@pytest.fixture(scope="module")
def many() -> str:
    return comparison_page(compare(many_runs(), Call((BUDGET,))))


def test_every_method_is_in_the_table_the_figure_and_the_costs(many: str) -> None:
    page = ReportPage(many)
    comparison = compare(many_runs(), Call((BUDGET,)))
    for row in comparison.rows:
        mean, std = row.final_accuracy.mean, row.final_accuracy.std
        assert mean is not None
        assert std is not None
        note = "baseline " if row.method == "essential" else ""
        place = f"{comparison.places[row]} " if row in comparison.places else ""
        assert f" {place}{row.method} {note}{100 * mean:.2f} ± {100 * std:.2f} " in page.text
        assert f" {row.method} {percent(mean)}" in page.text, "in the figure's list"
        name = shortened(row.method, 14)
        assert f">{name}</text>" in many, "its name is in the figure"
    for row in comparison.rows:
        for record in row.records:
            assert f"{row.method} {record.seed} {100 * (record.metrics.final_accuracy or 0):.2f} " in page.text


def test_the_page_says_what_its_numbers_are_of(many: str) -> None:
    text = ReportPage(many).text
    for words in (
        "Memory budget 400,000 B",
        "Baseline essential",
        "Seeds 0, 1, 2",
        "Reading features, all runs 18.9 s",
        "tiny fefefefefefe",
        "0123456789abcdef",
        "Over the budget",
        "all videos",
        "(0.017)",
        "three seeds leave two degrees of freedom",
        "Holm-corrected for 20 tests",
    ):
        assert words in text
    assert "Forward transfer, against joint" in text
    alone = comparison_page(compare([run for run in many_runs() if run[0] != "joint"], Call((BUDGET,))))
    assert "By other definitions" not in ReportPage(alone).text


def test_whatever_comes_from_a_record_is_escaped() -> None:
    tasks = [{"classes": [HOSTILE], "train_videos": 1, "test_videos": 1}]
    fields = {
        "protocol": {"name": HOSTILE, "id": HOSTILE, "tasks": tasks},
        "encoder": {"name": HOSTILE, "fingerprint": HOSTILE},
        "skipped_videos": [{"video": HOSTILE, "split": "test", "reason": HOSTILE}],
    }
    runs = [made_run(name, 0, 0.5, tasks=1, **fields) for name in (HOSTILE, HOSTILE * 2)]
    page = ReportPage(comparison_page(compare(runs)))
    assert page.text.count(HOSTILE) > 10
    assert any(HOSTILE in value for value in page.values("aria-label"))


def test_other_definitions_are_shown_where_a_method_has_them() -> None:
    metrics = made_metrics(0.5, vclimb_accuracy=0.4321, average_incremental_accuracy_nme=0.6789)
    runs = [made_run("icarl", 0, 0.5, metrics=metrics), made_run("other", 0, 0.4)]
    text = ReportPage(comparison_page(compare(runs))).text
    titles = "Method Average incremental, nearest means (NME), % vCLIMB Acc, %"
    assert f"{titles} 1 icarl 67.89 43.21 2 other {NONE} {NONE}" in text


def test_a_method_with_fewer_seeds_says_so() -> None:
    runs = [made_run("a", seed, 0.5) for seed in range(2)] + [made_run("b", 1, 0.4)]
    text = ReportPage(comparison_page(compare(runs))).text
    assert "standard deviation over up to 2 seeds" in text
    assert "1 a baseline 50.00 ± 0.00" in text
    assert "2 b 1 seed: 1 40.00 " in text


def test_without_an_accuracy_there_is_no_figure() -> None:
    blind = made_metrics(0.5) | {"final_accuracy": None}
    text = ReportPage(comparison_page(compare([made_run(name, 0, 0, metrics=blind) for name in ("a", "b")]))).text
    assert "Accuracy and memory" not in text
    assert f"1 a baseline {NONE} 55.00" in text


def test_skipped_videos_are_told_once_with_the_coverage() -> None:
    skipped = [{"video": "test/b/2.avi", "split": "test", "reason": "0 bytes"}]
    runs = [made_run(name, 0, 0.5, skipped_videos=skipped) for name in ("a", "b")]
    text = ReportPage(comparison_page(compare(runs))).text
    assert text.count("test/b/2.avi") == 1
    assert "Every run covers 100.0 % of the listed training videos and 98.4 % of the listed test videos" in text


def _texts(svg: str) -> list[str]:
    return re.findall(r">([^<>]+)</text>", svg)


def _point(number: int, kept: Kept) -> ScatterPoint:
    return ScatterPoint(str(number), f"method {number}", 50.0 + number, 1.0, kept, LineStyle(0))


def _drawn(points: list[ScatterPoint], budget: int | None = None) -> list[str]:
    return _texts(inline_svg(scatter_chart("c", points, y_label="Accuracy, %", budgets=[budget] if budget else [])))


def test_the_figure_has_a_place_for_nothing_for_all_videos_and_for_what_nobody_states() -> None:
    points = [_point(1, 0), _point(2, Apart.ALL_VIDEOS), _point(3, 1 << 20), _point(4, Apart.NOT_STATED)]
    assert {"nothing", "kept", "all", "videos", "not", "stated", "1 MiB", "budget 1\u00a0MiB"} <= set(
        _drawn(points, 1 << 20)
    )
    neither = _drawn([_point(1, 1024), _point(2, 1 << 30)])
    assert set(neither) & {"nothing", "all", "stated", "budget 1\u00a0MiB"} == set()
    assert {"1 KiB", "1 MiB", "1 GiB"} <= set(neither)


@pytest.mark.parametrize(
    "kept", [[0], [Apart.ALL_VIDEOS], [0, Apart.NOT_STATED], [5], [1000, 1000, 1001], [1, 1 << 45], [*Apart] * 9]
)
def test_the_figure_is_drawn_whatever_is_kept(kept: list[Kept]) -> None:
    points = [_point(number, count) for number, count in enumerate(kept, 1)]
    texts = _drawn(points)
    assert {point.name for point in points} <= set(texts)
    assert "nan" not in " ".join(texts)


def test_several_budgets_have_a_table_of_methods_by_budgets_that_leads_the_page() -> None:
    call = Call(
        (4096, 65536),
        ("training.epochs=4", f"data.root={HOSTILE}"),
        "essential compare --out 'my <folder>'",
        (f"replay at 4KiB: {HOSTILE}; raise it",),
    )
    runs = [
        made_run(name, seed, accuracy + size / 1e6 + seed / 100 * (seed + place), kept=size - 96, budget=size)
        for place, (name, accuracy) in enumerate((("essential", 0.7), ("icarl", 0.6)))
        for size in call.budgets
        for seed in range(2)
    ]
    runs += [made_run("replay", seed, 0.95, kept=65000, budget=65536) for seed in range(2)]
    runs += [
        made_run(name, seed, x, kept=k)
        for name, x, k in (("ewc", 0.3, 70000), ("joint", 0.99, None))
        for seed in (0, 1)
    ]
    html = comparison_page(compare(runs, call))
    page = ReportPage(html)
    matrix = page.text.index("Method 4 KiB 64 KiB essential 70.91 ± 0.71 77.05 ± 0.71")
    assert matrix < page.text.index("Accuracy against memory") < page.text.index("At 4 KiB 1 essential")
    assert f"replay {NONE} 95.00 ± 0.00" in page.text
    assert "Memory budgets 4 KiB, 64 KiB" in page.text
    assert f"training.epochs=4 data.root={HOSTILE}" in page.text
    assert "essential compare --out 'my <folder>'" in page.text
    assert f"Left out: replay at 4KiB: {HOSTILE}; raise it" in page.text
    assert "Over the budget ewc 30.00" in page.text
    assert "Given all videos joint 99.00" in page.text
    assert page.text.count("essential baseline, on the Pareto front") == 1, "at 4 KiB, and not at 64 KiB"
    assert page.text.count("replay on the Pareto front") == 1
    assert '<td data-label="p (Holm)" class="quiet">(' in html, "two seeds say little"
    assert ">4\u00a0KiB</text>" in html, "the size of a budget is at its line"


def test_where_names_have_no_room_a_crowd_has_numbers_and_the_rest_its_names() -> None:
    crowd = [replace(_point(number, 100_000 + number), name="x" * 14 + str(number)) for number in range(1, 61)]
    lonely = replace(_point(61, Apart.ALL_VIDEOS), name="joint", accuracy=10.0)
    labels = labels_of([*crowd, lonely])
    assert labels[lonely] == "joint"
    assert [labels[point] for point in crowd] == [point.label for point in crowd]
    few = labels_of([*crowd[:5], lonely])
    assert [few[point] for point in crowd[:5]] == ["x" * 13 + "\u2026"] * 5
    published = replace(_point(2, Apart.NOT_STATED), look=PUBLISHED, label="a")
    assert [*labels_of([crowd[0], published]).values()] == ["1", "a"]


def test_the_page_holds_the_files_beside_it(tmp_path: Path) -> None:
    write_comparison(many_runs(), tmp_path, Call((BUDGET,), command="essential compare --out 'ü & <b>'"))
    page = ReportPage((tmp_path / "compare.html").read_text())
    names = page.values("download")
    held = [value for value in page.values("href") if value.startswith("data:")]
    assert names == ["compare.csv", "compare.md", "compare.tex", "compare.json"]
    for name, address in zip(names, held, strict=True):
        assert unquote(address.partition(",")[2]) == (tmp_path / name).read_text()


def test_settings_that_all_share_stand_once_and_others_with_their_method() -> None:
    def with_epochs(run: Run, epochs: int, **own: object) -> Run:
        name, record = run
        config = {**record.config, "training": {"epochs": epochs, "batch_size": 24, "seed_of": None}}
        method = record.method.model_copy(update={"config": {**record.method.config, **own}})
        return name, record.model_copy(update={"config": config, "method": method})

    runs = [
        with_epochs(made_run("essential", 0, 0.5, kept=96, budget=4096), 60, frames_kept=2, policy=HOSTILE),
        with_epochs(made_run("essential", 0, 0.6, kept=96, budget=8192), 60, frames_kept=2, policy=HOSTILE),
        with_epochs(made_run("joint", 0, 0.9, kept=None), 30),
    ]
    text = ReportPage(comparison_page(compare(runs, Call((4096, 8192))))).text
    settings = text[text.index("A setting without a value") : text.index("Every run One row")]
    assert "training batch_size 24" in settings
    assert "Method Budget training.epochs Its own settings" in settings
    assert f"essential 4 KiB, 8 KiB 60 stored_frames 2 frames_kept 2 policy {HOSTILE}" in settings
    assert "joint none 30" in settings
    assert settings.count("video frames 8") == 1
    assert "seed_of" not in settings, "it is not set"


def test_the_contents_lead_to_every_section_that_is_there(many: str) -> None:
    def sections(html: str) -> list[str]:
        found = re.findall(r'<h2 id="([^"]+)">', html)
        contents = html[html.index("<nav") : html.index("</nav>")]
        assert found == re.findall(r'<a href="#([^"]+)">', contents)
        return found

    assert {"memory", "definitions"} < set(sections(many))
    blind = made_metrics(0.5) | {"final_accuracy": None}
    bare = comparison_page(compare([made_run("a", 0, 0, metrics=blind)]))
    assert sections(bare) == ["methods", "tasks", "costs", "settings", "runs", "classes"]
