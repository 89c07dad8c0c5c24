"""What the documents' commands find when tests run them: the files that a reader would have, small, by the same names.

`PLACES` is the one table: a name that documents use, and what makes it. `smaller` is the other half: every config is
cut to a size that takes a second, and encodes with `tiny`, for the other encoders are downloaded.
"""

import json
import os
import pickle
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from authors.authors_files import network, save
from essential import VideoLearner
from essential.encoders import EncoderConfig
from essential.engine.config import load_config
from essential.engine.run import train
from essential.engine.settings import RunConfig
from essential.features.imported import import_features
from essential.progress import Progress
from essential.protocols.moving_digits import FRAMES_PER_SECOND, MovingDigitsConfig, encode, make_moving_digits
from essential.protocols.video_list import import_list, write_video_list
from essential.video.decode import read_frames
from official_lists import write_ucf101
from threads import THREADS

CLIPS = MovingDigitsConfig(digits=1, train_clips_per_class=6, test_clips_per_class=2)
ACTIONS = ("waving", "clapping", "jumping", "walking")
LATER = ("bowing", "pushing")
_TASKS = 4


def smaller(config: RunConfig) -> RunConfig:
    """Return a config that learns 8 classes for one epoch from features of the encoder `tiny`."""
    method = config.method
    if "base" in type(method).model_fields:
        method = method.model_copy(update={"base": _shorter(method.base)})
    base = config.protocol.base_classes and 2
    tasks = _TASKS if config.data.kind == "moving-digits" or base else config.protocol.tasks
    training = {"epochs": 1, "warmup_epochs": 0, "batch_size": 8, "threads": THREADS}
    return config.model_copy(
        update={
            "data": config.data.model_copy(update={"moving_digits": CLIPS}),
            "protocol": config.protocol.model_copy(update={"tasks": tasks, "base_classes": base}),
            "encoder": EncoderConfig(name="tiny"),
            "features": config.features.model_copy(update={"views": 0, "workers": 0, "dtype": "float32"}),
            "method": _shorter(method),
            "training": config.training.model_copy(update=training),
        }
    )


def load_smaller_config(name_or_path: str, overrides: Any = (), **settings: Any) -> RunConfig:
    """Return what `load_config` does, made smaller; what the document says is checked by it before."""
    return smaller(load_config(name_or_path, overrides, **settings))


def _shorter(method: Any) -> Any:
    return method.model_copy(update={"rehearsal_epochs": 1} if "rehearsal_epochs" in type(method).model_fields else {})


class World:
    """Makes what a document's commands need, in the folder that they run in.

    Args:
        folder: what is made once for all documents goes there.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data = folder / "moving-digits"
        make_moving_digits(self.data, CLIPS, workers=2)
        self.classes = sorted(path.name for path in (self.data / "train").iterdir())
        self._bundle: Path | None = None

    def furnish(self, place: Path, text: str) -> list[str]:
        """Make all of `PLACES` that `text` mentions and does not make itself; return their names."""
        made = []
        for name, make in PLACES.items():
            mention = re.search(rf"(\S+[ =])?(?<![\w./-]){re.escape(name)}(?![\w-])(?!\.\w)", text)
            if mention and (mention[1] or "").strip() not in ("--out", "--into", ">"):
                make(self, place / name)
                made.append(name)
        return made

    def clips(self, split: str, number: int) -> list[Path]:
        """Return the clips of a class by its number."""
        return sorted((self.data / split / self.classes[number]).iterdir())

    def bundle(self) -> Path:
        """Return a bundle that knows `ACTIONS`; made when it is first asked for."""
        if self._bundle is None:
            self._bundle = self.folder / "actions.bundle"
            learner = VideoLearner()
            learner.learn({name: self.clips("train", number) for number, name in enumerate(ACTIONS)})
            learner.save(self._bundle)
        return self._bundle


def _actions(names: tuple[str, ...], first: int) -> Callable[[World, Path], None]:
    """Return what makes a folder of clips for each of some actions; `first` is the number of the first one's class."""

    def make(world: World, place: Path) -> None:
        for number, name in enumerate(names, start=first):
            (place / name).mkdir(parents=True, exist_ok=True)
            for clip in world.clips("train", number):
                shutil.copy(clip, place / name)

    return make


def _more(world: World, place: Path) -> None:
    """Further clips of an action that is known."""
    (place / ACTIONS[0]).mkdir(parents=True)
    for clip in world.clips("test", 0):
        shutil.copy(clip, place / ACTIONS[0] / f"more-{clip.name}")


def _asked(world: World, place: Path) -> None:
    """Test clips of the actions that a bundle knows, and of one that it does not."""
    for number, name in enumerate((*ACTIONS, LATER[0])):
        (place / name).mkdir(parents=True)
        for clip in world.clips("test", number):
            shutil.copy(clip, place / name)


