"""Scores by words, and the weights of two sources of scores, against other ways of computing them."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from torch import Tensor

from essential.models.classifier import Predictor
from essential.models.text_scores import TextScores, WithWords, Words, stacked


def _made(
    seed: int, *, clips: int = 40, slots: int = 5, told: tuple[float, float] = (1.0, 0.5)
) -> tuple[Tensor, Tensor]:
    """Return two sources of scores, which tell the classes by so much, on other scales; and the classes."""
    generator = torch.Generator().manual_seed(seed)
    of = torch.randint(slots, (clips,), generator=generator)
    truth = torch.nn.functional.one_hot(of, slots).double()
    noise = torch.randn(2, clips, slots, generator=generator, dtype=torch.float64)
    strength = torch.tensor(told, dtype=torch.float64)[:, None, None]
    return (strength * truth + noise) * torch.tensor([1e-3, 30.0], dtype=torch.float64)[:, None, None] + 7, of


def _loss(weights: np.ndarray, scores: Tensor, of: Tensor) -> float:
    """Return the cross-entropy, clip by clip and by logarithms, with the one clip more of all slots."""
    clips, slots = scores.shape[1:]
    total = 0.0
    for clip in range(clips):
        row = weights[0] * scores[0, clip].numpy() + weights[1] * scores[1, clip].numpy()
        logs = row - row.max() - np.log(np.exp(row - row.max()).sum())
        wanted = np.full(slots, 1 / (slots * (clips + 1)))
        wanted[of[clip]] += clips / (clips + 1)
        total -= float(wanted @ logs)
    return total / clips


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("told", [(1.5, 1.0), (3.0, 0.0), (0.0, 2.0), (-1.0, 1.0), (-1.0, -1.0), (9.0, 9.0)])
def test_the_weights_are_those_of_least_cross_entropy(told: tuple[float, float], seed: int) -> None:
    scores, of = _made(seed, told=told)
    found = stacked(scores, of).numpy()
    size = np.array([1e3, 1 / 30])
    best = min(
        (
            minimize(lambda w: _loss(w * size, scores, of), start, method="L-BFGS-B", bounds=[(0, None)] * 2)
            for start in ([0.1, 0.1], [2.0, 2.0])
        ),
        key=lambda each: each.fun,
    )
    assert (found >= 0).all()
    # A quasi-Newton search stops at a gradient of 1e-5, so within a small multiple of its square of the least loss.
    assert _loss(found, scores, of) <= best.fun + 1e-8
    np.testing.assert_allclose(found / size, best.x, atol=5e-3, rtol=5e-3)


def test_scores_that_tell_nothing_have_no_weight() -> None:
    scores, of = _made(0, told=(-1.0, -1.0))
    assert stacked(scores, of).tolist() == [0, 0]
    same = torch.full((2, 10, 3), 1 / 3, dtype=torch.float64)
    same[0] *= 1 + 1e-16 * torch.arange(3)
    assert stacked(same, torch.arange(10) % 3).tolist() == [0, 0]


def test_scores_that_tell_all_clips_apart_have_weights_that_end() -> None:
    truth = torch.eye(4, dtype=torch.float64).repeat(5, 1)
    found = stacked(torch.stack([truth, 2 * truth]), torch.arange(20) % 4)
    # By hand: softmax of w at the class is 20/21 + 1/84, of which the logarithm of the odds is w.
    odds = (20 / 21 + 1 / 84) / (1 / 84)
    assert float(found[0] + 2 * found[1]) == pytest.approx(np.log(odds), rel=1e-6)


@pytest.mark.parametrize("projected", [True, False])
def test_scores_are_scaled_cosines_of_the_mean_of_unit_frames(projected: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    clips = torch.randn(3, 4, 6, generator=generator)
    projection = torch.randn(5, 6, generator=generator) if projected else None
    width = 5 if projected else 6
    vectors = torch.randn(7, width, generator=generator)
    scores = TextScores(6)
    for part in (range(3), range(3, 7)):
        scores.add(Words(vectors, projection, scale=11.0).of(part))
    found = scores(clips).numpy()
    assert found.dtype == np.float64
    for clip in range(3):
        mean = np.zeros(width)
        for frame in clips[clip].numpy().astype(np.float64):
            seen = frame if projection is None else projection.numpy().astype(np.float64) @ frame
            mean += seen / np.linalg.norm(seen) / 4
        for slot, vector in enumerate(vectors.numpy().astype(np.float64)):
            cosine = mean @ vector / np.linalg.norm(mean) / np.linalg.norm(vector)
            # A vector of length 1 is kept in float32: each of its numbers is off by 2^-25 at most.
            assert found[clip, slot] == pytest.approx(11 * cosine, abs=11 * width * 2**-25)


@pytest.mark.usefixtures("shapes_checked_elsewhere")
def test_vectors_that_do_not_fit_the_projection_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(3, 5\) do not fit a projection of the shape \(4, 6\)"):
        Words(torch.ones(3, 5), torch.ones(4, 6))


class _Fixed(Predictor):
    """Scores of three slots that do not depend on the clip."""

    reading = "nme"

    def forward(self, features: Tensor) -> Tensor:
        return torch.tensor([[1.0, 2.0, 3.0]]).expand(len(features), -1)


def test_weights_are_averaged_by_clips() -> None:
    blended = WithWords(_Fixed(), 6, first_weight=1.0)
    blended.text.add(Words(torch.eye(3, 6), None, 2.0))
    assert (blended.reading, blended.weights.tolist()) == ("nme", [1, 1])
    first, second = _made(0, clips=30, slots=3), _made(1, clips=10, slots=3)
    blended.weigh(*first)
    torch.testing.assert_close(blended.weights, stacked(*first))
    blended.weigh(*second)
    torch.testing.assert_close(blended.weights, 0.75 * stacked(*first) + 0.25 * stacked(*second))
    clip = torch.randn(2, 4, 6, generator=torch.Generator().manual_seed(0))
    base, words = blended.both(clip)
    torch.testing.assert_close(blended(clip), blended.weights[0] * base + blended.weights[1] * words)
    assert set(blended.readings(clip)) == {"nme"}


def test_clips_that_speak_against_both_sources_leave_the_weights_as_they_are() -> None:
    blended = WithWords(_Fixed(), 6, first_weight=0.0)
    blended.weigh(*_made(0, told=(-1.0, -1.0)))
    assert (blended.weights.tolist(), int(blended.clips)) == ([0, 1], 0)


def test_one_slot_says_nothing_of_weights() -> None:
    blended = WithWords(_Fixed(), 6, first_weight=1.0)
    blended.weigh(torch.ones(2, 5, 1, dtype=torch.float64), torch.zeros(5, dtype=torch.long))
    assert (blended.weights.tolist(), int(blended.clips)) == ([1, 1], 0)
