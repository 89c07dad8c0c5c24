"""What ranks say to each other, and what happens when they do not agree."""

import numpy as np
import pytest
import torch
from torch import nn

from essential.contract.ranks_in_turns import in_turns
from essential.engine.process_group import Message, ProcessGroup, SingleProcess, require_equal
from essential.engine.ranks import open_process_group
from essential.errors import TrainingError


def test_without_torchrun_there_is_one_rank_and_no_process_group(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RANK", raising=False)
    # A scheduler may say how many processes there are, without having started them for us.
    monkeypatch.setenv("WORLD_SIZE", "4")
    with open_process_group() as group:
        assert (group.first, group.size) == (True, 1)
        assert not torch.distributed.is_initialized()
        message = Message({"a": np.ones(2)}, "note")
        assert group.broadcast(message) is message
        assert group.all_gather(message) == [message]


def test_ranks_with_other_weights_are_named() -> None:
    def check(group: ProcessGroup) -> None:
        layer = nn.Linear(2, 1)
        nn.init.constant_(layer.weight, 1.0 if group.rank < 2 else 1.0 + 1e-6)
        nn.init.zeros_(layer.bias)
        require_equal(group, [layer])

    in_turns(check, size=2)
    with pytest.raises(
        TrainingError, match=r"rank 2 has other weights than rank 0; give all ranks processors, .*--resume"
    ):
        in_turns(check, size=3)
    require_equal(SingleProcess(), [nn.Linear(2, 1)])
