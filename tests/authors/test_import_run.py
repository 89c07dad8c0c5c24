"""A folder of checkpoints becomes a run: the same scores as where they came from, and what does not fit is refused."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from authors_files import BLOCKS, FRAMES, PATCH, SIDE, WIDTH, drawn, network, save, tower_shapes
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import Tensor

from essential.analysis import analyse
from essential.authors.import_run import checkpoint_files, import_checkpoints
from essential.engine.config import load_config
from essential.engine.run import refuse_taken, train
from essential.engine.run_folder import RunFolder
from essential.engine.score import evaluate
from essential.errors import CheckpointError, ConfigError, DataError, EssentialError, RunError
from essential.progress import Progress
from essential.records import Record
from ranked_scores import matrix_of
from small_runs import SMALL

CLASSES, TASKS = 8, 4
QUIET = Progress()
TO_THEIRS = {
    "encoder.temporal_embedding": "decoder_temporal_embedding",
    "encoder.query": "decoder_cls",
    "encoder.layers.0.query_norm": "decoder_transformer_for_cls.0.ln_cls",
    "encoder.layers.0.frame_norm": "decoder_transformer_for_cls.0.ln_1",
    "encoder.layers.0.attention": "decoder_transformer_for_cls.0.attn",
    "read.attention": "attn",
    "read.prompt_norm": "ln_tokens",
    "read.frame_norm": "ln_1",
    "mlp_norm": "ln_2",
    "mlp.0": "mlp.c_fc",
    "mlp.2": "mlp.c_proj",
}


def _import(folder: Path, out: Path, *overrides: str, config: str = "own/essential") -> None:
    import_checkpoints(folder, out, config=config, overrides=overrides, temporal_embedding=None, progress=QUIET)


def _theirs(name: str) -> str:
    for ours, theirs in TO_THEIRS.items():
        if name.startswith(ours):
            return theirs + name.removeprefix(ours)
    return name


def _export(run: Path, folder: Path, tower: dict[str, Tensor]) -> None:
    """Write a run of ours as the authors would have: whole heads, all MR modules in every checkpoint."""
    saved = RunFolder(run).state()
    assert saved is not None
    modules = {
        f"mr_module.{number}.{_theirs(rest)}": torch.from_numpy(array.copy())
        for name, array in saved.method.items()
        if name.startswith("network.retrieval.")
        for number, rest in [name.removeprefix("network.retrieval.").split(".", 1)]
    }
    for task in range(TASKS):
        own = {_theirs(name): value for name, value in RunFolder(run).read_checkpoint(task).items()}
        del own["exemplar_means"]  # theirs decides by its head alone
        own["decoder_temporal_embedding"] = own["decoder_temporal_embedding"][None]
        unseen = CLASSES - len(own["head.bias"])
        # A class that was not learned yet must never win, as it cannot in the run that this comes from.
        own["head.weight"] = torch.cat([own["head.weight"], torch.zeros(unseen, WIDTH)])
        own["head.bias"] = torch.cat([own["head.bias"], torch.full((unseen,), -1e4)])
        save(folder / f"task{task + 1}_checkpoint.pth", tower | own | modules, num_tasks=TASKS, fs_topk=2, epochs=6)


@pytest.fixture(scope="module")
def tower() -> dict[str, Tensor]:
    return drawn(tower_shapes(), 0)


@pytest.fixture(scope="module")
def places(tower: dict[str, Tensor], small_data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return a run of ours on the small benchmark, and the same as checkpoints of the authors'."""
    folder = tmp_path_factory.mktemp("authors")
    save_file(tower, folder / "tower.safetensors")
    encoder = {
        "name": "clip-vit-b16",
        "weights": str(folder / "tower.safetensors"),
        "arguments": {
            **{"embed_dim": WIDTH, "depth": BLOCKS, "num_heads": 1, "patch_size": PATCH, "img_size": SIDE},
        },
        **{"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225], "interpolation": "bilinear"},
    }
    config = load_config(
        "moving-digits/essential",
        [
            *SMALL,
            f"data.root={small_data}",
            f"features.store={folder / 'store'}",
            f"video.frames={FRAMES}",
            f"encoder={json.dumps(encoder)}",
            "method.classifier.heads=1",
            "method.rehearsal_epochs=2",
            "method.exemplars_per_class=2",
        ],
    )
    train(config, folder / "run", resume=False, progress=QUIET)
    _export(folder / "run", folder / "checkpoints", tower)
    return {"run": folder / "run", "checkpoints": folder / "checkpoints", "data": small_data}


def _on(data: Path, tmp_path: Path) -> list[str]:
    return ["data.kind=folder", f"data.root={data}", "protocol.tasks=4", f"features.store={tmp_path / 'store'}"]


def _score(run: Path, *overrides: str) -> Record:
    return evaluate(run, overrides=overrides, progress=QUIET)


def test_an_imported_run_scores_as_the_run_it_came_from(places: dict[str, Path], tmp_path: Path) -> None:
    _import(places["checkpoints"], tmp_path / "run")
    with pytest.raises(ConfigError, match="needs the folder of the videos"):
        _score(tmp_path / "run")
    record = _score(tmp_path / "run", *_on(places["data"], tmp_path))
    ours = Record.read(places["run"] / "record.json")
    assert record.accuracy == ours.accuracy
    # Their files hold no exemplars, and so no means of them.
    assert ours.metrics.average_incremental_accuracy_nme is not None
    assert record.metrics == ours.metrics.model_copy(update={"average_incremental_accuracy_nme": None})
    assert record.class_accuracy == ours.class_accuracy
    assert (record.reading, record.trainable_parameters) == ("cnn", None)
    assert record.protocol.tasks[0].classes == ours.protocol.tasks[0].classes
    analysis = analyse(tmp_path / "run", progress=QUIET)
    assert analysis.class_accuracy_by_task[-1] == ours.class_accuracy
    assert analysis.frames_kept[-1].accuracy == ours.metrics.final_accuracy
    assert analysis.notes == ("The run keeps no exemplars: there are no distances of them.",)
    assert record.exemplars == 0
    assert record.memory_bytes.episodic == 0
    assert record.memory_bytes.semantic == ours.memory_bytes.semantic
    assert record.memory_bytes.retrieval_modules == ours.memory_bytes.retrieval_modules
    for task in range(TASKS):
        there = RunFolder(places["run"]).read_predictions(task)
        here = RunFolder(tmp_path / "run").read_predictions(task)
        assert here.videos == there.videos
        ours, theirs = matrix_of(here.decided), matrix_of(there.decided)
        assert ours.shape[1] == CLASSES
        torch.testing.assert_close(torch.from_numpy(ours[:, : theirs.shape[1]]), torch.from_numpy(theirs))


def test_it_is_then_a_run_like_another_and_can_be_moved(places: dict[str, Path], tmp_path: Path) -> None:
    _import(places["checkpoints"], tmp_path / "run", *_on(places["data"], tmp_path))
    first = _score(tmp_path / "run")
    shutil.move(tmp_path / "run", tmp_path / "moved")
    assert Record.read(tmp_path / "moved" / "record.json") == first
    assert _score(tmp_path / "moved") == first
    with pytest.raises(RunError, match=r"holds a run of another config: protocol\.tasks: there 4, here 2"):
        _score(tmp_path / "moved", "protocol.tasks=2")
    config = RunFolder(tmp_path / "moved").config()
    with pytest.raises(RunError, match="was imported from checkpoints, which hold no memory"):
        train(config, tmp_path / "moved", resume=True, progress=QUIET)


def test_the_flags_become_settings(places: dict[str, Path], tmp_path: Path) -> None:
    _import(places["checkpoints"], tmp_path / "run", "training.epochs=9")
    config = RunFolder(tmp_path / "run").config()
    assert config.method.model_dump()["frames_kept"] == 2
    assert config.method.model_dump()["memory_mode"] == "task"
    assert config.training.epochs == 9  # what the user says counts for more
    assert config.video.frames == FRAMES
    assert config.encoder.mean == (0.485, 0.456, 0.406)


def test_the_temporal_embedding_is_added_if_the_flags_or_adapters_say_so(tmp_path: Path) -> None:
    for name, adapters, flags, expected in (
        ("plain", 0, {}, False),
        ("adapted", 2, {}, True),
        ("one", 1, {"use_clip_temporal": None}, False),
        ("flag", 0, {"use_clip_temporal": "clip_temporal.pth"}, True),
    ):
        save(tmp_path / name / "task1_checkpoint.pth", network(adapters=adapters), **flags)
        _import(tmp_path / name, tmp_path / f"{name}-run")
        encoder = RunFolder(tmp_path / f"{name}-run").config().encoder
        assert (encoder.adds_temporal_embedding, encoder.temporal_adapters) == (expected, adapters), name


def test_fewer_checkpoints_than_tasks_are_scored_as_far_as_they_go(places: dict[str, Path], tmp_path: Path) -> None:
    shutil.copytree(places["checkpoints"], tmp_path / "some")
    for task in (3, 4):
        (tmp_path / "some" / f"task{task}_checkpoint.pth").unlink()
    _import(tmp_path / "some", tmp_path / "run", *_on(places["data"], tmp_path))
    record = _score(tmp_path / "run")
    ours = Record.read(places["run"] / "record.json")
    assert record.accuracy == tuple(row[:2] for row in ours.accuracy[:2])
    assert len(record.class_accuracy) == CLASSES * 2 // TASKS
    assert [task.train_videos for task in record.protocol.tasks] == [0] * TASKS
    assert (record.coverage("train"), record.coverage("test")) == (None, 1.0)
    assert _score(tmp_path / "run").accuracy == record.accuracy


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], "holds no task1_checkpoint.pth"),
        (["task1_epoch_30_checkpoint.pth", "last_task1_checkpoint.pth"], "holds no task1_checkpoint.pth"),
        (["task1_checkpoint.pth", "task3_checkpoint.pth"], r"task2_checkpoint\.pth is missing, but task 3 is there"),
        (["task2_checkpoint.pth"], r"task1_checkpoint\.pth is missing"),
        (["task1_checkpoint.pth", "task999999_checkpoint.pth"], r"task2_checkpoint\.pth is missing"),
        (["task1_checkpoint.pth", "task01_checkpoint.pth"], "are both of task 1; keep one of them"),
    ],
)
def test_a_folder_that_lacks_checkpoints(names: list[str], message: str, tmp_path: Path) -> None:
    for name in names:
        (tmp_path / name).touch()
    with pytest.raises(CheckpointError, match=message):
        checkpoint_files(tmp_path)


