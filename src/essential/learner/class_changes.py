"""A bundle in which a class is forgotten, renamed, or made one with another; no clip and no encoder is needed."""

from dataclasses import replace

from essential.engine.words import refuse_same_words
from essential.errors import DataError
from essential.learner.bundle import Bundle
from essential.learner.clips import refuse_unknown
from essential.protocols.class_names import class_name, known_as
from essential.shown import quoted


def forgotten(bundle: Bundle, name: str) -> Bundle:
    """Return the bundle without a class: see `VideoLearner.forget`."""
    name = known_as(name, bundle.model.classes)
    refuse_unknown(name, bundle.model.classes)
    return replace(
        bundle,
        config=bundle.config.model_copy(update={"words": bundle.config.words.without(name)}),
        model=bundle.model.without(name),
        lessons=tuple(lesson.without(name) for lesson in bundle.lessons),
        taught={content: label for content, label in bundle.taught.items() if label != name},
    )


def renamed(bundle: Bundle, name: str, to: str, *, merge: bool = False) -> Bundle:
    """Return the bundle in which a class has another name, that of a known class with `merge`.

    See `VideoLearner.rename`.
    """
    name = known_as(name, bundle.model.classes)
    refuse_unknown(name, bundle.model.classes)
    others = [each for each in bundle.model.classes if each != name]
    to = known_as(class_name(to, "the new name"), others)
    _refuse_name(name, to, others=others, merge=merge)
    words = bundle.config.words
    config = bundle.config.model_copy(update={"words": words.without(name) if merge else words.renamed(name, to)})
    if config.needs_words:
        refuse_same_words(list(dict.fromkeys((*others, to))), config.words)
    return replace(
        bundle,
        config=config,
        model=bundle.model.renamed(name, to),
        lessons=tuple(lesson.renamed(name, to) for lesson in bundle.lessons),
        taught={content: to if label == name else label for content, label in bundle.taught.items()},
    )


def _refuse_name(name: str, to: str, *, others: list[str], merge: bool) -> None:
    if to == name:
        raise DataError(f"the class {quoted(name)} has that name already", remedy="give another name")
    if to in others and not merge:
        raise DataError(
            f"the class {quoted(to)} is known already",
            remedy=f"to make {quoted(name)} and {quoted(to)} one class use --merge, or merge=True in Python",
        )
    if merge and to not in others:
        raise DataError(
            f"there is no class {quoted(to)} to merge {quoted(name)} with",
            remedy="give a class that is known, or leave merge out to give the class a new name",
        )
