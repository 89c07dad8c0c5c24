"""The service: answers predictions, and changes its bundle, one change at a time.

One worker predicts and another learns, so that predictions go on during a lesson. A change is written beside the
bundle and takes its place; the worker that predicts is replaced before its next prediction.
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from operator import methodcaller
from pathlib import Path
from typing import Any

from anyio import to_thread

from essential.errors import FileSystemError
from essential.serve.answers import Job, LiveAnswer, Prediction, Problem
from essential.serve.kept_bundle import KeptBundle
from essential.serve.messages import (
    Change,
    Knowledge,
    Learned,
    Lesson,
    LiveFrames,
    Refusal,
    Setup,
    cannot_write,
)
from essential.serve.uploads import remove
from essential.serve.worker import ServiceError, Worker, not_ready

_LOG = logging.getLogger(__name__)
_CHANGE_SECONDS = 300
# How long a lesson may stand still, in the time for one clip.
_MOST_STILL = 10
_REMEMBERED_JOBS = 200
# Refusals after which the worker's learner is as it was.
_NOTHING_CHANGED = ("no_clip_readable", "lesson_failed", "rename_failed")


class Service:
    """A bundle that answers and learns. All but `start` and `close` are called from one event loop.

    `jobs` are the lessons by their ids, the oldest first; of those that are over, the last ones. `lost` are those that
    were not over when it was closed.
    """

    def __init__(self, setup: Setup, uploads: Path) -> None:
        self.limits = setup.limits
        self.uploads = uploads
        # Held by each request with clips until it is answered or queued.
        self.uploading = asyncio.Semaphore(setup.limits.uploads)
        self.knowledge = Knowledge()
        # From `start` on: it reads the whole file, which a worker has found to be a bundle by then.
        self.kept: KeptBundle
        self._bundle = setup.bundle
        self.jobs: dict[str, Job] = {}
        self.lost: list[Job] = []
        # A lesson takes minutes: it leaves a core to predictions. The teacher starts first, and begins a new bundle.
        self._teacher = Worker(replace(setup, spare_cores=1))
        self._predictor = Worker(replace(setup, begin_with=None))
        # Fair locks (FIFO), which those of threads are not.
        self._predicting, self._changing = asyncio.Lock(), asyncio.Lock()
        self._predictor_is_behind = False
        self._queue: asyncio.Queue[tuple[Job, Lesson]] = asyncio.Queue()

    def start(self) -> None:
        """Start the workers and wait until they are ready; raise a `ServiceError` if they cannot use the bundle."""
        self.knowledge = self._teacher.start()
        self.kept = KeptBundle(self._bundle)
        self._predictor.start()

    def close(self) -> None:
        """End the workers, whatever they do."""
        self.lost = self.lost or [job for job in self.jobs.values() if not job.is_over]
        self._predictor.close()
        self._teacher.close()

    async def predict(self, clip: Path, *, top_k: int) -> Prediction:
        """Classify a clip, or raise the `Refusal` that says why not."""
        answer: Prediction = await self._predicted(methodcaller("predict", clip, top_k=top_k))
        return answer

    async def live(self, frames: LiveFrames) -> LiveAnswer:
        """Take the next frames of a camera, and return what it shows, or raise the `Refusal` that says why not."""
        answer: LiveAnswer = await self._predicted(methodcaller("live", frames))
        return answer

    async def _predicted(self, call: Callable[[Any], object]) -> Any:
        async with self._predicting:
            if self._predictor_is_behind:
                self._predictor_is_behind = False
                await _restarted(self._predictor)
            seconds = self.limits.clip_work_seconds
            return await to_thread.run_sync(partial(self._predictor.ask, call, seconds_limit=seconds))

    def refuse_lessons(self) -> int:
        """Return how many lessons wait, or raise a `Refusal` if they are too many."""
        waiting = sum(job.state == "waiting" for job in self.jobs.values())
        if waiting >= self.limits.waiting_lessons:
            raise Refusal(503, "busy", f"{waiting} lessons wait already; send it again when one is done")
        return waiting

    def teach(self, lesson: Lesson) -> Job:
        """Queue a lesson, whose folder is removed when it is over, or raise a `Refusal`."""
        job = Job(name=lesson.name, place=self.refuse_lessons())
        self._refuse_known(lesson)
        self.jobs[job.id] = job
        over = [each.id for each in self.jobs.values() if each.is_over]
        for old in over[:-_REMEMBERED_JOBS]:
            del self.jobs[old]
        self._queue.put_nowait((job, lesson))
        return job

    def job(self, job_id: str) -> Job:
        """Return a lesson, or raise a `Refusal` if there is none of that id."""
        if job_id not in self.jobs:
            message = f"there is no job {job_id!r}; the last {_REMEMBERED_JOBS} are remembered until the service ends"
            raise Refusal(404, "no_such_job", message)
        return self.jobs[job_id]

    async def give_lessons(self) -> None:
        """Give the queued lessons, one after the other, for ever."""
        while True:
            job, lesson = await self._queue.get()
            job.state, job.place = "running", None
            for other in self.jobs.values():
                other.place = other.place - 1 if other.place else other.place
            try:
                await self._give(job, lesson)
                job.state = "done"
            except Refusal as refusal:
                job.error, job.state = Problem(code=refusal.code, message=refusal.message), "failed"
            except Exception:
                _LOG.exception("a lesson failed for a reason that is not its clips'")
                message = "the lesson failed; the service's log says why"
                job.error, job.state = Problem(code="internal", message=message), "failed"
            finally:
                await to_thread.run_sync(remove, lesson.clips[0].parent)

    async def forget(self, name: str) -> None:
        """Forget a class, or raise a `Refusal`."""
        self._refuse_during_lesson("forgotten")
        async with self._changing:
            # The change before may have been of the same class.
            self._refuse_unknown(name)
            await self._change(methodcaller("forget", name, self.kept.new_path), seconds_limit=_CHANGE_SECONDS)

    async def rename(self, name: str, to: str, *, merge: bool) -> None:
        """Give a class another name, or with `merge` that of another class, or raise a `Refusal`."""
        self._refuse_during_lesson("renamed")
        async with self._changing:
            self._refuse_unknown(name)
            if to in self.knowledge.names and to != name and not merge:
                message = f"the class {to!r} is known already; send merge=true to make them one"
                raise Refusal(409, "class_known", message)
            call = methodcaller("rename", name, to, merge=merge, target=self.kept.new_path)
            await self._change(call, seconds_limit=_CHANGE_SECONDS)

    async def undo(self) -> None:
        """Put the bundle before the last change back, or raise a `Refusal`."""
        self._refuse_during_lesson("undone")
        async with self._changing:
            await _on_disk(self.kept.undo)
            self._predictor_is_behind = True
            self.knowledge = await _restarted(self._teacher)

    async def _give(self, job: Job, lesson: Lesson) -> None:
        async with self._changing:
            # The lesson before may have taught it.
            self._refuse_known(lesson)
            job.result = await self._change(
                methodcaller("teach", lesson, self.kept.new_path),
                seconds_limit=_MOST_STILL * self.limits.clip_work_seconds,
                progress=partial(setattr, job, "progress"),
            )

    async def _change(self, call: Callable[[Any], Change], **limits: Any) -> Learned | None:
        """Have the bundle changed by the worker that learns, and put the new one in its place."""
        try:
            change: Change = await to_thread.run_sync(partial(self._teacher.ask, call, **limits))
            await _on_disk(self.kept.replace)
        except Refusal as refusal:
            # The worker may have learned what is not kept. One that cannot read the bundle is replaced when next asked.
            if refusal.code not in _NOTHING_CHANGED:
                with suppress(Refusal):
                    await _restarted(self._teacher)
            raise
        self.knowledge, learned = change
        self._predictor_is_behind = True
        return learned

    def _refuse_known(self, lesson: Lesson) -> None:
        if lesson.name in self.knowledge.names and not lesson.more_of_known:
            remedy = "send more_of_known=true to teach it further clips, or forget it first"
            raise Refusal(409, "class_known", f"the class {lesson.name!r} is known already; {remedy}")

    def _refuse_unknown(self, name: str) -> None:
        if name not in self.knowledge.names:
            raise Refusal(404, "no_such_class", f"there is no class {name!r}; it may have been forgotten or renamed")

    def _refuse_during_lesson(self, what: str) -> None:
        if not all(job.is_over for job in self.jobs.values()):
            raise Refusal(409, "lesson_under_way", f"nothing can be {what} during a lesson; wait until it is over")


async def _restarted(worker: Worker) -> Knowledge:
    """Let a worker read the bundle again."""
    try:
        return await to_thread.run_sync(worker.start)
    except ServiceError as error:
        raise not_ready(error) from error


async def _on_disk(change: Callable[[], None]) -> None:
    try:
        await to_thread.run_sync(change)
    except (FileSystemError, OSError) as error:
        raise cannot_write("the bundle is as it was", error) from error
