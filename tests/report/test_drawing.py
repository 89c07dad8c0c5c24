"""From drawings to SVG: colours become the page's, paths become short and stay the same."""

import re

import matplotlib as mpl

from essential.report.charts import ChartLine, line_chart
from essential.report.drawing import FILE, Drawing, LineStyle, figure_files, inline_svg
from essential.results.runs import Spread, spread_of


def test_numbers_of_a_drawing_on_a_page_are_short_and_names_keep_all_their_digits() -> None:
    points = {number: spread_of([90 / number, 100 / number]) for number in range(1, 15)}
    svg = inline_svg(line_chart("c", [ChartLine("a", LineStyle(0), points)], axes=("Epoch 0.12345", "")))
    numbers = re.findall(r"\d+\.(\d+)", " ".join(re.findall(r' (?:d|x|y)="([^"]*)"', svg)))
    assert len(numbers) > 30
    assert {len(digits) for digits in numbers} <= {1, 2}
    assert "Epoch 0.12345" in svg


def _chart(label: str, points: dict[int, Spread]) -> Drawing:
    return line_chart("chart", [ChartLine(label, LineStyle(0), points)], axes=("Tasks", "Accuracy, %"))


def test_a_band_is_drawn_where_seeds_differ_and_nowhere_else() -> None:
    same = inline_svg(_chart("a", {1: spread_of([1.0, 1.0]), 2: spread_of([2.0])}))
    apart = inline_svg(_chart("a", {1: spread_of([0.5, 2.0]), 2: spread_of([1.0, 3.0])}))
    assert "fill-opacity: 0.2" not in same
    assert "fill: var(--series-0); fill-opacity: 0.2" in apart


def test_places_are_those_of_the_line() -> None:
    chart = _chart("a", {2: spread_of([None]), 8: spread_of([1.0])})
    _, [line] = chart.draw(FILE)
    assert [(float(x), float(y)) for x, y in zip(*line.get_data(), strict=True)][1:] == [(8.0, 1.0)]
    assert list(line.get_xdata()) == [2, 8]
    assert ">8</text>" in inline_svg(chart)


def test_files_keep_any_name_and_the_user_s_settings() -> None:
    chart = _chart("跳舞 $x_1$ <b>", {1: spread_of([1.0])})
    with mpl.rc_context({"lines.linewidth": 9, "text.usetex": False}):
        before = dict(mpl.rcParams)
        files = figure_files(chart)
        assert dict(mpl.rcParams) == before
    text = files["svg"].decode()
    assert files["pdf"].startswith(b"%PDF")
    assert "跳舞 $x_1$ &lt;b&gt;" in text
    assert "Accuracy, %" in text
    assert "Accuracy, %" not in inline_svg(chart), "the page's caption says it"
