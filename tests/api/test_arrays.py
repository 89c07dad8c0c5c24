"""Tasks from arrays: which clips are where, and that whatever is wrong is one error that names the argument."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import essential as es
from essential.errors import ConfigError, DataError, EssentialError

QUICK: dict[str, Any] = {"epochs": 1, "warmup_epochs": 0, "batch_size": 8, "device": "cpu", "threads": 1}
LABELS = ("walk", "jump", "run", "sit")


def features(labels: Any, *, dim: int = 8, frames: int = 4) -> np.ndarray:
    """Return clips whose numbers all are the place of the clip."""
    return np.arange(len(labels), dtype=np.float32)[:, None, None].repeat(frames, axis=1).repeat(dim, axis=2)


_Y, _YT = [*LABELS, *LABELS, "walk"], ["sit", "run", "jump", "walk"]
GIVEN: dict[str, Any] = {"X": features(_Y), "y": _Y, "sizes": [1, 3], "test": (features(_YT), _YT)}


@pytest.fixture
def given() -> dict[str, Any]:
    return {**GIVEN, "X": GIVEN["X"].copy()}


def make(given: dict[str, Any], **changes: Any) -> list[es.ArrayTask]:
    return es.tasks_from_arrays(**{**given, **changes})


def test_classes_arrive_in_the_order_of_their_labels_and_clips_in_their_own(given: dict[str, Any]) -> None:
    first, second = make(given)
    assert (first.classes, second.classes) == (("jump",), ("run", "sit", "walk"))
    assert (first.index, first.slots, second.index, second.slots) == (0, range(1), 1, range(1, 4))
    assert [*first.train.names] == ["clip-1", "clip-5"]
    assert second.train.slots.tolist() == [3, 1, 2, 3, 1, 2, 3]
    batch = second.epoch(5).rows(torch.tensor([0, 2, 6]))
    assert batch.features[:, 0, 0].tolist() == [0, 3, 8]
    assert batch.tasks.tolist() == [1, 1, 1]
    assert batch.positions.tolist() == [[0, 1, 2, 3]] * 3
    assert second.test.slots.tolist() == [2, 1, 3]
    assert second.plain() is second.train


def test_an_order_and_names_of_ones_own(given: dict[str, Any]) -> None:
    names = [f"{name}.mp4" for name in given["y"]]
    first, second = make(given, order=("sit", "walk", "run", "jump"), names=names)
    assert (first.classes, second.classes) == (("sit",), ("walk", "run", "jump"))
    assert [*first.train.names] == ["sit.mp4", "sit.mp4"]
    assert first.longest_names == ["sit.mp4"]


@pytest.mark.parametrize(
    "convert",
    [
        lambda X: X.astype(np.float64),
        lambda X: X.astype(np.float16),
        lambda X: X.astype(">f4"),
        torch.from_numpy,
        lambda X: torch.from_numpy(X).to(torch.bfloat16),
        lambda X: torch.from_numpy(X).requires_grad_(),
        np.asfortranarray,
    ],
)
def test_any_floating_point_array_is_taken_and_none_is_copied(
    given: dict[str, Any], convert: Callable[[np.ndarray], Any]
) -> None:
    X = convert(given["X"])
    _, second = make(given, X=X)
    rows = second.train.rows(torch.tensor([6])).features
    assert rows.dtype == torch.float32
    assert rows[0, 0, 0] == 8
    with torch.no_grad():
        X[8] = 5
    assert second.train.rows(torch.tensor([6])).features[0, 0, 0] == 5


@pytest.mark.parametrize(
    "labels",
    [
        np.array([3, 1, 3, 1]),
        torch.tensor([3, 1, 3, 1]),
        [3, 1, np.int32(3), 1],
        np.array([3, 1, 3, 1], np.uint8),
        np.array([3, 1, 3, 1], object),
    ],
)
def test_labels_are_integers_of_any_kind(labels: Any) -> None:
    (task,) = es.tasks_from_arrays(features(range(4)), labels, sizes=[2])
    assert task.classes == (1, 3)
    assert [type(label) for label in task.classes] == [int, int]
    assert len(task.test) == 0


def _with(X: np.ndarray, value: float) -> np.ndarray:
    X = X.astype(np.float64)
    X[7, 2, 1] = value
    return X


WRONG: list[tuple[dict[str, Any], type[EssentialError], str]] = [
    ({"y": GIVEN["y"][:-1]}, DataError, r"^y: has 8 labels, but X has 9 clips; give one label for each clip"),
    ({"X": GIVEN["X"].tolist()}, DataError, "^X: is a list, not an array; give a NumPy array or a torch tensor"),
    (
        {"X": GIVEN["X"][:, 0]},
        DataError,
        r"^X: has the shape \(9, 8\); \(clips, frames, dim\) is needed; .*X\[:, N",
    ),
    ({"X": GIVEN["X"].astype(int)}, DataError, "^X: holds int64, which is none of float16.*; convert it"),
    ({"X": GIVEN["X"].astype(object)}, DataError, "^X: holds object, which is none of float16"),
    ({"X": torch.ones(9, 4, 8, dtype=torch.long)}, DataError, r"^X: holds torch\.int64, which is none of"),
    ({"X": GIVEN["X"][:, :0]}, DataError, r"^X: has the shape \(9, 0, 8\): no frame has numbers"),
    ({"X": GIVEN["X"][:0], "y": []}, DataError, "^X: has no clips; give at least one clip of every class"),
    (
        {"X": _with(GIVEN["X"], np.nan)},
        DataError,
        r"^X: the number at \[7, 2, 1\] is nan, no finite float32; take",
    ),
    ({"X": _with(GIVEN["X"], 1e39)}, DataError, r"^X: the number at \[7, 2, 1\] is 1e\+39, no finite float32"),
    ({"X": torch.from_numpy(_with(GIVEN["X"], -np.inf))}, DataError, r"^X: the number at \[7, 2, 1\] is -inf"),
    ({"y": np.ones((9, 1), int)}, DataError, r"^y: has the shape \(9, 1\); one label a clip is needed"),
    ({"y": np.ones(9)}, DataError, r"^y: holds 1\.0; give integers alone, or texts alone, as labels"),
    ({"y": [True] * 9}, DataError, "^y: holds True; give integers alone"),
    ({"y": np.array([None] * 9)}, DataError, "^y: holds None; give integers alone"),
    ({"y": [*range(8), "walk"]}, DataError, "^y: holds 0, 'walk'; give integers alone, or texts alone"),
    ({"test": GIVEN["test"][0]}, DataError, r"^test: is .*; give features and labels: test=\(Xt, yt\)"),
    ({"test": (GIVEN["test"][0], GIVEN["test"][1][:2])}, DataError, r"^test\[1\]: has 2 labels, but test\[0\] has 4"),
    (
        {"test": (GIVEN["test"][0], ["sit", "rum", "jump", "walk"])},
        DataError,
        r"^test\[1\]: has classes that X has no clip of: 'rum' \(did you mean 'run'\?\); leave their clips out",
    ),
    (
        {"test": (features(range(4), dim=9), GIVEN["test"][1])},
        DataError,
        r"^test\[0\]: has clips of \(4, 9\) \(frames, dim\), X of \(4, 8\); take the features of both from one encoder",
    ),
    (
        {"sizes": [1, 2]},
        ConfigError,
        r"^sizes: \[1, 2\] adds up to 3, but there are 4 classes: 1 are left over",
    ),
    (
        {"sizes": [4, 4]},
        ConfigError,
        r"^sizes: \[4, 4\] adds up to 8, but there are 4 classes: 4 are missing",
    ),
    ({"sizes": [4, 0]}, ConfigError, "^sizes: holds 0; give each task 1 class or more"),
    ({"sizes": [2, 2.0]}, ConfigError, r"^sizes: holds 2\.0; give each task"),
    ({"sizes": []}, ConfigError, "^sizes: holds nothing; give each task"),
    ({"sizes": "22"}, ConfigError, "^sizes: holds '22'; give each task"),
    (
        {"order": ["walk", "jump", "walk", "sit", "run"]},
        ConfigError,
        "^order: names 'walk' twice, so a class would be in two tasks; name each class once",
    ),
    ({"order": ["walk", "jump", "sit"]}, ConfigError, "^order: lacks classes of y: 'run'; name every class"),
    (
        {"order": [*LABELS, "fly"]},
        DataError,
        "^order: names classes that y has no clip of: 'fly'; leave them out, or give training clips of them",
    ),
    ({"names": ["a"]}, DataError, "^names: has 1 names for 9 clips of X; give one for each"),
    ({"names": "abcdefghi"}, DataError, "^names: is 'abcdefghi'; give one for each clip of X"),
    ({"names": 9}, DataError, "^names: is 9; give one for each clip of X"),
    (
        {"names": [*LABELS, *LABELS, "a\0b"]},
        DataError,
        r"^names: has 'a\\x00b' at \[8\], with the character U\+0000, which no file can hold; leave the character out",
    ),
    ({"names": ["a\ud800", *LABELS, *LABELS]}, DataError, r"^names: has 'a\\ud800' at \[0\], with .* U\+D800"),
]


@pytest.mark.parametrize(("change", "kind", "message"), WRONG)
def test_what_is_wrong_with_arrays_is_one_error_that_names_it(
    given: dict[str, Any],
    change: dict[str, Any],
    kind: type[EssentialError],
    message: str,
) -> None:
    with pytest.raises(kind, match=message) as raised:
        make(given, **change)
    assert type(raised.value) is kind
    assert raised.value.where is not None
    assert raised.value.remedy is not None


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"name": "icral"}, r"no method is called 'icral' \(did you mean 'icarl'\?\); known: .*slda"),
        ({"exemplars_per_clas": 3}, r"unknown key '.*exemplars_per_clas' \(did you mean 'exemplars_per_class'\?\)"),
        ({"classifier": {"head": 4}}, r"unknown key '.*classifier\.head' \(did you mean 'heads'\?\)"),
        ({"classifier": 4}, "classifier=4 is not allowed"),
        ({"exemplars_per_class": 0}, "exemplars_per_class=0 is not allowed"),
        ({"frames_kept": 5}, "frames_kept: 5 is more than the clip's"),
        ({"dim": 0}, "dim: is 0; give a whole number, 1 or more"),
        ({"frames": 2.0}, r"frames: is 2\.0; give a whole number"),
        ({"seed": -1}, "seed=-1 is not allowed"),
        ({"seed": 0.5}, r"seed=0\.5 is not allowed"),
    ],
)
def test_what_is_wrong_with_a_method_is_one_error(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        es.build_method(**{"name": "icarl", "dim": 8, "frames": 4, **settings})


def test_a_shipped_variant_keeps_its_own_settings_beside_those_given() -> None:
    method = es.build_method("icarl-tc", dim=8, frames=4, base={"frames_kept": 2, "classifier": {"heads": 2}})
    base = method.base.config  # type: ignore[attr-defined]
    assert (base.reading, base.frame_policy, base.frames_kept, base.classifier.heads) == ("vclimb", "uniform", 2, 2)


def _icarl(**settings: Any) -> Any:
    return es.build_method("icarl", **{"dim": 8, "frames": 4, "classifier": {"heads": 2}, **settings})


def test_tasks_that_do_not_fit_the_method_or_each_other_are_refused(given: dict[str, Any]) -> None:
    first, second = tasks = make(given)
    for method, wrong, message in (
        (
            _icarl(dim=16),
            tasks,
            r"tasks\[0\]: has clips of \(4, 8\) \(frames, dim\), but the method takes \(4, 16\); build",
        ),
        (_icarl(frames=8), tasks, r"but the method takes \(8, 8\); build the method with frames=4, dim=8"),
        (_icarl(), [], "tasks: is empty; give at least one task"),
        (_icarl(), [second, first], r"tasks\[0\]: is task 1 with the slots 1 to 3; task 0 from slot 0 belongs here"),
        (_icarl(), [first, first], r"tasks\[1\]: is task 0 with the slots 0 to 0; task 1 from slot 1 belongs here"),
    ):
        with pytest.raises(DataError, match=message):
            es.run(method, wrong, training=QUICK)
    again = es.ArrayTask(1, range(1, 2), ("jump",), first.train, first.test)
    with pytest.raises(DataError, match=r"tasks\[1\]: has the class 'jump', as tasks\[0\] has; leave it out of one"):
        es.run(_icarl(), [first, again], training=QUICK)
    bare = es.ArrayTask(1, range(1, 4), second.classes, first.train, second.test)
    with pytest.raises(DataError, match=r"tasks\[1\]: has no training clip of 'run', 'sit', 'walk'; give one of each"):
        es.run(_icarl(), [first, bare], training=QUICK)


def test_settings_of_the_training_are_checked_and_a_budget_is_before_anything_is_learned(given: dict[str, Any]) -> None:
    tasks = make(given)
    with pytest.raises(ConfigError, match=r"unknown key 'training\.epoch' \(did you mean 'epochs'\?\)"):
        es.run(_icarl(), tasks, training={"epoch": 1})
    with pytest.raises(ConfigError, match=r"training\.epochs=0 is not allowed"):
        es.run(_icarl(), tasks, 0)
    method = _icarl(budget_bytes=600, exemplars_per_class=None)
    with pytest.raises(ConfigError, match=r"600 bytes for exemplars, but one exemplar for each of 4 classes"):
        es.run(method, tasks, training=QUICK)
    assert method.slots == []


def test_a_method_learns_once(given: dict[str, Any]) -> None:
    method, tasks = _icarl(exemplars_per_class=1), make(given)
    es.run(method, tasks, training=QUICK)
    with pytest.raises(ConfigError, match="method: has learned 2 tasks before; build a new one for every run"):
        es.run(method, tasks, training=QUICK)


def _least(scores: Any) -> Any:
    return min(scores.matrix[-1])


def _raises(scores: Any) -> Any:
    raise KeyError(f"no\nclass {len(scores.seen)}")


@pytest.mark.parametrize(
    ("metrics", "message"),
    [
        ([_least], r"^metrics: is \[<function _le.*; give functions by name: "),
        ({"least": 0.5}, r"^metrics\['least'\]: is 0\.5; give functions by name"),
        ({1: _least}, r"^metrics\[1\]: its name is no text; give functions by name"),
        ({"final_accuracy": _least}, r"^metrics\['final_accuracy'\]: the name is taken by a metric of .*; choose"),
    ],
)
def test_metrics_that_cannot_be_used_are_refused_before_anything_is_learned(
    given: dict[str, Any], metrics: Any, message: str
) -> None:
    method = _icarl(exemplars_per_class=1)
    with pytest.raises(ConfigError, match=message):
        es.run(method, make(given), training=QUICK, metrics=metrics)
    assert method.slots == []


def test_a_metric_that_raises_or_gives_no_number_costs_nothing_but_its_own_value(given: dict[str, Any]) -> None:
    metrics = {"least": _least, "bad": _raises, "nan": lambda _: np.nan, "text": lambda _: "1", "none": lambda _: None}
    reasons = {
        "bad": "raised KeyError: 'no\\nclass 2'",
        "nan": "gave nan, no finite number",
        "text": "gave '1', no finite number",
    }
    notes: list[str] = []

    class Notes(es.Progress):
        def say(self, note: str) -> None:
            notes.append(note)

    def learned(progress: es.Progress | None) -> es.Result:
        method = _icarl(exemplars_per_class=1)
        return es.run(method, make(given), training=QUICK, metrics=metrics, progress=progress)

    result = learned(Notes())
    own = {name: result.metrics[name] for name in metrics}
    assert own == {"least": min(result.accuracy[-1]), "bad": None, "nan": None, "text": None, "none": None}
    assert result.metrics["final_accuracy"] is not None
    assert notes == [f"the metric {name!r} has no value: it {reason}" for name, reason in reasons.items()]
    with pytest.warns(UserWarning, match="has no value") as warned:
        assert learned(None).metrics == result.metrics
    assert [str(warning.message) for warning in warned] == notes


def test_tasks_may_come_one_by_one_and_are_tasks(given: dict[str, Any]) -> None:
    result = es.run(_icarl(exemplars_per_class=1), (task for task in make(given)), training=QUICK)
    assert len(result.accuracy) == 2
    for wrong, message in (
        (make(given)[0], "^tasks: is one task; give a list of tasks"),
        ([given["X"]], r"^tasks: holds array\(.*; give a list of tasks"),
        (3, "^tasks: holds 3; give a list of tasks"),
    ):
        with pytest.raises(DataError, match=message):
            es.run(_icarl(), wrong, training=QUICK)


def test_a_run_without_test_clips_has_no_accuracies(given: dict[str, Any]) -> None:
    result = es.run(_icarl(exemplars_per_class=1), make(given, test=None), training=QUICK)
    assert np.isnan(result.accuracy).all()
    assert result.metrics["final_accuracy"] is None
    assert [len(each.videos) for each in result.predictions] == [0, 0]
    assert result.memory_bytes.total > 0
