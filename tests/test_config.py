"""From a name or a YAML file and overrides to settings, and what a person is told who made a slip."""

import re
from pathlib import Path
from typing import Any

import pytest

from essential.configs.shipped import config_text, shipped_configs, shipped_methods
from essential.engine.config import load_config
from essential.errors import ConfigError
from essential.methods import METHODS
from essential.methods.bounds import JointConfig

ARMS = ("essential", "finetune", "joint", "replay-dense", "replay-sparse")
NAMES = tuple(f"moving-digits/{arm}" for arm in ARMS)
OWN = ("own/spectral", *(f"own/{arm}" for arm in ARMS))
# Classes of the first task and tasks of each of TCD's settings (facts: 51 + 10x5 and so on, classes x tasks).
TCD = {
    "tcd/ucf101-10x5": ("ucf101", 51, 6),
    "tcd/ucf101-5x10": ("ucf101", 51, 11),
    "tcd/ucf101-2x25": ("ucf101", 51, 26),
    "tcd/hmdb51-5x5": ("hmdb51", 26, 6),
    "tcd/hmdb51-1x25": ("hmdb51", 26, 26),
    "tcd/ssv2-10x9": ("ssv2", 84, 10),
    "tcd/ssv2-5x18": ("ssv2", 84, 19),
}
VCLIMB = tuple(
    f"vclimb/{data}-{tasks}"
    for data in ("ucf101", "kinetics400", "activitynet-trimmed", "activitynet-untrimmed")
    for tasks in (10, 20)
)
ESSENTIAL = NAMES[0]
SECTIONS = "known here: asked_for, data, encoder, features, method, protocol, seed, summary, training, video, words"


def _message(name: str | Path, *overrides: str) -> str:
    """Load what must fail; return what the user reads, which must not show the tools underneath."""
    with pytest.raises(ConfigError) as caught:
        load_config(str(name), overrides)
    message = str(caught.value)
    assert not re.search(r"pydantic|ValidationError|Traceback|https?:", message), message
    return message


def _file(folder: Path, text: str) -> Path:
    path = folder / "mine.yaml"
    path.write_text(text)
    return path


def test_every_config_that_is_shipped_says_what_it_is() -> None:
    summaries = shipped_configs()
    assert set(summaries) == {*NAMES, *OWN, *TCD, *VCLIMB}
    assert all(len(summary) > 20 for summary in summaries.values())
    assert len(set(summaries.values())) == len(summaries)


@pytest.mark.parametrize("name", TCD)
def test_the_recipes_of_tcd_cut_and_order_as_tcd_does(name: str) -> None:
    config, (kind, base_classes, tasks) = load_config(name), TCD[name]
    assert (config.data.kind, config.protocol.base_classes, config.protocol.tasks) == (kind, base_classes, tasks)
    assert (config.protocol.order_rule, config.protocol.order_seed) == ("tcd", 1000)
    assert config.protocol.name == name.replace("/", "-")


@pytest.mark.parametrize("name", VCLIMB)
def test_the_recipes_of_vclimb_take_their_tasks_from_the_list(name: str) -> None:
    config = load_config(name)
    assert (config.data.kind, config.protocol.tasks, config.protocol.base_classes) == ("list", None, None)
    assert config.data.untrimmed == ("untrimmed" in name)
    assert config.protocol.name == name.replace("/", "-")


