"""Official split files of small data sets, made by the tests as the real ones are published."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

# In a split file of HMDB51 names hold all of these.
ODD_NAME = "Bob's #1 (of 2) & more; really! go_u_cm_np1_fr_med_0.avi"


def write_ucf101(folder: Path, classes: Sequence[str], *, split: int = 1, ends: str = "\r\n") -> Path:
    """Write the files of a split with a training and a test video of each class, and return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = {
        "classInd.txt": [f"{number} {name}" for number, name in enumerate(classes, start=1)],
        f"trainlist0{split}.txt": [f"{n}/v_{n}_g08_c01.avi {i}" for i, n in enumerate(classes, start=1)],
        f"testlist0{split}.txt": [f"{name}/v_{name}_g01_c01.avi" for name in classes],
    }
    for name, content in lines.items():
        (folder / name).write_text("".join(line + ends for line in content), newline="")
    return folder


def hmdb51_classes() -> list[str]:
    """Return 51 names."""
    return ["brush_hair", "cartwheel", *(f"class_{index:02d}" for index in range(49))]


def write_hmdb51(folder: Path, *, split: int = 1) -> Path:
    """Write the files of a split with a training, a test and an unused video of each class, and return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in hmdb51_classes():
        content = f"{name}_a.avi 1 \n{name}_b.avi 2 \n{name}_c.avi 0 \n"
        (folder / f"{name}_test_split{split}.txt").write_text(content)
    return folder


def write_ssv2(folder: Path, templates: Sequence[str], *, prefix: str = "something-something-v2-") -> Path:
    """Write the files, the labels in reverse order, with a training and a validation video of each template."""
    folder.mkdir(parents=True, exist_ok=True)
    labels = {name.replace("[", "").replace("]", ""): str(number) for number, name in enumerate(templates)}
    files: Mapping[str, object] = {
        "labels": dict(reversed(labels.items())),
        "train": [{"id": str(100 + i), "label": "a", "template": t} for i, t in enumerate(templates)],
        "validation": [{"id": str(200 + i), "label": "b", "template": t} for i, t in enumerate(templates)],
    }
    for name, content in files.items():
        (folder / f"{prefix}{name}.json").write_text(json.dumps(content))
    return folder
