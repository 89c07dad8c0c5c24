"""Stores that several machines extracted, each `--shard i/n` into a folder of its own, become one store.

Every shard is read in full and its seal checked before it is taken: linked where both folders are on one disk, copied
otherwise; a shard's file is never written to again, so a link is as good as a copy. It appears whole or not at all,
and a call that was stopped is completed by calling again. A shard that two parts bring with the same content is taken
once; with different content it is refused, as nothing says which is right.
"""

from collections.abc import Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

from essential.errors import StoreError
from essential.features.imported import IMPORTED
from essential.features.provenance import differences
from essential.features.store import (
    FeatureStore,
    Shard,
    create_store,
    has_store,
    open_store,
    plan_to_json,
    read_provenance,
    refuse_other_folder,
)
from essential.files.atomic import link_or_copy, sha256_of_json, write_json
from essential.files.sealed import check_seal
from essential.progress import Progress

_NAMED_AT_MOST = 5


def merge(into: Path, parts: Sequence[Path], *, progress: Progress) -> int:
    """Bring the shards of `parts` together in the store `into`, made if it is missing; return how many it then has.

    Shards that `into` has already count as brought, so it may itself hold a part. `progress` shows how many are.

    Raises:
        StoreError: a part is no store, the parts are not of one extraction, a shard is missing, damaged, or brought
            twice with different content, or `into` is another store, or a part itself.
    """
    _refuse_overlap(into, parts)
    provenance, stores = _read_parts(parts)
    plan = stores[0].plan()
    target = _target(into, provenance, plan)
    holders = {shard: [store for store in (target, *stores) if store.is_done(shard)] for shard in plan}
    _refuse_missing(stores, holders)
    with target.locked(".lock-merge"):
        create_store(into, provenance)
        write_json(into / "plan.json", plan_to_json(plan))
        for done, (shard, having) in enumerate(holders.items()):
            _bring(shard, having, target)
            progress.advance(done + 1, total=len(plan))
    return len(plan)


def _refuse_overlap(into: Path, parts: Sequence[Path]) -> None:
    seen: dict[Path, Path] = {}
    target = into.resolve()
    for part in parts:
        folder = part.resolve()
        if folder == target or target in folder.parents or folder in target.parents:
            raise StoreError(
                f"--into {into} and the part {part} are one folder, or one inside the other; choose another"
            )
        if folder in seen:
            raise StoreError(f"the part {part} is given twice (as {seen[folder]} too); give every part once")
        seen[folder] = part


def _read_parts(parts: Sequence[Path]) -> tuple[dict[str, Any], list[FeatureStore]]:
    """Return the provenance of the parts, and their stores, of one plan; a StoreError if they were not made alike."""
    first = parts[0]
    provenance = read_provenance(first)
    if provenance["encoder"]["name"] == IMPORTED:
        raise StoreError(f"{first} holds imported features, which come in one piece; import them again where needed")
    stores = []
    for part in parts:
        different = differences(read_provenance(part), provenance, found_name=f"in {part}", wanted_name=f"in {first}")
        if different:
            lines = "\n  ".join(different)
            raise StoreError(
                f"{part} and {first} were extracted with other settings:\n  {lines}\n"
                "Extract one of them again, with the settings of the other"
            )
        stores.append(open_store(part, provenance))
    for store in stores:
        for number, (shard, wanted) in enumerate(zip_longest(store.plan(), stores[0].plan())):
            if shard != wanted:
                names = " and ".join(one.name if one else "none" for one in (shard, wanted))
                raise StoreError(
                    f"{store.path} and {first} planned other shards: number {number} is {names}; extract all parts "
                    "from the same videos with the same features.shard_videos, each into an empty folder"
                )
    return provenance, stores


def _target(into: Path, provenance: Mapping[str, Any], plan: tuple[Shard, ...]) -> FeatureStore:
    refuse_other_folder(into, "--into")
    if not has_store(into):
        return FeatureStore(into, sha256_of_json(provenance))
    try:
        target = open_store(into, provenance)
    except StoreError as error:
        raise StoreError(f"--into {into} is a store of other features; choose another folder ({error})") from error
    if target.plan() not in ((), plan):
        raise StoreError(f"--into {into} is a store of other videos, or of other shards; choose another folder")
    return target


def _refuse_missing(parts: Sequence[FeatureStore], holders: Mapping[Shard, Sequence[FeatureStore]]) -> None:
    missing = [shard for shard, stores in holders.items() if not stores]
    if not missing:
        return
    # The n of --shard i/n: the least, from the number of parts on, by which each part is of one i. It may be another n
    # than the parts were made with; the shards that are missing are made by it all the same.
    done = [[shard.index for shard in holders if store.is_done(shard)] for store in parts]
    possible = range(max(2, len(parts)), max(len(holders), len(parts)))
    jobs = next((n for n in possible if all(len({i % n for i in part}) <= 1 for part in done)), possible.stop)
    lines = []
    for number in sorted({shard.index % jobs for shard in missing}):
        names = [shard.name for shard in missing if shard.index % jobs == number]
        more = f" and {len(names) - _NAMED_AT_MOST} more" if len(names) > _NAMED_AT_MOST else ""
        lines.append(f"{', '.join(names[:_NAMED_AT_MOST])}{more}: made by `essential extract --shard {number}/{jobs}`")
    raise StoreError(
        f"shards that no part has: {len(missing)} of {len(holders)}\n  " + "\n  ".join(lines) + "\n"
        "Run these (again), each with its part's --store, and merge all parts"
    )


def _bring(shard: Shard, stores: Sequence[FeatureStore], target: FeatureStore) -> None:
    seals = {store.path: check_seal(store.shard_path(shard), StoreError) for store in stores}
    if len(set(seals.values())) > 1:
        folders = "\n  ".join(f"{path}: content {seal[:12]}" for path, seal in seals.items())
        raise StoreError(
            f"two shards of one number with different content: {shard.name}\n  {folders}\n"
            "Delete the file from all of these folders but the one to be trusted, and merge again"
        )
    stores[0].layout_and_note(shard)
    if stores[0].path != target.path:
        link_or_copy(stores[0].shard_path(shard), target.shard_path(shard))
