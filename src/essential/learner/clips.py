"""What a learner is given: a bundle, clips by class, from a folder or a dictionary, and paths to predict."""

import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from essential.errors import BundleError, DataError
from essential.protocols.class_names import class_name, known_as
from essential.protocols.folder import ClassFolders, class_folders
from essential.protocols.video_walk import LINK_TO_NOTHING, NOT_A_FILE, PassedOver, VideoWalk
from essential.shown import named
from essential.spans.checks import refuse_conflicts
from essential.spans.labelled_span import LabelledSpan

PathLike = str | os.PathLike[str]
# A file or a folder of frames, or a part of a file.
Clip = Path | LabelledSpan
_NAMED = 5
_LAYOUT = "lay the clips out as DIR/<class>/*.mp4, one folder for each class"


@dataclass(frozen=True)
class GivenClips:
    """The clips of each class, by its name; what is passed over in folders; and how many spans are of no class."""

    videos: Mapping[str, Sequence[Clip]]
    passed_over: PassedOver
    unlabelled: int = 0

    @property
    def line(self) -> str | None:
        """What is not taken, on one line; None if all is."""
        return f"not taken: {self.unlabelled} spans of no class" if self.unlabelled else self.passed_over.line


Given = Mapping[str, Iterable[PathLike]] | PathLike | GivenClips


def clips_by_class(given: Given | Sequence[LabelledSpan], *, split: Literal["train", "test"] = "train") -> GivenClips:
    """Return the clips of each class: of a dictionary, a folder `DIR/<class>/*`, or spans; or what this gave before.

    Spans of none of the classes are passed over.

    `split` is the folder to take, as an error says, of a folder that holds `train` and `test`.

    Raises:
        DataError: there is no class, a class without a clip, a clip in two classes, or a class without a name; for
            spans see `refuse_conflicts`.
    """
    if isinstance(given, GivenClips):
        return given
    if isinstance(given, Sequence) and not isinstance(given, str):
        return _classes_of_spans(given)
    clips = _named_classes(given) if isinstance(given, Mapping) else _folder_classes(Path(given), split)
    if not clips.videos:
        raise DataError("there is no class; give {'class': [paths]} or a folder DIR/<class>/*.mp4")
    for name, paths in clips.videos.items():
        if not paths:
            raise DataError(f"no clip is given for the class {name!r}; give one at least, ten or more are better")
    _refuse_shared(clips.videos)
    return GivenClips(*clips)


def _classes_of_spans(spans: Sequence[LabelledSpan]) -> GivenClips:
    refuse_conflicts(spans, [f"span {number}" for number in range(1, len(spans) + 1)])
    videos: dict[str, list[LabelledSpan]] = {}
    for span in spans:
        if span.label is not None:
            videos.setdefault(class_name(span.label, "the spans given"), []).append(span)
    if not videos:
        raise DataError("there is no class to learn: no span has a label; give labelled spans")
    return GivenClips(videos, PassedOver(), sum(span.label is None for span in spans))


def refuse_absent(given: Collection[str]) -> None:
    """Raise a DataError if none of the paths exists."""
    if not any(map(os.path.lexists, given)):
        raise DataError(f"there is no file and no folder {named([*given])}; check the name")


def refuse_missing(path: Path) -> None:
    """Raise a BundleError if there is no file."""
    if path.is_dir():
        raise BundleError(f"{path} is a folder; give the file of a bundle, as `essential learn --into FILE` makes it")
    if not path.exists():
        raise BundleError(
            f"there is no bundle {path}; make one with `essential learn --into {path} --videos DIR`, or check the name"
        )


