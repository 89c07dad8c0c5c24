"""Spectral: blocks and scores against loops and whole matrices, budgets kept exactly, and cuts that change nothing."""

import math
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor

from essential.errors import CheckpointError, ConfigError
from essential.memory.ledger import total_by_kind
from essential.memory.quantiser import rotated
from essential.methods.spectral import SMALLEST, Form, Spectral, SpectralConfig, spiked_discriminant
from essential.methods.statistics import Block, ClassStatistics
from pooled_tasks import learn_all, make_pool, pooled_tasks

DIM, FRAMES = 9, 5


def _method(budget: int | None = None, *, dim: int = DIM, frames: int = FRAMES) -> Spectral:
    return Spectral(SpectralConfig(budget_bytes=budget), dim=dim, frames=frames, seed=0)


def _learned(budget: int | None = None, *, sizes: tuple[int, ...] = (3, 2, 1), **pool: Any) -> Spectral:
    method = _method(budget)
    learn_all(method, pooled_tasks(*make_pool(frames=FRAMES, dim=DIM, **pool), range(6), sizes))
    return method


def _bytes(method: Spectral) -> int:
    return total_by_kind(method.ledger())["total"]


def _scores(method: Spectral) -> Tensor:
    scores: Tensor = method.predictor(make_pool(frames=FRAMES, dim=DIM, seed=1)[0])
    return scores


@pytest.mark.numeric
def test_spectra_and_areas_are_those_of_loops() -> None:
    method = _learned()
    clips = make_pool(frames=FRAMES, dim=DIM, seed=1)[0][:4].double()
    spectra, areas = method.scores.seen(clips)
    axes = (method.scores.directions.double() * method.scores.scales.double()).T
    for clip, spectrum, own in zip(clips, spectra, areas, strict=True):
        for k, coefficient in enumerate(spectrum):
            size = math.sqrt((1 if k == 0 else 2) / FRAMES)
            turns = [size * math.cos(math.pi * k * (t + 0.5) / FRAMES) for t in range(FRAMES)]
            torch.testing.assert_close(coefficient, sum(turn * frame for turn, frame in zip(turns, clip, strict=True)))
        along = [
            [float(axis @ frame - at) for axis, at in zip(axes, method.scores.origins, strict=True)] for frame in clip
        ]
        expected = [
            sum(now[i] * then[j] - now[j] * then[i] for now, then in pairwise(along))
            for i in range(len(axes))
            for j in range(i + 1, len(axes))
        ]
        torch.testing.assert_close(own, torch.tensor(expected, dtype=torch.float64), atol=1e-9, rtol=1e-9)


@pytest.mark.numeric
def test_areas_do_not_change_when_a_motion_waits_or_is_sampled_between() -> None:
    scores = _learned().scores
    clip = make_pool(frames=FRAMES, dim=DIM, seed=1)[0][:1].double()
    middles = (clip[:, 1:] + clip[:, :-1]) / 2
    finer = torch.stack([clip[:, :-1], middles], dim=2).flatten(1, 2)
    for other in (torch.cat([clip[:, :1], clip, clip[:, -1:], clip[:, -1:]], 1), torch.cat([finer, clip[:, -1:]], 1)):
        along = [each @ scores._directions() - scores.origins for each in (clip, other)]
        areas = [(each[:, :-1].mT @ each[:, 1:]).squeeze(0) for each in along]
        torch.testing.assert_close(areas[0] - areas[0].T, areas[1] - areas[1].T)


def _block(counts: list[int], *, width: int, signal: Tensor, seed: int = 0) -> tuple[Block, Tensor]:
    """Return the statistics of classes whose means are the rows of `signal`, with correlated noise, and all clips."""
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.eye(width) + 0.3 * torch.randn(width, width, generator=generator) / width**0.5
    classes = [
        mean + torch.randn(n, width, generator=generator) @ mixing for n, mean in zip(counts, signal, strict=True)
    ]
    statistics = ClassStatistics(width, bits=64)
    statistics.add([each.double() for each in classes])
    (block,) = statistics.blocks()
    return block, torch.cat(classes)


def test_means_of_pure_noise_say_nothing() -> None:
    # The largest of noise's directions lies a little below the edge, on average, and varies.
    speaking = 0
    for seed in range(50):
        block, _ = _block([12] * 15, width=8, signal=torch.zeros(15, 8), seed=seed)
        weight, bias = spiked_discriminant(block)
        speaking += bool(weight.any())
        assert bool(bias.any()) == bool(weight.any())
    assert speaking <= 10