@pytest.mark.parametrize(
    ("name", "script"),
    [
        # The authors' scripts: epochs, warm-up, rehearsal epochs, samples per class, frames stored, temporal layers.
        ("tcd/ssv2-10x9", (50, 5, 25, 4, 4, 3)),
        ("vclimb/ucf101-20", (30, 5, 20, 16, 2, 1)),
    ],
)
def test_the_two_published_scripts(name: str, script: tuple[int, ...]) -> None:
    config = load_config(name)
    method, training = config.method.model_dump(), config.training
    ssv2 = name.startswith("tcd/ssv2")
    assert (training.epochs, training.warmup_epochs, method["rehearsal_epochs"]) == script[:3]
    assert (method["exemplars_per_class"], method["frames_kept"], method["classifier"]["layers"]) == script[3:]
    assert (method["memory_mode"], method["prompt_mode"]) == ("task", "cross")
    assert method["static_matching_weight"] == method["temporal_matching_weight"] == method["retrieved_weight"] == 1.0
    assert method["classifier"]["dropout"] == method["classifier"]["drop_path"] == 0.2
    assert method["classifier"]["init_scale"] == 0.001
    assert method["rehearse_first_task"] is not ssv2
    assert (training.batch_size, training.learning_rate, training.weight_decay) == (24, 1e-3, 0.05)
    assert (training.min_learning_rate, training.beta1, training.beta2) == (1e-6, 0.9, 0.999)
    assert training.scale_learning_rate
    assert training.drop_last
    assert config.video.frames == 8
    augment = config.video.augment
    assert (augment.rand_augment_magnitude, augment.rand_augment_ops, augment.erase_probability) == (7, 4, 0.25)
    assert augment.horizontal_flip is not ssv2
    encoder = config.encoder
    assert (encoder.name, encoder.temporal_adapters) == ("clip-vit-b16", 2 if ssv2 else 0)
    assert encoder.mean == (0.485, 0.456, 0.406)
    assert encoder.std == (0.229, 0.224, 0.225)


@pytest.mark.parametrize("name", OWN)
def test_configs_for_own_data_differ_in_summary_and_method_alone(name: str) -> None:
    config, essential = load_config(name), load_config(OWN[1])
    assert config.summary == shipped_configs()[name]
    assert config.method.name == name.partition("/")[2].partition("-")[0]
    # Spectral reads no augmented view.
    fixed = {"summary": True, "method": True, "features": {"views"}}
    assert config.model_dump(exclude=fixed) == essential.model_dump(exclude=fixed)
    assert config.features.views == (0 if name == "own/spectral" else 4)
    assert (config.features.train_on, config.video.augment.horizontal_flip) == ("both", False)
    with pytest.raises(ConfigError, match="needs the folder of the videos"):
        config.data.require_places()


def test_a_method_with_a_shipped_config_beside_the_asked_one_is_as_it_is_there() -> None:
    joint = load_config("own/essential", method="joint")
    assert joint.method == load_config("own/joint").method
    assert joint.method.model_dump()["blend"]
    assert not load_config("vclimb/ucf101-10", method="joint").method.model_dump()["blend"]
    shared = load_config("own/essential", method="icarl").method.model_dump()["classifier"]
    assert (shared["heads"], shared["fewest_heads"]) == (None, 8)


@pytest.mark.parametrize("name", NAMES)
def test_every_config_of_the_embedded_benchmark_loads(name: str) -> None:
    config = load_config(name)
    assert config.summary == shipped_configs()[name]
    assert config.method.name == name.partition("/")[2].partition("-")[0]
    assert config.data.kind == "moving-digits"
    assert config.protocol.tasks == 6


def test_the_arms_differ_in_summary_and_method_alone() -> None:
    dumps = [load_config(name).model_dump(mode="json", exclude={"summary", "method"}) for name in NAMES]
    # Joint and finetune learn from clips alone, but on the same terms.
    assert all(dump == dumps[0] for dump in dumps)


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_config_saved_as_a_file_is_the_same_config(name: str, tmp_path: Path) -> None:
    assert load_config(str(_file(tmp_path, config_text(name)))) == load_config(name)


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("training.epochs=5", 5),
        ("training.learning_rate=0.5", 0.5),
        ("training.learning_rate=1e-3", 1e-3),
        ("training.learning_rate=2", 2.0),
        ("training.mixed_precision=false", False),
        ("training.mixed_precision=no", False),
        ("training.threads=null", None),
        ("training.device=cpu", "cpu"),
        ("video.augment.crop_scale=[0.25, 0.75]", (0.25, 0.75)),
        ("method.frames_kept=3", 3),
        ("method.classifier.layers=1", 1),
        ("data.root=/some/where", Path("/some/where")),
        ("data.root='with = and: and #'", Path("with = and: and #")),
        ("features.store=a=b", Path("a=b")),
        ('summary="5"', "5"),
        ("seed=7", 7),
        (" training.epochs =5", 5),
    ],
)
def test_overrides_are_read_as_yaml(override: str, expected: Any) -> None:
    value: Any = load_config(ESSENTIAL, [override])
    for part in override.partition("=")[0].strip().split("."):
        value = getattr(value, part)
    assert value == expected
    assert type(value) is type(expected) or isinstance(expected, Path)


