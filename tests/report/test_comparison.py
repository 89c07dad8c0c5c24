"""Which runs may be compared, and what several seeds of a method amount to."""

import random
import statistics
from typing import Any

import pytest
from made_comparisons import kept_bytes, made_metrics, made_run, many_runs
from made_records import make_record

from essential.errors import ComparisonError
from essential.results.comparison import Call, Comparison, compare, holm, paired_p


def _row(comparison: Comparison, name: str) -> Any:
    return next(row for row in comparison.rows if row.method == name)


def test_mean_and_deviation_over_seeds() -> None:
    accuracies = [0.71, 0.78, 0.8]
    runs = [made_run("replay", seed, accuracy) for seed, accuracy in enumerate(accuracies)]
    row = compare(runs).rows[0]
    assert row.seeds == (0, 1, 2)
    assert row.final_accuracy.mean == pytest.approx(statistics.mean(accuracies))
    assert row.final_accuracy.std == pytest.approx(statistics.stdev(accuracies))
    old = [(1 - accuracy) / 3 for accuracy in accuracies]
    assert row.measures["backward_forgetting"].mean == pytest.approx(statistics.mean(old))
    assert row.measures["backward_forgetting"].std == pytest.approx(statistics.stdev(old))


def test_one_seed_has_no_deviation_and_an_undefined_value_no_mean() -> None:
    one = compare([made_run("a", 0, 0.5)]).rows[0]
    assert (one.final_accuracy.mean, one.final_accuracy.std) == (0.5, None)
    metrics = [made_metrics(0.5, vclimb_bwf=0.2), made_metrics(0.6)]
    runs = [made_run("a", seed, 0, metrics=metric) for seed, metric in enumerate(metrics)]
    measures = compare(runs).rows[0].measures
    assert (measures["vclimb_bwf"].mean, measures["vclimb_bwf"].std) == (None, None)
    assert measures["final_accuracy"].mean == pytest.approx(0.55)


def test_bytes_parameters_and_seconds_are_means_and_leave_out_what_is_shared() -> None:
    spent = [{"extract": 100.0, "train": 10.0, "evaluate": 1.0}, {"extract": 0.5, "train": 20.0, "evaluate": 2.0}]
    runs = [
        made_run("a", seed, 0.5, kept=1000 + seed, modules=500, seconds=spent[seed], trainable_parameters=10 + 4 * seed)
        for seed in range(2)
    ]
    comparison = compare(runs)
    row = comparison.rows[0]
    assert row.memory_bytes == round((1000 + 1001) / 2)
    assert row.kept("retrieval_modules") == 500
    assert row.trainable_parameters == 12
    assert (row.train_seconds, row.evaluate_seconds, row.seconds) == (15.0, 1.5, 16.5)
    assert comparison.extract_seconds == 100.5


def test_parameters_are_unknown_where_one_record_does_not_say() -> None:
    runs = [made_run("a", seed, 0.5, trainable_parameters=None if seed else 7) for seed in range(2)]
    assert compare(runs).rows[0].trainable_parameters is None


def test_the_budget_holds_for_every_seed_after_every_task() -> None:
    shrinking = [kept_bytes(900), kept_bytes(1001), kept_bytes(800)]
    runs = [
        made_run("fits", 0, 0.5, kept=1000, modules=9999),
        made_run("over", 0, 0.5, kept=1000),
        made_run("over", 1, 0.5, kept=1001),
        made_run("was-over", 0, 0.5, kept=800, memory_bytes_by_task=shrinking),
        made_run("joint", 0, 0.9, kept=None),
    ]
    within = {row.method: row.within_budget for row in compare(runs, Call((1000,))).rows}
    assert within == {"fits": True, "over": False, "was-over": False, "joint": False}
    assert {row.within_budget for row in compare(runs).rows} == {None}
    rules = {row.method: row.keeps_to_the_rules for row in compare(runs).rows}
    assert rules == {"fits": True, "over": True, "was-over": True, "joint": False}


