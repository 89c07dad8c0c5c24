"""The commands of the fault sweep, each with as little as it needs: 2 classes of 3 clips of 8 frames."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from essential import published
from faults.sweep import Command, run
from video_files import numbered_frame, write_video

_QUICK = (
    *("-s", "features.workers=0", "-s", "features.views=0", "-s", "training.threads=1", "-s", "training.device=cpu"),
    *("-s", "training.epochs=1", "-s", "training.warmup_epochs=0"),
)
_REHEARSE = ("-s", "method.rehearsal_epochs=1")
_RUN = (
    "-s",
    "data.root=data",
    "-s",
    "encoder.name=tiny",
    "-s",
    "features.store=store",
    "-s",
    "protocol.tasks=2",
    *_QUICK,
)
_LEARN = ("learn", "--into", "a.bundle", "--videos", "clips", *_QUICK, *_REHEARSE)
_TRAIN = ("train", "--config", "own/essential", "--out", "run", "--resume", *_RUN, *_REHEARSE)
_PART = ("extract", "--config", "own/essential", *_RUN, "-s", "features.shard_videos=2")


def _clips(folder: Path, names: tuple[str, ...], *, first: int = 0) -> None:
    for number, name in enumerate(names, start=first):
        for clip in range(3):
            frames = [numbered_frame(400 * number + 20 * clip + frame, size=(32, 32)) for frame in range(8)]
            write_video(folder / name / f"{clip}.mp4", frames)


def _to_learn(folder: Path) -> None:
    _clips(folder / "clips", ("up", "down"))


def _to_train(folder: Path) -> None:
    _clips(folder / "data" / "train", ("up", "down"))
    _clips(folder / "data" / "test", ("up", "down"), first=4)


def _to_import(folder: Path) -> None:
    draw = np.random.default_rng(0)
    np.save(folder / "f.npy", draw.random((600, 2, 4), dtype=np.float32))
    rows = [f"{row},{'ab'[row % 2]},{'train' if row < 300 else 'test'}" for row in range(600)]
    (folder / "l.csv").write_text("\n".join(["index,label,split", *rows]) + "\n")


def _after(prepare: Callable[[Path], None], *commands: tuple[str, ...]) -> Callable[[Path], None]:
    """Return what makes a folder by commands of essential, each in a process of its own."""

    def made(folder: Path) -> None:
        prepare(folder)
        for words in commands:
            ended = run(Command("", words, prepare), folder, folder.parent)
            assert ended.code == 0, ended.printed

    return made


_TAUGHT = _after(_to_learn, (*_LEARN, "--encoder", "tiny", "--method", "essential"))
_TRAINED = _after(_to_train, _TRAIN)


def _one_core() -> None:
    """Let a comparison do its runs one after the other, in this process."""
    os.sched_setaffinity(0, list(os.sched_getaffinity(0))[-1:])


def _one_published_protocol() -> None:
    """Let a site have one board beside the runs' own."""
    content = published._content()
    figures = [figure for figure in content["figures"] if figure["protocol"] == content["figures"][0]["protocol"]]
    content["figures"] = figures[:3]


def _taught_and_more(folder: Path) -> None:
    _TAUGHT(folder)
    (folder / "clips").rename(folder / "old")
    _clips(folder / "clips", ("left", "right"), first=2)


COMMANDS = (
    Command("learn, new", (*_LEARN, "--encoder", "tiny", "--method", "essential"), _to_learn, once=True),
    Command("learn, more", _LEARN, _taught_and_more, once=True),
    Command("forget", ("forget", "a.bundle", "up", "-s", "training.threads=1"), _TAUGHT, once=True),
    Command("features import", ("features", "import", "f.npy", "l.csv", "--out", "deep/store"), _to_import),
    Command(
        "features merge",
        ("features", "merge", "--into", "whole", "p0", "p1"),
        _after(
            _to_train,
            (*_PART, "--store", "p0", "--shard", "0/2"),
            (*_PART, "--store", "p1", "--shard", "1/2"),
        ),
    ),
    Command("extract", _PART, _to_train),
    Command("train", _TRAIN, _to_train),
    Command("export", ("export", "a.bundle", "--out", "a.onnx"), _TAUGHT),
    Command("site, new", ("site", "run", "--out", "deep/site"), _TRAINED, lighten=_one_published_protocol),
    Command(
        "site, again",
        ("site", "run", "--out", "site"),
        _after(_TRAINED, ("site", "run", "--out", "site")),
        lighten=_one_published_protocol,
    ),
    Command("report", ("report", "run", "--out", "r.html"), _TRAINED),
    Command("report, figures", ("report", "run", "--out", "r.html", "--figures", "figures"), _TRAINED),
    Command(
        "compare",
        ("compare", "--config", "own/essential", "--methods", "finetune", "--seeds", "0", "--out", "c", *_RUN),
        _to_train,
        lighten=_one_core,
    ),
    Command(
        "data make",
        ("data", "make", "moving-digits", "--out", "d", "--digits", "1", "--train-clips", "1", "--test-clips", "1"),
        lambda folder: None,  # noqa: ARG005
    ),
)