def test_a_whole_section_can_be_given_and_the_last_override_wins() -> None:
    config = load_config(
        ESSENTIAL, ["method={name: replay, frames_kept: 4}", "method.frames_kept=5", "seed=1", "seed=2"]
    )
    assert (config.method.name, config.method.frames_kept, config.seed) == ("replay", 5, 2)  # type: ignore[union-attr]


def test_an_override_can_fill_a_section_that_the_file_lacks(tmp_path: Path) -> None:
    path = _file(tmp_path, "data: {kind: moving-digits}\nmethod: {name: finetune}")
    assert load_config(str(path), ["features.views=1", "data.moving_digits.digits=2"]).data.moving_digits.digits == 2


@pytest.mark.parametrize(
    ("override", "unknown", "hint", "known"),
    [
        ("training.epoch=3", "training.epoch", "epochs", "batch_size, "),
        ("method.frame_kept=2", "method.frame_kept", "frames_kept", "budget_bytes, classifier, "),
        ("method.classifier.head=2", "method.classifier.head", "heads", "drop_path, dropout, fewest_heads, "),
        (
            "data.moving_digit.digits=1",
            "data.moving_digit",
            "moving_digits",
            "annotations, kind, moving_digits, official_split, path, root, test_split, untrimmed",
        ),
        ("video.augment.crop_scal=1", "video.augment.crop_scal", "crop_scale", "crop_ratio, crop_scale"),
        ("encoder.nam=tiny", "encoder.nam", "name", "adapter_layers, arguments, "),
        ("features.view=1", "features.view", "views", "batch_clips, dtype, mode, "),
        ("trainin.epochs=3", "trainin", "training", "asked_for, data, encoder, features, "),
    ],
)
def test_an_unknown_key_is_told_with_the_nearest_and_all_known(
    override: str, unknown: str, hint: str, known: str
) -> None:
    message = _message(ESSENTIAL, override)
    assert f"config {ESSENTIAL}: unknown key {unknown!r} (did you mean {hint!r}?); known here: {known}" in message


def test_an_unknown_section_that_resembles_nothing() -> None:
    assert _message(ESSENTIAL, "qq.b.c=1") == f"config {ESSENTIAL}: unknown key 'qq'; {SECTIONS}"


def test_the_keys_of_another_method_are_unknown() -> None:
    message = _message(ESSENTIAL, "method.name=joint")
    for key in ("frames_kept", "exemplars_per_class"):
        assert f"method.{key}: the method 'joint' keeps no exemplars" in message
    assert "unknown key 'method.rehearsal_epochs'; known here: blend, classifier, name" in message


