from collections.abc import Callable

import pytest
import torch
from fake_encoder import FakeEncoder

from essential.encoders import EncoderConfig, build_encoder
from essential.features import cores
from essential.features.cores import clip_operations, decoders, share_cores, torch_threads
from essential.features.provenance import Recipe

TINY, MOBILE, LITE, VIT = 10**7, 2 * 10**9, 10**10, 28 * 10**10


@pytest.mark.parametrize(
    ("found", "wanted", "operations", "expected"),
    [
        (1, None, TINY, (1, 1)),
        (2, None, TINY, (2, 1)),
        (3, None, TINY, (2, 1)),
        (16, None, TINY, (15, 1)),
        (2, None, LITE, (2, 2)),
        (16, None, MOBILE, (8, 8)),
        (2, None, VIT, (2, 2)),
        (16, None, VIT, (2, 16)),
        (16, 4, VIT, (4, 16)),
        (2, 0, TINY, (0, 2)),
        (2, 8, TINY, (8, 1)),
    ],
)
def test_the_encoder_gets_its_share_of_the_cores(
    monkeypatch: pytest.MonkeyPatch,
    recipe: Recipe,
    found: int,
    wanted: int | None,
    operations: int,
    expected: tuple[int, int],
) -> None:
    monkeypatch.setattr(cores, "cpu_cores", lambda: found)
    monkeypatch.setattr(cores, "clip_operations", lambda *_: operations)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 16)
    assert share_cores(wanted, recipe=recipe, views=5) == expected


def test_an_encoder_that_computes_in_eight_bits_gets_fewer(
    monkeypatch: pytest.MonkeyPatch, change: Callable[..., Recipe]
) -> None:
    monkeypatch.setattr(cores, "cpu_cores", lambda: 16)
    monkeypatch.setattr(cores, "clip_operations", lambda *_: MOBILE)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 16)
    assert share_cores(None, recipe=change(precision="int8"), views=5) == (13, 3)


def test_a_limit_on_threads_is_kept(monkeypatch: pytest.MonkeyPatch, recipe: Recipe) -> None:
    monkeypatch.setattr(cores, "cpu_cores", lambda: 16)
    monkeypatch.setattr(cores, "clip_operations", lambda *_: VIT)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)
    assert share_cores(None, recipe=recipe, views=5) == (12, 4)


def test_beside_a_gpu_every_core_decodes(monkeypatch: pytest.MonkeyPatch, recipe: Recipe) -> None:
    monkeypatch.setattr(cores, "cpu_cores", lambda: 16)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 5)
    recipe.encoder.to("meta")
    assert share_cores(None, recipe=recipe, views=5) == (16, 5)
    assert share_cores(4, recipe=recipe, views=5) == (4, 5)


def test_where_nothing_is_encoded_every_core_decodes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cores, "cpu_cores", lambda: 16)
    assert decoders(None) == 16
    assert decoders(3) == 3


@pytest.mark.parametrize(("name", "operations"), [("resnet18", 3.6e9), ("tf_efficientnet_lite0", 0.77e9)])
def test_operations_are_guessed_from_the_weights(name: str, operations: float) -> None:
    encoder = build_encoder(EncoderConfig(name=name, weights="random"))
    assert operations / 3 < clip_operations(encoder, 8) / 8 < 3 * operations


class FramesOfItsOwn(FakeEncoder):
    """Reads 16 frames, however many features are wanted."""

    def frames_read(self, frames: int) -> int:
        return 2 * frames


def test_operations_are_of_the_frames_that_are_read() -> None:
    assert clip_operations(FramesOfItsOwn(), 8) == 2 * clip_operations(FakeEncoder(), 8)


def test_the_number_of_threads_is_put_back_after_an_error() -> None:
    before = torch.get_num_threads()
    seen = []

    def fail() -> None:
        with torch_threads(before + 1):
            seen.append(torch.get_num_threads())
            raise KeyError("a bug")

    with pytest.raises(KeyError, match="a bug"):
        fail()
    assert seen == [before + 1]
    assert torch.get_num_threads() == before


@pytest.mark.parametrize(
    ("given", "expected"),
    [({}, 8), ({"LOCAL_WORLD_SIZE": "3"}, 2), ({"ESSENTIAL_CORES": "5"}, 5), ({"ESSENTIAL_CORES": "64"}, 8)],
)
def test_a_process_has_its_share_of_the_machine(
    given: dict[str, str], expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)
    monkeypatch.setattr(cores.sys, "platform", "another")
    monkeypatch.setattr(cores.os, "cpu_count", lambda: 8)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    assert cores.cpu_cores() == expected
