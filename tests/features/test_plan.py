import json

import pytest

from essential.features.store import Shard, VideoId, plan_from_json, plan_to_json, shards_for


def ids(split: str, *keys: str) -> list[VideoId]:
    return [(split, key) for key in keys]  # type: ignore[misc]


def plan(wanted: list[VideoId], *, shard_videos: int = 2) -> tuple[Shard, ...]:
    whole, used = shards_for((), wanted, shard_videos=shard_videos, is_done=lambda _: False)
    assert whole == used
    return whole


def test_the_plan_does_not_depend_on_the_order_of_the_videos() -> None:
    wanted = ids("train", "c", "a", "b") + ids("test", "a", "z")
    made = plan(wanted)
    assert made == plan(wanted[::-1])
    assert [(shard.split, shard.keys) for shard in made] == [
        ("train", ("a", "b")),
        ("train", ("c",)),
        ("test", ("a", "z")),
    ]


def test_more_videos_append_shards_and_leave_the_old_ones() -> None:
    old = plan(ids("train", "a", "b", "c"))
    whole, used = shards_for(old, ids("train", "a", "b", "c", "d"), shard_videos=5, is_done=lambda _: False)
    assert whole[:2] == old
    assert whole[2:] == (Shard(2, "train", ("d",)),)
    assert used == whole


def test_an_unfinished_shard_does_not_serve_who_lacks_one_of_its_videos() -> None:
    old = plan(ids("train", "a", "b", "c"))
    whole, used = shards_for(old, ids("train", "a", "c"), shard_videos=2, is_done=lambda _: False)
    assert used == (old[1], Shard(2, "train", ("a",)))
    assert whole == (*old, used[1])


def test_a_finished_shard_serves_any_of_its_videos() -> None:
    old = plan(ids("train", "a", "b", "c"))
    whole, used = shards_for(old, ids("train", "a"), shard_videos=2, is_done=lambda shard: shard.index == 0)
    assert whole == old
    assert used == old[:1]


def test_a_shard_name_changes_with_its_videos() -> None:
    assert Shard(0, "train", ("a",)).name != Shard(0, "train", ("b",)).name
    assert Shard(0, "train", ("a",)).name.startswith("train-00000-")


def test_json_round_trip() -> None:
    made = plan(ids("train", "a", "ü/b c", "c"))
    assert plan_from_json(json.loads(json.dumps(plan_to_json(made)))) == made


def test_an_altered_plan_is_refused() -> None:
    content = plan_to_json(plan(ids("train", "a", "b")))
    content[0]["videos"][0] = "x"
    with pytest.raises(ValueError, match="does not hold the videos"):
        plan_from_json(content)
