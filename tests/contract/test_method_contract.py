"""The contract that the package has for all methods, over further ways of ours, and what holds of ours alone."""

from typing import Any

import pytest
import torch

from essential.configs.shipped import shipped_methods
from essential.contract.small_methods import CONFIGS, learned, small
from essential.contract.synthetic_tasks import clips_of
from essential.contract.test_methods import *  # noqa: F403
from essential.contract.test_methods import NUMERIC
from essential.methods import METHODS, method_section
from essential.methods.contract import Batch

# Ways of a method that no shipped config chooses.
MODES: dict[str, dict[str, Any]] = {
    "bic-vclimb": {"name": "bic", "reading": "vclimb"},
    "der-sparse": {"name": "der", "frames_kept": 2},
    "essential-confident": {"name": "essential", "policy": "highest-confidence"},
    "essential-every-step": {"name": "essential", "retrieve": "every-step"},
    "essential-global": {"name": "essential", "memory_mode": "global"},
    "essential-identity": {"name": "essential", "memory_mode": "identity"},
    "essential-mlp": {"name": "essential", "prompt_mode": "mlp"},
    "essential-released": {"name": "essential", "reading": "released"},
    "essential-self": {"name": "essential", "prompt_mode": "self"},
    "icarl-sparse": {"name": "icarl", "frames_kept": 2},
    "fecam-class": {"name": "fecam", "covariance": "class"},
    "fecam-shared": {"name": "fecam", "covariance": "shared"},
    "podnet-two-layers": {"name": "podnet", "classifier": {"heads": 4, "layers": 2}},
    "replay-herding": {"name": "replay", "policy": "herding"},
    "replay-reservoir": {"name": "replay", "rehearsal": "mixed", "frames_kept": 2, "policy": "reservoir"},
    **{
        f"temporal-consistency-{base}": {
            "name": "temporal-consistency",
            "base": {"name": base, "frames_kept": 3, "frame_policy": "uniform"},
        }
        for base in ("bic", "der", "icarl", "ucir")
    },
    **{f"words-{base}": {"name": "words", "base": {"name": base}} for base in ("bic", "essential", "icarl", "ncm")},
    "temporal-consistency-frames": {
        "name": "temporal-consistency",
        "frames": 3,
        "base": {"name": "replay", "rehearsal": "mixed"},
    },
}
CONFIGS.update({name: small(section) for name, section in MODES.items()})
for _test in NUMERIC:
    pytest.mark.numeric(_test)


def test_every_method_has_a_config_that_is_shipped() -> None:
    assert {method_section(name)["name"] for name in shipped_methods()} == {*METHODS.built_in}


def test_essential_alone_rebuilds_dense_clips_of_its_exemplars(name: str) -> None:
    rebuilt = learned(name).rebuilt(learned(name).memory)
    assert (rebuilt is not None) == ("essential" in name and name != "essential-identity")


def test_all_that_is_trained_alone_decides_by_tokens_as_wide_as_a_frame(name: str) -> None:
    predictor = learned(name).predictor.eval()
    with torch.no_grad():
        tokens = predictor.tokens(clips_of(torch.arange(5)), torch.arange(8).expand(5, -1))
        by_tokens = predictor.by_tokens(tokens)
    assert tokens.shape == (5, 24)
    assert (by_tokens is None) == (predictor.reading == "closed-form" or name.startswith("words"))


@pytest.mark.usefixtures("shapes_checked_elsewhere")
@pytest.mark.parametrize("wrong", ["positions", "slots", "tasks"])
def test_a_batch_refuses_shapes_that_do_not_fit_each_other(wrong: str) -> None:
    whole = {"positions": torch.zeros(4, 2), "slots": torch.zeros(4), "tasks": torch.zeros(4)}
    tensors = {name: tensor.long()[: 3 if name == wrong else 4] for name, tensor in whole.items()}
    with pytest.raises(ValueError, match=r"have the shapes \(4, 2, 5\), .*\(3,"):
        Batch(torch.zeros(4, 2, 5), **tensors)


def test_a_batch_goes_to_a_device() -> None:
    none = torch.zeros(1, dtype=torch.long)
    batch = Batch(torch.zeros(1, 2, 3), torch.zeros(1, 2, dtype=torch.long), none, none)
    assert batch.to(torch.device("cpu")).features.device == torch.device("cpu")
