"""Encoders of whole clips, from video files to answers: all that is done with frame encoders is done with these."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from essential import VideoLearner
from essential.encoders import build_encoder
from essential.encoders.base import Encoder
from essential.features.config import FeaturesConfig
from essential.features.extract import extract
from essential.features.provenance import build_recipe
from essential.features.source import open_source
from essential.learner.contact_sheet import ContactSheet
from essential.progress import Progress
from essential.protocols.protocol import Video
from essential.serve.answering import Answering
from essential.serve.messages import Limits, Setup
from essential.video.config import AugmentConfig
from essential.video.views import read_views
from in_process import Essential
from seen_progress import SeenProgress
from small_video_networks import ARGUMENTS, DIM, FRAMES, small_config, small_overrides
from taught import MACHINE
from video_files import write_numbered_video

# Features of a clip: fewer than there are steps, and more.
FEWER, MORE = 3, 8
SHORTEST = 5


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of two classes, with one clip of fewer frames than are read."""
    root = tmp_path_factory.mktemp("clips")
    for label, longer in (("slow", 0), ("quick", 9)):
        for number in range(4):
            count = SHORTEST if (label, number) == ("slow", 0) else 9 + number + longer
            write_numbered_video(root / label / f"{number}.mp4", count, size=(48, 32))
    write_numbered_video(root.parent / "long.mp4", 75, size=(48, 32))
    return root


@pytest.fixture(scope="module", params=tuple(ARGUMENTS))
def encoder(request: pytest.FixtureRequest) -> Encoder:
    return build_encoder(small_config(request.param))


def learner(encoder: Encoder, frames: int, said: Progress) -> VideoLearner:
    overrides = [*small_overrides(encoder.name), *MACHINE, f"video.frames={frames}"]
    return VideoLearner(config="moving-digits/essential", method="ncm", overrides=overrides, progress=said)


@pytest.mark.parametrize("frames", [FEWER, MORE])
def test_stored_live_and_sharded_features_are_the_encoders_own(
    encoder: Encoder, frames: int, clips: Path, tmp_path: Path
) -> None:
    config = FeaturesConfig(views=1, shard_videos=2, workers=1)
    recipe = build_recipe(config, encoder, augment=AugmentConfig(), frames=frames, seed=0)
    videos = [Video(path.stem, str(path), path.parent.name, "train") for path in sorted((clips / "slow").iterdir())]
    seen = SeenProgress()
    for part in range(2):
        extract(tmp_path, videos, recipe=recipe, config=config, part=(part, 2), progress=seen)
    live = config.model_copy(update={"mode": "live"})
    sources = [open_source(each, videos, recipe=recipe, store=tmp_path, progress=seen) for each in (config, live)]

    for view in range(2):
        rows = torch.arange(len(videos))
        stored, fresh = (source.view(videos, view).rows(rows).numpy() for source in sources)
        assert stored.shape == (len(videos), frames, DIM)
        assert np.array_equal(stored, fresh)
        own = [encoder(read_views(video, recipe.request((view,))).clips, frames)[0].numpy() for video in videos]
        # The same operations, with one thread or several.
        np.testing.assert_allclose(stored, np.stack(own), rtol=1e-4, atol=1e-5)
    # Of the clips that were read: two in the first part, with the short one, and all where nothing is stored.
    rest = f"fewer frames than the {FRAMES} that the encoder reads; frames are repeated"
    assert seen.notes == [f"1 of 2 clips have {rest}", f"1 of 4 clips have {rest}"]


