"""From drawings to SVG: colours become the page's, paths become short and stay the same."""

import re
from collections.abc import Callable, Sequence

import matplotlib as mpl
from matplotlib.axes import Axes

from essential.report.charts import ChartLine, bar_chart, line_chart
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


def _drawn(draw: Callable[..., Drawing], *values: Sequence[Sequence[float]]) -> Axes:
    """The plot of lines that have the values of each seed at 1, 2, ..."""
    lines = [
        ChartLine(
            str(number), LineStyle(number), {1 + i: spread_of(v) for i, v in enumerate(own)}, dict(enumerate(own, 1))
        )
        for number, own in enumerate(values)
    ]
    return draw("c", lines, axes=("Task", "Points")).draw(FILE)[0].axes[0]


def _rings(axes: Axes) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for line in axes.lines if line.get_markersize() == 3.6 for x, y in line.get_xydata()]


def test_every_seed_is_a_ring_where_there_are_several_and_nowhere_else() -> None:
    assert _rings(_drawn(line_chart, [[1.0], [2.0]])) == []
    assert _rings(_drawn(line_chart, [[0.5, 2.0], [1.0]])) == [(1, 0.5), (1, 2.0)]
    assert [y for _, y in _rings(_drawn(bar_chart, [[0.5, 2.0]], [[3.0, 4.0]]))] == [0.5, 2.0, 3.0, 4.0]


def test_a_bar_reaches_the_mean_of_its_seeds_and_those_of_one_place_stand_beside_each_other() -> None:
    axes = _drawn(bar_chart, [[-1.0, -3.0], [4.0]], [[5.0], [6.0]])
    bars = [(bar.get_x(), bar.get_x() + bar.get_width(), bar.get_height()) for bar in axes.patches]
    assert [height for *_, height in bars] == [-2.0, 4.0, 5.0, 6.0]
    first, _, beside, _ = bars
    assert 0.5 < first[0] < first[1] < beside[0] < beside[1] < 1.5


def test_many_lines_are_markers_without_bars() -> None:
    axes = _drawn(bar_chart, *[[[float(number)], [2.0]] for number in range(5)])
    assert len(axes.patches) == 0
    assert [float(line.get_ydata()[0]) for line in axes.lines[:5]] == [0.0, 1.0, 2.0, 3.0, 4.0]
    assert {line.get_linestyle() for line in axes.lines[:5]} == {"None"}


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
