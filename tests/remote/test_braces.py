"""Braces in the address of tar shards."""

import pytest

from essential.remote.braces import expanded


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("x.tar", ["x.tar"]),
        ("a-{000..002}.tar", ["a-000.tar", "a-001.tar", "a-002.tar"]),
        ("{8..11}", ["8", "9", "10", "11"]),
        ("{08..11}", ["08", "09", "10", "11"]),
        ("{0..10}", [*map(str, range(11))]),
        ("{0..0}", ["0"]),
        ("{a,b}{1..2}", ["a1", "a2", "b1", "b2"]),
        ("{train-{00..01},test-{0,1}}.tar", ["train-00.tar", "train-01.tar", "test-0.tar", "test-1.tar"]),
        ("a{,b}", ["a", "ab"]),
    ],
)
def test_braces_stand_for_what_a_shell_makes_of_them(text: str, found: list[str]) -> None:
    assert expanded(text) == found


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a{0..1", "is not closed"),
        ("a}", "has no beginning"),
        ("{a}", r"\{a\} is no range and no list"),
        ("{}", r"\{\} is no range"),
        ("{3..1}", r"\{3\.\.1\} does not rise"),
        ("{0..100000}", "more than 100,000 files"),
        ("{0..99999}{0..99999}", "more than 100,000 files"),
        ("{a,a}", "names a file twice"),
        ("{" * 1200 + "0..1" + "}" * 1200, "nest too deep|no range"),
        ("{a," * 1200 + "b" + "}" * 1200, "nest too deep"),
    ],
)
def test_other_braces_are_refused(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        expanded(text)
