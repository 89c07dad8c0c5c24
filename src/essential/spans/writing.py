"""Labelled spans to files that labelling tools and players read, and that `read_spans` reads back."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal, TextIO

from essential.errors import ConfigError
from essential.files.atomic import write_text
from essential.results.formats import as_csv
from essential.shown import encodable
from essential.spans.label_studio import predictions
from essential.spans.labelled_span import FrameRange, LabelledSpan
from essential.spans.subtitles import sub_rip, web_vtt
from essential.spans.tables import COLUMNS, row_of
from essential.video.container import survey_file

Form = Literal["csv", "jsonl", "vtt", "srt", "label-studio"]


def write_spans(spans: Iterable[LabelledSpan], file: Path | str | TextIO, *, form: Form) -> None:
    """Write spans, to a file whole or not at all, or to a stream.

    Times are whole milliseconds. Label Studio's are frames, for which each video is opened; spans of no class are left
    out there. A path below the file's folder is written relative to it.

    Raises:
        ConfigError: `vtt` and `srt` are of one video, and several are given.
        FileSystemError: the file cannot be written.
        VideoError: a video cannot be read.
    """
    given = list(spans)
    target = Path(file) if isinstance(file, str | Path) else None
    text = _text(given, [_named(span.path, target) for span in given], form)
    if target is not None:
        write_text(target, text)
    elif not isinstance(file, str | Path):
        file.write(text)


def _text(spans: Sequence[LabelledSpan], names: Sequence[str], form: Form) -> str:
    if form in ("vtt", "srt"):
        several = dict.fromkeys(names)
        if len(several) > 1:
            raise ConfigError(f"{form} is of one video, and these spans are of {len(several)}; write each video's own")
        return web_vtt(spans) if form == "vtt" else sub_rip(spans)
    if form == "label-studio":
        return json.dumps(_tasks(spans, names), ensure_ascii=False, indent=1) + "\n"
    rows = [row_of(span, name) for span, name in zip(spans, names, strict=True)]
    if form == "jsonl":
        # By the names of `essential predict`.
        keys = ("path", "start", "end", "label", "score")
        lines = (json.dumps(dict(zip(keys, row, strict=True)), ensure_ascii=False) for row in rows)
        return "".join(f"{line}\n" for line in lines)
    return as_csv([COLUMNS, *rows])


def _tasks(spans: Sequence[LabelledSpan], names: Sequence[str]) -> list[dict[str, object]]:
    of_videos: dict[str, list[tuple[FrameRange, LabelledSpan]]] = {}
    timings = {path: survey_file(path).timing for path in dict.fromkeys(span.path for span in spans)}
    for span, name in zip(spans, names, strict=True):
        of_video = of_videos.setdefault(name, [])
        frames = timings[span.path].frames_in(span.segment)
        if span.label is not None and frames:
            of_video.append((FrameRange(frames.start, frames.stop), span))
    return predictions(of_videos)


def _named(path: Path, target: Path | None) -> str:
    if target is not None and path.absolute().is_relative_to(target.parent.absolute()):
        return path.absolute().relative_to(target.parent.absolute()).as_posix()
    return encodable(str(path))
