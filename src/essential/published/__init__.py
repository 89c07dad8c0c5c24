"""Figures that were published elsewhere, as data: what a run may be set beside, never mixed with.

`figures.json` has one line per figure, by protocol, the sources that they name, and the tasks of each protocol. Nothing
of it was run here, and the methods differ in backbone and in what their memory holds. A figure that the source gives
for the head or for the nearest means is under `average_incremental_accuracy_cnn` or `_nme`; where one alone is printed
it is under `average_incremental_accuracy`: of what the method decides by. Left out are gains over several data sets at
once, which belong to no protocol.
"""

import json
from collections.abc import Sequence
from decimal import Decimal
from functools import cache
from importlib import resources
from typing import Any, Literal

from pydantic import Field

from essential.configs.schema import Section


class PublishedFigure(Section, strict=True):
    """One figure, as it was printed elsewhere; what the source does not say is None.

    Attributes:
        protocol: the name of a shipped protocol, or one in the same style.
        method: who it is of; after a comma, which variant.
        metric: a name in `essential.metrics.METRICS` where it is the same, else its own.
        value: in percent, with the digits printed; None where they cannot be read.
        source: paper, venue and place, and who quoted it.
        mark: `seen` in the source itself; `second-hand`, in a text that quotes it; `inferred`, where what it belongs to
            was concluded and not read.
        uncertain: a digit is lost, or there is reason to doubt it; the note says which.
    """

    protocol: str
    method: str
    backbone: str | None
    metric: str
    value: Decimal | None = Field(ge=0, le=100)
    memory: str | None
    source: str
    mark: Literal["seen", "second-hand", "inferred"]
    note: str | None = None
    uncertain: bool = False


def is_joint(method: str) -> bool:
    """Whether a method of that name is trained on all videos at once, which has no memory and no place."""
    return "joint" in method.lower()


def published_titles() -> dict[str, str]:
    """Return the titles of the metrics that `essential.metrics.METRICS` does not have."""
    titles: dict[str, str] = _content()["titles"]
    return titles


@cache
def published_figures() -> tuple[PublishedFigure, ...]:
    """Return all figures, in the order of the file: by protocol, then by source."""
    content = _content()
    sources = content["sources"]
    return tuple(PublishedFigure(**{**figure, "source": sources[figure["source"]]}) for figure in content["figures"])


def published_for(protocol_name: str) -> list[PublishedFigure]:
    """Return the figures of the protocol of that name; none if there are none."""
    return [figure for figure in published_figures() if figure.protocol == protocol_name]


def differs_from_published(protocol_name: str, task_sizes: Sequence[int]) -> str | None:
    """Return how many classes the tasks of the published protocol of that name have, if these are others.

    None if they are the same, or no such protocol is known. The order of the tasks is not compared: an average over
    several orders is one protocol.
    """
    parts = _content()["tasks"].get(protocol_name)
    if parts is None or sorted(task_sizes) == sorted(size for tasks, size in parts for _ in range(int(tasks))):
        return None
    return ", then ".join(f"{tasks} task{'' if tasks == 1 else 's'} of {size}" for tasks, size in parts)


@cache
def _content() -> dict[str, Any]:
    text = (resources.files(__name__) / "figures.json").read_text(encoding="utf-8")
    # Decimal keeps the digits as printed: 77.60 is not 77.6.
    content: dict[str, Any] = json.loads(text, parse_float=Decimal, parse_int=Decimal)
    return content
