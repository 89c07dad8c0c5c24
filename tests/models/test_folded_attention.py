"""The folded attention and the encoder built on it, against `nn.MultiheadAttention` and calls one by one."""

import pytest
import torch
from torch import Tensor, nn

from essential.models.memory_retrieval import MemoryRetrieval
from essential.models.temporal_encoder import TemporalEncoder, attend

pytestmark = [pytest.mark.numeric, pytest.mark.usefixtures("float64")]

DIM, HEADS, CLIPS, FRAMES = 24, 4, 5, 6
# (queries, shared by all clips): fewer queries than frames, as many, more.
QUERIES = [(1, True), (1, False), (2, True), (2, False), (6, True), (6, False), (9, True)]


def _attention() -> nn.MultiheadAttention:
    torch.manual_seed(3)
    attention = nn.MultiheadAttention(DIM, HEADS, batch_first=True)
    for bias in (attention.in_proj_bias, attention.out_proj.bias):
        nn.init.normal_(bias)  # they begin as zeros, and a forgotten zero would not be seen
    return attention


def _gradients(output: Tensor, inputs: list[Tensor]) -> tuple[Tensor, ...]:
    weights = torch.linspace(-1, 2, output.numel()).reshape(output.shape)
    return torch.autograd.grad((output * weights).sum(), inputs)


@pytest.mark.parametrize("hidden", [False, True])
@pytest.mark.parametrize(("count", "shared"), QUERIES)
def test_equals_the_plain_attention_in_values_and_gradients(count: int, shared: bool, hidden: bool) -> None:
    attention = _attention()
    frames = torch.randn(CLIPS, FRAMES, DIM, requires_grad=True)
    queries = torch.randn(count, DIM) if shared else torch.randn(CLIPS, count, DIM)
    queries.requires_grad_()
    visible = (torch.arange(FRAMES) + torch.arange(count)[:, None]) % 3 > 0 if hidden else None
    ours = attend(attention, queries, frames, visible=visible)
    mask = None if visible is None else ~visible
    plain, _ = attention(queries.expand(CLIPS, -1, -1), frames, frames, attn_mask=mask)
    torch.testing.assert_close(ours, plain, rtol=1e-10, atol=1e-10)
    inputs = [*attention.parameters(), queries, frames]
    for name, a, b in zip(
        ["in", "bias", "out", "bias", "queries", "frames"],
        _gradients(ours, inputs),
        _gradients(plain, inputs),
        strict=True,
    ):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10, msg=lambda text, name=name: f"{name}: {text}")


@pytest.mark.parametrize(("count", "shared"), QUERIES)
def test_what_trains_makes_no_difference_to_the_last_bit(count: int, shared: bool) -> None:
    # Given three axes and nothing that trains, torch may take another product, which rounds differently.
    attention, frames = _attention().float(), torch.randn(CLIPS, FRAMES, DIM, dtype=torch.float32)
    queries = torch.randn(CLIPS, 2 * count, DIM, dtype=torch.float32)[:, :count]  # not contiguous
    queries = queries[0] if shared else queries
    trained = attend(attention, queries, frames)
    assert torch.equal(attend(attention.requires_grad_(False), queries, frames), trained)


@pytest.mark.parametrize("shared", [True, False])
def test_of_no_clips_the_gradients_are_zeros(shared: bool) -> None:
    attention, queries = _attention(), torch.randn(2, DIM) if shared else torch.randn(0, 2, DIM)
    read = attend(attention, queries, torch.randn(0, FRAMES, DIM, requires_grad=True))
    assert not any(each.any() for each in _gradients(read, [*attention.parameters()]))


def test_where_torch_chooses_types_the_gradients_are_autograds() -> None:
    attention, frames = _attention().float(), torch.randn(CLIPS, FRAMES, DIM, dtype=torch.float32, requires_grad=True)
    queries = torch.randn(2, DIM, dtype=torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        read = attend(attention, queries, frames)
    (gradient,) = torch.autograd.grad(read.float().sum(), frames)
    (plain,) = torch.autograd.grad(attend(attention, queries, frames).sum(), frames)
    assert gradient.dtype == torch.float32
    assert (gradient - plain).norm() < 0.05 * plain.norm()


def test_prompts_and_frames_in_one_sequence_are_read_as_the_plain_attention_does() -> None:
    torch.manual_seed(0)
    module = MemoryRetrieval(DIM, frames=FRAMES, kept=2, heads=HEADS, drop_path=0.0, mode="self")
    sparse = torch.randn(CLIPS, 2, DIM)
    sequence = module.read.norm(torch.cat([module.prompt.expand(CLIPS, -1, -1), sparse], dim=1))
    plain, _ = module.read.attention(sequence, sequence, sequence)
    torch.testing.assert_close(module.read(module.prompt, sparse), plain[:, :FRAMES], rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("layers", [1, 3])
def test_two_readings_together_are_as_one_by_one(layers: int) -> None:
    torch.manual_seed(0)
    encoder = TemporalEncoder(DIM, frames=8, layers=layers, heads=HEADS, drop_path=0.5).eval()
    sparse, dense = torch.randn(CLIPS, 2, DIM), torch.randn(CLIPS, 8, DIM)
    for ours, alone in zip(encoder.together(sparse, dense).unbind(1), (encoder(sparse), encoder(dense)), strict=True):
        torch.testing.assert_close(ours, alone, rtol=1e-10, atol=1e-10)


def test_each_reading_drops_its_path_for_itself() -> None:
    torch.manual_seed(0)
    encoder = TemporalEncoder(DIM, frames=8, layers=1, heads=HEADS, drop_path=0.5)
    first, second = encoder.together(torch.randn(200, 2, DIM), torch.randn(200, 8, DIM)).unbind(1)
    dropped = [(tokens == encoder.query).all(dim=1) for tokens in (first, second)]
    assert all(70 < int(which.sum()) < 130 for which in dropped)
    assert 30 < int((dropped[0] & dropped[1]).sum()) < 70
