"""Where the videos are that a file of spans names: below one folder, never elsewhere, whatever the file says."""

import os
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

from essential.errors import DataError
from essential.protocols.text_files import Line
from essential.protocols.video_walk import EXTENSIONS, VideoWalk, is_below
from essential.remote.access import scheme_of
from essential.shown import named, quoted

# What Label Studio puts before the name of a file that is uploaded, and how it names one on its own disk.
_UPLOAD = re.compile(r"[0-9a-f]{8}-(?=.)")
_LOCAL_FILE = "?d="
# ActivityNet's files have this before the name that its JSON gives.
_BEFORE_ID = "v_"
# In the place of an extension.
_ANY = ".*"


def is_video_name(text: str) -> bool:
    """Return whether a text names a video by its extension."""
    return PurePosixPath(_base_name(text)).suffix.lower() in EXTENSIONS


class VideoPlaces:
    """Finds videos by what a file of spans calls them.

    A path relative to the folder is taken as it is. Any other name is looked for by its last part: with what Label
    Studio puts before it or without, and without an extension if it has none. `by_name` holds what was found so.

    Args:
        spans: the file of spans, whose folder it is if there is no other.
        videos: a folder that is searched with all below it; None: the file's folder alone, without those in it.
    """

    def __init__(self, spans: Path, videos: Path | None) -> None:
        if videos is not None and not videos.is_dir():
            raise DataError(f"the folder {videos} does not exist", remedy="give the folder of the videos")
        self.by_name: dict[str, Path] = {}
        self._folder, self._is_searched = videos or spans.parent, videos is not None

    def find(self, name: str, line: Line) -> Path:
        """Return a video's path; DataError if it is not there, is there several times, or is an address."""
        if scheme_of(name) is not None:
            remedy = "fetch it, name it by a path, or leave out its spans"
            raise line.error(f"the video is an address, {quoted(name)}, and none is opened", remedy)
        relative = PurePosixPath(name.replace("\\", "/"))
        path = self._folder / relative
        if not relative.is_absolute() and ".." not in relative.parts and os.path.isfile(path):  # noqa: PTH113
            self._refuse_outside(path, line)
            return path
        found = self._lookup(_base_name(name))
        if len(found) != 1:
            raise line.error(*self._missing(name, found))
        self._refuse_outside(found[0], line)
        self.by_name[name] = found[0]
        return found[0]

    def _lookup(self, base: str) -> Sequence[Path]:
        keys = [base, _UPLOAD.sub("", base, count=1)]
        if not is_video_name(base):
            keys = [base + _ANY, _BEFORE_ID + base + _ANY]
        return next((self._known[key] for key in keys if key in self._known), ())

    @cached_property
    def _known(self) -> Mapping[str, Sequence[Path]]:
        """The videos of the folder, by their bare names, and by these with `_ANY` for the extension."""
        if self._is_searched:
            paths = [Path(path) for path in VideoWalk(str(self._folder)).videos]
        else:
            paths = sorted(self._folder.iterdir())
        known: dict[str, list[Path]] = defaultdict(list)
        for path in paths:
            if path.suffix.lower() in EXTENSIONS and path.is_file():
                known[path.name].append(path)
                known[path.stem + _ANY].append(path)
        return known

    def _missing(self, name: str, found: Sequence[Path]) -> tuple[str, str]:
        if found:
            return (
                f"{len(found)} videos may be {name!r}: {named([*map(str, found)])}",
                "rename all but one, or give the video's path in the folder",
            )
        where = f"below {self._folder}" if self._is_searched else f"in {self._folder}"
        remedy = "check the name" if self._is_searched else "put the file of spans beside it, or give --videos DIR"
        return f"there is no video {name!r} {where}", remedy

    def _refuse_outside(self, path: Path, line: Line) -> None:
        real = os.path.realpath(path)
        if not is_below(real, os.path.realpath(self._folder)):
            problem = f"{path} leads out of {self._folder} through a link, to {real}"
            raise line.error(problem, "put the video itself there, or give its folder as --videos DIR")


def _base_name(name: str) -> str:
    return unquote(re.split(r"[\\/]", name.rpartition(_LOCAL_FILE)[2])[-1])
