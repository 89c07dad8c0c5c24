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
from essential.configs.shipped import shipped_methods
from essential.errors import ComparisonError
from essential.report.comparison_page import write_comparison
from essential.report.comparison_tables import FRONT, as_csv, as_latex, as_markdown, escaped
from essential.results.comparison import Call, compare
from essential.results.formats import NONE

FILES = [
    *(f"accuracy-against-memory.{kind}" for kind in ("csv", "pdf", "svg")),
    "compare.csv",
    "compare.html",
    "compare.json",
    "compare.md",
    "compare.tex",
]
HOSTILE = r"[red]_a|b_ <c> & 50% $x^2$ \n{#1}~ `*"


def _objects(folder: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((folder / "compare.json").read_text(encoding="utf-8"))
    return found


def test_all_files_are_written_and_always_the_same(tmp_path: Path) -> None:
    folders = [tmp_path / "new" / name for name in ("first", "second")]
    comparison = write_comparison(many_runs(), folders[0], Call((BUDGET,)))
    write_comparison(many_runs(), folders[1], Call((BUDGET,)))
    assert [row.method for row in comparison.rows] == [name for name, *_ in METHODS]
    assert sorted(path.name for path in folders[0].iterdir()) == FILES
    for name in FILES:
        assert (folders[0] / name).read_bytes() == (folders[1] / name).read_bytes()


def test_nothing_is_written_about_runs_that_cannot_be_compared(tmp_path: Path) -> None:
    with pytest.raises(ComparisonError):
        write_comparison([made_run("a", 0, 0.5)] * 2, tmp_path / "new")
    assert list(tmp_path.iterdir()) == []


def test_the_json_has_what_programs_read(tmp_path: Path) -> None:
    runs = [made_run("essential", seed, 0.8 + seed / 50, kept=1000, modules=300) for seed in range(2)]
    runs += [made_run("joint", 1, 0.9, kept=None)]
    write_comparison(runs, tmp_path, Call((900,)))
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
    write_comparison(many_runs(), tmp_path, Call((BUDGET,)))
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
    text = as_csv(compare([made_run("=1+1", 0, 0.5), made_run("b", 0, 0.4)]))
    assert [line["method"] for line in csv.DictReader(io.StringIO(text))] == ["'=1+1", "b"]


def test_the_markdown_table_is_sorted_and_whole() -> None:
    text = as_markdown(compare(many_runs(), Call((BUDGET,))))
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert len(lines) == 25, "a head, 21 methods, and a title each of those over the budget and of the bound"
    assert {line.count("|") for line in lines} == {13}
    assert lines[2].startswith("| essential | 3 | 83.95 ± 0.79 |")
    titles = [place for place, line in enumerate(lines) if line.startswith("| **")]
    assert [lines[place].split("**")[1] for place in titles] == ["Over the budget", "Given all videos"]
    apart = [line.split()[1] for line in lines[titles[0] + 1 :] if "**" not in line]
    assert apart == ["der", "lwf", "ewc", "mas", "joint"]
    assert lines[-1].startswith("| joint | 3 | 96.")
    assert f"| all videos | {NONE} |" in lines[-1]
    assert "Budget: 400,000 B." in text
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
    assert words in as_markdown(compare(runs))


def test_all_that_shows_p_values_names_the_test(capsys: pytest.CaptureFixture[str]) -> None:
    comparison = compare(many_runs(), Call((BUDGET,)))
    print_comparison(comparison)
    for text in (as_markdown(comparison), as_latex(comparison), capsys.readouterr().out):
        assert "two-sided paired t-test of final accuracy against essential" in " ".join(text.split())


def test_markdown_shows_names_as_they_are() -> None:
    text = as_markdown(compare([made_run(HOSTILE, 0, 0.5)]))
    assert r"| \[red\]\_a\|b\_ \<c\> \& 50% \$x^2\$ \\n\{\#1\}\~ \`\* | 1 | 50.00 |" in text


def test_latex_escapes_names() -> None:
    expected = (
        r"[red]\_a\textbar{}b\_ \textless{}c\textgreater{} \& 50\% \$x\textasciicircum{}2\$ "
        r"\textbackslash{}n\{\#1\}\textasciitilde{} \textasciigrave{}*"
    )
    assert escaped(HOSTILE) == expected
    assert escaped("a--b---c\nd") == "a-{}-b-{}-{}-c d"
    assert escaped("") == ""
    latex = as_latex(compare([made_run(HOSTILE, 0, 0.5)]))
    assert f"    {expected} & 1 & " in latex


def test_the_latex_table_is_booktabs_and_balanced() -> None:
    latex = as_latex(compare(many_runs(), Call((BUDGET,))))
    for command in (r"\toprule", r"\bottomrule", r"\caption{", r"\label{tab:comparison}"):
        assert latex.count(command) == 1
    assert latex.count("\\midrule\n") == latex.count("\\multicolumn{12}{l}{\\emph{") + 1 == 3
    assert latex.count("{") == latex.count("}")
    body = latex.split("\\midrule\n", 1)[1].split("    \\bottomrule")[0].splitlines()
    body = [line for line in body if " & " in line]
    assert len(body) == 21
    columns = latex.split("\\begin{tabular}{")[1].split("}")[0]
    assert {line.count(" & ") + 1 for line in body} == {len(columns)}
    caption = latex.split("\\caption{")[1].split("\n")[0]
    for words in ("made-up", "seeds 0, 1, 2", "Budget: 400,000~B", "Bold", "keep to the budget"):
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
    lines = as_latex(compare(runs, Call((1500,)))).split("\\midrule\n", 1)[1].splitlines()
    bold = {line.split(" &")[0].strip(): line.count("\\textbf") for line in lines if " & " in line}
    assert bold == {"joint": 0, "large": 0, "best": 3, "tie": 3, "worse": 1}
    assert "\\textbf{80.00}" in lines[0]
    assert "\\textbf{80.00}" in lines[1]


def test_no_bold_where_nothing_keeps_to_the_rules() -> None:
    assert "\\textbf" not in as_latex(compare([made_run("joint", 0, 0.9, kept=None)]))


@pytest.mark.parametrize("width", [45, 60, 80, 100])
def test_columns_that_do_not_fit_into_the_terminal_stand_below(
    width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("FORCE_COLOR", "1")
    comparison = compare(many_runs(), Call((BUDGET,)))
    print_comparison(comparison)
    lines = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out).splitlines()
    heads = [re.split(" {2,}", line.strip()) for line in lines if line.startswith("method ")]
    columns = ["final acc.", "avg.", "kept", "carried", "forg.", "p", "sec."]
    assert [name for head in heads for name in head[1:]] == columns * 3, "each stands once in each of three groups"
    assert (len(heads) == 3) is (width == 100), "one name has 27 letters"
    rows = [line for line in lines if line.split()[:1] and line.split()[0] in {row.method for row in comparison.rows}]
    assert max(map(len, rows)) <= width
    assert len(rows) >= len(comparison.rows)


@pytest.mark.parametrize("budgets", [(BUDGET,), tuple(32_768 * 4**n for n in range(5))])
def test_all_columns_of_shipped_methods_fit_into_80(
    budgets: tuple[int, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("FORCE_COLOR", "1")
    seconds = {"extract": 3e5, "train": 12_345.6, "evaluate": 0.5}
    runs = [
        made_run(
            name,
            seed,
            0.5 + seed / 10 + (place * seed) / 99,
            kept=size - 100,
            modules=2**33,
            budget=size,
            seconds=seconds,
        )
        for place, name in enumerate(shipped_methods())
        for size in budgets
        for seed in range(2)
    ]
    print_comparison(compare(runs, Call(budgets)))
    lines = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out).splitlines()
    heads = [line for line in lines if line.lower().startswith("method ")]
    assert len(heads) == (1 if len(budgets) == 1 else 2), "accuracies, and bytes carried"
    rows = [line for line in lines if line.split()[:1] and line.split()[0] in shipped_methods()]
    assert len(rows) == len(heads) * len(shipped_methods())
    assert max(map(len, rows)) <= 80


def test_a_file_has_every_column_and_every_name_whole(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    comparison = compare(many_runs(), Call((BUDGET,)))
    print_comparison(comparison)
    lines = capsys.readouterr().out.splitlines()
    assert next(line for line in lines if "final acc." in line).split()[-1] == "sec."
    for row in comparison.rows:
        found = next(line for line in lines if line.split()[:1] == [row.method])
        assert f"{row.final_accuracy.mean:.3f}±.{1000 * (row.final_accuracy.std or 0):03.0f}" in found
    first = {line.split()[0]: line.split() for line in lines if line.strip()}
    assert first["joint"][1:6] == ["0.965±.002", "1.000", "all", "videos", "-"]
    assert first["essential"][-2] == "-", "the baseline is not tested against itself"
    assert first["essential"][3:7] == ["389", "KiB", "1.52", "MiB"], "the modules are carried and not kept"
    named = [name for name in first if name in {method for method, *_ in METHODS}]
    assert named[0] == "essential"
    assert named[-6:] == ["finetune", "der", "lwf", "ewc", "mas", "joint"]
    assert lines.index("Over the budget") < lines.index("Given all videos")


def test_the_terminal_shows_names_as_they_are(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "140")
    runs = [made_run("[red]x[/red]", 0, 0.5), made_run("none", 0, 0.4, trainable_parameters=None)]
    print_comparison(compare(runs))
    shown = capsys.readouterr().out
    assert "[red]x[/red]" in shown
    assert "budget" not in shown
    assert "\np:" not in shown


def test_over_several_budgets_the_text_files_have_a_table_of_budgets_before_that_of_all() -> None:
    sizes = (2048, 8192)
    runs = [made_run("a", 0, 0.5 + size / 1e5, kept=size, budget=size) for size in sizes]
    runs += [made_run("b", 0, 0.9, kept=8000, budget=8192), made_run("ncm", 0, 0.4, kept=10)]
    runs += [made_run("b", 0, 0.95, kept=2049, budget=2048)]
    comparison = compare(runs, Call(sizes))
    matrix = "| Method | 2 KiB | 8 KiB |\n| --- | ---: | ---: |\n"
    assert matrix + f"| a | 52.05{FRONT} | 58.19 |\n| b | {NONE} | 90.00{FRONT} |\n\n| Method | Seeds" in as_markdown(
        comparison
    )
    latex = as_latex(comparison)
    assert "    a & 52.05$^\\ast$ & 58.19 \\\\\n    b & \\textendash{} & 90.00$^\\ast$ \\\\\n" in latex
    assert latex.count("{") == latex.count("}")
    for name in ("fig:frontier", "tab:frontier", "tab:comparison", "{accuracy-against-memory.pdf}"):
        assert latex.count(name) == 1
    titles = re.findall(r"\\emph\{(.*?)\}", latex)
    assert titles == ["At 2~KiB", "At 8~KiB", "Without a budget", "Over the budget"]
    assert latex.count("\\textbf") == 4 * 3, "the best of four measures at each budget, and without one"
