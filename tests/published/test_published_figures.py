"""The figures published elsewhere: all of them, as printed, with their doubts, under the names that we ship."""

from collections import Counter
from decimal import Decimal

import pytest
from pydantic import ValidationError

from essential.configs.shipped import config_text, sections_of, shipped_configs
from essential.metrics import METRICS
from essential.published import PublishedFigure, differs_from_published, published_figures, published_for

CNN, NME = "average_incremental_accuracy_cnn", "average_incremental_accuracy_nme"
EITHER = "average_incremental_accuracy"
ACC, BWF = "vclimb_accuracy", "vclimb_bwf"
BY_PROTOCOL = {
    "tcd-ucf101-10x5": 31,
    "tcd-ucf101-5x10": 29,
    "tcd-ucf101-2x25": 31,
    "tcd-ucf101-1x50": 2,
    "tcd-hmdb51-5x5": 22,
    "tcd-hmdb51-1x25": 22,
    "tcd-ssv2-10x9": 24,
    "tcd-ssv2-5x18": 20,
    "tcd-ssv2-3x30": 2,
    "tcd-ssv2-1x90": 2,
    "vclimb-ucf101-10": 28,
    "vclimb-ucf101-20": 10,
    "vclimb-kinetics400-10": 29,
    "vclimb-kinetics400-20": 10,
    "vclimb-activitynet-trimmed-10": 24,
    "vclimb-activitynet-trimmed-20": 11,
    "vclimb-activitynet-untrimmed-10": 12,
}
NOT_SHIPPED = {"tcd-ucf101-1x50", "tcd-ssv2-3x30", "tcd-ssv2-1x90"}


def _values(protocol: str, method: str, metric: str) -> list[str]:
    found = published_for(protocol)
    return [str(each.value) for each in found if each.method == method and each.metric == metric]


def test_the_tasks_of_a_published_protocol_are_those_of_the_config_that_is_shipped() -> None:
    compared = 0
    for name in shipped_configs():
        part = sections_of(config_text(name), name)["protocol"]
        protocol = part.get("name")
        if protocol is None or "base_classes" not in part:
            continue
        base, others = part["base_classes"], part["tasks"] - 1
        step, count = map(int, protocol.rsplit("-", 1)[1].split("x"))
        assert count == others
        assert differs_from_published(protocol, [base] + [step] * others) is None
        compared += 1
    assert compared == 7


@pytest.mark.parametrize(
    ("name", "sizes"),
    [
        ("tcd-ssv2-1x90", [84] + [1] * 90),
        ("vclimb-ucf101-10", [11] + [10] * 9),
        ("vclimb-ucf101-20", [5] * 19 + [6]),
        ("vclimb-kinetics400-20", [20] * 20),
        ("vclimb-activitynet-untrimmed-20", [10] * 20),
        ("not-published", [1, 2]),
    ],
)
def test_tasks_are_told_from_those_of_a_published_protocol(name: str, sizes: list[int]) -> None:
    assert differs_from_published(name, sizes) is None
    if name != "not-published":
        assert differs_from_published(name, [*sizes[:-1], sizes[-1] + 1]) is not None
        assert differs_from_published(name, [sum(sizes)]) is not None


def test_every_published_protocol_has_its_tasks() -> None:
    assert [name for name in BY_PROTOCOL if differs_from_published(name, [3]) is None] == []
    assert differs_from_published("tcd-ucf101-10x5", [2, 2]) == "1 task of 51, then 5 tasks of 10"


def test_all_figures_are_there() -> None:
    assert Counter(figure.protocol for figure in published_figures()) == BY_PROTOCOL
    assert len(published_figures()) == 309
    assert Counter(figure.mark for figure in published_figures()) == {"seen": 236, "second-hand": 55, "inferred": 18}


