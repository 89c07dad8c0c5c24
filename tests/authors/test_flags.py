"""The authors' flags: those that carry over name a setting that there is, and the documented table says the same."""

from pathlib import Path

import pytest

from essential.authors.checkpoint import SETTINGS, settings_of
from essential.engine.config import load_config
from essential.errors import ConfigError

DOCS = Path(__file__).parents[2] / "docs" / "flags.md"


def _rows() -> dict[str, str]:
    lines = [line for line in DOCS.read_text().splitlines() if line.startswith("| `--")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {flag.strip("`-"): ours for flag, ours in cells}


def test_every_setting_is_one_of_a_config_of_essential() -> None:
    assert len(SETTINGS) == len(set(SETTINGS.values())) >= 20
    for setting in SETTINGS.values():
        # Nothing is allowed to be a list of lists: a key that is known is refused for its value.
        with pytest.raises(ConfigError, match=rf"{setting.replace('.', '[.]')}.* is not allowed"):
            load_config("own/essential", [f"{setting}=[[1]]"])


def test_the_documented_table_names_each_of_these_settings_and_says_of_every_flag_what_became_of_it() -> None:
    rows = _rows()
    alone = {name: ours.partition(";")[0].strip("`") for name, ours in rows.items() if name in SETTINGS}
    assert alone == SETTINGS
    assert len(rows) == 124
    assert all(ours.startswith(("`", "none", "set by", "leave")) for ours in rows.values())


def test_flags_become_settings() -> None:
    flags = {"fs_topk": 2, "prompt_mode": "3_layer_mlp", "lr": 0.001, "opt": "adamw", "batch_size": None, "new": 3}
    assert settings_of({}) == {}
    assert settings_of(flags) == {
        "training.scale_learning_rate": False,
        "method.frames_kept": 2,
        "method.prompt_mode": "mlp",
        "training.learning_rate": 0.001,
    }


def test_the_flags_of_their_scripts_are_all_there() -> None:
    assert _rows().keys() >= {
        *("data_set", "anno_path", "num_tasks", "fine_tune_path", "no_training", "no_rehearsal", "memory_mode"),
        *("fs_topk", "rehearsal_samples_per_class", "rehearsal_epochs", "temporal_layer", "use_clip_temporal"),
        *("static_matching_weight", "temporal_matching_weight", "virtual_weight", "unfreeze_layers", "get_frame_index"),
    }
