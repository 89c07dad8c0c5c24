"""`essential predict`: label clips or long videos."""

import csv
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from io import TextIOWrapper
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated, Literal

from essential.cli.options import BundleFile, Overrides, argument, option
from essential.cli.terminal import say
from essential.protocols.class_names import NONE_OF_THESE
from essential.shown import plain_cell, printable, printable_json

if TYPE_CHECKING:
    from essential.learner.clips import Expanded
    from essential.learner.prediction import Prediction, Span
    from essential.learner.video_learner import VideoLearner

    Answer = Prediction | Span

Format = Literal["table", "jsonl", "csv"]
_FROM_INPUT = "-"
# Columns of CSV, by their names in JSON.
_CLIP_COLUMNS = ("path", "label", "score", "unknown", "error")
_SPAN_COLUMNS = ("path", "start", "end", *_CLIP_COLUMNS[1:])

_CAMERA = "Label a camera live (0, rtsp://...), by windows of 2 s."
_INPUT = "Videos, or folders of them; - or nothing: a path per line of standard input."


def predict(  # noqa: PLR0913, PLR0917 - each is an option of its own
    bundle: BundleFile,
    paths: Annotated[list[str] | None, argument("PATH", _INPUT)] = None,
    form: Annotated[Format, option("--format", None, "A table, JSON lines, or CSV.")] = "table",
    top_k: Annotated[int, option("--top-k", "N", "Labels of each clip in JSON lines.", min=1)] = 5,
    window: Annotated[
        float | None, option("--window", "SECONDS", "Long videos: print labelled spans.", min=0.04)
    ] = None,
    stride: Annotated[float | None, option("--stride", "SECONDS", "Window to window; default: half.", min=0.04)] = None,
    sheet: Annotated[Path | None, option("--sheet", "FILE.png", "Also write an image of frames and labels.")] = None,
    camera: Annotated[str | None, option("--camera", "CAMERA", _CAMERA)] = None,
    every: Annotated[float | None, option("--every", "SECONDS", "Camera: from answer to answer.", min=0.01)] = None,
    overrides: Overrides = None,
) -> None:
    """Label clips or long videos.

    A clip that cannot be read is named, the others are labelled, and the exit code is 2.

    \b
    Examples:
      essential predict actions.bundle clip.mp4 more-clips
      find . -name '*.mp4' | essential predict actions.bundle --format jsonl
      essential predict actions.bundle match.mp4 --window 4
      essential predict actions.bundle clips --sheet seen.png
      essential predict actions.bundle --camera 0
    """
    from essential.errors import VideoError
    from essential.learner.clips import Expanded
    from essential.learner.contact_sheet import ContactSheet
    from essential.learner.prediction import Prediction
    from essential.learner.video_learner import VideoLearner
    from essential.protocols.folder import holds_class
    from essential.results.formats import counted

    if camera is not None or every is not None:
        from essential.cli.live import LiveOptions, refuse_beside_camera, watch

        refuse_beside_camera(camera, {"PATH": paths, "--stride": stride, "--sheet": sheet})
        watch(bundle, camera or "", LiveOptions(window, every, form, top_k, overrides or ()))
        return
    _refuse_wrong_use(window=window, stride=stride, sheet=sheet)
    found = Expanded(_named(_given(bundle, paths or [])))
    learner = VideoLearner.load(bundle, overrides=overrides or ())
    show = _printer(form, _CLIP_COLUMNS if window is None else _SPAN_COLUMNS)
    image = ContactSheet(learner.classes)
    videos = lost = 0
    for answers in _answers(learner, found, top_k=top_k, window=window, stride=stride, with_frames=sheet is not None):
        for answer in answers:
            show(answer)
            if isinstance(answer, Prediction):
                lost += answer.error is not None
                if sheet is not None:
                    image.add(answer)
        videos += 1
    if sheet is not None:
        image.write(sheet)
        say(f"image: {sheet}" + (f"; {image.left_out} more clips not shown" if image.left_out else ""), err=True)
    nothing = "" if videos else "nothing to label: no path came on standard input"
    offers = [
        f"to count what is right: essential test {quote(str(bundle))} {quote(path)}"
        for path in paths or []
        if window is None and holds_class(Path(path), learner.classes)
    ]
    for note in filter(None, (found.passed_over.line, nothing, *offers[:1])):
        say(note, err=True)
    if lost:
        raise VideoError(f"{lost} of {counted(videos, 'clip')} could not be read (see above)")


