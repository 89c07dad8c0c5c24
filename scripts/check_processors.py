"""Run the numeric tests as other processors would: `python scripts/check_processors.py [pytest's arguments]`.

Processors round differently: they have other vector instructions, and other numbers of cores, so sums come in another
order. torch, oneDNN and MKL can be told which instructions to use, and OpenMP how many threads. This runs the tests
that carry the marker `numeric` under each of `SETTINGS` and prints a table; it exits with 1 if a test failed anywhere.
A setting that asks for more than the processor has is told and left out.
"""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import torch

ROOT = Path(__file__).parents[1]
SETTINGS: list[dict[str, str]] = [
    *(
        {"ATEN_CPU_CAPABILITY": instructions, "OMP_NUM_THREADS": threads}
        for instructions in ("default", "avx2", "avx512")
        for threads in ("1", "2")
    ),
    {"ONEDNN_MAX_CPU_ISA": "SSE41"},
    {"ONEDNN_MAX_CPU_ISA": "AVX2"},
    {"MKL_CBWR": "COMPATIBLE"},
]
# Without the shape checks of the whole suite, which take longer than the tests.
PYTEST = ("-m", "pytest", "-m", "numeric and not gpu", "-q", "-rfE", "--tb=short", "-o", "addopts=--strict-markers")
_INSTRUCTIONS = ("default", "avx2", "avx512")


def main(arguments: list[str]) -> int:
    """Run all settings, print the table, and return the exit code."""
    print(f"{'setting':52}{'passed':>8}{'failed':>8}{'seconds':>9}", flush=True)
    failed = 0
    for setting in SETTINGS:
        name = " ".join(f"{key}={value}" for key, value in setting.items())
        if not _has(setting):
            print(f"{name:52}not on this processor", flush=True)
            continue
        passed, wrong, seconds = _run(setting, arguments)
        print(f"{name:52}{passed:8}{wrong:8}{seconds:9.0f}", flush=True)
        failed += wrong
    return 1 if failed else 0


def _has(setting: dict[str, str]) -> bool:
    """Return whether this processor has the instructions that a setting names."""
    own = torch.backends.cpu.get_cpu_capability().lower()
    most = _INSTRUCTIONS.index(own) if own in _INSTRUCTIONS else 0
    return not any(value.lower() in _INSTRUCTIONS[most + 1 :] for value in setting.values())


def _run(setting: dict[str, str], arguments: list[str]) -> tuple[int, int, float]:
    """Return how many tests passed and failed under one setting, and the seconds of it; print what failed."""
    command = [sys.executable, *PYTEST, *arguments]
    start = time.monotonic()
    # A thread that waits for another leaves the core to it; it rounds nothing.
    environment = {"OMP_WAIT_POLICY": "passive", **os.environ, **setting}
    ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    last = (ended.stdout.strip().splitlines() or [""])[-1]
    counts = {what: int(count) for count, what in re.findall(r"(\d+) (passed|failed|error)", last)}
    wrong = counts.get("failed", 0) + counts.get("error", 0)
    if ended.returncode:
        print(ended.stdout, ended.stderr, sep="\n")
        wrong = max(wrong, 1)  # also where pytest itself could not run
    return counts.get("passed", 0), wrong, time.monotonic() - start


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
