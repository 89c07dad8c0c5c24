"""`essential data`: import, audit and check data sets, make moving digits."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from essential.cli import data_check
from essential.cli.options import argument, option
from essential.cli.terminal import say

if TYPE_CHECKING:
    from essential.protocols.audit import Extremes, ListAudit, SplitAudit
    from essential.protocols.video_list import VideoList

_Benchmark = Literal["moving-digits", "moving-digits-untrimmed"]

app = typer.Typer(no_args_is_help=True)
app.command("check")(data_check.check)


@app.callback()
def _group() -> None:
    """Import, audit and check data sets; make moving digits.

    \b
    Examples:
      essential data make moving-digits --out digits
      essential data import LIST.pkl --out list.json
      essential data audit list.json
    """


@app.command()
def make(
    benchmark: Annotated[_Benchmark, argument("NAME", "Which benchmark.")],
    out: Annotated[Path, option("--out", "DIR", "New folder of train/<class>/* and test/<class>/*.")],
    digits: Annotated[int, option("--digits", "N", "Digits that move; 8 classes each.", min=1, max=10)] = 3,
    train_clips: Annotated[int, option("--train-clips", "N", "Training clips per class.", min=1, max=9999)] = 40,
    test_clips: Annotated[int, option("--test-clips", "N", "Test clips per class.", min=1, max=9999)] = 20,
    seed: Annotated[int, option("--seed", "N", "Random seed.", min=0)] = 0,
) -> None:
    """Make the videos of a benchmark.

    Most are H.264 in MP4, every fourth MPEG-4 in AVI. Run again, the command continues where it was stopped.

    \b
    Example:
      essential data make moving-digits --out digits
    """
    from essential.cli.progress_bar import counted_phase, terminal_progress
    from essential.progress import when_free
    from essential.protocols.moving_digits import MovingDigitsConfig, make_moving_digits

    config = MovingDigitsConfig(
        digits=digits,
        train_clips_per_class=train_clips,
        test_clips_per_class=test_clips,
        untrimmed=benchmark == "moving-digits-untrimmed",
        seed=seed,
    )
    workers = os.cpu_count() or 1
    with counted_phase(f"make {benchmark}") as progress:
        when_free(terminal_progress(), make_moving_digits, out, config, workers=workers, progress=progress)
    say(f"videos: {out}")


@app.command("import")
def import_(
    source: Annotated[Path, argument("LIST", "Of vCLIMB (pickle), ActivityNet (JSON), Kinetics (CSV), or ours.")],
    out: Annotated[Path, option("--out", "FILE.json", "The list; an older list there is replaced.")],
) -> None:
    """Convert a published annotation list to JSON.

    A pickle is read as data; nothing in it can run. Train on the list with
    -s data.kind=list -s data.path=FILE.json.

    \b
    Example:
      essential data import UCF101_data.pkl --out ucf101.json
    """
    from essential.protocols.audit import audit_list
    from essential.protocols.list_json import refuse_other_file
    from essential.protocols.video_list import import_list, write_video_list

    refuse_other_file(out)
    video_list = import_list(source)
    write_video_list(video_list, out)
    _print_list(video_list)
    for finding in _entry_findings(audit_list(video_list.tasks)):
        say(f"note: {finding}")
    say(f"sha256: {video_list.sha256}\nlist: {out}")


@app.command()
def audit(source: Annotated[Path, argument("LIST", "A list of ours, or a published one.")]) -> None:
    """Show leaks, imbalance and odd entries of a list.

    Always exits with 0.

    \b
    Example:
      essential data audit ucf101.json
    """
    from essential.errors import DataError
    from essential.protocols.audit import audit_list
    from essential.protocols.listed import refuse_unusable
    from essential.protocols.video_list import open_list

    video_list = open_list(source)
    _print_list(video_list)
    for finding in _findings(audit_list(video_list.tasks)):
        say(f"- {finding}")
    try:
        refuse_unusable(video_list.tasks, video_list.name)
    except DataError as error:
        say(f"no run can use this list: {error}")


def _print_list(video_list: "VideoList") -> None:
    """Print each task's number of classes, and of videos or segments per split."""
    from essential.cli.console import print_table
    from essential.protocols.listed import splits_of

    splits = splits_of(video_list.tasks)
    rows = [[len(task), *(sum(len(c.of(split)) for c in task) for split in splits)] for task in video_list.tasks]
    names = [*map(str, range(1, len(rows) + 1)), "all"]
    rows.append([sum(row[place] for row in rows) for place in range(1 + len(splits))])
    cells = [[name, *map(str, row)] for name, row in zip(names, rows, strict=True)]
    print_table(("task", "classes", *splits), cells, title=video_list.name)


def _findings(audit: "ListAudit") -> Iterator[str]:
    """Yield what an audit found, a sentence each, the most important first."""
    from essential.shown import named, quoted

    for leak in audit.group_leaks:
        yield (
            f"group leakage: {leak.leaked_videos} of {leak.videos} {leak.split} videos have a clip of their own group "
            f"in training ({leak.leaked_groups} of {leak.groups} groups): accuracy on this split is optimistic"
        )
    if not audit.group_leaks:
        yield "groups: no name has a group number (UCF101's _gNN_cNN), so leaks by group cannot be checked"
    for shared in audit.shared_files:
        both = " and ".join(shared.splits)
        yield f"splits: {len(shared.files)} videos are in both {both}: {named(shared.files)}"
    if not audit.shared_files:
        yield f"splits: no video is in two splits ({', '.join(audit.splits)})"
    for name, numbers in audit.repeated_classes.items():
        yield f"classes: {quoted(name)} is in the tasks {', '.join(map(str, numbers))}; a class should arrive once"
    if not audit.repeated_classes:
        yield "classes: none is in two tasks"
    yield from _balance("classes per task", audit.classes_per_task)
    yield from _balance("training entries per task", audit.training_per_task)
    yield from _balance("training entries per class", audit.training_per_class)
    yield from _entry_findings(audit)


def _balance(what: str, found: "Extremes | None") -> Iterator[str]:
    if found is None:
        return
    if found.smallest == found.largest:
        yield f"{what}: {found.smallest} in each"
        return
    ratio = f", {found.largest / found.smallest:.1f} times as many" if found.smallest else ""
    yield f"{what}: from {found.smallest} ({found.smallest_of}) to {found.largest} ({found.largest_of}){ratio}"


def _entry_findings(audit: "ListAudit") -> Iterator[str]:
    """Yield the counts of odd entries by split: repetitions, odd segments, several classes in one video."""
    for split, found in audit.splits.items():
        yield from (f"{split}: {what}: {count}" for what, count in _odd_entries(found).items() if count)


def _odd_entries(found: "SplitAudit") -> dict[str, int]:
    return {
        f"entries that repeat one of the same class (the same one up to {found.most_repeated} times)": found.repeats,
        "segments that end where they start, without a frame": found.empty,
        "segments that start at or behind the end of their video, without a frame": found.started_past_end,
        "segments that end more than 0.05 s behind the end of their video": found.ended_past_end,
        "videos with entries of several classes (data.untrimmed leaves them out)": found.files_of_several_classes,
        "videos with segments of different classes that overlap in time": found.files_of_overlapping_classes,
    }
