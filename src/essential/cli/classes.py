"""`essential classes`: what a bundle knows."""

from essential.cli.options import BundleFile
from essential.cli.terminal import say


def classes(bundle: BundleFile) -> None:
    """List the classes of a bundle, in order of arrival, with the clips that each was learned from.

    \b
    Example:
      essential classes actions.bundle
    """
    from essential.cli.bundle_tables import print_classes
    from essential.learner.bundle import Bundle

    read = Bundle.read(bundle)
    print_classes(read.lessons)
    say(f"{len(read.classes)} classes; encoder {read.encoder.name}, method {read.config.method.name}")
