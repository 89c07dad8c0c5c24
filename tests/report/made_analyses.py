"""Analyses made up for the report's tests."""

import base64
import io
import random
from typing import Any

from PIL import Image

from essential.records import Record
from essential.records.analysis import Analysis

TESTS = 20
"""Test videos of each class."""


def made_picture(shade: int, *, size: int = 96) -> str:
    """A JPEG in base64, of one colour with some grain."""
    draw = random.Random(shade)
    picture = Image.new("RGB", (size, size))
    picture.putdata([(shade, draw.randrange(120), 255 - shade) for _ in range(size * size)])
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=40)
    return base64.b64encode(buffer.getvalue()).decode()


def _slots(record: Record) -> list[tuple[str, int]]:
    learned = record.protocol.tasks[: len(record.accuracy)]
    return [(name, number) for number, task in enumerate(learned) for name in task.classes]


def _confusion(draw: random.Random, slots: list[tuple[str, int]]) -> list[list[int]]:
    rows = []
    for slot, (_, task) in enumerate(slots):
        right = TESTS - draw.randrange(2 + 2 * (slots[-1][1] - task + 1))
        row = [0] * len(slots)
        row[slot] = max(0, right)
        for _ in range(TESTS - row[slot]):
            row[draw.randrange(len(slots))] += 1
        rows.append(row)
    return rows


def _means(draw: random.Random, exemplars: int) -> dict[str, Any]:
    return {
        "exemplars": exemplars,
        "sparse": draw.uniform(0.2, 0.5),
        "sparse_frames": draw.uniform(0.2, 0.5),
        "retrieved": draw.uniform(0.05, 0.3),
        "retrieved_frames": draw.uniform(0.05, 0.3),
    }


def make_analysis(record: Record, *, exemplars: int = 60, clips: int = 6, frames: int = 8, **fields: Any) -> Analysis:
    """A plausible analysis of a run; `fields` replace whole fields."""
    draw = random.Random(f"{record.method.name} {record.seed}")
    slots = _slots(record)
    names = [name for name, _ in slots]
    confusion = _confusion(draw, slots)
    learned = len(record.accuracy)
    by_task = [[draw.uniform(0.6, 1) if task <= row else None for _, task in slots] for row in range(learned)]
    by_task[-1] = list(record.class_accuracy) or [row[slot] / TESTS for slot, row in enumerate(confusion)]
    forgotten = [
        {
            "video": f"test/{names[0]}/{number}.mp4",
            "label": names[0],
            "known_after_task": 0,
            "lost_after_task": 1,
            "predicted": names[-1],
            "margin": 1.0 / (number + 1),
            "frames": [made_picture(40 * frame + number) for frame in range(4)],
        }
        for number in range(clips if learned > 1 else 0)
    ]
    content = {
        "protocol_id": record.protocol.id,
        "class_names": names,
        "class_tasks": [task for _, task in slots],
        "class_accuracy_by_task": by_task,
        "confusion": confusion,
        "distances": {
            "overall": _means(draw, exemplars),
            "by_slot": [{"slot": slot, "means": _means(draw, 5)} for slot in range(len(slots))],
        },
        "frames_kept": [
            {
                "frames": count,
                "clips": TESTS * len(slots),
                "accuracy": 0.9 - 0.5 / count,
                "retrieved_accuracy": 0.88 if count == 2 else None,
            }
            for count in range(1, frames + 1)
        ],
        "forgotten": forgotten,
        "forgotten_count": 3 * len(forgotten),
    }
    return Analysis.model_validate({**content, **fields})
