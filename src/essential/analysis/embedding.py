"""A map of clip tokens: t-SNE, which gives the same for the same tokens."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float, Int
from threadpoolctl import threadpool_limits
from torch import Tensor, nn

from essential.records.analysis import Embedding, Kind, Point

# More would not be seen: the noise of a classifier's tokens.
_DIRECTIONS = 50
_PERPLEXITY = 30
# Half of scikit-learn's 1,000, so that the map of 1,200 points takes 3 seconds.
_STEPS = 500
_DIGITS = 4


def embed(
    tokens: Mapping[Kind, Float[Tensor, "exemplars dim"]], slots: Int[Tensor, " exemplars"], *, of_exemplars: int
) -> Embedding | None:
    """Return all tokens of all kinds on one map; None if there are too few, or all are the same.

    Nearness is by angle: the tokens are scaled to length 1. The map is scaled to lie from -1 to 1.
    """
    unit = np.concatenate([nn.functional.normalize(of_kind, dim=1).double().numpy() for of_kind in tokens.values()])
    # More threads are little faster, and much slower where the cores are busy: they wait for each other at every step.
    with threadpool_limits(1):
        directions = _main_directions(unit)
        if len(unit) < 4 or not directions.shape[1]:
            return None
        places = _tsne(directions)
    points = [
        Point(x=x, y=y, slot=slot, kind=kind, exemplar=exemplar)
        for kind, of_kind in zip(tokens, np.split(places, len(tokens)), strict=True)
        for exemplar, ((x, y), slot) in enumerate(zip(of_kind.tolist(), slots.tolist(), strict=True))
    ]
    return Embedding(points=tuple(points), of_exemplars=of_exemplars)


def _main_directions(unit: Float[np.ndarray, "points dim"]) -> Float[np.ndarray, "points directions"]:
    """Return the coordinates along the directions in which the points differ most."""
    centred = unit - unit.mean(axis=0)
    left, values, right = np.linalg.svd(centred, full_matrices=False)
    # A direction and its opposite are the same to the decomposition, not to the map that starts from it.
    signs = np.sign(right[np.arange(len(right)), np.abs(right).argmax(axis=1)])
    kept = values > 1e-6 * max(1.0, float(values[0]))
    coordinates: Float[np.ndarray, "points directions"] = (left * values * signs)[:, kept][:, :_DIRECTIONS]
    return coordinates


def _tsne(directions: Float[np.ndarray, "points directions"]) -> Float[np.ndarray, "points 2"]:
    from sklearn.manifold import TSNE  # a second to load, and only needed here

    start = np.zeros((len(directions), 2))
    start[:, : directions.shape[1]] = directions[:, :2] / directions[:, 0].std() * 1e-4
    tsne = TSNE(
        perplexity=min(_PERPLEXITY, (len(directions) - 1) / 3),
        init=start,
        learning_rate="auto",
        max_iter=_STEPS,
        random_state=0,
    )
    places = tsne.fit_transform(directions).astype(np.float64)
    places -= (places.max(axis=0) + places.min(axis=0)) / 2
    scaled: Float[np.ndarray, "points 2"] = (places / np.abs(places).max()).round(_DIGITS)
    return scaled
