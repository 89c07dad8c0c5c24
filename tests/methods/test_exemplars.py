"""From clips to exemplars and back to batches, with every policy and cap."""

from typing import Any, get_args

import pytest
import torch

from essential.contract.synthetic_tasks import make_tasks
from essential.errors import ConfigError
from essential.memory.episodic import EpisodicMemory
from essential.memory.selection import Policy
from essential.methods.exemplars import (
    ExemplarKeeper,
    MemoryClips,
    MemoryConfig,
    MixedClips,
    judge,
    respread,
    set_exemplar_means,
)
from essential.methods.trained import ClassifierConfig, build_classifier, grow_head
from essential.models.classifier import ClipClassifier, NearestMeans


def keeper(keeps_logits: bool = False, **settings: Any) -> ExemplarKeeper:
    return ExemplarKeeper(MemoryConfig(**settings), frames=8, dim=24, seed=0, keeps_logits=keeps_logits)


def empty(keep: ExemplarKeeper) -> EpisodicMemory:
    return EpisodicMemory.empty(kept=keep.kept, dim=24)


def classifier(slots: int) -> ClipClassifier:
    built = build_classifier(ClassifierConfig(heads=4, init_scale=1.0), dim=24, frames=8, seed=0)
    grow_head(built, range(slots), seed=0)
    return built


@pytest.mark.parametrize("policy", get_args(Policy))
def test_every_policy_keeps_its_share_of_every_class(policy: str) -> None:
    keep = keeper(policy=policy, exemplars_per_class=2, frames_kept=3)
    memory = empty(keep)
    for task in make_tasks([2, 3]):
        memory = keep.extend(memory, task, classifier(task.slots.stop))
    assert memory.slots.bincount().tolist() == [2] * 5
    assert memory.features.shape == (10, 3, 24)
    assert len(set(memory.names)) == 10
    assert (memory.positions.diff(dim=1) > 0).all()


@pytest.mark.parametrize("policy", ["herding", "nearest-to-mean", "highest-confidence"])
def test_policies_that_ask_the_classifier_depend_on_it(policy: str) -> None:
    task = make_tasks([3], per_class=12)[0]
    keep = keeper(policy=policy, exemplars_per_class=3)
    names = []
    for seed in range(3):
        judged = build_classifier(ClassifierConfig(heads=4, init_scale=1.0), dim=24, frames=8, seed=seed)
        grow_head(judged, range(3), seed=seed)
        names.append(keep.extend(empty(keep), task, judged).names)
    assert len(set(names)) > 1


def test_a_total_shrinks_the_share_of_old_classes_and_keeps_their_first_exemplars() -> None:
    keep = keeper(exemplars_per_class=None, total_exemplars=12)
    first, second = make_tasks([2, 2])
    early = keep.extend(empty(keep), first, classifier(2))
    late = keep.extend(early, second, classifier(4))
    assert early.slots.bincount().tolist() == [6, 6]
    assert late.slots.bincount().tolist() == [3, 3, 3, 3]
    for slot in (0, 1):
        before = [name for name, each in zip(early.names, early.slots.tolist(), strict=True) if each == slot]
        after = [name for name, each in zip(late.names, late.slots.tolist(), strict=True) if each == slot]
        assert after == before[:3]


def test_frames_are_counted_as_vclimb_counts_them() -> None:
    keep = keeper(exemplars_per_class=None, total_frames=50, frames_kept=4, frame_policy="uniform")
    memory = keep.extend(empty(keep), make_tasks([2])[0], classifier(2))
    assert len(memory) * 4 <= 50
    assert memory.slots.bincount().tolist() == [6, 6]
    assert memory.positions.unique(dim=0).tolist() == [[1, 3, 5, 7]]


def test_logits_are_kept_of_the_slots_seen_and_count(tmp_path: Any) -> None:
    keep = keeper(keeps_logits=True, exemplars_per_class=2)
    memory = empty(keep)
    for task in make_tasks([2, 3]):
        memory = keep.extend(memory, task, classifier(task.slots.stop))
    assert memory.logits.shape == (10, 5)
    assert memory.logits.isnan().sum(dim=1).tolist() == [3] * 4 + [0] * 6
    memory.write(tmp_path / "m.safetensors")
    read = type(memory).read(tmp_path / "m.safetensors")
    assert torch.equal(read.logits.nan_to_num(-9), memory.logits.nan_to_num(-9))
    assert {entry.name: entry.bytes for entry in memory.ledger()}["logits"] == 10 * 5 * 4


