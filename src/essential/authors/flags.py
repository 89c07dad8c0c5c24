"""The authors' flags (`run_cil.py` of jong980812/ESSENTIAL at aae26df) that a setting of ours has as they are.

An imported checkpoint's `args` are read with it. `docs/flags.md` says of every flag of theirs what became of it.
"""

from collections.abc import Mapping
from typing import Any

SETTINGS: dict[str, str] = {
    "num_frames": "video.frames",
    "input_size": "encoder.size",
    "reprob": "video.augment.erase_probability",
    "temporal_layer": "method.classifier.layers",
    "temporal_heads": "method.classifier.heads",
    "init_scale": "method.classifier.init_scale",
    "memory_mode": "method.memory_mode",
    "prompt_mode": "method.prompt_mode",
    "fs_topk": "method.frames_kept",
    "rehearsal_samples_per_class": "method.exemplars_per_class",
    "rehearsal_epochs": "method.rehearsal_epochs",
    "static_matching_weight": "method.static_matching_weight",
    "temporal_matching_weight": "method.temporal_matching_weight",
    "virtual_weight": "method.retrieved_weight",
    "batch_size": "training.batch_size",
    "epochs": "training.epochs",
    "lr": "training.learning_rate",
    "min_lr": "training.min_learning_rate",
    "warmup_epochs": "training.warmup_epochs",
    "weight_decay": "training.weight_decay",
    "seed": "seed",
}
_RENAMED_VALUES = {("prompt_mode", "3_layer_mlp"): "mlp"}


def settings_of(flags: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that the flags of a checkpoint give, by their names in a config.

    Flags that are not set, and those that no setting has as they are, are left out. Their code multiplies its learning
    rates by the batch size before it saves them, so they are not to be scaled again.
    """
    settings: dict[str, Any] = {"training.scale_learning_rate": False} if "lr" in flags else {}
    for name, value in flags.items():
        if name in SETTINGS and isinstance(value, bool | int | float | str):
            settings[SETTINGS[name]] = _RENAMED_VALUES.get((name, value), value) if isinstance(value, str) else value
    return settings
