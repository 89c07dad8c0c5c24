"""Temporal consistency: what it adds to its base's losses, whose state it has, and what it says of wrong settings."""

from typing import Any

import pytest
import torch

from essential.engine.config import load_config
from essential.errors import ConfigError
from essential.methods import build_method
from essential.methods.contract import Batch
from essential.methods.temporal_consistency import TemporalConsistency, TemporalConsistencyConfig
from essential.seeded import torch_generator
from method_batches import CLASSIFIER, SIZES, batch_of, second_task, values, weights

pytestmark = [pytest.mark.numeric, pytest.mark.usefixtures("float64")]

BASES = ("bic", "der", "icarl", "podnet", "replay", "ucir")


def _second(base: dict[str, Any], **settings: Any) -> tuple[TemporalConsistency, Any]:
    section = {"classifier": CLASSIFIER, "exemplars_per_class": 3, **base}
    method, task = second_task(name="temporal-consistency", base=section, **settings)
    assert isinstance(method, TemporalConsistency)
    return method, task


def _reduced(batch: Batch, kept: int) -> Batch:
    """Reduce clips of 8 frames to the middles of `kept` equal segments, each shown again until there are 8."""
    middles = [int((segment + 0.5) * 8 / kept) for segment in range(kept)]
    frames = [middles[int((place + 0.5) * kept / 8)] for place in range(8)]
    rows = [[batch.features[clip, frame] for frame in frames] for clip in range(len(batch.slots))]
    positions = [[int(batch.positions[clip, frame]) for frame in frames] for clip in range(len(batch.slots))]
    return Batch(torch.stack([torch.stack(row) for row in rows]), torch.tensor(positions), batch.slots, batch.tasks)


@pytest.mark.parametrize("base", BASES)
def test_a_share_of_the_classification_is_that_of_the_reduced_clips(base: str) -> None:
    method, task = _second({"name": base, "frames_kept": 3}, weight=0.3)
    stage, batch = method.stages(task)[0].name, batch_of(method, task)
    terms = [*method.losses(stage, batch, generator=torch_generator(4))]
    generator = torch_generator(4)
    alone = [*method.base.losses(stage, batch, generator=generator)]
    again = [*method.base.losses(stage, _reduced(batch, 3), generator=generator)]
    expected = values(alone) | {"temporal_consistency": values(again)["classification"]}
    assert values(terms) == pytest.approx(expected)
    assert expected["temporal_consistency"] != pytest.approx(expected["classification"], rel=1e-4)
    share = weights(alone)["classification"]
    assert weights(terms) == pytest.approx(
        weights(alone) | {"classification": 0.7 * share, "temporal_consistency": 0.3 * share}
    )


@pytest.mark.parametrize("base", ["bic", "icarl", "ucir"])
def test_the_teacher_is_not_asked_about_reduced_clips(base: str) -> None:
    method, task = _second({"name": base, "frames_kept": 3})
    asked: list[int] = []
    encoder = method.network.get_submodule("teacher").get_submodule(
        "classifier.encoder" if base == "bic" else "encoder"
    )
    encoder.register_forward_hook(lambda *_: asked.append(1))
    terms = [*method.losses("mixed", batch_of(method, task), generator=torch_generator(4))]
    assert "temporal_consistency" in values(terms)
    assert len(asked) == 1


def test_what_does_not_classify_or_is_reduced_already_stays_as_it_is() -> None:
    method, task = _second({"name": "bic", "frames_kept": 3})
    batch = batch_of(method, task)
    stored = Batch(batch.features[:, :3], batch.positions[:, :3], batch.slots, batch.tasks)
    for stage, given in (("bias", batch), ("mixed", stored)):
        terms, alone = ([*each.losses(stage, given, generator=torch_generator(4))] for each in (method, method.base))
        assert values(terms) == values(alone)
        assert weights(terms) == weights(alone)


def test_network_memory_and_slots_are_those_of_the_base() -> None:
    method, task = _second({"name": "icarl", "frames_kept": 3})
    method.finish(task)
    assert method.network is method.base.network
    assert method.memory is method.base.memory
    assert method.slots is method.base.slots
    fresh = build_method(method.config, dim=24, frames=8, seed=7)
    assert isinstance(fresh, TemporalConsistency)
    fresh.load_state_dict(method.state_dict())
    assert fresh.base.memory.names == method.memory.names
    assert fresh.base.slots == [range(SIZES[0]), range(SIZES[0], sum(SIZES))]
    clips = task.plain().features
    assert torch.equal(fresh.base.predictor.eval()(clips), method.predictor.eval()(clips))


def test_how_far_clips_are_reduced_can_be_said_apart() -> None:
    method, task = _second({"name": "replay", "rehearsal": "mixed"}, frames=2)
    batch = batch_of(method, task)
    found = values([*method.losses("mixed", batch, generator=torch_generator(4))])
    again = values([*method.base.losses("mixed", _reduced(batch, 2), generator=torch_generator(4))])
    assert found["temporal_consistency"] == pytest.approx(again["classification"])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "to all frames"),
        ({"frames": 8}, "to 8 frames"),
        ({"base": {"frames_kept": 9}}, "to 9 frames"),
        ({"frames": 2, "base": {"frames_kept": 9}}, r"method\.base\.frames_kept: 9 is more than the clip's"),
        ({"frames": 2, "base": {"exemplars_per_class": None}}, r"method\.base: the memory has no cap; set one of exem"),
    ],
)
def test_settings_that_cannot_be(settings: dict[str, Any], message: str) -> None:
    base = {"name": "replay"} | settings.get("base", {})
    config = TemporalConsistencyConfig.model_validate({**settings, "base": base})
    with pytest.raises(ConfigError, match=message):
        build_method(config, dim=128, frames=8, seed=0)


def test_a_budget_that_is_too_small_is_told_with_the_bases_key() -> None:
    method, _ = _second({"name": "replay", "frames_kept": 3, "total_exemplars": 3})
    with pytest.raises(ConfigError, match=r"method\.base\.total_exemplars: the memory .* takes 4; raise it"):
        method.check_room(["a", "b", "c", "d"], tasks=2)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["method.base.frame_kept=2"], "unknown key 'method.base.frame_kept' (did you mean 'frames_kept'?)"),
        (["method.base.frames_kept=0"], "method.base.frames_kept=0 is not allowed: "),
        (["method.base.classifier.head=2"], "unknown key 'method.base.classifier.head' (did you mean 'heads'?)"),
        (["method.base.name=icrl"], "method.base.name='icrl' is unknown (did you mean 'icarl'?); known: bic, der, "),
        (["method.base={frames_kept: 2}"], "method.base.name is missing; give it in the file or with"),
        (["method={name: temporal-consistency}"], "method.base is missing; give it in the file or with"),
        (["method.weight=2"], "method.weight=2 is not allowed: "),
    ],
)
def test_wrong_keys_are_told_as_the_user_wrote_them(overrides: list[str], message: str) -> None:
    wrapped = ["method={name: temporal-consistency, base: {name: icarl, frames_kept: 2}}", *overrides]
    with pytest.raises(ConfigError) as caught:
        load_config("moving-digits/finetune", wrapped)
    assert message in str(caught.value)
