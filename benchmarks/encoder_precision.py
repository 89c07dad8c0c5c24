"""Encoding on a CPU in each precision: `python benchmarks/encoder_precision.py [--names N ...] [--threads 1 2]`.

For each encoder (random weights where its own are not here) and each set of instructions, in a process of its own:
milliseconds that a frame takes in float32, bfloat16 and int8, in turns, the best of several, and how far the features
are from float32's: the greatest |f - g| / |g| of a frame. With one thread seconds are those of the process, which
others take less from; with more they are the clock's, which wants a machine to itself.

oneDNN and torch are told to use fewer instructions by the environment; MKL, which multiplies float32 matrices, chooses
its own by the processor's maker.

What was tried beside these, ViT-B/16, 8 frames, one thread of an AMD EPYC with AVX-512 VNNI and BF16 (torch 2.12,
float32 350 ms a frame, int8 82 to 86): onnxruntime in float32 187 and in dynamic 8 bits 77; OpenVINO in float32 167 and
in bfloat16 85; torch's own `quantize_dynamic` 73 to 82, which has one scale for all inputs of a layer, so that features
depend on the clips beside; the module converted to bfloat16 104, where autocast takes 111. So torch alone gives what
another runtime would. `torch._int_mm` is as quick as what is used here, but on processors without AVX-512 VNNI it is a
loop: 197 x 768 x 768 takes 123 milliseconds there, 2.2 in float32 and 1.0 as it is done here (with AVX2).
"""

import argparse
import json
import os
import subprocess
import sys
import time

os.environ["HF_HUB_OFFLINE"] = "1"

INSTRUCTIONS = {
    "all": {},
    "AVX-512 VNNI": {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE_VNNI", "ATEN_CPU_CAPABILITY": "avx512"},
    "AVX-512": {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE", "ATEN_CPU_CAPABILITY": "avx512"},
    "AVX2 VNNI": {"ONEDNN_MAX_CPU_ISA": "AVX2_VNNI", "ATEN_CPU_CAPABILITY": "avx2"},
    "AVX2": {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"},
}
FRAMES = 8


def main() -> None:
    """Measure in child processes, and print a row for each encoder, instructions and number of threads."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--names", nargs="+", default=["clip-vit-b16", "efficientnet-lite0"], help="the encoders")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--instructions", nargs="+", default=[*INSTRUCTIONS], choices=[*INSTRUCTIONS])
    parser.add_argument("--precisions", nargs="+", default=["float32", "bfloat16", "int8"])
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        print(json.dumps(measured(given.names[0], given.precisions, threads=given.threads[0], turns=given.turns)))
        return
    print(f"{'encoder':20} {'instructions':14} threads  precision   ms a frame  times float32  distance")
    for name in given.names:
        for instructions in given.instructions:
            for threads in given.threads:
                shown = ("--child", "--names", name, "--threads", str(threads), "--turns", str(given.turns))
                command = [sys.executable, __file__, *shown, "--precisions", *given.precisions]
                environment = {**os.environ, **INSTRUCTIONS[instructions]}
                child = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
                figures = json.loads(child.stdout.splitlines()[-1])
                for precision, (taken, distance) in figures.items():
                    times = figures["float32"][0] / taken
                    print(
                        f"{name:20} {instructions:14} {threads:7}  {precision:10} {taken:11.2f} {times:14.2f} "
                        f"{distance:9.4f}",
                        flush=True,
                    )


def measured(name: str, precisions: list[str], *, threads: int, turns: int) -> dict[str, tuple[float, float]]:
    """Return milliseconds a frame, and the distance from float32, by precision."""
    import torch

    from essential.encoders import EncoderConfig, build_encoder
    from essential.engine.allocator import keep_freed_memory
    from essential.errors import CheckpointError, ConfigError
    from essential.features.pipeline import ClipEncoder
    from essential.features.precision import refuse_precision

    keep_freed_memory()
    torch.set_num_threads(threads)
    try:
        encoder = build_encoder(EncoderConfig(name=name))
    except CheckpointError:
        encoder = build_encoder(EncoderConfig(name=name, weights="random"))
    size = encoder.pixel_format.size
    clip = torch.randn(1, encoder.frames_read(FRAMES), 3, size, size, generator=torch.Generator().manual_seed(0))
    ways, features, taken = {}, {}, {}
    for precision in precisions:
        try:
            refuse_precision(precision, encoder)
        except ConfigError:
            continue
        ways[precision] = ClipEncoder(encoder, frames=FRAMES, batch_clips=None, precision=precision)
        taken[precision] = []
    clock = time.process_time if threads == 1 else time.perf_counter
    for _ in range(turns + 1):
        for precision, way in ways.items():
            start = clock()
            ((_, found),) = [*way.add(0, clip), *way.finish()]
            taken[precision].append((clock() - start) * 1e3 / clip.shape[1])
            features[precision] = torch.from_numpy(found[0])
    exact = features["float32"]
    return {
        precision: (min(taken[precision][1:]), float(((found - exact).norm(dim=1) / exact.norm(dim=1)).max()))
        for precision, found in features.items()
    }


if __name__ == "__main__":
    main()
