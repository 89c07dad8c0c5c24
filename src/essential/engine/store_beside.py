"""A finished feature store of a demo or a run beside a comparison, whose features it would otherwise extract again."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

from essential.engine.run_folder import RunFolder
from essential.engine.workspace import Workspace
from essential.errors import EssentialError, StoreError
from essential.features.cores import cpu_cores
from essential.features.index import Located, look_up, with_checked_seals
from essential.features.store import VideoId, has_store, open_store, video_id
from essential.progress import Progress, phase
from essential.protocols.protocol import Video
from essential.remote.copies import local_copy
from essential.video.frame_folder import identity_of

_FILES_AT_A_TIME = 64


def store_beside(workspace: Workspace, folder: Path, progress: Progress) -> Path | None:
    """Return a finished store in a folder beside `folder`, with the features of all videos of the workspace.

    Its provenance (encoder, frames, views, transforms) is the workspace's, and every video has the content that it had
    when its features were extracted; the store that runs in `folder` began with was checked then. It is for reading:
    whoever opens it finds all, and so extracts nothing into it.
    None if the workspace's own store has them already, if the config names a store, and if there is no such one.
    `progress` says which is taken, and which is passed over and why.
    """
    features, videos = workspace.config.features, workspace.protocol.videos
    if workspace.encoder is None or features.mode != "stored" or features.store is not None:
        return None
    provenance = workspace.recipe().provenance()
    own = workspace.store()
    if has_store(own) and _lack(look_up(own, videos, provenance), videos) is None:
        return None
    chosen = _store_of_runs(folder)
    for store in dict.fromkeys(_stores(folder)):
        try:
            open_store(store, provenance)
        except StoreError:
            continue  # Of another encoder, of other frames, or of another version: none for these runs.
        problem = _fault(store, videos, provenance, None if store == chosen else progress)
        if problem is None:
            progress.say(f"features: those in {store} are used ({len(videos):,} videos, all the same)")
            return store
        progress.say(f"features: those in {store} are not used: {problem}")
    return None


def _fault(
    store: Path, videos: Sequence[Video], provenance: Mapping[str, Any], progress: Progress | None
) -> str | None:
    """Return why a store of this provenance is of no use; the videos' content is compared if there is a progress."""
    try:
        found = look_up(store, videos, provenance)
        problem = _lack(found, videos)
        if problem is not None:
            return problem
        # Whoever opens the store would meet a damaged shard, and stop there.
        with_checked_seals(found.index, set(found.index.shards_at(found.places).tolist()))
        return None if progress is None else changed(found, progress)
    except StoreError as error:
        return str(error)


def _stores(folder: Path) -> Iterator[Path]:
    """Give the stores beside a folder: what `extract` made, what `demo` made, and what a run names as its own."""
    beside: list[Path] = []
    with suppress(OSError):  # There is none yet, or it may not be listed.
        beside = sorted(folder.absolute().parent.iterdir())
    for each in beside:
        with suppress(OSError, EssentialError):  # Another user's, or no run of this version.
            yield from filter(has_store, (each, each / "features"))
            if (each / "config.yaml").exists():
                named = RunFolder(each).config().features.store
                yield from filter(has_store, [named] if isinstance(named, Path) else [])


def _store_of_runs(folder: Path) -> Path | str | None:
    for config in sorted((folder / "runs").glob("*/config.yaml")):
        with suppress(EssentialError):
            return RunFolder(config.parent).config().features.store
    return None


def _lack(found: Located, videos: Sequence[Video]) -> str | None:
    """Return what a store lacks of the videos that were looked up; None if it is finished."""
    if len(found.videos) < len(videos):
        return f"it lacks {len(videos) - len(found.videos):,} of {len(videos):,} videos"
    broken = len(found.broken())
    return f"{broken:,} of its videos could not be read" if broken else None


def changed(found: Located, progress: Progress) -> str | None:
    """Return how many videos are not the files that the features were extracted from; None if all are."""
    then: dict[VideoId, str | None] = {}
    # The first shard that holds a video is the one to read it from, so it is the last to be entered.
    for number in sorted(set(found.index.shards_at(found.places).tolist()), reverse=True):
        shard = found.index.plan[number]
        _, note = found.index.store.layout_and_note(shard)
        then |= {(shard.split, video.key): video.sha256 for video in note.videos}
    # A file of many segments is read once.
    files = [*dict.fromkeys(video.file for video in found.videos)]
    now: dict[str, str | None] = {}
    with phase(progress, "check videos", len(files)), ThreadPoolExecutor(cpu_cores()) as pool:
        for start in range(0, len(files), _FILES_AT_A_TIME):
            some = files[start : start + _FILES_AT_A_TIME]
            now.update(zip(some, pool.map(_sha256_of, some), strict=True))
            progress.advance(len(now))
    other = sum(now[video.file] != then[video_id(video)] for video in found.videos)
    return f"{other:,} of {len(found.videos):,} videos are other files than it was made from" if other else None


def _sha256_of(file: str) -> str | None:
    try:
        with local_copy(file) as path:
            return identity_of(path).sha256
    except OSError:
        return None
