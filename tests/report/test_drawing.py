"""From drawings to SVG: colours become the page's, paths become short and stay the same."""

import random
import re

import matplotlib as mpl
import pytest

from essential.report.charts import Band, ChartLine, LineChart
from essential.report.drawing import figure_files, inline_svg, shorter_path
from essential.report.line_style import LineStyle


def _places(path: str) -> list[tuple[str, float, float]]:
    """The places that a path goes through, read as a browser does."""
    x = y = 0.0
    places = []
    for letter, numbers in re.findall(r"([MLl])([^MLlz]*)", path):
        first, second = (float(number) for number in re.findall(r"-?[\d.]+", numbers))
        x, y = (x + first, y + second) if letter == "l" else (first, second)
        places.append((letter.upper(), x, y))
    return places


def test_a_shorter_path_goes_through_the_same_places() -> None:
    draw = random.Random(3)
    path = " \n".join(
        f"{draw.choice('MLLL')} {draw.uniform(-500, 500):.6f} {draw.uniform(-9, 9):.6f}" for _ in range(200)
    )
    short = shorter_path(f"M 1 2 \n{path}")
    assert len(short) < 0.6 * len(path)
    long_places, short_places = _places(f"M 1 2 \n{path}"), _places(short)
    assert len(short_places) == 201
    for (letter, x, y), (short_letter, short_x, short_y) in zip(long_places, short_places, strict=True):
        assert short_letter == letter
        assert (short_x, short_y) == pytest.approx((x, y), abs=0.0501)


def test_curves_lose_only_digits_that_nobody_sees() -> None:
    assert (
        shorter_path("M 0 3.75 C 0.99454 3.75 1.9 -3.3549 2.6 2.65\nz") == "M 0 3.75 C 0.99 3.75 1.9 -3.35 2.6 2.65\nz"
    )
    assert shorter_path("M 0 0 L 0 0 L 1.04 -2.06 z") == "M0 0l0 0l1-2.1z"


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
