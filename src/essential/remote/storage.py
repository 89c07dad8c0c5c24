"""A tree of videos by its URL: which files it holds, and what names one of them for any process."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from urllib.parse import quote, unquote

from essential.errors import DataError
from essential.remote.access import checked_url, is_http, scheme_of, tried


class Storage(ABC):
    """A tree of files that are no plain files of this machine.

    Attributes:
        url: as given, without a slash at the end; it holds no credentials, so it may be shown and recorded.
    """

    def __init__(self, url: str) -> None:
        self.url = url

    @abstractmethod
    def files(self) -> Mapping[str, int] | None:
        """Return the bytes of each file by its name relative to the URL; None where the place cannot be listed."""

    @abstractmethod
    def locator(self, name: str) -> str:
        """Return what names a file completely, there or not, for any process: what `Video.file` holds."""

    @abstractmethod
    def name_of(self, locator: str) -> str:
        """Return the name of a file from its locator, here or in another storage of this kind; else a ValueError."""

    @abstractmethod
    def holds(self, file: str) -> bool:
        """Return whether a `Video.file` is a locator of this storage, there or not. Nothing is asked of the network."""

    def __str__(self) -> str:
        return self.url


class ObjectStorage(Storage):
    """The objects below an address: in a bucket of S3 or GCS, or behind HTTP, which cannot list them."""

    def files(self) -> Mapping[str, int] | None:
        return None if is_http(self.url) else self._listed

    @cached_property
    def _listed(self) -> Mapping[str, int]:
        try:
            found = tried(self.url, lambda files: files.find(self.url, detail=True))
        except FileNotFoundError:
            found = {}
        top = f"{self.url.partition('://')[2]}/"
        names = {path.removeprefix(top): info["size"] for path, info in found.items() if path.startswith(top)}
        if not names:
            raise DataError(f"there is no file below {self.url}; give the address of the videos as data.url")
        return names

    def locator(self, name: str) -> str:
        return f"{self.url}/{quote(name) if is_http(self.url) else name}"

    def name_of(self, locator: str) -> str:
        if not self.holds(locator):
            raise ValueError(f"{locator!r} is no file below {self.url}")
        name = locator.removeprefix(f"{self.url}/")
        return unquote(name) if is_http(self.url) else name

    def holds(self, file: str) -> bool:
        return file.startswith(f"{self.url}/")


_opened: dict[str, Storage] = {}


def open_storage(url: str) -> Storage:
    """Return the storage at a URL; it is listed once in a process. A ValueError if there can be none."""
    if url not in _opened:
        _opened[url] = _storage(url)
    return _opened[url]


def _storage(url: str) -> Storage:
    if url.endswith((".tar", ".tar.gz", ".tgz", ".tar.zst")):
        from essential.remote.tar_shards import TarShards

        return TarShards(url)
    return ObjectStorage(checked_url(url))


def listed_sizes(files: Sequence[str]) -> dict[str, int]:
    """Return the bytes of those locators whose storage this process opened and could list; nothing else is asked."""
    storage = next((one for one in _opened.values() if files and one.holds(files[0])), None)
    try:
        listed = None if storage is None else storage.files()
    except DataError:  # out of reach; whoever needs a file will hear it
        return {}
    return {storage.locator(name): size for name, size in (listed or {}).items()} if storage else {}


def is_remote(file: str) -> bool:
    """Return whether a `Video.file` is a storage's locator, not a path of this machine."""
    return scheme_of(file) is not None


# Where the videos of a data set are: a folder of this machine, or a storage.
Root = Path | Storage


def file_at(root: Root, name: str) -> str:
    """Return the `Video.file` of a name below a root."""
    return root.locator(name) if isinstance(root, Storage) else f"{root}/{name}"


def name_below(root: Root, file: str) -> str:
    """Return a `Video.file` relative to the root, as it is if it is not below it."""
    if isinstance(root, Storage):
        return root.name_of(file) if root.holds(file) else file
    return file.removeprefix(f"{root}/")
