"""The temporal encoder: one learned token attends to the frames of a clip and becomes the clip's token.

Follows the authors' released module: pre-norm cross-attention with a residual, no MLP, and frames that stay as
they are from layer to layer. `tests/goldens/` checks it against the outputs of their code.

Its attention, and that of memory retrieval, takes 4 to 8 times fewer multiplications than `nn.MultiheadAttention`,
which projects every frame twice:

- a score is (W_q q) . (W_k f + b_k) = (W_k^T W_q q) . f + a number that is the same for every frame, which the softmax
  does not see. So the key projection is folded into the query, once for a query that all clips share;
- the weights of a query sum to 1, so sum_t a_t (W_v f_t + b_v) = W_v (sum_t a_t f_t) + b_v: the value projection is
  applied to the weighted sum, where there are fewer queries than frames.
"""

from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from essential.models.whole_batch import DropPath
from essential.products import is_plain, linear
from essential.seeded import standard_normal


class TemporalEncoder(nn.Module):
    """Frame features of a clip, in; one token for the clip, out.

    A dense clip has `frames`; `heads` divide `dim`; `drop_path` is the chance that a clip skips a layer in training.
    """

    def __init__(self, dim: int, *, frames: int, layers: int, heads: int, drop_path: float) -> None:
        super().__init__()
        self.temporal_embedding = nn.Parameter(torch.zeros(frames, dim))
        self.query = nn.Parameter(standard_normal(dim).mul_(dim**-0.5))
        self.layers = nn.ModuleList(_Layer(dim, heads=heads, drop_path=drop_path) for _ in range(layers))

    def place(
        self, features: Float[Tensor, "batch kept dim"], positions: Int[Tensor, "batch kept"]
    ) -> Float[Tensor, "batch kept dim"]:
        """Add to each frame feature the embedding of its position (0 to frames - 1) in the dense clip."""
        return features + nn.functional.embedding(positions, self.temporal_embedding)

    def forward(self, placed: Float[Tensor, "batch kept dim"]) -> Float[Tensor, "batch dim"]:
        """Encode frames that `place` or memory retrieval has given; any number of them."""
        return self.tokens_by_layer(placed)[-1]

    def tokens_by_layer(self, placed: Float[Tensor, "batch kept dim"]) -> list[Float[Tensor, "batch dim"]]:
        """Return the clip's token as it is after every layer; the last is what `forward` gives."""
        return [tokens.squeeze(1) for tokens in self._tokens(placed, None)]

    def together(
        self, first: Float[Tensor, "batch kept dim"], second: Float[Tensor, "batch frames dim"]
    ) -> Float[Tensor, "batch 2 dim"]:
        """Encode two readings of every clip as two calls would, in one: two tokens, each seeing its own frames."""
        frames = torch.cat([first, second], dim=1)
        in_first = torch.arange(frames.shape[1], device=frames.device) < first.shape[1]
        return self._tokens(frames, torch.stack([in_first, ~in_first]))[-1]

    def _tokens(
        self, frames: Float[Tensor, "batch kept dim"], visible: Bool[Tensor, "tokens kept"] | None
    ) -> list[Float[Tensor, "batch tokens dim"]]:
        token, tokens = self.query.expand(1 if visible is None else len(visible), -1), []
        for layer in self.layers:
            token = layer(token, frames, visible)
            tokens.append(token)
        return tokens


class _Layer(nn.Module):
    def __init__(self, dim: int, *, heads: int, drop_path: float) -> None:
        super().__init__()
        self.query_norm = nn.LayerNorm(dim)
        self.frame_norm = nn.LayerNorm(dim)
        self.attention = nn.MultiheadAttention(dim, heads, batch_first=True)
        # Each token of a clip is dropped or kept for itself.
        self.drop_path = DropPath(drop_path, per_token=True)

    def forward(self, tokens: Tensor, frames: Tensor, visible: Tensor | None) -> Tensor:
        attended = attend(self.attention, self.query_norm(tokens), self.frame_norm(frames), visible=visible)
        updated: Tensor = tokens + self.drop_path(attended)
        return updated


