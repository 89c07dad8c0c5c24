"""NCM against scikit-learn's, and against distances in loops."""

import pytest
from sklearn.neighbors import NearestCentroid

from essential.methods.ncm import Ncm, NcmConfig
from pooled_tasks import learn_all, make_pool, pooled_tasks


@pytest.mark.numeric
@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("clip", ["mean", "side-by-side"])
def test_it_is_the_nearest_centroid_of_unit_vectors(clip: str) -> None:
    features, labels = make_pool()
    method = Ncm(NcmConfig(clip=clip), dim=5, frames=3, seed=0)
    learn_all(method, pooled_tasks(features, labels, range(6), [2, 3, 1]))
    tests = make_pool(seed=1)[0]
    scores = method.predictor(tests)
    vectors = [(x.mean(dim=1) if clip == "mean" else x.flatten(1)).numpy() for x in (features, tests)]
    train, test = (x / (x**2).sum(axis=1, keepdims=True) ** 0.5 for x in vectors)
    other = NearestCentroid().fit(train, labels)
    assert scores.argmax(dim=1).tolist() == other.predict(test).tolist()
    assert len(set(scores.argmax(dim=1).tolist())) > 3
    for row, slot in ((0, 0), (3, 5), (11, 2)):
        distance = sum((float(a) - float(b)) ** 2 for a, b in zip(test[row], other.centroids_[slot], strict=True))
        assert float(scores[row, slot]) == pytest.approx(1 - distance, abs=1e-6)


def test_the_means_are_all_that_is_kept() -> None:
    features, labels = make_pool()
    method = Ncm(NcmConfig(), dim=5, frames=3, seed=0)
    learn_all(method, pooled_tasks(features, labels, range(6), [6]))
    entries = {entry.name: entry.bytes for entry in method.ledger()}
    assert entries == {"class counts": 6 * 4, "class means": 6 * 5 * 4, "scales of means": 6 * 4}
    assert {entry.kind for entry in method.ledger()} == {"statistics"}
    stored = method.network["statistics"].state_dict().values()
    assert sum(tensor.nbytes for tensor in stored) == sum(entries.values())
