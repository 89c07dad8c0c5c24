"""Measure how near to the machine's limit everything is: `python benchmarks/bench.py --out DIR` (`make bench`).

Runs every program of `benchmarks/speed`, each in a fresh process, prints its figures, and writes `DIR/bench.json`: a
list of {name, ratio, target, holds}, with the spread and the measurements behind each. A figure that does not hold ends
with exit code 1; the others are measured all the same.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

from essential.files.atomic import write_json

SHARED = {"measuring.py", "published_size.py"}
ENTRIES = sorted(path for path in (Path(__file__).parent / "speed").glob("*.py") if path.name not in SHARED)


def main() -> None:
    """Run the programs and gather their figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for bench.json")
    parser.add_argument("--only", action="append", choices=[path.stem for path in ENTRIES], help="repeatable")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    results, failed, start = [], [], time.perf_counter()
    for entry in ENTRIES:
        if arguments.only and entry.stem not in arguments.only:
            continue
        print(f"-- {entry.stem}", flush=True)
        part = arguments.out / f"{entry.stem}.json"
        part.unlink(missing_ok=True)
        if subprocess.call([sys.executable, str(entry), "--json", str(part)]) or not part.exists():
            failed.append(entry.stem)
            continue
        results += json.loads(part.read_text())
        part.unlink()
    write_json(arguments.out / "bench.json", results)
    missed = [result["name"] for result in results if not result["holds"]]
    print(f"{len(results)} figures in {time.perf_counter() - start:.0f} s: {arguments.out / 'bench.json'}")
    if failed or missed:
        sys.exit(f"did not run: {', '.join(failed) or 'none'}; do not hold: {', '.join(missed) or 'none'}")


if __name__ == "__main__":
    main()
