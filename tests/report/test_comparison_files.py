"""What a comparison writes: JSON, CSV, Markdown, LaTeX, and the table of the terminal."""

import csv
import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
from made_comparisons import BUDGET, METHODS, made_metrics, made_run, many_runs

from essential.cli.compare import print_comparison
from essential.errors import ComparisonError
from essential.report.comparison_tables import as_csv, as_latex, as_markdown, escaped
from essential.report.page import write_comparison
from essential.results.comparison import compare

FILES = ["compare.csv", "compare.html", "compare.json", "compare.md", "compare.tex"]
HOSTILE = r"[red]_a|b_ <c> & 50% $x^2$ \n{#1}~ `*"


def _objects(folder: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((folder / "compare.json").read_text(encoding="utf-8"))
    return found


def test_all_files_are_written_and_always_the_same(tmp_path: Path) -> None:
    folders = [tmp_path / "new" / name for name in ("first", "second")]
    comparison = write_comparison(many_runs(), folders[0], budget_bytes=BUDGET)
    write_comparison(many_runs(), folders[1], budget_bytes=BUDGET)
    assert [row.method for row in comparison.rows] == [name for name, *_ in METHODS]
    assert sorted(path.name for path in folders[0].iterdir()) == FILES
    for name in FILES:
        assert (folders[0] / name).read_bytes() == (folders[1] / name).read_bytes()


def test_nothing_is_written_about_runs_that_cannot_be_compared(tmp_path: Path) -> None:
    with pytest.raises(ComparisonError):
        write_comparison([made_run("a", 0, 0.5)] * 2, tmp_path / "new", budget_bytes=None)
    assert list(tmp_path.iterdir()) == []


def test_the_json_has_what_programs_read(tmp_path: Path) -> None:
    runs = [made_run("essential", seed, 0.8 + seed / 50, kept=1000, modules=300) for seed in range(2)]
    runs += [made_run("joint", 1, 0.9, kept=None)]
    write_comparison(runs, tmp_path, budget_bytes=900)
    ours, joint = _objects(tmp_path)
    assert ours["method"] == "essential"
    assert ours["seeds"] == [0, 1]
    assert ours["final_accuracy"] == pytest.approx({"mean": 0.81, "std": 0.01 * 2**0.5})
    assert ours["average_incremental_accuracy"]["mean"] == pytest.approx(0.86)
    assert ours["memory_bytes"] == 1000
    assert ours["memory_bytes_by_kind"]["retrieval_modules"] == 300
    assert ours["seconds"] == 3.0
    assert (ours["within_budget"], ours["needs_all_tasks"], ours["paired_test"]) == (False, False, None)
    assert joint["final_accuracy"] == {"mean": 0.9, "std": None}
    assert joint["vclimb_accuracy"] == {"mean": None, "std": None}
    assert (joint["within_budget"], joint["needs_all_tasks"], joint["baseline"]) == (False, True, "essential")
    assert joint["paired_test"] == {"seeds": [1], "mean_difference": pytest.approx(0.08), "p": None, "p_holm": None}


def test_the_csv_has_the_same_numbers(tmp_path: Path) -> None:
    write_comparison(many_runs(), tmp_path, budget_bytes=BUDGET)
    lines = list(csv.DictReader(io.StringIO((tmp_path / "compare.csv").read_text(encoding="utf-8"))))
    objects = _objects(tmp_path)
    assert len(lines) == len(objects) == 21
    for line, content in zip(lines, objects, strict=True):
        assert line["method"] == content["method"]
        assert line["seeds"] == "0 1 2"
        assert float(line["final_accuracy_mean"]) == content["final_accuracy"]["mean"]
        assert float(line["final_accuracy_std"]) == content["final_accuracy"]["std"]
        assert int(line["memory_bytes"]) == content["memory_bytes"]
        assert line["within_budget"] == str(content["within_budget"])
        test = content["paired_test"]
        assert line["p_holm"] == ("" if test is None else str(test["p_holm"]))
        assert line["vclimb_accuracy_mean"] == ""


def test_a_name_that_a_spreadsheet_would_run_is_text_in_the_csv() -> None:
    text = as_csv(compare([made_run("=1+1", 0, 0.5), made_run("b", 0, 0.4)], budget_bytes=None))
    assert [line["method"] for line in csv.DictReader(io.StringIO(text))] == ["'=1+1", "b"]


def test_the_markdown_table_is_sorted_and_whole() -> None:
    text = as_markdown(compare(many_runs(), budget_bytes=BUDGET))
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert len(lines) == 23
    assert {line.count("|") for line in lines} == {13}
    assert lines[2].startswith("| joint | 3 | 96.")
    assert "| all videos |" in lines[2]
    assert "KiB†" in next(line for line in lines if line.startswith("| der |"))
    assert "Budget: 391 KiB; †: kept more." in text
    assert "seeds 0, 1, 2" in text
    assert "Holm-corrected (20 tests)" in text


@pytest.mark.parametrize(
    ("seeds", "words"),
    [
        ({"a": [4], "b": [4]}, "of one run each, seed 4, in percent"),
        ({"a": [0], "b": [1]}, "of one run each, seeds 0, 1, in percent"),
        ({"a": [0, 1], "b": [0, 1]}, "standard deviation over the seeds 0, 1, in percent"),
        ({"a": [0, 1], "b": [1]}, "standard deviation over those of the seeds 0, 1 that a method has, in percent"),
    ],
)
def test_the_notes_say_over_which_seeds(seeds: dict[str, list[int]], words: str) -> None:
    runs = [made_run(name, seed, 0.5) for name, numbers in seeds.items() for seed in numbers]
    assert words in as_markdown(compare(runs, budget_bytes=None))


def test_all_that_shows_p_values_names_the_test(capsys: pytest.CaptureFixture[str]) -> None:
    comparison = compare(many_runs(), budget_bytes=BUDGET)
    print_comparison(comparison)
    for text in (as_markdown(comparison), as_latex(comparison), capsys.readouterr().out):
        assert "two-sided paired t-test of final accuracy against essential" in " ".join(text.split())


def test_markdown_shows_names_as_they_are() -> None:
    text = as_markdown(compare([made_run(HOSTILE, 0, 0.5)], budget_bytes=None))
    assert r"| \[red\]\_a\|b\_ \<c\> \& 50% \$x^2\$ \\n\{\#1\}\~ \`\* | 1 | 50.00 |" in text


def test_latex_escapes_names() -> None:
    expected = (
        r"[red]\_a\textbar{}b\_ \textless{}c\textgreater{} \& 50\% \$x\textasciicircum{}2\$ "
        r"\textbackslash{}n\{\#1\}\textasciitilde{} \textasciigrave{}*"
    )
    assert escaped(HOSTILE) == expected
    assert escaped("a--b---c\nd") == "a-{}-b-{}-{}-c d"
    assert escaped("") == ""
    latex = as_latex(compare([made_run(HOSTILE, 0, 0.5)], budget_bytes=None))
    assert f"    {expected} & 1 & " in latex


def test_the_latex_table_is_booktabs_and_balanced() -> None:
    latex = as_latex(compare(many_runs(), budget_bytes=BUDGET))
    for command in (r"\toprule", r"\midrule", r"\bottomrule", r"\caption{", r"\label{tab:comparison}"):
        assert latex.count(command) == 1
    assert latex.count("{") == latex.count("}")
    body = latex.split("\\midrule\n")[1].split("    \\bottomrule")[0].splitlines()
    assert len(body) == 21
    columns = latex.split("\\begin{tabular}{")[1].split("}")[0]
    assert {line.count(" & ") + 1 for line in body} == {len(columns)}
    caption = latex.split("\\caption{")[1].split("\n")[0]
    for words in ("made-up", "seeds 0, 1, 2", "Budget: 391~KiB", "Bold", "keep to the budget"):
        assert words in caption
    assert all(ord(character) < 128 for character in latex)


def test_bold_is_the_best_that_keeps_to_the_rules() -> None:
    runs = [
        made_run("joint", 0, 0.9, kept=None),
        made_run("large", 0, 0.85, kept=2000),
        made_run("best", 0, 0.80001),
        made_run("tie", 0, 0.79999, metrics=made_metrics(0.79999, forgetting_from_best=0.3)),
        made_run("worse", 0, 0.7, metrics=made_metrics(0.7, forgetting_from_best=0.01)),
    ]
    lines = as_latex(compare(runs, budget_bytes=1500)).split("\\midrule\n")[1].splitlines()
    bold = {line.split(" &")[0].strip(): line.count("\\textbf") for line in lines if " & " in line}
    assert bold == {"joint": 0, "large": 0, "best": 3, "tie": 3, "worse": 1}
    assert "\\textbf{80.00}" in lines[2]
    assert "\\textbf{80.00}" in lines[3]


def test_no_bold_where_nothing_keeps_to_the_rules() -> None:
    assert "\\textbf" not in as_latex(compare([made_run("joint", 0, 0.9, kept=None)], budget_bytes=None))


@pytest.mark.parametrize("width", [45, 60, 80, 130])
def test_columns_that_do_not_fit_into_the_terminal_stand_below(
    width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("FORCE_COLOR", "1")
    comparison = compare(many_runs(), budget_bytes=BUDGET)
    print_comparison(comparison)
    lines = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out).splitlines()
    heads = [re.split(" {2,}", line.strip()) for line in lines if line.startswith("method ")]
    assert (len(heads) == 1) is (width == 130)
    columns = ["final acc.", "avg. inc.", "kept", "forgetting", "p (Holm)", "seconds", "params"]
    assert [name for head in heads for name in head[1:]] == columns, "each stands once"
    rows = [line for line in lines if line.split()[:1] and line.split()[0] in {row.method for row in comparison.rows}]
    assert max(map(len, rows)) <= width
    assert len(rows) == len(heads) * len(comparison.rows)


def test_a_file_has_every_column_and_every_name_whole(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    comparison = compare(many_runs(), budget_bytes=BUDGET)
    print_comparison(comparison)
    lines = capsys.readouterr().out.splitlines()
    assert next(line for line in lines if "final acc." in line).split()[-1] == "params"
    for row in comparison.rows:
        found = next(line for line in lines if line.split()[:1] == [row.method])
        assert f"{row.final_accuracy.mean:.3f} ± {row.final_accuracy.std:.3f}" in found
    first = {line.split()[0]: line.split() for line in lines if line.strip()}
    assert first["joint"][1:7] == ["0.965", "±", "0.002", "1.000", "all", "videos"]
    assert first["essential"][-3] == "-", "the baseline is not tested against itself"
    assert first["lwf"][5:8] == ["!", "2.67", "MiB"]
    assert first["joint"][-1] == "123,456"
    named = [name for name in first if name in {method for method, *_ in METHODS}]
    assert named[:2] == ["joint", "essential"]
    assert named[-1] == "finetune"
    assert "! kept more" in "\n".join(lines)


def test_the_terminal_shows_names_as_they_are(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "140")
    runs = [made_run("[red]x[/red]", 0, 0.5), made_run("none", 0, 0.4, trainable_parameters=None)]
    print_comparison(compare(runs, budget_bytes=None))
    shown = capsys.readouterr().out
    assert "[red]x[/red]" in shown
    assert "budget" not in shown
    assert "\np:" not in shown
