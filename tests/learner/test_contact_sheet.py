"""The image of what the encoder saw: two columns, marks of right and wrong, and text that fits."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFont

from essential.learner.contact_sheet import _WIDTH, MOST_CLIPS, ContactSheet, _fitting, _words
from essential.learner.prediction import Prediction, Scored

KNOWN = ("up", "café")


def _prediction(path: str, label: str = "up", *, unknown_score: float | None = 0.5, frames: int = 8) -> Prediction:
    levels = np.linspace(40, 200, frames).astype(np.uint8)
    grey = np.broadcast_to(levels[:, None, None, None], (frames, 32, 32, 3))
    return Prediction(Path(path), (Scored(label, 0.93),), unknown_score, frames=grey)


def _pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB")).astype(int)


@pytest.mark.parametrize(
    ("prediction", "title", "verdict"),
    [
        (_prediction("clips/up/1.mp4"), "up 0.93", "right"),
        (_prediction("clips/up/scene/1.mp4"), "up 0.93", "right"),
        (_prediction("clips/cafe\u0301/1.mp4"), "up 0.93", "wrong"),
        (_prediction("clips/cafe\u0301/1.mp4", "café"), "café 0.93", "right"),
        (_prediction("clips/up/1.mp4", unknown_score=1.2), "none of these (closest: up 0.93)", "wrong"),
        (_prediction("clips/juggling/1.mp4", unknown_score=1.2), "none of these (closest: up 0.93)", None),
        (_prediction("up.mp4"), "up 0.93", None),
        (Prediction(Path("clips/up/1.mp4"), error="it is empty"), "cannot be read", None),
    ],
)
def test_a_clip_is_right_if_its_folder_is_named_as_the_answer(
    prediction: Prediction, title: str, verdict: str | None
) -> None:
    words = _words(prediction, KNOWN)
    assert (words.title, words.verdict) == (title, verdict)
    assert words.note.startswith("/".join(prediction.path.parts[-2:]))


@pytest.mark.parametrize("ending", ["png", "jpg"])
def test_clips_stand_in_two_columns_and_right_and_wrong_differ_in_colour_and_form(tmp_path: Path, ending: str) -> None:
    sheet = ContactSheet(KNOWN)
    for number, label in enumerate(("up", "café", "up")):
        sheet.add(_prediction(f"clips/up/{number}.mp4", label))
    sheet.write(tmp_path / f"seen.{ending}")
    image = _pixels(tmp_path / f"seen.{ending}")
    height, width, _ = image.shape
    assert 2 * _WIDTH < width < 2 * _WIDTH + 60
    marks = [image[12:30, left : left + 16] for left in (12, width // 2 + 6)]
    greener, redder = (mark[..., 1] - mark[..., 0] for mark in marks)
    assert greener.max() > 40
    assert redder.min() < -40
    shapes = [mark.min(axis=2) < 128 for mark in marks]
    assert (shapes[0] != shapes[1]).sum() > 20
    # The last one is alone in its row.
    assert (image[height // 2 + 6 :, width // 2 + 6 :] > 240).all()
    assert (image[height // 2 + 6 :, : width // 2] < 210).sum() > 1000


def test_forty_clips_take_less_than_a_megabyte(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    sheet = ContactSheet(KNOWN)
    rows, columns = np.mgrid[:64, :64]
    for number in range(40):
        # Smooth, with edges and some noise, as a frame of a camera is.
        base = 90 + 60 * np.sin(rows / draw.uniform(4, 20) + number) + 50 * (columns > draw.uniform(10, 50))
        frames = base[None, :, :, None] + draw.normal(0, 4, (8, 64, 64, 3)) + draw.uniform(-30, 30, (8, 1, 1, 3))
        pixels = frames.clip(0, 255).astype(np.uint8)
        sheet.add(Prediction(Path(f"clips/up/{number}.mp4"), (Scored("up", 0.5),), frames=pixels))
    for name in ("seen.png", "seen.jpg"):
        sheet.write(tmp_path / name)
        assert (tmp_path / name).stat().st_size < 1_000_000
    assert not sheet.left_out


def test_many_frames_go_on_in_further_rows(tmp_path: Path) -> None:
    heights = []
    for frames in (8, 16, 200):
        sheet = ContactSheet(KNOWN)
        sheet.add(_prediction("a.mp4", frames=frames))
        sheet.write(tmp_path / "seen.png")
        heights.append(_pixels(tmp_path / "seen.png").shape[0])
    assert heights[0] < heights[1] < heights[2] < 5 * heights[0]


def test_it_takes_any_name_and_error(tmp_path: Path) -> None:
    sheet = ContactSheet(KNOWN)
    for name in ("a\nb.mp4", "x" * 5000, "\x1b[31m.mp4"):
        sheet.add(Prediction(Path(name), error="it is empty"))
        sheet.add(Prediction(Path(name), (Scored("wave\n" * 300, 0.5),)))
    sheet.write(tmp_path / "seen.png")
    assert _pixels(tmp_path / "seen.png").shape[1] < 2 * _WIDTH + 60


def test_a_text_fits_or_ends_in_dots() -> None:
    font = ImageFont.load_default(15)
    assert _fitting("up 0.93", font, 200) == "up 0.93"
    short = _fitting("pouring something into something " * 5, font, 200)
    assert short.startswith("pouring")
    assert short.endswith("...")
    assert 150 < font.getlength(short) <= 200


def test_later_clips_are_counted(tmp_path: Path) -> None:
    sheet = ContactSheet(KNOWN)
    for number in range(MOST_CLIPS + 3):
        sheet.add(Prediction(Path(f"{number}.mp4"), error="it is empty"))
    assert sheet.left_out == 3
    sheet.write(tmp_path / "seen.png")
