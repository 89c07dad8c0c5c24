"""Set the runs of both sides beside each other: `python table.py ours.json theirs.json --out peers.json`."""

import argparse
import json
import statistics
import sys
from pathlib import Path
from typing import Any

from essential.files.atomic import write_json

COLUMNS = "{:13} {:16} {:13} {:15} {:>6} {:>5} {:>5}"


def main() -> None:
    """Read both files, write the rows and print them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("ours", type=Path)
    parser.add_argument("theirs", type=Path)
    parser.add_argument("--out", type=Path, required=True, help="JSON file of the rows")
    arguments = parser.parse_args()
    for path in (arguments.ours, arguments.theirs):
        if not path.is_file():
            parser.error(f"{path} is not there: write it with ours.py and theirs.py")
    ours, theirs = (json.loads(path.read_text()) for path in (arguments.ours, arguments.theirs))
    different = [key for key, value in ours["same"].items() if theirs["same"][key] != value]
    if different:
        sys.exit(f"not the same on both sides: {', '.join(different)}; run both with the same arrays and options")
    rows = joined(ours["runs"], theirs["runs"])
    write_json(arguments.out, {"sides": [ours["side"], theirs["side"]], "same": ours["same"], "rows": rows})
    print("final accuracy: mean ± sample standard deviation over seeds; s: CPU seconds\n")
    print(COLUMNS.format("method", "changed there", ours["side"], theirs["side"], "ahead", "s", "s"))
    for row in rows:
        own, other = _shown(row["ours"], row["change"]), _shown(row["theirs"])
        ahead = "" if row["ahead"] is None else f"{row['ahead']:+.3f}"
        name = "" if row["change"] else row["method"]
        print(COLUMNS.format(name, row["change"], own[0], other[0], ahead, own[1], other[1]))


def joined(ours: list[dict[str, Any]], theirs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return a row for each method and change: both sides' figures, and how far ours are ahead.

    What is changed is changed on the other side alone, and stands beside our unchanged runs. A side without runs is
    None.
    """
    rows = []
    for method, change in dict.fromkeys((run["method"], run["change"]) for run in [*theirs, *ours]):
        own, other = _figures(ours, method, ""), _figures(theirs, method, change)
        ahead = own["accuracy"] - other["accuracy"] if own and other else None
        rows.append({"method": method, "change": change, "ours": own, "theirs": other, "ahead": ahead})
    return rows


def _figures(runs: list[dict[str, Any]], method: str, change: str) -> dict[str, Any] | None:
    runs = [run for run in runs if (run["method"], run["change"]) == (method, change)]
    if not runs:
        return None
    final = [run["accuracies"][-1] for run in runs]
    deviation = statistics.stdev(final) if len(final) > 1 else None
    seconds = statistics.mean(run["seconds"] for run in runs)
    return {"accuracy": statistics.mean(final), "deviation": deviation, "seconds": seconds}


def _shown(figures: dict[str, Any] | None, change: str = "") -> tuple[str, str]:
    if figures is None or change:
        return ("" if change else "-"), ""
    deviation = "" if figures["deviation"] is None else f" ± {figures['deviation']:.3f}"
    return f"{figures['accuracy']:.3f}{deviation}", f"{figures['seconds']:.1f}"


if __name__ == "__main__":
    main()
