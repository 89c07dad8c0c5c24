"""Runs, comparisons and learners by words, through a small CLIP on real video files."""

import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

from essential import VideoLearner
from essential.api.compare import check_runs, do_runs
from essential.api.planned_runs import plan_runs, words_left_out
from essential.encoders import EncoderConfig, build_text_tower
from essential.encoders.text import TextTower
from essential.engine.config import load_config
from essential.engine.run import train
from essential.engine.run_folder import RunFolder
from essential.engine.score import evaluate
from essential.engine.settings import RunConfig
from essential.engine.words import known_words
from essential.errors import BundleError, ConfigError, RunError
from essential.learner.bundle import Bundle
from essential.progress import Progress
from small_runs import SMALL, StopAt, record_without_seconds
from small_text_towers import overrides_of, write_tower
from threads import THREADS

QUIET = Progress()
MACHINE = ("training.device=cpu", f"training.threads={THREADS}", "features.workers=0")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("words")


@pytest.fixture(scope="module")
def tower(place: Path) -> EncoderConfig:
    return write_tower(place)


def config_of(method: str, tower: EncoderConfig, data: Path, place: Path, *more: str) -> RunConfig:
    """Return a small run of a method, whose features all runs share."""
    where = (f"data.root={data}", f"features.store={place / 'store'}")
    return load_config(
        "moving-digits/essential", [*SMALL, *MACHINE, *where, *overrides_of(tower), *more], method=method
    )


@pytest.fixture(scope="module")
def done(tower: EncoderConfig, small_data: Path, place: Path) -> dict[str, Path]:
    """Return a complete run of each method of words."""
    for method in ("zero-shot", "words"):
        train(config_of(method, tower, small_data, place), place / method, progress=QUIET)
    return {method: place / method for method in ("zero-shot", "words")}


