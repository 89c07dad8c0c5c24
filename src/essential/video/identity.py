"""Which video a path holds: its size and a hash of its content, whether it is a file or a folder of frames."""

from pathlib import Path
from typing import NamedTuple

from essential.files.atomic import sha256_of_file, sha256_of_json
from essential.video.frame_folder import numbered_images


class VideoIdentity(NamedTuple):
    """What tells a video from another one in its place. A folder's frames are told by their names and content."""

    size_bytes: int
    sha256: str


def size_of(path: Path) -> int:
    """Return the bytes of a video file, or of all frames of a folder.

    Raises:
        OSError: there is no such file or folder, or it cannot be listed.
    """
    if path.is_dir():
        return sum(file.size_bytes for file in numbered_images(path))
    return path.stat().st_size


def identity_of(path: Path) -> VideoIdentity:
    """Return a video's size and hash; every byte of it is read.

    Raises:
        OSError: there is no such file or folder, or it cannot be read.
    """
    if path.is_dir():
        files = numbered_images(path)
        sha256 = sha256_of_json([[file.name, sha256_of_file(path / file.name)] for file in files])
        return VideoIdentity(sum(file.size_bytes for file in files), sha256)
    if not path.is_file() and path.exists():
        raise OSError("it is not a file")
    return VideoIdentity(path.stat().st_size, sha256_of_file(path))
