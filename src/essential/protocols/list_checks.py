"""What makes a whole annotation list impossible to train on: its classes, tasks and splits against each other."""

from essential.errors import DataError
from essential.protocols.list_entries import SPLITS, ListedClass, Tasks, splits_of
from essential.protocols.quoting import named, quoted


def refuse_unusable(tasks: Tasks, where: str) -> None:
    """Refuse a list that no run could use as it is.

    Raises:
        DataError: there is no task or nothing to test on; a task has no class; a class is in two tasks, has no training
            video, or has other splits than the others.
    """
    if not tasks:
        raise DataError(f"{where} has no task; give at least one, with its classes")
    for number, classes in enumerate(tasks, 1):
        if not classes:
            raise DataError(f"{where}: task {number} has no class; give it one, or take the task out")
    repeated = repeated_classes(tasks)
    if repeated:
        name, numbers = next(iter(repeated.items()))
        raise DataError(
            f"{where}: the class {quoted(name)} is in the tasks {', '.join(map(str, numbers))}"
            + (f", and so are {len(repeated) - 1} other classes in two tasks" if len(repeated) > 1 else "")
            + "; a class arrives once: keep it in one task"
        )
    if not any(split != "train" for split in splits_of(tasks)):
        raise DataError(f"{where} has no val and no test videos; give each class a val or a test split")
    _refuse_uneven_splits(tasks, where)
    bare = [listed.name for classes in tasks for listed in classes if not listed.of("train")]
    if bare:
        raise DataError(
            f"{where}: no training video for {len(bare)} classes: {named(bare)}; add some, or take the class out"
        )


def repeated_classes(tasks: Tasks) -> dict[str, tuple[int, ...]]:
    """Return the classes that are in more than one task, with the numbers of their tasks, which count from 1."""
    numbers: dict[str, list[int]] = {}
    for number, classes in enumerate(tasks, 1):
        for listed in classes:
            numbers.setdefault(listed.name, []).append(number)
    return {name: tuple(found) for name, found in numbers.items() if len(found) > 1}


def _refuse_uneven_splits(tasks: Tasks, where: str) -> None:
    """Refuse a split that some classes are in and others are not: a list's splits have the same classes."""
    everyone = [(number, listed) for number, classes in enumerate(tasks, 1) for listed in classes]
    for split in SPLITS:
        inside = [listed for _, listed in everyone if split in listed.entries]
        outside = [(number, listed) for number, listed in everyone if split not in listed.entries]
        if inside and outside:
            number, listed = outside[0]
            raise DataError(
                f"{where}: the class {quoted(listed.name)} of task {number} has no {split} split ({_splits(listed)} "
                f"only), but {quoted(inside[0].name)} has one, and {len(outside)} of {len(everyone)} classes lack it; "
                "give all classes the same splits, if need be an empty one"
            )


def _splits(listed: ListedClass) -> str:
    return " and ".join(split for split in SPLITS if split in listed.entries) or "no split"