def attend(
    attention: nn.MultiheadAttention,
    queries: Float[Tensor, "... queries dim"],
    frames: Float[Tensor, "batch frames dim"],
    *,
    visible: Bool[Tensor, "queries frames"] | None = None,
) -> Float[Tensor, "batch queries dim"]:
    """Return what `attention(queries, frames, frames)` does.

    Its attention dropout is not applied. `queries` are (queries, dim), shared by all clips, or (batch, queries, dim);
    `visible` says which frames each query sees, one at least; all if None.
    """
    given = (queries, frames, attention.in_proj_weight, attention.in_proj_bias, attention.num_heads, visible)
    # On a GPU products may be of bfloat16, which autograd knows to undo.
    ours = frames.device.type == "cpu" and attention.in_proj_weight.requires_grad and not is_plain()
    read: Tensor = _Read.apply(*given) if ours else _read(*given)[0]  # type: ignore[no-untyped-call]
    return _by_row(read, attention.out_proj.weight, attention.out_proj.bias)


def _read(
    queries: Float[Tensor, "... queries dim"],
    frames: Float[Tensor, "batch frames dim"],
    weight: Float[Tensor, "projected dim"],
    bias: Float[Tensor, " projected"],
    heads: int,
    visible: Bool[Tensor, "queries frames"] | None,
) -> tuple[Float[Tensor, "batch queries dim"], tuple[Tensor, ...]]:
    """Return what each query reads, and what its gradient is made of: asked, folded, weights, and pooled or values."""
    dim = frames.shape[-1]
    width = dim // heads
    of_queries, of_keys, of_values = weight.view(3, heads, width, dim)
    query_bias, _, value_bias = bias.view(3, dim)
    asked = _by_row(queries, of_queries.reshape(dim, dim), query_bias) * width**-0.5
    folded = _by_head(asked.unflatten(-1, (heads, width)), of_keys)
    scores = _scores(folded, frames)
    if visible is not None:
        scores = scores.masked_fill(~visible[:, None], -torch.inf)
    weights = scores.softmax(dim=-1)
    if queries.shape[-2] < frames.shape[1]:
        pooled = (weights.flatten(1, 2) @ frames).unflatten(1, weights.shape[1:3])
        # Weights first, so that their gradient comes out in their own layout.
        by_head = (of_values @ pooled.flatten(0, 1).permute(1, 2, 0)).permute(2, 0, 1)
        if torch.compiler.is_compiling():
            # A program that is exported takes any number of clips only if no stride depends on it.
            by_head = by_head.contiguous()
        read = by_head.reshape(frames.shape[0], weights.shape[1], dim)
        return read + value_bias, (asked, folded, weights, pooled)
    values = _by_row(frames, of_values.reshape(dim, dim)).unflatten(-1, (heads, width))
    read = (weights.transpose(1, 2) @ values.transpose(1, 2)).transpose(1, 2).flatten(2)
    return read + value_bias, (asked, folded, weights, values)


