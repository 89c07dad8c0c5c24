"""What a check of a protocol's videos found, as it stands in the JSON report."""

from typing import Literal

from essential.configs.schema import Section
from essential.protocols.protocol import Split

Kind = Literal["missing", "unreadable", "too short", "ambiguous"]
KINDS: tuple[Kind, ...] = ("missing", "unreadable", "too short", "ambiguous")


class Problem(Section):
    """Why a listed video cannot be used as it is. `file` is relative to the root."""

    kind: Kind
    video: str
    file: str
    task: int
    label: str
    split: Split
    reason: str


class Duplicate(Section):
    """Files with the same content, by the keys of the videos that are in them."""

    videos: tuple[tuple[str, ...], ...]
    size_bytes: int
    sha256: str


class Count(Section):
    """How many videos of a class and split there are; `problems` counts each video once."""

    task: int
    label: str
    split: Split
    listed: int
    problems: dict[Kind, int]

    @property
    def usable(self) -> int:
        """Videos without a problem."""
        return self.listed - sum(self.problems.values())


class Coverage(Section):
    """The share of a split's listed videos that can be used; none where none is listed."""

    listed: int
    usable: int
    share: float | None


class CheckedFile(Section):
    """What a file, or a folder of frames, is that can be read, as far as its packets and its first frame show.

    `file` is relative to the root, `videos` are the keys of the videos in it, `format` is the container or `frames`,
    the size is in pixels before any rotation, `rate` is in frames per second (None where the file does not say it), and
    `pictures` is the number of frames.
    """

    file: str
    videos: tuple[str, ...] = ()
    format: str
    codec: str
    width: int
    height: int
    rate: float | None = None
    pictures: int
    seconds: float | None = None
    size_bytes: int


class CheckReport(Section):
    """All that a check found.

    Attributes:
        frames: how many a video or segment must have.
        passed_over: how many files beside the videos were not taken, by reason.
        counts: by task and class, training before test.
        problems: in the order of the protocol.
        codecs: files by codec and container, such as `h264 (mp4)`.
        sizes: files by `width x height`.
        rates: files by frames per second.
        files: every file that could be read.
    """

    protocol: str
    protocol_id: str
    root: str
    frames: int
    passed_over: dict[str, int]
    coverage: dict[Split, Coverage]
    counts: tuple[Count, ...]
    problems: tuple[Problem, ...]
    duplicates: tuple[Duplicate, ...]
    codecs: dict[str, int]
    sizes: dict[str, int]
    rates: dict[str, int]
    files: tuple[CheckedFile, ...]

    @property
    def clean(self) -> bool:
        """Whether every video can be used, and none is there twice."""
        return not self.problems and not self.duplicates
