"""The predictor of every shipped method that a learner can hold, exported and asked again."""

import numpy as np
import pytest
import torch
from labelled_predictors import FRAMES, asked_features, labelled_predictor_of
from torch import Tensor

from essential.configs.shipped import shipped_methods
from essential.errors import ExportError
from essential.export.answer import FeatureAnswer
from essential.export.bundle_export import random_features, worst_difference
from essential.export.forms import CLIPS_TRACED, Run, eager_run, onnx_bytes, onnx_run, program_of, pt2_bytes, pt2_run
from essential.learner.labelled_predictor import LabelledPredictor
from essential.methods import METHODS, method_section
from essential.models.classifier import Predictor

pytestmark = pytest.mark.numeric

HELD = sorted(name for name in shipped_methods() if not METHODS[method_section(name)["name"]].needs_all_tasks)
# One method for each kind of predictor.
KINDS = ("bic", "fecam", "icarl", "ncm", "podnet", "ranpac-dct", "spectral", "ucir", "words", "zero-shot")


def _parts(predictor: Predictor) -> set[str]:
    return {type(module).__name__ for module in predictor.modules()}


def _agrees(run: Run, labelled: LabelledPredictor, clips: int) -> None:
    features = asked_features(clips)
    probabilities, unknown = run(features)
    np.testing.assert_allclose(probabilities, labelled.answers(features).probabilities, atol=1e-4)
    np.testing.assert_allclose(unknown, labelled.answers(features).unknown_scores, rtol=1e-4, atol=1e-4)
    assert probabilities.shape == (clips, 3)
    assert probabilities.dtype == unknown.dtype == np.float32


@pytest.mark.parametrize("name", HELD)
def test_what_is_exported_says_what_the_learner_says(name: str) -> None:
    labelled = labelled_predictor_of(name)
    _agrees(eager_run(FeatureAnswer(labelled)), labelled, 12)


def test_no_method_has_a_predictor_with_another_part() -> None:
    assert len(HELD) >= 25
    exported = set.union(*(_parts(labelled_predictor_of(kind).predictor) for kind in KINDS))
    assert {name: left for name in HELD if (left := _parts(labelled_predictor_of(name).predictor) - exported)} == {}


@pytest.mark.usefixtures("shapes_checked_elsewhere")
@pytest.mark.parametrize("name", KINDS)
def test_both_files_say_it_too_of_any_number_of_clips(name: str) -> None:
    labelled = labelled_predictor_of(name)
    assert 0.2 < labelled.answers(asked_features(12)).probabilities.max(axis=1).min() < 0.95
    program = program_of(FeatureAnswer(labelled), torch.from_numpy(asked_features(CLIPS_TRACED)))
    note = {"input": {"name": "features"}, "outputs": {"probabilities": {}, "unknown_score": {}}}
    for run in (onnx_run(onnx_bytes(program, note)), pt2_run(pt2_bytes(program, note))):
        for clips in (1, 3, 12):
            _agrees(run, labelled, clips)


def test_without_clips_held_out_there_is_no_unknown_score() -> None:
    labelled = labelled_predictor_of("ncm", held_out_clips=0)
    (probabilities,) = eager_run(FeatureAnswer(labelled))(asked_features(4))
    np.testing.assert_allclose(probabilities, labelled.answers(asked_features(4)).probabilities, atol=1e-6)


def _changed(run: Run, output: int, factor: float) -> Run:
    def changed(clips: np.ndarray) -> list[np.ndarray]:
        outputs = run(clips)
        outputs[output] = outputs[output] * np.float32(factor)
        return outputs

    return changed


@pytest.mark.parametrize(("output", "factor"), [(0, 1.001), (1, 1.001), (0, np.nan), (1, np.inf)])
def test_other_numbers_are_refused(output: int, factor: float) -> None:
    labelled = labelled_predictor_of("ncm")
    run = eager_run(FeatureAnswer(labelled))
    features = random_features(5, frames=FRAMES, dim=24)
    assert worst_difference(run, labelled, features, features) < 1e-6
    with pytest.raises(ExportError, match=r"the export differs from the learner by .* and 1e-04 is allowed"):
        worst_difference(_changed(run, output, factor), labelled, features, features)


class _Undecided(Predictor):
    """Scores that hang on a number that a program cannot know beforehand."""

    reading = "cnn"

    def forward(self, features: Tensor) -> Tensor:
        return features[:, 0] if features.sum() > 0 else -features[:, 0]


def test_a_predictor_that_cannot_be_exported_is_refused_in_a_sentence() -> None:
    labelled = LabelledPredictor(_Undecided(), ("a", "b"), 1.0, None)
    with pytest.raises(ExportError, match=r"torch\.export cannot take this model: .*\. Nothing was written"):
        program_of(FeatureAnswer(labelled), torch.ones(2, FRAMES, 2))