@pytest.mark.numeric
@pytest.mark.parametrize("counts", [[30] * 12, [40, 5, 2] * 4])
def test_cleaned_means_are_nearer_to_the_true_ones_than_those_found(counts: list[int]) -> None:
    generator = torch.Generator().manual_seed(3)
    signal = torch.randn(12, 2, generator=generator) @ torch.randn(2, 20, generator=generator)
    block, _ = _block(counts, width=20, signal=signal)
    weight, _ = spiked_discriminant(block)
    # Undone step by step: what the weight says the means are, and what they would be with nothing taken away.
    covariance = block.invertible()
    centre = block.counts @ block.means / block.clips
    cleaned, found, true = (
        weight @ covariance,
        block.means - centre,
        signal.double() - block.counts @ signal.double() / block.clips,
    )
    assert torch.linalg.matrix_rank(cleaned, atol=1e-6 * float(cleaned.norm())) == 2
    assert float((cleaned - true).square().sum()) < 0.6 * float((found - true).square().sum())


@pytest.mark.numeric
def test_where_signal_is_strong_and_clips_are_many_it_is_the_linear_discriminant() -> None:
    signal = 50 * torch.randn(6, 4, generator=torch.Generator().manual_seed(1))
    block, clips = _block([4000] * 6, width=4, signal=signal)
    weight, bias = spiked_discriminant(block)
    inverse = torch.linalg.inv(block.covariance)
    plain = (clips.double() @ inverse @ block.means.T - 0.5 * (block.means @ inverse * block.means).sum(1)).softmax(1)
    cleaned = (clips.double() @ weight.T + bias).softmax(1)
    assert float((plain - cleaned).abs().max()) < 1e-3


def test_no_split_into_tasks_changes_a_bit_but_by_the_first_tasks_directions() -> None:
    pool = make_pool(frames=FRAMES, dim=DIM)
    methods = []
    for sizes in ((3, 3), (3, 1, 2), (3, 1, 1, 1)):
        methods.append(_method())
        learn_all(methods[-1], pooled_tasks(*pool, range(6), sizes, seed=0))
    still = [method.state_dict()["network.still.mean_codes"] for method in methods]
    assert (still[0] == still[1]).all()
    assert (still[0] == still[2]).all()


@pytest.mark.parametrize("classes", [1, 2, 24, 1000])
@pytest.mark.parametrize("dim", [1, 2, 12, 128, 1280])
def test_forms_keep_within_any_budget_that_holds_the_smallest(classes: int, dim: int) -> None:
    largest = Form.largest(dim=dim, frames=8)
    least = SMALLEST.bytes(dim=dim, classes=classes)
    for budget in (least, least + 1, 2 * least, 5000, 32 * 1024, 10**6, 10**9):
        if budget >= least:
            assert largest.within(budget, dim=dim, classes=classes).bytes(dim=dim, classes=classes) <= budget
    assert largest.within(10**9, dim=dim, classes=classes) == largest
    # The whole of a budget is used but for the step from one form to the next.
    used = largest.within(32 * 1024, dim=dim, classes=24).bytes(dim=dim, classes=24)
    assert used == largest.bytes(dim=dim, classes=24) or used > 0.8 * 32 * 1024


@pytest.mark.parametrize("budget", [None, 400, 800, 1500, 2500, 4000])
def test_the_ledger_is_what_the_form_says_and_no_more_than_the_budget(budget: int | None) -> None:
    method = _method(budget)
    for task in pooled_tasks(*make_pool(frames=FRAMES, dim=DIM), range(6), (2, 3, 1)):
        for step in (method.begin, method.finish):
            step(task)
            assert budget is None or _bytes(method) <= budget
        assert _bytes(method) == method.form.bytes(dim=DIM, classes=task.slots.stop)
        assert _scores(method).shape[1] == task.slots.stop


