"""Which encoder to take: `python benchmarks/encoders.py --out DIR [--manifest FILE.csv] [--weights NAME=FILE]`.

For each encoder the bytes of its weights, the numbers that it gives of a frame or step in time, and the clips (8
features each) and frames a second that the network alone encodes: the encoders in turns, the best of several. An
encoder whose weights are not here has random ones. Nothing is downloaded.

With a manifest (columns path,label,split), the final accuracy on its clips, in one task, of `own/spectral`, which draws
nothing, and of `own/joint` for every seed, of each encoder whose weights are here; and how near the installed one comes
to its network's own rate when it encodes clips from files. `DIR/encoders.json` holds the figures.
"""

import argparse
import json
import os
import statistics
from collections import deque
from pathlib import Path
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
from rich.console import Console
from rich.table import Table
from speed.measuring import ratios_in_turns, seconds

from essential.cli.progress_bar import terminal_progress
from essential.encoders import ENCODERS, EncoderConfig, build_encoder
from essential.encoders.base import Encoder
from essential.engine.config import load_config
from essential.engine.run import train
from essential.engine.workspace import open_workspace
from essential.errors import CheckpointError
from essential.features.cores import share_cores, torch_threads
from essential.features.pipeline import encode_each
from essential.files.atomic import write_json
from essential.progress import Progress

FEATURES, TURNS = 8, 5
# What is promised of the encoder that is installed: frames a second over CLIP's, accuracy over a MobileNet's, and its
# rate from files over that of the network alone.
INSTALLED, CLIP, MOBILE = "efficientnet-lite0", "clip-vit-b16", "mobilenetv2_035"
TIMES_CLIP, OVER_MOBILE, FROM_FILES = 10, 0.05, 0.8
# Of weights that were converted from Keras: TensorFlow's padding, pixels from -1 to 1.
OF_KERAS: dict[str, Any] = {
    **{"arguments": {"pad_type": "same", "bn_eps": 1e-3}, "mean": [0.5] * 3, "std": [0.5] * 3},
}


def main() -> None:
    """Measure every encoder and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for features, runs and the figures")
    parser.add_argument("--names", nargs="+", default=[*ENCODERS], help="the encoders")
    parser.add_argument("--weights", action="append", default=[], help="NAME=FILE: of a further encoder; repeatable")
    parser.add_argument("--manifest", type=Path, help="CSV with the columns path,label,split")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--threads", type=int, default=2, help="of torch, for the frames a second")
    arguments = parser.parse_args()
    files = dict(given.split("=", maxsplit=1) for given in arguments.weights)
    settings = {name: {"name": name} for name in arguments.names}
    settings |= {
        name: {"name": name, "weights": str(Path(file).absolute()), **(OF_KERAS if name == MOBILE else {})}
        for name, file in files.items()
    }
    torch.set_num_threads(arguments.threads)
    figures, here = measured(settings)
    for name in here if arguments.manifest else ():
        figures[name]["spectral"] = accuracy(arguments, "own/spectral", settings[name], seed=0)
        figures[name]["joint"] = [accuracy(arguments, "own/joint", settings[name], seed) for seed in arguments.seeds]
    arguments.out.mkdir(parents=True, exist_ok=True)
    write_json(arguments.out / "encoders.json", {"threads": arguments.threads, "encoders": figures})
    show(figures)
    if arguments.manifest:
        told(f"clips from files over the network alone, {INSTALLED}", rate_from_files(arguments.manifest), FROM_FILES)


def measured(settings: dict[str, dict[str, Any]]) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """Return what the networks alone give, by the encoder's name, and of which the weights are here."""
    encoders, here = {}, []
    for name, setting in settings.items():
        try:
            encoders[name] = build_encoder(EncoderConfig.model_validate(setting))
            here.append(name)
        except CheckpointError:
            encoders[name] = build_encoder(EncoderConfig.model_validate({**setting, "weights": "random"}))
    figures = {name: size_of(encoder) for name, encoder in encoders.items()}
    for name, taken in seconds_a_clip(encoders).items():
        figures[name]["clips_per_second"] = 1 / taken
        figures[name]["frames_per_second"] = figures[name]["frames_read"] / taken
    return figures, here


def size_of(encoder: Encoder) -> dict[str, Any]:
    """Return the bytes of all weights, the numbers of a feature, and the frames read for `FEATURES` of them."""
    tensors = encoder.state_dict().values()
    size = sum(tensor.numel() * tensor.element_size() for tensor in tensors)
    return {"bytes": size, "numbers": encoder.dim, "frames_read": encoder.frames_read(FEATURES)}


