"""How classes become tasks, against counting by hand."""

import pytest

from essential.errors import ConfigError
from essential.protocols.protocol import Listing, Video, build_protocol, order_classes, split_classes


def _names(count: int) -> list[str]:
    return [f"class {index:03d}" for index in range(count)]


def _sizes(count: int, *, tasks: int, base_classes: int | None = None) -> list[int]:
    return [len(group) for group in split_classes(_names(count), tasks=tasks, base_classes=base_classes)]


def _dealt(count: int, tasks: int) -> list[int]:
    """Deal classes one by one to the tasks in turn, as cards."""
    sizes = [0] * tasks
    for index in range(count):
        sizes[index % tasks] += 1
    return sizes


@pytest.mark.parametrize(
    ("count", "tasks", "base_classes", "expected"),
    [
        (101, 10, None, [11] + [10] * 9),  # vCLIMB, UCF101
        (101, 20, None, [6] + [5] * 19),
        (400, 10, None, [40] * 10),  # vCLIMB, Kinetics
        (200, 20, None, [10] * 20),  # vCLIMB, ActivityNet
        (101, 6, 51, [51] + [10] * 5),  # TCD, UCF101
        (101, 11, 51, [51] + [5] * 10),
        (101, 26, 51, [51] + [2] * 25),
        (51, 6, 26, [26] + [5] * 5),  # TCD, HMDB51
        (174, 10, 84, [84] + [10] * 9),  # TCD, Something-Something V2
        (24, 6, None, [4] * 6),
        (3, 1, 3, [3]),
    ],
)
def test_known_protocols(count: int, tasks: int, base_classes: int | None, expected: list[int]) -> None:
    assert _sizes(count, tasks=tasks, base_classes=base_classes) == expected


def test_every_cut_is_whole_in_order_and_as_equal_as_can_be() -> None:
    cuts = 0
    for count in range(1, 30):
        for tasks in range(1, count + 1):
            groups = split_classes(_names(count), tasks=tasks)
            assert [name for group in groups for name in group] == _names(count)
            assert [len(group) for group in groups] == _dealt(count, tasks)
            for base in range(1, count - tasks + 2):
                if tasks > 1:
                    expected = [base, *_dealt(count - base, tasks - 1)]
                    assert _sizes(count, tasks=tasks, base_classes=base) == expected
                    cuts += 1
    assert cuts > 3000


@pytest.mark.parametrize(
    ("tasks", "base_classes", "message"),
    [
        (5, None, r"protocol\.tasks=5 is more than the 4 classes found; use 4 at most"),
        (3, 3, r"protocol\.base_classes=3 with protocol\.tasks=3 does not fit 4 classes; .* other 2 tasks"),
        (1, 3, r"protocol\.base_classes=3 with protocol\.tasks=1 does not fit 4 classes"),
        (2, 0, r"protocol\.base_classes=0 with protocol\.tasks=2 does not fit 4 classes"),
        (2, 9, r"protocol\.base_classes=9 with protocol\.tasks=2 does not fit 4 classes"),
    ],
)
def test_a_cut_that_does_not_go(tasks: int, base_classes: int | None, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        split_classes(_names(4), tasks=tasks, base_classes=base_classes)


def test_the_order_is_by_name_or_drawn_from_the_seed() -> None:
    names = _names(20)
    backwards = list(reversed(names))
    assert order_classes(backwards, None) == names
    drawn = order_classes(backwards, 0)
    assert drawn == order_classes(names, 0)
    assert drawn != names
    assert sorted(drawn) == names
    assert len({tuple(order_classes(names, seed)) for seed in range(10)}) == 10


def test_the_order_of_seed_0_stays_what_it_was() -> None:
    # Published numbers stand on it: it may not change from version to version.
    assert order_classes(list("abcdef"), 0) == ["c", "e", "a", "b", "f", "d"]


def _videos() -> list[Video]:
    return [
        Video(f"{split}/{label}/{index}.mp4", f"/data/{split}/{label}/{index}.mp4", label, split)  # type: ignore[arg-type]
        for split, count in (("train", 3), ("test", 2))
        for label in ("walk", "run", "jump", "sit")
        for index in range(count)
    ]


def test_a_protocol_holds_every_video_once_in_its_task() -> None:
    protocol = build_protocol("p", Listing.by_name(list(reversed(_videos()))), tasks=3, order_seed=None)
    assert [task.classes for task in protocol.tasks] == [("jump", "run"), ("sit",), ("walk",)]
    assert [task.index for task in protocol.tasks] == [0, 1, 2]
    assert protocol.slots == {"jump": 0, "run": 1, "sit": 2, "walk": 3}
    assert sorted(protocol.videos, key=lambda video: video.key) == sorted(_videos(), key=lambda video: video.key)
    for task in protocol.tasks:
        for videos, split, count in ((task.train, "train", 3), (task.test, "test", 2)):
            assert [video.key for video in videos] == [
                f"{split}/{label}/{index}.mp4" for label in task.classes for index in range(count)
            ]
    assert build_protocol("p", Listing.by_name(_videos()), tasks=3, order_seed=None) == protocol


def test_the_id_is_of_names_labels_splits_and_order_and_not_of_places() -> None:
    def id_of(videos: list[Video], *, tasks: int = 2, order_seed: int | None = None, name: str = "p") -> str:
        return build_protocol(name, Listing.by_name(videos), tasks=tasks, order_seed=order_seed).id

    videos = _videos()
    same = id_of(videos)
    assert same == id_of([video._replace(file=f"elsewhere/{video.key}") for video in reversed(videos)], name="q")
    changed = [
        id_of([videos[0]._replace(label="run"), *videos[1:]]),
        id_of([videos[0]._replace(split="test"), *videos[1:]]),
        id_of([videos[0]._replace(key="train/walk/9.mp4"), *videos[1:]]),
        id_of(videos[1:]),
        id_of(videos, tasks=3),
        id_of(videos, order_seed=0),
        id_of(videos, order_seed=1),
    ]
    assert len({same, *changed}) == len(changed) + 1
