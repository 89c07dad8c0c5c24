"""Videos in folders: `train/<class>/*` and `test/<class>/*`, the layout of the user's own data."""

from pathlib import Path

from essential.errors import DataError
from essential.protocols.protocol import Split, Video

EXTENSIONS = frozenset({".avi", ".flv", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".ogv", ".webm", ".wmv"})
_LAYOUT = "lay the videos out as train/<class>/* and test/<class>/*"


def folder_videos(root: Path) -> list[Video]:
    """Return the labelled videos below `root`, by their extension. Hidden files and other files are passed over.

    Raises:
        DataError: the folder or one of its two parts is missing or empty, a class folder holds no video, or a class
            has test clips but no training clip.
    """
    if not root.is_dir():
        raise DataError(f"data folder {root} does not exist; give an existing one as data.root, and {_LAYOUT}")
    train, test = _split_videos(root, "train"), _split_videos(root, "test")
    refuse_untrained(train + test, str(root))
    return train + test


def refuse_untrained(videos: list[Video], where: str) -> None:
    """Refuse a class with test clips alone.

    Raises:
        DataError: names the classes.
    """
    trained = {video.label for video in videos if video.split == "train"}
    bare = sorted({video.label for video in videos} - trained)
    if bare:
        raise DataError(
            f"{where}: no training clip for the class{'es' if len(bare) > 1 else ''} {', '.join(map(repr, bare))}; "
            "add training clips, or take the class out of the test split"
        )


def _split_videos(root: Path, split: Split) -> list[Video]:
    folder = root / split
    if not folder.is_dir():
        raise DataError(f"data folder {root} has no folder {split!r}; {_LAYOUT}")
    classes = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    if not classes:
        raise DataError(f"{folder} holds no class folder; {_LAYOUT}")
    return [video for path in classes for video in _class_videos(root, path, split)]


def _class_videos(root: Path, folder: Path, split: Split) -> list[Video]:
    files = sorted(
        path for path in folder.iterdir() if path.suffix.lower() in EXTENSIONS and not path.name.startswith(".")
    )
    if not files:
        raise DataError(
            f"class folder {folder} holds no video ({', '.join(sorted(EXTENSIONS))}); add clips, or delete the folder"
        )
    return [Video(_key(path, root), str(path), folder.name, split) for path in files]


def _key(path: Path, root: Path) -> str:
    key = path.relative_to(root).as_posix()
    try:
        key.encode()
    except UnicodeEncodeError:
        raise DataError(f"the name of the file {key!r} in {root} is not UTF-8 text; rename the file") from None
    return key