def _refuse_wrong_use(*, window: float | None, stride: float | None, sheet: Path | None) -> None:
    from essential.errors import ConfigError
    from essential.learner.contact_sheet import check_place

    if stride is not None and window is None:
        raise ConfigError(f"--stride {stride} has no meaning without --window; give both, or neither")
    if sheet is not None:
        if window is not None:
            raise ConfigError("--sheet shows clips, and --window makes spans; give one of the two")
        check_place(sheet)


def _given(bundle: Path, paths: list[str]) -> list[str]:
    """Return the paths, or `-` for standard input, if there are a bundle and something to label."""
    from essential.errors import ConfigError
    from essential.learner.bundle import refuse_missing
    from essential.learner.clips import refuse_absent

    given = paths or [_FROM_INPUT]
    if _FROM_INPUT in given and (sys.stdin is None or (not paths and sys.stdin.isatty())):
        raise ConfigError("no clip is given; name files or folders, or send a list of paths to standard input")
    refuse_missing(bundle)
    if _FROM_INPUT not in given:
        refuse_absent(given)
    return given


def _named(given: list[str]) -> Iterator[str]:
    """Yield the paths, and in the place of `-` those that come on standard input."""
    for path in given:
        if path == _FROM_INPUT:
            if isinstance(sys.stdin, TextIOWrapper):
                sys.stdin.reconfigure(errors="surrogateescape")  # names are bytes, whatever the locale's text is
            yield from (line.rstrip("\r\n") for line in sys.stdin if line.strip())
        else:
            yield path


def _answers(
    learner: "VideoLearner",
    paths: "Expanded",
    *,
    top_k: int,
    window: float | None,
    stride: float | None,
    with_frames: bool,
) -> "Iterator[Sequence[Answer]]":
    """Yield what is said of each video: one prediction, or with `window` its spans."""
    from essential.errors import VideoError
    from essential.learner.prediction import Prediction

    if window is None:
        yield from ([answer] for answer in learner.stream(paths, top_k=top_k, with_frames=with_frames))
        return
    for path, problem in paths:
        try:
            if problem is not None:
                raise VideoError(problem)
            yield learner.predict_spans(path, window_seconds=window, stride_seconds=stride)
        except VideoError as error:
            yield [Prediction(path, error=error.problem)]


def _printer(form: Format, columns: tuple[str, ...]) -> "Callable[[Answer], None]":
    """Return what prints each answer as soon as it is known."""
    if form == "table":
        return lambda answer: say(printable(_line(answer)))
    if form == "jsonl":
        return lambda answer: say(printable_json(json.dumps(answer.as_json(), ensure_ascii=False)))
    writer = csv.DictWriter(sys.stdout, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()

    def write(answer: "Answer") -> None:
        content = answer.as_json().items()
        writer.writerow({key: plain_cell(printable(cell)) if isinstance(cell, str) else cell for key, cell in content})
        sys.stdout.flush()

    return write


def _line(answer: "Answer") -> str:
    """Return columns that line up."""
    from essential.learner.prediction import Span

    content = answer.as_json()
    path, label = content["path"], content.get("label")
    short = f"  ({answer.short_clip})" if answer.short_clip else ""
    if isinstance(answer, Span):
        start, end = (f"{int(seconds // 60)}:{seconds % 60:05.2f}" for seconds in answer.segment)
        return f"{start:>9} - {end:>9}  {label or NONE_OF_THESE:<24} {answer.score:5.2f}  {path}{short}"
    if answer.error is not None:
        return f"{'cannot be read':<24}       {path}: {answer.error}"
    return f"{f'{NONE_OF_THESE} ({label})' if answer.unknown else label:<24} {answer.score:5.2f}  {path}{short}"
