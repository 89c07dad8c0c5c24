"""Plug-ins: found by entry points, imported when asked for, and left out by name when they are broken."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from essential import __version__
from essential.errors import ConfigError
from essential.registry import Registry, broken_so_far
from made_plugins import make_plugin

GROUP = "essential.made_up_things"
BUILT_IN = {"second": "math:tau", "first": "math:pi"}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder, before = tmp_path / "site", {*sys.modules}
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    yield folder
    for name in {*sys.modules} - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(folder)):
            del sys.modules[name]


def registry(**settings: Any) -> Registry[Any]:
    return Registry(GROUP, BUILT_IN, **settings)


def test_plugins_follow_the_built_in_ones_by_name(folder: Path) -> None:
    make_plugin(folder, "b-package", {GROUP: {"zebra": "of_b:a"}}, modules={"of_b": "a = 1"})
    make_plugin(folder, "a-package", {GROUP: {"ant": "of_a:b.imag"}, "other": {"x": "y"}}, modules={"of_a": "b = 2j"})
    found = registry()
    assert found.names() == ["second", "first", "ant", "zebra"]
    assert found.plugins() == ["ant", "zebra"]
    assert not {"of_a", "of_b"} & sys.modules.keys()
    assert found.load("ant") == 2
    assert "of_a" in sys.modules
    assert "of_b" not in sys.modules
    assert {**found} == {"second": 6.283185307179586, "first": 3.141592653589793, "ant": 2.0, "zebra": 1}
    assert (len(found), found.get("zebra"), found.get("yak"), "yak" in found, "ant" in found) == (
        4,
        1,
        None,
        False,
        True,
    )
    assert found.broken() == {}


def test_an_unknown_name_is_told_with_the_nearest_and_the_known_ones(folder: Path) -> None:
    make_plugin(folder, "a-package", {GROUP: {"third": "of_a:b"}}, modules={"of_a": "b = 2"})
    with pytest.raises(
        ConfigError,
        match=r"no made_up_thing is called 'thirt' \(did you mean 'third'\?\); known: second, first, third$",
    ):
        registry().load("thirt")


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("raise OSError('no card\\n\\x1b[2J')", "it:thing raised OSError: no card \N{REPLACEMENT CHARACTER}[2J"),
        ("import no_such_module_at_all", "raised ModuleNotFoundError: No module named 'no_such_module_at_all'"),
        ("import sys\nsys.exit(3)", "raised SystemExit: 3"),
        ("x = 1", "raised AttributeError: module 'it' has no attribute 'thing'"),
        ("class E(BaseException): pass\nraise E('of its own')", "raised E: of its own"),
        (
            "class E(Exception):\n    def __str__(self): raise self\nraise E",
            "raised E: its message cannot be read",
        ),
        ("class E(BaseException):\n    __str__ = None\nraise E", "raised E: its message cannot be read"),
        ("def", "raised SyntaxError: invalid syntax (it.py, line 1)"),
        ("thing = 'text'", "'odd' is str, not int"),
    ],
)
def test_a_broken_plugin_is_named_and_left_out(folder: Path, source: str, reason: str) -> None:
    make_plugin(folder, "broken-package", {GROUP: {"odd": "it:thing"}}, modules={"it": source})
    make_plugin(folder, "good-package", {GROUP: {"good": "good:thing"}}, modules={"good": "thing = 1"})
    found = registry(
        fault=lambda name, it: None if isinstance(it, int) else f"{name!r} is {type(it).__name__}, not int"
    )
    assert [*found] == ["second", "first", "good"]
    assert [*found.broken()] == ["odd"]
    assert found.broken()["odd"].startswith("broken-package: ")
    assert found.broken()["odd"].endswith(reason)
    assert broken_so_far() == {f"{GROUP} odd": found.broken()["odd"]}
    assert found.names() == ["second", "first", "good"]
    with pytest.raises(ConfigError, match="the made_up_thing 'odd' cannot be used: broken-package: "):
        found.load("odd")


def test_a_name_of_several_packages_is_nobodys_and_that_of_a_built_in_one_its_own(folder: Path) -> None:
    for package in ("b-package", "a-package"):
        make_plugin(folder, package, {GROUP: {"both": "of:a", "first": "of:a"}}, modules={"of": "a = 1"})
    found = registry()
    assert {**found} == {"second": 6.283185307179586, "first": 3.141592653589793}
    assert found.broken() == {
        "both": "a-package and b-package: the name is taken, several packages have it; keep one of them",
        "first": "a-package and b-package: the name is taken, essential has its own 'first'",
    }
    assert "of" not in sys.modules


@pytest.mark.parametrize(
    ("requires", "fits"),
    [
        (f"essential-video>={__version__}", True),
        ("Essential_Video (<9000)", True),
        ("essential-video>=9000", False),
        ("essential-video>=9000; extra == 'later'", True),
        ("numpy>=9000", True),
    ],
)
def test_a_plugin_says_by_its_requirement_for_which_versions_it_is(folder: Path, requires: str, fits: bool) -> None:
    make_plugin(folder, "a-package", {GROUP: {"it": "of:a"}}, modules={"of": "a = 1"}, requires=requires)
    wrong = f"a-package: of a wrong version: it is for essential-video >=9000, and this is {__version__}"
    assert registry().broken() == ({} if fits else {"it": wrong})
    assert ("of" in sys.modules) == fits


def test_a_list_of_entry_points_that_cannot_be_read_is_named(folder: Path) -> None:
    make_plugin(folder, "bad-list", f"[{GROUP}]\nno value here\n")
    make_plugin(folder, "other-list", "[something]\nno value here\n")
    make_plugin(folder, "good", {GROUP: {"it": "of:a"}}, modules={"of": "a = 1"})
    found = registry()
    assert found.names() == ["second", "first", "it"]
    assert found.broken() == {"bad-list": "bad-list: its list of entry points cannot be read"}


def test_the_first_of_two_installations_of_a_package_is_used(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    older = make_plugin(tmp_path / "older", "a-package", {GROUP: {"it": "of:a"}}, modules={"of": "a = 1"})
    make_plugin(folder, "a-package", {GROUP: {"it": "of:a"}}, modules={"of": "a = 2"})
    monkeypatch.setattr(sys, "path", [*sys.path, str(older)])
    assert registry().load("it") == 2


def test_a_plugin_may_ask_for_all_names_while_it_is_imported(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = "import of_b, sys\nseen = sys.modules['registry_of_a_test'].found\na = ([*seen], seen.broken())"
    make_plugin(folder, "a-package", {GROUP: {"a": "of_a:a", "b": "of_b:b"}}, modules={"of_a": source, "of_b": "b = 1"})
    found = registry()
    monkeypatch.setitem(sys.modules, "registry_of_a_test", SimpleNamespace(found=found))
    assert found.load("a") == (["second", "first", "b"], {})
    assert [*found] == ["second", "first", "a", "b"]
    assert found.broken() == {}


def test_ctrl_c_while_a_plugin_is_imported_stops_the_command(folder: Path) -> None:
    make_plugin(folder, "a-package", {GROUP: {"it": "of:a"}}, modules={"of": "raise KeyboardInterrupt"})
    with pytest.raises(KeyboardInterrupt):
        registry().load("it")


@pytest.mark.parametrize("entries", [{"other": {"x": "y"}}, {GROUP: {"new": "of:a"}}, f"[{GROUP}]\nno value here\n"])
def test_a_package_that_another_installation_hides_has_no_plugins(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, entries: Any
) -> None:
    make_plugin(folder, "Spell-Me", entries, modules={"of": "a = 2"})
    hidden = make_plugin(tmp_path / "hidden", "spell_me", {GROUP: {"it": "of:a"}})
    damaged = make_plugin(tmp_path / "damaged", "spell.me", f"[{GROUP}]\nno value here\n")
    monkeypatch.setattr(sys, "path", [*sys.path, str(hidden), str(damaged)])
    found = registry()
    assert found.plugins() == (["new"] if GROUP in entries and isinstance(entries, dict) else [])
    unreadable = {"Spell-Me": "Spell-Me: its list of entry points cannot be read"}
    assert found.broken() == (unreadable if isinstance(entries, str) else {})


def test_packages_without_a_name_do_not_hide_each_other(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    second = tmp_path / "second"
    for where, name in ((folder, "first-one"), (second, "second-one")):
        make_plugin(where, name, {GROUP: {name: "math:e"}})
        next(where.glob("*.dist-info/METADATA")).unlink()
    monkeypatch.setattr(sys, "path", [*sys.path, str(second)])
    assert registry().plugins() == ["first-one", "second-one"]


def test_a_fault_of_our_own_is_not_hidden() -> None:
    with pytest.raises(ModuleNotFoundError):
        Registry(GROUP, {"first": "essential.no_such_module:x"}).load("first")


def test_nothing_is_looked_for_before_it_is_asked_for() -> None:
    program = (
        "import sys; from essential.registry import Registry; r = Registry('g', {'pi': 'math:pi'});"
        "assert 'importlib.metadata' not in sys.modules; r['pi']; assert 'packaging' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
