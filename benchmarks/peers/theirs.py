"""Run Avalanche's strategies on the same arrays: `python theirs.py ARRAYS.npz --out theirs.json`.

The network is ours, with the initial values of the same seed, and grows by the classes of each task. Beside every
strategy with its defaults there are some with one thing changed, to show what a difference comes from.
"""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import avalanche
import torch
from avalanche.benchmarks import nc_benchmark
from avalanche.benchmarks.utils import _make_taskaware_tensor_classification_dataset
from avalanche.models.dynamic_modules import DynamicModule
from avalanche.training import supervised
from avalanche.training.determinism.rng_manager import RNGManager
from avalanche.training.plugins import EWCPlugin, LwFPlugin, SupervisedPlugin
from measuring import BATCH_SIZE, CLASSIFIER, EWC_WEIGHT, EXEMPLARS, LEARNING_RATE, Stream, measure
from sklearn.covariance import ledoit_wolf
from torch import Tensor, nn

from essential.methods.trained import ClassifierConfig, build_classifier
from essential.seeded import torch_generator

warnings.showwarning = lambda *_, **__: None  # a filter does not do: Avalanche switches deprecations on at every call


class Tokens(nn.Module):
    """Our temporal encoder: a clip's frames, in; one token, out."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, features: Tensor) -> Tensor:
        return self.encoder(self.encoder.place(features, torch.arange(features.shape[1]).expand(features.shape[:2])))


class Rows(DynamicModule):
    """Our dropout and head, which has a row for each class of the experiences so far."""

    def __init__(self, dropout: nn.Module, head: nn.Module, seed: int) -> None:
        super().__init__()
        self.dropout, self.head, self.seed = dropout, head, seed

    def adaptation(self, experience: Any) -> None:
        first, stop = self.head.slots, max(experience.classes_in_this_experience) + 1
        if stop > first:
            self.head.grow(stop - first, generator=torch_generator(self.seed, "head", first))

    def forward(self, tokens: Tensor) -> Tensor:
        return self.head(self.dropout(tokens))


class FreshOptimizer(SupervisedPlugin):
    """Begins every experience with a new state of the optimiser, as ours does."""

    def before_training_exp(self, strategy: Any, **_: Any) -> None:
        strategy.optimizer.state.clear()


class OneStream(SupervisedPlugin):
    """Changes replay: exemplars are shuffled among the new clips, not a second half of every batch."""

    def before_training_exp(self, strategy: Any, **_: Any) -> None:
        (memory,) = (plugin.storage_policy.buffer for plugin in strategy.plugins if hasattr(plugin, "storage_policy"))
        if len(memory):
            strategy.adapted_dataset = strategy.adapted_dataset.concat(memory)
            strategy.make_train_dataloader(shuffle=True)


class ClipImportances(EWCPlugin):
    """Changes EWC: importances are squares of single clips' gradients, not of a batch's mean gradient."""

    def compute_importances(self, *arguments: Any, **settings: Any) -> Any:
        return super().compute_importances(*arguments[:-1], 1, **settings)


class OwnRows(nn.CrossEntropyLoss):
    """Changes LwF: cross-entropy among the classes of the present experience, not among all."""

    def __init__(self, stream: Stream) -> None:
        super().__init__()
        self.starts = torch.from_numpy(stream.sizes.cumsum() - stream.sizes)

    def forward(self, logits: Tensor, slots: Tensor) -> Tensor:
        first = int(self.starts[self.starts <= slots.min()].max())
        return super().forward(logits[:, first:], slots - first)


class TeacherAtRest(SupervisedPlugin):
    """Changes distillation: the old network answers without dropout, not in the state of training."""

    def before_training_exp(self, strategy: Any, **_: Any) -> None:
        for plugin in strategy.plugins:
            old = plugin.lwf.prev_model if isinstance(plugin, LwFPlugin) else getattr(plugin, "old_model", None)
            for part in [] if old is None else old.children():  # the whole of iCaRL's would decide by means instead
                part.eval()


class AfterTheFirst(supervised.StreamingLDA):
    """Changes SLDA: a class's first clip, when its mean is still zero, adds nothing to the covariance."""

    def fit(self, x: Tensor, y: Tensor) -> None:
        self.streaming_update_sigma = bool(self.cK[y] > 0)
        super().fit(x, y)


def train(
    stream: Stream,
    epochs: int,
    seed: int,
    *,
    strategy: str,
    plugins: Sequence[Callable[[], SupervisedPlugin]] = (),
    criterion: Callable[[Stream], nn.Module] = lambda _: nn.CrossEntropyLoss(),
    **settings: Any,
) -> list[float]:
    """Train our network by a strategy, and return the accuracy after each experience."""
    RNGManager.set_random_seeds(seed)
    _, frames, dim = stream.X.shape
    network = build_classifier(ClassifierConfig(**CLASSIFIER), dim=dim, frames=frames, seed=seed)
    model = nn.Sequential(Tokens(network.encoder), Rows(network.dropout, network.head, seed))
    if strategy == "ICaRL":
        settings |= {"feature_extractor": model[0], "classifier": model[1], "buffer_transform": None}
    else:
        settings |= {"model": model, "criterion": criterion(stream)}
    built = getattr(supervised, strategy)(
        optimizer=torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, weight_decay=0.0, fused=True),
        train_mb_size=BATCH_SIZE,
        train_epochs=epochs,
        eval_mb_size=512,
        evaluator=None,
        plugins=[FreshOptimizer(), *(make() for make in plugins)],
        **settings,
    )

    def scores(clips: Tensor) -> Tensor:
        return built.model.eval()(clips)

    return learned(stream, built, scores)


