"""Videos in folders of classes, the layout of the user's own data: `<class>/*`, alone or in `train` and `test`."""

import os
import re
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from essential.errors import DataError
from essential.protocols.class_names import class_name, known_as
from essential.protocols.listed import refuse_untrained
from essential.protocols.moving_digits import MARKER
from essential.protocols.protocol import SPLITS, Listing, Video
from essential.protocols.source import Dataset
from essential.protocols.video_walk import BESIDE, FoundVideos, PassedOver, VideoNames, VideoWalk
from essential.remote.storage import Root, Storage, file_at

_LAYOUT = "lay the videos out as train/<class>/* and test/<class>/*"


class ClassFolders(NamedTuple):
    """The videos of each class, by its name, each class's by their paths; and what is passed over."""

    videos: dict[str, list[Path]]
    passed_over: PassedOver


def folder_listing(root: Root) -> Listing:
    """Return the labelled videos in `root/train/<class>/*` and `root/test/<class>/*`.

    Raises:
        DataError: a folder is missing or empty, as `class_folders`; a class has test clips but no training clip; or
            the root is a storage that cannot be listed.
    """
    if isinstance(root, Path) and not root.is_dir():
        raise DataError(f"data folder {root} does not exist; give an existing one as data.root, and {_LAYOUT}")
    names = _names_by_top(root) if isinstance(root, Storage) else None
    passed_over = PassedOver()
    videos = []
    for split in SPLITS:
        top = f"{root}/{split}"
        if not (Path(top).is_dir() if names is None else names.get(split)):
            raise DataError(f"data folder {root} has no folder {split!r}; {_LAYOUT}")
        found = VideoWalk(top) if names is None else VideoNames(top, names[split])
        for name, paths in _by_class(found, top, _LAYOUT).items():
            keys = (path.removeprefix(f"{root}/") for path in paths)
            videos += [Video(key, file_at(root, key), name, split) for key in keys]
        passed_over.extend(found.passed_over)
    # What Python makes of bytes that are no UTF-8.
    odd = next((video.key for video in videos if re.search("[\ud800-\udfff]", video.key)), None)
    if odd is not None:
        raise DataError(f"the name of the file {odd!r} in {root} is not UTF-8 text; rename the file")
    refuse_untrained(videos, str(root))
    for name in names or (path.name for path in Path(str(root)).iterdir()):
        if name not in (*SPLITS, MARKER) and name[0] != ".":
            passed_over.add(BESIDE, f"{root}/{name}")
    return Listing.by_name(videos, passed_over)


def _names_by_top(storage: Storage) -> dict[str, list[str]]:
    """Return the files of a storage by the first folder of their names, relative to it; a file right there has none."""
    names = storage.files()
    if names is None:
        raise DataError(
            f"{storage} cannot be listed: HTTP knows no folders",
            remedy="name the videos in a manifest or a list (data.kind=manifest or list), or put them into a bucket",
        )
    found: dict[str, list[str]] = {}
    for name in names:
        top, _, rest = name.partition("/")
        found.setdefault(top or name, []).extend([rest] * bool(rest))
    return found


def class_folders(root: Path, layout: str) -> ClassFolders:
    """Return the videos of each class out of `root/<class>/*`; folders whose names are one name are one class.

    Messages end in `layout`: how the folder should be laid out.

    Raises:
        DataError: no class folder; one without a video or with a name that no class can have; a video beside them.
    """
    walk = VideoWalk(str(root))
    by_class = _by_class(walk, str(root), layout)
    return ClassFolders({name: [Path(path) for path in paths] for name, paths in by_class.items()}, walk.passed_over)


def _by_class(found: FoundVideos, root: str, layout: str) -> dict[str, list[str]]:
    """Return the paths of the videos of each class below a root; see `class_folders`."""
    found.refuse_unlisted()
    by_folder: dict[str, list[str]] = {}
    for path in sorted(found.videos, key=lambda path: path.split("/")):
        folder, _, below = path.removeprefix(root).removeprefix("/").partition("/")
        if folder and not below and not os.path.isdir(path):  # noqa: PTH112
            raise DataError(f"{path} is in no class's folder; {layout}")
        if folder:
            by_folder.setdefault(folder, []).append(path)
    bare = sorted({folder.rpartition("/")[2] for folder in found.folders} - by_folder.keys())
    if bare or not by_folder:
        what = f"class folder {root}/{bare[0]} holds no video" if bare else f"{root} holds no class folder"
        passed = found.passed_over.line and f" ({found.passed_over.line})"
        raise DataError(f"{what}{passed}; {layout}" + ", or delete the folder" * bool(bare))
    by_class: dict[str, list[str]] = {}
    for folder, paths in by_folder.items():
        by_class.setdefault(class_name(folder, f"{root}/{folder}"), []).extend(paths)
    return by_class


def holds_class(root: Path, known: Collection[str]) -> bool:
    """Say whether a path is a folder that holds the folder of one of the known classes, as far as it can be listed."""
    with suppress(OSError):
        return any(known_as(path.name, known) in known for path in root.iterdir() if path.is_dir())
    return False


FOLDER = Dataset(
    "a folder of train/<class>/* and test/<class>/*",
    ("root",),
    lambda config: folder_listing(config.place),
    takes_url=True,
)
# Its videos are made before, in a place that the engine chooses where the config names none.
MOVING_DIGITS = Dataset("the embedded benchmark", (), FOLDER.listing)
