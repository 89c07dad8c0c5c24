"""Accuracy against bytes beside what is published: what is shown, where, and that it is marked."""

import re
from dataclasses import replace
from itertools import pairwise

import pytest
from made_comparisons import made_metrics, made_run

from essential.published import published_figures, published_for
from essential.report.drawing import PAGE, LineStyle, figure_files, own_settings
from essential.report.lines import Line
from essential.report.memory_scatter import FRAME_BYTES, own_scatter, published_scatter, stated_memory
from essential.report.run_figures import RunView
from essential.report.scatter import PUBLISHED, Apart, Kept


def _own(metric: str, *accuracies: float | None, kept: Kept = 1000, modules: int = 0, name: str = "ours") -> Line:
    """A method with a seed for each accuracy."""
    budgeted = None if isinstance(kept, Apart) else kept
    runs = [
        made_run("ours", seed, 0.5, kept=budgeted, modules=modules, metrics={**made_metrics(0.5), metric: accuracy})
        for seed, accuracy in enumerate(accuracies)
    ]
    style = LineStyle(0)
    return Line(name, style, tuple(RunView(n, name, record, None, style) for n, (_, record) in enumerate(runs)))


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("none", 0),
        ("8.4 MiB", round(8.4 * 1024**2)),
        ("3.2 \u00d7 10⁴ frames", 32_000 * FRAME_BYTES),
        ("16.16 \u00d7 10³ frames", 16_160 * FRAME_BYTES),
        ("4000 videos, 15.5 \u00d7 10⁶ frames", 15_500_000 * FRAME_BYTES),
        (None, Apart.NOT_STATED),
        ("a lot", Apart.NOT_STATED),
    ],
)
def test_a_stated_memory_becomes_bytes(text: str | None, kept: Kept) -> None:
    assert stated_memory(text) == kept


def test_every_memory_that_a_source_states_is_understood() -> None:
    stated = {figure.memory for figure in published_figures() if figure.memory}
    assert len(stated) > 10
    assert [text for text in stated if isinstance(stated_memory(text), Apart)] == []


def test_published_methods_have_letters_and_are_never_those_run_here() -> None:
    view = published_scatter([_own("vclimb_accuracy", 0.89, 0.91)], "vclimb-ucf101-10", "p")
    assert view is not None
    own, *others = view.points
    assert (own.label, own.kept) == ("1", 1000)
    assert (own.accuracy, own.deviation) == pytest.approx((90.0, 2**0.5))
    assert [point.label for point in others] == [chr(ord("a") + place) for place in range(len(others))]
    assert {point.look for point in others} == {PUBLISHED}
    assert "not run here" in view.note
    behind = dict(zip((point.name for point in others), (point.behind for point in view.points[1:]), strict=True))
    assert behind["Naive rehearsal (TSN ResNet-34)"] == "91.42; 2020 videos, 3.69 \u00d7 10⁵ frames"
    assert behind["PIVOT (CLIP ViT-B/32)"] == "93.4; memory not stated"
    accuracies = {
        float(f.value) for f in published_for("vclimb-ucf101-10") if f.metric == "vclimb_accuracy" and f.value
    }
    assert {point.accuracy for point in others} == accuracies


def test_the_file_of_published_methods_keeps_where_each_figure_is_from() -> None:
    own = _own("vclimb_accuracy", 0.89, 0.91, modules=3 << 20)
    view = published_scatter([own], "vclimb-ucf101-10", "p")
    assert view is not None
    rows = [dict(zip(view.data[0], row, strict=True)) for row in view.data[1:]]
    assert (rows[0]["mark"], rows[0]["source"], rows[0]["published"]) == ("run here", None, 0)
    assert all(row["source"] and row["mark"] in ("seen", "second-hand", "inferred") for row in rows[1:])
    naive = next(row for row in rows if row["method"] == "Naive rehearsal (TSN ResNet-34)")
    assert naive["memory as printed"] == "2020 videos, 3.69 \u00d7 10⁵ frames"
    assert (naive["bytes are assumed"], naive["kept bytes"]) == (1, 369_000 * FRAME_BYTES)
    assert {row["bytes are assumed"] for row in rows[1:] if row["memory as printed"] in (None, "none")} == {0}
    tcd = published_scatter([_own("average_incremental_accuracy", 0.9)], "tcd-ucf101-10x5", "p")
    assert tcd is not None
    table = [dict(zip(tcd.data[0], row, strict=True)) for row in tcd.data[1:]]
    assert {row["reading"] for row in table} == {"head (CNN)", "nearest means (NME)", "", None}
    assert sum(int(row["uncertain"] or 0) for row in table) == sum(
        ", uncertain" in point.behind for point in tcd.points
    )