def test_a_budget_that_cannot_hold_one_exemplar_per_class_is_refused_before_anything_is_learned() -> None:
    names = [f"train/class {index}/a.mp4" for index in range(30)]
    keep = keeper(budget_bytes=20_000)
    needed = r"^method.budget_bytes: .* leaves 20000 bytes.* 30 classes takes \d+; raise it$"
    with pytest.raises(ConfigError, match=needed):
        keep.check_room(names)
    keep.check_room(names[:10])
    with pytest.raises(ConfigError, match="leaves 1000 bytes"):
        keep.check_room(names[:10], reserved_bytes=19_000)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"frames_kept": 9}, r"method\.frames_kept: 9 is more than the clip's video\.frames=8; use 8 at most"),
        ({"exemplars_per_class": None}, "the memory has no cap"),
    ],
)
def test_settings_that_make_no_sense(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        keeper(**settings)


def test_mixed_clips_give_every_clip_once_whatever_the_order() -> None:
    first, second = make_tasks([2, 2])
    keep = keeper(exemplars_per_class=3, frames_kept=2)
    memory = keep.extend(empty(keep), first, classifier(2))
    table = MixedClips(second, memory).epoch(1)
    assert len(table) == 12 + 6
    assert len(table.names) == len(table.slots) == 18
    order = torch.randperm(18, generator=torch.Generator().manual_seed(3))
    batch, own = table.rows(order), second.epoch(1)
    for row, index in enumerate(order.tolist()):
        assert batch.slots[row] == table.slots[index]
        if index < 12:
            assert torch.equal(batch.features[row], own.rows(torch.tensor([index])).features[0])
        else:
            stored = memory.features[index - 12]
            assert torch.equal(batch.features[row], stored[[0, 0, 0, 0, 1, 1, 1, 1]])
            assert batch.positions[row].tolist() == [memory.positions[index - 12][i] for i in (0, 0, 0, 0, 1, 1, 1, 1)]


def test_without_exemplars_a_mix_is_the_task() -> None:
    task = make_tasks([2])[0]
    batch = MixedClips(task, empty(keeper())).epoch(0).rows(torch.arange(5))
    assert torch.equal(batch.features, task.epoch(0).rows(torch.arange(5)).features)


def test_respreading_takes_middles_and_repeats() -> None:
    batch = make_tasks([1])[0].plain().rows(torch.arange(2))
    few = respread(batch, 2)
    assert few.positions.tolist() == [[2, 6]] * 2
    assert respread(few, 8).positions.tolist() == [[2] * 4 + [6] * 4] * 2
    assert respread(batch, 8) is batch


@pytest.mark.numeric
@pytest.mark.usefixtures("float64")
def test_means_of_exemplars_against_a_loop() -> None:
    judged = classifier(4)
    keep = keeper(exemplars_per_class=3, frames_kept=3)
    memory = empty(keep)
    for task in make_tasks([2, 2]):
        memory = keep.extend(memory, task, judged)
    set_exemplar_means(judged, memory)
    judged.eval()
    for slot in range(4):
        units = []
        for index in (memory.slots == slot).nonzero()[:, 0].tolist():
            with torch.no_grad():
                token = judged.tokens(memory.features[index : index + 1], memory.positions[index : index + 1])[0]
            units.append(token / token.norm())
        mean = torch.stack(units).mean(dim=0)
        torch.testing.assert_close(judged.exemplar_means[slot], mean / mean.norm())
    clips = make_tasks([2])[0].plain().rows(torch.arange(3)).features
    with torch.no_grad():
        token = judged.tokens(clips, torch.arange(8).expand(3, -1))
        nearest = torch.cdist(token / token.norm(dim=1, keepdim=True), judged.exemplar_means).argmin(dim=1)
        assert torch.equal(NearestMeans(judged)(clips).argmax(dim=1), nearest)
        assert torch.equal(judged.readings(clips)["nme"], NearestMeans(judged)(clips))


def test_judging_leaves_the_classifier_as_it_was() -> None:
    judged = classifier(3).train()
    tokens, logits = judge(judged, MemoryClips(keeper().extend(empty(keeper()), make_tasks([3])[0], judged)))
    assert judged.training
    assert (tokens.shape[1], logits.shape[1]) == (24, 3)
    assert not tokens.requires_grad


@pytest.mark.parametrize(("policy", "kept"), [("herding", [2, 5]), ("random", [2, 5]), ("reservoir", [2, 8])])
@pytest.mark.parametrize("sizes", [(2, 20), (20, 2)])
def test_what_is_kept_does_not_depend_on_which_class_came_first(
    sizes: tuple[int, int], policy: str, kept: list[int]
) -> None:
    keep = keeper(exemplars_per_class=None, total_exemplars=10, policy=policy)
    memory = empty(keep)
    for index, size in enumerate(sizes):
        task = make_tasks([1, 1], per_class=size)[index]
        memory = keep.extend(memory, task, classifier(index + 1))
    assert sorted(memory.slots.bincount().tolist()) == kept


def test_a_state_without_means_is_one_without_any() -> None:
    before, after = classifier(3), classifier(3)
    state = {name: value for name, value in before.state_dict().items() if name != "exemplar_means"}
    after.load_state_dict(state)
    assert after.exemplar_means.shape == (0, 24)
    assert after.readings(torch.zeros(1, 8, 24)).keys() == {"cnn"}
