"""A feature store in a bucket: its folder is a mirror in the cache, and what is written there is put into the bucket.

Whoever extracts into the mirror or opens it exchanges first: what the bucket has and the mirror lacks, or has in
another size, is fetched; shards that the bucket lacks, as after a kill, are put there. Objects appear whole. Two
machines that plan at the same moment do not overwrite each other's plan, where the bucket can compare (S3).
"""

import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from essential.errors import StoreError
from essential.files.atomic import folder_lock, json_text, sha256_of_json, write_bytes, write_json
from essential.files.cache import cache_folder
from essential.files.untrusted import read_json
from essential.progress import QUIET, Progress
from essential.remote.access import error_code, no_bucket, scheme_of, status_of, tried

STORE, PLAN = "store.json", "plan.json"
_MARKER = ".bucket"
_SHARD = re.compile(r"shards/(?:train|test)-[0-9]{5,}-[0-9a-f]{8}\.safetensors")
_REQUESTS_AT_ONCE = 8
# A plan is made again if another machine put one meanwhile; each time that one is longer.
_TRIES = 20
_IN_ONE_REQUEST = {"chunksize": 1 << 32}


@dataclass(frozen=True)
class Mirror:
    """The folder that mirrors the store at a URL.

    Attributes:
        met: whether the store was in the bucket before.
    """

    folder: Path
    url: str
    met: bool

    @classmethod
    def of(cls, folder: Path) -> "Mirror | None":
        """Return the mirror that a folder is; None if it is a store of its own."""
        try:
            return cls(folder, **read_json(folder / _MARKER))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise StoreError(f"{folder / _MARKER} is damaged ({error})", remedy=f"delete the folder {folder}") from None

    def exchange(self, progress: Progress) -> None:
        """Fetch what the bucket has and the folder lacks, and say how much; put there what only the folder has.

        Raises:
            DataError: the bucket is missing, refuses access, or cannot be reached.
            StoreError: the store was taken out of the bucket.
        """
        with folder_lock(self.folder, name=".exchange-lock", wait=True), ThreadPoolExecutor(_REQUESTS_AT_ONCE) as pool:
            theirs = self._listed()
            if STORE in theirs:
                self._forget_another(self._content(STORE))
            elif self.met:
                problem = f"there is no store any more, but its mirror {self.folder} holds one"
                raise StoreError(problem, where=self.url, remedy="delete that folder, or put its files back there")
            ours = {path.relative_to(self.folder).as_posix(): path.stat().st_size for path in self._files()}
            wanted = {name: size for name, size in theirs.items() if ours.get(name) != size}
            if wanted:
                megabytes = sum(wanted.values()) / 1e6
                progress.say(f"features: {len(wanted):,} files ({megabytes:,.1f} MB) are fetched from {self.url}")
            list(pool.map(self._fetch, wanted))
            list(pool.map(self.put, ours.keys() - theirs.keys()))
            if not self.met and STORE in ours.keys() | theirs.keys():
                write_json(self.folder / _MARKER, {"url": self.url, "met": True})

    def put(self, name: str) -> None:
        """Put a file of the folder into the bucket, in the place of what is there."""
        content = (self.folder / name).read_bytes()
        with _bucket_there(self.url):
            tried(self._at(name), lambda files: files.pipe_file(self._at(name), content))

    def changed(self, name: str, change: Callable[[], Any]) -> None:
        """Fetch a file, put what `change` makes of it into the bucket, and then into the folder; None: it stays.

        It is made again if another machine has put the file meanwhile. So the folder has what the bucket has or had,
        whenever the process is killed: the plan only grows, and one of the same size is the same.
        """
        for _ in range(_TRIES):
            try:
                condition = {**_IN_ONE_REQUEST, "IfMatch": status_of(self._at(name)).version}
                self._fetch(name)
            except FileNotFoundError:
                condition = {**_IN_ONE_REQUEST, "IfNoneMatch": "*"}
            if (made := change()) is None:
                return
            content = json_text(made).encode()
            if self._put_if(name, content, condition if scheme_of(self.url) == "s3" else {}):
                write_bytes(self.folder / name, content)
                return
        raise StoreError(f"{self._at(name)} is changed again and again by other machines", remedy="run again later")

    def _put_if(self, name: str, content: bytes, condition: Mapping[str, Any]) -> bool:
        def ask(files: Any) -> bool:
            try:
                files.pipe_file(self._at(name), content, **condition)
            except OSError as error:
                if error_code(error) in ("PreconditionFailed", "ConditionalRequestConflict"):
                    return False
                if error_code(error) != "NotImplemented":  # some servers of S3 cannot compare
                    raise
                files.pipe_file(self._at(name), content)
            return True

        with _bucket_there(self.url):
            return tried(self._at(name), ask)

    def _at(self, name: str) -> str:
        return f"{self.url}/{name}"

    def _files(self) -> Iterator[Path]:
        yield from (path for name in (STORE, PLAN) if (path := self.folder / name).exists())
        yield from (self.folder / "shards").glob("*.safetensors")

    def _listed(self) -> dict[str, int]:
        """Return the bytes of the store's files in the bucket; what else is there is left alone."""
        try:
            found = tried(self.url, lambda files: files.find(self.url, detail=True))
        except FileNotFoundError:
            return {}
        top = f"{self.url.partition('://')[2]}/"
        names = {path.removeprefix(top): info["size"] for path, info in found.items()}
        return {name: size for name, size in names.items() if name in (STORE, PLAN) or _SHARD.fullmatch(name)}

    def _content(self, name: str) -> bytes:
        try:
            return bytes(tried(self._at(name), lambda files: files.cat_file(self._at(name))))
        except FileNotFoundError:
            raise StoreError(f"{self._at(name)} was taken away while it was fetched", remedy="run again") from None

    def _fetch(self, name: str) -> None:
        write_bytes(self.folder / name, self._content(name))

    def _forget_another(self, content: bytes) -> None:
        """Empty the folder if it mirrors a store that was in the bucket before the one whose `store.json` this is."""
        own = self.folder / STORE
        if own.exists() and own.read_bytes() != content:
            shutil.rmtree(self.folder / "shards", ignore_errors=True)
            for name in (PLAN, ".index", STORE):
                (self.folder / name).unlink(missing_ok=True)


def mirror_folder(url: str) -> Path:
    """Return the folder in the cache that mirrors the store at a URL; nothing is asked of the bucket."""
    folder = cache_folder() / "stores" / sha256_of_json(url)[:16]
    if not (folder / _MARKER).exists():
        write_json(folder / _MARKER, {"url": url, "met": False})
    return folder


def refuse_unreachable(url: str) -> None:
    """Raise a DataError if a bucket refuses access or cannot be asked, before any work for it is done."""
    with suppress(FileNotFoundError):
        tried(url, lambda files: files.ls(url, detail=False))


def exchange(folder: Path, progress: Progress = QUIET) -> None:
    """Bring a store's folder and its bucket together, if it mirrors one; see `Mirror.exchange`."""
    mirror = Mirror.of(folder)
    if mirror is not None:
        mirror.exchange(progress)


def changed(folder: Path, name: str, change: Callable[[], Any]) -> None:
    """Write the JSON that `change` makes of a store's file, in its bucket too; None: it stays. See `Mirror.changed`."""
    mirror = Mirror.of(folder)
    if mirror is not None:
        mirror.changed(name, change)
    elif (made := change()) is not None:
        write_json(folder / name, made)


@contextmanager
def _bucket_there(url: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise no_bucket(url) from None
