"""What a plug-in has to be to be a method, and how configs know it."""

import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from essential import methods
from essential.errors import ConfigError
from essential.methods import MethodConfig, method_section, method_summaries, settings_text
from essential.methods.bounds import Finetune, FinetuneConfig
from essential.methods.contract import Method
from essential.registry import Registry
from made_plugins import make_plugin

GROUP = "essential.methods"
GOOD = '''"""Mine (2026): a method.

More of it.
"""
from typing import Literal
from essential.methods.contract import Method
from essential.methods.bounds import Finetune
from essential.methods.trained import TrainedConfig

class MineConfig(TrainedConfig):
    name: Literal["mine"] = "mine"

class Mine(Finetune):
    Config = MineConfig
'''


@pytest.fixture
def found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry[Any]:
    """Return the registry as it would be with the package `mine` installed."""
    make_plugin(tmp_path / "site", "mine", {GROUP: {"mine": "mine:Mine"}}, modules={"mine": GOOD})
    monkeypatch.syspath_prepend(tmp_path / "site")
    monkeypatch.delitem(sys.modules, "mine", raising=False)
    registry: Registry[Any] = Registry(GROUP, methods.METHODS.built_in, fault=methods._fault)
    monkeypatch.setattr(methods, "METHODS", registry)
    return registry


def test_a_plugins_settings_are_checked_as_ours_are(found: Registry[Any]) -> None:
    config = TypeAdapter(MethodConfig).validate_python({"name": "mine", "classifier": {"heads": 4}})
    assert config.model_dump()["classifier"]["heads"] == 4
    with pytest.raises(ValidationError, match="extra_forbidden"):
        TypeAdapter(MethodConfig).validate_python({"name": "mine", "no_such": 4})
    method = methods.build_method(config, dim=24, frames=8, seed=0)
    assert type(method) is found["mine"]


@pytest.mark.usefixtures("found")
def test_a_plugin_is_listed_by_the_first_line_of_its_file_and_shown_as_a_config() -> None:
    assert [*method_summaries()][-1] == "mine"
    assert method_summaries()["mine"] == "Mine (2026): a method."
    assert method_section("mine") == {"name": "mine"}
    assert settings_text("mine") == "summary: 'Mine (2026): a method.'\nmethod:\n  name: mine\n"
    assert settings_text("icarl").startswith("summary: ")
    with pytest.raises(ConfigError, match=r"no method is called 'mime' \(did you mean 'mine'\?\)"):
        method_section("mime")


@pytest.mark.usefixtures("found")
def test_a_broken_plugin_is_told_by_its_reason_whenever_it_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_plugin(tmp_path / "more", "bad", {GROUP: {"bad": "math:pi"}})
    monkeypatch.syspath_prepend(tmp_path / "more")
    for _ in range(2):
        with pytest.raises(ConfigError, match="the method 'bad' cannot be used: bad: it is no class derived from"):
            method_section("bad")
    assert "bad" not in method_summaries()


def test_a_plugin_whose_file_cannot_be_found_is_listed_without_a_summary(
    found: Registry[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(found["mine"], "__module__", "gone")
    assert method_summaries()["mine"] == ""


class _WithoutConfig(Finetune):
    Config = None  # type: ignore[assignment]


class _Abstract(Method):
    Config = FinetuneConfig


@pytest.mark.parametrize(
    ("name", "plugin", "fault"),
    [
        ("finetune", Finetune, "the name is taken, essential ships settings 'finetune'"),
        ("replay-sparse", Finetune, "the name is taken, essential ships settings 'replay-sparse'"),
        ("other", Finetune, 'its Config has to be a Section with the field `name: Literal["other"] = "other"`'),
        ("other", _WithoutConfig, 'its Config has to be a Section with the field `name: Literal["other"] = "other"`'),
        ("other", _Abstract, "_Abstract does not define begin"),
        ("other", FinetuneConfig, "it is no class derived from essential.methods.contract.Method"),
        ("other", Finetune(FinetuneConfig(), dim=24, frames=8, seed=0), "it is no class derived from"),
    ],
)
def test_what_is_no_method_or_has_a_taken_name_is_refused(name: str, plugin: Any, fault: str) -> None:
    assert str(methods._fault(name, plugin)).startswith(fault)
