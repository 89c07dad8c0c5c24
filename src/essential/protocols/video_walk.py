"""What videos lie below a folder: files by their extension, and folders of frames. Each folder is read once.

The one search for `learn`, `train`, `predict` and lists. It counts what it passes over.
"""

import os
import re
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from stat import S_ISDIR, S_ISREG

from essential.errors import DataError
from essential.shown import named

NO_VIDEO = "no video by their extension"
LINK_TO_NOTHING = "link to nothing, its content not fetched"
NOT_A_FILE = "not a file but a pipe, a socket or a device"
HIDDEN = "hidden"
SYSTEM = "of an operating system"
AGAIN = "found already, by another path"
BESIDE = "beside the folders train and test"
ODD = "at a path with an empty part"

_LONGEST_EXTENSION = 8
_EXTENSIONS_NAMED = 5
# What FFmpeg reads and people keep videos in. A still GIF, or a program in TypeScript, is refused when it is read. An
# animated WebP is not taken: FFmpeg has no decoder for it.
EXTENSIONS = frozenset(
    {".3g2", ".3gp", ".asf", ".avi", ".divx", ".dv", ".f4v", ".flv", ".gif", ".m1v", ".m2ts", ".m2v", ".m4v", ".mkv"}
    | {".mov", ".mp4", ".mpe", ".mpeg", ".mpg", ".mts", ".mxf", ".ogm", ".ogv", ".qt", ".rm", ".rmvb", ".ts", ".vob"}
    | {".webm", ".wmv"}
)
# In lower case: what macOS, Windows, Linux and network disks put beside people's files.
_SYSTEM = frozenset(
    {"__macosx", "@eadir", "#recycle", "$recycle.bin", "system volume information", "lost+found"}
    | {".ds_store", "thumbs.db", "desktop.ini"}
)
_IMAGES = (".jpg", ".png", ".jpeg")
_NUMBERED_IMAGE = re.compile(r"(?:[a-z]+[_-]?)?([0-9]+)\.(?:jpe?g|png)", re.IGNORECASE)


class PassedOver:
    """What a search for videos did not take, by reason, with examples: extensions for `NO_VIDEO`, else paths."""

    def __init__(self) -> None:
        self._found: dict[str, Counter[str]] = {}

    def add(self, reason: str, path: str) -> None:
        """Count a file or folder under a reason."""
        example = _extension(path) if reason == NO_VIDEO else path
        self._found.setdefault(reason, Counter())[example] += 1

    def extend(self, other: "PassedOver") -> None:
        """Count all that `other` counts."""
        for reason, examples in other._found.items():
            self._found.setdefault(reason, Counter()).update(examples)

    def taken_out(self, reason: str) -> list[str]:
        """Return the examples of a reason, sorted, and count them no more."""
        return sorted(self._found.pop(reason, ()))

    @property
    def counts(self) -> Mapping[str, int]:
        """How many there are, by reason."""
        return {reason: examples.total() for reason, examples in sorted(self._found.items())}

    @property
    def line(self) -> str:
        """All of it in one line; empty if nothing was passed over."""
        total = sum(self.counts.values())
        parts = [f"{count} {reason}: {self._examples(reason)}" for reason, count in self.counts.items()]
        several = "s" * (total > 1)
        return f"passed over: {total} file{several} or folder{several} ({'; '.join(parts)})" if total else ""

    def _examples(self, reason: str) -> str:
        examples = sorted(self._found[reason])
        if reason != NO_VIDEO:
            return named(examples)
        return ", ".join(examples[:_EXTENSIONS_NAMED]) + ", ..." * (len(examples) > _EXTENSIONS_NAMED)


class FoundVideos:
    """The videos below a place."""

    def __init__(self) -> None:
        # The path of each, which may be the place itself, with its bare name. Text: there may be very many.
        self.videos: dict[str, str] = {}
        # Further paths of them, through links to folders that are searched already.
        self.again: dict[str, str] = {}
        # Those right in the place, and links to such.
        self.folders: list[str] = []
        self.passed_over = PassedOver()
        # Why a folder cannot be listed, by its path.
        self.unlisted: dict[str, str] = {}

    def refuse_unlisted(self) -> None:
        """Raise a DataError that names a folder that cannot be listed, if there is one."""
        for folder, reason in self.unlisted.items():
            raise DataError(f"{folder} cannot be read ({reason}); make it readable")


class VideoNames(FoundVideos):
    """The videos among the names of a storage's files below `top`: those with a video's extension, on paths of `top`.

    A storage has no folders of frames: each of their images would be a request.
    """

    def __init__(self, top: str, names: Iterable[str]) -> None:
        super().__init__()
        folders, left_out = dict[str, None](), dict[str, str]()
        for name in names:
            *parents, last = name.split("/")
            folders.update(dict.fromkeys(parents[:1]))
            for depth, part in enumerate((*parents, last), 1):
                reason = _reason_of_name(part) if part not in ("", "..") else ODD
                if reason is not None:
                    left_out["/".join([*parents, last][:depth])] = reason
                    break
            else:
                bare = bare_name(last)
                if bare is last:
                    self.passed_over.add(NO_VIDEO, f"{top}/{name}")
                else:
                    self.videos[f"{top}/{name}"] = bare
        for place, reason in left_out.items():
            self.passed_over.add(reason, f"{top}/{place}")
        self.folders = [f"{top}/{folder}" for folder in folders if folder not in left_out]