@pytest.mark.parametrize("method", ["zero-shot", "words"])
def test_a_run_says_what_made_its_words_and_evaluates_without_it(
    method: str, done: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("essential.engine.words.build_text_tower", None)
    record = evaluate(done[method])
    assert record.encoder.text_tower is not None
    assert record.config["words"]["templates"][0] == "a video of a person {}."
    assert not {"text_weights", "tokenizer"} & record.config["encoder"].keys()
    assert (record.reading, record.memory_bytes.semantic) == ("closed-form", 0)
    predictions = RunFolder(done[method]).read_predictions(3)
    assert predictions.decided.scores.shape == (16, 8)
    assert np.isfinite(predictions.decided.scores).all()


def test_a_run_by_words_resumes_to_the_same_record_with_its_own_tower_alone(
    done: dict[str, Path], tower: EncoderConfig, small_data: Path, place: Path, tmp_path: Path
) -> None:
    config = config_of("words", tower, small_data, place)
    # A closed form has no stage to stop in, so it is stopped by what is called after a task.
    tasks = []

    def stop(report: Any) -> None:
        tasks.append(report.task)
        if report.task == 1:
            raise StopAt.Stopped

    with pytest.raises(StopAt.Stopped):
        train(config, tmp_path / "run", progress=QUIET, on_task=stop)
    assert tower.text_weights is not None
    state = load_file(tower.text_weights)
    save_file({**state, "logit_scale": state["logit_scale"] + 1}, tmp_path / "other.safetensors")
    other = tower.model_copy(update={"text_weights": tmp_path / "other.safetensors"})
    with pytest.raises(RunError, match=r"began with words of another text tower \(fingerprint \w{12}\) than these"):
        train(config_of("words", other, small_data, place), tmp_path / "run", resume=True, progress=QUIET)
    told = config_of("words", tower, small_data, place, "words.descriptions={2-left: waving}")
    with pytest.raises(RunError, match=r"a run of another config: words\.descriptions.*2-left"):
        train(told, tmp_path / "run", resume=True, progress=QUIET)
    train(config, tmp_path / "run", resume=True, progress=QUIET)
    assert record_without_seconds(tmp_path / "run") == record_without_seconds(done["words"])


def test_what_cannot_be_said_is_refused_before_anything_is_learned(
    tower: EncoderConfig, small_data: Path, place: Path, tmp_path: Path
) -> None:
    for more, message in (
        (["words.descriptions={2-lift: waving}"], r"describes '2-lift', and no such class is given.*'2-left'"),
        (["words.templates=['a {} {} a a a a a a a a a a a a']"], "needs one {}, for the class's name"),
        (["words.templates=['a {} a a a a a a a a a a a a']"], "has 1[67] tokens, more than 14"),
        (["words.descriptions={2-left: up, 2-right: ' UP '}"], "'2-left' and '2-right' have the same description"),
        (["words.descriptions={2-left: ' '}"], "the description of '2-left' is empty"),
        (
            ["words.descriptions={2-left: a video of 2 right.}", "words.templates=['a video of {}.']"],
            "are the same words",
        ),
        (
            ["encoder.arguments={embed_dim: 64, depth: 1, num_heads: 2}"],
            "is for features of 32 numbers, and these have 64",
        ),
    ):
        with pytest.raises(ConfigError, match=message):
            train(config_of("words", tower, small_data, place, f"features.store={tmp_path}", *more), tmp_path / "run")
    with pytest.raises(ConfigError, match="the encoder 'tiny' has no text tower, so classes have no words"):
        train(load_config("moving-digits/essential", [*SMALL], method="zero-shot"), tmp_path / "run")
    assert not (tmp_path / "run" / "config.yaml").exists()


def test_words_are_no_part_of_the_identity_of_other_runs(tower: EncoderConfig, small_data: Path, place: Path) -> None:
    plain = config_of("ncm", tower, small_data, place, "words.templates=['a {}']").identity()
    assert "words" not in plain
    assert not {"text_weights", "tokenizer"} & plain["encoder"].keys()


def test_a_comparison_has_the_floor_where_the_text_tower_is(
    tower: EncoderConfig, small_data: Path, place: Path, done: dict[str, Path], tmp_path: Path
) -> None:
    where = (f"data.root={small_data}", f"features.store={place / 'store'}")
    overrides = [*SMALL, *MACHINE, *where, *overrides_of(tower)]

    def planned(methods: list[str], *more: str) -> list[str]:
        return [run.method for run in plan_runs("moving-digits", tmp_path, methods, [0], overrides=[*overrides, *more])]

    assert planned(["ncm"]) == ["ncm", "zero-shot"]
    assert planned(["ncm"], "method.clip=dct") == ["ncm", "zero-shot"]
    assert planned(["zero-shot", "ncm"]) == ["zero-shot", "ncm"]
    assert {"words", "zero-shot"} <= {*planned(["all"])}
    runs = plan_runs("moving-digits", tmp_path, ["ncm"], [0], overrides=overrides)
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "zero-shot-0").symlink_to(done["zero-shot"])
    assert [run.method for run in check_runs(runs, QUIET)[0]] == ["ncm", "zero-shot"]
    assert words_left_out(runs) == []


