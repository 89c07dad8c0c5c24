"""What a lesson says of its classes, where a method learns by words: descriptions, and the vectors made of them."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from essential.encoders import build_text_tower
from essential.engine.settings import RunConfig
from essential.engine.words import refuse_same_words, refuse_undescribed, words_of_classes
from essential.errors import BundleError, ConfigError
from essential.learner.bundle import Bundle
from essential.models.text_scores import Words
from essential.protocols.class_names import class_name, known_as


class LessonWords(NamedTuple):
    """The settings with all descriptions so far; the words of a lesson's classes, and the text tower's fingerprint."""

    config: RunConfig
    words: Words | None
    text_tower: str | None


def with_descriptions(config: RunConfig, describe: Mapping[str, str], classes: Sequence[str]) -> RunConfig:
    """Return the settings with texts for some of the classes that a lesson brings.

    Raises:
        ConfigError: the method learns without words, two texts are the same, or one is empty or of no such class.
    """
    if not describe:
        return config
    if not config.needs_words:
        raise ConfigError(
            f"has no use in a learner by {config.method.name!r}, which learns without words",
            where="describe",
            remedy="leave it out, or begin a new bundle with the method words",
        )
    refuse_undescribed(describe, classes, "describe")
    return config.model_copy(update={"words": config.words.described(describe)})


def words_of_lesson(known: Bundle, classes: Sequence[str], describe: Mapping[str, str]) -> LessonWords:
    """Return the words of the classes that a lesson brings; none where the method learns without.

    Raises:
        ConfigError: see `with_descriptions`; or two classes are the same words, or a text is too long.
        CheckpointError: the text tower's weights are missing or damaged.
        BundleError: it was taught with words of another text tower.
    """
    taught = known.model.classes
    named = {known_as(class_name(name, "describe"), taught): text for name, text in describe.items()}
    config = with_descriptions(known.config, named, classes)
    if not config.needs_words:
        return LessonWords(config, None, known.text_tower)
    refuse_same_words([*taught, *classes], config.words)
    tower = build_text_tower(config.encoder)
    if known.text_tower not in (None, tower.fingerprint):
        raise BundleError(
            f"was taught with words of another text tower (fingerprint {str(known.text_tower)[:12]}) than this "
            f"({tower.fingerprint[:12]})",
            where=known.path,
            remedy="give the files that it was taught with: -s encoder.text_weights=FILE -s encoder.tokenizer=FILE",
        )
    words = words_of_classes(classes, config.words, tower, dim=known.encoder.dim)
    return LessonWords(config, words, tower.fingerprint)