@pytest.mark.parametrize(
    ("override", "key", "value", "rule"),
    [
        ("training.epochs=0", "training.epochs", "0", "greater than or equal to 1"),
        ("training.epochs=abc", "training.epochs", "'abc'", "valid integer"),
        ("training.epochs=1.5", "training.epochs", "1.5", "valid integer"),
        ("training.epochs=", "training.epochs", "None", "valid integer"),
        ("training.epochs={a: 1}", "training.epochs", "{'a': 1}", "valid integer"),
        ("training.beta1=1", "training.beta1", "1", "less than 1"),
        ("training.learning_rate=.nan", "training.learning_rate", "nan", "finite number"),
        ("training.device=gpu", "training.device", "'gpu'", "'auto', 'cpu' or 'cuda'"),
        ("training.mixed_precision=maybe", "training.mixed_precision", "'maybe'", "boolean"),
        ("features.mode=strored", "features.mode", "'strored'", "'stored' or 'live'"),
        ("features.views=-1", "features.views", "-1", "greater than or equal to 0"),
        ("data.moving_digits.digits=11", "data.moving_digits.digits", "11", "less than or equal to 10"),
        ("data.moving_digits.size=33", "data.moving_digits.size", "33", "multiple of 2"),
        (
            "data.kind=foo",
            "data.kind",
            "'foo'",
            "no dataset is called 'foo'; known: moving-digits, folder, manifest, list, ucf101, hmdb51, ssv2, "
            "webdataset, features",
        ),
        ("method.frames_kept=0", "method.frames_kept", "0", "greater than or equal to 1"),
        ("method.classifier.heads=0", "method.classifier.heads", "0", "greater than or equal to 1"),
        ("method.memory_bits=3", "method.memory_bits", "3", "32, 16, 8, 4 or 2"),
        ("method.memory_mode=all", "method.memory_mode", "'all'", "'task', 'global' or 'identity'"),
        ("video.frames=1", "video.frames", "1", "greater than or equal to 2"),
        ("video.augment.crop_scale=[1.0,0.8]", "video.augment.crop_scale", "[1.0, 0.8]", "give [least, greatest]"),
        ("protocol.tasks=0", "protocol.tasks", "0", "greater than or equal to 1"),
        ("seed=-1", "seed", "-1", "greater than or equal to 0"),
    ],
)
def test_a_value_that_is_not_allowed_is_told_with_key_value_and_rule(
    override: str, key: str, value: str, rule: str
) -> None:
    message = _message(ESSENTIAL, override)
    assert message.startswith(f"config {ESSENTIAL}: {key}={value} is not allowed: ")
    assert rule in message


def test_a_broken_method_of_a_plug_in_is_told_by_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(METHODS._broken, "bad", "bad-package: it raised E")
    expected = "method.name='bad' cannot be used: bad-package: it raised E"
    assert _message(ESSENTIAL, "method.name=bad") == f"config {ESSENTIAL}: {expected}"
    assert "method.name='[1]' is unknown" in _message(ESSENTIAL, "method.name=[1]")


def test_an_unknown_method_is_told_with_the_nearest_and_all_known() -> None:
    known = ", ".join(METHODS)
    expected = f"method.name='esential' is unknown (did you mean 'essential'?); known: {known}"
    assert _message(ESSENTIAL, "method.name=esential") == f"config {ESSENTIAL}: {expected}"


@pytest.mark.parametrize("text", ["1e-3", "1E-3", "1.e-3", "+1.0e-3", "0.001"])
def test_a_number_may_be_written_with_an_exponent(text: str) -> None:
    settings = [
        "encoder.name=mobilenetv2_035",
        f"encoder.arguments={{bn_eps: {text}}}",
        f"training.learning_rate={text}",
    ]
    config = load_config(ESSENTIAL, settings)
    assert config.encoder.arguments == {"bn_eps": 0.001}
    assert config.training.learning_rate == 0.001


def test_several_slips_are_told_at_once() -> None:
    message = _message(ESSENTIAL, "training.epochs=0", "seed=-1")
    assert "training.epochs=0 is not allowed" in message
    assert "; seed=-1 is not allowed" in message


