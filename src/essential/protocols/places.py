"""Where listed videos are on disk: with or without extension, flat, in folders of classes, or nested in any way."""

import os
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import chain, islice

from essential.errors import DataError
from essential.protocols.listed import ListedVideo, check_names
from essential.protocols.protocol import Listing, Segment, Video
from essential.protocols.video_walk import FoundVideos, VideoNames, VideoWalk, bare_name, is_below
from essential.remote.storage import Root, Storage, file_at
from essential.shown import named

_NAMED_AT_MOST = 5


def refuse_unclear(listing: Listing, root: object) -> None:
    """Raise a DataError if a listed name is ambiguous: it may be one of several files."""
    if listing.others:
        lines = "\n  ".join(
            f"{listing.videos[place].key}: {', '.join((listing.videos[place].file, *files))}"
            for place, files in islice(listing.others.items(), _NAMED_AT_MOST)
        )
        raise DataError(
            f"{root}: {len(listing.others)} listed videos may each be one of several files:\n  {lines}\nKeep one "
            "file of each, or put it where the list says; `essential data check` names them all"
        )


def locate_videos(listed: Sequence[ListedVideo], root: Root, classes: tuple[str, ...]) -> Listing:
    """Return a listing of the videos, in the order of the list, each looked for below `root`.

    A missing one has the path where it would be; of several candidates a video has the best, `others` the rest.

    A video is the file at the listed path; else one there with another video's extension; else one of the same bare
    name anywhere, if the list has no other video of that bare name. Of several, the one at a longer path that ends as
    listed is taken, else the one in the folder of its class.

    A video's key is its listed name, with `@start-end` in seconds behind it for a segment, and `#2`, `#3`, ... for
    what the list repeats.

    Where a storage cannot be listed (HTTP), a video is the file at its listed name, there or not.

    Raises:
        DataError: a name is no path below a folder; `root` cannot be walked; a link leads out of it; a name is without
            a video's extension where names are all there is.
    """
    names = check_names([video.name for video in listed], "the list")
    if isinstance(root, Storage) and root.files() is None:
        return _as_listed(listed, names, root, classes)
    bares = [bare_name(name.rpartition("/")[2]) for name in names]
    index = VideoIndex(root)
    shared = _shared(names, bares)
    files: list[str] = []
    missing: set[int] = set()
    others: dict[int, tuple[str, ...]] = {}
    for place, (name, bare) in enumerate(zip(names, bares, strict=True)):
        candidates = index.paths.get(bare, [])
        if len(candidates) != 1 or bare in shared:
            candidates = _choose(name, listed[place].label, index, needs_place=bare in shared)
        found = [file_at(root, path.removeprefix(f"{root}/")) for path in candidates]
        if len(found) > 1:
            others[place] = tuple(found[1:])
        if not found:
            missing.add(place)
        files.append(found[0] if found else file_at(root, index.checked_missing(name)))
    return Listing(_videos(listed, files), classes, missing=frozenset(missing), others=others)


def _as_listed(
    listed: Sequence[ListedVideo], names: Sequence[str], storage: Storage, classes: tuple[str, ...]
) -> Listing:
    bare = [name for name in names if bare_name(name) is name]
    if bare:
        raise DataError(
            f"{storage} cannot be listed, so names must be complete, and {len(bare)} of {len(names)} are without a "
            f"video's extension: {named(bare)}",
            remedy="list the files by their whole names, or put them into a bucket",
        )
    return Listing(_videos(listed, [storage.locator(name) for name in names]), classes)


def _videos(listed: Sequence[ListedVideo], files: Sequence[str]) -> list[Video]:
    return [
        Video(key, file, label, "train" if split == "train" else "test", segment)
        for (_, label, split, segment), key, file in zip(listed, _unique_keys(listed), files, strict=True)
    ]