def test_checkpoints_are_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    for number in range(12):
        (tmp_path / f"task{number}_checkpoint.pth").touch()
    assert [path.name for path in checkpoint_files(tmp_path)] == [f"task{n}_checkpoint.pth" for n in range(12)]
    with pytest.raises(CheckpointError, match="there is no folder"):
        checkpoint_files(tmp_path / "none")


def test_files_of_two_runs_are_refused(tmp_path: Path) -> None:
    save(tmp_path / "a" / "task1_checkpoint.pth", network())
    other = network()
    other["conv1.weight"] = other["conv1.weight"] + 1
    save(tmp_path / "a" / "task2_checkpoint.pth", other)
    with pytest.raises(CheckpointError, match=r"task2_checkpoint\.pth: the frozen encoder differs .* conv1\.weight"):
        _import(tmp_path / "a", tmp_path / "run")
    save(tmp_path / "a" / "task2_checkpoint.pth", network(classes=9))
    with pytest.raises(CheckpointError, match=r"task2_checkpoint\.pth has 9 classes, the first checkpoint 8"):
        _import(tmp_path / "a", tmp_path / "run")


def test_a_key_that_is_nobodys_is_refused_and_no_run_is_left(tmp_path: Path) -> None:
    save(tmp_path / "a" / "task1_checkpoint.pth", {**network(), "visual_prompt": torch.zeros(3)})
    with pytest.raises(CheckpointError, match="visual_prompt"):
        _import(tmp_path / "a", tmp_path / "run")
    assert not RunFolder(tmp_path / "run").begun
    save(tmp_path / "a" / "task1_checkpoint.pth", network())
    _import(tmp_path / "a", tmp_path / "run")
    with pytest.raises(RunError, match="holds a run already; choose another --out"):
        _import(tmp_path / "a", tmp_path / "run")