def test_rows_keep_the_user_s_order_and_ranks_follow_accuracy() -> None:
    blind = made_run("blind", 0, 0, metrics=made_metrics(0.5) | {"final_accuracy": None})
    runs = [made_run("b", 1, 0.5), blind, made_run("a", 0, 0.9), made_run("b", 0, 0.7), made_run("c", 0, 0.6)]
    comparison = compare(runs)
    assert [row.method for row in comparison.rows] == ["b", "blind", "a", "c"]
    assert [row.method for row in comparison.ordered] == ["a", "b", "c", "blind"]
    assert _row(comparison, "b").seeds == (0, 1)
    assert comparison.seeds == [0, 1]


def test_methods_are_tested_against_essential_over_common_seeds() -> None:
    ours, theirs = {0: 0.8, 1: 0.83, 2: 0.79}, {1: 0.81, 2: 0.74, 3: 0.9}
    runs = [made_run("other", seed, accuracy) for seed, accuracy in theirs.items()]
    runs += [made_run("essential", seed, accuracy) for seed, accuracy in ours.items()]
    runs += [made_run("third", seed, ours[seed] - 0.1 - seed / 100) for seed in ours]
    comparison = compare(runs)
    assert comparison.baseline == "essential"
    test = _row(comparison, "other").test
    assert test.seeds == (1, 2)
    assert test.difference == pytest.approx(((0.81 - 0.83) + (0.74 - 0.79)) / 2)
    ps = [paired_p([0.81, 0.74], [0.83, 0.79]), paired_p([0.7, 0.72, 0.67], [0.8, 0.83, 0.79])]
    assert test.p == pytest.approx(ps[0])
    assert [test.p_holm, _row(comparison, "third").test.p_holm] == pytest.approx(holm(ps))
    assert _row(comparison, "essential").test is None
    assert comparison.tested == 2


def test_without_essential_the_first_method_is_the_baseline() -> None:
    runs = [made_run(name, seed, 0.5 + seed / 10) for name in ("b", "a") for seed in range(2)]
    comparison = compare(runs)
    assert comparison.baseline == "b"
    test = _row(comparison, "a").test
    assert (test.difference, test.p, test.p_holm) == (0.0, None, None), "all differences are equal"


def test_seeds_that_do_not_meet_are_not_tested() -> None:
    comparison = compare([made_run("essential", 0, 0.5), made_run("a", 1, 0.6)])
    assert _row(comparison, "a").test is None
    assert comparison.tested == 0


def test_many_methods_are_corrected_together() -> None:
    comparison = compare(many_runs())
    tests = [row.test for row in comparison.rows if row.test]
    assert len(tests) == 20
    least = min(tests, key=lambda test: test.p or 1)
    assert least.p is not None
    assert least.p_holm == pytest.approx(20 * least.p)


OTHER_PROTOCOL = {"name": "else", "id": "f" * 16, "tasks": make_record().protocol.model_dump()["tasks"]}
SKIPPED = [{"video": f"test/{name}.mp4", "split": "test", "reason": "0 bytes"} for name in "abcde"]
CONFIG = {"seed": 1, "epochs": 3, "features": {"mode": "stored"}}


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        (
            {"protocol": OTHER_PROTOCOL},
            ["protocol", "made-up (0123456789abcdef)", f"else ({'f' * 16})", "Compare runs of one protocol"],
        ),
        (
            {"encoder": {"name": "clip", "fingerprint": "ab" * 32}},
            ["encoder", "tiny (fefefefefefe)", "clip (abababababab)", "same encoder"],
        ),
        ({"data": {"kind": "folder"}}, ["data.kind", "made-up", "folder", "same data"]),
        ({"config": {**CONFIG, "video": {"frames": 16}}}, ["video.frames", "8", "16", "same setting"]),
        ({"config": CONFIG}, ["video", "frames", "not set"]),
        (
            {"config": {**CONFIG, "video": {"frames": 8}, "features": {"mode": "live"}}},
            ["features.mode", "stored", "live"],
        ),
        (
            {"skipped_videos": SKIPPED},
            ["skipped videos", "0 in all", "5 in all", "test/a.mp4 (test)", "test/c.mp4 (test) and 2 more", "Repair"],
        ),
    ],
    ids=["protocol", "encoder", "data", "video", "no video", "features", "skipped"],
)
def test_runs_that_differ_in_more_than_the_method_are_refused(fields: dict[str, Any], words: list[str]) -> None:
    runs = [made_run("first", 0, 0.5), made_run("same", 0, 0.5), made_run("second", 1, 0.5, **fields)]
    with pytest.raises(ComparisonError) as caught:
        compare(runs)
    message = str(caught.value)
    for word in ("first (seed 0)", "second (seed 1)", *words):
        assert word in message
    assert "same" not in message.replace("the same", "")


