"""`essential data check`: whether a benchmark's videos are there and readable."""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from essential.cli.options import Overrides, option, path_setting
from essential.cli.terminal import say
from essential.errors import ConfigError

if TYPE_CHECKING:
    from essential.engine.settings import RunConfig
    from essential.video.check_report import CheckReport, Count

# For a list in JSON only the sections `data` and `protocol` are used, and any config has the others.
_ANY_CONFIG = "moving-digits/finetune"
_SHOWN_AT_MOST = 20


def check(
    protocol: Annotated[str, option("--protocol", "NAME", "A shipped config, a YAML file, or a list FILE.json.")],
    root: Annotated[Path, option("--root", "DIR", "Folder of the videos.")],
    annotations: Annotated[
        Path | None, option("--annotations", "DIR", "Folder of the split files; default: --root.")
    ] = None,
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
        --root UCF-101 --annotations ucfTrainTestlist --out report.json
    """
    from essential.cli.progress_bar import counted_phase
    from essential.files.atomic import write_json
    from essential.protocols.source import find_listing
    from essential.video.check import check_videos

    config = _config(protocol, root=root, annotations=annotations, list_file=list_file, overrides=overrides or [])
    listing, found = find_listing(config.data)
    built = config.protocol.cut(listing, config.data.kind)
    for note in listing.notes:
        say(note, err=True)
    with counted_phase("open videos") as progress:
        report = check_videos(
            built,
            found,
            root=root,
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


def _config(
    protocol: str, *, root: Path, annotations: Path | None, list_file: Path | None, overrides: list[str]
) -> "RunConfig":
    from essential.engine.config import load_config

    name, settings = protocol, []
    if protocol.endswith(".json"):
        if list_file is not None:
            raise ConfigError(f"--list {list_file} and --protocol {protocol} both name a list; give one of them")
        name, list_file = _ANY_CONFIG, Path(protocol)
        settings = ["data.kind=list", "protocol.tasks=null"]
    paths = {"data.root": root, "data.annotations": annotations, "data.path": list_file}
    settings += [path_setting(key, path) for key, path in paths.items() if path is not None]
    config = load_config(name, [*settings, *overrides])
    if config.data.kind == "features":
        raise ConfigError("data.kind=features has no videos, so there is nothing to check; choose another config")
    return config


def _print_report(report: "CheckReport") -> None:
    """Print a table for each task, what is wrong, and a summary of the videos."""
    from essential.cli.console import print_table
    from essential.video.check_report import KINDS

    counts: dict[int, list[Count]] = {}
    for count in report.counts:
        counts.setdefault(count.task, []).append(count)
    for task, several in counts.items():
        title = f"{report.protocol}: task {task + 1} of {len(counts)}"
        print_table(("class", "train", "test", *KINDS), _rows(several), title=title)
    problems = [f"{each.kind}: {each.video} ({each.split}, {each.label}): {each.reason}" for each in report.problems]
    for same in report.duplicates:
        problems.append(f"duplicated: {' = '.join(keys[0] for keys in same.videos)} ({same.size_bytes} bytes)")
    for line in (*problems[:_SHOWN_AT_MOST], *_summary(report, len(problems) - _SHOWN_AT_MOST)):
        say(line)


def _rows(counts: "Sequence[Count]") -> list[list[str]]:
    from essential.video.check_report import KINDS

    by_class: dict[str, dict[str, Count]] = {}
    for count in counts:
        by_class.setdefault(count.label, {})[count.split] = count
    rows = []
    for label, splits in by_class.items():
        usable = [f"{splits[split].usable}/{splits[split].listed}" for split in ("train", "test")]
        wrong = [sum(count.problems[kind] for count in splits.values()) for kind in KINDS]
        rows.append([label, *usable, *(str(number) if number else "" for number in wrong)])
    return rows


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
