"""What is measured of a run: names, titles, units and directions, as the registry and the records give them."""

from collections.abc import Iterable

from essential.metrics import METRICS, Metric
from essential.published import published_titles
from essential.records import Metrics, Record

MAIN = tuple(name for name, field in Metrics.model_fields.items() if field.is_required())
"""What every record has; tables lead with these."""
FINAL = MAIN[0]
"""What methods are ranked and tested by."""
LOST = "forgetting_from_best"
"""The forgetting that a page leads with."""
REFERENCE = "joint"
"""The method that forward transfer is measured against, where it is among those compared."""
FORWARD_TRANSFER = "forward_transfer"


_OF_COMPARISONS = {
    FORWARD_TRANSFER: Metric(
        f"Forward transfer, against {REFERENCE}",
        lambda _: None,
        "accuracy on a task just after learning it, minus that of joint training after the same task, plain mean over "
        "the tasks after the first",
        "below zero: the intransigence of Chaudhry et al. (ECCV 2018)",
    )
}


def metric_of(name: str) -> Metric:
    """Return what a metric is; one that is not installed here goes by its name."""
    unknown = Metric(published_titles().get(name, name), lambda _: None, "not installed here", "from the record")
    return METRICS.get(name) or _OF_COMPARISONS.get(name) or unknown


def is_accuracy(name: str) -> bool:
    """Whether a metric is known to be an accuracy in percent; all else that is known is a difference in points."""
    return name in METRICS and not METRICS[name].less_is_better


def column_title(name: str) -> str:
    """Return the heading of a metric's column: its title, and its unit where the metric is known."""
    known = METRICS.keys() | _OF_COMPARISONS.keys() | published_titles().keys()
    unit = ", %" if is_accuracy(name) else ", points" if name in known else ""
    return metric_of(name).title + unit


def values_of(record: Record) -> dict[str, float | None]:
    """Return every metric of a run by name."""
    return record.metrics.model_dump()


def in_order(names: Iterable[str]) -> list[str]:
    """Return names of metrics once each: those of the registry in its order, then others by name."""
    given = set(names)
    return [name for name in METRICS if name in given] + sorted(given - METRICS.keys())
