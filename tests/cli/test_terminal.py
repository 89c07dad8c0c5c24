"""What names of strangers do to a terminal or a spreadsheet: nothing."""

import ast
import json
import warnings
from pathlib import Path

import pytest
from rich.table import Table

import essential.cli
from essential.cli.answers import SPAN_COLUMNS, Format, printer
from essential.cli.console import Terminal
from essential.cli.progress_bar import BarProgress, LineProgress
from essential.cli.terminal import say, show_harmless_warnings
from essential.learner.prediction import Prediction, Scored, Span
from essential.protocols.protocol import Segment
from essential.shown import plain_cell, printable, printable_json
from in_process import Essential

STEERING = "\x1b]0;x\x07\x9b\x85\u202e\u2066\u200f\u061c\u2028\U000e0041"
NAME = f"a{STEERING}b"


def _harmless(text: str) -> bool:
    return all(one.isprintable() or one in "\n\u200d" for one in text)


def test_what_is_shown_of_text() -> None:
    assert _harmless(printable(NAME))
    assert printable("tab\tline\n") == "tab\ufffdline\ufffd"
    plain = "Škoda 走る بَدَأ \u3000 \U0001f468\u200d\U0001f469\u200d\U0001f467 क\u094d\u200cष"
    assert printable(plain) == plain


def test_json_keeps_its_meaning() -> None:
    text = printable_json(json.dumps({"path": NAME}, ensure_ascii=False))
    assert _harmless(text)
    assert json.loads(text) == {"path": NAME}
    assert "\\u202e" in text


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_no_cell_is_a_formula(start: str) -> None:
    assert plain_cell(f"{start}1+1") == f"'{start}1+1"
    assert plain_cell("1+1") == "1+1"
    assert plain_cell(-1) == -1


def test_lines_tables_and_progress(capsys: pytest.CaptureFixture[str]) -> None:
    say(f"error: {NAME}\nsecond", err=True)
    progress = LineProgress()
    progress.start(NAME, 1)
    progress.advance(1, NAME)
    progress.say(NAME)
    progress.finish()
    table = Table(f"[bold] :smile: {NAME}", title=NAME)
    table.add_row(f"[/x] {NAME}")
    Terminal(width=200).print(table)
    Terminal(width=200).print(NAME)
    captured = capsys.readouterr()
    assert "[bold] :smile: a" in captured.out
    assert "[/x] a" in captured.out
    assert _harmless(captured.out + captured.err)
    assert captured.err.count("\ufffd") >= 15
    assert captured.out.count("\ufffd") >= 15
    assert "\nsecond\n" in captured.err


def test_a_bar_moves_by_its_own_controls_alone(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    progress = BarProgress()
    progress.start(f"read{NAME}", 2)
    progress.advance(1, NAME)
    progress.finish()
    shown = capsys.readouterr().err
    assert "\x1b[" in shown
    assert "\x1b]" not in shown
    assert not set(STEERING[5:]) & set(shown)


@pytest.mark.parametrize("form", ["table", "jsonl", "csv"])
def test_predictions_in_every_format(form: Format, capsys: pytest.CaptureFixture[str]) -> None:
    path = Path(f"={NAME}.mp4")
    with printer(form, SPAN_COLUMNS) as show:
        show(Prediction(path, (Scored(f"@{NAME}", 0.5),)))
        show(Prediction(path, error=f"-{NAME}"))
        show(Span(path, Segment(0, 1), Scored(f"+{NAME}", 0.5)))
    out = capsys.readouterr().out
    assert _harmless(out)
    if form == "jsonl":
        assert [json.loads(line)["path"] for line in out.splitlines()] == [str(path)] * 3
    if form == "csv":
        cells = [cell for line in out.splitlines()[1:] for cell in line.split(",")]
        assert sum(cell.startswith("'") for cell in cells) == 6
        assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@"))]


def test_an_error_that_names_a_file(essential: Essential, tmp_path: Path) -> None:
    outcome = essential("classes", tmp_path / NAME)
    assert outcome.code == 2
    assert outcome.err.startswith("error: there is no bundle ")
    assert _harmless(outcome.err)


@pytest.mark.parametrize(
    "arguments",
    [("demo", NAME), (f"--{NAME}",), (NAME,), ("data", "make", NAME, "--out", "x")],
)
def test_wrong_usage_that_names_a_value(arguments: tuple[str, ...], essential: Essential) -> None:
    outcome = essential(*arguments)
    assert outcome.code == 2
    assert "a\ufffd" in outcome.err or r"a\x1b" in outcome.err
    assert _harmless(outcome.err)


def test_a_warning_that_names_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warnings, "formatwarning", warnings.formatwarning)
    show_harmless_warnings()
    shown = warnings.formatwarning(NAME, UserWarning, "f.py", 1)
    assert shown.startswith("f.py:1: UserWarning: a\ufffd")
    assert _harmless(shown)


def test_nothing_in_the_command_line_prints_past_the_border() -> None:
    folder = Path(essential.cli.__file__).parent
    files = [path for path in sorted(folder.glob("*.py")) if path.name not in ("terminal.py", "console.py")]
    assert len(files) >= 20
    found = []
    for path in files:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func).rpartition(".")[2]
                found += [f"{path.name}:{node.lineno} {called}"] if called in ("echo", "secho", "Console") else []
    assert found == []