def test_one_module_is_a_tasks_unless_the_flags_say_it_is_everybodys(tmp_path: Path) -> None:
    for mode, expected in (("identity", "task"), ("task", "task"), ("global", "global")):
        save(tmp_path / mode / "task1_checkpoint.pth", network(modules=1), memory_mode=mode)
        _import(tmp_path / mode, tmp_path / f"{mode}-run")
        assert RunFolder(tmp_path / f"{mode}-run").config().method.model_dump()["memory_mode"] == expected


def test_only_data_and_tasks_may_be_chosen_when_it_is_scored(places: dict[str, Path], tmp_path: Path) -> None:
    _import(places["checkpoints"], tmp_path / "run")
    for override, message in (
        ("encoder.weights=random", "encoder"),
        ("encoder.mean=[0.5,0.5,0.5]", r"encoder\.mean"),
        ("method.memory_mode=identity", r"method\.memory_mode: there 'task', here 'identity'"),
    ):
        with pytest.raises(RunError, match=rf"was imported with another config: {message}"):
            _score(tmp_path / "run", *_on(places["data"], tmp_path), override)
    assert not (tmp_path / "run" / "record.json").exists()
    weights = RunFolder(tmp_path / "run").encoder
    changed = load_file(weights)
    changed["conv1.weight"] += 1
    save_file(changed, weights)
    with pytest.raises(RunError, match="other weights than those that were imported"):
        _score(tmp_path / "run", *_on(places["data"], tmp_path))


