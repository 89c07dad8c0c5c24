"""`essential forget`: remove a class from a bundle."""

from typing import Annotated

from essential.cli.options import BundleFile, Overrides, argument
from essential.cli.terminal import bundle_told_on_ctrl_c, say


def forget(
    bundle: BundleFile,
    name: Annotated[str, argument("CLASS", "A name that `essential classes` lists.")],
    overrides: Overrides = None,
) -> None:
    """Remove a class from a bundle.

    Its clips and its name are deleted, and it is never predicted again. What the weights learned from its clips stays,
    and so do the class statistics that some methods keep. The files that `essential serve` keeps beside the bundle to
    undo changes are deleted, since they hold the class.

    \b
    Example:
      essential forget actions.bundle waving
    """
    from essential.files.atomic import explained_os_errors, file_lock
    from essential.learner.bundle import Bundle
    from essential.learner.clips import refuse_missing, refuse_unknown
    from essential.learner.video_learner import VideoLearner
    from essential.results.formats import counted
    from essential.serve.kept_bundle import bundles_before

    with bundle_told_on_ctrl_c(bundle):
        refuse_missing(bundle)
        with file_lock(bundle):
            read = Bundle.read(bundle, overrides or ())
            refuse_unknown(name, read.model.classes)  # before an encoder is downloaded in vain
            learner = VideoLearner(bundle=read)
            learner.forget(name)
            # They hold the class. The bundle is written last: until then the same command can be repeated.
            undos = bundles_before(bundle)
            for undo in undos:
                with explained_os_errors(undo):
                    undo.unlink(missing_ok=True)
            learner.save(bundle)
        say(f"forgotten: {name}; {counted(len(learner.classes), 'class')} left in {bundle}")
        if undos:
            files = f"{counted(len(undos), 'file')} {bundle.name}.before-..."
            say(f"deleted: {files}, kept by essential serve to undo changes")
