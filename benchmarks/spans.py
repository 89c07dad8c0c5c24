"""Measure what spans of a long video give: `python benchmarks/spans.py --out DIR`.

Makes videos of ten minutes out of clips of `moving-digits`, 60 of 4 classes (the digit 2 that moves left, right, up and
down, which no single frame tells apart), 8 to 12 seconds long, or 6 to 10 with pauses between them in which there is no
digit. The first 20 are taught by a file of spans, cut into windows; the other 40, whose digits are other scans, are
looked for. Prints precision, recall and F1 at an overlap of 0.5 for the seeds 0, 1 and 2; `DIR/spans.json` holds them.

Nothing was chosen on these seeds; `--seeds 100 101` makes others.
"""

import argparse
import dataclasses
import time
from itertools import pairwise
from pathlib import Path

import numpy as np

from essential import VideoLearner
from essential.cli.progress_bar import terminal_progress
from essential.files.atomic import write_bytes, write_json
from essential.learner.cutting import cut_spans
from essential.protocols.digit_frames import (
    Frames,
    draw_frames,
    draw_progress,
    draw_scene,
    draw_trajectory,
    scans,
)
from essential.protocols.moving_digits import FRAMES_PER_SECOND, encode
from essential.protocols.protocol import Segment
from essential.seeding import numpy_generator
from essential.spans import LabelledSpan, SpanScores, read_spans, score_spans, write_spans

MOTIONS = ("left", "right", "up", "down")
DIGIT, SIZE = 2, 64
TAUGHT, ASKED = 20, 40
# Seconds of an action, and of the pause before it.
KINDS = {"no pauses": ((8.0, 12.0), (0.0, 0.0)), "pauses": ((6.0, 10.0), (1.0, 3.0))}
# As an engineer would choose them who knows that an action takes six seconds or more.
WINDOW, STRIDE, SHORTEST = 2.0, 0.5, 4.0


def main() -> None:
    """Make, teach, ask, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for videos, files of spans and the figures")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--encoder", default="tiny", help="of the learner")
    arguments = parser.parse_args()
    figures = []
    for kind, (action, pause) in KINDS.items():
        for seed in arguments.seeds:
            folder = arguments.out / f"{kind.replace(' ', '-')}-{seed}"
            spans = make_recording(folder, seed=seed, action_seconds=action, pause_seconds=pause)
            scores, seconds = measure(spans, arguments.encoder)
            total = scores.total.as_json()
            figures.append({"kind": kind, "seed": seed, "encoder": arguments.encoder, "seconds": seconds, **total})
            shown = " ".join(f"{name} {total[name]:.3f}" for name in ("f1", "precision", "recall"))
            print(f"{kind:10} seed {seed}: {shown}; {total['predicted']} found; {seconds:.0f} s", flush=True)
    write_json(arguments.out / "spans.json", figures)


def measure(spans: tuple[LabelledSpan, ...], encoder: str) -> tuple[SpanScores, float]:
    """Return how well the spans after the taught ones are found, and the seconds it took."""
    started = time.perf_counter()
    learner = VideoLearner(encoder=encoder, progress=terminal_progress())
    learner.learn(cut_spans(spans[:TAUGHT], window_seconds=WINDOW))
    found = learner.predict_spans(
        spans[0].path, window_seconds=WINDOW, stride_seconds=STRIDE, shortest_seconds=SHORTEST
    )
    # The part that was taught is not asked for.
    border = (spans[TAUGHT - 1].segment.end_seconds + spans[TAUGHT].segment.start_seconds) / 2
    asked = [
        dataclasses.replace(span.labelled, segment=Segment(max(span.segment.start_seconds, border), span.segment[1]))
        for span in found
        if span.segment.end_seconds > border
    ]
    return score_spans(asked, spans[TAUGHT:]), time.perf_counter() - started


def make_recording(
    folder: Path, *, seed: int, action_seconds: tuple[float, float], pause_seconds: tuple[float, float]
) -> tuple[LabelledSpan, ...]:
    """Make a video and its file of spans, and return these as they are read from it."""
    generator = numpy_generator("spans", seed)
    path = folder / "recording.mp4"
    spans, parts, at = [], [], 0
    for place, motion in enumerate(draw_order(generator)):
        pause = round(generator.uniform(*pause_seconds) * FRAMES_PER_SECOND)
        if pause:
            parts.append(draw_clip(generator, motion, pause, place=place, strength=0.0))
            at += pause
        frames = round(generator.uniform(*action_seconds) * FRAMES_PER_SECOND)
        parts.append(draw_clip(generator, motion, frames, place=place, strength=1.0))
        segment = Segment(at / FRAMES_PER_SECOND, (at + frames) / FRAMES_PER_SECOND)
        spans.append(LabelledSpan(path, segment, f"{DIGIT}-{motion}"))
        at += frames
    folder.mkdir(parents=True, exist_ok=True)
    write_bytes(path, encode(np.concatenate(parts), "mp4"))
    write_spans(spans, folder / "spans.csv", form="csv")
    return read_spans(folder / "spans.csv")


def draw_order(generator: np.random.Generator) -> list[str]:
    """Draw the motions: as many of each among the taught and among the asked, and no two alike after one another."""
    while True:
        order: list[str] = []
        for count in (TAUGHT, ASKED):
            left = dict.fromkeys(MOTIONS, count // len(MOTIONS))
            for _ in range(count):
                possible = [motion for motion, rest in left.items() if rest and order[-1:] != [motion]]
                if not possible:
                    break
                weights = np.array([left[motion] for motion in possible], np.float64)
                order.append(str(generator.choice(possible, p=weights / weights.sum())))
                left[order[-1]] -= 1
        if len(order) == TAUGHT + ASKED and all(one != other for one, other in pairwise(order)):
            return order


def draw_clip(generator: np.random.Generator, motion: str, frames: int, *, place: int, strength: float) -> Frames:
    """Draw a clip; at a strength of 0 there is no digit in it."""
    trajectory = draw_trajectory(motion, generator, progress=draw_progress(generator, frames))
    trajectory = dataclasses.replace(trajectory, strength=np.full(frames, strength))
    choices = scans(DIGIT, "train" if place < TAUGHT else "test")
    scan = np.asarray(choices[generator.integers(len(choices))])
    return draw_frames(scan, trajectory, draw_scene(generator, SIZE), generator)


if __name__ == "__main__":
    main()
