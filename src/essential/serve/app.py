"""The web application: routes of the API and the page."""

import asyncio
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any, TypeVar

from fastapi import FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, Response
from fastapi.staticfiles import StaticFiles
from pydantic import Field, TypeAdapter, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from essential.errors import DataError
from essential.protocols.class_names import class_name, known_as
from essential.serve.access import error_response
from essential.serve.answers import (
    Classes,
    Failure,
    Health,
    Job,
    JobList,
    LimitsAnswer,
    LiveAnswer,
    Memory,
    Prediction,
)
from essential.serve.messages import Lesson, Limits, LiveFrames, Refusal
from essential.serve.service import Service
from essential.serve.uploads import Form, new_folder, remove
from essential.version import __version__

_API = "/api/v1"
_PAGE = Path(__file__).parent / "page"
_MOST_LABELS = 1000
_LONGEST_NAME = 100
_WINDOW_SECONDS = 2.0
_YES, _NO = ("true", "1", "yes", "on"), ("false", "0", "no", "off", "")
_CLIP: dict[str, Any] = {"type": "string", "format": "binary"}
_LESSON: dict[str, dict[str, Any]] = {
    "class": {"type": "string"},
    "clips": {"type": "array", "items": _CLIP},
    "more_of_known": {"type": "boolean", "default": False},
}
_LIVE: dict[str, dict[str, Any]] = {
    "session": {"type": "string", "pattern": "^[A-Za-z0-9]{8,64}$"},
    "times": {"type": "string", "description": "A JSON list of seconds, one a frame, that grow within the session."},
    "window_seconds": {"type": "number", "default": _WINDOW_SECONDS},
    "frames": {"type": "array", "items": {**_CLIP, "description": "JPEG, PNG or WebP"}},
}
_Seconds = Annotated[float, Field(ge=0, le=1e12, allow_inf_nan=False)]
_SECONDS, _TIMES = TypeAdapter[float](_Seconds), TypeAdapter[tuple[float, ...]](tuple[_Seconds, ...])

Value = TypeVar("Value")


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
        description="Classify clips, and teach new classes. Every error has the form of Failure.",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        responses={"4XX": {"model": Failure}, "5XX": {"model": Failure}},
        exception_handlers=dict.fromkeys((Refusal, RequestValidationError, HTTPException, Exception), _failed),
    )
    _add_plain_routes(app, service)
    _add_routes_with_clips(app, service)
    app.add_route("/", lambda _: FileResponse(_PAGE / "index.html"), include_in_schema=False)
    app.add_route("/api", lambda _: FileResponse(_PAGE / "api.html"), include_in_schema=False)
    app.mount("/page", StaticFiles(directory=_PAGE))
    return app


async def _failed(_: Request, error: Exception) -> Response:
    match error:
        case Refusal():
            return error_response(error)
        case RequestValidationError():
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"][1:]))
            return error_response(Refusal(422, "bad_value", f"{where}: {first['msg']}; see /api for what is allowed"))
        case HTTPException():
            status = HTTPStatus(error.status_code)
            refusal = Refusal(status, status.name.lower(), f"{status.phrase}; see /api for what there is")
            return error_response(refusal, error.headers)
    return error_response(Refusal(500, "internal", "the service failed; its log says why"))


def _add_plain_routes(app: FastAPI, service: Service) -> None:
    @app.get(f"{_API}/health")
    async def health() -> Health:
        """Say that the service answers; needs no token."""
        return Health(status="ready", version=__version__)

    @app.get(f"{_API}/limits")
    async def limits() -> LimitsAnswer:
        """Return what may be sent."""
        return LimitsAnswer.model_validate(service.limits, from_attributes=True)

    @app.get(f"{_API}/classes")
    async def classes() -> Classes:
        """Return the known classes."""
        return _classes(service)

    @app.get(f"{_API}/memory")
    async def memory() -> Memory:
        """Return what is kept of the clips that were taught."""
        kept, bundle = service.knowledge.memory, service.kept.path
        return Memory(kept=kept, total_bytes=sum(part.bytes for part in kept), bundle_bytes=bundle.stat().st_size)

    @app.get(f"{_API}/jobs")
    async def jobs() -> JobList:
        """List the lessons since the service began."""
        return JobList(jobs=list(service.jobs.values()), bundle=service.kept.state)

    @app.get(f"{_API}/jobs/{{job_id}}")
    async def job(job_id: str) -> Job:
        """Return how far a lesson is."""
        return service.job(job_id)

    @app.delete(f"{_API}/classes")
    async def forget(name: str) -> Classes:
        """Forget a class: what is kept of its clips is deleted, and it is never answered again."""
        await service.forget(known_as(name, service.knowledge.names))
        return _classes(service)

    @app.post(f"{_API}/classes/rename")
    async def rename(name: str, to: str, merge: bool = False) -> Classes:
        """Give a class another name; `to` may be a known class if `merge` is true: the two become one."""
        known = service.knowledge.names
        await service.rename(known_as(name, known), known_as(_class_name(to, "the new name"), known), merge=merge)
        return _classes(service)

    @app.post(f"{_API}/undo")
    async def undo() -> Classes:
        """Put the bundle before the last change back."""
        await service.undo()
        return _classes(service)


