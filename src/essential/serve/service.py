"""What the service does: answers predictions, and changes its bundle, one change at a time.

One worker predicts and another teaches, so that predictions go on during a lesson. A change is written beside the
bundle, takes its place, and is read by the worker that predicts before its next prediction.
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from anyio import to_thread

from essential.errors import FileSystemError
from essential.serve.jobs import Job, Jobs
from essential.serve.kept_bundle import KeptBundle
from essential.serve.messages import (
    Change,
    Forget,
    Knowledge,
    Learned,
    Predict,
    PredictionJson,
    Refusal,
    Reload,
    Request,
    Setup,
    Step,
    Teach,
)
from essential.serve.process import WorkerProcess
from essential.serve.uploads import remove

_LOG = logging.getLogger(__name__)
# Reading a bundle, or writing one.
_BUNDLE_SECONDS = 300


class Service:
    """A bundle that answers and learns.

    All but `start` and `close` are called from one event loop.

    Args:
        setup: the bundle and the limits.
        uploads: the folder that uploads go to.
    """

    def __init__(self, setup: Setup, uploads: Path) -> None:
        self.limits = setup.limits
        self.uploads = uploads
        self.jobs = Jobs()
        self._setup = setup
        # A lesson takes minutes, and a prediction should not wait for it: threads without a core of their own do.
        self._predictor, self._teacher = WorkerProcess(setup), WorkerProcess(replace(setup, spare_cores=1))
        self._kept: KeptBundle | None = None
        self._knowledge: Knowledge | None = None
        # They are first come, first served, which the locks of threads are not.
        self._predicting, self._changing = asyncio.Lock(), asyncio.Lock()
        self._waiting_predictions = 0
        self._predictor_is_behind = False
        self._line: asyncio.Queue[Job] = asyncio.Queue()

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

    async def predict(self, clip: Path, *, top_k: int) -> PredictionJson:
        """Say what a clip shows.

        Raises:
            Refusal: it cannot be read, or too many wait.
        """
        self.refuse_crowd()
        self._waiting_predictions += 1
        try:
            async with self._predicting:
                if self._predictor_is_behind:
                    self._predictor_is_behind = False
                    try:
                        await self._reload(self._predictor)
                    except Refusal:
                        self._predictor_is_behind = True
                        raise
                limit = self.limits.clip_work_seconds
                answer: PredictionJson = await self._ask(self._predictor, Predict(clip, top_k), seconds_limit=limit)
                return answer
        finally:
            self._waiting_predictions -= 1

    def refuse_crowd(self) -> None:
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
        waiting = len(self.jobs.waiting)
        if waiting >= self.limits.waiting_lessons:
            raise Refusal(503, "busy", f"{waiting} lessons wait already; send it again when one is done")

    def teach(self, job: Job) -> None:
        """Put a lesson in line.

        Raises:
            Refusal: too many wait, or the class is known.
        """
        self.refuse_lessons()
        self._refuse_known(job.request)
        self.jobs.add(job)
        self._line.put_nowait(job)

    async def give_lessons(self) -> None:
        """Give the lessons in line, one after the other, for ever."""
        while True:
            await self._give(await self._line.get())

    async def forget(self, name: str) -> None:
        """Forget a class.

        Raises:
            Refusal: there is no such class, or a lesson is under way.
        """
        self._refuse_during_lesson("forgotten")
        if name not in self.knowledge.names:
            raise Refusal(404, "no_such_class", f"there is no class {name!r} to forget")
        async with self._changing:
            await self._change(Forget(name, self.kept.new_path), seconds_limit=_BUNDLE_SECONDS)

    async def undo(self) -> None:
        """Put the bundle before the last change back.

        Raises:
            Refusal: there is none, or a lesson is under way.
        """
        self._refuse_during_lesson("undone")
        async with self._changing:
            await self._on_disk(self.kept.undo)
            self._predictor_is_behind = True
            self._knowledge = await self._reload(self._teacher)

    async def _on_disk(self, change: Callable[[], None]) -> None:
        try:
            await to_thread.run_sync(change)
        except (FileSystemError, OSError) as error:
            reason = str(error).replace(f"{self.kept.path.parent}/", "")
            raise Refusal(507, "cannot_write", f"the bundle is as it was: {reason}") from error

    async def _give(self, job: Job) -> None:
        job.state = "running"
        try:
            async with self._changing:
                # The lesson before may have taught it.
                self._refuse_known(job.request)
                limit, progress = self.limits.lesson_stall_seconds, partial(setattr, job, "progress")
                job.result = await self._change(job.request, seconds_limit=limit, progress=progress)
            job.state = "done"
        except Refusal as refusal:
            job.error, job.state = refusal, "failed"
        except Exception:
            _LOG.exception("a lesson failed for a reason that is not its clips'")
            job.error, job.state = Refusal(500, "internal", "the lesson failed; the service's log says why"), "failed"
        finally:
            await to_thread.run_sync(remove, job.folder)

    async def _change(
        self, request: Teach | Forget, *, seconds_limit: float, progress: Callable[[Step], None] | None = None
    ) -> Learned | None:
        """Have the teacher change the bundle, and put the new one in its place."""
        try:
            change: Change = await self._ask(self._teacher, request, seconds_limit=seconds_limit, progress=progress)
            await self._on_disk(self.kept.replace)
        except Refusal:
            # It may have learned what was not kept. A process that cannot read the bundle again is replaced.
            with suppress(Refusal):
                await self._reload(self._teacher)
            raise
        self._knowledge, learned = change
        self._predictor_is_behind = True
        return learned

    async def _reload(self, worker: WorkerProcess) -> Knowledge:
        knowledge: Knowledge = await self._ask(worker, Reload(), seconds_limit=_BUNDLE_SECONDS)
        return knowledge

    async def _ask(
        self,
        worker: WorkerProcess,
        request: Request,
        *,
        seconds_limit: float,
        progress: Callable[[Step], None] | None = None,
    ) -> Any:
        return await to_thread.run_sync(lambda: worker.ask(request, seconds_limit=seconds_limit, progress=progress))

    def _refuse_known(self, lesson: Teach) -> None:
        if lesson.name in self.knowledge.names and not lesson.more_of_known:
            raise Refusal(
                409,
                "class_known",
                f"the class {lesson.name!r} is known already; send more_of_known=true to teach it further clips, or "
                "forget it first",
            )

    def _refuse_during_lesson(self, what: str) -> None:
        if self.jobs.under_way:
            raise Refusal(409, "lesson_under_way", f"nothing can be {what} during a lesson; wait until it is over")
