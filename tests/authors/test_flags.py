"""The authors' flags: those that carry over name a setting that there is, and the documented table is this one."""

from pathlib import Path

import pytest

from essential.authors.flags import FLAGS, settings_of
from essential.config import load_config
from essential.errors import ConfigError

DOCS = Path(__file__).parents[2] / "docs" / "flags.md"


def _rows() -> dict[str, str]:
    lines = [line for line in DOCS.read_text().splitlines() if line.startswith("| `--")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {flag.strip("`-"): ours for flag, ours in cells}


def test_every_setting_is_one_of_a_config_of_essential() -> None:
    settings = [flag.setting for flag in FLAGS.values() if flag.setting is not None]
    assert len(settings) == len(set(settings)) >= 20
    for setting in settings:
        # Nothing is allowed to be a list of lists: a key that is known is refused for its value.
        with pytest.raises(ConfigError, match=rf"{setting.replace('.', '[.]')}.* is not allowed"):
            load_config("own/essential", [f"{setting}=[[1]]"])


def test_the_documented_table_is_this_one() -> None:
    expected = {}
    for name, flag in FLAGS.items():
        setting = f"`{flag.setting}`" if flag.setting else ""
        expected[name] = "; ".join(part for part in (setting, flag.note) if part)
    assert _rows() == expected


def test_flags_become_settings() -> None:
    flags = {"fs_topk": 2, "prompt_mode": "3_layer_mlp", "lr": 0.001, "opt": "adamw", "batch_size": None, "new": 3}
    assert settings_of({}) == {}
    assert settings_of(flags) == {
        "training.scale_learning_rate": False,
        "method.frames_kept": 2,
        "method.prompt_mode": "mlp",
        "training.learning_rate": 0.001,
    }


@pytest.mark.parametrize(
    "flag",
    [
        *("data_set", "anno_path", "num_tasks", "fine_tune_path", "no_training", "no_rehearsal", "memory_mode"),
        *("fs_topk", "rehearsal_samples_per_class", "rehearsal_epochs", "temporal_layer", "use_clip_temporal"),
        *("static_matching_weight", "temporal_matching_weight", "virtual_weight", "unfreeze_layers", "get_frame_index"),
    ],
)
def test_the_flags_of_their_scripts_are_all_there(flag: str) -> None:
    assert flag in FLAGS