def _add_routes_with_clips(app: FastAPI, service: Service) -> None:
    limits = service.limits

    @app.post(f"{_API}/predict", openapi_extra=_form_schema(clip=_CLIP))
    async def predict(request: Request, top_k: Annotated[int, Query(ge=1, le=_MOST_LABELS)] = 5) -> Prediction:
        """Classify the clip of the part `clip`."""
        async with _received(request, service, file="clip", most_files=1, most_bytes=limits.clip_bytes) as form:
            return await service.predict(form.clips[0], top_k=top_k)

    @app.post(f"{_API}/live", openapi_extra=_form_schema(**_LIVE))
    async def live(request: Request) -> LiveAnswer:
        """Recognise what a camera shows, from its next frames; send some more every half second.

        A session is forgotten after a minute of silence. After a lesson it begins anew.
        """
        began = time.monotonic()
        shape = {"file": "frames", "most_files": limits.live_frames, "most_bytes": limits.live_bytes}
        async with _received(request, service, texts=("session", "times", "window_seconds"), **shape) as form:
            answer = await service.live(_live_frames(form, limits))
        return answer.model_copy(update={"latency_seconds": time.monotonic() - began})

    @app.post(f"{_API}/teach", status_code=202, openapi_extra=_form_schema(**_LESSON))
    async def teach(request: Request) -> Job:
        """Teach the class of the part `class` from the clips of the parts `clips`; the answer is a job.

        A known class is refused, unless `more_of_known` is true: the clips are then added to it.
        """
        service.refuse_lessons()
        most = {"most_files": limits.lesson_clips, "most_bytes": limits.lesson_bytes}
        async with _received(request, service, file="clips", texts=("class", "more_of_known"), **most) as form:
            job = service.teach(_lesson(form, service.knowledge.names))
            form.is_needed = True
            return job


def _classes(service: Service) -> Classes:
    known, kept = service.knowledge, service.kept
    return Classes.model_validate({**vars(known), "can_undo": kept.can_undo, "bundle": kept.path.name})


@asynccontextmanager
async def _received(request: Request, service: Service, **shape: Any) -> AsyncIterator[Form]:
    """Give the form of a request, with its clips in a folder of its own; it is removed if they are no longer needed."""
    if service.uploading.locked():
        raise Refusal(503, "busy", f"{service.limits.uploads} requests with clips wait already; send it again later")
    async with service.uploading:
        form = Form(new_folder(service.uploads), service.limits, **shape)
        try:
            declared = request.headers.get("content-length", "0")
            form.refuse_size(int(declared) if declared.isdigit() else 0)
            await form.read(request.headers.get("content-type", ""), request.stream())
            yield form
        except ClientDisconnect as error:
            raise Refusal(400, "bad_form", "the upload was broken off") from error
        finally:
            if not form.is_needed:
                remove(form.folder)


def _lesson(form: Form, known: list[str]) -> Lesson:
    if "class" not in form.texts:
        raise Refusal(422, "missing_part", "the class has no name; send it as the part 'class'")
    more = form.texts.get("more_of_known", "").strip().lower()
    if more not in (*_YES, *_NO):
        raise Refusal(422, "bad_value", f"more_of_known: {more[:20]!r} is not allowed; send true or false")
    name = known_as(_class_name(form.texts["class"], "the class"), known)
    return Lesson(name, tuple(form.clips), more in _YES)


def _class_name(given: str, where: str) -> str:
    given = given.strip()
    if len(given) > _LONGEST_NAME:
        message = f"{where} has a name of {len(given)} characters; give one of 1 to {_LONGEST_NAME}"
        raise Refusal(422, "bad_class_name", message)
    try:
        return class_name(given, where)
    except DataError as error:
        raise Refusal(422, "bad_class_name", str(error)) from error


def _live_frames(form: Form, limits: Limits) -> LiveFrames:
    if not re.fullmatch(r"[A-Za-z0-9]{8,64}", form.texts.get("session", "")):
        raise Refusal(422, "bad_value", "session: make an id of 8 to 64 letters and digits, and send it each time")
    times = _value(_TIMES, form, "times", "[]")
    if len(times) != len(form.clips):
        message = f"times: {len(times)} for {len(form.clips)} frames; send a JSON list of seconds, one a frame"
        raise Refusal(422, "bad_value", message)
    window = _value(_SECONDS, form, "window_seconds", str(_WINDOW_SECONDS))
    if not 0 < window <= limits.live_window_seconds:
        message = f"window_seconds: {window} is not allowed; send more than 0 and at most {limits.live_window_seconds}"
        raise Refusal(422, "bad_value", message)
    return LiveFrames(form.texts["session"], tuple(form.clips), times, window)


def _value(kind: TypeAdapter[Value], form: Form, name: str, default: str) -> Value:
    try:
        return kind.validate_json(form.texts.get(name, default))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise Refusal(422, "bad_value", f"{name}: {first['msg']}; send numbers of seconds as JSON") from error


def _form_schema(**parts: dict[str, Any]) -> dict[str, Any]:
    required = [name for name, schema in parts.items() if "default" not in schema]
    schema = {"type": "object", "properties": parts, "required": required}
    return {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schema}}}}