def test_skipped_videos_may_have_other_reasons_and_another_order() -> None:
    again = [{**video, "reason": "no video stream"} for video in reversed(SKIPPED)]
    runs = [made_run("a", 0, 0.5, skipped_videos=SKIPPED), made_run("b", 0, 0.5, skipped_videos=again)]
    assert len(compare(runs).rows) == 2


def test_a_seed_of_a_method_that_is_there_twice_is_refused() -> None:
    with pytest.raises(ComparisonError, match="method 'a' is there twice with seed 3; give each seed of a method once"):
        compare([made_run("a", 3, 0.5), made_run("b", 3, 0.5), made_run("a", 3, 0.6)])


def test_seeds_of_a_method_with_other_settings_are_refused() -> None:
    other = {"seed": 1, "epochs": 4, "video": {"frames": 8}, "features": {"mode": "stored"}}
    runs = [made_run("a", 0, 0.5), made_run("a", 1, 0.5, config=other)]
    with pytest.raises(ComparisonError, match=r"differ in epochs\n.*: 3\n.*: 4\nGive runs of other settings"):
        compare(runs)
    runs[1] = ("b", runs[1][1])
    assert len(compare(runs).rows) == 2, "methods may train as they need"


def test_a_run_that_has_tasks_left_is_refused() -> None:
    whole = make_record(tasks=3)
    half = make_record(tasks=3, accuracy=[[0.5, None, None]], memory_bytes_by_task=whole.memory_bytes_by_task[:1])
    with pytest.raises(ComparisonError, match=r"a \(seed 0\) has learned 1 of 3 tasks"):
        compare([("a", half)])


def test_no_run_is_an_error() -> None:
    with pytest.raises(ComparisonError, match="at least one run, 0 were given"):
        compare([])


def test_forward_transfer_is_against_joint_with_the_same_seed() -> None:
    runs = [made_run(name, seed, 0.5) for name in ("essential", "joint") for seed in (0, 1)]
    essential, joint = compare(runs).rows
    gains = []
    for (_, own), (_, reference) in zip(runs[:2], runs[2:], strict=True):
        later = range(1, len(own.accuracy))
        gains.append(sum(own.accuracy[j][j] - reference.accuracy[j][j] for j in later) / len(later))  # type: ignore[operator]
    assert essential.forward_transfer.mean == pytest.approx(sum(gains) / 2)
    assert gains[0] != 0
    assert joint.forward_transfer.mean == 0
    assert compare(runs[:3]).rows[0].forward_transfer.mean is None, "seed 1 has no reference"
    assert compare(runs[:2]).rows[0].forward_transfer.mean is None


SIZES = (1000, 2000, 4000)


