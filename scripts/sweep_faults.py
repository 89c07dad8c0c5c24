"""Sweep faults over the commands: see tests/faults/sweep.py.

python scripts/sweep_faults.py                               every command, every call, every kind of fault
python scripts/sweep_faults.py forget "site, new"            some commands
python scripts/sweep_faults.py --every 7 --kinds kill,EIO    a sample
"""

import argparse
import os
import sys
import tempfile
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = "1"
sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from faults.commands import COMMANDS
from faults.injection import KINDS
from faults.sweep import sweep, table


def main() -> None:
    """Print a line for each command, and what was wrong."""
    commands = {command.name: command for command in COMMANDS}
    parser = argparse.ArgumentParser()
    parser.add_argument("commands", nargs="*", choices=[[], *commands], metavar="COMMAND", help=", ".join(commands))
    parser.add_argument("--first", type=int, default=1, help="number of the first call")
    parser.add_argument("--every", type=int, default=1, help="1: every call; 7: every seventh")
    parser.add_argument("--kinds", default=",".join(KINDS))
    asked = parser.parse_args()
    failed = 0
    for name in asked.commands or commands:
        with tempfile.TemporaryDirectory() as folder:
            work = Path(folder).resolve() / "sweep"
            faults = sweep(
                commands[name], work, kinds=asked.kinds.split(","), part=slice(asked.first - 1, None, asked.every)
            )
            line, wrong = table(name, faults)
        print(line, flush=True)
        for fault in wrong:
            print(f"  {fault.kind} at call {fault.number} ({fault.call}):", *fault.wrong, sep="\n    ", flush=True)
        failed += len(wrong)
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
