from collections.abc import Callable
from threading import Lock

import pytest
import torch
from fake_encoder import FakeEncoder
from torch import Tensor

from essential.encoders.base import Encoder
from essential.features import cores
from essential.features.cores import clip_operations, decoders, share_cores, torch_threads
from essential.features.provenance import Recipe

TINY, MOBILE, VIT = 10**8, 2 * 10**9, 28 * 10**10


@pytest.mark.parametrize(
    ("found", "wanted", "operations", "expected"),
    [
        (1, None, TINY, (1, 1)),
        (2, None, TINY, (2, 1)),
        (3, None, TINY, (2, 1)),
        (16, None, TINY, (15, 1)),
        (16, None, MOBILE, (9, 7)),
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


def test_operations_are_counted() -> None:
    # 48 numbers of each frame times a matrix of 48 x 6.
    assert clip_operations(FakeEncoder(), 3) == 3 * 2 * 48 * 6


def test_operations_are_counted_once(recipe: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    encode, encoded = type(recipe.encoder).encode, []
    monkeypatch.setattr(
        type(recipe.encoder), "encode", lambda self, clips: encoded.append(clips.shape) or encode(self, clips)
    )
    first, again = (share_cores(None, recipe=recipe, views=1) for _ in range(2))
    assert first == again
    assert len(encoded) == 1


class FramesOfItsOwn(Encoder):
    """Gives each of the 16 frames that it reads a feature of its own, so that two make one of a method's eight."""

    def __init__(self) -> None:
        pixels = FakeEncoder().pixel_format
        super().__init__("own", dim=3, pixel_format=pixels, architecture="own", per_frame=True, clip_frames=16)
        self.matrix = torch.nn.Parameter(torch.eye(3))

    def encode(self, clips: Tensor) -> Tensor:
        return clips.mean(dim=(3, 4)) @ self.matrix


def test_an_encoder_with_a_number_of_frames_of_its_own_is_one_of_clips() -> None:
    encoder = FramesOfItsOwn()
    assert not encoder.per_frame
    assert clip_operations(encoder, 8) == 16 * 2 * 3 * 3


class Keeps(FakeEncoder):
    """Computes something when it is first used, and keeps it, as a table of positions."""

    kept: Tensor | None = None

    def encode(self, clips: Tensor) -> Tensor:
        if self.kept is None:
            self.kept = torch.arange(6.0)
        return super().encode(clips) + self.kept


class CannotBeCopied(Keeps):
    """Has a part that `deepcopy` refuses, as a session of another library."""

    def __init__(self) -> None:
        super().__init__()
        self.session = Lock()


@pytest.mark.parametrize("kind", [Keeps, CannotBeCopied])
def test_an_encoder_is_as_good_after_its_operations_were_counted(kind: type[Keeps]) -> None:
    encoder, clips = kind(), torch.linspace(0, 1, 3 * 3 * 16 * 16).view(1, 3, 3, 16, 16)
    assert clip_operations(encoder, 3) == 3 * 2 * 48 * 6
    assert encoder(clips).numpy().tolist() == kind()(clips).tolist()


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
