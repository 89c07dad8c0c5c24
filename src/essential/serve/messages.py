"""What the web process, its workers and the API's clients send each other, and how much of it; nothing heavy is loaded.

Names of fields and codes are the API's, and never change. FastAPI describes the models in /openapi.json.
"""

import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, Field

from essential.errors import ConfigError, EssentialError
from essential.protocols.video_walk import EXTENSIONS


@dataclass(frozen=True)
class Limits:
    """How much a client may ask for: of a clip (a side of its frames is in pixels), of a lesson, and at once.

    A ConfigError if a number is not positive.
    """

    clip_mb: int = 100
    clip_seconds: float = 600
    side: int = 3840
    clip_work_seconds: float = 60
    lesson_clips: int = 200
    waiting_lessons: int = 8
    uploads: int = 64  # that come in or wait for an answer
    silence_seconds: float = 30  # until an upload goes on
    upload_seconds: float = 1800
    live_frames: int = 64  # of one request
    live_mb: int = 16  # of these together
    live_pixels: int = 1920 * 1080  # of a frame
    live_sessions: int = 8
    live_silence_seconds: float = 60  # until a session is forgotten
    live_window_seconds: float = 60

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not value > 0:
                raise ConfigError(f"a limit of {value} ({name}) is not allowed; give a number above 0")

    @property
    def clip_bytes(self) -> int:
        """Of one clip's file."""
        return self.clip_mb * 1024**2

    @property
    def lesson_bytes(self) -> int:
        """Of a lesson's clips together, as ten of the largest have."""
        return 10 * self.clip_bytes

    @property
    def extensions(self) -> list[str]:
        """Of the files that are taken for clips in a folder."""
        return sorted(EXTENSIONS)

    @property
    def live_bytes(self) -> int:
        """Of the frames of one request together."""
        return self.live_mb * 1024**2


@dataclass(frozen=True)
class Setup:
    """What a worker loads. `begin_with`: the encoder of an empty bundle, which the first start writes if needed."""

    bundle: Path
    overrides: tuple[str, ...]
    begin_with: str | None
    limits: Limits
    spare_cores: int = 0  # for others, where there are more


@dataclass(frozen=True)
class Lesson:
    """A class to learn from clips, all in one folder; `more_of_known`: it may be a known one."""

    name: str
    clips: tuple[Path, ...]
    more_of_known: bool


@dataclass(frozen=True)
class LiveFrames:
    """The next frames of a camera, files in one folder, and when each came, in seconds by the client's clock."""

    session: str
    frames: tuple[Path, ...]
    times: tuple[float, ...]
    window_seconds: float


@dataclass(frozen=True)
class Step:
    """Progress of a phase; `total` is 0 while it is not known."""

    title: str
    done: int
    total: int
    note: str


@dataclass(frozen=True)
class KnownClass:
    """A class, and how many clips it was taught from."""

    name: str
    clips: int


@dataclass(frozen=True)
class Kept:
    """One thing that is kept of clips, in bytes."""

    kind: str
    name: str
    bytes: int


@dataclass(frozen=True)
class Knowledge:
    """The classes of a bundle, in order of arrival, all that it keeps of clips, and how many frames of one are read."""

    classes: tuple[KnownClass, ...] = ()
    memory: tuple[Kept, ...] = ()
    encoder: str = ""
    method: str = ""
    lessons: int = 0
    frames_read: int = 0

    @property
    def names(self) -> list[str]:
        """Of the classes."""
        return [known.name for known in self.classes]


@dataclass(frozen=True)
class LeftOut:
    """A clip that a lesson did without, by its place in the request, from 1, and why."""

    clip: int
    reason: str


@dataclass(frozen=True)
class Learned:
    """The result of a lesson. `held_out_accuracy` is that on all clips held out so far."""

    clips: int
    left_out: tuple[LeftOut, ...]
    held_out_accuracy: float | None


# The result of a change of the bundle, with what is known then.
Change = tuple[Knowledge, Learned | None]


class Refusal(EssentialError):
    """A request cannot be answered, with the reason as the code for programs and as the message for people."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message
        # To be pickled by.
        self.args = status, code, message


def cannot_write(what: str, error: Exception) -> Refusal:
    """Return the refusal of what the disk refuses, with the system's reason, which names no folder of this machine."""
    cause = error if isinstance(error, OSError) else error.__cause__
    reason = cause.strerror if isinstance(cause, OSError) else None
    return Refusal(507, "cannot_write", f"{what}: {reason or 'the disk refuses'}")


class Problem(BaseModel):
    """Why a request was not answered."""

    code: str
    message: str


class Failure(BaseModel):
    """The form of every error."""

    error: Problem


class Scored(BaseModel):
    """A class and its probability."""

    label: str
    score: float


class ShortClip(BaseModel):
    """How many frames a clip has, fewer than are read of it: some were read several times."""

    frames: int
    frames_read: int


class Prediction(BaseModel):
    """The most probable classes of a clip, and the frames that the encoder saw, as data URIs.

    `unknown` says whether it looks like none of the classes, and `unknown_score` how far it is from all of them, above
    1 for unknown; both are null while too few clips are kept to tell. `short_clip` is null for a clip that has as many
    frames as are read.
    """

    label: str
    score: float
    top: list[Scored]
    unknown: bool | None
    unknown_score: float | None
    frames: list[str]
    short_clip: ShortClip | None = None


class FramesWanted(BaseModel):
    """How many seconds after one frame the next one is needed; more of them are passed over."""

    every_seconds: float


class FrameCounts(BaseModel):
    """Of a session: frames that came, those that an answer was made of, and those that were more than needed."""

    received: int
    used: int
    dropped: int


class LiveAnswer(BaseModel):
    """What the last `window_seconds` of a camera show; `ready` is false, and there is no label, until they are full.

    `unknown` and `unknown_score` are as of a clip. `latency_seconds` is the time from the request to the answer.
    """

    session: str
    ready: bool = False
    label: str | None = None
    score: float | None = None
    top: list[Scored] = []
    unknown: bool | None = None
    unknown_score: float | None = None
    window_seconds: float
    frames_wanted: FramesWanted
    frames: FrameCounts
    latency_seconds: float = 0


class Classes(BaseModel):
    """The classes known, in order of arrival."""

    classes: tuple[KnownClass, ...]
    lessons: int
    encoder: str
    method: str
    frames_read: int
    can_undo: bool
    bundle: str


class Memory(BaseModel):
    """All that is kept of clips, and the size of the bundle's file."""

    kept: tuple[Kept, ...]
    total_bytes: int
    bundle_bytes: int


class Job(BaseModel):
    """A lesson. `place` says how many are before it while it waits."""

    id: str = Field(default_factory=lambda: secrets.token_hex(8))
    name: str
    state: Literal["waiting", "running", "done", "failed"] = "waiting"
    place: int | None = None
    progress: Step | None = None
    result: Learned | None = None
    error: Problem | None = None

    @property
    def is_over(self) -> bool:
        """Whether nothing more happens to it."""
        return self.state in ("done", "failed")


class JobList(BaseModel):
    """Lessons, the oldest first; `bundle` is another text after every change of the bundle, whoever asked for it."""

    jobs: list[Job]
    bundle: str


class LimitsAnswer(BaseModel):
    """What may be sent; `extensions` are those of files that are videos in a folder."""

    clip_bytes: int
    clip_seconds: float
    side: int
    lesson_clips: int
    lesson_bytes: int
    extensions: list[str]


class Health(BaseModel):
    """That the service answers."""

    status: Literal["ready"]
    version: str
