"""`essential predict`: what clips show."""

import json
import sys
from collections.abc import Callable, Iterator
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from essential.cli.options import BundleFile, Overrides
from essential.cli.terminal import say
from essential.protocols.class_names import NONE_OF_THESE
from essential.shown import plain_cell, printable, printable_json

if TYPE_CHECKING:
    from essential.learner.clips import Expanded
    from essential.learner.prediction import Prediction, Span
    from essential.learner.video_learner import VideoLearner

Format = Literal["table", "jsonl", "csv"]
_FROM_INPUT = "-"
# What is said of a clip and of a span, and that one cannot be read, by its name in JSON.
_CLIP_COLUMNS = ("path", "label", "score", "unknown", "error")
_SPAN_COLUMNS = ("path", "start", "end", *_CLIP_COLUMNS[1:])


def predict(
    bundle: BundleFile,
    paths: Annotated[
        list[str] | None,
        typer.Argument(
            help="Clips, or folders of them; - or nothing: a path a line from standard input.", metavar="PATH"
        ),
    ] = None,
    form: Annotated[Format, typer.Option("--format", help="How to print: a table, JSON lines, or CSV.")] = "table",
    top_k: Annotated[int, typer.Option("--top-k", min=1, help="Labels of each clip in JSON lines.")] = 5,
    window: Annotated[
        float | None,
        typer.Option("--window", min=0.04, help="For long videos: seconds of a window; prints labelled time spans."),
    ] = None,
    stride: Annotated[
        float | None,
        typer.Option("--stride", min=0.04, help="Seconds from window to window; half a window if left out."),
    ] = None,
    sheet: Annotated[
        Path | None,
        typer.Option("--sheet", help="Also make a picture of the frames seen and what was said.", metavar="FILE.png"),
    ] = None,
    overrides: Overrides = None,
) -> None:
    """Say what clips show, as they come; any number of them.

    A clip that cannot be read is named, the others are answered, and the exit code is 2.

    \b
    Examples:
      essential predict actions.bundle clip.mp4 more-clips
      find . -name '*.mp4' | essential predict actions.bundle --format jsonl
      essential predict actions.bundle match.mp4 --window 4        labelled time spans of a long video
      essential predict actions.bundle clips --sheet seen.png
    """
    from essential.errors import VideoError
    from essential.learner.clips import Expanded
    from essential.learner.contact_sheet import ContactSheet
    from essential.learner.prediction import Prediction
    from essential.learner.video_learner import VideoLearner

    _refuse_wrong_use(window=window, stride=stride, sheet=sheet)
    given = _given(bundle, paths or [])
    learner = VideoLearner.load(bundle, overrides=overrides or ())
    found = Expanded(_named(given))
    answers: Iterator[Prediction | Span]
    if window is None:
        answers = learner.stream(found, top_k=top_k, with_frames=sheet is not None)
    else:
        answers = _spans(learner, found, window, stride)
    show = _printer(form, _CLIP_COLUMNS if window is None else _SPAN_COLUMNS)
    picture = ContactSheet()
    lost = 0
    for said in answers:
        show(said)
        if isinstance(said, Prediction):
            lost += said.error is not None
            if sheet is not None:
                picture.add(said)
    if sheet is not None:
        picture.write(sheet)
        more = f"; {picture.left_out} further clips are not in it" if picture.left_out else ""
        say(f"picture: {sheet}{more}", err=True)
    if found.passed_over.line:
        say(found.passed_over.line, err=True)
    if lost:
        raise VideoError(f"{lost} of the videos could not be read; each is named above with the reason")


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
    """Return the paths, or that they come on standard input, if there are a bundle and something to ask about."""
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
    """Yield the paths, and in the place of - those that come on standard input."""
    for path in given:
        if path == _FROM_INPUT:
            if isinstance(sys.stdin, TextIOWrapper):
                sys.stdin.reconfigure(errors="surrogateescape")  # names are bytes, whatever the locale's text is
            yield from (line.rstrip("\r\n") for line in sys.stdin if line.strip())
        else:
            yield path


def _spans(
    learner: "VideoLearner", paths: "Expanded", window: float, stride: float | None
) -> Iterator["Prediction | Span"]:
    from essential.errors import VideoError
    from essential.learner.prediction import Prediction

    for path, problem in paths:
        try:
            if problem is not None:
                raise VideoError(problem)
            yield from learner.predict_spans(path, window_seconds=window, stride_seconds=stride)
        except VideoError as error:
            yield Prediction(path, error=error.problem)


def _print_json(said: "Prediction | Span") -> None:
    say(printable_json(json.dumps(said.as_json(), ensure_ascii=False)))


def _print_line(said: "Prediction | Span") -> None:
    """Print columns that line up."""
    from essential.learner.prediction import Span

    content = said.as_json()
    path, label = content["path"], content.get("label")
    if isinstance(said, Span):
        start, end = (f"{int(seconds // 60)}:{seconds % 60:05.2f}" for seconds in said.segment)
        line = f"{start:>9} - {end:>9}  {label or NONE_OF_THESE:<24} {said.score:5.2f}  {path}"
    elif said.error is not None:
        line = f"{'cannot be read':<24}       {path}: {said.error}"
    else:
        line = f"{f'{NONE_OF_THESE} ({label})' if said.unknown else label:<24} {said.score:5.2f}  {path}"
    say(printable(line))


class _CsvPrinter:
    """Prints a header, then a row a clip or span; no name is a formula to a spreadsheet."""

    def __init__(self, columns: tuple[str, ...]) -> None:
        self._columns = columns
        self._began = False

    def __call__(self, said: "Prediction | Span") -> None:
        import csv

        writer = csv.DictWriter(sys.stdout, self._columns, extrasaction="ignore", lineterminator="\n")
        if not self._began:
            writer.writeheader()
        self._began = True
        content = said.as_json()
        writer.writerow({key: plain_cell(printable(c)) if isinstance(c, str) else c for key, c in content.items()})
        sys.stdout.flush()


def _printer(form: Format, columns: tuple[str, ...]) -> Callable[["Prediction | Span"], None]:
    """Return what prints each answer as soon as it is known."""
    if form == "csv":
        return _CsvPrinter(columns)
    return _print_json if form == "jsonl" else _print_line
