import pytest
import torch

from essential.features import cores
from essential.features.cores import share_cores, torch_threads

CPU, GPU = torch.device("cpu"), torch.device("cuda")


@pytest.mark.parametrize(
    ("found", "wanted", "device", "expected"),
    [
        (1, None, CPU, (1, 1)),
        (2, None, CPU, (2, 1)),
        (3, None, CPU, (2, 1)),
        (16, None, CPU, (8, 8)),
        (16, None, GPU, (16, 16)),
        (16, 4, CPU, (4, 12)),
        (16, 4, GPU, (4, 16)),
        (2, 0, CPU, (0, 2)),
        (2, 8, CPU, (8, 1)),
    ],
)
def test_no_core_is_promised_twice(
    monkeypatch: pytest.MonkeyPatch,
    found: int,
    wanted: int | None,
    device: torch.device,
    expected: tuple[int, int],
) -> None:
    monkeypatch.setattr(cores, "cpu_cores", lambda: found)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 16)
    assert share_cores(wanted, device=device, videos=100) == expected
    assert share_cores(wanted, device=device, videos=1)[0] == min(expected[0], 1)


def test_the_number_of_threads_is_put_back_after_an_error() -> None:
    before = torch.get_num_threads()
    seen = []

    def fail() -> None:
        with torch_threads(before + 1):
            seen.append(torch.get_num_threads())
            raise KeyError("a bug")

    with pytest.raises(KeyError, match="a bug"):
        fail()
    assert seen == [before + 1]
    assert torch.get_num_threads() == before