def test_the_caption_says_what_is_assumed_and_what_is_left_out() -> None:
    own = _own("vclimb_accuracy", 0.89, 0.91, modules=3 << 20)
    view = published_scatter([own], "vclimb-ucf101-10", "p")
    assert view is not None
    assert "uncompressed), of which a JPEG file would take a fraction." in view.note
    modules = "Left out, as papers do: the MR (memory retrieval) modules of ours, which take 3.00\u00a0MiB."
    assert modules in view.note
    less, none = _own("vclimb_accuracy", 0.9, modules=1 << 20), _own("vclimb_accuracy", 0.9)
    both = published_scatter([own, less, none], "vclimb-ucf101-10", "p")
    assert both is not None
    assert "of 2 methods run here, which take 1.00\u00a0MiB to 3.00\u00a0MiB." in both.note
    plain = published_scatter([none], "vclimb-ucf101-10", "p")
    assert plain is not None
    assert "Left out" not in plain.note


def test_training_on_all_videos_keeps_those_also_where_it_was_published() -> None:
    view = published_scatter([_own("average_incremental_accuracy", 0.9)], "tcd-ucf101-10x5", "p")
    assert view is not None
    [point] = [point for point in view.points if "Oracle" in point.name]
    assert point.kept is Apart.ALL_VIDEOS
    assert point.behind.endswith("; all videos")


def test_what_was_run_here_is_filled_beside_what_was_published() -> None:
    over = replace(_own("vclimb_accuracy", 0.89, 0.91), style=LineStyle(0, hollow=True))
    view = published_scatter([over, _own("vclimb_accuracy", 0.9)], "vclimb-ucf101-10", "p")
    assert view is not None
    assert [point.look for point in view.points[:2]] == [LineStyle(0)] * 2


def test_the_legend_of_a_file_stands_below_the_plot_with_whole_names_and_what_hollow_means() -> None:
    long = _own("vclimb_accuracy", 0.9, name="a long name of a method, its end " * 3 + "END")
    view = published_scatter([long], "vclimb-ucf101-10", "p")
    assert view is not None
    svg = figure_files(view.drawing)["svg"].decode()
    words = " ".join(" ".join(re.findall(r">([^<>]+)</text>", svg)).split())
    assert "END" in words
    assert "Hollow: published elsewhere for a protocol of this name, not run here." in words
    assert "of which a JPEG file would take a fraction." in words
    [box] = re.findall(r'viewBox="0 0 ([\d.]+) ', svg)
    assert float(box) < 560, "as wide as the plot"


def test_a_tick_stays_out_of_a_strip_that_has_its_own_name() -> None:
    # The scale begins just below 64 KiB beside "nothing", and ends just above 256 KiB beside "all videos".
    for kept in ((0, 106_000, 1 << 22), (1 << 10, 160_000, Apart.ALL_VIDEOS), (0, 1 << 16)):
        view = own_scatter([_own("final_accuracy", 0.9, kept=each) for each in kept], "p")
        assert view is not None
        with own_settings("p"):
            figure, _ = view.drawing.draw(PAGE)
            [axes] = figure.axes
            figure.draw_without_rendering()
            boxes = [label.get_window_extent() for label in axes.get_xticklabels()]
        # As wide as they are on a phone, where letters are the largest against the drawing.
        spans = sorted(((box.x0 + box.x1) / 2, 1.3 * box.width / 2) for box in boxes)
        assert len(spans) >= 2
        for (place, half), (following, other) in pairwise(spans):
            assert place + half < following - other, kept


