"""Names of classes: what is one name, what is none, and what is much alike."""

from pathlib import Path

import pytest

from essential.errors import DataError
from essential.protocols.class_names import alike, class_name, known_as
from essential.protocols.protocol import Listing
from essential.protocols.source import DataConfig, load_listing
from essential.protocols.video_list import import_list

PERSIAN = "\u0645\u06cc\u200c\u0631\u0648\u062f"
EMOJI = "\U0001f468\u200d\U0001f373"


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("waving", "waving"),
        (" waving\n", "waving"),
        ("U\u0308bung", "\u00dcbung"),
        (PERSIAN, PERSIAN),
        (EMOJI, EMOJI),
        ("\u3000\u624b\u3000\u632f", "\u624b\u3000\u632f"),
        ("none of these two", "none of these two"),
        ("a/b", "a/b"),
    ],
)
def test_a_name_is_kept_in_one_form(given: str, kept: str) -> None:
    assert class_name(given, "here") == kept
    assert class_name(kept, "here") == kept


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("", "here: '' is no name"),
        (" \u3000", "is no name for a class; give it a name of one line"),
        (3, "here: 3 is no name"),
        ("a\nb", "it holds the character U+000A"),
        ("a\u202eb", "it holds the character U+202E"),
        ("a\u200bb", "it holds the character U+200B"),
        ("a\u2028b", "it holds the character U+2028"),
        ("caf\udce9", "it holds the character U+DCE9"),
        ("None Of These", "'None Of These' is no name for a class: it is what is answered for a clip of no class"),
    ],
)
def test_what_is_no_name_is_refused(given: object, words: str) -> None:
    with pytest.raises(DataError) as caught:
        class_name(given, "here")
    assert words in str(caught.value)


def test_names_that_differ_only_in_case_or_zeros_are_warned_of() -> None:
    names = ["class1", "class10", "class01", "run", "Run", "class100", "v0", "v00"]
    assert [warning.partition(" differ")[0] for warning in alike(names)] == [
        "warning: the classes 'class1' and 'class01'",
        "warning: the classes 'run' and 'Run'",
        "warning: the classes 'v0' and 'v00'",
    ]
    assert Listing([], ("run", "Run")).notes == alike(["run", "Run"])


def test_a_known_class_is_known_in_every_form_of_its_name() -> None:
    assert known_as("\u00dcbung", ["run", "U\u0308bung"]) == "U\u0308bung"
    assert known_as("walk", ["run"]) == "walk"


def test_lists_and_tables_have_the_same_check(tmp_path: Path) -> None:
    head = '{"format": "essential video list", "version": 1, "tasks": [{'
    one = '"U\u0308b": {"train": ["v1"], "test": ["w1"]}'
    two = '"\u00dcb": {"train": ["v2"], "test": ["w2"]}'
    path = tmp_path / "list.json"
    path.write_text(f"{head}{one}}}]}}")
    assert import_list(path).classes == ("\u00dcb",)
    path.write_text(f"{head}{one}, {two}}}]}}")
    with pytest.raises(DataError, match="task 1, name of a class: '\u00dcb' is there twice, written in two ways"):
        import_list(path)
    path.write_text(f"{head}{one}}}]}}".replace("U\u0308b", "none of these"))
    with pytest.raises(DataError, match="'none of these' is no name for a class"):
        import_list(path)
    (tmp_path / "v.mp4").touch()
    table = tmp_path / "table.csv"
    table.write_text("path,label,split\nv.mp4,U\u0308b,train\n")
    (video,) = load_listing(DataConfig(kind="manifest", path=table)).videos
    assert video.label == "\u00dcb"
    table.write_text("path,label,split\nv.mp4,none of these,train\n")
    with pytest.raises(DataError, match="'none of these' is no name for a class"):
        load_listing(DataConfig(kind="manifest", path=table))
