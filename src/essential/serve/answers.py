"""What the API answers.

Names of fields and codes are the API's, and never change. FastAPI describes the models in /openapi.json.
"""

import secrets
from typing import Literal

from pydantic import BaseModel, Field

from essential.serve.messages import Kept, KnownClass, Learned, Step


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