def test_an_incomplete_set_is_covered_as_far_as_it_was_looked_for(places: dict[str, Path], tmp_path: Path) -> None:
    data = Path(shutil.copytree(places["data"], tmp_path / "data"))
    some = Path(shutil.copytree(places["checkpoints"], tmp_path / "some"))
    for task in (2, 3, 4):
        (some / f"task{task}_checkpoint.pth").unlink()
    _import(some, tmp_path / "run", *_on(data, tmp_path), "features.on_broken_video=skip")
    first = RunFolder(places["run"]).protocol(data)
    assert first is not None
    tests = first.tasks[0].test
    for video in tests[1:]:
        video.path.write_bytes(b"")
    record = _score(tmp_path / "run")
    assert len(record.skipped_videos) == len(tests) - 1
    assert record.coverage("test") == 1 / len(tests)
    assert record.coverage("train") is None


def test_another_list_is_refused_and_the_same_one_elsewhere_is_not(places: dict[str, Path], tmp_path: Path) -> None:
    videos = [path.relative_to(places["data"]) for path in sorted(places["data"].rglob("*.*")) if len(path.parts) > 3]
    tasks: list[dict[str, dict[str, list[str]]]] = [{}, {}]
    for path in videos:
        if path.parts[0] in ("train", "test"):
            label = path.parts[1]
            splits = tasks[0].setdefault(label, {"train": [], "test": []})
            splits[path.parts[0]].append(str(path))
    tasks[1] = {label: tasks[0].pop(label) for label in sorted(tasks[0])[4:]}
    content = {"format": "essential video list", "version": 1, "tasks": tasks}
    (tmp_path / "list.json").write_text(json.dumps(content))
    shutil.copytree(places["checkpoints"], tmp_path / "some")
    for task in (3, 4):
        (tmp_path / "some" / f"task{task}_checkpoint.pth").unlink()
    _import(tmp_path / "some", tmp_path / "run")
    where = ["data.kind=list", f"data.root={places['data']}", f"features.store={tmp_path / 'store'}"]
    first = _score(tmp_path / "run", *where, f"data.path={tmp_path / 'list.json'}")
    (tmp_path / "list.json").rename(tmp_path / "moved.json")
    assert _score(tmp_path / "run").accuracy == first.accuracy  # the list itself is not needed again
    assert _score(tmp_path / "run", f"data.path={tmp_path / 'moved.json'}").accuracy == first.accuracy
    (tmp_path / "other.json").write_text(json.dumps({**content, "tasks": tasks[::-1]}))
    with pytest.raises(RunError, match=r"other\.json is another list than the one that .*run was made on"):
        _score(tmp_path / "run", f"data.path={tmp_path / 'other.json'}")
    with pytest.raises(DataError, match=r"none\.json does not exist"):
        _score(tmp_path / "run", f"data.path={tmp_path / 'none.json'}")


