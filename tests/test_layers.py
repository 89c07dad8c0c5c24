"""The layers of the library: a file imports only what stands below it. Read from the sources, nothing is imported."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import essential

ROOT = Path(essential.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))
LAYERS: tuple[tuple[str, ...], ...] = (
    ("version", "errors", "extras", "nested", "seeding", "shown", "progress", "registry"),
    ("child_process", "files"),
    ("configs", "metrics", "products", "remote", "seeded"),
    ("protocols", "published"),
    ("records",),
    ("video", "results"),
    ("encoders", "spans"),
    ("features",),
    ("memory", "models"),
    ("methods",),
    ("engine", "report"),
    ("analysis", "site", "tracking"),
    ("api",),
    ("learner", "authors", "contract"),
    ("export", "serve", "sklearn"),
    ("cli",),
    ("__main__",),
)
BOTTOM = frozenset(LAYERS[0] + LAYERS[1])
LEVELS = {name: level for level, names in enumerate(LAYERS) for name in names}
WITHOUT_TORCH = BOTTOM | {
    "protocols",
    "metrics",
    "records",
    "published",
    "remote",
    "results",
    "report",
    "site",
    "spans",
}


def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def _part(path: Path) -> str:
    """Return the package or file right below `essential` that a source belongs to; empty for `essential` itself."""
    first = path.relative_to(ROOT).parts[0].removesuffix(".py")
    return "" if first == "__init__" else first


def _imports(nodes: Iterator[ast.AST] | list[ast.stmt]) -> Iterator[tuple[int, str]]:
    """Give (line, module) of every import; `from essential import config` counts as `essential.engine.config`."""
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: a relative import; name the module in full"
            assert node.module is not None
            yield from ((node.lineno, module) for module in _modules(node.module, node.names))


def _modules(module: str, names: list[ast.alias]) -> list[str]:
    """Return the modules that a `from` import reads: those of the names that are modules, and its own."""
    folder = ROOT.parent.joinpath(*module.split("."))
    below = [f"{module}.{a.name}" for a in names if (folder / f"{a.name}.py").exists() or (folder / a.name).is_dir()]
    return below if module == "essential" else [module, *below]


def _own_imports(path: Path) -> list[tuple[int, str]]:
    return [(line, name) for line, name in _imports(ast.walk(_tree(path))) if name.split(".")[0] == "essential"]


def _upward(path: Path) -> list[str]:
    part = _part(path)
    found = []
    for line, module in _own_imports(path):
        target = module.split(".")[1] if "." in module else ""
        if target in ("", part):
            continue
        beside = LEVELS[target] == LEVELS[part] and part not in BOTTOM
        if LEVELS[target] > LEVELS[part] or beside:
            found.append(f"{path.relative_to(ROOT)}:{line} imports {module}")
    return found


def test_every_file_is_walked_and_has_a_layer() -> None:
    assert len(FILES) >= 70
    parts = {_part(path) for path in FILES}
    assert parts - {""} <= LEVELS.keys()
    assert parts >= {
        "cli",
        "configs",
        "engine",
        "report",
        "methods",
        "memory",
        "models",
        "features",
        "encoders",
        "video",
    }
    assert sum(len(_own_imports(path)) for path in FILES) >= 150


def test_no_import_goes_up_or_sideways() -> None:
    problems = [problem for path in FILES if _part(path) for problem in _upward(path)]
    assert problems == []


def test_the_package_itself_imports_nothing_when_it_is_imported() -> None:
    body = _tree(ROOT / "__init__.py").body
    at_once = [name for _, name in _imports([node for node in body if isinstance(node, ast.Import | ast.ImportFrom)])]
    assert at_once == ["typing", "essential.version"]


def test_reports_are_made_from_records_and_published_figures_alone() -> None:
    allowed = BOTTOM | {"report", "results", "records", "metrics", "published"}
    files = [path for path in FILES if _part(path) == "report"]
    assert len(files) >= 5
    problems = [
        f"{path.name}:{line} imports {module}"
        for path in files
        for line, module in _own_imports(path)
        if module.split(".")[1] not in allowed
    ]
    assert problems == []


def test_a_site_is_made_from_records_published_figures_and_what_reports_share() -> None:
    allowed = BOTTOM | {"site", "report", "results", "records", "metrics", "published", "configs"}
    files = [path for path in FILES if _part(path) == "site"]
    assert len(files) >= 5
    modules = {(path.name, module) for path in files for _, module in _own_imports(path)}
    assert [(name, module) for name, module in sorted(modules) if module.split(".")[1] not in allowed] == []


def test_the_engine_names_no_method() -> None:
    allowed = {f"essential.methods{part}" for part in ("", ".contract", ".exemplars", ".state")}
    files = [path for path in FILES if _part(path) == "engine"]
    assert len(files) >= 7
    imported = {module for path in files for _, module in _own_imports(path) if module.startswith("essential.methods")}
    assert imported <= allowed
    assert "essential.methods" in imported


def test_light_files_never_import_torch() -> None:
    files = [path for path in FILES if _part(path) in WITHOUT_TORCH]
    assert len(files) >= 20
    problems = [
        f"{path.relative_to(ROOT)}:{line} imports {module}"
        for path in files
        for line, module in _imports(ast.walk(_tree(path)))
        if module.split(".")[0] in {"torch", "torchvision", "timm"}
    ]
    assert problems == []


def test_commands_import_nothing_heavy_before_they_run() -> None:
    heavy = {"torch", "torchvision", "timm", "numpy", "matplotlib", "scipy", "sklearn", "av"}
    files = [path for path in FILES if _part(path) == "cli"]
    assert len(files) >= 10
    problems = [
        f"{path.name}:{line} imports {module}"
        for path in files
        for line, module in _imports(_tree(path).body)
        if module.split(".")[0] in heavy or module.startswith(("essential.engine", "essential.engine.config"))
    ]
    assert problems == []


def _prints(path: Path) -> list[int]:
    calls = [node for node in ast.walk(_tree(path)) if isinstance(node, ast.Call)]
    return [call.lineno for call in calls if isinstance(call.func, ast.Name) and call.func.id == "print"]


def test_only_the_command_line_prints() -> None:
    assert {
        str(path.relative_to(ROOT)): _prints(path) for path in FILES if _part(path) != "cli" and _prints(path)
    } == {}


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("models/made_up.py", "from essential.methods import build_method"),
        ("records.py", "def f():\n    import essential.engine.run"),
        ("report/made_up.py", "from essential.engine.run import train"),
        ("memory/made_up.py", "from essential.models.classifier import Predictor"),
        ("errors.py", "from essential import configs"),
    ],
)
def test_the_check_itself_finds_what_is_wrong(
    file: str, line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for part in ("methods", "engine", "models"):
        (tmp_path / "essential" / part).mkdir(parents=True)
    (tmp_path / "essential" / "configs").mkdir()
    monkeypatch.setattr("test_layers.ROOT", tmp_path / "essential")
    path = tmp_path / "essential" / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(line + "\n")
    assert len(_upward(path)) == 1
