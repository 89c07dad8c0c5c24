"""Numbers as text."""

import pytest

from essential.report.charts import LineStyle
from essential.report.formats import MINUS, NONE, counted, duration, human_bytes, percent, spread


@pytest.mark.parametrize(
    ("fraction", "text"),
    [(None, NONE), (0.0, "0.0"), (1.0, "100.0"), (0.8754, "87.5"), (-0.0123, f"{MINUS}1.2"), (-0.0004, "0.0")],
)
def test_percent(fraction: float | None, text: str) -> None:
    assert percent(fraction) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (None, NONE),
        (0, "0 B"),
        (999, "999 B"),
        (1000, "0.98 KiB"),
        (1024, "1.00 KiB"),
        (10 * 1024, "10.0 KiB"),
        (1023 * 1024, "1.00 MiB"),
        (174 * 4 * 4 * 768 * 4 + 10 * 8 * 768 * 4, "8.39 MiB"),
        (541 << 20, "541 MiB"),
        (3 << 60, "3072 PiB"),
    ],
)
def test_human_bytes(count: int | None, text: str) -> None:
    assert human_bytes(count).replace("\u00a0", " ") == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (59.94, "59.9 s"), (59.96, "1 min 00 s"), (134.2, "2 min 14 s"), (3599.7, "1 h 00 min")],
)
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds).replace("\u00a0", " ") == text


@pytest.mark.parametrize(
    ("count", "noun", "text"),
    [(1, "run", "1 run"), (2, "class", "2 classes"), (0, "entry", "0 entries"), (1234, "video", "1,234 videos")],
)
def test_counted(count: int, noun: str, text: str) -> None:
    assert counted(count, noun) == text


def test_the_spread_is_the_sample_standard_deviation() -> None:
    assert spread([0.7, 0.8, 0.9]) == "80.00 ± 10.00"


def test_the_first_64_line_styles_all_differ() -> None:
    looks = {(style.colour, style.marker) for style in map(LineStyle, range(64))}
    assert len(looks) == 64