class VideoWalk(FoundVideos):
    """A search for all videos below a folder: files by their extension, and folders of frames.

    A folder of frames holds numbered images such as `img_00001.jpg`, `frame000001.jpg` or `00001.png`, no video and no
    folder; whatever else is in it belongs to it. Links are followed, except to a folder that holds the link; each
    folder that links lead to is searched once.

    Args:
        top: the folder.
        check_link: called with every link to a folder or of a video's extension before it is followed; may raise.
    """

    def __init__(self, top: str, *, check_link: Callable[[str], object] = os.fspath) -> None:
        super().__init__()
        self._check_link = check_link
        self._searched: set[str] = set()
        links = deque(self._walk(top, os.path.realpath(top)))
        followed: set[str] = set()
        while links:
            link = links.popleft()
            target, holder = os.path.realpath(link), os.path.realpath(os.path.dirname(link))  # noqa: PTH120
            if target not in followed and not is_below(holder, target):
                followed.add(target)
                links += self._walk(link, target)

    def _walk(self, top: str, real_top: str) -> list[str]:
        """Search a folder that really is at `real_top`, and return the links to folders in it, unfollowed."""
        folders, links = [top], list[str]()
        while folders:
            folder = folders.pop()
            real = real_top + folder[len(top) :]
            passed_over = PassedOver()
            try:
                videos, found, linked = self._read(folder, passed_over)
            except OSError as error:
                self.unlisted[folder] = str(error.strerror)
                continue
            if real in self._searched:
                self.again |= videos
                for path in videos:
                    self.passed_over.add(AGAIN, path)
            else:
                self._searched.add(real)
                self.videos.update(videos)
                self.passed_over.extend(passed_over)
            folders += found
            links += linked
            self.folders = self.folders or [*found, *linked]
        return sorted(links)

    def _read(self, folder: str, passed_over: PassedOver) -> tuple[dict[str, str], list[str], list[str]]:
        """Return the videos right in a folder, which may be one itself, the folders in it, and the links to folders."""
        videos: dict[str, str] = {}
        files, folders, links = list[str](), list[str](), list[str]()
        with os.scandir(folder) as entries:
            for entry in entries:
                name, path = entry.name, f"{folder}/{entry.name}"
                bare = name if name.endswith(_IMAGES) else bare_name(name)
                is_plain = name[0] != "." and entry.is_file(follow_symlinks=False)
                reason = None if is_plain else self._reason(entry, path)
                if reason is not None:
                    passed_over.add(reason, path)
                elif not is_plain and entry.is_dir():
                    (links if entry.is_symlink() else folders).append(path)
                elif bare is name:
                    files.append(name)
                else:
                    videos[path] = bare
        if not (videos or folders or links) and any(frame_number(name) is not None for name in files):
            return {folder: folder.rpartition("/")[2]}, [], []
        for name in files:
            passed_over.add(SYSTEM if name.lower() in _SYSTEM else NO_VIDEO, f"{folder}/{name}")
        return videos, folders, links

    def _reason(self, entry: "os.DirEntry[str]", path: str) -> str | None:
        """Return why an entry that is no plain file is passed over; None if it is not."""
        reason = _reason_of_name(entry.name)
        if reason is not None:
            return reason
        try:
            mode = entry.stat().st_mode
        except OSError:
            mode = 0
        if entry.is_symlink() and (S_ISDIR(mode) or bare_name(entry.name) is not entry.name):
            self._check_link(path)
        if S_ISDIR(mode) or S_ISREG(mode):
            return None
        return NOT_A_FILE if mode else LINK_TO_NOTHING


def _reason_of_name(name: str) -> str | None:
    """Return why a file or folder of a name is passed over; None if it is not."""
    if name.lower() in _SYSTEM or name.startswith("._"):
        return SYSTEM
    return HIDDEN if name[0] == "." else None


def bare_name(name: str) -> str:
    """Return a name without its extension if that is a video's."""
    dot = name.rfind(".")
    if dot > 0 and (name[dot:] in EXTENSIONS or name[dot:].lower() in EXTENSIONS):
        return name[:dot]
    return name


def frame_number(name: str) -> int | None:
    """Return the number in a frame's file name, such as `img_00001.jpg`, `frame000001.jpg` or `00001.png`."""
    match = _NUMBERED_IMAGE.fullmatch(name)
    return None if match is None else int(match[1])


def is_below(path: str, folder: str) -> bool:
    """Say whether a path is a folder or lies in it; both are real, without links."""
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def _extension(path: str) -> str:
    name = path.rpartition("/")[2]
    extension = name[name.rfind(".") :].lower() if "." in name else ""
    plain = extension.isascii() and extension[1:].isalnum() and len(extension) <= _LONGEST_EXTENSION
    return extension if plain else "another" if extension else "none"