def test_a_kind_of_data_asks_for_its_place() -> None:
    for kind, expected in (
        ("folder", "needs the folder of the videos: -s data.root=DIR"),
        ("ucf101", "needs the folder of the videos: -s data.root=DIR"),
        ("manifest", "needs the list: -s data.path=FILE.csv"),
        ("list", r"needs the list: -s data.path=FILE.json \(`essential data import` makes it\)"),
        ("features", r"needs the store: -s data.path=STORE \(`essential features import` makes it\)"),
    ):
        with pytest.raises(ConfigError, match=f"data.kind={kind} {expected}"):
            load_config(ESSENTIAL, [f"data.kind={kind}"]).data.require_places()
    load_config(ESSENTIAL).data.require_places()
    assert load_config(ESSENTIAL, ["data.kind=folder", "data.root=here"]).data.root == Path("here")
    assert load_config(ESSENTIAL, ["data.kind=manifest", "data.path=x.csv"]).data.path == Path("x.csv")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("data: {}", "data.kind is missing; give it in the file or with -s data.kind=VALUE"),
        ("protocol: {tasks: 2}", "data is missing; give it in the file"),
        ("data: 3", "data=3 is not allowed: "),
        ("data: null", "data=None is not allowed: "),
        ("data: {kind: moving-digits}\nfoo: 1", f"unknown key 'foo'; {SECTIONS}"),
        (
            "data: {kind: moving-digits}\nmethod: {frames_kept: 2}",
            "method.name is missing; give it in the file or with",
        ),
        ("data: [", "is not valid YAML: while parsing a flow node"),
        ("data: !!python/object/apply:os.getcwd []", "is not valid YAML: could not determine a constructor"),
        ("\0", "is not valid YAML: "),
        ("[1, 2]", "holds list; it must hold sections such as `data:`"),
        ("", "holds NoneType; it must hold sections such as `data:`"),
    ],
)
def test_a_file_that_is_no_config(text: str, expected: str, tmp_path: Path) -> None:
    path = _file(tmp_path, text)
    message = _message(path)
    assert message.startswith(f"config {path}")
    assert expected in message


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    lists = "`essential configs` lists the configs that are shipped"
    assert _message(path) == f"there is no config file {path}; {lists}"
    path.write_bytes(b"\xff\xfe")
    assert _message(path).startswith(f"config {path} is not valid YAML: 'utf-8' codec can't decode")
    (tmp_path / "folder.yml").mkdir()
    assert _message(tmp_path / "folder.yml") == f"there is no config file {tmp_path / 'folder.yml'}; {lists}"


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("moving-digits/esential", " (did you mean 'moving-digits/essential'?)"),
        ("moving-digits/fine-tune", " (did you mean 'moving-digits/finetune'?)"),
        ("icral", " (did you mean 'icarl'?)"),
        ("qq", ""),
        ("", ""),
        ("../configs/moving-digits/joint", " (did you mean 'moving-digits/joint'?)"),
    ],
)
def test_an_unknown_name_is_told_with_the_nearest(name: str, hint: str) -> None:
    assert _message(name) == f"no config is called {name!r}{hint}; `essential configs` lists those that are shipped"
    with pytest.raises(ConfigError, match="no config is called"):
        config_text(name)


@pytest.mark.parametrize("override", ["training.epochs", "=3", ".=3", "training.=3", ".epochs=3", ""])
def test_an_override_that_is_no_setting(override: str) -> None:
    expected = f"override {override!r} is not of the form key.sub=value, such as training.epochs=5"
    assert _message(ESSENTIAL, override) == expected


@pytest.mark.parametrize("value", ["[", "{a", "'open", "!!python/object/apply:os.getcwd []", "a: b: c"])
def test_an_override_whose_value_is_not_yaml(value: str) -> None:
    override = f"summary={value}"
    message = _message(ESSENTIAL, override)
    assert message.startswith(f"override {override!r}: the value is not valid YAML (")
    assert message.endswith("); put text in quotes")
    assert "\n" not in message


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("[" * 3000 + "]" * 3000, "nested deeper than 50"),
        ("9" * 5000, "a number of 5,000 digits"),
        ("x" * 200_000, "more than 131,072 bytes"),
    ],
)
def test_what_is_too_deep_or_too_long_is_one_short_message(value: str, reason: str, tmp_path: Path) -> None:
    path = _file(tmp_path, f"seed: {value}")
    for message in (_message(path), _message(ESSENTIAL, f"training.epochs={value}")):
        assert reason in message
        assert len(message) < 500


