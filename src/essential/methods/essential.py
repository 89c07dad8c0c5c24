"""ESSENTIAL: Episodic and Semantic Memory Integration for Video Class-Incremental Learning (ICCV 2025).

For every task:

1. choose a few clips per class for the episodic memory, and of each k random frames (sparse features);
2. task stage, on the new clips: classify the dense clip among the task's slots; let the task's MR module rebuild it
   from k random frames, so that the frames match (static matching, section 3.2), the clip tokens match (temporal
   matching), and the rebuilt clip is classified too;
3. rehearsal stage, on the memory, MR modules frozen: classify every exemplar among all slots seen, once from its
   sparse features and once from the features that the MR module of its own task retrieves;
4. to predict: dense clip, temporal encoder, head. No MR module and no task number.

Differs from the paper: the text of its method section could not be had in full; where it is silent this follows the
authors' code. Scores are given for the slots seen, not for all classes of the benchmark.

Differs from the authors' code (`reading: released` undoes the first, `retrieve: every-step` the second):

- the released `CLIP_model.py` compares the dense clip token with the raw query token, not with the token of the
  retrieved clip, and does not classify the retrieved clip in the task stage; this does both, as the paper says and
  their older model does;
- `retrieve: once`, the default, runs each frozen MR module once per exemplar and rehearsal stage, in evaluation, with
  the temporal embedding as it is when the stage starts. Theirs run in every step, in training mode (they drop paths),
  and pass a gradient on to the embedding;
- exemplars are kept as features; theirs are file names, decoded and encoded anew.
"""

from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Float, Int
from pydantic import Field
from torch import Tensor, nn

from essential.errors import CheckpointError
from essential.memory.episodic import EpisodicMemory
from essential.memory.ledger import LedgerEntry
from essential.memory.selection import random_positions
from essential.methods.anchor import NamedBuffers
from essential.methods.contract import Batch, LossTerm, Stage, TaskData, TrainingData
from essential.methods.exemplars import ExemplarKeeper, MemoryClips, MemoryConfig, take_frames
from essential.methods.trained import Trained, TrainedConfig, cross_entropy
from essential.models.growing import GrowingList
from essential.models.memory_retrieval import MemoryRetrieval, PromptMode
from essential.models.whole_batch import drawn
from essential.seeded import in_evaluation, torch_seeded

_AT_ONCE = 256
_AT_REHEARSAL = "at_rehearsal"


class EssentialConfig(MemoryConfig, TrainedConfig):
    """ESSENTIAL's own settings; the authors' flag stands in brackets."""

    name: Literal["essential"] = "essential"
    memory_mode: Literal["task", "global", "identity"] = Field(
        "task", description="one MR module per task, one for all, or none: sparse features stand in (memory_mode)"
    )
    prompt_mode: PromptMode = Field("cross", description="how prompts read the stored frames (prompt_mode)")
    frames_kept: int | None = Field(2, ge=1, description="frames stored per exemplar; none: all (fs_topk)")
    rehearsal_epochs: int = Field(20, ge=1, description="epochs of the rehearsal stage (rehearsal_epochs)")
    rehearse_first_task: bool = Field(True, description="rehearse after the first task too; the authors' SSv2 does not")
    static_matching_weight: float = Field(1.0, ge=0, description="weight of static matching")
    temporal_matching_weight: float = Field(1.0, ge=0, description="weight of temporal matching")
    retrieved_weight: float = Field(1.0, ge=0, description="weight of classifying retrieved clips (virtual_weight)")
    retrieve: Literal["once", "every-step"] = Field(
        "once", description="when frozen MR modules rebuild the exemplars in rehearsal; see the method's file"
    )
    reading: Literal["paper", "released"] = Field("paper", description="whose temporal matching; see the method's file")


