"""Names of listed videos: as safe paths below a folder, and as keys, of which no two are the same."""

from collections.abc import Sequence

from essential.errors import DataError
from essential.protocols.listed import ListedVideo
from essential.protocols.protocol import Segment


def relative_names(listed: Sequence[ListedVideo]) -> list[str]:
    """Return each listed name as a relative path without empty parts.

    Raises:
        DataError: a name is empty, absolute, has a part `..`, or is not text that a file system takes.
    """
    names = [video.name for video in listed]
    # One search through all of them; hardly any list has a name that needs a closer look.
    text = "\n" + "\n".join(names) + "\n"
    plain = text.isascii() and text.count("\n") == len(names) + 1
    if plain and not any(odd in text for odd in ("\n\n", "\n.", "\n/", "/\n", "/.", "//", "\0")):
        return names
    return [_relative(name) for name in names]


def unique_keys(listed: Sequence[ListedVideo]) -> list[str]:
    """Return a key for each: its name, `@start-end` in seconds behind it for a segment, and `#2`, ... for repeats."""
    plain = [name if segment is None else f"{name}{_suffix(segment)}" for name, _, _, segment in listed]
    if len(set(plain)) == len(plain):
        return plain
    used: set[str] = set()
    repeats: dict[str, int] = {}
    keys = []
    for name in plain:
        key = name
        while key in used:
            repeats[name] = repeats.get(name, 1) + 1
            key = f"{name}#{repeats[name]}"
        used.add(key)
        keys.append(key)
    return keys


def _relative(name: str) -> str:
    parts = name.split("/")
    relative = "/".join(part for part in parts if part not in ("", "."))
    if not relative or name[0] == "/" or ".." in parts or "\0" in name or not is_text(name):
        raise DataError(
            f"the list names a video {name!r}; a name must be a path below the data folder, in plain text, not "
            "absolute and without '..'; mend the list"
        )
    return relative


def is_text(name: str) -> bool:
    """Return whether a name can be written as UTF-8."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _suffix(segment: Segment) -> str:
    start, end = (repr(float(seconds)).removesuffix(".0") for seconds in segment)
    return f"@{start}-{end}"
