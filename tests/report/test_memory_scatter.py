"""Accuracy against bytes beside what is published: what is shown, where, and that it is marked."""

from collections.abc import Mapping

import pytest

from essential.published import published_figures, published_for
from essential.report.line_style import LineStyle
from essential.report.memory_scatter import FRAME_BYTES, OwnMethod, own_scatter, published_scatter, stated_memory
from essential.report.scatter import Apart, Kept


def _own(measures: Mapping[str, tuple[float | None, float | None]], kept: Kept = 1000) -> OwnMethod:
    return OwnMethod("1", "ours", kept, LineStyle(0), measures)


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
    view = published_scatter([_own({"vclimb_accuracy": (0.9, 0.01)})], "vclimb-ucf101-10", "p")
    assert view is not None
    own, *others = [point for point, _ in view.points]
    assert (own.label, own.accuracy, own.deviation, own.kept) == ("1", 90.0, 1.0, 1000)
    assert [point.label for point in others] == [chr(ord("a") + place) for place in range(len(others))]
    assert {point.look for point in others} == {"published"}
    assert "not run here" in view.figure.note
    behind = dict(zip((point.name for point in others), (words for _, words in view.points[1:]), strict=True))
    assert behind["Naive rehearsal (TSN ResNet-34)"] == "91.42; 2020 videos, 3.69 \u00d7 10⁵ frames"
    assert behind["PIVOT (CLIP ViT-B/32)"] == "93.4; memory not stated"
    accuracies = {
        float(f.value) for f in published_for("vclimb-ucf101-10") if f.metric == "vclimb_accuracy" and f.value
    }
    assert {point.accuracy for point in others} == accuracies


def test_of_several_readings_one_is_shown_and_named() -> None:
    view = published_scatter([_own({"average_incremental_accuracy": (0.9, None)})], "tcd-ucf101-10x5", "p")
    assert view is not None
    names = [(point.name, words) for point, words in view.points]
    assert ("ESSENTIAL (CLIP ViT-B/16)", "95.1, by the head; memory not stated") in names
    assert ("SFCL (TSM)", "81.72; memory not stated") in names
    assert sum(name.startswith("UCIR (TSM)") for name, _ in names) == 1


@pytest.mark.parametrize(
    ("protocol", "measures"),
    [
        ("made-up", {"vclimb_accuracy": (0.9, None)}),
        ("vclimb-ucf101-10", {"final_accuracy": (0.9, None)}),
        ("vclimb-ucf101-10", {"vclimb_accuracy": (None, None)}),
    ],
    ids=["nobody published on it", "another measure", "not measured"],
)
def test_without_common_ground_nothing_is_shown(
    protocol: str, measures: Mapping[str, tuple[float | None, float | None]]
) -> None:
    assert published_scatter([_own(measures)], protocol, "p") is None


def test_all_videos_are_no_number_of_bytes() -> None:
    view = own_scatter([_own({"final_accuracy": (0.5, None)}, Apart.ALL_VIDEOS)], "p")
    assert view is not None
    assert view.figure.data.rows == [("1", "ours", 0, 50.0, 0.0, None, "all videos")]
    assert "ours: 50.0 % with all videos" in view.figure.description
    assert own_scatter([_own({"final_accuracy": (None, None)})], "p") is None
