"""What videos lie below a folder: files by their extension, and folders of frames. Each folder is read once.

The one search for `learn`, `train`, `predict` and lists. What it passes over, it counts.
"""

import os
import re
from collections import deque
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from stat import S_ISDIR, S_ISREG

from essential.errors import DataError
from essential.protocols.passed_over import AGAIN, HIDDEN, LINK_TO_NOTHING, NO_VIDEO, NOT_A_FILE, SYSTEM, PassedOver

# What FFmpeg's demuxers read and people keep moving pictures in. A still GIF, or a program in TypeScript, is told to be
# no video when it is read. An animated WebP is not taken: FFmpeg has no decoder for it.
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


class VideoWalk:
    """A search for all videos below a folder: files by their extension, and folders of frames.

    A folder of frames holds numbered images such as `img_00001.jpg`, `frame000001.jpg` or `00001.png`, no video and no
    folder; whatever else is in it belongs to it. Links are followed, but none to a folder that it lies in, and each
    folder that links lead to once.

    Args:
        top: the folder.
        check_link: called with every link to a folder or of a video's extension before it is followed; may raise.

    Attributes:
        videos: the path of each, which may be `top` itself, with its bare name. Text: there may be very many.
        again: further paths of them, through links to folders that are searched already.
        folders: those right in `top`, and links to such.
        passed_over: all else, and what is found again.
        unlisted: why a folder cannot be listed, by its path.
    """

    def __init__(self, top: str, *, check_link: Callable[[str], object] = os.fspath) -> None:
        self.videos: dict[str, str] = {}
        self.again: dict[str, str] = {}
        self.folders: list[str] = []
        self.passed_over = PassedOver()
        self.unlisted: dict[str, str] = {}
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

    def refuse_unlisted(self) -> None:
        """Refuse to go on without a folder that cannot be listed.

        Raises:
            DataError: names it.
        """
        for folder, reason in self.unlisted.items():
            raise DataError(f"{folder} cannot be read ({reason}); make it readable")

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
        files: list[str] = []
        elsewhere: list[os.DirEntry[str]] = []
        with os.scandir(folder) as entries:
            for entry in entries:
                name = entry.name
                if name[0] == "." or not entry.is_file(follow_symlinks=False):
                    elsewhere.append(entry)
                    continue
                bare = name if name.endswith(_IMAGES) else bare_name(name)
                if bare is name:
                    files.append(name)
                else:
                    videos[f"{folder}/{name}"] = bare
        folders, links = list[str](), list[str]()
        for entry in elsewhere:
            path, bare = f"{folder}/{entry.name}", bare_name(entry.name)
            reason = self._reason(entry, path)
            if reason is not None:
                passed_over.add(reason, path)
            elif entry.is_dir():
                (links if entry.is_symlink() else folders).append(path)
            elif bare is entry.name:
                files.append(entry.name)
            else:
                videos[path] = bare
        if not (videos or folders or links) and any(frame_number(name) is not None for name in files):
            return {folder: folder.rpartition("/")[2]}, [], []
        for name in files:
            passed_over.add(SYSTEM if name.lower() in _SYSTEM else NO_VIDEO, f"{folder}/{name}")
        return videos, folders, links

    def _reason(self, entry: "os.DirEntry[str]", path: str) -> str | None:
        """Return why a hidden entry, a folder, a link or another special file is passed over; None if it is not."""
        if entry.name.lower() in _SYSTEM or entry.name.startswith("._"):
            return SYSTEM
        if entry.name[0] == ".":
            return HIDDEN
        try:
            mode = entry.stat().st_mode
        except OSError:
            mode = 0
        if entry.is_symlink() and (S_ISDIR(mode) or bare_name(entry.name) is not entry.name):
            self._check_link(path)
        if S_ISDIR(mode) or S_ISREG(mode):
            return None
        return NOT_A_FILE if mode else LINK_TO_NOTHING


class VideoIndex:
    """The videos below a folder by their bare names: the last part of the path, without a video's extension.

    A link is followed where it stays below the root; what is below the same folder is found by each path to it.

    Attributes:
        root: the folder, as it was given.
        first: a path for every bare name. Text, and most names have one path: there may be hundreds of thousands.
        others: the further paths of bare names that have several.
    """

    def __init__(self, root: Path) -> None:
        """Walk `root`.

        Raises:
            DataError: it is no folder, a folder in it cannot be read, or a link to a video or to a folder leads out.
        """
        if not root.is_dir():
            raise DataError(f"data folder {root} does not exist; give the folder of the videos as data.root")
        self.root = str(root)
        self.first: dict[str, str] = {}
        self.others: dict[str, list[str]] = {}
        self._real_root = os.path.realpath(root)
        walk = VideoWalk(self.root, check_link=self.refuse_outside)
        walk.refuse_unlisted()
        # A list names no videos of a root that is itself one.
        walk.videos.pop(self.root, None)
        for path, bare in chain(walk.videos.items(), walk.again.items()):
            if self.first.setdefault(bare, path) is not path:
                self.others.setdefault(bare, []).append(path)

    def paths(self, bare: str) -> list[str]:
        """Return all paths of a bare name."""
        return [self.first[bare], *self.others.get(bare, ())] if bare in self.first else []

    def refuse_outside(self, path: str) -> str:
        """Return where a path really is, links followed.

        Raises:
            DataError: that is outside the root.
        """
        target = os.path.realpath(path)
        if not is_below(target, self._real_root):
            raise DataError(
                f"{path} is a link that leads out of the data folder {self.root}, to {target}; put the file itself "
                "there, or give as data.root a folder that holds both"
            )
        return target


def bare_name(name: str) -> str:
    """Return a name without its extension if that is a video's; dots in names mean nothing else."""
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
