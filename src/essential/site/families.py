"""Runs that differ in their seed alone: one line of a board."""

import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from essential.files.atomic import canonical_json, sha256_of_json
from essential.records import Record
from essential.report.formats import counted, percent, slug
from essential.results.runs import SeedRuns, all_but_seed, flattened, mark_notes, settings_apart
from essential.site.finding import FoundRecord

_ELSEWHERE = ("seed", "data", "encoder", "protocol", "method")
"""Parts of a config that a board shows in other places."""
_SETTINGS_SHOWN = 4
_DIGITS = 12
_COVERAGE = {"train": "trained on {} % of the training videos", "test": "tested on {} % of the test videos"}


@dataclass(frozen=True, eq=False)
class Family(SeedRuns):
    """Runs of one method with the same settings, encoder and protocol; by seed. At least one."""

    runs: tuple[FoundRecord, ...]

    @property
    def method(self) -> str:
        return self.example.method.name

    @cached_property
    def stem(self) -> str:
        """The name of its page, which stays the same when seeds are added."""
        # Boards are told apart by protocol and data, and so must be the pages of their rows.
        data = canonical_json(self.example.data)
        return stem(self.method, ["family", self.example.protocol.id, data, all_but_seed(self.example)])

    @cached_property
    def skipped_tests(self) -> frozenset[str]:
        """The test videos that a run of it went on without."""
        return frozenset(v.video for run in self.runs for v in run.record.skipped_videos if v.split == "test")

    @property
    def backbone(self) -> str:
        """The encoder, and of how many frames a clip is, where the config says it."""
        frames = _frames(self.example.config)
        return self.example.encoder.name + (f", {counted(frames, 'frame')}" if frames else "")

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader must know before comparing it."""
        notes = ["given the videos of all tasks at once: an upper bound"] if self.needs_all_tasks else []
        for split, words in _COVERAGE.items():
            shares = [share for run in self.runs if (share := run.record.coverage(split)) is not None]
            if shares and min(shares) < 1:
                # Rounded down: 100.0 % would say that none is missing.
                notes.append(words.format(percent(math.floor(1000 * min(shares)) / 1000)))
        again = [seed for seed, times in Counter(run.record.seed for run in self.runs).items() if times > 1]
        if again:
            notes.append(f"several runs of seed {', '.join(map(str, sorted(again)))}, which count once")
        return (*notes, *mark_notes([run.record for run in self.runs]))


def group_families(runs: Sequence[FoundRecord]) -> list[Family]:
    """Put runs that differ in their seed alone together."""
    groups: dict[str, list[FoundRecord]] = {}
    for run in runs:
        groups.setdefault(all_but_seed(run.record), []).append(run)
    ordered = [sorted(group, key=lambda run: (run.record.seed, run.sha256)) for group in groups.values()]
    return [Family(tuple(run.record for run in group), tuple(group)) for group in ordered]


def distinguishing_settings(families: Sequence[Family]) -> dict[Family, str]:
    """Return, for each family, the settings by which those of the same method differ; empty where there is one."""
    by_method: dict[str, list[Family]] = {}
    for family in families:
        by_method.setdefault(family.method, []).append(family)
    told: dict[Family, str] = {}
    for same in by_method.values():
        flat = [dict(_settings(family.example)) for family in same]
        keys = settings_apart(flat)
        told |= {family: _in_short(each, keys) for family, each in zip(same, flat, strict=True)}
    return told


def _in_short(settings: Mapping[str, Any], keys: Sequence[str]) -> str:
    shown = [f"{key}={as_text(settings[key])}" for key in keys[:_SETTINGS_SHOWN] if key in settings]
    more = [f"and {len(keys) - _SETTINGS_SHOWN} more"] if len(keys) > _SETTINGS_SHOWN else []
    return ", ".join([*shown, *more])


def _settings(record: Record) -> Iterator[tuple[str, Any]]:
    yield from flattened(record.method.config)
    yield from flattened({key: value for key, value in record.config.items() if key not in _ELSEWHERE})


def as_text(value: Any) -> str:
    """Return a setting as JSON."""
    return json.dumps(value, ensure_ascii=False)


def _frames(config: Mapping[str, Any]) -> int | None:
    video = config.get("video")
    frames = video.get("frames") if isinstance(video, Mapping) else None
    return frames if isinstance(frames, int) else None


def stem(name: str, identity: Sequence[str]) -> str:
    """Return a file name without its ending, safe everywhere: readable by `name`, told from others by `identity`."""
    return f"{slug(name)}-{sha256_of_json(list(identity))[:_DIGITS]}"
