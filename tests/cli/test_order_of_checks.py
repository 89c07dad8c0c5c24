"""Cheap checks come before weights are downloaded, videos made or runs analysed."""

import errno
import socket
import tempfile
from pathlib import Path

import pytest
from huggingface_hub import constants

# Here, before anything is replaced: what is imported later would keep the stand-in.
import essential.api.compare  # noqa: F401
from essential.encoders import EncoderConfig
from essential.protocols.moving_digits import MovingDigitsConfig, make_moving_digits
from in_process import Essential
from report.made_records import make_record


class TooEarlyError(AssertionError):
    """The costly step was begun."""


@pytest.fixture(autouse=True)
def nothing_costly(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def begun(*_: object, **__: object) -> None:
        raise TooEarlyError

    for name in (
        "essential.engine.workspace.build_encoder",
        "essential.engine.workspace.make_moving_digits",
        "essential.authors.import_run.read_authors_checkpoint",
        "essential.analysis.analyse",
        "essential.features.imported.sha256_of_file",
    ):
        monkeypatch.setattr(name, begun)
    monkeypatch.setenv("ESSENTIAL_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    Path("clips/up").mkdir(parents=True)
    Path("clips/up/1.mp4").write_bytes(b"x")
    Path("file").write_text("mine")
    Path("foreign").mkdir()
    Path("foreign/notes.txt").write_text("mine")
    Path("theirs").mkdir()
    Path("theirs/task1_checkpoint.pth").write_bytes(b"x")
    make_record().write(tmp_path / "run" / "record.json")


MANY_TASKS = ("-s", "protocol.tasks=1000")
FROM_LIST = ("-s", "data.kind=list", "-s", "data.path=file", "-s", "data.root=clips")


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (("train", "--out", "r", *FROM_LIST), "file"),
        (("train", "--out", "r", "-s", "data.root=none"), "none"),
        (("train", "--out", "file", "-s", "data.root=clips"), "file"),
        (("train", "--config", "moving-digits/essential", "--out", "r", *MANY_TASKS), "1000"),
        (("train", "--config", "moving-digits/essential", "--out", "r", "-s", "features.store=file"), "file"),
        (("extract", "--config", "moving-digits/essential", "--store", "file/store"), "file/store"),
        (("extract", "--config", "own/essential", "--store", "s", *FROM_LIST), "file"),
        (("compare", "--methods", "ncm", "--out", "file/c"), "file/c"),
        (("compare", "--methods", "ncm", "--out", "c", *MANY_TASKS), "1000"),
        (("compare", "--config", "own", "--methods", "ncm", "--out", "c", *FROM_LIST), "file"),
        (("report", "run", "--out", "clips"), "clips: it is a folder"),
        (("report", "run", "--out", "file/page.html"), "file/page.html"),
        (("report", "run", "--out", "page.html", "--figures", "file"), "file"),
        (("predict", "file", "none.mp4", "gone"), "there is no file and no folder 'none.mp4', 'gone'"),
        (("predict", "none.bundle", "none.mp4"), "there is no bundle none.bundle"),
        (("test", "none.bundle", "clips"), "there is no bundle none.bundle"),
        (("test", "file", "none"), "the folder none does not exist"),
        (("test", "file", "clips", "--page", "foreign"), "foreign: it is a folder"),
        (("learn", "--into", "b", "--videos", "clips", "--method", "joint"), "'joint' needs all old clips"),
        (("learn", "--into", "b", "--videos", "clips", "--method", "lwf", "--budget-bytes", "9"), "caps nothing"),
        (("learn", "--into", "file/b", "--videos", "clips"), "file"),
        (("export", "b", "--out", "file/x.pt2"), "file/x.pt2"),
        (("export", "b", "--out", "foreign"), "foreign"),
        (("import-checkpoint", "theirs", "--out", "r", "-s", "training.epoks=1"), "did you mean 'epochs'"),
        (("import-checkpoint", "theirs", "--out", "run"), "run holds a run already"),
        (("features", "import", "none.npy", "none.csv", "--out", "foreign"), "foreign holds other files"),
        (("features", "import", "none.npy", "none.csv", "--out", "file"), "file"),
        (("data", "make", "moving-digits", "--out", "foreign"), "foreign already holds 'notes.txt'"),
        (("data", "import", "none.pkl", "--out", "foreign"), "foreign is a folder"),
        (("site", "run", "--out", "file"), "file"),
    ],
)
def test_a_cheap_refusal_comes_first(command: tuple[str, ...], message: str, essential: Essential) -> None:
    outcome = essential(*command)
    assert outcome.code == 2, outcome.out
    assert message in outcome.err
    assert sorted(path.name for path in Path("foreign").iterdir()) == ["notes.txt"]