class Expanded:
    """Gives each path, drawn one by one, or the videos below it, by name; with each, why it is no clip.

    A folder of numbered images is a clip. `passed_over` is what was passed over in folders so far.
    """

    def __init__(self, paths: Iterable[PathLike]) -> None:
        self.passed_over = PassedOver()
        self._paths = paths

    def __iter__(self) -> Iterator[tuple[Path, str | None]]:
        """Search a folder when its turn comes."""
        for given in self._paths:
            yield from self._expanded(Path(given), os.fspath(given))

    def _expanded(self, path: Path, text: str) -> list[tuple[Path, str | None]]:
        if not text or "\0" in text:
            return [(path, "a path cannot hold a zero byte" if text else "an empty path names no file")]
        try:
            is_folder = path.is_dir()
        except OSError as error:
            return [(path, f"it cannot be opened ({error.strerror})")]
        if not is_folder:
            return [(path, None)]
        return self._below(path) or [(path, "the folder holds no video; give one that does, or a file")]

    def _below(self, top: Path) -> list[tuple[Path, str | None]]:
        walk = VideoWalk(str(top))
        found: dict[Path, str | None] = dict.fromkeys(map(Path, walk.videos))
        for folder, reason in walk.unlisted.items():
            found[Path(folder)] = f"the folder cannot be listed ({reason})"
        for reason in (LINK_TO_NOTHING, NOT_A_FILE):
            found |= dict.fromkeys(map(Path, walk.passed_over.taken_out(reason)), reason)
        self.passed_over.extend(walk.passed_over)
        return sorted(found.items())


def refuse_same_content(hashes: Mapping[str, str], labels: Mapping[str, str], taught: Mapping[str, str]) -> None:
    """Refuse two clips of equal content, and one that was taught before, by a DataError that names them.

    So no clip is both learned from and held out. `hashes` and `labels` are by key, `taught` holds labels by hash.
    """
    again = [f"{key} (for {taught[content]!r})" for key, content in hashes.items() if content in taught]
    if again:
        several = f"{len(again)} clips were" if len(again) > 1 else "a clip was"
        some = ", ".join(again[:_NAMED]) + (", ..." if len(again) > _NAMED else "")
        raise DataError(f"{several} taught before: {some}", remedy="leave out what was taught")
    first: dict[str, str] = {}
    for key, content in hashes.items():
        other = first.setdefault(content, key)
        if labels[other] != labels[key]:
            raise DataError(
                f"{other} and {key} are the same clip, in two classes ({labels[other]!r} and {labels[key]!r})",
                remedy="take it out of one of them",
            )
        if other != key:
            raise DataError(f"{other} and {key} are the same clip", remedy="take one of them out")


def refuse_known(names: Collection[str], known: Collection[str]) -> None:
    """Raise a DataError for classes that are known: it says how to add to them on purpose."""
    twice = [name for name in names if known_as(name, known) in known]
    if twice:
        several = "classes are" if len(twice) > 1 else "class is"
        raise DataError(
            f"the {several} known already: {', '.join(map(repr, twice))}",
            remedy="for further clips of a known class use learn(..., more_of_known=True), or --more-of-known on the "
            "command line; to begin it anew, forget it first",
        )


def refuse_unknown(name: str, classes: Collection[str]) -> None:
    """Raise a DataError for a class that is to be changed and is not known."""
    if known_as(name, classes) not in classes:
        known = ", ".join(map(repr, classes)) or "none"
        raise DataError(f"there is no class {name!r}; known: {known}")


def _named_classes(given: Mapping[str, Iterable[PathLike]]) -> ClassFolders:
    found: dict[str, list[Path]] = {}
    for name, paths in given.items():
        if isinstance(paths, str | os.PathLike):
            raise DataError(f"the clips of the class {name!r} are given as {str(paths)!r}; give a list of paths")
        found.setdefault(class_name(name, "the clips given"), []).extend(map(Path, paths))
    return ClassFolders(found, PassedOver())


def _folder_classes(root: Path, split: str) -> ClassFolders:
    if not root.is_dir():
        what = f"{root} is not a folder" if root.exists() else f"the folder {root} does not exist"
        raise DataError(f"{what}; give one that is laid out as DIR/<class>/*.mp4")
    found = class_folders(root, _LAYOUT)
    if set(found.videos) <= {"train", "test"}:
        several = " and ".join(found.videos)
        raise DataError(f"{root} holds {several}: give {root / split}, whose folders are the classes")
    return found


def _refuse_shared(found: Mapping[str, Sequence[Path]]) -> None:
    owner: dict[Path, str] = {}
    for name, paths in found.items():
        for path in paths:
            other = owner.setdefault(Path(os.path.realpath(path)), name)
            if other != name:
                raise DataError(f"{path} is given for two classes, {other!r} and {name!r}; take it out of one of them")