class Essential(Trained[EssentialConfig]):
    Config = EssentialConfig

    keeper: ExemplarKeeper

    def __init__(self, config: EssentialConfig, *, dim: int, frames: int, seed: int) -> None:
        super().__init__(config, dim=dim, frames=frames, seed=seed)
        self.retrieval = GrowingList(self._make_retrieval)
        self.network["retrieval"] = self.retrieval
        self.network.at_times(_AT_REHEARSAL, self._kept_embedding)

    def modules(self, tasks: int) -> int:
        """Return how many MR modules there are once so many tasks have begun."""
        return {"task": tasks, "global": min(tasks, 1), "identity": 0}[self.config.memory_mode]

    def reserved_bytes(self, tasks: int) -> int:
        """The prompts take room too: one set per MR module."""
        return self.modules(tasks) * self.frames * self.dim * 4

    def begin(self, task: TaskData) -> None:
        """Grow the head, add an MR module if the mode asks for one, and make room for its prompts."""
        super().begin(task)
        if len(self.retrieval) < self.modules(len(self.slots)):
            self.retrieval.add()
        self.memory = self.keeper.cut(self.memory, reserved_bytes=self.reserved_bytes(len(self.slots)))

    def stages(self, task: TaskData) -> Sequence[Stage]:
        learning = [self.classifier, *[*self.retrieval][-1:]]
        stages = [Stage("task", lambda: task, learning, steady=True)]
        if task.index > 0 or self.config.rehearse_first_task:
            stages.append(
                Stage(
                    "rehearsal",
                    self._rehearsal_clips,
                    [self.classifier],
                    self.config.rehearsal_epochs,
                    prepare=lambda: self._prepare_rehearsal(task),
                    # Which modules a batch needs is not known before it is there.
                    steady=self.config.retrieve == "once",
                )
            )
        return stages

    def losses(self, stage: str, batch: Batch, *, generator: torch.Generator) -> Sequence[LossTerm]:  # noqa: ARG002
        return self._task_losses(batch) if stage == "task" else self._rehearsal_losses(batch)

    def finish(self, task: TaskData) -> None:
        self.network.drop(_AT_REHEARSAL)
        super().finish(task)

    @torch.no_grad()
    def rebuilt(self, memory: EpisodicMemory) -> Float[Tensor, "exemplars frames dim"] | None:
        """What the MR modules retrieve, without the temporal embedding that the classifier adds to every frame."""
        if not len(self.retrieval):
            return None
        embedding = self.classifier.encoder.temporal_embedding
        return self._retrieve_all(MemoryClips(memory), embedding) - embedding.cpu()

    @property
    def frozen_parts(self) -> Sequence[str]:
        """The MR modules of the tasks before: each learns with its own task alone."""
        earlier = len(self.retrieval) - 1 if self.config.memory_mode == "task" else 0
        return [f"retrieval.{index}" for index in range(earlier)]

    def ledger(self) -> list[LedgerEntry]:
        """Episodic memory, prompts, and the MR modules that the paper's figure leaves out."""
        entries = self.memory.ledger()
        for index, module in enumerate(self.retrieval):
            prompt = module.get_parameter("prompt").nbytes
            rest = sum(parameter.nbytes for parameter in module.parameters()) - prompt
            entries.append(LedgerEntry("semantic", f"prompts {index}", prompt, in_paper_figure=True))
            entries.append(LedgerEntry("retrieval_modules", f"MR module {index}", rest, in_paper_figure=False))
        return entries

    def _task_losses(self, batch: Batch) -> list[LossTerm]:
        classifier, config = self.classifier, self.config
        slots = self.slots[-1]
        dense = classifier.encoder.place(batch.features, batch.positions)
        if not len(self.retrieval):
            classified = cross_entropy(classifier.logits(classifier.encoder(dense)), batch.slots, among=slots)
            return [LossTerm("classification", classified)]
        kept, frames = self.keeper.kept, self.frames
        # Drawn as paths are dropped, where the clips are: a recorded step draws anew.
        positions = drawn(
            lambda clips: random_positions(clips, kept=kept, frames=frames, device=dense.device), len(dense)
        )
        retrieved = self.retrieval[-1](take_frames(dense, positions))
        logits: Sequence[Tensor]
        if config.reading == "released":
            dense_token = classifier.encoder(dense)
            against = classifier.encoder.query.expand_as(dense_token)
            logits = [classifier.logits(dense_token)]
        else:
            tokens = classifier.encoder.together(dense, retrieved)
            dense_token, against = tokens.unbind(1)
            logits = classifier.logits(tokens).unbind(1)
        # Neither matching target is detached: in the authors' code both sides receive the gradient.
        static, temporal = nn.functional.mse_loss(retrieved, dense), nn.functional.mse_loss(against, dense_token)
        classified, *retrieved_classified = (cross_entropy(one, batch.slots, among=slots) for one in logits)
        return [
            LossTerm("classification", classified),
            LossTerm("static_matching", static, config.static_matching_weight),
            LossTerm("temporal_matching", temporal, config.temporal_matching_weight),
            *(LossTerm("retrieved_classification", term, config.retrieved_weight) for term in retrieved_classified),
        ]

    def _rehearsal_losses(self, batch: Batch) -> list[LossTerm]:
        classifier = self.classifier
        sparse = classifier.encoder.place(batch.features, batch.positions)
        retrieved = batch.retrieved
        if retrieved is None:
            paths = self._random_paths(sparse) if len(self.retrieval) else None
            retrieved = self._retrieve(sparse, batch.tasks, paths=paths)
        logits = classifier.logits(classifier.encoder.together(sparse, retrieved))
        of_sparse, of_retrieved = (cross_entropy(one, batch.slots) for one in logits.unbind(1))
        return [
            LossTerm("sparse_classification", of_sparse),
            LossTerm("retrieved_classification", of_retrieved, self.config.retrieved_weight),
        ]

    def _prepare_rehearsal(self, task: TaskData) -> None:
        self.remember(task)
        # What rehearsal retrieves with is kept, so that a run that resumes inside the stage retrieves the same again.
        self.network.add(_AT_REHEARSAL)

    def _kept_embedding(self) -> NamedBuffers:
        return NamedBuffers({"values": self.classifier.encoder.temporal_embedding.detach().clone()})

    def _rehearsal_clips(self) -> TrainingData:
        clips = MemoryClips(self.memory)
        if self.config.retrieve == "every-step" or not len(self.retrieval):
            return clips
        embedding = self.network.get_submodule(_AT_REHEARSAL).get_buffer("values")
        return MemoryClips(self.memory, self._retrieve_all(clips, embedding))

    @torch.no_grad()
    def _retrieve_all(
        self, clips: MemoryClips, embedding: Float[Tensor, "frames dim"]
    ) -> Float[Tensor, "exemplars frames dim"]:
        """Rebuild every exemplar, on the CPU, a task's exemplars at a time."""
        retrieved = torch.empty(len(clips), self.frames, self.dim)
        with in_evaluation(self.retrieval):
            for indices in clips.memory.tasks.argsort(stable=True).split(_AT_ONCE):
                batch = clips.rows(indices).to(embedding.device)
                retrieved[indices] = self._retrieve(batch.features + embedding[batch.positions], batch.tasks).cpu()
        return retrieved

    def _retrieve(
        self,
        sparse: Float[Tensor, "batch kept dim"],
        tasks: Int[Tensor, " batch"],
        *,
        paths: Float[Tensor, "batch 2"] | None = None,
    ) -> Float[Tensor, "batch retrieved dim"]:
        """Pass every exemplar through its own task's MR module, one call per task in the batch."""
        if self.config.memory_mode == "identity":
            return sparse
        if self.config.memory_mode == "global":
            retrieved: Tensor = self.retrieval[0](sparse, paths=paths)
            return retrieved
        order = tasks.argsort(stable=True)
        present, counts = tasks.unique(return_counts=True)
        by_task = [
            self.retrieval[task](sparse[rows], paths=None if paths is None else paths[rows])
            for task, rows in zip(present.tolist(), order.split(counts.tolist()), strict=True)
        ]
        return torch.cat(by_task)[order.argsort()]

    def _random_paths(self, sparse: Float[Tensor, "batch kept dim"]) -> Float[Tensor, "batch 2"]:
        """Draw which exemplars skip which branch of their module, as modules in training would."""
        rate = self.config.classifier.drop_path
        return drawn(lambda rows: nn.functional.dropout(sparse.new_ones(rows, 2), rate), len(sparse))

    def _make_retrieval(self, index: int) -> MemoryRetrieval:
        config = self.config
        if index >= self.modules(index + 1):
            raise CheckpointError(
                f"the checkpoint holds {index + 1} MR modules or more, but method.memory_mode={config.memory_mode} "
                f"makes {self.modules(index + 1)}; use the config and the version it was made with"
            )
        with torch_seeded(self.seed, "retrieval", index):
            module = MemoryRetrieval(
                self.dim,
                frames=self.frames,
                kept=self.keeper.kept,
                heads=config.classifier.heads_for(self.dim),
                drop_path=config.classifier.drop_path,
                mode=config.prompt_mode,
            )
        return module.to(self.classifier.encoder.query.device)
