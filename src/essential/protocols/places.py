"""Where listed videos are on disk: with or without extension, flat, in folders of classes, or nested in any way."""

import os
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from essential.errors import DataError
from essential.protocols.listed import ListedVideo, check_names
from essential.protocols.protocol import Segment, Video, paused_collector
from essential.protocols.video_walk import VideoIndex, bare_name

_NAMED_AT_MOST = 5


class Found(NamedTuple):
    """A listed video and what was found for it.

    Attributes:
        video: with the path of the best candidate; if there is none, of where it would be.
        missing: there is none.
        others: more candidates, where nothing says which one is meant.
    """

    video: Video
    missing: bool
    others: tuple[str, ...] = ()


def locate_videos(listed: Sequence[ListedVideo], root: Path) -> list[Video]:
    """Return the listed videos with their places below `root`; those not found get the place where they would be.

    Raises:
        DataError: as `find_videos`; or a name stands for several files, and nothing says which one is meant.
    """
    with paused_collector():
        videos, _, others = _search(listed, root)
    if others:
        lines = "\n  ".join(
            f"{videos[place].key}: {', '.join((videos[place].file, *files))}"
            for place, files in islice(others.items(), _NAMED_AT_MOST)
        )
        raise DataError(
            f"{root}: {len(others)} listed videos may each be one of several files:\n  {lines}\nKeep one "
            "file of each, or put it where the list says; `essential data check` names them all"
        )
    return videos


def find_videos(listed: Sequence[ListedVideo], root: Path) -> list[Found]:
    """Look for every listed video below `root`, in the order of the list.

    A video is the file at the listed path; else one there with another video's extension; else one of the same bare
    name anywhere, if the list has no other video of that bare name. Of several, the one at a longer path that ends as
    listed is taken, else the one in the folder of its class.

    A video's key is its listed name, with `@start-end` in seconds behind it for a segment, and `#2`, `#3`, ... for
    what the list repeats.

    Raises:
        DataError: a name is empty, absolute, has `..` in it, or is not text that a file system takes; `root` cannot be
            walked; a link leads out of it.
    """
    with paused_collector():
        videos, missing, others = _search(listed, root)
        return [Found(video, place in missing, others.get(place, ())) for place, video in enumerate(videos)]


def _search(listed: Sequence[ListedVideo], root: Path) -> tuple[list[Video], set[int], dict[int, tuple[str, ...]]]:
    """Return the videos; by their places in the list, which few are missing, and of which few there are others."""
    names = check_names([video.name for video in listed], "the list")
    bares = [bare_name(name.rpartition("/")[2]) for name in names]
    index = VideoIndex(root)
    shared = _shared(names, bares)
    unsure = shared | index.others.keys()
    files: list[str] = []
    missing: set[int] = set()
    others: dict[int, tuple[str, ...]] = {}
    for place, (name, bare) in enumerate(zip(names, bares, strict=True)):
        file = index.first.get(bare)
        if file is None or bare in unsure:
            candidates = _choose(name, listed[place].label, index, needs_place=bare in shared)
            if len(candidates) > 1:
                others[place] = tuple(candidates[1:])
            if not candidates:
                missing.add(place)
            file = candidates[0] if candidates else _place_of_missing(name, index)
        files.append(file)
    videos = [
        Video(key, file, label, "train" if split == "train" else "test", segment)
        for (_, label, split, segment), key, file in zip(listed, _unique_keys(listed), files, strict=True)
    ]
    return videos, missing, others


def _shared(names: Sequence[str], bares: Sequence[str]) -> set[str]:
    """Return the bare names that several listed names share: they alone do not say which video is meant."""
    if len(set(names)) == len(set(bares)):
        return set()
    owners: dict[str, str] = {}
    return {bare for name, bare in zip(names, bares, strict=True) if owners.setdefault(bare, name) != name}


def _choose(name: str, label: str, index: VideoIndex, *, needs_place: bool) -> list[str]:
    """Return the candidates for a listed name; more than one if nothing decides between them.

    Args:
        name: as a relative path.
        label: its class.
        index: what there is.
        needs_place: its bare name alone does not do: its folder must fit too.
    """
    bare_path, last = bare_name(name), name.rpartition("/")[2]
    candidates = [path for bare in {last, bare_name(last)} for path in index.paths(bare)]
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
    really = {os.path.realpath(path): path for path in sorted(candidates, reverse=True)}
    return sorted(really.values())


def _place_of_missing(name: str, index: VideoIndex) -> str:
    place = f"{index.root}/{name}"
    # What the walk passed over, as a link in a hidden folder, may be there all the same.
    if os.path.lexists(place):
        index.refuse_outside(place)
    return place


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
