"""The clips that a learner is given: from a folder or a dictionary of paths to labelled videos."""

import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from essential.errors import DataError
from essential.protocols.folder import EXTENSIONS
from essential.protocols.video_walk import frame_number

Paths = Mapping[str, Sequence[Path]]
PathLike = str | os.PathLike[str]
_NAMED = 5
_LAYOUT = "lay the clips out as DIR/<class>/*.mp4, one folder for each class"


def clips_by_class(given: Mapping[str, Iterable[PathLike]] | PathLike) -> dict[str, list[Path]]:
    """Return the clips of each class, out of a dictionary or a folder `DIR/<class>/*`.

    Raises:
        DataError: there is no class, a class without a clip, a clip in two classes, or a class without a name.
    """
    if isinstance(given, Mapping):
        found = {name: [Path(path) for path in _as_list(paths, name)] for name, paths in given.items()}
    else:
        found = _folder_classes(Path(given))
    if not found:
        raise DataError("there is no class to learn; give {'class': [paths]} or a folder DIR/<class>/*.mp4")
    for name, paths in found.items():
        if not isinstance(name, str) or not name.strip() or not name.isprintable():
            raise DataError(f"{name!r} is no name for a class; give it a name of one line that can be printed")
        if not paths:
            raise DataError(f"no clip is given for the class {name!r}; give one at least, ten or more are better")
    _refuse_shared(found)
    return found


def expanded(paths: Iterable[PathLike]) -> Iterator[tuple[Path, str | None]]:
    """Yield each path, and in the place of a folder the videos below it, by name; with each, why it can be none.

    A video is a file, or a folder of numbered images, the frames of a clip, with no video and no folder in it. Links
    are followed, but each folder is searched once; what is hidden is passed over.
    """
    for given in paths:
        path, text = Path(given), os.fspath(given)
        if not text or "\0" in text:
            yield path, "an empty path names no file" if not text else "a path cannot hold a zero byte"
            continue
        try:
            is_folder = path.is_dir()
        except OSError as error:
            yield path, f"it cannot be opened ({error.strerror})"
            continue
        if is_folder:
            yield from _below(path) or [(path, f"the folder holds no video ({', '.join(sorted(EXTENSIONS))})")]
        else:
            yield path, None


def _below(top: Path) -> list[tuple[Path, str | None]]:
    """Return the videos below a folder, as `expanded` yields them; nothing if it holds none."""
    found: list[tuple[Path, str | None]] = []
    folders, links, searched = [top], list[Path](), set[str]()
    while folders or links:
        # Links last, so that a clip goes by the name of the folder it is in, where that is searched too.
        folder = folders.pop() if folders else links.pop(0)
        real = os.path.realpath(folder)
        if real in searched:
            continue
        searched.add(real)
        try:
            inside = sorted(each for each in folder.iterdir() if not each.name.startswith("."))
        except OSError as error:
            found.append((folder, f"the folder cannot be listed ({error.strerror})"))
            continue
        videos = [each for each in inside if _is_video(each)]
        further = [each for each in inside if each.is_dir()]
        found += [(video, None) for video in videos]
        folders += [each for each in further if not each.is_symlink()]
        links += [each for each in further if each.is_symlink()]
        if not videos and not further and any(frame_number(each.name) is not None for each in inside):
            found.append((folder, None))
    return sorted(found)


def refuse_same_content(hashes: Mapping[str, str], labels: Mapping[str, str], taught: Mapping[str, str]) -> None:
    """Refuse two files of equal content, and a file that was taught before: a clip must not judge what it has taught.

    Args:
        hashes: of every video's content, by its key.
        labels: the class of every key.
        taught: the class that each content was taught under before, by its hash.

    Raises:
        DataError: names the files and their classes.
    """
    first: dict[str, str] = {}
    again = [f"{key} (for {taught[content]!r})" for key, content in hashes.items() if content in taught]
    if again:
        several = f"{len(again)} clips were" if len(again) > 1 else "a clip was"
        some = ", ".join(again[:_NAMED]) + (", ..." if len(again) > _NAMED else "")
        raise DataError(f"{several} taught before: {some}; leave what was taught out")
    for key, content in hashes.items():
        other = first.setdefault(content, key)
        if labels[other] != labels[key]:
            raise DataError(
                f"{other} and {key} are the same video, in two classes ({labels[other]!r} and {labels[key]!r}); "
                "take it out of one of them"
            )
        if other != key:
            raise DataError(f"{other} and {key} are the same video; take one of them out")


def refuse_known(names: Collection[str], known: Collection[str]) -> None:
    """Refuse to learn a class again by mistake.

    Raises:
        DataError: says how to do so on purpose.
    """
    twice = [name for name in names if name in known]
    if twice:
        several = "classes are" if len(twice) > 1 else "class is"
        raise DataError(
            f"the {several} known already: {', '.join(map(repr, twice))}. To teach more clips of a known class, say "
            "so: learn(..., more_of_known=True), or --more-of-known on the command line; to begin it anew, forget it "
            "first"
        )


def _as_list(paths: Iterable[PathLike], name: str) -> list[PathLike]:
    if isinstance(paths, str | os.PathLike):
        raise DataError(f"the clips of the class {name!r} are given as {str(paths)!r}; give a list of paths")
    return list(paths)


def _folder_classes(root: Path) -> dict[str, list[Path]]:
    if not root.is_dir():
        raise DataError(f"the folder {root} does not exist; give one that is laid out as DIR/<class>/*.mp4")
    loose = sorted(each.name for each in root.iterdir() if _is_video(each))
    if loose:
        raise DataError(f"{root / loose[0]} is in no class's folder; {_LAYOUT}")
    folders = sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
    found = {path.name: [video for video, _ in _below(path)] for path in folders}
    bare = [name for name, paths in found.items() if not paths]
    if not found or bare:
        what = f"{root / bare[0]} holds no video" if bare else f"{root} holds no class folder"
        raise DataError(f"{what} ({', '.join(sorted(EXTENSIONS))}); {_LAYOUT}")
    if set(found) <= {"train", "test"}:
        raise DataError(f"{root} holds {' and '.join(found)}: give {root / 'train'}, whose folders are the classes")
    return found


def _is_video(path: Path) -> bool:
    return path.suffix.lower() in EXTENSIONS and not path.name.startswith(".") and path.is_file()


def _refuse_shared(found: Paths) -> None:
    owner: dict[Path, str] = {}
    for name, paths in found.items():
        for path in paths:
            other = owner.setdefault(Path(os.path.realpath(path)), name)
            if other != name:
                raise DataError(f"{path} is given for two classes, {other!r} and {name!r}; take it out of one of them")