def test_a_learner_reads_keeps_answers_and_shows(encoder: Encoder, clips: Path, tmp_path: Path) -> None:
    said = SeenProgress()
    taught = learner(encoder, FEWER, said)
    taught.learn(clips)
    assert said.notes == [
        f"1 of 8 clips have fewer frames than the {FRAMES} that the encoder reads; frames are repeated"
    ]
    taught.save(tmp_path / "clips.bundle")

    again = VideoLearner.load(tmp_path / "clips.bundle", overrides=MACHINE)
    paths = [clips / "slow" / f"{number}.mp4" for number in range(3)]
    predictions = [*again.stream(paths, with_frames=True)]
    short = {"frames": SHORTEST, "frames_read": FRAMES}
    assert [answer.as_json().get("short_clip") for answer in predictions] == [short, None, None]
    assert {answer.frames.shape[0] for answer in predictions if answer.frames is not None} == {FEWER}
    sheet = ContactSheet(again.classes)
    for answer in predictions:
        sheet.add(answer)
    sheet.write(tmp_path / "sheet.png")
    # 25 frames a second.
    for seconds, window in ((1, None), (0.2, {"frames": 5, "frames_read": FRAMES})):
        spans = again.predict_spans(clips.parent / "long.mp4", window_seconds=seconds)
        assert spans[-1].segment.end_seconds == 3
        assert {json.dumps(span.as_json().get("short_clip")) for span in spans} == {json.dumps(window)}


def test_the_service_says_which_clip_is_short(
    encoder: Encoder, clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = tmp_path / "clips.bundle"
    taught = learner(encoder, FEWER, Progress())
    taught.learn(clips)
    taught.save(bundle)
    # The service answers in a process of its own. Here the limit would be that of all tests that follow.
    monkeypatch.setattr("essential.serve.answering.limit_memory", lambda _: None)
    answering = Answering(Setup(bundle, MACHINE, None, Limits()), Progress())
    answers = [answering.predict(clips / "slow" / f"{number}.mp4", top_k=2) for number in range(2)]
    assert [answer.short_clip and answer.short_clip.frames for answer in answers] == [SHORTEST, None]
    assert [len(answer.frames) for answer in answers] == [FEWER, FEWER]


@pytest.mark.parametrize("form", ["onnx", "pt2"])
def test_a_bundle_is_exported(encoder: Encoder, form: str, clips: Path, tmp_path: Path, essential: Essential) -> None:
    taught = learner(encoder, FEWER, Progress())
    taught.learn(clips)
    taught.save(tmp_path / "clips.bundle")
    done = essential("export", tmp_path / "clips.bundle", "--out", tmp_path / f"clips.{form}")
    assert (done.code, done.err) == (0, "")
    note = json.loads((tmp_path / f"clips.{form}.json").read_text())
    assert note["preparation"]["frames"] == note["input"]["shape"][1] == FRAMES
    assert note["checked"]["largest_difference"] < 1e-4


@pytest.mark.usefixtures("without_page")
def test_a_run_extracts_trains_and_goes_on(
    encoder: Encoder, small_data: Path, tmp_path: Path, essential: Essential
) -> None:
    settings = [
        *("data.moving_digits.digits=1", "protocol.tasks=4", "features.views=0", "features.shard_videos=8"),
        *("data.moving_digits.train_clips_per_class=4", "data.moving_digits.test_clips_per_class=2"),
        *(f"data.root={small_data}", *small_overrides(encoder.name), *MACHINE),
    ]
    options = ["--config", "moving-digits/essential", *(part for each in settings for part in ("-s", each))]
    train = ["train", "--method", "ncm", *options]
    store = ["-s", f"features.store={tmp_path / 'store'}"]
    for part in ("0/2", "1/2"):
        assert essential("extract", *options, *store, "--shard", part).code == 0
    done = essential(*train, *store, "--out", tmp_path / "stored")
    assert (done.code, "clips have fewer frames" in done.err) == (0, False)
    assert essential(*train, *store, "--out", tmp_path / "stored", "--resume").code == 0
    assert essential(*train, "-s", "features.mode=live", "--out", tmp_path / "live").code == 0
    stored, live = (json.loads((tmp_path / run / "record.json").read_text()) for run in ("stored", "live"))
    assert stored["accuracy"] == live["accuracy"]
    assert stored["encoder"] == live["encoder"]
    assert stored["encoder"].items() >= {"name": encoder.name, "fingerprint": encoder.fingerprint}.items()
