"""In which texts a class's name stands."""

import pytest

from essential.engine.words import WordsConfig, refuse_same_words, spoken
from essential.errors import ConfigError


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("ApplyEyeMakeup", "apply eye makeup"),
        ("YoYo", "yo yo"),
        ("TaiChi", "tai chi"),
        ("push_up", "push up"),
        ("push-up", "push up"),
        ("Pushing [something] from left to right", "pushing something from left to right"),
        ("HTTPServer2Go", "http server2 go"),
        ("riding a bike", "riding a bike"),
        ("тест", "тест"),
        ("---", "---"),
    ],
)
def test_a_name_is_said_as_words(name: str, expected: str) -> None:
    assert spoken(name) == expected


def test_a_description_stands_as_it_is_in_the_place_of_all_templates() -> None:
    settings = WordsConfig(templates=("a video of {}.", "{}"), descriptions={"wave": "a person {} waves"})
    assert settings.texts("JumpUp") == ["a video of jump up.", "jump up"]
    assert settings.texts("wave") == ["a person {} waves"]
    assert settings.described({"wave": "other"}).texts("wave") == ["other"]


def test_two_classes_of_the_same_words_are_refused() -> None:
    classes = ["push_up", "jump", "Push-Up"]
    with pytest.raises(
        ConfigError, match=r"'push_up' and 'Push-Up' are the same words, 'a video of a person push up\.'"
    ):
        refuse_same_words(classes, WordsConfig())
    refuse_same_words([*classes, "jump"], WordsConfig(descriptions={"Push-Up": "a person in a gym"}))
