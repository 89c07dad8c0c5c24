"""What videos lie below a folder: files by their extension, and folders of frames. Each folder is read once."""

import os
import re
from pathlib import Path

from essential.errors import DataError
from essential.protocols.folder import EXTENSIONS

_NUMBERED_IMAGE = re.compile(r"(?:[a-z]+[_-]?)?([0-9]+)\.(?:jpe?g|png)", re.IGNORECASE)
# So many numbered images, no video and no folder among them, and a folder is one of frames: it may hold thousands.
_ENOUGH_IMAGES = 32


class VideoIndex:
    """The videos below a folder by their bare names: the last part of the path, without a video's extension.

    A folder of frames is one with images such as `img_00001.jpg`, `frame000001.jpg` or `00001.png`, and with no video
    and no folder in it. Hidden files and folders are passed over. A link that stays below the root is followed, but not
    a link behind a link, and each folder that links lead to once, so that no circle of links goes on for ever.

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
        walked: set[str] = set()
        for link in sorted(self._walk(self.root)):
            self._follow(link, walked)

    def paths(self, bare: str) -> list[str]:
        """Return all paths of a bare name."""
        return [self.first[bare], *self.others.get(bare, ())] if bare in self.first else []

    def refuse_outside(self, path: str) -> str:
        """Return where a path really is, links followed.

        Raises:
            DataError: that is outside the root.
        """
        target = os.path.realpath(path)
        if not _is_below(target, self._real_root):
            raise DataError(
                f"{path} is a link that leads out of the data folder {self.root}, to {target}; put the file itself "
                "there, or give as data.root a folder that holds both"
            )
        return target

    def _follow(self, link: str, walked: set[str]) -> None:
        is_folder, is_video = os.path.isdir(link), bare_name(link) != link  # noqa: PTH112
        if not is_folder and not is_video:
            return
        target = self.refuse_outside(link)
        if not is_folder:
            self._add(bare_name(os.path.basename(link)), link)  # noqa: PTH119
        elif target not in walked and not _is_below(os.path.realpath(os.path.dirname(link)), target):  # noqa: PTH120
            walked.add(target)
            self._walk(link)

    def _walk(self, top: str) -> list[str]:
        """Add all videos below a folder, and return the links found there, unfollowed."""
        links: list[str] = []
        folders = [top]
        while folders:
            folder = folders.pop()
            try:
                found, linked = self._read(folder)
            except OSError as error:
                raise DataError(f"{folder} cannot be read ({error.strerror}); make it readable") from error
            folders += found
            links += linked
        return links

    def _read(self, folder: str) -> tuple[list[str], list[str]]:
        """Add the videos of one folder; return its folders and its links."""
        elsewhere: list[os.DirEntry[str]] = []
        images = videos = 0
        first = self.first
        with os.scandir(folder) as entries:
            for entry in entries:
                name = entry.name
                if name[0] == ".":
                    continue
                if not entry.is_file(follow_symlinks=False):
                    elsewhere.append(entry)
                    continue
                bare = bare_name(name)
                if bare is not name:
                    videos += 1
                    path = f"{folder}/{name}"
                    if first.setdefault(bare, path) is not path:
                        self.others.setdefault(bare, []).append(path)
                elif not videos and not elsewhere and frame_number(name) is not None:
                    images += 1
                    if images == _ENOUGH_IMAGES:
                        break
        folders = [f"{folder}/{entry.name}" for entry in elsewhere if entry.is_dir(follow_symlinks=False)]
        links = [f"{folder}/{entry.name}" for entry in elsewhere if entry.is_symlink()]
        if images and not videos and not folders and folder != self.root:
            self._add(folder.rpartition("/")[2], folder)
        return folders, links

    def _add(self, bare: str, path: str) -> None:
        if self.first.setdefault(bare, path) is not path:
            self.others.setdefault(bare, []).append(path)


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


def _is_below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")
