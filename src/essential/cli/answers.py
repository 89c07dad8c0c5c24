"""How `essential predict` prints its answers: each as it comes, or spans in a file's form once all are known."""

import csv
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from io import StringIO
from typing import TYPE_CHECKING, Any, Literal, get_args

from essential.cli.terminal import say, say_json
from essential.protocols.class_names import NONE_OF_THESE
from essential.shown import plain_cell, printable

if TYPE_CHECKING:
    from essential.learner.prediction import Prediction, Span
    from essential.spans.labelled_span import LabelledSpan

    Answer = Prediction | Span

StreamedForm = Literal["table", "jsonl", "csv"]
Format = Literal["table", "jsonl", "csv", "vtt", "srt", "label-studio"]
# Columns of CSV, by their names in JSON.
CLIP_COLUMNS = ("path", "label", "score", "unknown", "unknown_score", "short_clip", "error")
SPAN_COLUMNS = ("path", "start", "end", *CLIP_COLUMNS[1:])


def streamed(form: Format) -> StreamedForm:
    """Return a form that holds one answer after the other; a ConfigError for one that is a whole file of spans."""
    from essential.errors import ConfigError

    match form:
        case "table" | "jsonl" | "csv":
            return form
    problem, forms = f"--format {form} is a file of spans of a video", ", ".join(get_args(StreamedForm))
    raise ConfigError(problem, remedy=f"give the video and --window SECONDS, or one of {forms}")


@contextmanager
def printer(form: Format, columns: tuple[str, ...]) -> "Iterator[Callable[[Answer], None]]":
    """Give what takes each answer, and prints it at once where the form allows that, else at the end."""
    match form:
        case "table" | "jsonl" | "csv":
            write = row_printer(form, columns)
            yield lambda answer: write(answer.as_json(), _line(answer))
        case _:
            from essential.spans.writing import write_spans

            spans: list[LabelledSpan] = []
            yield lambda answer: _keep(answer, spans)
            target = StringIO()
            write_spans(spans, target, form=form)
            say(target.getvalue().rstrip("\n"))


def row_printer(form: StreamedForm, columns: tuple[str, ...]) -> Callable[[Mapping[str, Any], str], None]:
    """Return what prints an answer at once: its JSON values, or the line of a table; `columns` are those of CSV."""
    if form == "jsonl":
        return lambda content, _: say_json(content)
    if form == "table":
        return lambda _, line: say(printable(line))
    writer = csv.DictWriter(sys.stdout, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()

    def write(content: Mapping[str, Any], _: str) -> None:
        writer.writerow({key: _cell(cell) for key, cell in content.items()})
        sys.stdout.flush()

    return write


def _keep(answer: "Answer", spans: "list[LabelledSpan]") -> None:
    """Keep a span; name a video that cannot be read."""
    from essential.learner.prediction import Span

    if isinstance(answer, Span):
        spans.append(answer.labelled)
    else:
        say(f"cannot be read: {answer.path}: {answer.error}", err=True)


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
        start, end = map(clock, answer.segment)
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


def clock(seconds: float) -> str:
    """Return a time as minutes and seconds."""
    return f"{int(seconds // 60)}:{seconds % 60:05.2f}"
