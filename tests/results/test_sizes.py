"""Sizes in bytes, as they are written and read."""

import random

import numpy as np
import pytest

from essential.errors import ConfigError
from essential.results.formats import budget_shown, parsed_size, size_text


@pytest.mark.parametrize(
    ("size", "count"),
    [
        ("32KiB", 32 * 1024),
        (" 1.5 MiB ", 1_572_864),
        ("2GiB", 2 << 30),
        ("153600", 153_600),
        ("17B", 17),
        ("0.5KiB", 512),
        (153_600, 153_600),
        (np.int64(7), 7),
    ],
)
def test_a_size_is_whole_bytes_or_a_number_with_a_unit(size: int | str, count: int) -> None:
    assert parsed_size(size) == count


WRITTEN_OTHERWISE = "32kb 32KB 32kib 32Ki KiB -1 0 0KiB 1e3 1,5MiB 0.5 0.3KiB nan inf 1TiB 1111111111111111 \uff13KiB"


@pytest.mark.parametrize("size", [*WRITTEN_OTHERWISE.split(), "", "1 KiB 2", True, False, None, 1.5, 0, -5])
def test_what_is_no_size_is_refused_with_what_is_allowed(size: int | str) -> None:
    with pytest.raises(
        ConfigError, match="is no size in bytes; write whole bytes, or a number with B, KiB, MiB or GiB"
    ):
        parsed_size(size)


def test_a_size_that_was_written_is_read_as_the_same() -> None:
    draw = random.Random(1)
    counts = [draw.choice([1, 1024, 1024**2, 1024**3]) * draw.randint(1, 5000) for _ in range(300)]
    assert [parsed_size(size_text(count)) for count in counts] == counts
    assert [parsed_size(budget_shown(count).replace("\xa0", "").replace(",", "")) for count in counts] == counts
    assert [size_text(count) for count in (153_600, 153_601, 1 << 31)] == ["150KiB", "153601B", "2GiB"]
    assert [budget_shown(count) for count in (153_600, 153_601)] == ["150\xa0KiB", "153,601\xa0B"]
