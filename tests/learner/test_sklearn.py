"""`essential.sklearn`: scikit-learn's own checks of an estimator, and classes that come with one `partial_fit` each."""

import pickle
from collections.abc import Sequence

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import cross_val_score
from sklearn.utils.estimator_checks import check_estimator

import essential
from essential.errors import ConfigError
from essential.sklearn import IncrementalClassifier

FRAMES, DIM = 4, 8
TRAINING = {"learning_rate": 0.01, "scale_learning_rate": False, "warmup_epochs": 0, "batch_size": 16, "device": "cpu"}
# What scikit-learn cannot check here: the packages are not there, or a variable of the environment is not set.
NOT_CHECKED = {"check_array_api_input", "check_classifier_data_not_an_array"}


def clips_of(labels: Sequence[int], count: int = 12, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return clips of some classes, (clips, frames, dim), mixed, and their labels."""
    draw = np.random.default_rng(seed)
    y = draw.permutation(np.repeat(labels, count))
    centres = 3 * np.random.default_rng(7).standard_normal((20, 1, DIM))
    return centres[y] + draw.standard_normal((len(y), FRAMES, DIM)), y


@pytest.mark.parametrize(
    "estimator",
    [
        IncrementalClassifier(),
        IncrementalClassifier("ncm", held_out_per_class=2),
    ],
    ids=lambda estimator: estimator.method,
)
def test_scikit_learns_checks_pass(estimator: IncrementalClassifier) -> None:
    results = check_estimator(estimator, on_skip=None)
    assert len(results) >= 40
    assert {result["check_name"] for result in results if result["status"] != "passed"} <= NOT_CHECKED
    assert {result["expected_to_fail"] for result in results} == {False}


def test_it_is_found_by_the_name_of_its_module() -> None:
    assert essential.sklearn.IncrementalClassifier is IncrementalClassifier


@pytest.mark.parametrize("method", ["slda", "icarl"])
def test_classes_come_one_partial_fit_after_another(method: str) -> None:
    settings = {"exemplars_per_class": 5} if method == "icarl" else {}
    classifier = IncrementalClassifier(method, frames=None, epochs=20, training=TRAINING, random_state=0, **settings)
    for labels in ([7, 3], [5], [3, 1]):  # clips of 3 twice
        classifier.partial_fit(*clips_of(labels, seed=sum(labels)))
    assert classifier.classes_.tolist() == [1, 3, 5, 7]
    assert classifier.arrived_.tolist() == [3, 7, 5, 1]
    X, y = clips_of([1, 3, 5, 7], 6, seed=50)
    probabilities = classifier.predict_proba(X)
    assert probabilities.shape == (24, 4)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    np.testing.assert_array_equal(classifier.classes_[probabilities.argmax(axis=1)], classifier.predict(X))
    assert classifier.score(X, y) > 0.8
    assert len(classifier.model_.method.memory) == (25 if method == "icarl" else 0)


def test_a_row_holds_the_frames_one_after_the_other() -> None:
    X, y = clips_of(range(4))
    flat = IncrementalClassifier("slda-temporal", frames=FRAMES).fit(X.reshape(len(X), -1), y)
    cube = IncrementalClassifier("slda-temporal", frames=None).fit(X, y)
    np.testing.assert_array_equal(flat.predict_proba(X.reshape(len(X), -1)), cube.predict_proba(X))
    assert (flat.frames_, flat.n_features_in_) == (cube.frames_, cube.n_features_in_) == (FRAMES, FRAMES * DIM)
    with pytest.raises(ValueError, match="X has clips of 2 frames, but IncrementalClassifier was fitted with 4"):
        cube.predict(X.reshape(len(X), 2, -1))


def test_labels_may_be_of_any_kind_and_fit_forgets() -> None:
    X, y = clips_of([0, 1, 2])
    names = np.array(["run", "jump", "walk"], object)[y]
    classifier = IncrementalClassifier(frames=None, held_out_per_class=2).fit(X, names)
    assert classifier.classes_.tolist() == ["jump", "run", "walk"]
    assert set(classifier.predict(X)) == {"jump", "run", "walk"}
    assert classifier.fit(X, y).classes_.tolist() == [0, 1, 2]
    assert classifier.model_.labels == ("0", "1", "2")


def test_the_seed_decides_what_is_random() -> None:
    X, y = clips_of([0, 1, 2])
    same, again, other = (
        IncrementalClassifier("icarl", frames=None, epochs=2, training=TRAINING, random_state=seed).fit(X, y)
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(same.predict_proba(X), again.predict_proba(X))
    assert not np.array_equal(same.predict_proba(X), other.predict_proba(X))


def test_it_goes_into_scikit_learns_own_tools() -> None:
    X, y = clips_of(range(4))
    assert cross_val_score(IncrementalClassifier(frames=FRAMES), X.reshape(len(X), -1), y, cv=3).mean() > 0.9


def test_a_fitted_one_pickles_and_learns_on() -> None:
    fitted = IncrementalClassifier("icarl", frames=None, epochs=2, training=TRAINING, random_state=0)
    fitted.fit(*clips_of([0, 1]))
    pickled, (X, y) = pickle.dumps(fitted), clips_of([1, 2], seed=1)
    fitted.partial_fit(X, y)
    loaded = pickle.loads(pickled).partial_fit(X, y)
    np.testing.assert_array_equal(loaded.predict_proba(X), fitted.predict_proba(X))


def test_what_cannot_be_learned_or_predicted_is_refused() -> None:
    X, y = clips_of([0, 1])
    flat = X.reshape(len(X), -1)
    with pytest.raises(NotFittedError, match="IncrementalClassifier instance is not fitted yet"):
        IncrementalClassifier().predict(flat)
    with pytest.raises(ValueError, match="frames=5 does not divide rows of 32 numbers"):
        IncrementalClassifier(frames=5).fit(flat, y)
    with pytest.raises(ValueError, match=r"takes X of the shape \(clips, frames, dim\); it has \(24, 32\)"):
        IncrementalClassifier(frames=None).fit(flat, y)
    with pytest.raises(ValueError, match="y holds 1, which is not in classes"):
        IncrementalClassifier().partial_fit(flat, y, classes=[0, 2])
    with pytest.raises(ConfigError, match=r"no method is called 'icral' \(did you mean 'icarl'\?\)"):
        IncrementalClassifier("icral").fit(flat, y)
    with pytest.raises(ConfigError, match=r"method\.exemplars_per_class.*keeps no exemplars"):
        IncrementalClassifier("slda", exemplars_per_class=5).fit(flat, y)
    with pytest.raises(ConfigError, match=r"unknown key 'training\.epoch' \(did you mean 'epochs'\?\)"):
        IncrementalClassifier(training={"epoch": 5}).fit(flat, y)
    with pytest.raises(ConfigError, match=r"frames_kept: 2 is more than the clip's video\.frames=1"):
        IncrementalClassifier("essential").fit(flat, y)
    with pytest.raises(ConfigError, match="'joint' needs all old clips again"):
        IncrementalClassifier("joint").fit(flat, y)