def _clip(world: World, place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(world.clips("test", 1)[0], place)


def _folder(world: World, place: Path) -> None:
    shutil.copytree(world.data, place)


def _manifest(world: World, place: Path) -> None:
    files = sorted(world.data.glob("*/*/*.*"))
    shutil.copytree(world.data, place.parent / "videos")
    rows = [f"videos/{path.relative_to(world.data)},{path.parent.name},{path.parts[-3]}" for path in files]
    place.write_text("\n".join(["path,label,split", *rows]) + "\n")


def _names() -> list[str]:
    return [f"Action{number}" for number in range(8)]


def _ucf101_videos(world: World, place: Path) -> None:
    for number, name in enumerate(_names()):
        (place / name).mkdir(parents=True)
        for group, clip in (("g08", world.clips("train", number)[0]), ("g01", world.clips("test", number)[0])):
            shutil.copy(clip, place / name / f"v_{name}_{group}_c01{clip.suffix}")


def _ucf101_splits(world: World, place: Path) -> None:  # noqa: ARG001
    write_ucf101(place, _names())


def _published_list(world: World, place: Path) -> None:  # noqa: ARG001
    pairs = [_names()[first : first + 2] for first in range(0, 8, 2)]
    parts = {"train": "g08", "val": None, "test": "g01"}
    content = {
        split: [{name: [f"v_{name}_{group}_c01"] if group else [] for name in pair} for pair in pairs]
        for split, group in parts.items()
    }
    place.write_bytes(pickle.dumps(content))


def _list(world: World, place: Path) -> None:
    _published_list(world, place.with_suffix(".pkl"))
    write_video_list(import_list(place.with_suffix(".pkl")), place)


def _features(world: World, place: Path) -> None:
    rows = len(world.classes) * 8
    np.save(place, np.random.default_rng(0).normal(size=(rows, 8, 32)).astype(np.float32))


def _labels(world: World, place: Path) -> None:
    rows = [
        f"{8 * number + clip},{name},{'test' if clip > 5 else 'train'}"
        for number, name in enumerate(world.classes)
        for clip in range(8)
    ]
    place.write_text("\n".join(["index,label,split", *rows]) + "\n")


def _store(world: World, place: Path) -> None:
    _features(world, place.with_suffix(".npy"))
    _labels(world, place.with_suffix(".csv"))
    import_features(place.with_suffix(".npy"), place.with_suffix(".csv"), place, progress=Progress())


def _checkpoints(world: World, place: Path) -> None:  # noqa: ARG001
    place.mkdir()
    for task in range(1, _TASKS + 1):
        save(place / f"task{task}_checkpoint.pth", network(classes=8, modules=_TASKS))


def _bundle(world: World, place: Path) -> None:
    shutil.copy(world.bundle(), place)


def _run(world: World, place: Path) -> None:
    settings = [f"data.root={world.data}", f"features.store={world.folder / 'features'}"]
    config = load_smaller_config("moving-digits/essential", settings)
    train(config, place, resume=False, progress=Progress())


def _recordings(world: World, place: Path) -> None:
    """One long video of two actions in turns."""
    place.mkdir()
    pairs = zip(world.clips("train", 0), world.clips("train", 1), strict=True)
    frames = [read_frames(path, range).frames for pair in pairs for path in pair]
    (place / "match.mp4").write_bytes(encode(np.concatenate(frames), "mp4"))


def _spans(world: World, place: Path) -> None:
    del world
    rows = [f"match.mp4,{start:.2f},{end:.2f},{name}" for start, end, name in _times()]
    place.write_text("\n".join(["path,start_seconds,end_seconds,label", *rows, ""]))


def _label_studio(world: World, place: Path) -> None:
    del world
    values = [
        {"ranges": [{"start": round(24 * start) + 1, "end": round(24 * end)}], "timelinelabels": [name]}
        for start, end, name in _times()
    ]
    result = [{"type": "timelinelabels", "value": value} for value in values]
    task = {"id": 1, "data": {"video": "/data/upload/1/0a1b2c3d-match.mp4"}, "annotations": [{"result": result}]}
    place.write_text(json.dumps([task]))


def _times() -> list[tuple[float, float, str]]:
    """Return the spans of the recording: its clips."""
    seconds = CLIPS.frames / FRAMES_PER_SECOND
    clips = range(2 * CLIPS.train_clips_per_class)
    return [(place * seconds, (place + 1) * seconds, ACTIONS[place % 2]) for place in clips]


def _any_file(world: World, place: Path) -> None:  # noqa: ARG001
    place.touch()


PLACES: Mapping[str, Callable[[World, Path], None]] = {
    "DIR": _folder,
    "ELSEWHERE": _ucf101_videos,
    "VIDEOS": _ucf101_videos,
    "UCF-101": _ucf101_videos,
    "ucfTrainTestlist": _ucf101_splits,
    "FILE.csv": _manifest,
    "LIST.pkl": _published_list,
    "UCF101_data_20tasks.pkl": _published_list,
    "LIST.json": _list,
    "UCF101_data_20.json": _list,
    "FEATURES.npy": _features,
    "LABELS.csv": _labels,
    "STORE": _store,
    "FOLDER": _checkpoints,
    "CHECKPOINTS": _checkpoints,
    "model.safetensors": _any_file,
    "mobilenetv2_035.safetensors": _any_file,
    "clips": _actions(ACTIONS, 0),
    "new-clips": _actions(LATER, 4),
    "more-clips": _more,
    "test-clips": _asked,
    "clip.mp4": _clip,
    "CLIP": _clip,
    "match.mp4": _clip,
    "recordings": _recordings,
    "spans.csv": _spans,
    "export.json": _label_studio,
    "actions.bundle": _bundle,
    "runs/first": _run,
}


def cache(folder: Path) -> dict[str, str]:
    """Return the environment in which all documents share what is cached, and nobody else's cache is touched."""
    return {"ESSENTIAL_CACHE": str(folder / "cache"), "COLUMNS": "200", "HOME": os.environ["HOME"]}