def fit_lda(
    stream: Stream,
    _: int,
    seed: int,
    *,
    mean: bool,
    kind: type = supervised.StreamingLDA,
    shrink: bool = False,
    scale: float = 1.0,
) -> list[float]:
    """Fit streaming LDA to clips as vectors, `scale` times as large, with our shrinkage if `shrink`.

    A batch is a whole task: Avalanche inverts the covariance before each.
    """
    RNGManager.set_random_seeds(seed)
    stream = replace(stream, X=scale * stream.X, Xt=scale * stream.Xt)
    X, Xt = (clips.mean(axis=1) if mean else clips.reshape(len(clips), -1) for clips in (stream.X, stream.Xt))
    built = kind(
        slda_model=nn.Identity(),
        criterion=nn.CrossEntropyLoss(),
        input_size=X.shape[1],
        num_classes=int(stream.sizes.sum()),
        train_mb_size=len(X),
        evaluator=None,
        **({"shrinkage_param": our_shrinkage(X, stream)} if shrink else {}),
    )
    return learned(replace(stream, X=X, Xt=Xt), built, built.predict)


def our_shrinkage(X: Any, stream: Stream) -> float:
    """Return Ledoit and Wolf's weight of the mean variance as the weight that Avalanche gives the identity."""
    apart = X.copy()
    for slot in range(int(stream.sizes.sum())):
        apart[stream.y == slot] -= X[stream.y == slot].mean(axis=0)
    weight = ledoit_wolf(apart, assume_centered=True)[1]
    ratio = float(weight / (1 - weight) * (apart**2).mean())
    return ratio / (1 + ratio)


def learned(stream: Stream, strategy: Any, scores: Callable[[Tensor], Tensor]) -> list[float]:
    """Let the strategy learn all experiences; return the accuracy over the classes seen after each."""
    train, test = (
        _make_taskaware_tensor_classification_dataset(torch.from_numpy(clips), torch.from_numpy(slots))
        for clips, slots in ((stream.X, stream.y), (stream.Xt, stream.yt))
    )
    sizes = dict(enumerate(stream.sizes.tolist()))
    benchmark = nc_benchmark(train, test, len(sizes), task_labels=False, shuffle=False, per_exp_classes=sizes)
    accuracies = []
    for experience, seen in zip(benchmark.train_stream, stream.sizes.cumsum(), strict=True):
        strategy.train(experience)
        rows = stream.yt < seen
        with torch.no_grad():
            guessed = scores(torch.from_numpy(stream.Xt[rows])).argmax(dim=1).numpy()
        accuracies.append(float((guessed == stream.yt[rows]).mean()))
    return accuracies


_REPLAY = partial(train, strategy="Replay", mem_size=EXEMPLARS)
_LWF = partial(train, strategy="LwF", alpha=1.0, temperature=2.0)
_ICARL = partial(train, strategy="ICaRL", memory_size=EXEMPLARS, fixed_memory=True)
_BY_CLIP = partial(ClipImportances, ewc_lambda=EWC_WEIGHT)
METHODS = {
    ("finetune", ""): partial(train, strategy="Naive"),
    ("replay", ""): _REPLAY,
    ("replay", "one stream"): partial(_REPLAY, plugins=[OneStream]),
    ("ewc", ""): partial(train, strategy="EWC", ewc_lambda=EWC_WEIGHT),
    ("ewc", "clip importances"): partial(train, strategy="Naive", plugins=[_BY_CLIP]),
    ("lwf", ""): _LWF,
    ("lwf", "own rows"): partial(_LWF, criterion=OwnRows),
    ("lwf", "teacher at rest"): partial(_LWF, plugins=[TeacherAtRest]),
    ("lwf", "both"): partial(_LWF, criterion=OwnRows, plugins=[TeacherAtRest]),
    ("icarl", ""): _ICARL,
    ("icarl", "teacher at rest"): partial(_ICARL, plugins=[TeacherAtRest]),
}
for _name, _mean in (("slda", True), ("slda-temporal", False)):
    METHODS |= {
        (_name, ""): partial(fit_lda, mean=_mean),
        (_name, "our shrinkage"): partial(fit_lda, mean=_mean, shrink=True),
        (_name, "no first clips"): partial(fit_lda, mean=_mean, kind=AfterTheFirst),
        (_name, "both"): partial(fit_lda, mean=_mean, kind=AfterTheFirst, shrink=True),
        (_name, "clips times 10"): partial(fit_lda, mean=_mean, scale=10.0),
    }

if __name__ == "__main__":
    measure(f"Avalanche {avalanche.__version__}", METHODS, __doc__)