@pytest.mark.numeric
def test_cutting_keeps_the_numbers_that_stay_as_they_were() -> None:
    whole, cut = _learned(), _learned()
    form = Form(5, 3, 3, 4)
    cut._cut(form)
    assert _bytes(cut) == form.bytes(dim=DIM, classes=6)
    first, second = torch.triu_indices(9, 9, 1)
    kept = {"still": torch.arange(5), "moving": torch.arange(3), "areas": ((first < 4) & (second < 4)).nonzero()[:, 0]}
    for (name, after), (_, before) in zip(cut._statistics(), whole._statistics(), strict=True):
        for one, other in zip(after.blocks(), before.blocks(), strict=False):
            assert torch.equal(one.means, other.means[:, kept[name]])
            assert torch.equal(one.covariance, other.covariance[kept[name]][:, kept[name]])
    clips = make_pool(frames=FRAMES, dim=DIM, seed=1)[0]
    areas = [method.scores.seen(clips)[1] for method in (whole, cut)]
    # Sums of the same numbers, along fewer directions at once.
    torch.testing.assert_close(areas[1], areas[0][:, kept["areas"]])


@pytest.mark.numeric
def test_scores_are_the_sums_of_the_parts_that_are_seen() -> None:
    method = _learned(1500)
    assert method.form.still < DIM
    assert method.form.areas
    clips = make_pool(frames=FRAMES, dim=DIM, seed=1)[0]
    spectra, areas = method.scores.seen(clips)
    turned = rotated(spectra, 0)
    parts = [turned[:, 0, : method.form.still], *turned[:, 1:, : method.form.moving].unbind(1), areas]
    blocks = [block for _, statistics in method._statistics() for block in statistics.blocks()]
    expected = sum(
        part @ weight.T + bias for part, (weight, bias) in zip(parts, map(spiked_discriminant, blocks), strict=True)
    )
    torch.testing.assert_close(method.predictor(clips), expected)


@pytest.mark.parametrize("budget", [None, 1500])
def test_a_state_of_a_smaller_form_is_taken_on_and_goes_on_the_same(budget: int | None) -> None:
    tasks = pooled_tasks(*make_pool(frames=FRAMES, dim=DIM), range(6), (2, 3, 1))
    straight, resumed = _method(budget), _method(budget)
    for task in tasks:
        learn_all(straight, [task])
        learn_all(resumed, [task])
        state, resumed = resumed.state_dict(), _method(budget)
        resumed.load_state_dict(state)
        alone = _method(budget)
        alone.load_predictor(straight.predictor.state_dict())
        assert torch.equal(_scores(straight), _scores(resumed))
        assert torch.equal(_scores(straight), _scores(alone))


def test_a_state_of_other_frames_is_refused() -> None:
    state = _learned().state_dict()
    with pytest.raises(CheckpointError, match="does not fit"):
        _method(dim=DIM + 1).load_state_dict(state)
    del state["network.predictor.directions"]
    with pytest.raises(CheckpointError, match="does not fit"):
        _method().load_state_dict(state)


def test_a_budget_that_is_too_small_is_refused_before_anything_is_learned() -> None:
    least = SMALLEST.bytes(dim=DIM, classes=6)
    with pytest.raises(ConfigError, match=rf"{least - 1} bytes .* 6 classes, which take {least}"):
        _method(least - 1).check_room(["clip"] * 6, tasks=2)
    method = _method(least)
    method.check_room(["clip"] * 6, tasks=2)
    tasks = pooled_tasks(*make_pool(classes=7, frames=FRAMES, dim=DIM), range(7), (6, 1))
    learn_all(method, tasks[:1])
    before = _scores(method)
    with pytest.raises(ConfigError, match="7 classes"):
        method.begin(tasks[1])
    assert torch.equal(_scores(method), before)


@pytest.mark.parametrize("frames", [1, 2, 5])
@pytest.mark.parametrize("dim", [1, 2, 9])
@pytest.mark.parametrize(
    "what", ["ordinary", "one clip per class", "equal clips within classes", "all equal", "all zero"]
)
def test_every_clip_is_scored(frames: int, dim: int, what: str) -> None:
    features, labels = make_pool(per_class=4, frames=frames, dim=dim)
    firsts = torch.stack([features[labels == label][0] for label in range(6)])
    if what == "one clip per class":
        features, labels = firsts, torch.arange(6)
    elif what == "equal clips within classes":
        features = firsts[labels]
    elif what != "ordinary":
        features = torch.full_like(features, 0.1 if what == "all equal" else 0.0)
    for budget in (None, 500):
        method = _method(budget, dim=dim, frames=frames)
        for task in pooled_tasks(features, labels, range(6), (1, 2, 3)):
            learn_all(method, [task])
            scores = method.predictor(features)
            assert scores.shape == (len(features), task.slots.stop)
            assert torch.isfinite(scores).all()
        if what in ("one clip per class", "equal clips within classes") and budget is None and dim == 9:
            assert scores.argmax(dim=1).tolist() == labels.tolist()
