"""Packages that bring plug-ins, made by a test as `pip` would leave them in a folder of `sys.path`."""

from collections.abc import Mapping
from pathlib import Path


def make_plugin(
    folder: Path,
    name: str,
    entry_points: Mapping[str, Mapping[str, str]] | str,
    *,
    modules: Mapping[str, str] | None = None,
    requires: str | None = None,
) -> Path:
    """Install a package into `folder`.

    Args:
        folder: to be on `sys.path`.
        name: of the package.
        entry_points: `module:attribute` by name, by group; or the text of their file.
        modules: the source of each module.
        requires: a requirement of the package.
    """
    information = folder / f"{name.replace('-', '_')}-1.0.dist-info"
    information.mkdir(parents=True)
    lines = [f"Requires-Dist: {requires}"] if requires else []
    (information / "METADATA").write_text("\n".join(["Metadata-Version: 2.1", f"Name: {name}", "Version: 1.0", *lines]))
    if not isinstance(entry_points, str):
        groups = [
            "\n".join([f"[{group}]", *(f"{key} = {value}" for key, value in named.items())])
            for group, named in entry_points.items()
        ]
        entry_points = "\n\n".join(groups)
    (information / "entry_points.txt").write_text(entry_points + "\n")
    for module, source in (modules or {}).items():
        (folder / f"{module}.py").write_text(source)
    return folder