@pytest.mark.parametrize(
    ("override", "reason"),
    [
        ("training.epochs=true", "the setting is not a boolean"),
        ("training.learning_rate=yes", "the setting is not a boolean"),
        ("features.workers=false", "the setting is not a boolean"),
        ("training.batch_size=1" + "0" * 30, "1,000,000,000,000,000,000 at most"),
        ("seed=-1" + "0" * 30, "greater than or equal to 0"),
        ("features.workers=4000", "less than or equal to 512"),
        ("training.threads=1000000000", "less than or equal to 1024"),
    ],
)
def test_a_value_that_no_machine_can_use(override: str, reason: str) -> None:
    assert reason in _message(ESSENTIAL, override)


def test_an_override_into_a_value() -> None:
    expected = "override 'training.epochs.x=3': 'epochs' is a value, not a section"
    assert _message(ESSENTIAL, "training.epochs.x=3") == expected


def test_another_method_takes_the_settings_that_all_share_and_keeps_its_own() -> None:
    protocol = load_config("tcd/ssv2-10x9").method.model_dump()
    icarl = load_config("tcd/ssv2-10x9", method="icarl").method.model_dump()
    assert icarl["name"] == "icarl"
    assert icarl["classifier"] == protocol["classifier"]
    assert icarl["exemplars_per_class"] == protocol["exemplars_per_class"] == 4
    assert (protocol["frames_kept"], icarl["frames_kept"]) == (4, None)
    assert load_config("tcd/ssv2-10x9", method="essential").method.model_dump() == protocol
    around = load_config("tcd/ssv2-10x9", method="icarl-tc").method.model_dump()
    assert around["base"]["exemplars_per_class"] == 4
    assert load_config("tcd/ssv2-10x9", ["method.margin=0.1"], method="ucir").method.model_dump()["margin"] == 0.1


def test_a_method_around_another_gives_on_what_all_share(tmp_path: Path) -> None:
    path = _file(
        tmp_path,
        "data: {kind: moving-digits}\nprotocol: {tasks: 6}\nmethod:\n  name: temporal-consistency\n"
        "  base: {name: icarl, frames_kept: 2, exemplars_per_class: 3, classifier: {heads: 8}}\n",
    )
    replay = load_config(str(path), method="replay").method.model_dump()
    assert (replay["exemplars_per_class"], replay["classifier"]["heads"]) == (3, 8)


def test_settings_of_the_method_inside_another_are_named_with_base() -> None:
    with pytest.raises(ConfigError, match=r"unknown key 'method\.frames_kept': .* try method\.base\.frames_kept"):
        load_config(ESSENTIAL, ["method.frames_kept=4"], method="icarl-tc")
    with pytest.raises(ConfigError, match=r"method\.base\.frames_kept=0 is not allowed"):
        load_config(ESSENTIAL, ["method.base.frames_kept=0"], method="icarl-tc")


def test_a_method_alone_is_no_config_and_can_be_shown() -> None:
    with pytest.raises(ConfigError, match=r"^icarl holds a method and no data; .* --method icarl"):
        load_config("icarl")
    assert config_text("icarl") == config_text("methods/icarl")
    assert "icarl" not in shipped_configs()
    assert all(len(summary) > 20 for summary in shipped_methods().values())


def test_a_users_file_in_a_folder_called_own_is_no_shipped_config(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("own").mkdir()
    Path("own/mine.yaml").write_text(
        "data: {kind: folder}\nencoder: {name: tiny}\nmethod: {name: finetune, classifier: {layers: 3}}\n"
    )
    method = load_config("own/mine.yaml", method="joint").method
    assert isinstance(method, JointConfig)
    assert method.classifier.layers == 3
    assert not method.blend
