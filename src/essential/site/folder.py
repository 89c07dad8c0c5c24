"""A folder of generated files: replaced by the next build, while files of others in it are left alone.

The list of what was generated, `site.json`, is in the folder too. A build is made as a whole inside the folder, and
only then put in its place, file by file, the list first. A build that is killed in between leaves a list that names all
that may be there, and the next one puts it right.
"""

import shutil
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from essential.errors import RunError
from essential.files.atomic import explained_os_errors, folder_lock, make_folder, move_over, write_json
from essential.files.untrusted import read_json

LIST = "site.json"
_MAKER = "essential site"
_SHOWN = 3
_LOCK = ".site.lock"
_PREFIX, _SUFFIX = ".site-", ".tmp"


@dataclass(frozen=True)
class Replaced:
    """How many files were written, and how many of an earlier build were removed."""

    written: int
    removed: int


def replace_folder(out: Path, files: Iterable[tuple[str, bytes]]) -> Replaced:
    """Put `files` into the folder `out`, and remove what an earlier build put there and this one does not.

    Each has its place below `out`, with slashes, and its content; they are asked for one after the other.

    Raises:
        ValueError: two files have one name; nothing is changed.
        InUseError: another build is being put into `out`.
        RunError: `out` is no folder, or a file that no build has put there is in the way; nothing is changed.
        FileSystemError: the disk refuses.
    """
    if out.exists() and not out.is_dir():
        raise RunError(f"{out} is a file, and a site is a folder; choose another name")
    with folder_lock(out, name=_LOCK), _temporary_folder(out) as temporary:
        built = Path(temporary)
        before = _listed(out)
        names = [LIST]
        for name, content in files:
            names.append(name)
            make_folder((built / name).parent)
            with explained_os_errors(built / name):
                (built / name).write_bytes(content)
        write_json(built / LIST, {"made_by": _MAKER, "files": sorted(names)})
        if len(names) > len(set(names)):
            raise ValueError(f"two files are to have one name: {sorted(n for n in names if names.count(n) > 1)[0]}")
        _check_free(out, names, before)
        write_json(out / LIST, {"made_by": _MAKER, "files": sorted({*names, *before})})
        for name in names[1:]:
            make_folder((out / name).parent)
            move_over(built / name, out / name)
        removed = before - set(names)
        for name in sorted(removed):
            _remove(out, name)
        move_over(built / LIST, out / LIST)
    return Replaced(len(names), len(removed))


def _temporary_folder(out: Path) -> "tempfile.TemporaryDirectory[str]":
    """Make a new folder inside `out`, which may be a disk of its own; those of builds that were killed are removed."""
    for left in out.glob(f"{_PREFIX}*{_SUFFIX}"):
        shutil.rmtree(left, ignore_errors=True)
    with explained_os_errors(out):
        return tempfile.TemporaryDirectory(prefix=_PREFIX, suffix=_SUFFIX, dir=out, ignore_cleanup_errors=True)


def _listed(out: Path) -> set[str]:
    """Return what an earlier build says it put into `out`; nothing if there was none."""
    path = out / LIST
    if not path.exists():
        return set()
    try:
        content = read_json(path)
    except (OSError, ValueError):
        content = None
    names = content.get("files") if isinstance(content, dict) and content.get("made_by") == _MAKER else None
    if not isinstance(names, list) or not all(isinstance(name, str) and _is_below(name) for name in names):
        raise RunError(f"{path} is not the list of an earlier site; move it away, or choose another folder for --out")
    return set(names)


def _is_below(name: str) -> bool:
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts and path.parts != () and "\0" not in name


def _check_free(out: Path, names: Iterable[str], before: set[str]) -> None:
    taken = [name for name in names if name not in before and _is_taken(out, name)]
    taken += [name for name in names if not _stays_inside(out, name)]
    if taken:
        more = f" and {len(taken) - _SHOWN} more" if len(taken) > _SHOWN else ""
        raise RunError(
            f"{out} has files in the way that no earlier site made: {', '.join(taken[:_SHOWN])}{more}; "
            "move them away, or choose another folder for --out"
        )


def _is_taken(out: Path, name: str) -> bool:
    parents = [out / parent for parent in PurePosixPath(name).parents]
    return (out / name).exists() or (out / name).is_symlink() or any(p.exists() and not p.is_dir() for p in parents)


def _stays_inside(out: Path, name: str) -> bool:
    """Whether the way to a file leads over no link to elsewhere."""
    return (out / name).parent.resolve() == out.resolve() / PurePosixPath(name).parent


def _remove(out: Path, name: str) -> None:
    """Remove a file of an earlier build, and the folders that it leaves empty."""
    path = out / name
    if not _stays_inside(out, name) or path.is_dir():
        return
    with explained_os_errors(path):
        path.unlink(missing_ok=True)
    for parent in path.parents:
        if parent == out or not parent.is_dir() or any(parent.iterdir()):
            return
        with explained_os_errors(parent):
            parent.rmdir()