class _Read(torch.autograd.Function):
    """What `_read` gives, with the same gradients in fewer passes than autograd's.

    Those of the three projections are written where they belong in the one of `weight`, which autograd would put
    together in a copy, and a frame's are added up in place.
    """

    @staticmethod
    def forward(
        ctx: Any,
        queries: Tensor,
        frames: Tensor,
        weight: Tensor,
        bias: Tensor,
        heads: int,
        visible: Tensor | None,
    ) -> Tensor:
        read, kept = _read(queries, frames, weight, bias, heads, visible)
        ctx.save_for_backward(queries, frames, weight, *kept)
        return read

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        queries, frames, weight, asked, folded, weights, read_from = ctx.saved_tensors
        heads, dim = folded.shape[-2:]
        of_queries, of_keys, of_values = weight.view(3, heads, -1, dim)
        of_weight, of_bias = torch.empty_like(weight), weight.new_zeros(3, dim)
        to_queries, to_keys, to_values = of_weight.view(3, heads, -1, dim)
        of_bias[2] = gradient.sum(dim=(0, 1))
        by_head = gradient.unflatten(-1, (heads, -1))
        back = _through_pooled if gradient.shape[1] < frames.shape[1] else _through_values
        of_weights, of_frames = back(by_head, frames, weights, read_from, of_values, to_values)
        of_scores = (weights * (of_weights - (weights * of_weights).sum(dim=-1, keepdim=True))).flatten(1, 2)
        if folded.ndim == 3:  # shared by all clips
            by_query = of_scores.transpose(0, 1).flatten(1)
            of_folded = by_query @ frames.flatten(0, 1)
            of_frames.flatten(0, 1).addmm_(by_query.T, folded.flatten(0, 1))
        else:
            of_folded = of_scores @ frames
            of_frames.baddbmm_(of_scores.mT, folded.flatten(1, 2))
        rows = of_folded.reshape(-1, heads, dim).transpose(0, 1)
        torch.bmm(asked.reshape(-1, heads, dim // heads).permute(1, 2, 0), rows, out=to_keys)
        of_asked = (rows @ of_keys.mT).transpose(0, 1).reshape(-1, dim) * (dim // heads) ** -0.5
        torch.mm(of_asked.T, queries.reshape(-1, dim), out=to_queries.view(dim, dim))
        of_bias[0] = of_asked.sum(dim=0)
        of_given = (of_asked @ of_queries.reshape(dim, dim)).view(queries.shape)
        return of_given, of_frames, of_weight, of_bias.flatten(), None, None


def _through_pooled(
    gradient: Float[Tensor, "batch queries heads width"],
    frames: Float[Tensor, "batch frames dim"],
    weights: Float[Tensor, "batch queries heads frames"],
    pooled: Float[Tensor, "batch queries heads dim"],
    of_values: Float[Tensor, "heads width dim"],
    to_values: Float[Tensor, "heads width dim"],
) -> tuple[Float[Tensor, "batch queries heads frames"], Float[Tensor, "batch frames dim"]]:
    """Write the values' gradient, and return those of the weights and of the frames, where frames were pooled first."""
    rows = gradient.flatten(0, 1).transpose(0, 1)
    torch.bmm(rows.mT, pooled.flatten(0, 1).transpose(0, 1), out=to_values)
    of_pooled = (rows @ of_values).transpose(0, 1).reshape(pooled.shape).flatten(1, 2)
    of_weights = (of_pooled @ frames.mT).view(weights.shape)
    return of_weights, weights.flatten(1, 2).mT @ of_pooled


def _through_values(
    gradient: Float[Tensor, "batch queries heads width"],
    frames: Float[Tensor, "batch frames dim"],
    weights: Float[Tensor, "batch queries heads frames"],
    values: Float[Tensor, "batch frames heads width"],
    of_values: Float[Tensor, "heads width dim"],
    to_values: Float[Tensor, "heads width dim"],
) -> tuple[Float[Tensor, "batch queries heads frames"], Float[Tensor, "batch frames dim"]]:
    """Do the same where every frame has its values."""
    dim = frames.shape[-1]
    by_head = gradient.transpose(1, 2)
    of_weights = (by_head @ values.permute(0, 2, 3, 1)).transpose(1, 2)
    of_each = (weights.transpose(1, 2).mT @ by_head).transpose(1, 2).reshape(-1, dim)
    torch.mm(of_each.T, frames.flatten(0, 1), out=to_values.view(dim, dim))
    return of_weights, linear(of_each, of_values.reshape(dim, dim).T).view(frames.shape)


def _by_row(
    vectors: Float[Tensor, "... rows dim"], matrix: Float[Tensor, "out dim"], bias: Float[Tensor, " out"] | None = None
) -> Float[Tensor, "... rows out"]:
    """Apply a linear layer to all rows as one product.

    Given three axes, torch may choose another way, with other last digits, when nothing of it trains.
    """
    rows: Tensor = linear(vectors.flatten(0, -2), matrix, bias).unflatten(0, vectors.shape[:-1])
    return rows


def _by_head(
    vectors: Float[Tensor, "... heads inner"], matrices: Float[Tensor, "heads inner outer"]
) -> Float[Tensor, "... heads outer"]:
    """Multiply each head's vectors with its own matrix: one product per head for all of them."""
    rows = vectors.flatten(0, -3).transpose(0, 1)
    by_head: Tensor = (rows @ matrices).transpose(0, 1).unflatten(0, vectors.shape[:-2])
    return by_head


def _scores(
    folded: Float[Tensor, "... queries heads dim"], frames: Float[Tensor, "batch frames dim"]
) -> Float[Tensor, "batch queries heads frames"]:
    flat = folded.flatten(-3, -2)
    shared = flat.ndim == 2  # by all clips: one product for all
    scores: Tensor = _by_row(frames, flat).mT if shared else flat @ frames.mT
    by_query: Tensor = scores.unflatten(1, folded.shape[-3:-1])
    return by_query
