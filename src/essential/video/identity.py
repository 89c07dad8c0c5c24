"""How a video is recognised again: the size and the hash of its file, or of its folder's images."""

import hashlib
from pathlib import Path

from essential.atomic_files import sha256_of_file
from essential.video.frame_folder import frame_files


def size_bytes(path: Path) -> int:
    """Return the bytes of a video's file, or of all images of a folder of frames.

    Raises:
        OSError: it is not there.
        VideoError: it is a folder, and not one of frames.
    """
    if path.is_dir():
        return sum(file.stat().st_size for file in frame_files(path))
    return path.stat().st_size


def sha256_of_video(path: Path) -> str:
    """Return the hexadecimal SHA-256 of a video's file, or of the names and contents of a folder's images.

    Raises:
        OSError, VideoError: see `size_bytes`.
    """
    if not path.is_dir():
        return sha256_of_file(path)
    digest = hashlib.sha256()
    for file in frame_files(path):
        digest.update(f"{file.name}\0{sha256_of_file(file)}\0".encode())
    return digest.hexdigest()