@pytest.mark.parametrize(
    "command",
    [
        ("report", "run", "--out", "new/p.html"),
        ("export", "b", "--out", "new/e.pt2"),
        ("compare", "--methods", "ncm", "--out", "new"),
        ("extract", "--config", "moving-digits/essential", "--store", "new"),
    ],
)
def test_a_place_that_cannot_be_written_is_told_first(
    command: tuple[str, ...], essential: Essential, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(**_: object) -> None:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    outcome = essential(*command)
    assert outcome.code == 2
    assert "cannot write" in outcome.err
    assert "the disk is full" in outcome.err
    assert not Path("new").exists()


def test_the_classes_of_the_clips_to_make_are_those_of_the_clips_made(tmp_path: Path) -> None:
    from essential.protocols.folder import folder_listing
    from essential.protocols.moving_digits import videos_to_make

    config = MovingDigitsConfig(digits=1, train_clips_per_class=1, test_clips_per_class=1, size=32, frames=8)
    make_moving_digits(tmp_path / "made", config, workers=1)
    made = [(video.key, video.label, video.split) for video in folder_listing(tmp_path / "made").videos]
    assert sorted(made) == sorted((video.key, video.label, video.split) for video in videos_to_make(config))


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (("--encoder", "clip-vit-b16"), ()),
        (("--encoder=clip-vit-b16", "--method", "ncm"), ("--method", "ncm")),
        (("-s", "encoder.name=clip-vit-b16", "-s", "encoder.size=32", "-s", "seed=1"), ("-s", "seed=1")),
        (("--encoder", "clip-vit-b16", "--describe", "up=waving", "--method=words"), ()),
    ],
)
def test_without_a_network_learn_ends_with_commands_to_copy(
    given: tuple[str, ...], kept: tuple[str, ...], essential: Essential, monkeypatch: pytest.MonkeyPatch
) -> None:
    from essential.encoders import build_encoder

    def refused(*_: object, **__: object) -> socket.socket:
        raise OSError("no route")

    monkeypatch.setattr("essential.engine.workspace.build_encoder", build_encoder)
    monkeypatch.setattr(socket, "create_connection", refused)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", "nothing")
    outcome = essential("learn", "--into", "my actions.bundle", "--videos", "clips", *given)
    assert outcome.code == 2
    said, *commands = outcome.err.splitlines()
    lite = "--encoder efficientnet-lite0"
    assert said.startswith("error: no network: the published weights of the encoder 'clip-vit-b16'")
    assert said.endswith("; that is:")
    assert commands == [
        "  " + " ".join(["essential learn --into 'my actions.bundle' --videos clips", *kept, lite]),
        f"  essential learn --into 'my actions.bundle' --videos clips {' '.join(given)} -s encoder.weights=FILE",
    ]
    assert EncoderConfig(name="clip-vit-b16").timm_name in said


def test_descriptions_that_nothing_uses_are_refused_before_an_encoder_is_fetched(essential: Essential) -> None:
    outcome = essential(
        *("learn", "--into", "a.bundle", "--videos", "clips", "--encoder", "clip-vit-b16"),
        *("--method", "ncm", "--describe", "up=waving"),
    )
    assert outcome.code == 2
    assert "describe: has no use in a learner by 'ncm'" in outcome.err


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("cafe\u0301=people drink",), "the encoder 'tiny' has no text tower"),
        (("tea=people drink",), "describes 'tea', and no such class is given"),
        (("café",), "--describe 'café': is not of the form CLASS=TEXT"),
        (("café=one", "cafe\u0301=two"), "describes a class again"),
        (("café= ",), "the description of 'café' is empty"),
    ],
)
def test_descriptions_are_of_the_classes_that_are_given(
    given: tuple[str, ...], message: str, essential: Essential
) -> None:
    Path("shops/café").mkdir(parents=True)
    Path("shops/café/1.mp4").write_bytes(b"x")
    described = [word for each in given for word in ("--describe", each)]
    outcome = essential("learn", "--into", "a.bundle", "--videos", "shops", "--encoder", "tiny", *described)
    assert outcome.code == 2
    assert message in outcome.err
