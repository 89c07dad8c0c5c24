"""`essential data import` and `essential data audit`."""

import pickle
import re
from pathlib import Path
from typing import Any

import pytest

from essential.protocols.audit import findings
from essential.protocols.video_list import read_video_list
from in_process import Essential

PUBLISHED: dict[str, Any] = {
    "train": [{"run": ["v_run_g01_c01", "v_run_g01_c02"], "[b]jump": ["v_jump_g01_c01"]}, {"dive": ["v_dive_g05_c01"]}],
    "test": [{"run": ["v_run_g01_c03"], "[b]jump": ["v_jump_g03_c01"]}, {"dive": ["v_dive_g05_c02"]}],
}


@pytest.fixture
def published(tmp_path: Path) -> Path:
    path = tmp_path / "list.pkl"
    path.write_bytes(pickle.dumps(PUBLISHED))
    return path


def _rows(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines() if re.fullmatch(r"(\d+|all)( +\d+)+ *", line)]


def test_a_pickle_becomes_a_list_of_ours(published: Path, essential: Essential) -> None:
    out = published.parent / "new" / "list.json"
    outcome = essential("data", "import", published, "--out", out)
    assert outcome.code == 0, outcome.err
    assert _rows(outcome.out) == [["1", "2", "3", "2"], ["2", "1", "1", "1"], ["all", "3", "4", "3"]]
    found = read_video_list(out)
    assert outcome.out.endswith(f"sha256: {found.sha256}\nlist: {out}\n")
    assert found.groups == (("run", "[b]jump"), ("dive",))
    # Again from our own file, over itself: the same bytes.
    first = out.read_bytes()
    assert essential("data", "import", out, "--out", out).out == outcome.out.replace(str(published), str(out))
    assert out.read_bytes() == first


def test_what_is_odd_is_noted_at_import(tmp_path: Path, essential: Essential) -> None:
    late = {"filename": "v", "t_start": "9", "t_end": "9", "video_duration": "8"}
    path = tmp_path / "list.pkl"
    path.write_bytes(pickle.dumps({"train": [{"run": ["a", "a", "a"]}], "val": [{"run": [late]}]}))
    outcome = essential("data", "import", path, "--out", tmp_path / "list.json")
    assert outcome.code == 0
    assert [line for line in outcome.out.splitlines() if line.startswith("note: ")] == [
        "note: train: entries that repeat one of the same class (the same one up to 3 times): 2",
        "note: val: segments that end where they start, without a frame: 1",
        "note: val: segments that start at or behind the end of their video, without a frame: 1",
        "note: val: segments that end more than 0.05 s behind the end of their video: 1",
    ]


@pytest.mark.parametrize("kind", ["folder", "text", "json", "pickle"])
def test_another_file_is_not_replaced(kind: str, published: Path, essential: Essential) -> None:
    out = published.parent / "mine"
    contents = {"text": b"notes", "json": b'{"format": "another"}', "pickle": published.read_bytes()}
    if kind == "folder":
        out.mkdir()
    else:
        out.write_bytes(contents[kind])
    outcome = essential("data", "import", published, "--out", out)
    assert outcome.code == 2
    expected = "is a folder; give the name of a file" if kind == "folder" else "exists and is no video list of ours"
    assert f"error: --out {out} {expected}" in outcome.err
    assert out.is_dir() or out.read_bytes() == contents[kind]


def test_a_list_is_not_imported_over_the_pickle_it_comes_from(published: Path, essential: Essential) -> None:
    before = published.read_bytes()
    assert essential("data", "import", published, "--out", published).code == 2
    assert published.read_bytes() == before


@pytest.mark.parametrize("command", ["import", "audit"])
def test_input_that_cannot_be_read(command: str, tmp_path: Path, essential: Essential) -> None:
    options = ["--out", tmp_path / "out.json"] if command == "import" else []
    for path, expected in [(tmp_path / "none.pkl", "does not exist"), (tmp_path, "cannot be read: Is a directory")]:
        outcome = essential("data", command, path, *options)
        assert outcome.code == 2
        assert outcome.err.startswith(f"error: the list {path} {expected}")
    (tmp_path / "x.pkl").write_bytes(b"cos\nsystem\n(S'touch ran'\ntR.")
    outcome = essential("data", command, tmp_path / "x.pkl", *options)
    assert outcome.code == 2
    assert "x.pkl: the opcode GLOBAL asks for the global 'os.system' (at byte 0); nothing of it was run" in outcome.err
    assert list(tmp_path.iterdir()) == [tmp_path / "x.pkl"]


def test_an_audit_of_either_file(published: Path, essential: Essential) -> None:
    out = published.parent / "list.json"
    essential("data", "import", published, "--out", out)
    expected = [f"- {finding}" for finding in findings(read_video_list(out).tasks)]
    assert "- training entries per class: from 1 ([b]jump) to 2 (run), 2.0 times as many" in expected
    for path in (published, out):
        outcome = essential("data", "audit", path)
        assert outcome.code == 0
        assert outcome.out.startswith(f"{path}\n")
        assert [line for line in outcome.out.splitlines() if line.startswith("- ")] == expected


def test_an_audit_of_what_import_refuses(tmp_path: Path, essential: Essential) -> None:
    path = tmp_path / "list.pkl"
    content = {"train": [{"run": ["a"]}, {"run": ["b"]}], "val": [{"run": ["a"]}, {"run": []}]}
    path.write_bytes(pickle.dumps(content))
    refused = essential("data", "import", path, "--out", tmp_path / "list.json")
    assert refused.code == 2
    assert not (tmp_path / "list.json").exists()
    outcome = essential("data", "audit", path)
    assert outcome.code == 0
    lines = outcome.out.splitlines()
    assert "- classes: 'run' is in the tasks 1, 2; a class should arrive once" in lines
    assert "- splits: 1 videos are in both train and val: 'a'" in lines
    assert "- classes per task: 1 in each" in lines
    assert lines[-1] == "no run can use this list: " + refused.err.removeprefix("error: ").rstrip()


def test_an_audit_of_an_empty_pickle(tmp_path: Path, essential: Essential) -> None:
    path = tmp_path / "list.pkl"
    path.write_bytes(pickle.dumps({}))
    outcome = essential("data", "audit", path)
    assert outcome.code == 0, outcome.err
    assert "has no task" in outcome.out