def _at_sizes() -> list[Any]:
    """Two methods at three budgets, one that takes none and fits the two larger, one that fits none, and a bound."""
    runs = []
    for seed in range(3):
        for place, size in enumerate(SIZES):
            gain = place / 10 + seed / 100
            runs.append(made_run("essential", seed, 0.5 + gain, kept=size - 100, modules=5000, budget=size))
            runs.append(made_run("replay", seed, 0.45 + 1.5 * gain + (seed == place) / 50, kept=size - 50, budget=size))
        runs.append(made_run("ncm", seed, 0.55, kept=1500))
        runs.append(made_run("slda", seed, 0.99, kept=4001))
        runs.append(made_run("joint", seed, 0.9, kept=None))
    return runs


def test_methods_stand_at_each_budget_and_what_is_over_it_or_a_bound_stands_apart() -> None:
    comparison = compare(_at_sizes(), Call(SIZES))
    assert [(row.method, row.budget_bytes) for row in comparison.rows] == [
        *((name, size) for size in SIZES for name in ("essential", "replay")),
        *((name, None) for name in ("ncm", "slda", "joint")),
    ]
    assert [(group.title, [row.method for row in group.rows], group.is_ranked) for group in comparison.groups] == [
        ("At 1,000\xa0B", ["essential", "replay"], True),
        ("At 2,000\xa0B", ["replay", "essential"], True),
        ("At 4,000\xa0B", ["replay", "essential"], True),
        ("Without a budget", ["ncm"], True),
        ("Over the budget", ["slda"], False),
        ("Given all videos", ["joint"], False),
    ]
    assert sorted(comparison.places.values()) == [1, 1, 1, 1, 2, 2, 2]
    names = [row.name for row in comparison.rows]
    assert len(set(names)) == len(names)
    assert names[0] == "essential, 1,000\xa0B"


def test_at_one_budget_what_takes_none_is_ranked_with_the_others_if_it_fits() -> None:
    runs = [made_run("essential", 0, 0.5, budget=2000), made_run("ncm", 0, 0.6), made_run("slda", 0, 0.7, kept=2001)]
    comparison = compare(runs, Call((2000,)))
    assert [(group.title, [row.method for row in group.rows]) for group in comparison.groups] == [
        ("", ["ncm", "essential"]),
        ("Over the budget", ["slda"]),
    ]


def test_a_budget_of_the_settings_that_the_call_does_not_name_makes_no_group() -> None:
    comparison = compare([made_run("a", 0, 0.5, budget=3000), made_run("b", 0, 0.6, kept=9000)])
    assert [(row.budget_bytes, row.within_budget) for row in comparison.rows] == [(None, None)] * 2
    assert [group.title for group in comparison.groups] == [""]


def test_methods_that_carry_more_than_a_budget_with_their_modules_are_named() -> None:
    comparison = compare(_at_sizes(), Call(SIZES, overrides=("a=1",), left_out=("b at 1B: no room",)))
    assert comparison.modules_note == "Carried beyond the budget, which does not cap MR modules: essential."
    assert comparison.call_notes == ["Settings changed: a=1.", "Left out: b at 1B: no room.", comparison.modules_note]
    assert compare([run for run in _at_sizes() if run[0] != "essential"], Call(SIZES)).modules_note is None
    assert compare([made_run("essential", 0, 0.5, modules=9)]).call_notes == [], (
        "without a budget there is none to pass"
    )


def test_tests_are_made_and_corrected_at_each_budget() -> None:
    comparison = compare(_at_sizes(), Call(SIZES))
    tests = {(row.method, row.budget_bytes): row.test for row in comparison.rows}
    for size in SIZES:
        assert tests["essential", size] is None
        own, base = ([r.metrics.final_accuracy for r in row.records] for row in _rows_at(comparison, size))
        assert tests["replay", size].p == pytest.approx(paired_p(own, base))  # type: ignore[union-attr]
        assert tests["replay", size].p_holm == tests["replay", size].p, "it is the only one"  # type: ignore[union-attr]
    assert [tests[name, None] for name in ("ncm", "slda", "joint")] == [None] * 3, "no budget to meet the baseline at"
    runs = [("other" if name == "essential" else name, record) for name, record in _at_sizes()]
    runs.sort(key=lambda run: run[0] != "joint")
    comparison = compare(runs, Call(SIZES))
    assert comparison.baseline == "joint"
    assert all(row.test for row in comparison.rows if row.method != "joint"), "a baseline without a budget meets all"


