"""Extraction on a Ray cluster: a shard is a task, workers encode, and the process that asks writes the store alone."""

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from functools import partial
from itertools import accumulate
from typing import Any

from essential.engine.ray_pool import RayCluster, run_on_ray
from essential.engine.settings import RunConfig, choose_device
from essential.engine.workspace import Workspace, open_encoder, recipe_of
from essential.errors import DataError, StoreError
from essential.features.cores import torch_threads
from essential.features.extract import EncodeShards
from essential.features.pipeline import EncodedVideo, Item, VideoEncoder
from essential.features.provenance import differences
from essential.progress import QUIET, Progress
from essential.remote.copies import file_here
from essential.video.worker_pool import Lost

_Shard = Sequence[Item]


def encoder_on(cluster: RayCluster | None, workspace: Workspace, progress: Progress) -> EncodeShards | None:
    """Return what encodes the workspace's videos on a cluster; None without one."""
    if cluster is None:
        return None
    provenance = workspace.recipe().provenance()
    return partial(_encode_on_ray, config=workspace.config, provenance=provenance, cluster=cluster, progress=progress)


def _encode_on_ray(
    shards: Sequence[_Shard],
    *,
    config: RunConfig,
    provenance: Mapping[str, Any],
    cluster: RayCluster,
    progress: Progress,
) -> Generator[tuple[int, EncodedVideo], None, None]:
    """Encode videos on a cluster, and yield the place of each, counted over all shards, with what became of it.

    Args:
        config: the run's, whose paths the nodes have too.
        provenance: what decides the features' values; a node where it is another is not used.

    Raises:
        DataError: shards whose workers died again and again; everything else was yielded first.
        EssentialError: as of `run_on_ray`.
    """
    starts = [0, *accumulate(map(len, shards))]
    if not shards:
        return
    widest = max((shard[0] for shard in shards), key=lambda item: len(item[1].view_numbers))
    running = run_on_ray(
        partial(_begin, config, provenance, widest, max(map(len, shards))),
        shards,
        cluster=cluster,
        on_gpus=config.training.device != "cpu",
        progress=progress,
        check=_refuse_blind_node,
    )
    lost = []
    with closing(running):
        for number, result in running:
            if isinstance(result, Lost):
                first, last = shards[number][0][0], shards[number][-1][0]
                lost.append(f"{len(shards[number])} videos, {first.key} to {last.key}: {result.reason}")
            else:
                yield from enumerate(result, starts[number])
    if lost:
        lines = "\n  ".join(lost)
        raise DataError(
            f"shards that could not be computed: {len(lost)}\n  {lines}\n"
            "Everything else is done and kept. Check the memory of the machines, or give fewer --workers; then run the "
            "same command again"
        )


def _begin(
    config: RunConfig, provenance: Mapping[str, Any], widest: Item, longest: int
) -> Callable[[_Shard], list[EncodedVideo]]:
    """Load the encoder in a worker, and return what encodes a shard there, of no more views and videos than these."""
    recipe = recipe_of(config, open_encoder(config, choose_device(config.training.device), QUIET))
    different = differences(recipe.provenance(), provenance, "there", "here")
    if different:
        lines = "\n  ".join(different)
        raise StoreError(
            f"features that are made on it would be others:\n  {lines}",
            remedy="install the same versions on all machines of the cluster",
        )
    with torch_threads(config.training.threads):
        encoder = VideoEncoder([widest], longest, recipe=recipe, config=config.features)
    return partial(_encode, encoder)


def _encode(encoder: VideoEncoder, shard: _Shard) -> list[EncodedVideo]:
    encoded = dict(encoder.encode(shard))
    return [encoded[place] for place in range(len(shard))]


def _refuse_blind_node(shard: _Shard, encoded: Sequence[EncodedVideo]) -> None:
    """Raise a DataError if a worker did not find a file that is there."""
    for (video, _), each in zip(shard, encoded, strict=True):
        is_missing = each.note.broken is not None and each.note.size_bytes is None
        if is_missing and (file := file_here(video.file)):
            raise DataError(
                f"it does not have {file}, which is there on this machine",
                remedy="the videos must be under the same path on all machines of the cluster",
            )
