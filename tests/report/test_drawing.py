"""From drawings to SVG: colours become the page's, paths become short and stay the same."""

import re

import matplotlib as mpl

from essential.report.charts import Band, ChartLine, LineChart
from essential.report.drawing import figure_files, inline_svg
from essential.report.line_style import LineStyle


def test_numbers_of_a_drawing_on_a_page_are_short_and_names_keep_all_their_digits() -> None:
    values = [Band(100 / number, 90 / number, 100 / number) for number in range(1, 15)]
    svg = inline_svg(LineChart("c", "Epoch 0.12345", "", [ChartLine("a", LineStyle(0), values)]))
    numbers = re.findall(r"\d+\.(\d+)", " ".join(re.findall(r' (?:d|x|y)="([^"]*)"', svg)))
    assert len(numbers) > 30
    assert {len(digits) for digits in numbers} <= {1, 2}
    assert "Epoch 0.12345" in svg


def _chart(label: str, *values: Band | None) -> LineChart:
    return LineChart("chart", "Tasks", "Accuracy, %", [ChartLine(label, LineStyle(0), values)])


def test_a_band_is_drawn_where_seeds_differ_and_nowhere_else() -> None:
    same = inline_svg(_chart("a", Band(1.0, 1.0, 1.0), Band(2.0, 2.0, 2.0)))
    apart = inline_svg(_chart("a", Band(1.0, 0.5, 2.0), Band(2.0, 1.0, 3.0)))
    assert "fill-opacity: 0.2" not in same
    assert "fill: var(--series-0); fill-opacity: 0.2" in apart


def test_places_are_those_of_the_line() -> None:
    line = ChartLine("a", LineStyle(0), [None, Band(1.0, 1.0, 1.0)], places=[2, 8])
    assert line.points == [(2, None), (8, Band(1.0, 1.0, 1.0))]
    assert ">8</text>" in inline_svg(LineChart("c", "Frames", "", [line]))


def test_files_keep_any_name_and_the_user_s_settings() -> None:
    chart = _chart("跳舞 $x_1$ <b>", Band(1.0, 1.0, 1.0))
    with mpl.rc_context({"lines.linewidth": 9, "text.usetex": False}):
        before = dict(mpl.rcParams)
        files = figure_files(chart)
        assert dict(mpl.rcParams) == before
    text = files["svg"].decode()
    assert files["pdf"].startswith(b"%PDF")
    assert "跳舞 $x_1$ &lt;b&gt;" in text
    assert "Accuracy, %" in text
    assert "Accuracy, %" not in inline_svg(chart), "the page's caption says it"
