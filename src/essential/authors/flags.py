"""The authors' command line (`run_cil.py` of jong980812/ESSENTIAL at aae26df), flag by flag, in our terms.

`docs/flags.md` shows this table, and an imported checkpoint's `args` are read with it.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple


class Flag(NamedTuple):
    """What became of a flag: the setting that has its value as it is, if there is one, and what else is to say."""

    setting: str | None
    note: str = ""


FLAGS: dict[str, Flag] = {
    # Data
    "data_set": Flag(None, "`data.kind` (`ucf101`, `hmdb51`, `ssv2`, or `list`), or the shipped config by name"),
    "anno_path": Flag(None, "`data.path`, after `essential data import LIST.pkl --out LIST.json`"),
    "data_path": Flag(None, "`data.root`"),
    "eval_data_path": Flag(None, "none: training and test videos lie below one `data.root`"),
    "nb_classes": Flag(None, "none: the classes are counted"),
    "num_tasks": Flag(None, "`protocol.tasks`; a list has its own"),
    "num_frames": Flag("video.frames"),
    "sampling_rate": Flag(
        None,
        "none: clips have one frame from each of equal segments, as their UCF101, SSv2 and "
        "ActivityNet loaders do; not their dense Kinetics clips",
    ),
    "num_segments": Flag(None, "none: one clip per video"),
    "test_num_segment": Flag(None, "none: one view is tested, as in their scripts (1)"),
    "test_num_crop": Flag(None, "none: the centre is tested, as in their scripts (1)"),
    "input_size": Flag("encoder.size"),
    "short_side_size": Flag(None, "none: the short side is scaled to `encoder.size`, as in their scripts (224)"),
    "imagenet_default_mean_and_std": Flag(
        None, "`encoder.mean`, `encoder.std`: on in their code, and written out in the shipped recipes"
    ),
    "num_workers": Flag(None, "`features.workers`"),
    "pin_mem": Flag(None, "none"),
    "no_pin_mem": Flag(None, "none"),
    # Augmentation
    "aa": Flag(None, "`video.augment.rand_augment_ops`, `video.augment.rand_augment_magnitude`"),
    "color_jitter": Flag(None, "none: it does nothing beside `aa`"),
    "reprob": Flag("video.augment.erase_probability"),
    "remode": Flag(None, "none: always `pixel`"),
    "recount": Flag(None, "none: one rectangle"),
    "resplit": Flag(None, "none"),
    "train_interpolation": Flag(None, "`encoder.interpolation`, for training and test alike"),
    "crop_pct": Flag(None, "none"),
    "num_sample": Flag(None, "none: a clip is not repeated in a batch (1)"),
    "mixup": Flag(None, "none: off in their scripts"),
    "cutmix": Flag(None, "none: off in their scripts"),
    "cutmix_minmax": Flag(None, "none: belongs to `cutmix`"),
    "mixup_prob": Flag(None, "none: belongs to `mixup`"),
    "mixup_switch_prob": Flag(None, "none: belongs to `mixup`"),
    "mixup_mode": Flag(None, "none: belongs to `mixup`"),
    "smoothing": Flag(None, "none: their criterion is plain cross-entropy, whatever the flag"),
    # Network
    "model": Flag(None, "`encoder.name`"),
    "finetune": Flag(None, "`encoder.weights`"),
    "model_key": Flag(None, "none: a weight file's wrapping is seen"),
    "model_prefix": Flag(None, "none: likewise"),
    "tubelet_size": Flag(None, "none: unused"),
    "grad_from_block": Flag(None, "none: unused"),
    "use_checkpoint": Flag(None, "none: unused"),
    "use_mean_pooling": Flag(None, "none: unused; the class token counts"),
    "use_cls": Flag(None, "none: likewise"),
    "imagenet": Flag(None, "`encoder.name=imagenet-vit-b16`"),
    "use_clip_temporal": Flag(
        None, "`encoder.weights=clip_temporal.pth` with `encoder.temporal_adapters`; older: `use_aim_weight`"
    ),
    "num_tadapter": Flag(None, "`encoder.temporal_adapters`"),
    "adapter_layers": Flag(None, "`encoder.adapter_layers`; their -1 is `encoder.temporal_adapters=0`"),
    "dim_mlp": Flag(None, "none: the adapters' width is read from the weights"),
    "adapter_init_scale": Flag(None, "none: adapters come trained"),
    "temporal_layer": Flag("method.classifier.layers"),
    "temporal_heads": Flag("method.classifier.heads"),
    "temp_mode": Flag(None, "none: always `attention`"),
    "drop": Flag(None, "none: unused"),
    "fc_drop_rate": Flag(None, "none: unused"),
    "attn_drop_rate": Flag(None, "none: unused"),
    "drop_path": Flag(None, "none: unused there; their builder has 0.2, our `method.classifier.drop_path`"),
    "init_scale": Flag("method.classifier.init_scale"),
    "cos": Flag(None, "none: off in their scripts"),
    "cos_temp": Flag(None, "none: belongs to `cos`"),
    # Method
    "memory_mode": Flag("method.memory_mode"),
    "prompt_mode": Flag("method.prompt_mode", "their `3_layer_mlp` is `mlp`"),
    "fs_topk": Flag("method.frames_kept"),
    "rehearsal_samples_per_class": Flag("method.exemplars_per_class"),
    "rehearsal_epochs": Flag("method.rehearsal_epochs"),
    "len_sem_prompt": Flag(None, "none: as many prompts as frames, without which the static loss is not defined"),
    "static_matching": Flag(None, "`method.static_matching_weight=0` switches it off"),
    "static_matching_weight": Flag("method.static_matching_weight"),
    "temporal_matching": Flag(None, "`method.temporal_matching_weight=0` switches it off"),
    "temporal_matching_weight": Flag("method.temporal_matching_weight"),
    "virtual_weight": Flag("method.retrieved_weight"),
    "memory_size": Flag(None, "none: theirs only asserts it; `method.budget_bytes` is a cap that holds"),
    "memory_video_path": Flag(None, "none: the memory is `RUN/memory.safetensors`"),
    "get_frame_index": Flag(None, "none: the kept frames are always chosen once, and stored"),
    "unfreeze_layers": Flag(
        None, "none: what trains in a stage is the method's, as in their scripts (head decoder mr_module)"
    ),
    "unfreeze_layers_after_base_task": Flag(None, "none, as `unfreeze_layers`"),
    "unfreeze_layers_rehearsal": Flag(None, "none, as `unfreeze_layers`"),
    "no_training": Flag(None, "`essential evaluate RUN` trains nothing"),
    "no_rehearsal": Flag(None, "`essential evaluate RUN` rehearses nothing"),
    "fine_tune_path": Flag(None, "`essential import-checkpoint FOLDER --out RUN`, then `essential evaluate RUN`"),
    "ssv2_first_finetune": Flag(None, "none"),
    "base_tuning": Flag(None, "none"),
    "debugging": Flag(None, "none"),
    "selected_selection": Flag(None, "none: unused"),
    "set_selection_frame": Flag(None, "none: unused"),
    "sample_selection": Flag(None, "none: unused"),
    "fs_density": Flag(None, "none: unused"),
    "replay_token": Flag(None, "none: features are always what is replayed"),
    "inference": Flag(None, "`essential evaluate RUN`"),
    "eval": Flag(None, "`essential evaluate RUN`"),
    "no_valid": Flag(None, "none: every task is evaluated"),
    "disable_eval_during_finetuning": Flag(None, "none: likewise"),
    # Optimisation
    "batch_size": Flag("training.batch_size"),
    "update_freq": Flag(None, "none: no steps are gathered (1)"),
    "epochs": Flag("training.epochs"),
    "start_epoch": Flag(None, "none: `--resume` knows where it was"),
    "lr": Flag("training.learning_rate"),
    "min_lr": Flag("training.min_learning_rate"),
    "warmup_lr": Flag(None, "none: warm-up starts from 0, as their scheduler does"),
    "warmup_epochs": Flag("training.warmup_epochs"),
    "warmup_steps": Flag(None, "none: in epochs alone"),
    "opt": Flag(None, "none: always AdamW"),
    "opt_eps": Flag(None, "none: 1e-8"),
    "opt_betas": Flag(None, "`training.beta1`, `training.beta2`"),
    "momentum": Flag(None, "none: belongs to SGD"),
    "weight_decay": Flag("training.weight_decay"),
    "weight_decay_end": Flag(None, "none: the decay is constant, as in their scripts"),
    "layer_decay": Flag(None, "none: 1.0 in their scripts"),
    "clip_grad": Flag(None, "none: off in their scripts"),
    # Running
    "seed": Flag("seed"),
    "output_dir": Flag(None, "`--out`"),
    "log_dir": Flag(None, "none: `RUN/log.jsonl`"),
    "device": Flag(None, "`training.device`"),
    "resume": Flag(None, "`--resume`"),
    "auto_resume": Flag(None, "`--resume`"),
    "no_auto_resume": Flag(None, "leave `--resume` out"),
    "save_ckpt": Flag(None, "none: always"),
    "no_save_ckpt": Flag(None, "none"),
    "save_ckpt_freq": Flag(None, "`training.checkpoint_epochs`"),
    "val_freq": Flag(None, "none: a task is evaluated when it is learned"),
    "world_size": Flag(None, "set by `torchrun`: `docs/clusters.md`"),
    "local-rank": Flag(None, "set by `torchrun`: `docs/clusters.md`"),
    "dist_url": Flag(None, "`torchrun --rdzv-endpoint`"),
    "dist_on_itp": Flag(None, "none: `torchrun` starts the ranks"),
    "enable_deepspeed": Flag(None, "none"),
    "dist_eval": Flag(None, "none: always, where there are ranks"),
}
_RENAMED_VALUES = {("prompt_mode", "3_layer_mlp"): "mlp"}


def settings_of(flags: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that the flags of a checkpoint give, by their names in a config.

    Flags that are not set, and those that no setting has as they are, are left out. Their code multiplies its learning
    rates by the batch size before it saves them, so they are not to be scaled again.
    """
    settings: dict[str, Any] = {"training.scale_learning_rate": False} if "lr" in flags else {}
    for name, value in flags.items():
        setting = FLAGS[name].setting if name in FLAGS else None
        if setting is not None and isinstance(value, bool | int | float | str):
            settings[setting] = _RENAMED_VALUES.get((name, value), value) if isinstance(value, str) else value
    return settings
