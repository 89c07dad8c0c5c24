"""Small annotation lists for tests, as a published pickle and as a file of ours."""

import json
import pickle
from functools import cache
from pathlib import Path
from typing import Any

from essential.protocols.video_list import VideoList, import_list

PUBLISHED: dict[str, Any] = {
    "train": [
        {"run": ["v_run_g01_c01", "v_run_g01_c02"], "jump": ["v_jump_g01_c01"]},
        {"dive": ["sub/v_dive_g05_c01.avi"]},
    ],
    "val": [{"jump": ["v_jump_g02_c01"], "run": ["v_run_g02_c01"]}, {"dive": ["v_dive_g06_c01"]}],
    "test": [{"run": ["v_run_g01_c03"], "jump": ["v_jump_g03_c01"]}, {"dive": ["v_dive_g05_c02"]}],
}

OURS: dict[str, Any] = {
    "format": "essential video list",
    "version": 1,
    "tasks": [
        {label: {split: PUBLISHED[split][number][label] for split in PUBLISHED} for label in PUBLISHED["train"][number]}
        for number in range(2)
    ],
}


def segment(file: str, start: object, end: object, duration: object = "20.0") -> dict[str, object]:
    """Return a segment as ActivityNet's list has it."""
    times = {"t_start": start, "t_end": end, "video_duration": duration}
    return {**times, "filename": file, "fps": "30.0", "video_frames": "600"}


def segments() -> dict[str, Any]:
    """Return a published list of segments, with all that the real one has that is odd."""
    return {
        "train": [
            {
                "run": [segment("v_a", "1.5", "4.0"), segment("v_a", "1.5", "4.0"), segment("v_b", 0, 20)],
                "jump": [segment("v_b", "10", "30"), segment("v_c", "0.0", "0.0"), segment("v_d", "2", "3")],
            }
        ],
        "val": [{"run": [segment("v_e", "20.5", "21"), segment("v_e", 1, 2)], "jump": [segment("v_f", 0, "20.04")]}],
    }


def write_pickle(folder: Path, content: object, *, protocol: int = 4) -> Path:
    """Write a list as the published ones are."""
    path = folder / "list.pkl"
    path.write_bytes(pickle.dumps(content, protocol))
    return path


def write_ours(folder: Path, content: object) -> Path:
    """Write JSON, whatever it is."""
    path = folder / "list.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


@cache
def activitynet(shared_folder: Path) -> VideoList:
    """Return vCLIMB's list of ActivityNet, read once: where every call's types are checked, that takes seconds."""
    return import_list(shared_folder / "annotations/ActivityNet_data_10tasks.pkl")
