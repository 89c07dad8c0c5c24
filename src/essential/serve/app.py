"""The web application: routes of the API and the page."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any

from fastapi import FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from essential import __version__
from essential.protocols.class_names import known_as
from essential.serve.answers import (
    Classes,
    Failure,
    Health,
    JobAnswer,
    JobList,
    LimitsAnswer,
    Memory,
    Prediction,
    classes_of,
    job_answer,
    limits_of,
    memory_of,
)
from essential.serve.form import Form, FormShape, read_form, too_large
from essential.serve.jobs import Job
from essential.serve.names import class_name
from essential.serve.page_files import page_files
from essential.serve.refusal import Refusal
from essential.serve.service import Service
from essential.serve.uploads import new_folder, remove

_API = "/api/v1"
_MOST_LABELS = 1000
_YES, _NO = ("true", "1", "yes", "on"), ("false", "0", "no", "off", "")
_CLIP = {"type": "string", "format": "binary"}


def build_app(service: Service) -> FastAPI:
    """Return the application of a service, which it ends with itself."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        lessons = asyncio.create_task(service.give_lessons())
        try:
            yield
        finally:
            lessons.cancel()
            # What waits for a worker hears that it is gone.
            service.close()
            with suppress(asyncio.CancelledError):
                await lessons

    app = FastAPI(
        title="essential",
        version=__version__,
        description="What clips show, and teaching new classes. Every error has the form of Failure.",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        responses={"4XX": {"model": Failure}, "5XX": {"model": Failure}},
    )
    _answer_errors(app)
    _add_questions(app, service)
    _add_predictions(app, service)
    _add_changes(app, service)
    _add_page(app)
    return app


def _answer_errors(app: FastAPI) -> None:
    @app.exception_handler(Refusal)
    async def refused(_: Request, refusal: Refusal) -> Response:
        return JSONResponse(refusal.as_json(), refusal.status)

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"][1:]))
        return await refused(_, Refusal(422, "bad_value", f"{where}: {first['msg']}; see /api for what is allowed"))

    @app.exception_handler(HTTPException)
    async def http(_: Request, error: HTTPException) -> Response:
        status = HTTPStatus(error.status_code)
        answer = await refused(_, Refusal(status, status.name.lower(), f"{status.phrase}; see /api for what there is"))
        answer.headers.update(error.headers or {})
        return answer

    @app.exception_handler(Exception)
    async def internal(_: Request, __: Exception) -> Response:
        return await refused(_, Refusal(500, "internal", "the service failed; its log says why"))


def _add_questions(app: FastAPI, service: Service) -> None:
    @app.get(f"{_API}/health")
    async def health() -> Health:
        """Say that the service answers; needs no token."""
        return Health(status="ready", version=__version__)

    @app.get(f"{_API}/limits")
    async def limits() -> LimitsAnswer:
        """Say what may be sent."""
        return limits_of(service)

    @app.get(f"{_API}/classes")
    async def classes() -> Classes:
        """Say what is known."""
        return classes_of(service)

    @app.get(f"{_API}/memory")
    async def memory() -> Memory:
        """Say what is kept of the clips that were taught."""
        return memory_of(service)

    @app.get(f"{_API}/jobs")
    async def jobs() -> JobList:
        """List the lessons since the service began."""
        return JobList(jobs=[job_answer(service, job) for job in service.jobs])

    @app.get(f"{_API}/jobs/{{job_id}}")
    async def job(job_id: str) -> JobAnswer:
        """Say how far a lesson is."""
        return job_answer(service, service.jobs.find(job_id))


def _add_predictions(app: FastAPI, service: Service) -> None:
    uploads = asyncio.Semaphore(service.limits.uploads)

    @app.post(f"{_API}/predict", openapi_extra=_form_schema({"clip": _CLIP}, ["clip"]))
    async def predict(request: Request, top_k: Annotated[int, Query(ge=1, le=_MOST_LABELS)] = 5) -> Prediction:
        """Say what the clip of the part `clip` shows."""
        service.refuse_crowd()
        folder = new_folder(service.uploads)
        try:
            shape = FormShape("clip", most_files=1, most_bytes=service.limits.clip_bytes)
            form = await _received(request, folder, shape, service, uploads)
            return Prediction.model_validate(await service.predict(form.clips[0], top_k=top_k))
        finally:
            remove(folder)

    @app.post(
        f"{_API}/teach",
        status_code=202,
        openapi_extra=_form_schema(
            {
                "class": {"type": "string"},
                "clips": {"type": "array", "items": _CLIP},
                "more_of_known": {"type": "boolean", "default": False},
            },
            ["class", "clips"],
        ),
    )
    async def teach(request: Request) -> JobAnswer:
        """Teach the class of the part `class` from the clips of the parts `clips`; the answer is a job.

        A known class is refused, unless `more_of_known` is true: the clips are then added to it.
        """
        service.refuse_lesson()
        folder = new_folder(service.uploads)
        try:
            limits = service.limits
            shape = FormShape("clips", limits.lesson_clips, limits.lesson_bytes, ("class", "more_of_known"))
            form = await _received(request, folder, shape, service, uploads)
            job = _job(form, folder, service.knowledge.classes)
            service.teach(job)
        except BaseException:
            remove(folder)
            raise
        return job_answer(service, job)


def _add_changes(app: FastAPI, service: Service) -> None:
    @app.delete(f"{_API}/classes")
    async def forget(name: str) -> Classes:
        """Forget a class: what is kept of its clips is deleted, and it is never answered again."""
        await service.forget(known_as(name, service.knowledge.classes))
        return classes_of(service)

    @app.post(f"{_API}/undo")
    async def undo() -> Classes:
        """Put the bundle before the last lesson or forgetting back."""
        await service.undo()
        return classes_of(service)


def _add_page(app: FastAPI) -> None:
    for path, (content, media_type) in page_files().items():
        app.add_route(path, _file(content, media_type), methods=["GET"], include_in_schema=False)


def _file(content: bytes, media_type: str) -> Callable[[Request], Awaitable[Response]]:
    async def answer(_: Request) -> Response:
        return Response(content, media_type=media_type)

    return answer


async def _received(
    request: Request, folder: Path, shape: FormShape, service: Service, uploads: asyncio.Semaphore
) -> Form:
    """Read the form of a request into a folder."""
    declared = request.headers.get("content-length", "0")
    if declared.isdigit() and int(declared) > shape.most_body_bytes:
        raise too_large("what was sent", shape.most_bytes)
    if uploads.locked():
        raise Refusal(503, "busy", f"{service.limits.uploads} uploads come in already; send it again later")
    async with uploads:
        try:
            content_type = request.headers.get("content-type", "")
            return await read_form(content_type, request.stream(), folder, shape=shape, limits=service.limits)
        except ClientDisconnect as error:
            raise Refusal(400, "bad_form", "the upload was broken off") from error


def _job(form: Form, folder: Path, known: Iterable[str]) -> Job:
    if "class" not in form.texts:
        raise Refusal(422, "missing_part", "the class has no name; send it as the part 'class'")
    more = form.texts.get("more_of_known", "").strip().lower()
    if more not in (*_YES, *_NO):
        raise Refusal(422, "bad_value", f"more_of_known: {more[:20]!r} is not allowed; send true or false")
    name = known_as(class_name(form.texts["class"]), known)
    return Job(name, tuple(form.clips), more in _YES, folder)


def _form_schema(parts: dict[str, Any], required: list[str]) -> dict[str, Any]:
    schema = {"type": "object", "properties": parts, "required": required}
    return {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schema}}}}
