"""Colours that must be told from what is behind them, in light and dark, by WCAG's contrast ratio."""

import re
from pathlib import Path

import pytest
from made_analyses import make_analysis
from made_records import make_record

import essential.report
from essential.report import ReportedRun
from essential.report.charts import MOST_BEHIND_TEXT, RIGHT, WRONG
from essential.report.drawing import FILE, figure_files
from essential.report.page import group_runs

STYLE = (Path(essential.report.__file__).parent / "templates" / "style.css").read_text(encoding="utf-8")
Colour = tuple[float, ...]


def _colours(theme: str) -> dict[str, Colour]:
    """The variables of the page in light or dark."""
    light, dark = (block for block in re.findall(r":root \{(.*?)\}", STYLE, re.DOTALL)[:2])
    found = re.findall(r"(--[a-z0-9-]+): (#[0-9a-f]{6});", light if theme == "light" else dark)
    assert len(found) > 15
    return {name: _parsed(colour) for name, colour in found}


def _parsed(colour: str) -> Colour:
    return tuple(int(colour[start : start + 2], 16) for start in (1, 3, 5))


def _contrast(one: Colour, other: Colour) -> float:
    def luminance(colour: Colour) -> float:
        parts = [part / 255 for part in colour]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    darker, brighter = sorted((luminance(one), luminance(other)))
    return (brighter + 0.05) / (darker + 0.05)


def test_the_measure_is_wcag_s() -> None:
    assert _contrast((0, 0, 0), (255, 255, 255)) == pytest.approx(21)
    assert _contrast(_parsed("#767676"), (255, 255, 255)) == pytest.approx(4.54, abs=0.01)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_kinds_of_memory_and_lines_stand_out_from_the_paper(theme: str) -> None:
    colours = _colours(theme)
    names = [name for name in colours if re.fullmatch(r"--(kind|series)-\d", name)]
    assert len(names) == 12
    assert {
        name: _contrast(colours[name], colours["--paper"])
        for name in names
        if _contrast(colours[name], colours["--paper"]) < 3
    } == {}


def test_those_of_files_do_too() -> None:
    drawn = [*FILE.series, *FILE.kinds]
    assert [colour for colour in drawn if _contrast(_parsed(colour), _parsed(FILE.paper)) < 3] == []


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("shade", [RIGHT, WRONG])
def test_numbers_in_a_heat_map_can_be_read_on_its_strongest_shade(theme: str, shade: str) -> None:
    colours = _colours(theme)
    behind = tuple(
        MOST_BEHIND_TEXT * part + (1 - MOST_BEHIND_TEXT) * paper
        for part, paper in zip(_parsed(shade), colours["--paper"], strict=True)
    )
    assert _contrast(behind, colours["--ink"]) > 4.5


def test_numbers_in_cells_have_the_ink_and_those_of_nothing_are_left_out() -> None:
    record = make_record(tasks=2)
    right = [[0 if row != column else 20 for column in range(4)] for row in range(4)]
    right[0] = [10, 10, 0, 0]
    analysis = make_analysis(record, confusion=right)
    [group] = group_runs([ReportedRun("a", record, analysis)])
    view = group.runs[0].confusion
    assert view is not None
    cells = re.findall(r'<g class="cell">.*?<text[^>]*>([^<]*)</text>', view.svg)
    assert cells == ["50.0", "50.0", "100.0", "100.0", "100.0"]
    assert ".chart .cell text { fill: var(--ink) !important; }" in STYLE
    assert "cell" not in figure_files(view.drawing)["svg"].decode()
