"""Numbers as text."""

import pytest

from essential.report.drawing import FILE, LineStyle
from essential.results.formats import (
    MINUS,
    NONE,
    counted,
    duration,
    human_bytes,
    inside,
    percent,
    probability,
    signed_percent,
    slug,
)
from essential.results.runs import Spread, spread_of
from essential.shown import plain_cell


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
    assert spread_of([0.7, 0.8, 0.9]).shown == "80.00 ± 10.00"


@pytest.mark.parametrize(
    ("mean", "deviation", "text"),
    [(0.875, 0.01, "87.50 ± 1.00"), (0.875, None, "87.50"), (None, None, NONE), (-0.01, 0.0, f"{MINUS}1.00 ± 0.00")],
)
def test_a_mean_has_its_deviation_if_there_is_one(mean: float | None, deviation: float | None, text: str) -> None:
    assert Spread(mean, deviation).shown == text


@pytest.mark.parametrize(
    ("difference", "text"),
    [(0.012, "+1.20"), (-0.012, f"{MINUS}1.20"), (0.0, "0.00"), (0.00004, "0.00"), (-0.00004, "0.00"), (None, NONE)],
)
def test_a_difference_has_its_sign(difference: float | None, text: str) -> None:
    assert signed_percent(difference) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0.0, "<0.001"), (0.00049, "<0.001"), (0.0005, "0.001"), (0.05, "0.050"), (1.0, "1.000")]
)
def test_a_small_p_is_not_shown_as_nothing(value: float, text: str) -> None:
    assert probability(value) == text
    assert probability(None) == NONE


@pytest.mark.parametrize(
    ("text", "name"),
    [
        *(("Accuracy over tasks", "accuracy-over-tasks"), ("../A $x$", "a-x"), ("跳舞", "unnamed"), ("", "unnamed")),
        ("a" * 300, "a" * 48),
        ("a" * 47 + " b", "a" * 47),
    ],
)
def test_a_name_for_files_is_plain_and_short(text: str, name: str) -> None:
    assert slug(text) == name


@pytest.mark.parametrize(("title", "text"), [("Episodic", "episodic"), ("MR modules", "MR modules"), ("", "")])
def test_a_title_inside_a_sentence_keeps_its_acronym(title: str, text: str) -> None:
    assert inside(title) == text


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "\tx", "\rx"])
def test_what_a_spreadsheet_would_run_is_quoted(text: str) -> None:
    assert plain_cell(text) == f"'{text}"
    assert plain_cell(f"a{text}") == f"a{text}"


def test_the_first_64_line_styles_all_differ() -> None:
    looks = {(style.colour(FILE), style.marker) for style in map(LineStyle, range(64))}
    assert len(looks) == 64
