"""The answers of the API, as JSON models; FastAPI describes them in /openapi.json."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

from essential.serve.jobs import State
from essential.serve.messages import Kept, KnownClass, Learned, Step


class Problem(BaseModel):
    """Why a request was not answered."""

    model_config = ConfigDict(from_attributes=True)

    code: str
    message: str


class Failure(BaseModel):
    """The form of every error."""

    error: Problem


class Scored(BaseModel):
    """A class and its probability."""

    label: str
    score: float


class Prediction(BaseModel):
    """What a clip shows: the most probable class, and the frames that the encoder saw, as data URIs.

    `unknown` says whether it looks like none of the classes, and `unknown_score` how far it is from all of them, above
    1 for unknown; both are null while too few clips are kept to tell.
    """

    label: str
    score: float
    top: list[Scored]
    unknown: bool | None
    unknown_score: float | None
    frames: list[str]


class Classes(BaseModel):
    """What is known, in order of arrival."""

    classes: tuple[KnownClass, ...]
    lessons: int
    encoder: str
    method: str
    can_undo: bool
    bundle: str


class Memory(BaseModel):
    """All that is kept of clips, and the size of the bundle's file."""

    kept: tuple[Kept, ...]
    total_bytes: int
    bundle_bytes: int


class JobAnswer(BaseModel):
    """A lesson. `place` says how many are before it while it waits."""

    id: str
    name: str
    state: State
    place: int | None
    progress: Step | None
    result: Learned | None
    error: Problem | None


class JobList(BaseModel):
    """Lessons, the oldest first."""

    jobs: list[JobAnswer]


class LimitsAnswer(BaseModel):
    """What may be sent."""

    clip_bytes: int
    clip_seconds: float
    side: int
    lesson_clips: int
    lesson_bytes: int


class Health(BaseModel):
    """That the service answers."""

    status: Literal["ready"]
    version: str
