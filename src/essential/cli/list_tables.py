"""Annotation lists in the terminal: a table of tasks, and what an audit found in plain sentences."""

from collections.abc import Iterator

from essential.cli.console import Terminal, table_of
from essential.cli.terminal import say
from essential.protocols.audit import Extremes, ListAudit, SplitAudit
from essential.protocols.listed import splits_of
from essential.protocols.video_list import VideoList
from essential.shown import named, quoted


def print_list(video_list: VideoList) -> None:
    """Print each task's number of classes, and of videos or segments per split."""
    splits = splits_of(video_list.tasks)
    table = table_of("task", ("classes", *splits))
    rows = [[len(task), *(sum(len(c.of(split)) for c in task) for split in splits)] for task in video_list.tasks]
    for number, row in enumerate(rows, 1):
        table.add_row(str(number), *map(str, row), end_section=number == len(rows))
    table.add_row("all", *(str(sum(column)) for column in zip(*rows, strict=True)))
    say(video_list.name)
    Terminal().print(table)


def findings(audit: ListAudit) -> Iterator[str]:
    """Give everything that an audit found, one sentence each, what matters most first."""
    for leak in audit.group_leaks:
        yield (
            f"group leakage: {leak.leaked_videos} of {leak.videos} {leak.split} videos have a clip of their own group "
            f"in training ({leak.leaked_groups} of {leak.groups} groups): accuracy on this split is optimistic"
        )
    if not audit.group_leaks:
        yield "groups: no name has a group number (UCF101's _gNN_cNN), so that leaks by group cannot be told"
    for splits, files in audit.shared_files.items():
        yield f"splits: {len(files)} videos are in both {' and '.join(splits)}: {named(files)}"
    if not audit.shared_files:
        yield f"splits: no video is in two splits ({', '.join(audit.splits)})"
    for name, numbers in audit.repeated_classes.items():
        yield f"classes: {quoted(name)} is in the tasks {', '.join(map(str, numbers))}; a class should arrive once"
    if not audit.repeated_classes:
        yield "classes: none is in two tasks"
    yield from _balance("classes per task", audit.classes_per_task)
    yield from _balance("training entries per task", audit.training_per_task)
    yield from _balance("training entries per class", audit.training_per_class)
    yield from entry_findings(audit)


def entry_findings(audit: ListAudit) -> Iterator[str]:
    """Give what an audit found about single entries: repeated ones, odd segments, several classes in one video."""
    for split, found in audit.splits.items():
        yield from (f"{split}: {sentence}" for sentence in _entry_findings(found))


def _balance(what: str, found: Extremes | None) -> Iterator[str]:
    if found is None:
        return
    if found.smallest == found.largest:
        yield f"{what}: {found.smallest} in each"
        return
    ratio = f", {found.largest / found.smallest:.1f} times as many" if found.smallest else ""
    yield f"{what}: from {found.smallest} ({found.smallest_of}) to {found.largest} ({found.largest_of}){ratio}"


def _entry_findings(found: SplitAudit) -> Iterator[str]:
    counts = {
        f"entries that repeat one of the same class (the same one up to {found.most_repeated} times)": found.repeats,
        "segments that end where they start, without a frame": found.empty,
        "segments that start at or behind the end of their video, without a frame": found.started_past_end,
        "segments that end more than 0.05 s behind the end of their video": found.ended_past_end,
        "videos with entries of several classes (data.untrimmed leaves them out)": found.files_of_several_classes,
        "videos with segments of different classes that overlap in time": found.files_of_overlapping_classes,
    }
    return (f"{what}: {count}" for what, count in counts.items() if count)
