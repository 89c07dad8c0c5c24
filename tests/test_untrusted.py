"""JSON and YAML of strangers: everything wrong is one `ValueError`, and soon."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from essential.files import untrusted
from essential.files.untrusted import parse_json, parse_yaml, read_json, yaml_text

BOTH = pytest.mark.parametrize("parse", [parse_json, parse_yaml])


@BOTH
@pytest.mark.parametrize("text", ["[" * 3000 + "]" * 3000, '{"a":' * 3000 + "1" + "}" * 3000, "[" * 51 + "]" * 51])
def test_deep_nesting(parse: Callable[[str], Any], text: str) -> None:
    with pytest.raises(ValueError, match="nested deeper than 50 levels"):
        parse(text)
    assert parse("[" * 50 + "]" * 50) != []


def test_the_deepest_nesting() -> None:
    with pytest.raises(ValueError, match="nested deeper than 50 levels"):
        parse_json("[" * 100_000 + "]" * 100_000)
    with pytest.raises(ValueError, match="nested deeper than 50 levels"):
        parse_yaml("[" * 100_000)
    with pytest.raises(ValueError, match="nested deeper than 50 levels"):
        parse_yaml("".join(" " * depth + "a:\n" for depth in range(300)))


@BOTH
@pytest.mark.parametrize("digits", [101, 5000, 100_000])
def test_a_number_of_many_digits(parse: Callable[[str], Any], digits: int) -> None:
    for text in ("9" * digits, "0." + "9" * (digits - 2)):
        with pytest.raises(ValueError, match=f"a number of {digits:,} digits is too long"):
            parse(text)
    assert parse("9" * 100) == 10**100 - 1


@BOTH
def test_a_key_that_stands_twice(parse: Callable[[str], Any]) -> None:
    with pytest.raises(ValueError, match="the key 'a' stands twice in one object; keep one"):
        parse('{"b": {"a": 1, "c": 2, "a": 3}}')


@pytest.mark.parametrize("text", ["NaN", "[Infinity]", '{"a": -Infinity}', "1e999", "-1e999"])
def test_what_is_no_number_in_json(text: str) -> None:
    with pytest.raises(ValueError, match="is no number that can be used"):
        parse_json(text)


@pytest.mark.parametrize(
    "text",
    [
        *("{a", "'open", "\ta: b", "\0", "2020-99-99", "? [a]\n: 1", "!!python/object/apply:os.getcwd []"),
        *("!!int abc", "!!bool abc", "!!timestamp abc", "!!float abc", "!!binary é", "1:" + "2:" * 3000 + "3"),
        "0x" + "f" * 5000,
    ],
)
def test_what_is_no_yaml(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        parse_yaml(text)


def test_an_alias_cannot_stand_for_much() -> None:
    bomb = "a: &a [1, 1]\n" + "".join(f"{b}: &{b} [*{a}, *{a}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True))
    with pytest.raises(ValueError, match=r"an alias \(\*\) is not read; write its value out"):
        parse_yaml(bomb)


def test_numbers_as_people_write_them() -> None:
    assert parse_yaml("a: 1e-3\nb: [1, 2.5, -3E4, .5]") == {"a": 0.001, "b": [1, 2.5, -3e4, 0.5]}


def test_text_that_is_too_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="more than 131,072 bytes"):
        parse_yaml("#" * 131_073)
    path = tmp_path / "a.json"
    path.write_text("[1, 2]")
    assert read_json(path) == [1, 2]
    monkeypatch.setattr(untrusted, "_MOST_BYTES", 5)
    with pytest.raises(ValueError, match="more than 5 bytes"):
        read_json(path)


@pytest.mark.parametrize("text", ["1e5", "123e4567", "-1E3", "1.5e-3", "0x1f", "null", "1_0", "a: b"])
def test_what_is_written_is_read_again_as_it_was(text: str) -> None:
    assert parse_yaml(yaml_text({"name": text, "rate": 1e-05})) == {"name": text, "rate": 1e-05}
