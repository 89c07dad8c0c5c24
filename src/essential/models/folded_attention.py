"""Multi-head attention of few queries over many frames, without projecting every frame twice.

`nn.MultiheadAttention` maps every frame to a key and to a value: 2 * frames * dim^2 multiplications per clip. With few
queries the same numbers come from fewer:

- a score is (W_q q) . (W_k f + b_k) = (W_k^T W_q q) . f + a number that is the same for every frame, which the softmax
  does not see. So the key projection is folded into the query, once for a query that all clips share;
- the weights of a query sum to 1, so sum_t a_t (W_v f_t + b_v) = W_v (sum_t a_t f_t) + b_v: the value projection is
  applied to the weighted sum, one vector per query and head, where there are fewer queries than frames.

`tests/models/test_folded_attention.py` holds it against `nn.MultiheadAttention`, values and gradients.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn


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
    heads, width, dim = attention.num_heads, attention.head_dim, attention.embed_dim
    of_queries, of_keys, of_values = attention.in_proj_weight.view(3, heads, width, dim)
    query_bias, _, value_bias = attention.in_proj_bias.view(3, dim)
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
    else:
        values = _by_row(frames, of_values.reshape(dim, dim)).unflatten(-1, (heads, width))
        read = (weights.transpose(1, 2) @ values.transpose(1, 2)).transpose(1, 2).flatten(2)
    return _by_row(read + value_bias, attention.out_proj.weight, attention.out_proj.bias)


def _by_row(
    vectors: Float[Tensor, "... rows dim"],
    matrix: Float[Tensor, "out dim"],
    bias: Float[Tensor, " out"] | None = None,
) -> Float[Tensor, "... rows out"]:
    """Apply a linear layer to all rows as one product.

    Given three axes, torch may choose another way, with other last digits, when nothing of it trains.
    """
    rows: Tensor = nn.functional.linear(vectors.flatten(0, -2), matrix, bias).unflatten(0, vectors.shape[:-1])
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
