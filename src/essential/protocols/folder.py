"""Videos in folders of classes, the layout of the user's own data: `<class>/*`, alone or in `train` and `test`."""

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
from essential.protocols.video_walk import BESIDE, PassedOver, VideoWalk

_LAYOUT = "lay the videos out as train/<class>/* and test/<class>/*"


class ClassFolders(NamedTuple):
    """The videos of each class, by its name, each class's by their paths; and what is passed over."""

    videos: dict[str, list[Path]]
    passed_over: PassedOver


def folder_listing(root: Path) -> Listing:
    """Return the labelled videos in `root/train/<class>/*` and `root/test/<class>/*`.

    Raises:
        DataError: a folder is missing or empty, as `class_folders`; or a class has test clips but no training clip.
    """
    if not root.is_dir():
        raise DataError(f"data folder {root} does not exist; give an existing one as data.root, and {_LAYOUT}")
    passed_over = PassedOver()
    videos = []
    for split in SPLITS:
        if not (root / split).is_dir():
            raise DataError(f"data folder {root} has no folder {split!r}; {_LAYOUT}")
        found = class_folders(root / split, _LAYOUT)
        passed_over.extend(found.passed_over)
        for name, paths in found.videos.items():
            videos += [Video(path.relative_to(root).as_posix(), str(path), name, split) for path in paths]
    # What Python makes of bytes that are no UTF-8.
    odd = next((video.key for video in videos if re.search("[\ud800-\udfff]", video.key)), None)
    if odd is not None:
        raise DataError(f"the name of the file {odd!r} in {root} is not UTF-8 text; rename the file")
    refuse_untrained(videos, str(root))
    for path in root.iterdir():
        if path.name not in (*SPLITS, MARKER) and path.name[0] != ".":
            passed_over.add(BESIDE, str(path))
    return Listing.by_name(videos, passed_over)


def class_folders(root: Path, layout: str) -> ClassFolders:
    """Return the videos of each class out of `root/<class>/*`; folders whose names are one name are one class.

    Messages end in `layout`: how the folder should be laid out.

    Raises:
        DataError: no class folder; one without a video or with a name that no class can have; a video beside them.
    """
    walk = VideoWalk(str(root))
    walk.refuse_unlisted()
    found: dict[str, list[Path]] = {}
    for path in sorted(map(Path, walk.videos)):
        parts = path.relative_to(root).parts
        if len(parts) == 1 and not path.is_dir():
            raise DataError(f"{path} is in no class's folder; {layout}")
        if parts:
            found.setdefault(parts[0], []).append(path)
    bare = sorted({Path(folder).name for folder in walk.folders} - found.keys())
    if bare or not found:
        what = f"class folder {root / bare[0]} holds no video" if bare else f"{root} holds no class folder"
        passed = walk.passed_over.line and f" ({walk.passed_over.line})"
        raise DataError(f"{what}{passed}; {layout}" + ", or delete the folder" * bool(bare))
    videos: dict[str, list[Path]] = {}
    for folder, paths in found.items():
        videos.setdefault(class_name(folder, str(root / folder)), []).extend(paths)
    return ClassFolders(videos, walk.passed_over)


def holds_class(root: Path, known: Collection[str]) -> bool:
    """Say whether a path is a folder that holds the folder of one of the known classes, as far as it can be listed."""
    with suppress(OSError):
        return any(known_as(path.name, known) in known for path in root.iterdir() if path.is_dir())
    return False


FOLDER = Dataset(
    "a folder of train/<class>/* and test/<class>/*", ("root",), lambda config: folder_listing(config.given("root"))
)
# Its videos are made before, in a place that the engine chooses where the config names none.
MOVING_DIGITS = Dataset("the embedded benchmark", (), FOLDER.listing)
