"""The service: answers predictions, and changes its bundle, one change at a time.

One worker predicts and another learns, so that predictions go on during a lesson. A change is written beside the
bundle and takes its place; the worker that predicts is replaced before its next prediction.
"""

import asyncio
import logging
import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from anyio import to_thread

from essential.errors import FileSystemError
from essential.serve.kept_bundle import KeptBundle
from essential.serve.messages import (
    Change,
    Forget,
    Knowledge,
    Learned,
    Predict,
    Prediction,
    Refusal,
    Setup,
    State,
    Step,
    Teach,
    cannot_write,
)
from essential.serve.uploads import remove
from essential.serve.worker import ServiceError, Worker

_LOG = logging.getLogger(__name__)
_FORGET_SECONDS = 300
_REMEMBERED_JOBS = 200


@dataclass
class Job:
    """A lesson, its clips in `folder` until it is over, and how far it is."""

    request: Teach
    folder: Path
    id: str = field(default_factory=lambda: secrets.token_hex(8))
    state: State = "waiting"
    progress: Step | None = None
    result: Learned | None = None
    error: Refusal | None = None

    @property
    def is_over(self) -> bool:
        """Whether nothing more happens to it."""
        return self.state in ("done", "failed")


class Service:
    """A bundle that answers and learns. All but `start` and `close` are called from one event loop.

    Args:
        setup: the bundle and the limits.
        uploads: the folder that uploads go to.

    Attributes:
        jobs: the lessons by their ids, the oldest first; of those that are over, the last ones.
        uploading: held while an upload comes in, by as many as the limits allow.
    """

    def __init__(self, setup: Setup, uploads: Path) -> None:
        self.limits = setup.limits
        self.uploads = uploads
        self.uploading = asyncio.Semaphore(setup.limits.uploads)
        self.jobs: dict[str, Job] = {}
        self._setup = setup
        # A lesson takes minutes. It leaves a core to predictions, which are not to wait for it.
        self._predictor, self._teacher = Worker(setup), Worker(replace(setup, spare_cores=1))
        self._kept: KeptBundle | None = None
        self._knowledge: Knowledge | None = None
        # Fair locks (FIFO), which those of threads are not.
        self._predicting, self._changing = asyncio.Lock(), asyncio.Lock()
        self._waiting_predictions = 0
        self._predictor_is_behind = False
        self._queue: asyncio.Queue[Job] = asyncio.Queue()

    def start(self) -> None:
        """Start the workers and wait until they are ready.

        Raises:
            ServiceError: the bundle cannot be used.
        """
        self._knowledge = self._teacher.start()
        self._kept = KeptBundle(self._setup.bundle)
        self._predictor.start()

    def close(self) -> None:
        """End the workers, whatever they do."""
        self._predictor.close()
        self._teacher.close()

    @property
    def knowledge(self) -> Knowledge:
        """What the bundle knows."""
        assert self._knowledge is not None, "it was started"
        return self._knowledge

    @property
    def kept(self) -> KeptBundle:
        """The bundle's file."""
        assert self._kept is not None, "it was started"
        return self._kept

    @property
    def waiting(self) -> list[Job]:
        """The lessons that wait, the next one first."""
        return [job for job in self.jobs.values() if job.state == "waiting"]

    async def predict(self, clip: Path, *, top_k: int) -> Prediction:
        """Classify a clip.

        Raises:
            Refusal: it cannot be read, or too many wait.
        """
        self.refuse_predictions()
        self._waiting_predictions += 1
        try:
            async with self._predicting:
                if self._predictor_is_behind:
                    self._predictor_is_behind = False
                    await _restarted(self._predictor)
                seconds = self.limits.clip_work_seconds
                answer: Prediction = await _ask(self._predictor, Predict(clip, top_k), seconds_limit=seconds)
                return answer
        finally:
            self._waiting_predictions -= 1

    def refuse_predictions(self) -> None:
        """Refuse a prediction if too many wait.

        Raises:
            Refusal: they do.
        """
        if self._waiting_predictions >= self.limits.waiting_predictions:
            raise Refusal(503, "busy", f"{self._waiting_predictions} predictions wait already; send it again later")

    def refuse_lessons(self) -> None:
        """Refuse a lesson if too many wait.

        Raises:
            Refusal: they do.
        """
        waiting = len(self.waiting)
        if waiting >= self.limits.waiting_lessons:
            raise Refusal(503, "busy", f"{waiting} lessons wait already; send it again when one is done")

    def teach(self, job: Job) -> None:
        """Queue a lesson.

        Raises:
            Refusal: too many wait, or the class is known.
        """
        self.refuse_lessons()
        self._refuse_known(job.request)
        self.jobs[job.id] = job
        over = [each.id for each in self.jobs.values() if each.is_over]
        for old in over[:-_REMEMBERED_JOBS]:
            del self.jobs[old]
        self._queue.put_nowait(job)

    def job(self, job_id: str) -> Job:
        """Return a lesson.

        Raises:
            Refusal: there is none of that id.
        """
        if job_id not in self.jobs:
            message = f"there is no job {job_id!r}; the last {_REMEMBERED_JOBS} are remembered until the service ends"
            raise Refusal(404, "no_such_job", message)
        return self.jobs[job_id]

    async def give_lessons(self) -> None:
        """Give the queued lessons, one after the other, for ever."""
        while True:
            await self._give(await self._queue.get())

    async def forget(self, name: str) -> None:
        """Forget a class.

        Raises:
            Refusal: there is no such class, or a lesson is under way.
        """
        self._refuse_during_lesson("forgotten")
        if name not in self.knowledge.names:
            raise Refusal(404, "no_such_class", f"there is no class {name!r} to forget")
        async with self._changing:
            await self._change(Forget(name, self.kept.new_path), seconds_limit=_FORGET_SECONDS)

    async def undo(self) -> None:
        """Put the bundle before the last change back.

        Raises:
            Refusal: there is none, or a lesson is under way.
        """
        self._refuse_during_lesson("undone")
        async with self._changing:
            await _on_disk(self.kept.undo)
            self._predictor_is_behind = True
            self._knowledge = await _restarted(self._teacher)

    async def _give(self, job: Job) -> None:
        job.state = "running"
        try:
            async with self._changing:
                # The lesson before may have taught it.
                self._refuse_known(job.request)
                seconds, progress = self.limits.lesson_stall_seconds, partial(setattr, job, "progress")
                job.result = await self._change(job.request, seconds_limit=seconds, progress=progress)
            job.state = "done"
        except Refusal as refusal:
            job.error, job.state = refusal, "failed"
        except Exception:
            _LOG.exception("a lesson failed for a reason that is not its clips'")
            job.error, job.state = Refusal(500, "internal", "the lesson failed; the service's log says why"), "failed"
        finally:
            await to_thread.run_sync(remove, job.folder)

    async def _change(self, request: Teach | Forget, **limits: Any) -> Learned | None:
        """Have the bundle changed by the worker that learns, and put the new one in its place."""
        try:
            change: Change = await _ask(self._teacher, request, **limits)
            await _on_disk(self.kept.replace)
        except Refusal:
            # The worker may have learned what is not kept. One that cannot read the bundle is replaced when next asked.
            with suppress(Refusal):
                await _restarted(self._teacher)
            raise
        self._knowledge, learned = change
        self._predictor_is_behind = True
        return learned

    def _refuse_known(self, lesson: Teach) -> None:
        if lesson.name in self.knowledge.names and not lesson.more_of_known:
            raise Refusal(
                409,
                "class_known",
                f"the class {lesson.name!r} is known already; send more_of_known=true to teach it further clips, or "
                "forget it first",
            )

    def _refuse_during_lesson(self, what: str) -> None:
        if any(not job.is_over for job in self.jobs.values()):
            raise Refusal(409, "lesson_under_way", f"nothing can be {what} during a lesson; wait until it is over")


async def _ask(worker: Worker, request: Predict | Teach | Forget, **limits: Any) -> Any:
    return await to_thread.run_sync(partial(worker.ask, request, **limits))


async def _restarted(worker: Worker) -> Knowledge:
    """Let a worker read the bundle again."""
    try:
        return await to_thread.run_sync(worker.start)
    except ServiceError as error:
        raise Refusal(503, "not_ready", str(error)) from error


async def _on_disk(change: Callable[[], None]) -> None:
    try:
        await to_thread.run_sync(change)
    except (FileSystemError, OSError) as error:
        raise cannot_write("the bundle is as it was", error) from error
