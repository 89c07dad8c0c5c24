"""Memory retrieval (MR): semantic prompts look at a few stored frames and rebuild the dense clip.

ESSENTIAL (ICCV 2025), section 3.2. `cross` follows the authors' released module and is checked against its outputs in
`tests/goldens/`. `self` and `mlp` are the paper's other prompt modes, by our reading of their names:

- `self`: prompts and stored frames form one sequence that attends to itself; the prompts' outputs are kept.
- `mlp`: three linear layers map the stored frames, side by side, to an update of every prompt; no attention.
"""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from essential.models.temporal_encoder import attend
from essential.models.whole_batch import DropPath
from essential.products import linear

PromptMode = Literal["cross", "self", "mlp"]


class Linear(nn.Linear):
    """Torch's linear layer, by the library that is quick here."""

    def forward(self, rows: Tensor) -> Tensor:
        return linear(rows, self.weight, self.bias)


class QuickGELU(nn.Module):
    """CLIP's activation: x * sigmoid(1.702 x)."""

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.silu(1.702 * x) / 1.702


class MemoryRetrieval(nn.Module):
    """Sparse frames with their temporal embedding, in; retrieved features, one per frame of the dense clip, out.

    There are as many prompts as a dense clip has frames; the mode `mlp` alone uses `kept`, the frames of a stored clip.
    `heads` divide `dim`; `drop_path` is the chance that a clip skips a branch in training.
    """

    def __init__(
        self, dim: int, *, frames: int, kept: int, heads: int, drop_path: float, mode: PromptMode = "cross"
    ) -> None:
        super().__init__()
        self.prompt = nn.Parameter(torch.rand(frames, dim))
        self.read = _READERS[mode](dim, frames, kept, heads)
        self.mlp_norm = nn.LayerNorm(dim)
        self.mlp = nn.Sequential(Linear(dim, 4 * dim), QuickGELU(), Linear(4 * dim, dim))
        self.drop_path = DropPath(drop_path)

    def forward(
        self, sparse: Float[Tensor, "batch kept dim"], *, paths: Float[Tensor, "batch 2"] | None = None
    ) -> Float[Tensor, "batch frames dim"]:
        """Retrieve dense features from stored frames, each with its position's temporal embedding.

        Each clip's reading and its MLP's output are multiplied with `paths`; if None, the module drops paths by itself.
        """
        prompts = self.prompt + self._path(self.read(self.prompt, sparse), paths, 0)
        retrieved: Tensor = prompts + self._path(self.mlp(self.mlp_norm(prompts)), paths, 1)
        return retrieved

    def _path(self, branch: Tensor, paths: Tensor | None, which: int) -> Tensor:
        taken: Tensor = self.drop_path(branch) if paths is None else branch * paths[:, which, None, None]
        return taken


class _CrossReader(nn.Module):
    def __init__(self, dim: int, frames: int, kept: int, heads: int) -> None:  # noqa: ARG002
        super().__init__()
        self.prompt_norm = nn.LayerNorm(dim)
        self.frame_norm = nn.LayerNorm(dim)
        self.attention = nn.MultiheadAttention(dim, heads, batch_first=True)

    def forward(self, prompts: Tensor, sparse: Tensor) -> Tensor:
        # The prompts are the same for every clip, so they are normalised and projected once.
        return attend(self.attention, self.prompt_norm(prompts), self.frame_norm(sparse))


class _SelfReader(nn.Module):
    def __init__(self, dim: int, frames: int, kept: int, heads: int) -> None:  # noqa: ARG002
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.attention = nn.MultiheadAttention(dim, heads, batch_first=True)

    def forward(self, prompts: Tensor, sparse: Tensor) -> Tensor:
        sequence = self.norm(torch.cat([prompts.expand(len(sparse), -1, -1), sparse], dim=1))
        # Only the prompts' outputs are kept, so only the prompts ask.
        return attend(self.attention, sequence[:, : len(prompts)], sequence)


class _MlpReader(nn.Module):
    def __init__(self, dim: int, frames: int, kept: int, heads: int) -> None:  # noqa: ARG002
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.layers = nn.Sequential(
            Linear(kept * dim, dim), QuickGELU(), Linear(dim, dim), QuickGELU(), Linear(dim, frames * dim)
        )

    def forward(self, prompts: Tensor, sparse: Tensor) -> Tensor:
        update: Tensor = self.layers(self.norm(sparse).flatten(1))
        return update.view(-1, *prompts.shape)


_READERS: dict[PromptMode, type[_CrossReader] | type[_SelfReader] | type[_MlpReader]] = {
    "cross": _CrossReader,
    "self": _SelfReader,
    "mlp": _MlpReader,
}
