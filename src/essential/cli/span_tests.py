"""`essential test` on a file of labelled spans: precision, recall and F1 by overlap."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from essential.cli.terminal import say, say_json
from essential.shown import named

if TYPE_CHECKING:
    from essential.learner.span_results import SpanResults
    from essential.spans.scoring import SpanCounts

_LONGEST = 26


class SpanOptions(NamedTuple):
    """The options of the command that are of spans alone, None where not given."""

    window: float | None
    stride: float | None
    shortest: float | None
    overlap: float | None
    videos: Path | None
    frame_rate: float | None

    @property
    def by_name(self) -> dict[str, object]:
        """Return them by their names on the command line."""
        return {f"--{name.replace('_', '-')}": value for name, value in self._asdict().items()}


def print_span_results(
    bundle: Path, file: Path, options: SpanOptions, form: Literal["table", "json"], overrides: list[str] | None
) -> None:
    """Test a bundle on the spans of a file, and print what is found of them."""
    from essential.errors import ConfigError
    from essential.spans.reading import read_spans

    if options.window is None:
        raise ConfigError("spans are looked for by windows", remedy="give --window SECONDS, as for predict")
    say_beside = partial(say, err=True)
    spans = read_spans(file, videos=options.videos, frame_rate=options.frame_rate, tell=say_beside)
    from essential.cli.progress_bar import terminal_progress
    from essential.learner.video_learner import VideoLearner

    learner = VideoLearner.load(bundle, overrides=overrides or (), progress=terminal_progress())
    results = learner.test_spans(
        spans,
        window_seconds=options.window,
        stride_seconds=options.stride,
        shortest_seconds=options.shortest,
        overlap=0.5 if options.overlap is None else options.overlap,
    )
    if form == "json":
        say_json(results.as_json())
    else:
        _print(results)


def _print(results: "SpanResults") -> None:
    from essential.cli.console import print_table
    from essential.results.formats import shortened

    scores = results.scores
    rows = [(shortened(label, _LONGEST), *_cells(counts)) for label, counts in scores.per_class.items()]
    print_table(("class", "predicted", "right", "F1", "precision", "recall"), rows, names=1)
    _, right, f1, precision, recall = _cells(scores.total)
    say(f"spans found: {right}, at an overlap of {scores.overlap:g}")
    say(f"F1 {f1} (precision {precision}, recall {recall})")
    if results.not_known:
        say(f"not in the bundle, so none of these is right there: {named(results.not_known)}")


def _cells(counts: "SpanCounts") -> tuple[str, ...]:
    shares = ("-" if share is None else f"{share:.4f}" for share in (counts.f1, counts.precision, counts.recall))
    return str(counts.predicted), f"{counts.right} of {counts.labelled}", *shares