@pytest.mark.parametrize(
    ("protocol", "method", "metric", "values"),
    [
        ("tcd-ucf101-10x5", "ESSENTIAL", CNN, ["95.1"]),
        ("tcd-ucf101-5x10", "ESSENTIAL", CNN, ["93.9"]),
        ("tcd-ucf101-2x25", "ESSENTIAL", CNN, ["93.3"]),
        ("tcd-ssv2-5x18", "ESSENTIAL", CNN, ["47.5"]),
        ("tcd-ssv2-10x9", "ESSENTIAL, episodic memory alone", CNN, ["42.1"]),
        ("tcd-ucf101-5x10", "ST-Prompt", EITHER, ["85.5"]),
        ("tcd-ucf101-2x25", "L2P", EITHER, ["78.6"]),
        ("tcd-ucf101-10x5", "TCD", CNN, ["74.89", "74.89"]),
        ("tcd-ucf101-10x5", "TCD", NME, ["77.16"]),
        ("tcd-ucf101-5x10", "SNRO", CNN, ["77.60"]),
        ("tcd-hmdb51-1x25", "UCIR", NME, ["37.15"]),
        ("tcd-hmdb51-5x5", "Oracle (joint)", NME, ["55.98"]),
        ("tcd-hmdb51-1x25", "DBK", EITHER, []),
        ("tcd-ssv2-5x18", "FrameMaker", NME, ["22.84"]),
        ("tcd-ssv2-10x9", "SFCL", EITHER, ["44.80"]),
        ("tcd-ssv2-1x90", "SFCL", EITHER, ["43.56"]),
        ("tcd-ssv2-3x30", "TCD", EITHER, ["17.44"]),
        ("tcd-ucf101-2x25", "StPR", EITHER, ["88.52"]),
        ("vclimb-ucf101-10", "ESSENTIAL", ACC, ["95.8"]),
        ("vclimb-kinetics400-10", "CSTA", ACC, ["56.09"]),
        ("vclimb-activitynet-trimmed-20", "MAS", BWF, ["0.1"]),
        ("vclimb-activitynet-trimmed-10", "BiC", ACC, ["51.96"]),
        ("vclimb-kinetics400-10", "BiC", BWF, ["51.96"]),
        ("vclimb-ucf101-20", "Naive rehearsal", ACC, ["87.40"]),
        ("vclimb-ucf101-10", "iCaRL", ACC, ["80.97", "81.0"]),
        ("vclimb-kinetics400-10", "iCaRL+TC, 8 frames per video", ACC, ["36.24"]),
        ("vclimb-activitynet-trimmed-10", "iCaRL, 16 frames per video", BWF, ["29.71"]),
        ("vclimb-ucf101-10", "iCaRL, all frames", ACC, ["80.97"]),
        ("vclimb-activitynet-untrimmed-10", "iCaRL+TC, 4 frames per video", ACC, ["36.07"]),
    ],
)
def test_a_figure_has_the_digits_that_were_printed(protocol: str, method: str, metric: str, values: list[str]) -> None:
    assert _values(protocol, method, metric) == values


def test_every_shipped_protocol_of_both_benchmarks_is_found_where_there_are_figures() -> None:
    configs = [name for name in shipped_configs() if name.startswith(("tcd/", "vclimb/"))]
    names = {str(sections_of(config_text(name), name)["protocol"]["name"]) for name in configs}
    assert len(names) == 15
    assert BY_PROTOCOL.keys() - names == NOT_SHIPPED
    assert names - BY_PROTOCOL.keys() == {"vclimb-activitynet-untrimmed-20"}
    for name in names:
        found = published_for(name)
        assert len(found) == BY_PROTOCOL.get(name, 0)
        assert {figure.protocol for figure in found} <= {name}
    assert published_for("moving-digits") == []


def test_metrics_of_ours_have_our_names() -> None:
    others = {figure.metric for figure in published_figures()} - METRICS.keys()
    assert others == {"gain_over_previous_best"}
    assert sum(figure.metric in others for figure in published_figures()) == 2


def test_lost_digits_and_doubts_are_flagged_and_explained() -> None:
    uncertain = [figure for figure in published_figures() if figure.uncertain]
    assert len(uncertain) == 18
    assert all(figure.note for figure in uncertain)
    guessed = {(f.protocol, f.method, f.metric): f for f in uncertain if f.note and "digit is lost" in f.note}
    assert {str(figure.value) for figure in guessed.values()} == {
        *("52.10", "49.38", "80.01", "78.81", "77.62"),
        *("38.67", "36.88", "22.82"),
    }
    assert "(8)0.01?" in str(guessed["tcd-ucf101-10x5", "HCE", NME].note)
    assert {figure.method for figure in uncertain} == {"HCE", "SNRO", "STSP", "StPR", "CoSTEO", "PIVOT"}


def test_memory_is_told_as_it_was_printed() -> None:
    [essential] = [f for f in published_for("tcd-ssv2-5x18") if f.method == "ESSENTIAL"]
    assert essential.memory == "8.6 MiB"
    assert {f.memory for f in published_for("vclimb-ucf101-20")} == {"none", "2020 videos, 3.69 \u00d7 10⁵ frames"}


def test_sources_name_papers_and_no_address_or_file() -> None:
    sources = {figure.source for figure in published_figures()}
    assert len(sources) == 13
    for text in [*sources, *(figure.note or "" for figure in published_figures())]:
        assert "://" not in text
        assert "/work" not in text
        assert "github" not in text.lower()
    for figure in published_figures():
        assert ("second-hand" in figure.source) is (figure.mark == "second-hand" or figure.method == "CoSTEO")


@pytest.mark.parametrize(
    "change",
    [{"value": Decimal("100.1")}, {"value": Decimal("-1")}, {"mark": "heard"}, {"value": "95.1"}, {"page": "3"}],
    ids=str,
)
def test_what_is_no_figure_is_refused(change: dict[str, object]) -> None:
    figure = published_for("tcd-ucf101-10x5")[0].model_dump()
    assert PublishedFigure(**figure).value == Decimal("95.1")
    assert PublishedFigure(**{**figure, "value": None}).value is None
    with pytest.raises(ValidationError):
        PublishedFigure(**{**figure, **change})
