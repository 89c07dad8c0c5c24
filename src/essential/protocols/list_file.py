"""The files of annotation lists on disk: reading one whole, and never replacing what is no list."""

from pathlib import Path

from essential.errors import DataError
from essential.given_files import plain_file
from essential.protocols.list_json import is_list


def read_list_file(path: Path) -> bytes:
    """Return the content of an annotation list's file.

    Raises:
        DataError: there is no such file, or it cannot be read.
    """
    try:
        return plain_file(path).read_bytes()
    except FileNotFoundError:
        raise DataError(f"the list {path} does not exist; give an existing file") from None
    except OSError as error:
        raise DataError(f"the list {path} cannot be read: {error.strerror}; give a readable file") from error


def refuse_other_file(path: Path) -> None:
    """Refuse to replace anything but a list of ours.

    Raises:
        DataError: `path` is there and is something else.
    """
    if path.is_dir():
        raise DataError(f"--out {path} is a folder; give the name of a file, such as {path / 'list.json'}")
    if path.exists() and not is_list(read_list_file(path)):
        raise DataError(f"--out {path} exists and is no video list of ours; give another name, or delete the file")
