"""`essential classes`: what a bundle knows."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from essential.cli.options import BundleFile
from essential.cli.terminal import say

if TYPE_CHECKING:
    from essential.learner.bundle import Lesson


def classes(bundle: BundleFile) -> None:
    """List the classes of a bundle.

    In order of arrival, with the lesson and the number of clips that taught them.

    \b
    Example:
      essential classes actions.bundle
    """
    from essential.learner.bundle import Bundle
    from essential.results.formats import counted

    read = Bundle.read(bundle)
    print_classes(read.lessons)
    say(f"{counted(len(read.model.classes), 'class')}; encoder {read.encoder.name}, method {read.config.method.name}")


def print_classes(lessons: "Sequence[Lesson]", *, first: int = 1) -> None:
    """Print the classes of lessons of which `first` is the first one's number; forgotten ones are left out.

    The name stands last, whole, so that it can be copied.
    """
    say("lesson  clips  class")
    for number, lesson in enumerate(lessons, start=first):
        for name, clips in zip(lesson.classes, lesson.clips, strict=True):
            if name is not None:
                say(f"{number:>6}  {clips:>5}  {name}")
