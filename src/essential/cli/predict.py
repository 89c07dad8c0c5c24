"""`essential predict`: what clips show."""

import json
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator
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
    from essential.errors import ConfigError, VideoError
    from essential.learner.bundle import refuse_missing
    from essential.learner.clips import Expanded, refuse_absent
    from essential.learner.contact_sheet import check_place
    from essential.learner.video_learner import VideoLearner

    if stride is not None and window is None:
        raise ConfigError(f"--stride {stride} has no meaning without --window; give both, or neither")
    if sheet is not None:
        if window is not None:
            raise ConfigError("--sheet shows clips, and --window makes spans; give one of the two")
        check_place(sheet)
    given = paths or [_FROM_INPUT]
    if _FROM_INPUT in given and (sys.stdin is None or (not paths and sys.stdin.isatty())):
        raise ConfigError("no clip is given; name files or folders, or send a list of paths to standard input")
    refuse_missing(bundle)
    if _FROM_INPUT not in given:
        refuse_absent(given)
    learner = VideoLearner.load(bundle, overrides=overrides or ())
    found = Expanded(_named(given))
    if window is not None:
        lost = _print_spans(learner, found, window, stride, form)
    else:
        lost = _print_predictions(learner, found, form, top_k, sheet)
    if found.passed_over.line:
        say(found.passed_over.line, err=True)
    if lost:
        raise VideoError(f"{lost} of the videos could not be read; each is named above with the reason")


def _named(given: list[str]) -> Iterator[str]:
    """Yield the paths, and in the place of - those that come on standard input."""
    for path in given:
        if path == _FROM_INPUT:
            if isinstance(sys.stdin, TextIOWrapper):
                sys.stdin.reconfigure(errors="surrogateescape")  # names are bytes, whatever the locale's text is
            yield from (line.rstrip("\r\n") for line in sys.stdin if line.strip())
        else:
            yield path


def _print_predictions(learner: "VideoLearner", paths: "Expanded", form: Format, top_k: int, sheet: Path | None) -> int:
    from essential.learner.contact_sheet import ContactSheet

    picture = None if sheet is None else ContactSheet()
    lost = 0
    printer = _PRINTERS[form](("path", "label", "score", "unknown", "error"))
    for prediction in learner.stream(paths, top_k=top_k, with_frames=sheet is not None):
        lost += prediction.error is not None
        printer.clip(prediction)
        if picture is not None:
            picture.add(prediction)
    if picture is not None and sheet is not None:
        picture.write(sheet)
        more = f"; {picture.left_out} further clips are not in it" if picture.left_out else ""
        say(f"picture: {sheet}{more}", err=True)
    return lost


def _print_spans(learner: "VideoLearner", paths: "Expanded", window: float, stride: float | None, form: Format) -> int:
    from essential.errors import VideoError
    from essential.learner.prediction import Prediction
    from essential.video.pictures import short_reason

    lost = 0
    printer = _PRINTERS[form](("path", "start", "end", "label", "score", "unknown", "error"))
    for path, problem in paths:
        try:
            if problem is not None:
                raise VideoError(problem)
            spans = learner.predict_spans(path, window_seconds=window, stride_seconds=stride)
        except VideoError as error:
            lost += 1
            printer.clip(Prediction(path, error=short_reason(str(error), path)))
            continue
        for span in spans:
            printer.span(span)
    return lost


class _Printer(ABC):
    """Prints what is said, a line as soon as it is known.

    Args:
        columns: what can be said of a clip or of a span, and that one cannot be read, by its name in JSON.
    """

    def __init__(self, columns: tuple[str, ...]) -> None:
        self._columns = columns

    @abstractmethod
    def clip(self, prediction: "Prediction") -> None:
        """Print what is said of a clip, or why a video cannot be read."""

    @abstractmethod
    def span(self, span: "Span") -> None:
        """Print what is said of a span."""


class _Lines(_Printer):
    """A JSON object a line."""

    def clip(self, prediction: "Prediction") -> None:
        say(printable_json(json.dumps(prediction.as_json(), ensure_ascii=False)))

    def span(self, span: "Span") -> None:
        say(printable_json(json.dumps(span.as_json(), ensure_ascii=False)))


class _Csv(_Printer):
    """A header, then a row a clip or span; no name is a formula to a spreadsheet."""

    def __init__(self, columns: tuple[str, ...]) -> None:
        super().__init__(columns)
        self._began = False

    def clip(self, prediction: "Prediction") -> None:
        self._row(prediction.as_json())

    def span(self, span: "Span") -> None:
        self._row(span.as_json())

    def _row(self, content: dict[str, object]) -> None:
        import csv

        writer = csv.DictWriter(sys.stdout, self._columns, extrasaction="ignore", lineterminator="\n")
        if not self._began:
            writer.writeheader()
        self._began = True
        cells = {key: plain_cell(printable(cell)) if isinstance(cell, str) else cell for key, cell in content.items()}
        writer.writerow(cells)
        sys.stdout.flush()


class _Table(_Printer):
    """Columns that line up; of names, nothing that steers a terminal."""

    def clip(self, prediction: "Prediction") -> None:
        if prediction.error is not None:
            say(printable(f"{'cannot be read':<24}       {prediction.as_json()['path']}: {prediction.error}"))
            return
        label = f"{NONE_OF_THESE} ({prediction.label})" if prediction.unknown else prediction.label
        say(printable(f"{label:<24} {prediction.score:5.2f}  {prediction.as_json()['path']}"))

    def span(self, span: "Span") -> None:
        start, end = (f"{int(seconds // 60)}:{seconds % 60:05.2f}" for seconds in span.segment)
        said = f"{span.label or NONE_OF_THESE:<24} {span.score:5.2f}  {span.as_json()['path']}"
        say(printable(f"{start:>9} - {end:>9}  {said}"))


_PRINTERS: dict[str, type[_Printer]] = {"jsonl": _Lines, "csv": _Csv, "table": _Table}
