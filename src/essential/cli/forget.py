"""`essential forget`: take a class out of a bundle."""

from typing import Annotated

import typer

from essential.cli.options import BundleFile, Overrides
from essential.cli.terminal import say


def forget(
    bundle: BundleFile,
    name: Annotated[str, typer.Argument(help="The class, as `essential classes` lists it.", metavar="CLASS")],
    overrides: Overrides = None,
) -> None:
    """Forget a class: the clips kept of it and its name are deleted, and it is never answered again.

    What the weights have learned from its clips is not undone, nor the statistics that some methods keep of classes.
    Files that `essential serve` keeps beside the bundle to undo changes know the class, and are deleted too.

    \b
    Example:
      essential forget actions.bundle waving
    """
    from essential.files.atomic import explained_os_errors, file_lock
    from essential.learner.bundle import Bundle, refuse_missing
    from essential.learner.clips import refuse_unknown
    from essential.learner.video_learner import VideoLearner
    from essential.report.formats import counted
    from essential.serve.kept_bundle import bundles_before

    refuse_missing(bundle)
    with file_lock(bundle):
        # Before an encoder is fetched in vain.
        read = Bundle.read(bundle, overrides or ())
        refuse_unknown(name, read.classes)
        learner = VideoLearner(bundle=read)
        learner.forget(name)
        # They know the class. The bundle comes last: as long as it knows the class, the same command goes on.
        undos = bundles_before(bundle)
        for undo in undos:
            with explained_os_errors(undo):
                undo.unlink(missing_ok=True)
        learner.save(bundle)
    say(f"forgotten: {name}; {len(learner.classes)} classes are left in {bundle}")
    if undos:
        say(f"deleted: {counted(len(undos), 'file')} {bundle.name}.before-..., kept by essential serve to undo changes")