def test_an_import_that_fails_or_is_killed_leaves_the_folder_free(
    places: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = Path(shutil.copytree(places["checkpoints"], tmp_path / "broken"))
    (broken / "task3_checkpoint.pth").write_bytes(b"no")
    with pytest.raises(CheckpointError, match=r"task3_checkpoint\.pth"):
        _import(broken, tmp_path / "run")
    assert [path for path in (tmp_path / "run").rglob("*.safetensors")] == []

    def killed(*_: object, **__: object) -> None:
        raise SystemExit  # as if after it nothing ran

    monkeypatch.setattr(RunFolder, "save", killed)
    monkeypatch.setattr(RunFolder, "discard_import", lambda _: None)
    with pytest.raises(SystemExit):
        _import(places["checkpoints"], tmp_path / "run")
    monkeypatch.undo()
    assert RunFolder(tmp_path / "run").imported
    refuse_taken(RunFolder(tmp_path / "run"), RunFolder(places["run"]).config(), resume=False)
    assert not RunFolder(tmp_path / "run").imported
    _import(places["checkpoints"], tmp_path / "run")


def test_a_file_that_no_import_wrote_is_never_taken_away(places: dict[str, Path], tmp_path: Path) -> None:
    for name in ("encoder.safetensors", "checkpoints/task-00.safetensors"):
        out = tmp_path / name.replace("/", "-")
        (out / name).parent.mkdir(parents=True)
        (out / name).write_text("mine")
        with pytest.raises(RunError, match=rf"{name} is there, and no import wrote it; choose another --out"):
            _import(places["checkpoints"], out)
        refuse_taken(RunFolder(out), RunFolder(places["run"]).config(), resume=False)
        assert (out / name).read_text() == "mine"
        assert not RunFolder(out).imported


def test_a_wrong_encoder_is_told_by_its_checkpoint(tmp_path: Path) -> None:
    model = network()
    del model["ln_post.bias"]
    save(tmp_path / "a" / "task1_checkpoint.pth", model)
    with pytest.raises(CheckpointError, match=r"a/task1_checkpoint\.pth: it does not fit .*missing: ln_post\.bias"):
        _import(tmp_path / "a", tmp_path / "run")
    for name, value in (("conv1.weight", torch.zeros(0, 3, 8, 8)), ("positional_embedding", torch.tensor(1.0))):
        save(tmp_path / "a" / "task1_checkpoint.pth", {**network(), name: value})
        with pytest.raises(CheckpointError, match="are not a CLIP ViT's in the authors' layout"):
            _import(tmp_path / "a", tmp_path / "run")


@settings(derandomize=True, deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_change_of_shapes_or_keys_is_an_error_of_ours(data: st.DataObject, tmp_path: Path) -> None:
    model: dict[str, Tensor] = network()
    for name in data.draw(st.lists(st.sampled_from(sorted(model)), min_size=1, max_size=3, unique=True)):
        shape = data.draw(st.lists(st.integers(0, 3), max_size=4))
        new = data.draw(st.sampled_from([name, f"{name}.x", name.replace("0", "77"), name.rpartition(".")[0], "x"]))
        model.pop(name)
        if data.draw(st.booleans()):
            model[new] = torch.zeros(shape)
    folder = tmp_path / "a"
    save(folder / "task1_checkpoint.pth", model)
    try:
        _import(folder, tmp_path / "run")
    except EssentialError:
        assert not RunFolder(tmp_path / "run").begun
    else:
        raise AssertionError("a damaged network was imported")


def test_a_protocol_of_other_classes_is_refused(places: dict[str, Path], tmp_path: Path) -> None:
    save(tmp_path / "a" / "task1_checkpoint.pth", network(classes=9))
    _import(tmp_path / "a", tmp_path / "run", *_on(places["data"], tmp_path))
    with pytest.raises(CheckpointError, match=r"1 checkpoints that score 9 classes, but the protocol .* 8 classes"):
        _score(tmp_path / "run")
    assert not (tmp_path / "run" / "record.json").exists()