def test_a_comparison_builds_its_text_tower_once(
    tower: EncoderConfig, small_data: Path, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = (f"data.root={small_data}", f"features.store={place / 'store'}")
    monkeypatch.chdir(place)
    overrides = [*SMALL, *MACHINE, *where, *(each.replace(f"{place}/", "") for each in overrides_of(tower))]
    assert "encoder.text_weights=/" not in " ".join(overrides), "paths are from here"
    built: list[EncoderConfig] = []

    def build(config: EncoderConfig) -> TextTower:
        built.append(config)
        return build_text_tower(config)

    monkeypatch.setattr("essential.engine.words.build_text_tower", build)
    monkeypatch.setattr("essential.api.compare.runs_at_once", lambda _: 1)
    no_room = plan_runs("moving-digits", tmp_path / "none", ["icarl"], [0], budgets="1B", overrides=overrides)
    assert "zero-shot" in [run.method for run in no_room]
    with pytest.raises(ConfigError, match="icarl at 1B"):
        check_runs(no_room, QUIET)
    assert built == [], "room is asked for first"
    runs = plan_runs("moving-digits", tmp_path, ["words", "zero-shot"], [0, 1], overrides=overrides)
    fitting, _ = check_runs(runs, QUIET)
    together = do_runs(pickle.loads(pickle.dumps(fitting)), QUIET)
    assert (len(together), len(built)) == (4, 1)
    alone = train(config_of("words", tower, small_data, place), tmp_path / "alone", progress=QUIET)
    assert len(built) == 2, "a run by itself makes its own"
    assert alone.accuracy == together[0][1].accuracy
    with known_words(fitting[0].spoken):
        other = config_of("words", tower, small_data, place, "words.templates=['a {} now']")
        train(other, tmp_path / "other", progress=QUIET)
    assert len(built) == 3, "other texts are other words"


def test_without_the_text_tower_a_comparison_has_no_floor_and_asks_no_network(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("essential.encoders.published_weights.try_to_load_from_cache", lambda *_: None)
    monkeypatch.setattr("essential.encoders.published_weights.network_answers", lambda: pytest.fail("it was asked"))
    runs = plan_runs("moving-digits", tmp_path, ["all"], [0], overrides=["encoder.name=clip-vit-b16"])
    assert not {"words", "zero-shot"} & {run.method for run in runs}
    (note,) = words_left_out(runs)
    assert "the text tower of 'clip-vit-b16' is not on this machine; name them with --methods to download it" in note
    runs = plan_runs("moving-digits", tmp_path, ["ncm"], [0])
    assert [run.method for run in runs] == ["ncm"]
    assert words_left_out(runs) == []


class Classes:
    """Clips of classes by motion, four each."""

    def __init__(self, data: Path) -> None:
        self.train = data / "train"

    def __call__(self, *motions: str) -> dict[str, list[Path]]:
        folders = {path.name.partition("-")[2]: path for path in self.train.iterdir()}
        return {motion: sorted(folders[motion].iterdir()) for motion in motions}


def new_learner(tower: EncoderConfig, *more: str) -> VideoLearner:
    return VideoLearner(method="words", overrides=[*overrides_of(tower), *MACHINE, "features.views=0", *more])


def test_descriptions_are_kept_used_again_and_forgotten(
    tower: EncoderConfig, small_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clips, path = Classes(small_data), tmp_path / "words.bundle"
    learner = new_learner(tower)
    learner.learn(clips("left", "right"), describe={"left": "a person waving"})
    assert learner.config.words.descriptions == {"left": "a person waving"}
    plain = new_learner(tower)
    plain.learn(clips("left", "right"))
    vectors = [each._model.method.predictor.text.vectors.view(2, -1) for each in (learner, plain)]
    assert not np.allclose(vectors[0][0], vectors[1][0])
    np.testing.assert_allclose(vectors[0][1], vectors[1][1], atol=1e-5)
    learner.save(path)

    # Another machine: it has neither the tower nor the library.
    with monkeypatch.context() as patch:
        patch.setattr("essential.extras.find_spec", lambda _: None)
        read = VideoLearner.load(path, overrides=MACHINE)
        asked = [*clips("right")["right"]]
        assert [one.label for one in read.predict(asked)] == [one.label for one in learner.predict(asked)]
        with pytest.raises(ConfigError, match=re.escape("pip install 'essential-video[transformers]'")):
            read.learn(clips("up"))
        assert read.classes == ("left", "right")

    files = [f"encoder.text_weights={tower.text_weights}", f"encoder.tokenizer={tower.tokenizer}"]
    read = VideoLearner.load(path, overrides=[*MACHINE, *files])
    with pytest.raises(
        ConfigError, match=re.escape("'right' and 'RIGHT' are the same words, 'a video of a person right.'")
    ):
        read.learn({"RIGHT": clips("up")["up"]})
    with pytest.raises(ConfigError, match="'left' and 'up' have the same description, 'A person waving'"):
        read.learn(clips("up"), describe={"up": "A person waving"})
    read.learn({"left": clips("down")["down"]}, more_of_known=True)
    again = read._model.method.predictor.text.vectors.view(3, -1)
    np.testing.assert_allclose(again[2], again[0], atol=1e-5, err_msg="a known class keeps its description")
    with pytest.raises(ConfigError, match="'right' and 'RIGHT' are the same words"):
        plain.rename("left", "RIGHT")
    before = read.predict(asked)
    read.rename("left", "wave")
    assert read.config.words.descriptions == {"wave": "a person waving"}
    assert [one.score for one in read.predict(asked)] == [one.score for one in before]
    read.learn({"wave": clips("grow")["grow"]}, more_of_known=True)
    again = read._model.method.predictor.text.vectors.view(4, -1)
    np.testing.assert_allclose(again[3], again[0], atol=1e-5, err_msg="a renamed class keeps its description")
    read.rename("wave", "right", merge=True)
    assert read.classes == ("right",)
    read.save(path)
    assert b"person waving" not in path.read_bytes()
    assert Bundle.read(path).config.words.descriptions == {}

    described = new_learner(tower, "words.descriptions={left: a person waving, up: jumps}")
    described.learn(clips("left", "right"))
    np.testing.assert_allclose(described._model.method.predictor.text.vectors, vectors[0].flatten(), atol=1e-5)
    described.forget("left")
    described.save(path)
    assert b"person waving" not in path.read_bytes()
    assert Bundle.read(path).config.words.descriptions == {"up": "jumps"}


def test_a_bundle_learns_on_with_its_own_tower_alone(tower: EncoderConfig, small_data: Path, tmp_path: Path) -> None:
    clips, path = Classes(small_data), tmp_path / "words.bundle"
    learner = new_learner(tower)
    learner.learn(clips("left", "right"))
    learner.save(path)
    assert tower.text_weights is not None
    state = load_file(tower.text_weights)
    save_file({**state, "logit_scale": state["logit_scale"] + 1}, tmp_path / "other.safetensors")
    files = [f"encoder.text_weights={tmp_path / 'other.safetensors'}", f"encoder.tokenizer={tower.tokenizer}"]
    with pytest.raises(BundleError, match=r"words\.bundle: was taught with words of another text tower"):
        VideoLearner.load(path, overrides=[*MACHINE, *files]).learn(clips("up"))


def test_descriptions_that_say_nothing_are_refused_before_a_clip_is_read(
    tower: EncoderConfig, small_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clips = Classes(small_data)
    learner = new_learner(tower)
    monkeypatch.setattr("essential.learner.video_learner.read_clips", lambda *_, **__: pytest.fail("a clip was read"))
    for describe, message in (
        ({"left": "up", "right": "up"}, "'left' and 'right' have the same description, 'up'"),
        ({"lift": "up"}, r"describe: describes 'lift', and no such class is given.*'left'"),
        ({"left": ""}, "the description of 'left' is empty"),
        ({"left": "a " * 20}, "has 22 tokens, more than 14"),
    ):
        with pytest.raises(ConfigError, match=message):
            learner.learn(clips("left", "right"), describe=describe)
    with pytest.raises(
        ConfigError, match=r"'tiny' has no text tower.*\(encoder\.name=clip-vit-b16 or siglip-vit-b16\)"
    ):
        VideoLearner(method="words", encoder="tiny")
    plain = VideoLearner(method="ncm", encoder="tiny", overrides=MACHINE)
    with pytest.raises(ConfigError, match="describe: has no use in a learner by 'ncm'"):
        plain.learn(clips("left"), describe={"left": "up"})
