"""The words of classes: in which texts their names stand, and the vectors that a text tower makes of them."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import numpy as np
import torch
from jaxtyping import Float
from pydantic import Field, field_validator
from torch import nn

from essential.configs.schema import Section
from essential.encoders import EncoderConfig, build_text_tower
from essential.errors import ConfigError
from essential.files.atomic import sha256_of_json
from essential.models.text_scores import Words
from essential.shown import nearest, quoted

if TYPE_CHECKING:
    from essential.encoders.text import TextTower

_PLACE = "{}"
# Between words that are written as one: runningFast, HTTPServer.
_BORDER = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_NOT_WORDS = re.compile(r"[_\-\[\](){}]+")

Text = Annotated[str, Field(min_length=1)]


class WordsConfig(Section):
    """What is said of classes to a text tower, where a method uses words."""

    templates: tuple[Text, ...] = Field(
        ("a video of a person {}.", "a video of {}.", "a person {}."),
        min_length=1,
        description="texts with {} in the place of a class's name; the class is the mean of their vectors",
    )
    descriptions: dict[str, Text] = Field(
        {}, description="a text for a class, which stands as it is in the place of all templates with its name"
    )

    @field_validator("templates")
    @classmethod
    def _have_one_place(cls, templates: tuple[str, ...]) -> tuple[str, ...]:
        for template in templates:
            if template.count(_PLACE) != 1:
                raise ValueError(f"the template {quoted(template)} needs one {_PLACE}, for the class's name")
        return templates

    @field_validator("descriptions")
    @classmethod
    def _differ(cls, descriptions: dict[str, str]) -> dict[str, str]:
        check_descriptions(descriptions)
        return descriptions

    def described(self, descriptions: Mapping[str, str]) -> "WordsConfig":
        """Return the settings with these descriptions too; a ConfigError as for `check_descriptions`."""
        every = {**self.descriptions, **descriptions}
        try:
            check_descriptions(every)
        except ValueError as error:
            raise ConfigError(str(error), remedy="give each class a text of its own") from error
        return self.model_copy(update={"descriptions": every})

    def without(self, name: str) -> "WordsConfig":
        """Return the settings without what is said of a class."""
        descriptions = {key: text for key, text in self.descriptions.items() if key != name}
        return self.model_copy(update={"descriptions": descriptions})

    def renamed(self, name: str, to: str) -> "WordsConfig":
        """Return the settings in which what is said of a class is said of it under another name."""
        descriptions = {to if key == name else key: text for key, text in self.descriptions.items()}
        return self.model_copy(update={"descriptions": descriptions})

    def texts(self, name: str) -> list[str]:
        """Return the texts that a class is the mean of."""
        described = self.descriptions.get(name)
        return [each.replace(_PLACE, spoken(name)) for each in self.templates] if described is None else [described]


def check_descriptions(descriptions: Mapping[str, str]) -> None:
    """Raise a ValueError if a class is described by nothing, or two by the same."""
    owners: dict[str, str] = {}
    for name, text in descriptions.items():
        plain = _plain(text)
        if not plain:
            raise ValueError(f"the description of {quoted(name)} is empty")
        if owners.setdefault(plain, name) != name:
            raise ValueError(f"{quoted(owners[plain])} and {quoted(name)} have the same description, {quoted(text)}")


def refuse_undescribed(descriptions: Mapping[str, str], classes: Sequence[str], where: str) -> None:
    """Raise a ConfigError if a class is described that is not among `classes`."""
    unknown = [name for name in descriptions if name not in classes]
    if unknown:
        raise ConfigError(
            f"describes {quoted(unknown[0])}, and no such class is given{nearest(unknown[0], classes)}",
            where=where,
            remedy="give the class's name as its folder or list has it",
        )


def refuse_same_words(classes: Sequence[str], settings: WordsConfig) -> None:
    """Raise a ConfigError if two classes are told to the text tower by the same texts, such as push_up and push-up."""
    owners: dict[tuple[str, ...], str] = {}
    for name in classes:
        texts = tuple(map(_plain, settings.texts(name)))
        if owners.setdefault(texts, name) != name:
            raise ConfigError(
                f"{quoted(owners[texts])} and {quoted(name)} are the same words, {quoted(texts[0])}",
                remedy="describe one of them by a text of its own (words.descriptions, or --describe)",
            )


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())


def spoken(name: str) -> str:
    """Return a class's name as words: ApplyEyeMakeup as apply eye makeup, push_up as push up."""
    plain = " ".join(_BORDER.sub(" ", _NOT_WORDS.sub(" ", name)).split())
    return plain.lower() or name


@dataclass(frozen=True, eq=False)
class Spoken:
    """The words of a run's classes, in plain arrays, for other processes.

    Attributes:
        key: of all that decides them; see `spoken_of`.
        text_tower: the fingerprint of what made them.
    """

    key: str
    text_tower: str
    vectors: Float[np.ndarray, "classes width"]
    projection: Float[np.ndarray, "width dim"] | None
    scale: float

    @property
    def words(self) -> Words:
        projection = None if self.projection is None else torch.from_numpy(self.projection)
        return Words(torch.from_numpy(self.vectors), projection, self.scale)


_KNOWN: ContextVar[Spoken | None] = ContextVar("known words", default=None)


@contextmanager
def known_words(spoken: Spoken | None) -> Iterator[None]:
    """Inside, the runs of one comparison have the words that were made once; others make their own."""
    token = _KNOWN.set(spoken)
    try:
        yield
    finally:
        _KNOWN.reset(token)


def spoken_of(classes: Sequence[str], settings: WordsConfig, encoder: EncoderConfig, *, dim: int) -> Spoken:
    """Return the words of classes, for features of `dim` numbers: those that are known, or new ones of a text tower.

    Errors as of `build_text_tower` and `words_of_classes`.
    """
    key = sha256_of_json([classes, settings.model_dump(mode="json"), encoder.model_dump(mode="json"), dim])
    known = _KNOWN.get()
    if known is not None and known.key == key:
        return known
    tower = build_text_tower(encoder)
    words = words_of_classes(classes, settings, tower, dim=dim)
    projection = None if words.projection is None else words.projection.numpy()
    return Spoken(key, tower.fingerprint, words.vectors.numpy(), projection, words.scale)


def words_of_classes(classes: Sequence[str], settings: WordsConfig, tower: "TextTower", *, dim: int) -> Words:
    """Return the words of classes, for features of `dim` numbers.

    Raises:
        ConfigError: the tower is for features of another width, or a text is too long for it.
    """
    texts = [settings.texts(name) for name in classes]
    vectors = tower.vectors([text for own in texts for text in own]).split([len(own) for own in texts])
    means = torch.stack([own.mean(dim=0) for own in vectors])
    words = Words(nn.functional.normalize(means, dim=1), tower.projection, tower.scale)
    if words.dim != dim:
        raise ConfigError(
            f"the text tower of {tower.name!r} is for features of {words.dim} numbers, and these have {dim}",
            remedy="give the file that the image tower's weights are from: -s encoder.text_weights=FILE",
        )
    return words
