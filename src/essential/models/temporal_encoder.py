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

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from essential.models.whole_batch import DropPath
from essential.products import linear
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
