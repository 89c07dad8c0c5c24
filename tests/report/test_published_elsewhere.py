"""Figures published elsewhere stand on the page of their protocol, apart from the runs, with source and mark."""

import re
from decimal import Decimal
from pathlib import Path
from typing import Any

from made_records import make_record

from essential.published import PublishedFigure, published_for
from essential.report import ReportedRun, write_report
from essential.results.rows import published_table, table_of

DASH = "\u2013"


def _page(protocol_name: str, folder: Path) -> str:
    path = folder / "report.html"
    write_report([ReportedRun("run", make_record(protocol_name=protocol_name))], path)
    return path.read_text(encoding="utf-8")


def _cells(html: str) -> list[list[str]]:
    """The rows of the table of published figures, as text."""
    [table] = re.findall(r'<table class="numbers small published cards">(.*?)</table>', html, re.DOTALL)
    rows = re.findall(r"<tr>(.*?)</tr>", table, re.DOTALL)
    return [[re.sub(r"<[^>]+>", "", cell) for cell in re.findall(r"<t[hd].*?</t[hd]>", row)] for row in rows]


def _figure(**changes: Any) -> PublishedFigure:
    figure = {
        **{"protocol": "p", "method": "m", "backbone": None, "metric": "final_accuracy", "value": Decimal("77.60")},
        **{"memory": None, "source": "A", "mark": "seen"},
    }
    return PublishedFigure(**{**figure, **changes})


def test_a_protocol_with_figures_has_them_all_in_a_table_of_their_own(tmp_path: Path) -> None:
    html = _page("tcd-ucf101-10x5", tmp_path)
    head, *rows = _cells(html)
    assert head == [
        *("Method", "Backbone", "Average incremental, %", "Average incremental, head (CNN), %"),
        *("Average incremental, nearest means (NME), %", "Mark", "Source", "Note"),
    ]
    assert rows[0] == ["ESSENTIAL", "CLIP ViT-B/16", "", "95.1", "", "second-hand", "1", ""]
    assert ["UCIR", "TSM", "", "74.31", "74.09", "seen", "3", ""] in rows
    assert ["SFCL", "TSM", "81.72", "", "", "seen", "3", "keeps no exemplars"] in rows
    assert sum(cell != "" for row in rows for cell in row[2:5]) == len(published_for("tcd-ucf101-10x5"))
    hce = next(row for row in rows if row[0] == "HCE")
    assert hce[4] == "80.01?"
    assert "(8)0.01?" in hce[-1]
    assert "None of them was run here" in html
    assert html.count("<li>ESSENTIAL, ICCV 2025") == 2
    assert "A question mark: a digit is lost" in html


def test_accuracy_and_forgetting_of_one_row_stand_together_with_the_memory(tmp_path: Path) -> None:
    head, *rows = _cells(_page("vclimb-kinetics400-20", tmp_path))
    assert head[2:5] == ["vCLIMB Acc, %", "vCLIMB BWF, points", "Memory"]
    assert [row[:5] for row in rows[2:4]] == [
        ["Naive rehearsal", "TSN ResNet-34", "23.47", "48.05", "8000 videos, 2 \u00d7 10⁶ frames"],
        ["iCaRL", "TSN ResNet-34", "26.73", "42.25", "8000 videos, 2 \u00d7 10⁶ frames"],
    ]
    assert len(rows) == 5


def test_figures_are_never_among_the_runs(tmp_path: Path) -> None:
    html = _page("tcd-ssv2-10x9", tmp_path)
    own = re.findall(r'<table class="numbers small cards">.*?</table>', html, re.DOTALL)
    assert len(own) > 1
    assert "48.9" in html
    assert "FrameMaker" not in "".join(own)
    assert html.count('<th scope="row">FrameMaker</th>') == 1
    [points] = re.findall(r'<ol class="points".*?</ol>', html, re.DOTALL)
    assert html.count("FrameMaker") == 1 + points.count("FrameMaker") == 2, "in its table, and by letter in the figure"


def test_a_protocol_that_nobody_has_published_on_has_no_such_table(tmp_path: Path) -> None:
    assert published_table("made-up") is None
    assert "Published elsewhere" not in _page("made-up", tmp_path)


def test_figures_of_one_row_come_together_and_others_do_not() -> None:
    table = table_of(
        [
            _figure(),
            _figure(metric="vclimb_bwf", value=Decimal("5"), note="x"),
            _figure(metric="of_its_own", value=None, uncertain=True, note="x"),
            _figure(source="B", mark="inferred"),
            _figure(backbone="TSM"),
            _figure(memory="2 videos"),
        ]
    )
    assert table is not None
    assert table.metrics == ("final_accuracy", "vclimb_bwf", "of_its_own")
    shown = [[row.cell(metric).shown for metric in table.metrics] for row in table.rows]
    assert shown == [["77.60", "5", f"{DASH}?"], *[["77.60", "", ""]] * 3]
    assert table.rows[0].notes == ("x",)
    assert [row.source for row in table.rows] == [1, 2, 1, 1]
    assert [row.backbone for row in table.rows] == [DASH, DASH, "TSM", DASH]
    assert table.has_doubts
    assert [row.memory for row in table.rows] == [DASH, DASH, DASH, "2 videos"]
    assert list(table.marks) == ["seen", "inferred"]
    plain = table_of([_figure()])
    assert plain is not None
    assert not plain.has_doubts