def _rows_at(comparison: Comparison, size: int) -> list[Any]:
    by_name = {row.method: row for row in comparison.rows if row.budget_bytes == size}
    return [by_name["replay"], by_name["essential"]]


def test_a_method_that_has_the_baseline_at_another_budget_only_is_not_tested() -> None:
    runs = [made_run("essential", 0, 0.5, budget=4000)]
    runs += [made_run("replay", 0, 0.5, budget=size) for size in (1000, 4000)]
    tests = {row.budget_bytes: row.test for row in compare(runs, Call((1000, 4000))).rows if row.method == "replay"}
    assert tests[1000] is None
    assert tests[4000] is not None


@pytest.mark.parametrize(("seeds", "doubtful"), [(2, True), (4, True), (5, False)])
def test_a_p_of_few_seeds_is_in_brackets_and_the_note_says_why(seeds: int, doubtful: bool) -> None:
    runs = [made_run("essential", seed, 0.5 + seed / 100) for seed in range(seeds)]
    runs += [made_run("a", seed, 0.6 + (seed % 2) / 50) for seed in range(seeds)]
    comparison = compare(runs)
    test = _row(comparison, "a").test
    assert test.doubtful is doubtful
    assert test.shown.startswith("(") is doubtful
    note = comparison.test_note or ""
    assert (f"2/2^n at least ({2 / 2**seeds:g} with {seeds})" in note) is doubtful


def test_carried_is_the_most_after_any_task_of_any_seed_with_the_modules() -> None:
    shrinking = [kept_bytes(900), kept_bytes(3000, 70), kept_bytes(800)]
    runs = [made_run("a", 0, 0.5, kept=1000, modules=20), made_run("a", 1, 0.5, memory_bytes_by_task=shrinking)]
    row, joint = compare([*runs, made_run("joint", 0, 0.9, kept=None)]).rows
    assert row.carried_bytes == 3070
    assert row.memory_bytes == 1000
    assert joint.carried_bytes is None


def _is_beaten(one: Any, other: Any) -> bool:
    """Brute force: as much accuracy with as few bytes, and better in one of them."""
    at_least = other.final_accuracy.mean >= one.final_accuracy.mean and other.carried_bytes <= one.carried_bytes
    better = other.final_accuracy.mean > one.final_accuracy.mean or other.carried_bytes < one.carried_bytes
    return at_least and better


@pytest.mark.parametrize("seed", range(20))
def test_the_pareto_front_is_what_no_other_beats(seed: int) -> None:
    draw = random.Random(seed)
    # Few values, so that many are equal.
    runs = [
        made_run(f"m{number}", 0, draw.choice([0.1, 0.2, 0.3, 0.5, 0.8]), kept=draw.choice([0, 10, 20, 40, 80, 160]))
        for number in range(draw.randint(1, 14))
    ]
    runs += [made_run("joint", 0, 0.9, kept=None), made_run("over", 0, 0.95, kept=161)]
    comparison = compare(runs, Call((160,)))
    fair = [row for row in comparison.rows if row.method not in ("joint", "over")]
    expected = {row for row in fair if not any(_is_beaten(row, other) for other in fair)}
    assert set(comparison.front) == expected
    assert [row.carried_bytes for row in comparison.front] == sorted(row.carried_bytes or 0 for row in expected)


def test_a_row_without_an_accuracy_is_not_on_the_front() -> None:
    blind = made_run("blind", 0, 0, kept=0, metrics=made_metrics(0.5) | {"final_accuracy": None})
    assert [row.method for row in compare([blind, made_run("a", 0, 0.5)]).front] == ["a"]