def test_of_several_readings_one_is_shown_and_named() -> None:
    view = published_scatter([_own("average_incremental_accuracy", 0.9)], "tcd-ucf101-10x5", "p")
    assert view is not None
    names = [(point.name, point.behind) for point in view.points]
    assert ("ESSENTIAL (CLIP ViT-B/16)", "95.1, head (CNN); memory not stated") in names
    assert ("SFCL (TSM)", "81.72; memory not stated") in names
    assert sum(name.startswith("UCIR (TSM)") for name, _ in names) == 1


@pytest.mark.parametrize(
    ("protocol", "metric", "accuracy"),
    [
        ("made-up", "vclimb_accuracy", 0.9),
        ("vclimb-ucf101-10", "final_accuracy", 0.9),
        ("vclimb-ucf101-10", "vclimb_accuracy", None),
    ],
    ids=["nobody published on it", "another measure", "not measured"],
)
def test_without_common_ground_nothing_is_shown(protocol: str, metric: str, accuracy: float | None) -> None:
    assert published_scatter([_own(metric, accuracy)], protocol, "p") is None


def _at(name: str, budget: int | None, *accuracies: float, kept: int | None = 1000, style: int = 0) -> Line:
    """A method at a budget, with a seed for each accuracy."""
    runs = [made_run(name, seed, accuracy, kept=kept, budget=budget) for seed, accuracy in enumerate(accuracies)]
    views = (RunView(n, name, record, None, LineStyle(style)) for n, (_, record) in enumerate(runs))
    return Line(name, LineStyle(style), tuple(views))


def test_over_several_budgets_a_method_is_one_line_with_a_band_and_the_front_is_marked() -> None:
    small, large = _at("ours", 2000, 0.5, 0.7, kept=1900), _at("ours", 9000, 0.8, 0.84, kept=8000)
    lines = [
        *(small, large, _at("other", 2000, 0.55, 0.55, kept=1500, style=1)),
        *(_at("fixed", None, 0.65, kept=700, style=2), _at("poor", None, 0.1, kept=0, style=3)),
        _at("joint", None, 0.9, kept=None, style=4),
    ]
    view = own_scatter(lines, "p", (2000, 9000), front=[small, large])
    assert view is not None
    columns, *rows = view.data
    assert [dict(zip(columns, row, strict=True))["on the Pareto front"] for row in rows] == [1, 1, 0, 0, 0, 0]
    assert [row[-3:-1] for row in rows[:2]] == [pytest.approx((50, 70)), pytest.approx((80, 84))]
    assert "Not drawn, below: poor (10.0 %)." in view.note
    assert [point.name for point in view.listed] == ["ours", "other", "fixed", "joint"]
    assert [point.name for point in view.points if point.reference] == ["fixed", "joint"]
    with own_settings("p"):
        figure, keys = view.drawing.draw(PAGE)
    assert [key.get_label() for key in keys] == ["ours", "other", "fixed", "joint"]
    x, y = keys[0].get_data()  # type: ignore[attr-defined]
    assert list(y) == pytest.approx([60.0, 82.0])
    assert x[0] < x[1], "from the least bytes"
    (axes,) = figure.axes
    rings = [line for line in axes.lines if line.get_markersize() == 15]
    heights = [float(height) for ring in rings for height in ring.get_ydata()]  # type: ignore[union-attr]
    assert sorted(heights) == pytest.approx([60.0, 82.0])
    assert figure_files(view.drawing)["pdf"].startswith(b"%PDF")


def test_all_videos_are_no_number_of_bytes() -> None:
    view = own_scatter([_own("final_accuracy", 0.5, kept=Apart.ALL_VIDEOS)], "p")
    assert view is not None
    assert list(view.data[1:]) == [("1", "ours", 0, 50.0, 0.0, None, "all videos", 50.0, 50.0, 0)]
    assert "ours: 50.0 % with all videos" in view.description
    assert own_scatter([_own("final_accuracy", None)], "p") is None
