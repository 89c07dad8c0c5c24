"""The answers of the API, as JSON models; FastAPI describes them in /openapi.json."""

from typing import Literal

from pydantic import BaseModel

from essential.serve.jobs import Job, State
from essential.serve.service import Service


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


class KnownClass(BaseModel):
    """A class, and how many clips it was taught from."""

    name: str
    clips: int


class Classes(BaseModel):
    """What is known, in order of arrival."""

    classes: list[KnownClass]
    lessons: int
    encoder: str
    method: str
    can_undo: bool
    bundle: str


class Kept(BaseModel):
    """One thing that is kept of clips, in bytes."""

    kind: str
    name: str
    bytes: int


class Memory(BaseModel):
    """All that is kept of clips, and the size of the bundle's file."""

    kept: list[Kept]
    total_bytes: int
    bundle_bytes: int


class Step(BaseModel):
    """How far a lesson is: steps of a phase; `total` is 0 while it is not known."""

    title: str
    done: int
    total: int
    note: str


class LeftOut(BaseModel):
    """A clip that a lesson went on without, by its place in the request, from 1, and why."""

    clip: int
    reason: str


class Learned(BaseModel):
    """What a lesson gave. `held_out_accuracy` is that on all clips held out so far."""

    clips: int
    left_out: list[LeftOut]
    held_out_accuracy: float | None


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


def classes_of(service: Service) -> Classes:
    """Return what a service knows."""
    known = service.knowledge
    return Classes(
        classes=[KnownClass(name=name, clips=clips) for name, clips in known.classes.items()],
        lessons=known.lessons,
        encoder=known.encoder,
        method=known.method,
        can_undo=service.kept.can_undo,
        bundle=service.kept.path.name,
    )


def memory_of(service: Service) -> Memory:
    """Return what a service keeps."""
    kept = [Kept(kind=kind, name=name, bytes=count) for kind, name, count in service.knowledge.memory]
    return Memory(kept=kept, total_bytes=sum(entry.bytes for entry in kept), bundle_bytes=service.kept.bytes)


def limits_of(service: Service) -> LimitsAnswer:
    """Return what may be sent to a service."""
    limits = service.limits
    return LimitsAnswer(
        clip_bytes=limits.clip_bytes,
        clip_seconds=limits.clip_seconds,
        side=limits.side,
        lesson_clips=limits.lesson_clips,
        lesson_bytes=limits.lesson_bytes,
    )


def job_answer(service: Service, job: Job) -> JobAnswer:
    """Return how far a lesson is."""
    step, result = job.progress, job.result
    return JobAnswer(
        id=job.id,
        name=job.name,
        state=job.state,
        place=service.jobs.waiting.index(job) if job.state == "waiting" else None,
        progress=None if step is None else Step(title=step.title, done=step.done, total=step.total, note=step.note),
        result=None
        if result is None
        else Learned(
            clips=result.clips,
            left_out=[LeftOut(clip=place + 1, reason=reason) for place, reason in result.left_out.items()],
            held_out_accuracy=result.held_out_accuracy,
        ),
        error=None if job.refusal is None else Problem(code=job.refusal.code, message=job.refusal.message),
    )
