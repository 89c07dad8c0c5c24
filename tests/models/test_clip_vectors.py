"""A clip as one vector: what each form sees of the order of frames, and what is drawn at random."""

import pytest
import scipy.fft
import torch

from essential.models.closed_form import ClipVector, RandomFeatures

pytestmark = [pytest.mark.numeric, pytest.mark.usefixtures("float64")]

CLIPS = torch.randn(4, 3, 5, generator=torch.Generator().manual_seed(0))


def test_the_mean_is_blind_to_the_order_of_frames() -> None:
    mean = ClipVector("mean", dim=5, frames=3)
    vectors = mean(CLIPS)
    assert vectors.dtype == torch.float64
    assert torch.allclose(vectors, mean(CLIPS.flip(1)))
    for clip, vector in zip(CLIPS.double(), vectors, strict=True):
        assert torch.allclose(vector, (clip[0] + clip[1] + clip[2]) / 3)


def test_side_by_side_keeps_the_order_of_frames() -> None:
    side_by_side = ClipVector("side-by-side", dim=5, frames=3)
    vectors = side_by_side(CLIPS)
    assert vectors[2].tolist() == [number for frame in CLIPS[2].tolist() for number in frame]
    assert not torch.allclose(vectors, side_by_side(CLIPS.flip(1)))


def test_a_spectrum_is_the_dct_over_the_frames_slow_coefficients_first() -> None:
    spectrum = ClipVector("dct", dim=5, frames=3, coefficients=2)
    assert spectrum.blocks == 2
    expected = scipy.fft.dct(CLIPS.double().numpy(), type=2, norm="ortho", axis=1)[:, :2]
    assert torch.allclose(spectrum(CLIPS), torch.from_numpy(expected.copy()).flatten(1))
    whole = ClipVector("dct", dim=5, frames=3, coefficients=3)(CLIPS)
    assert torch.allclose(whole.norm(dim=1), CLIPS.double().flatten(1).norm(dim=1))


def test_the_spectrum_of_one_frame_is_the_frame() -> None:
    one = ClipVector("dct", dim=5, frames=1)
    assert torch.allclose(one(CLIPS[:, :1]), CLIPS[:, 0].double())


@pytest.mark.parametrize("form", ["mean", "side-by-side", "dct"])
def test_the_width_is_what_comes_out(form: str) -> None:
    vectors = ClipVector(form, dim=5, frames=3)
    assert vectors(CLIPS).shape == (4, vectors.width)


def test_unit_vectors_keep_their_direction_and_zero_stays() -> None:
    clips = torch.tensor([[[3.0, 4.0]], [[0.0, 0.0]]])
    unit = ClipVector("mean", dim=2, frames=1, unit=True)
    assert torch.allclose(unit(clips), torch.tensor([[0.6, 0.8], [0.0, 0.0]], dtype=torch.float64))


def test_random_features_are_a_cut_off_projection() -> None:
    random = RandomFeatures(5, 4000, seed=1)
    vectors = CLIPS[:, 0].double()
    features = random(vectors)
    assert features[1, 7] == pytest.approx(max(0.0, float(vectors[1] @ random.projection[:, 7].double())))
    # A ReLU of a normal number of deviation s has the mean s / sqrt(2 pi).
    expected = vectors.norm(dim=1) / (2 * torch.pi) ** 0.5
    assert torch.allclose(features.mean(dim=1), expected, rtol=0.1)
