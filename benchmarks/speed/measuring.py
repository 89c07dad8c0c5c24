"""What every speed benchmark shares: the limit and our code measured in turns, and one form of result.

A figure is a ratio of two measurements taken in the same run, so that it says something on any machine. Both sides are
measured in turns, several times, and the ratio is the median of the turns' ratios: where the machine slows down for a
while, it slows both.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch


@dataclass(frozen=True)
class Result:
    """One figure beside what it must reach.

    Attributes:
        name: what was compared with what.
        ratio: the figure; a ratio of two measurements of one run unless the name says otherwise.
        bound: what it must reach; `target` says on which side.
        sign: on which side of the bound it must be.
        spread: least and greatest of the turns.
        detail: the measurements behind it, in words and numbers of their own.
    """

    name: str
    ratio: float
    sign: Literal[">=", "<="]
    bound: float
    spread: tuple[float, float] | None = None
    detail: dict[str, float | str] = field(default_factory=dict)

    @property
    def target(self) -> str:
        """The bound with its sign."""
        return f"{self.sign} {self.bound:g}"

    @property
    def holds(self) -> bool:
        """Whether the figure is what it must be."""
        return self.ratio >= self.bound if self.sign == ">=" else self.ratio <= self.bound

    def as_json(self) -> dict[str, object]:
        """Return it as `bench.json` has it."""
        shown = {"name": self.name, "ratio": self.ratio, "target": self.target, "holds": self.holds}
        return shown | {"spread": self.spread, "detail": self.detail}


def seconds(work: Callable[[], object]) -> float:
    """Return the wall-clock seconds that one call takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def ratios_in_turns(
    above: Callable[[], float], below: Callable[[], float], *, turns: int = 5
) -> tuple[float, tuple[float, float]]:
    """Measure both sides in turns; return the median of `above() / below()` and the least and greatest."""
    ratios = [above() / below() for _ in range(turns)]
    return statistics.median(ratios), (min(ratios), max(ratios))


def matmul_rate(*, rows: int = 1024, inner: int = 1024, columns: int = 1024, at_least_seconds: float = 0.5) -> float:
    """Return the floating-point operations per second of float32 matrix products with torch's present threads."""
    left, right = torch.randn(rows, inner), torch.randn(inner, columns)
    result = torch.empty(rows, columns)
    torch.mm(left, right, out=result)
    count, start = 0, time.perf_counter()
    while time.perf_counter() - start < at_least_seconds:
        torch.mm(left, right, out=result)
        count += 1
    return 2 * rows * inner * columns * count / (time.perf_counter() - start)


def memory_gb(process: int | str = "self") -> dict[str, float]:
    """Return a process's own memory, `RssAnon`, and all that is resident, page cache included, `VmRSS`; now."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return {line.split(":")[0]: int(line.split()[1]) / 1e6 for line in lines if line.startswith(("VmRSS", "RssAnon"))}


def in_a_process(program: str, *arguments: str) -> dict[str, Any]:
    """Return the JSON object that a Python program prints; and, as `most_gb`, the most memory of its own seen of it."""
    command, most = [sys.executable, program, *arguments], 0.0
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        while process.poll() is None:
            with suppress(OSError, KeyError):  # it has just ended
                most = max(most, memory_gb(process.pid)["RssAnon"])
            time.sleep(0.01)
        assert process.stdout is not None
        said = process.stdout.read()
    if process.returncode:
        sys.exit(f"{' '.join(command)} failed")
    return {**json.loads(said), "most_gb": most}


def main(measure: Callable[[], Sequence[Result]], description: str) -> None:
    """Run one benchmark as a program: print its figures, and write them with `--json FILE`."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    arguments = parser.parse_args()
    results = measure()
    for result in results:
        spread = f"  ({result.spread[0]:.2f} to {result.spread[1]:.2f})" if result.spread else ""
        print(f"{'holds' if result.holds else 'FAILS'}  {result.name}: {result.ratio:.3g}, {result.target}{spread}")
        for name, value in result.detail.items():
            print(f"         {name}: {value if isinstance(value, str) else format(value, '.4g')}")
    if arguments.json is not None:
        arguments.json.write_text(json.dumps([result.as_json() for result in results], indent=1))
    sys.exit(0)
