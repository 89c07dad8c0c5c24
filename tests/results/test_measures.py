"""Metrics of plug-ins in records: shown everywhere by title, or by name where the plug-in is not there."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

from essential.metrics import METRICS, Metric
from essential.records import Metrics, Record
from essential.report import ReportedRun, write_report
from essential.report.comparison_page import comparison_page
from essential.report.comparison_tables import as_csv, as_latex, as_markdown, as_objects
from essential.results.comparison import compare
from essential.results.measures import FINAL, MAIN, column_title, in_order, metric_of, values_of
from essential.site import Findings, write_site
from essential.site.finding import FoundRecord
from report.made_records import make_record

TITLE = "<Plasticity> & 50 %"


def _measured(**others: float | None) -> Record:
    record = make_record()
    metrics = {name: value for name, value in values_of(record).items() if name in Metrics.model_fields}
    return record.model_copy(update={"metrics": Metrics.model_validate({**metrics, **others})})


@pytest.fixture
def record() -> Record:
    """A record with the metric of an installed plug-in, of one that is not installed, and one without a value."""
    return _measured(plasticity=0.375, stray=-0.125, unmeasured=None)


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    metric = Metric(TITLE, lambda _: 0.375, "how much is learned", "a plug-in", less_is_better=True)
    monkeypatch.setattr("essential.results.measures.METRICS", {**METRICS, "plasticity": metric})


def test_the_main_metrics_are_those_that_every_record_has() -> None:
    assert MAIN == ("final_accuracy", "average_incremental_accuracy", "forgetting_from_best", "backward_forgetting")
    assert FINAL == "final_accuracy"
    assert [column_title(name) for name in MAIN] == [
        *("Final, %", "Average incremental, %"),
        *("Forgetting from best, points", "Backward forgetting, points"),
    ]


def test_metrics_stand_in_the_registry_s_order_and_others_behind_by_name() -> None:
    assert in_order(["zebra", "ant", "vclimb_bwf", "plasticity", FINAL, "ant"]) == [
        *(FINAL, "vclimb_bwf", "plasticity", "ant", "zebra")
    ]
    assert metric_of("plasticity").title == TITLE
    assert metric_of("zebra").title == "zebra"
    assert metric_of("gain_over_previous_best").title == "Gain over the best before"


def test_a_run_s_page_shows_them(record: Record, tmp_path: Path) -> None:
    write_report([ReportedRun("run", record)], tmp_path / "page.html")
    html = (tmp_path / "page.html").read_text(encoding="utf-8")
    row = '<code>{}</code></th><td data-label="%">{}</td><td class="word">{} '
    assert row.format("plasticity", "37.50", "how much is learned") in html
    assert row.format("stray", "\u221212.50", "not installed here") in html
    assert row.format("unmeasured", "\u2013", "not installed here") in html


def test_a_comparison_has_them_where_one_method_has(record: Record) -> None:
    comparison = compare([("a", record), ("b", make_record(method="b"))])
    html = comparison_page(comparison)
    assert "&lt;Plasticity&gt; &amp; 50 %, points</th>" in html
    assert ">stray</th>" in html, "its unit is not known"
    assert ">unmeasured</th>" not in html, "nobody has a value"
    ours, other = as_objects(comparison)
    assert ours["plasticity"] == {"mean": 0.375, "std": None}
    assert other["plasticity"] == other["unmeasured"] == {"mean": None, "std": None}
    lines = list(csv.DictReader(io.StringIO(as_csv(comparison))))
    assert [line["stray_mean"] for line in lines] == ["-0.125", ""]
    assert "lasticity" not in as_markdown(comparison) + as_latex(comparison), "only the main ones"


def test_a_board_and_a_row_s_page_have_them(record: Record, tmp_path: Path) -> None:
    found = FoundRecord("run", record, record.model_dump_json().encode(), "0" * 64)
    write_site(Findings((found,), 0), tmp_path)
    [page] = (tmp_path / "runs").iterdir()
    assert '&lt;Plasticity&gt; &amp; 50 %</th><td class="main">37.50</td>' in page.read_text(encoding="utf-8")
    table: dict[str, Any] = json.loads(next(tmp_path.glob("protocols/made-up-*/table.json")).read_text())
    assert table["rows"][0]["figures"]["stray"]["percent"] == -12.5
    head = next(tmp_path.glob("protocols/made-up-*/table.csv")).read_text().split("\n", 1)[0]
    assert "plasticity,plasticity_std,stray,stray_std,unmeasured,unmeasured_std," in head


def test_old_records_without_newer_metrics_are_read() -> None:
    old = {"metrics": dict.fromkeys(MAIN)}
    assert values_of(make_record(**old))["vclimb_bwf"] is None
