"""`essential data`: import, audit and check data sets, make moving digits."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from essential.cli.options import Overrides, argument, option, path_setting
from essential.cli.terminal import say
from essential.errors import ConfigError, DataError

if TYPE_CHECKING:
    from essential.engine.settings import RunConfig
    from essential.protocols.video_list import VideoList
    from essential.video.check import CheckReport, Count

_Benchmark = Literal["moving-digits", "moving-digits-untrimmed"]
# For a list in JSON only the sections `data` and `protocol` are used, and any config has the others.
_ANY_CONFIG = "moving-digits/finetune"
_SHOWN_AT_MOST = 20

_HELP = """Import, audit and check data sets; make moving digits.

\b
Examples:
  essential data make moving-digits --out digits
  essential data import LIST.pkl --out list.json
  essential data audit list.json
"""
app = typer.Typer(help=_HELP, no_args_is_help=True)


@app.command()
def check(
    protocol: Annotated[str, option("--protocol", "NAME", "A shipped config, a YAML file, or a list FILE.json.")],
    root: Annotated[Path | None, option("--root", "DIR", "Folder of the videos; or -s data.url=URL.")] = None,
    list_file: Annotated[Path | None, option("--list", "FILE.json", "The list of a config with kind list.")] = None,
    out: Annotated[Path | None, option("--out", "FILE.json", "Also write the report there.")] = None,
    overrides: Overrides = None,
) -> None:
    """Check that all videos of a benchmark can be read.

    Shows what is missing, broken, too short, ambiguous or there twice. Videos are found with or without extension, in
    one folder, a folder per class, or deeper. Exits with 0 if all is well, 1 if not, 2 for an error.

    \b
    Example:
      essential data check --protocol tcd/ucf101-10x5 \\
        --root UCF-101 -s data.annotations=ucfTrainTestlist
    """
    from essential.cli.progress_bar import terminal_progress
    from essential.files.atomic import write_json
    from essential.progress import phase
    from essential.protocols.source import load_listing
    from essential.video.check import check_videos

    config = _config(protocol, root=root, list_file=list_file, overrides=overrides or [])
    listing = load_listing(config.data, clear=False)
    where = config.data.folder or config.data.given("root")
    built = config.protocol.cut(listing, config.data.kind)
    for note in listing.notes:
        say(note, err=True)
    with phase(terminal_progress(), "open videos", 0) as progress:
        report = check_videos(
            built,
            listing,
            root=where,
            frames=config.video.frames,
            workers=os.cpu_count() or 1,
            seconds_limit=config.features.video_seconds_limit,
            progress=progress,
        )
    _print_report(report)
    if out is not None:
        write_json(out, report.model_dump(mode="json"))
        say(f"report: {out}")
    if not report.clean:
        raise typer.Exit(1)


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
    from essential.cli.progress_bar import terminal_progress
    from essential.progress import phase, when_free
    from essential.protocols.moving_digits import MovingDigitsConfig, make_moving_digits

    config = MovingDigitsConfig(
        digits=digits,
        train_clips_per_class=train_clips,
        test_clips_per_class=test_clips,
        untrimmed=benchmark == "moving-digits-untrimmed",
        seed=seed,
    )
    workers = os.cpu_count() or 1
    with phase(terminal_progress(), f"make {benchmark}", 0) as progress:
        when_free(progress, make_moving_digits, out, config, workers=workers, progress=progress)
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
    from essential.protocols.audit import entry_findings
    from essential.protocols.video_list import import_list, refuse_other_file, write_video_list

    refuse_other_file(out)
    video_list = import_list(source)
    write_video_list(video_list, out)
    _print_list(video_list)
    for finding in entry_findings(video_list.tasks):
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
    from essential.protocols.audit import findings
    from essential.protocols.listed import refuse_unusable
    from essential.protocols.video_list import open_list

    video_list = open_list(source)
    _print_list(video_list)
    for finding in findings(video_list.tasks):
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
    totals = [sum(row[place] for row in rows) for place in range(1 + len(splits))]
    numbered: list[list[object]] = [[number, *row] for number, row in enumerate(rows, 1)]
    print_table(("task", "classes", *splits), [*numbered, ["all", *totals]], title=video_list.name)


def _config(protocol: str, *, root: Path | None, list_file: Path | None, overrides: list[str]) -> "RunConfig":
    from essential.engine.config import load_config

    name, settings = protocol, []
    if protocol.endswith(".json"):
        if list_file is not None:
            raise ConfigError(f"--list {list_file} and --protocol {protocol} both name a list; give one of them")
        name, list_file = _ANY_CONFIG, Path(protocol)
        settings = ["data.kind=list", "protocol.tasks=null"]
    paths = {"data.root": root, "data.path": list_file}
    settings += [path_setting(key, path) for key, path in paths.items() if path is not None]
    config = load_config(name, [*settings, *overrides])
    if config.data.kind == "features":
        raise ConfigError("data.kind=features has no videos, so there is nothing to check; choose another config")
    return config


def _print_report(report: "CheckReport") -> None:
    """Print a table for each task, what is wrong, and a summary of the videos."""
    from essential.cli.console import print_table
    from essential.video.check import KINDS

    tasks: dict[int, dict[str, dict[str, Count]]] = {}
    for count in report.counts:
        tasks.setdefault(count.task, {}).setdefault(count.label, {})[count.split] = count
    for task, labels in tasks.items():
        rows = [[label, *_cells(splits)] for label, splits in labels.items()]
        title = f"{report.protocol}: task {task + 1} of {len(tasks)}"
        print_table(("class", "train", "test", *KINDS), rows, title=title)
    problems = [f"{each.kind}: {each.video} ({each.split}, {each.label}): {each.reason}" for each in report.problems]
    for same in report.duplicates:
        problems.append(f"duplicated: {' = '.join(keys[0] for keys in same.videos)} ({same.size_bytes} bytes)")
    for line in (*problems[:_SHOWN_AT_MOST], *_summary(report, len(problems) - _SHOWN_AT_MOST)):
        say(line)


def _cells(splits: "Mapping[str, Count]") -> list[str]:
    """Return how many videos of a class are usable, by split, and how many have each kind of problem."""
    from essential.video.check import KINDS

    usable = [f"{splits[split].usable}/{splits[split].listed}" for split in ("train", "test")]
    return [*usable, *(str(sum(each.problems[kind] for each in splits.values()) or "") for kind in KINDS)]


def _summary(report: "CheckReport", not_shown: int) -> Iterator[str]:
    if not_shown > 0:
        yield f"... and {not_shown} more; --out FILE.json writes them all"
    for name, totals in (("codecs", report.codecs), ("sizes", report.sizes), ("frames per second", report.rates)):
        yield f"{name}: {_shares(totals)}"
    seconds = sorted(file.seconds for file in report.files if file.seconds is not None)
    if seconds:
        middle, hours = seconds[len(seconds) // 2], sum(seconds) / 3600
        yield f"length: {seconds[0]:.1f} to {seconds[-1]:.1f} s, median {middle:.1f} s, {hours:.1f} h in all"
    coverage = (
        f"{split} {one.usable} of {one.listed} videos" + (f" ({100 * one.share:.1f}%)" if one.share is not None else "")
        for split, one in report.coverage.items()
    )
    yield f"coverage: {', '.join(coverage)}"


def _shares(totals: Mapping[str, int]) -> str:
    named = [f"{name} {count}" for name, count in list(totals.items())[:_SHOWN_AT_MOST]]
    rest = len(totals) - len(named)
    return ", ".join(named + ([f"{rest} others"] if rest else [])) or "none"
