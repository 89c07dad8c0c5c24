"""`essential rename`: give a class of a bundle another name, or make two classes one."""

from typing import Annotated

from essential.cli.options import BundleFile, argument, option
from essential.cli.terminal import bundle_told_on_ctrl_c, say


def rename(
    bundle: BundleFile,
    old: Annotated[str, argument("OLD", "A name that `essential classes` lists.")],
    new: Annotated[str, argument("NEW", "Its new name; with --merge that of another class.")],
    merge: Annotated[bool, option("--merge", None, "Make the classes OLD and NEW one.")] = False,
) -> None:
    """Rename a class of a bundle, or merge two.

    Nothing is learned, and no video and no encoder is needed. The probability of a merged class is the sum of both.

    \b
    Examples:
      essential rename actions.bundle wave waving
      essential rename actions.bundle running jogging --merge
    """
    from essential.files.atomic import file_lock
    from essential.learner.bundle import Bundle
    from essential.learner.class_changes import renamed
    from essential.learner.clips import refuse_missing
    from essential.protocols.class_names import alike
    from essential.results.formats import counted

    with bundle_told_on_ctrl_c(bundle):
        refuse_missing(bundle)
        with file_lock(bundle):
            changed = renamed(Bundle.read(bundle), old, new, merge=merge)
            changed.write(bundle)
        classes = changed.model.classes
        for warning in alike(classes):
            say(warning, err=True)
        say(f"{'merged' if merge else 'renamed'}: {old} -> {new}; {counted(len(classes), 'class')} in {bundle}")
