"""How `essential predict` prints its answers: each as it comes, or spans in a file's form once all are known."""

import csv
import json
import sys
from collections.abc import Callable, Mapping
from io import StringIO
from typing import TYPE_CHECKING, Any, Literal, get_args

from essential.cli.terminal import say
from essential.protocols.class_names import NONE_OF_THESE
from essential.shown import plain_cell, printable, printable_json

if TYPE_CHECKING:
    from essential.learner.prediction import Prediction, Span
    from essential.spans.labelled_span import LabelledSpan

    Answer = Prediction | Span

StreamedForm = Literal["table", "jsonl", "csv"]
SpanForm = Literal["vtt", "srt", "label-studio"]
Format = Literal["table", "jsonl", "csv", "vtt", "srt", "label-studio"]
_STREAMED: dict[str, StreamedForm] = {form: form for form in get_args(StreamedForm)}
# Columns of CSV, by their names in JSON.
CLIP_COLUMNS = ("path", "label", "score", "unknown", "unknown_score", "short_clip", "error")
SPAN_COLUMNS = ("path", "start", "end", *CLIP_COLUMNS[1:])


def streamed(form: Format) -> StreamedForm:
    """Return a form that holds one answer after the other; a ConfigError for one that is a whole file of spans."""
    from essential.errors import ConfigError

    if form not in _STREAMED:
        problem = f"--format {form} is a file of spans of a video"
        raise ConfigError(problem, remedy=f"give the video and --window SECONDS, or one of {', '.join(_STREAMED)}")
    return _STREAMED[form]


def printer(form: Format, columns: tuple[str, ...]) -> "tuple[Callable[[Answer], None], Callable[[], None]]":
    """Return what takes each answer, and prints it at once where the form allows that; and what prints the rest."""
    if form == "csv":
        write = csv_printer(columns)
        return lambda answer: write(answer.as_json()), _nothing
    if form == "jsonl":
        return lambda answer: say_json(answer.as_json()), _nothing
    if form == "table":
        return lambda answer: say(printable(_line(answer))), _nothing
    return _spans_printer(form)


def _nothing() -> None:
    """Print nothing: all is printed."""


def say_json(content: Mapping[str, Any]) -> None:
    """Print an answer as a line of JSON."""
    say(printable_json(json.dumps(content, ensure_ascii=False)))


def csv_printer(columns: tuple[str, ...]) -> Callable[[Mapping[str, Any]], None]:
    """Print the head of a table, and return what prints an answer, by the names of the columns, as a row at once."""
    writer = csv.DictWriter(sys.stdout, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()

    def write(content: Mapping[str, Any]) -> None:
        writer.writerow({key: _cell(cell) for key, cell in content.items()})
        sys.stdout.flush()

    return write


def _spans_printer(form: SpanForm) -> "tuple[Callable[[Answer], None], Callable[[], None]]":
    """Return the same for a form of spans that is one text; a video that cannot be read is named beside it."""
    from essential.learner.prediction import Span
    from essential.spans.writing import write_spans

    spans: list[LabelledSpan] = []

    def add(answer: "Answer") -> None:
        if isinstance(answer, Span):
            spans.append(answer.labelled)
        else:
            say(f"cannot be read: {answer.path}: {answer.error}", err=True)

    def finish() -> None:
        target = StringIO()
        write_spans(spans, target, form=form)
        say(target.getvalue().rstrip("\n"))

    return add, finish


def _cell(content: Any) -> Any:
    if isinstance(content, dict):  # of a short clip
        return content.get("frames")
    return plain_cell(printable(content)) if isinstance(content, str) else content


def _line(answer: "Answer") -> str:
    """Return columns that line up."""
    from essential.learner.prediction import Span

    short = f"  ({answer.short_clip})" if answer.short_clip else ""
    path = answer.as_json()["path"]
    if isinstance(answer, Span):
        start, end = (f"{int(seconds // 60)}:{seconds % 60:05.2f}" for seconds in answer.segment)
        return f"{start:>9} - {end:>9}  {verdict(answer)}  {path}{short}"
    if answer.error is not None:
        return f"{'cannot be read':<31}  {path}: {answer.error}"
    return f"{verdict(answer)}  {path}{short}"


def verdict(answer: "Answer") -> str:
    """Return the label and its score, or what is closest to what shows none of the classes, in a column."""
    label, score = answer.closest
    if answer.unknown:
        return f"{f'{NONE_OF_THESE} (closest: {label} {score:.4f})':<31}"
    return f"{label:<24} {score:6.4f}"