def seconds_a_clip(encoders: dict[str, Encoder]) -> dict[str, float]:
    """Return the least seconds that each encoder takes for a clip of noise."""
    taken: dict[str, list[float]] = {name: [] for name in encoders}
    with torch.inference_mode():
        for _ in range(TURNS):
            for name, encoder in encoders.items():
                size = encoder.pixel_format.size
                clip = torch.rand(1, encoder.frames_read(FEATURES), 3, size, size)
                taken[name].append(seconds(lambda encoder=encoder, clip=clip: encoder(clip, FEATURES)))
    return {name: min(each) for name, each in taken.items()}


def rate_from_files(manifest: Path) -> float:
    """Return the rate of encoding clips that are read meanwhile over that of clips that are there; median of turns."""
    settings = ["data.kind=manifest", f"data.path={manifest}", "protocol.tasks=1", f"encoder.name={INSTALLED}"]
    workspace = open_workspace(load_config("own/spectral", settings), Progress())
    recipe, encoder, config = workspace.recipe(), workspace.encoder, workspace.config.features
    assert encoder is not None, "videos are read"
    items = [(video, recipe.request((0,))) for video in workspace.protocol.videos]
    size = encoder.pixel_format.size
    clip = torch.rand(1, recipe.frames, 3, size, size)
    threads = share_cores(config.workers, recipe=recipe, views=1).threads

    def from_files() -> float:
        return len(items) / seconds(lambda: deque(encode_each(items, recipe=recipe, config=config), maxlen=0))

    def alone() -> float:
        with torch_threads(threads), torch.inference_mode():
            return len(items) / seconds(lambda: [encoder(clip, recipe.frames) for _ in items])

    return ratios_in_turns(from_files, alone, turns=3)[0]


def accuracy(arguments: argparse.Namespace, recipe: str, encoder: dict[str, Any], seed: int) -> float:
    """Return the final accuracy of one run; a run that is complete is read."""
    method = recipe.rpartition("/")[2]
    settings = {
        **{"data.kind": "manifest", "data.path": str(arguments.manifest), "protocol.tasks": 1, "encoder": encoder},
        **{"features.store": str(arguments.out / f"features-{encoder['name']}-{method}"), "seed": seed},
    }
    config = load_config(recipe, [f"{key}={json.dumps(value)}" for key, value in settings.items()])
    folder = arguments.out / f"{encoder['name']}-{method}-{seed}"
    record = train(config, folder, resume=True, progress=terminal_progress())
    assert record.metrics.final_accuracy is not None, "a manifest has test clips"
    return record.metrics.final_accuracy


def show(figures: dict[str, dict[str, Any]]) -> None:
    """Print a row for each encoder, then what is promised."""
    heads = ("encoder", "MB", "numbers", "frames of a clip", "clips/s", "frames/s", "spectral", "joint by seed", "mean")
    table = Table(*heads)
    for name, of in figures.items():
        reached, spectral = of.get("joint", []), of.get("spectral")
        table.add_row(
            *(name, f"{of['bytes'] / 1e6:.1f}", str(of["numbers"]), str(of["frames_read"])),
            *(f"{of['clips_per_second']:.2f}", f"{of['frames_per_second']:.1f}"),
            "" if spectral is None else f"{spectral:.3f}",
            *(", ".join(f"{one:.3f}" for one in reached), f"{statistics.mean(reached):.3f}" if reached else ""),
        )
    Console(width=120).print(table)
    if {INSTALLED, CLIP} <= figures.keys():
        rate, clips = (figures[name]["frames_per_second"] for name in (INSTALLED, CLIP))
        told(f"frames/s of {INSTALLED} over {CLIP}", rate / clips, TIMES_CLIP)
    if all("joint" in figures.get(name, {}) for name in (INSTALLED, MOBILE)):
        ours, theirs = (statistics.mean(figures[name]["joint"]) for name in (INSTALLED, MOBILE))
        told(f"accuracy of joint, {INSTALLED} - {MOBILE}", ours - theirs, OVER_MOBILE)


def told(name: str, figure: float, bound: float) -> None:
    """Print a figure beside what is promised."""
    print(f"{'holds' if figure >= bound else 'FAILS'}  {name}: {figure:.3g}, >= {bound:g}")


if __name__ == "__main__":
    main()
