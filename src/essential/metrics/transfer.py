"""What earlier tasks do for later ones, against a run that did not have them."""

from essential.metrics.evaluation import AccuracyMatrix


def forward_transfer(matrix: AccuracyMatrix, reference: AccuracyMatrix) -> float | None:
    """Return the mean, over the tasks after the first, of R[j][j] - Ref[j][j]: positive = the earlier tasks helped.

    Source: Wang et al., A Comprehensive Survey of Continual Learning, TPAMI 2024, FWT: the reference learns task j from
    a fresh start, without the tasks before. With a joint run as the reference, R minus what all data at once would
    give, its negative is the intransigence of Chaudhry et al., ECCV 2018, averaged over the tasks after the first.

    Both accuracies must be of the same choice: a head that grows also has the earlier tasks' classes to confuse a clip
    with, so let the reference score those too, or read the difference with that in mind. GEM's FWT (Lopez-Paz and
    Ranzato, NeurIPS 2017) is not given: it needs accuracies on tasks not yet learned, whose classes a growing head does
    not have, so that each would be 0.

    Args:
        matrix: see `accuracy_matrix`; the run's.
        reference: the reference's; its diagonal alone is read. A single-task reference has one run per task.

    Returns:
        A difference of fractions, in [-1, 1]; None with one task. A task without a test video is left out.

    Raises:
        ValueError: the reference has fewer tasks than the run.
    """
    if len(reference) < len(matrix):
        raise ValueError(
            f"the reference has {len(reference)} tasks, the run {len(matrix)}; give a reference for every task"
        )
    pairs = [(matrix[task][task], reference[task][task]) for task in range(1, len(matrix))]
    gains = [own - other for own, other in pairs if own is not None and other is not None]
    return sum(gains) / len(gains) if gains else None
