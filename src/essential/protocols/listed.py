"""A video as an annotation list names it, before anybody has looked for the file."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

from essential.protocols.protocol import Segment

ListedSplit = Literal["train", "val", "test"]


class ListedVideo(NamedTuple):
    """One entry of a list: `name` as it is written there, with or without folder and extension."""

    name: str
    label: str
    split: ListedSplit
    segment: Segment | None = None


class ListedData(NamedTuple):
    """What a list says of a data set; see `Listing` for what the attributes mean."""

    listed: Sequence[ListedVideo]
    classes: tuple[str, ...]
    groups: tuple[tuple[str, ...], ...] | None = None
    sha256: str | None = None