class VideoIndex:
    """The videos below a root by their bare names: the last part of the path, without a video's extension.

    Links are followed where they stay below the root; what is below the same folder is found by each path to it. A
    storage's files are on paths of its URL.
    """

    def __init__(self, root: Root) -> None:
        self.root = str(root)
        self._is_storage = isinstance(root, Storage)
        self._real_root = self.real(self.root)
        found: FoundVideos
        if isinstance(root, Storage):
            found = VideoNames(self.root, root.files() or ())
        elif root.is_dir():
            found = VideoWalk(self.root, check_link=self.refuse_outside)
        else:
            raise DataError(f"data folder {root} does not exist; give the folder of the videos as data.root")
        found.refuse_unlisted()
        # A list names no videos of a root that is itself one.
        found.videos.pop(self.root, None)
        self.paths: dict[str, list[str]] = {}
        for path, bare in chain(found.videos.items(), found.again.items()):
            self.paths.setdefault(bare, []).append(path)

    def real(self, path: str) -> str:
        """Return a path with its links followed; a storage has none."""
        return path if self._is_storage else os.path.realpath(path)

    def checked_missing(self, name: str) -> str:
        """Return the name of a listed video that was not found."""
        place = f"{self.root}/{name}"
        # What the walk passed over, such as a link in a hidden folder, may be there all the same.
        if not self._is_storage and os.path.lexists(place):
            self.refuse_outside(place)
        return name

    def refuse_outside(self, path: str) -> None:
        """Refuse a path that, links followed, lies outside the root."""
        target = os.path.realpath(path)
        if not is_below(target, self._real_root):
            raise DataError(
                f"{path} is a link that leads out of the data folder {self.root}, to {target}; put the file itself "
                "there, or give as data.root a folder that holds both"
            )


def _shared(names: Sequence[str], bares: Sequence[str]) -> set[str]:
    """Return the bare names that several listed names share: alone they are ambiguous."""
    if len(set(names)) == len(set(bares)):
        return set()
    owners: dict[str, str] = {}
    return {bare for name, bare in zip(names, bares, strict=True) if owners.setdefault(bare, name) != name}


def _choose(name: str, label: str, index: VideoIndex, *, needs_place: bool) -> list[str]:
    """Return the candidates for a listed name; more than one if nothing decides between them.

    `needs_place` asks that its folder fits too: its bare name is shared.
    """
    bare_path, last = bare_name(name), name.rpartition("/")[2]
    candidates = [path for bare in {last, bare_name(last)} for path in index.paths.get(bare, ())]
    tests: tuple[Callable[[str], bool], ...] = (
        lambda path: path == f"{index.root}/{name}",
        lambda path: bare_name(path) in (f"{index.root}/{bare_path}", f"{index.root}/{name}"),
        lambda path: "/" in name and f"/{bare_name(path)}".endswith((f"/{bare_path}", f"/{name}")),
        lambda path: path.split("/")[-2] == label,
    )
    fits = False
    for test in tests:
        fitting = [path for path in candidates if test(path)]
        if fitting:
            candidates, fits = fitting, True
    if needs_place and not fits:
        return []
    really = {index.real(path): path for path in sorted(candidates, reverse=True)}
    return sorted(really.values())


def _unique_keys(listed: Sequence[ListedVideo]) -> list[str]:
    """Return a key for each: its name, `@start-end` in seconds behind it for a segment, and `#2`, ... for repeats."""
    plain = [name if segment is None else f"{name}{_suffix(segment)}" for name, _, _, segment in listed]
    if len(set(plain)) == len(plain):
        return plain
    keys: dict[str, None] = {}
    repeats = Counter[str]()
    for name in plain:
        key = name
        while key in keys:
            repeats[name] += 1
            key = f"{name}#{repeats[name] + 1}"
        keys[key] = None
    return list(keys)


def _suffix(segment: Segment) -> str:
    start, end = (repr(float(seconds)).removesuffix(".0") for seconds in segment)
    return f"@{start}-{end}"
